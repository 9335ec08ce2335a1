"""Bad input: one clear line on standard error, the right exit code, no traceback."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from awe.cli.failures import exit_code_of, translated

from .conftest import Command

REFUSED = [
    (["fnd"], 2, "no command 'fnd'; near ones: find"),
    (["find", "Coad"], 2, "no class 'Coad'; near ones: Coadd"),
    (["find", "RawFrame", "exptime >"], 2, "position"),
    (["find", "RawFrame", "--order-by", "exptme"], 2, "near ones: exptime"),
    (["find", "RawFrame", "--columns", "filter.nme"], 2, "near ones: name"),
    (["find", "RawFrame", "--columns", "exptime.name"], 2, "is a value, not a link"),
    (["info", "999999"], 3, "no object 999999"),
    (["tree", "999999"], 3, "no object 999999"),
    (["why", "999999"], 3, "no object 999999"),
    (["judge", "999999", "--invalid", "x"], 3, "no object 999999"),
    (["judge", "2"], 2, "give one of --valid"),
    (["judge", "2", "--invalid", "a", "--valid", "b"], 2, "give one of --valid"),
    (["why-not", "2", "3"], 2, "is no calibration"),
    (["ingest", "/nowhere/at/all.fits"], 10, ""),
    (["catalogue", "add", "none.fits", "--name", "x", "--form", "fancy"], 3, "no catalogue form 'fancy'"),
    (["catalogue", "add", "none.fits", "--name", "x", "--form", "plain"], 3, "no file none.fits"),
    (["plan", "RawBiasFrame"], 2, "RawBiasFrame is not made by awe"),
    (["plan", "Coad"], 2, "near ones: Coadd"),
    (["plan", "Coadd", "--object", "M31"], 3, "no valid RawScienceFrame with object M31"),
    (["plan", "Coadd", "--night", "tomorrow"], 2, "night must be a date"),
    (["plan", "Coadd", "--threshold", "high"], 2, "parameter threshold of Coadd must be a float, got 'high'"),
    (["plan", "Coadd", "--combine", "best"], 2, "is not one of"),
    (["plan", "Coadd", "-p", "sigma=5"], 2, "CLASS.NAME=VALUE"),
    (["plan", "Coadd", "-p", "BiasFrame.sigma=5"], 2, "BiasFrame has no parameter 'sigma'"),
    (["plan", "Coadd", "--grid", "nowhere"], 3, "no grid target 'nowhere'"),
    (["plan", "ReducedFrame", "--frame", "1"], 2, "is not made of"),
    (["make", "Coadd", "--workers", "0"], 2, "--workers"),
    (["instrument", "show", "EFOSC"], 3, "EFOSC2"),
    (["instrument", "check", "none.fits"], 3, "none.fits"),
    (["simulate", "night", "--chips", "0"], 2, "chip"),
    (["--instruments", "/nowhere", "ingest", "x.fits"], 2, "instruments folder /nowhere does not exist"),
    (["--database", "mysql://x/y", "find", "Coadd"], 2, "neither sqlite nor postgresql"),
    (["--database", "postgresql://127.0.0.1:9/x", "find", "Coadd"], 8, "can't be opened"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED, ids=[" ".join(words) for words, _, _ in REFUSED])
def test_bad_input_gives_one_line_and_its_exit_code(
    words: list[str], code: int, said: str, awe: Command, made_home: Path
) -> None:
    result = awe("--home", made_home, *words)
    assert result.code == code
    assert said in result.err
    assert "Traceback" not in result.err


def test_the_traceback_is_shown_on_request(awe: Command, made_home: Path) -> None:
    assert "Traceback" in awe("--debug", "--home", made_home, "info", "999999").err


def test_a_data_server_that_is_down_is_named_with_the_remedy(awe: Command, made_home: Path, tmp_path: Path) -> None:
    Path("stars.csv").write_text("ra,dec\n10,20\n")
    result = awe(
        "--home",
        made_home,
        "--data-server",
        "http://127.0.0.1:9",
        "catalogue",
        "add",
        "stars.csv",
        "--name",
        "s",
        "--form",
        "plain",
    )
    assert result.code == 7
    assert "start it with `awe serve`, or set AWE_DATA_SERVER" in result.err


def test_a_locked_database_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "awe.db"
    with sqlite3.connect(path) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
        with pytest.raises(OperationalError) as raised, engine.connect() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
        engine.dispose()
    assert (
        str(translated(raised.value))
        == "the database can't be used: database is locked; another process holds it; try again"
    )


def test_a_full_disk_is_told_in_one_line() -> None:
    found = translated(OSError(errno.ENOSPC, "No space left on device", "/data/x.fits"))
    assert str(found) == "the disk is full: /data/x.fits; make room and try again"


def test_an_error_that_is_not_foreseen_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise RuntimeError("the moon is in the way")

    assert exit_code_of(fails) == 1
    assert capsys.readouterr().err == (
        "awe: unexpected RuntimeError: the moon is in the way (awe --debug ... shows where)\n"
    )
