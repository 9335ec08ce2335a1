"""The reference of all commands, made from the commands themselves: `python -m awe.cli.reference FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from awe.cli import EPILOG, cli
from awe.cli.commands import COMMANDS
from awe.cli.targets import TargetGroup

WIDTH = 110


def walk() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield full name, command and context of each command; of those for classes, only that for coadds."""
    root = click.Context(cli, info_name="awe", max_content_width=WIDTH, terminal_width=WIDTH)
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        yield from _below(name, command, root)


def _below(
    name: str, command: click.Command, parent: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(
        command, info_name=name.rsplit(maxsplit=1)[-1], parent=parent, max_content_width=WIDTH, terminal_width=WIDTH
    )
    yield name, command, context
    if isinstance(command, click.Group):
        members = ["Coadd"] if isinstance(command, TargetGroup) else command.list_commands(context)
        for member in members:
            below = command.get_command(context, member)
            assert below is not None
            yield from _below(f"{name} {member}", below, context)


def reference() -> str:
    """Return the reference page as Markdown."""
    parts = ["# Commands", "Made by `python -m awe.cli.reference`; `awe COMMAND --help` says the same.", _contents()]
    parts += ["## Options before the command, and exit codes", _code(EPILOG.replace("\b\n", ""))]
    for name, command, context in walk():
        parts += [f"## awe {name}", _code(command.get_help(context))]
    return "\n\n".join(parts) + "\n"


def _contents() -> str:
    lines = []
    for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
        lines += ["", f"**{section}**", ""]
        lines += [f"- [`awe {n}`](#awe-{n}): {e.summary}" for n, e in COMMANDS.items() if e.section == section]
    return "\n".join(lines).strip()


def _code(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
