"""Home folders for the commands: with the raw frames of a tiny night, and with all that is made of them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from awe.cli import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands see no settings but those of the test."""
    for name in [name for name in os.environ if name.startswith("AWE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # processes that are started here find the source, installed or not
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def awe(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def call(*arguments: object) -> Said:
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def ingested_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with the raw frames of a tiny night and its reference catalogue; copy it before you write."""
    home = tmp_path_factory.mktemp("ingested") / "home"
    night = home.parent / "night"
    assert run(["simulate", str(night), "--size", "tiny"]) == 0
    for words in (
        ["init"],
        ["ingest", str(night / "raw")],
        ["catalogue", "add", str(night / "reference_catalogue.fits"), "--name", "sim", "--form", "plain"],
    ):
        assert run(["--home", str(home), *words]) == 0
    return home


@pytest.fixture(scope="session")
def made_home(ingested_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with all products of a tiny night; copy it before you write."""
    home = shutil.copytree(ingested_home, tmp_path_factory.mktemp("made") / "home")
    assert run(["--home", str(home), "-q", "make", "AssociateList"]) == 0
    return home


@pytest.fixture
def raw_home(ingested_home: Path, tmp_path: Path) -> Path:
    """A copy of the home folder with raw frames, to write into."""
    return shutil.copytree(ingested_home, tmp_path / "home")


@pytest.fixture
def own_home(made_home: Path, tmp_path: Path) -> Path:
    """A copy of the home folder with products, to write into."""
    return shutil.copytree(made_home, tmp_path / "home")


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command as a process of its own, as the leader of its group."""
    command = [sys.executable, "-m", "awe.cli", "--home", str(home), *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heeds_ctrl_c,  # noqa: PLW1509 - it calls nothing that could wait for another thread
    )


def _heeds_ctrl_c() -> None:
    """Undo what a shell does to what runs in its background: there, Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
