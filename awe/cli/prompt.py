"""`awe prompt`: Python with all classes in reach."""

import code
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import click

from awe.cli.workplace import Workplace, works


@click.command()
@click.option("-c", "program", metavar="CODE", help="run this and end")
@click.option("--plain", is_flag=True, help="plain Python, even if IPython is installed")
@works
def prompt(place: Workplace, program: str | None, plain: bool) -> None:
    """Start Python with all classes in reach, and plan, make, find, why, info, tree.

    IPython is used if it is installed.

    \b
    Example: awe prompt
             awe prompt -c 'print(len(find("RawFrame")))'
    """
    import awe.prompt as names  # its name is that of this function

    names.context.connect(place.settings)
    _ = names.context.session
    reach = {name: getattr(names, name) for name in names.__all__}
    if program is not None:
        exec(compile(program, "<awe prompt -c>", "exec"), reach)  # noqa: S102  it is the user's own
    elif find_spec("IPython") and not plain:
        _with_ipython(reach, names.banner())
    else:
        _plainly(reach, names.banner())


def _with_ipython(reach: dict[str, Any], banner: str) -> None:
    from IPython import start_ipython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = ""
    config.TerminalInteractiveShell.banner2 = banner + "\n"
    start_ipython(argv=[], user_ns=reach, config=config)


def _plainly(reach: dict[str, Any], banner: str) -> None:
    with suppress(ImportError):  # there is no readline on some systems: then there is no completion
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(reach).complete)
        readline.parse_and_bind("tab: complete")
    sys.ps1 = "awe> "
    code.interact(banner=banner, local=reach, exitmsg="")
