"""Ctrl-C during a run: once, and the running steps end first; twice, and all stops at once. Either can be resumed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy import Engine

from awe.cli.failures import INTERRUPTED
from awe.cli.progress import Progress
from awe.errors import AweError
from awe.processing.housekeeping import give_up


class Interrupted(AweError):
    """The user stopped the command."""

    exit_code = INTERRUPTED


@contextmanager
def gracefully(engine: Engine, progress: Progress) -> Iterator[None]:
    """Let Ctrl-C stop the block cleanly, and say that the same command resumes."""
    before = signal.signal(signal.SIGINT, _stop)
    try:
        yield
    except KeyboardInterrupt as error:
        give_up(engine, os.getpid(), "stopped by the user")
        raise Interrupted("stopped; what was made is kept, and the same command goes on from there") from error
    finally:
        signal.signal(signal.SIGINT, before)
        progress.end()


def _stop(_number: int, _frame: Any) -> None:
    signal.signal(signal.SIGINT, _stop_at_once)
    click.echo("\nstopping: the steps that run end first (Ctrl-C again: at once)", err=True)
    raise KeyboardInterrupt


def _stop_at_once(_number: int, _frame: Any) -> None:
    click.echo("\nawe: stopped at once; the same command goes on from what was made", err=True)
    os._exit(INTERRUPTED)  # workers and data server notice and end
