"""Help: quick, with an example for each command, and the reference page is made from it."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from awe.cli.commands import COMMANDS
from awe.cli.reference import reference, walk
from awe.cli.targets import make

from .conftest import ROOT, Command

ALL = {name: (command, context) for name, command, context in walk()}


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_with_an_example(name: str) -> None:
    command, context = ALL[name]
    text = command.get_help(context)
    assert f"Example: {'eval ' if name == 'completion' else 'awe '}" in text.replace('eval "$(awe', "eval ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(name: str) -> None:
    assert (ALL[name][0].help or "").split("\n")[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [p for p in ALL[name][0].params if isinstance(p, click.Option)]
    assert [p.name for p in options if not p.help] == []


def test_no_option_of_a_class_has_the_name_of_another() -> None:
    context = click.Context(make)
    for name in make.list_commands(context):
        options = [o for p in make.get_command(context, name).params for o in p.opts]
        assert sorted(set(options)) == sorted(options)


def test_the_reference_page_is_up_to_date() -> None:
    page = ROOT / "docs/reference/cli.md"
    assert page.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_help_imports_neither_numba_nor_the_database(tmp_path: Path) -> None:
    heavy = {"numba", "sqlalchemy", "astropy"}
    code = f"import sys; from awe.cli import run; run(['--help']); print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_version_is_told(awe: Command) -> None:
    assert awe("--version").out.startswith("awe 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str, awe: Command) -> None:
    assert "_AWE_COMPLETE" in awe("completion", shell).out
