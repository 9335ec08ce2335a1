"""simulate, ingest, catalogue, instrument: what is taken in, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Command


@pytest.fixture(scope="session")
def raws(ingested_home: Path) -> list[Path]:
    return sorted((ingested_home.parent / "night" / "raw").iterdir())


def test_a_night_is_simulated_once(awe: Command, tmp_path: Path) -> None:
    words = ("simulate", tmp_path / "n", "--size", "tiny", "--exposures", "1", "--biases", "1", "--seed", "5")
    first, second = awe(*words), awe(*words)
    assert first.out.startswith("simulated 5 exposures")
    assert second.out.startswith("already there:")
    other = awe(*words, "--twilights", "1")
    assert (other.code, "empty folder" in other.err) == (2, True)


def test_each_file_gets_a_verdict_and_one_bad_file_does_not_stop_the_others(
    awe: Command, tmp_path: Path, raws: list[Path]
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(raws[0], tmp_path / "in" / "a.fits")
    shutil.copy(raws[0], tmp_path / "in" / "b.fits")
    (tmp_path / "in" / "c.fits").write_text("not FITS")
    (tmp_path / "in" / "d.fits").write_bytes(raws[1].read_bytes()[:4000])
    shutil.copy(raws[2], tmp_path / "in" / "e.fits")
    home = tmp_path / "home"
    awe("--home", home, "init")
    result = awe("--home", home, "ingest", "in")
    assert result.code == 10
    assert [line.split()[1] for line in result.out.splitlines()[:5]] == [
        "ingested",
        "already",
        "refused",
        "refused",
        "ingested",
    ]
    assert result.out.splitlines()[-1] == "5 files: 2 ingested, 1 already there, 2 refused"
    assert json.loads(awe("--home", home, "find", "RawFrame", "--json").out)["total"] == 4


def test_a_dry_run_judges_and_stores_nothing(awe: Command, tmp_path: Path, raws: list[Path]) -> None:
    home = tmp_path / "home"
    awe("--home", home, "init")
    result = awe("--home", home, "ingest", "--dry-run", "--json", *raws)
    found = json.loads(result.out)
    assert result.code == 0
    assert found["counts"]["ingested"] == len(raws)
    assert "dry run" in found["files"][0]["reason"]
    assert json.loads(awe("--home", home, "find", "RawFrame", "--json").out)["total"] == 0
    assert not (home / "files").exists()


def test_a_folder_without_fits_files_is_refused(awe: Command, made_home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = awe("--home", made_home, "ingest", tmp_path / "empty")
    assert (result.code, "no FITS file in" in result.err) == (3, True)


def test_a_catalogue_is_added_once_and_listed(awe: Command, raw_home: Path, ingested_home: Path) -> None:
    table = ingested_home.parent / "night" / "reference_catalogue.fits"
    again = awe("--home", raw_home, "catalogue", "add", table, "--name", "sim", "--form", "plain")
    assert again.out.startswith("already there: catalogue sim")
    listed = awe("--home", raw_home, "catalogue", "list").out.splitlines()
    assert listed[0].split()[:3] == ["id", "name", "stars"]
    assert len(listed) == 2


def test_instruments_are_listed_shown_and_checked(awe: Command, raws: list[Path]) -> None:
    names = [d["name"] for d in json.loads(awe("instrument", "list", "--json").out)]
    assert {"EFOSC2", "SIMCAM"} <= set(names)
    assert "class rules" in awe("instrument", "show", "simcam").out
    assert awe("instrument", "check", raws[0]).code == 0
    Path("x.fits").write_text("no FITS")
    refused = awe("instrument", "check", "x.fits")
    assert (refused.code, "refused" in refused.out) == (10, True)
