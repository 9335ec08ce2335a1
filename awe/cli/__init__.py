"""The `awe` command: one program with a sub-command for each thing that can be done."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import click

from awe import __version__
from awe.cli.commands import LazyGroup
from awe.cli.failures import exit_code_of
from awe.config import Settings

EPILOG = """\b
Begin with:
  awe init                                  create database and folders
  awe ingest FILES                          take in raw frames
  awe make Coadd --object M67               make a coadd and all it needs
  awe serve                                 look at it in the browser

Options before the command hold for all of them; each is also a setting: AWE_HOME in the environment, `home` in
awe.toml (awe config show). Exit codes: 0 done, 1 unexpected, 2 usage, 3 not found, 4 no input, 5 not allowed,
6 bad file, 7 data server, 8 database, 9 something could not be made, 10 files refused, 130 interrupted.
"""


def _verbosity(verbose: int, quiet: bool) -> None:
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", force=True)
    for name in ("numba", "urllib3", "matplotlib", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _settings_options(command: Any) -> Any:
    """Add an option for each setting."""
    for setting in reversed(fields(Settings)):
        option = "--" + setting.name.replace("_", "-")
        command = click.option(option, metavar="VALUE", help=setting.metadata["doc"])(command)
    return command


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="awe", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="say more (-vv: everything)")
@click.option("-q", "--quiet", is_flag=True, help="say only results and errors")
@click.option("--debug", is_flag=True, help="show the traceback of an error")
@_settings_options
@click.pass_context
def cli(context: click.Context, verbose: int, quiet: bool, debug: bool, **given: Any) -> None:
    """Survey imaging information system: from raw frames to coadds and source lists, with all they were made from.

    \b
    Example: awe --home ~/survey make Coadd --object M67 --filter g
    """
    _verbosity(verbose, quiet)
    context.obj = {"given": {name: value for name, value in given.items() if value is not None}, "quiet": quiet}


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; what goes wrong is one line on standard error."""
    return exit_code_of(lambda: cli.main(list(arguments), prog_name="awe", standalone_mode=False), arguments)


def main() -> None:
    """Run the command that the shell gave."""
    sys.exit(run(sys.argv[1:]))
