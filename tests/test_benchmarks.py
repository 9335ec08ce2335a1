"""The benchmarks say what they measure: cases name functions that are there, failures and missing peers are told."""

import inspect
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from awe.cli import cli
from awe.cli.setup import bench
from benchmarks import astrometry, cases, child, ldac, page, report
from benchmarks.chapters import CHAPTERS
from benchmarks.measuring import Case, Measured, measure
from benchmarks.packages import rates

GROUPS = [
    *cases.on_pixels(),
    *cases.astrometry(),
    *cases.of_exposures((4, 64)),
    *cases.compilation(),
    *cases.many_inputs((5,)),
    *cases.of_mosaic(),
    *cases.of_frames((4, 16)),
    *cases.of_threads(16),
    *cases.planning((100,)),
    *cases.on_system(),
    *cases.on_cutouts(),
    *cases.on_large_image(),
]


@pytest.mark.parametrize("case", [c for group in GROUPS for c in group], ids=lambda c: f"{c.work}-{c.program}")
def test_the_function_of_a_case_takes_its_options(case: Case) -> None:
    module, _, name = case.function.partition(":")
    function = getattr(import_module(f"benchmarks.{module}"), name)
    inspect.signature(function).bind(Path(), **case.options)


def test_the_first_program_of_a_group_is_awe() -> None:
    assert {group[0].program for group in GROUPS} == {"awe"}


def test_a_peer_that_is_missing_is_said_and_not_run(tmp_path: Path) -> None:
    (found,) = measure([Case("work", "peer", "no:where", missing="not installed")], tmp_path, 1, 1)
    assert report.rows([[found]])[0][-1] == "not installed"


def test_a_case_that_fails_says_why(tmp_path: Path) -> None:
    (found,) = measure([Case("work", "awe", "peers:swarp", {"method": "WEIGHTED"})], tmp_path, 1, 1)
    assert "Error" in found.failure


def test_the_ratio_is_the_time_of_the_peer_over_that_of_awe() -> None:
    awe, peer = (
        Measured(Case("work", name, ""), seconds, 3.0, "Mpix", 100.0) for name, seconds in (("awe", 2), ("peer", 5))
    )
    assert report.rows([[awe, peer]]) == [
        ("work", "awe", "2.00 s", "1.5 Mpix/s", "100 MB", "", ""),
        ("work", "peer", "5.00 s", "0.6 Mpix/s", "100 MB", "2.50", ""),
    ]


def test_completeness_and_purity_of_flagged_pixels_stand_in_the_remark(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    charge, flags, weight = np.zeros((4, 5)), np.zeros((4, 5), np.uint8), np.ones((4, 5))
    charge[0] = 100
    for name, plane in (("charge", charge), ("flags", flags), ("weight", weight)):
        np.save(folder / f"{name}0.npy", plane)
    mask = np.zeros((4, 5), bool)
    mask[0, :4] = mask[1, 0] = True

    found = Measured(Case("work", "awe", ""), 1.0, 1.0, "Mpix", 10.0, rates(mask, tmp_path))
    assert report.rows([[found]])[0][-1] == "5 flagged, 0.8 completeness, 0.8 purity"


def test_what_is_done_once_has_no_rate() -> None:
    assert report.rows([[Measured(Case("work", "awe", ""), 2.0, 1.0, "", 10.0)]])[0][3] == ""


def test_the_times_of_compilation_have_lines_of_their_own() -> None:
    (chapter,) = (chapter for chapter in CHAPTERS if chapter.name == "compilation")
    assert [group[0].function for group in cases.compilation()] == ["compilation:compile_awe"] * 2
    assert "All other times on this page leave it out." in chapter.text


def test_chapters_that_are_not_measured_keep_their_figures(tmp_path: Path) -> None:
    first, second = ({"machine": m, "tables": [["", ["work"], [[m]]]], "slower": []} for m in ("old", "new"))
    page.write(tmp_path / "page.md", {"kernels": first, "plans": first})
    page.write(tmp_path / "page.md", {"plans": second})
    text = (tmp_path / "page.md").read_text()
    assert text.index("Measured old.") < text.index("## Plans") < text.index("Measured new.")
    assert text.endswith("Nowhere in this run.\n")


def test_the_rating_adds_the_time_of_all_steps() -> None:
    measured = [
        {"case": {"function": name, "options": {}}, "seconds": 2.0, "amount": 4.0, "failure": ""}
        for name in report.RATED
    ]
    assert "0.50 Mpix/s" in report.rating(measured)
    assert report.rating(measured[1:]) == ""
    assert report.rating([{"night": "tiny"}]) == ""


def test_the_machine_is_named_as_far_as_the_system_tells(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    assert report.processor(told) == ""
    told.write_text("processor\t: 0\nmodel name\t: Fast 9000: a processor\nmodel name\t: another\n")
    assert report.processor(told) == "Fast 9000: a processor"
    assert report.processor() in report.machine()
    assert f"{os.cpu_count()} cores" in report.machine()


def test_of_a_program_that_does_more_the_part_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = child.Work(lambda: {"work": 3.0, "rest": 5.0}, part=lambda found: found["work"])
    monkeypatch.setitem(sys.modules, "slow", SimpleNamespace(work=lambda folder: work))
    monkeypatch.setattr(sys, "argv", ["child", "slow", "work", str(tmp_path), "2", "{}"])

    child.main()

    assert json.loads(capsys.readouterr().out)["seconds"] == [3.0, 3.0]


def test_an_unknown_chapter_is_refused_with_those_there_are() -> None:
    found = CliRunner().invoke(cli, ["bench", "kernel"])
    names = [chapter.name for chapter in CHAPTERS]
    assert found.exit_code != 0
    assert ", ".join(names) in str(found.exception) + found.output
    assert ", ".join(names[:-1]) + f" and {names[-1]}" in " ".join((bench.help or "").split())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["coadds", "--night", "."], "awe bench nights survey --night DIR"),
        (["--night", "."], "awe bench nights survey --night DIR"),
        (["survey", "--night", "."], "needs a reference catalogue for SCAMP"),
        (["nights", "--night", ".", "--write-docs"], "simulated nights"),
        (["nights", "--catalogue", "gaia.fits:gaia"], "goes with --night"),
        (["nights", "--night", ".", "--catalogue", "gaia.fits"], "FILE:FORM"),
        (["nights", "--night", ".", "--catalogue", "absent.fits:gaia"], "there is no catalogue absent.fits"),
    ],
)
def test_frames_of_a_folder_are_for_two_chapters(given: list[str], said: str) -> None:
    found = CliRunner().invoke(cli, ["bench", *given])
    assert found.exit_code != 0
    assert said in str(found.exception) + found.output


def test_lists_that_are_drawn_can_be_read_and_solved(tmp_path: Path) -> None:
    told = astrometry.drawn(tmp_path, (600, 600), 3)
    lists = [ldac.read(tmp_path / f"exp{number}.cat") for number in range(3)]
    work = astrometry.awe(tmp_path)

    assert sum(len(rows) for each in lists for _, rows in each) == told["sources"] == work.amount
    assert {header["NAXIS1"] for each in lists for header, _ in each} == {600}
    # 0.1 pixel (25 mas) is typical of 30 stars a chip in each of 3 exposures, for 10 terms of a cubic: 25 sqrt(10 / 90)
    assert work.tell(work.call())["µas off the truth (median chip)"] < 15_000


def test_headers_in_lists_end_as_scamp_wants_them(tmp_path: Path) -> None:
    header = fits.Header({"NAXIS": 2}).tostring(padding=False)
    ldac.write(tmp_path / "a.cat", [(header, fits.ColDefs([fits.Column("X", "1D", array=[1.0])]))])

    # SCAMP looks for END and blanks, and reads on and on without them
    assert b"END" + b" " * 77 in (tmp_path / "a.cat").read_bytes()[2880 * 3 - 2880 :][:2880]
    assert ldac.read(tmp_path / "a.cat")[0][0]["NAXIS"] == 2
