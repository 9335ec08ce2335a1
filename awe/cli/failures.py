"""Errors as one line on standard error and an exit code: the last border, where everything is translated once."""

import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import click

from awe.errors import AweError, DatabaseUnavailable, StoreUnavailable

INTERRUPTED = 130
REFUSED = 10
"""Exit code of `awe ingest` if any file was refused."""
FAILED = 9
"""Exit code of `awe make` if something could not be made."""


def exit_code_of(command: Callable[[], Any], arguments: Sequence[str] = ()) -> int:
    """Call a command and return its exit code; say what went wrong."""
    try:
        result = command()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _said("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the top: every error becomes a line
        if "--debug" in arguments:
            traceback.print_exc()
        return _told(error)
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> int:
    known = translated(error)
    if known is not None:
        return _said(str(known), known.exit_code)
    return _said(f"unexpected {type(error).__name__}: {error} (awe --debug ... shows where)", 1)


def _said(message: str, code: int) -> int:
    click.echo(f"awe: {message}", err=True)
    return code


def translated(error: Exception) -> AweError | None:
    """Return an error as one that is meant for the user; None if it is not foreseen."""
    if isinstance(error, AweError):
        return error
    database = sys.modules.get("sqlalchemy.exc")
    if database is not None and isinstance(error, database.DBAPIError):
        return DatabaseUnavailable(f"the database can't be used: {_cause(error)}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreUnavailable(f"the disk is full: {error.filename or error}; make room and try again")
    if isinstance(error, PermissionError):
        return StoreUnavailable(f"no permission for {error.filename}: choose another folder, or change its rights")
    return None


def _cause(error: Any) -> str:
    said = str(error.orig).strip().split("\n")[0]
    remedies = {
        "locked": "another process holds it; try again",
        "full": "make room and try again",
        "readonly": "change its rights, or give another with --database",
        "connection": "is the server running? (awe config show)",
        "no such table": "bring it up to date with `awe upgrade`",
    }
    remedy = next((r for word, r in remedies.items() if word in said.lower()), "")
    return f"{said}; {remedy}" if remedy else said
