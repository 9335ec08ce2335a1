"""Which commands there are; the module of a command is imported only when it is used, so that help is quick."""

import difflib
from dataclasses import dataclass
from importlib import import_module

import click

from awe.errors import BadRequest


@dataclass(frozen=True)
class Entry:
    """Where a command is, and what it does in one line."""

    section: str
    module: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "init": Entry("Set up", "setup", "Create the home folder, the database and its tables."),
    "upgrade": Entry("Set up", "setup", "Bring database and process catalogue up to this version."),
    "config": Entry("Set up", "setup", "Show the settings and where each comes from."),
    "doctor": Entry("Set up", "doctor", "Find what is damaged or left over, and repair it."),
    "demo": Entry("Set up", "demo", "Observe a simulated night, make all products, serve the pages."),
    "simulate": Entry("Take in", "simulate", "Write the raw files of a simulated night."),
    "ingest": Entry("Take in", "ingest", "Take in raw frames, or with --as calibrated ones; each file gets a verdict."),
    "instrument": Entry("Take in", "instruments", "Show instruments, and how a file would be read."),
    "catalogue": Entry("Take in", "catalogues", "Add and list reference catalogues."),
    "grid": Entry(
        "Take in", "grids", "Lay out and list grid targets: the pixels on the sky that frames are regridded to."
    ),
    "plan": Entry("Make", "targets", "Show what would be made for a target, and why."),
    "make": Entry("Make", "targets", "Make a target and all that it needs."),
    "why": Entry("Make", "reasons", "Say why an object was made, and whether it is up to date."),
    "why-not": Entry("Make", "reasons", "Say why a calibration is not used for a frame."),
    "judge": Entry("Make", "objects", "Judge objects and comment on them: valid, invalid, proposed, quality flags."),
    "find": Entry(
        "Look",
        "find",
        "List the objects of a class, or the rows of a source or associate list, that fulfil a condition.",
    ),
    "info": Entry("Look", "objects", "Show all about an object: values with units, parameters, inputs, history."),
    "tree": Entry("Look", "lineage", "Show what an object was made from, or what was made from it."),
    "classes": Entry("Look", "classes", "List the persistent classes, in processing order."),
    "describe": Entry("Look", "classes", "Show inputs, parameters and columns of a class, with units and meanings."),
    "processes": Entry("Look", "records", "List the tasks and their versions, and what each has made."),
    "jobs": Entry("Look", "records", "List the attempts to make something, the newest first; failed ones too."),
    "serve": Entry("Serve", "serving", "Serve all web pages, some of their services, or a data server."),
    "prompt": Entry(
        "Serve", "prompt", "Start Python with all classes in reach, and plan, make, find, why, info, tree."
    ),
    "bench": Entry("Serve", "setup", "Rate this machine: measure awe beside the programs that do the same."),
    "token": Entry("Serve", "tokens", "Issue, list and revoke the tokens by which people sign in at the pages."),
    "completion": Entry("Serve", "setup", "Print the script that completes awe commands in a shell."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of the list."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; a wrong name is answered by the near ones."""
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=3, cutoff=0.5)
            hint = f"near ones: {', '.join(near)}" if near else "`awe --help` lists them"
            raise BadRequest(f"no command {cmd_name!r}; {hint}")
        module = import_module(f"awe.cli.{COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands by section, without importing them."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=14)
