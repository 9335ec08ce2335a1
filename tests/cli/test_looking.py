"""find, info, tree, why, processes, jobs, classes, describe: what is shown of a night that was made."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from awe.model.persistent import concrete_classes

from .conftest import Command, start


@pytest.fixture
def ids(awe: Command, made_home: Path) -> Any:
    """A function that returns the numbers of all objects of a class."""

    def call(name: str) -> list[int]:
        found = json.loads(awe("--home", made_home, "find", name, "--json", "--columns", "object_id").out)
        return [o["object_id"] for o in found["objects"]]

    return call


def test_find_selects_sorts_and_says_if_it_leaves_out(awe: Command, made_home: Path) -> None:
    result = awe(
        "--home",
        made_home,
        "find",
        "RawFrame",
        "exptime > 3 and filter.name == 'r'",
        "--order-by",
        "-exptime",
        "--limit",
        "4",
    )
    lines = result.out.splitlines()
    assert len(lines) == 5
    assert result.err == "4 of 12 RawFrames shown: --limit 0 shows all\n"
    times = [float(line.split("r  ")[1].split()[3]) for line in lines[1:]]
    assert times == sorted(times, reverse=True)


def test_find_speaks_json_and_csv(awe: Command, made_home: Path) -> None:
    words = (
        "--home",
        made_home,
        "find",
        "ReducedFrame",
        "--limit",
        "2",
        "--columns",
        "object_id,raw.exptime,bias,bias.raw_biases",
    )
    found = json.loads(awe(*words, "--json").out)
    assert (found["total"], found["truncated"], len(found["objects"])) == (6, True, 2)
    assert len(found["objects"][0]["bias.raw_biases"]) == 5
    rows = list(csv.reader(io.StringIO(awe(*words, "--csv").out)))
    assert rows[0] == ["object_id", "raw.exptime", "bias", "bias.raw_biases"]
    assert rows[1][1] == "120.0"


def test_find_without_result_says_so(awe: Command, made_home: Path) -> None:
    assert awe("--home", made_home, "find", "Coadd", "n_frames > 99").out == "no Coadd fulfils the condition\n"


def test_info_shows_values_inputs_and_history(awe: Command, made_home: Path, ids: Any) -> None:
    (coadd,) = ids("Coadd")
    text = awe("--home", made_home, "info", coadd).out
    assert "n_frames            6" in text
    assert "regridded_frames" in text
    found = json.loads(awe("--home", made_home, "info", "--json", coadd).out)
    assert len(found["inputs"]["regridded_frames"]) == 6
    both = json.loads(awe("--home", made_home, "info", "--json", coadd, *ids("AssociateList")).out)
    assert [o["class"] for o in both] == ["Coadd", "AssociateList"]


def test_the_tree_reaches_the_raw_frames_and_back(awe: Command, made_home: Path, ids: Any) -> None:
    (coadd,) = ids("Coadd")
    up = awe("--home", made_home, "tree", coadd)
    assert "RawScienceFrame" in up.out
    assert "5 RawBiasFrame" in up.out
    assert up.err.startswith("made from ")
    raw = ids("RawBiasFrame")[0]
    down = awe("--home", made_home, "tree", raw, "--down")
    assert f"Coadd {coadd}" in down.out
    assert len(awe("--home", made_home, "tree", coadd, "--depth", "1").out.splitlines()) == 7
    cut = awe("--home", made_home, "tree", coadd, "--lines", "3")
    assert (len(cut.out.splitlines()), "more: use --depth or --lines" in cut.err) == (3, True)
    graph = json.loads(awe("--home", made_home, "tree", coadd, "--json").out)
    assert graph["root"] == coadd


def test_each_object_of_a_tree_is_unfolded_once(awe: Command, made_home: Path, ids: Any) -> None:
    lines = awe("--home", made_home, "tree", ids("Coadd")[0]).out.splitlines()
    for number in ids("BiasFrame"):
        shown = [line for line in lines if f"BiasFrame {number} " in line]
        assert [line.endswith("(above)") for line in shown] == [False, *[True] * (len(shown) - 1)]


def test_why_not_names_the_failed_condition(awe: Command, made_home: Path, ids: Any) -> None:
    result = awe("--home", made_home, "why-not", ids("BiasFrame")[0], ids("RawScienceFrame")[1])
    other = awe("--home", made_home, "why-not", ids("BiasFrame")[1], ids("RawScienceFrame")[1])
    said = result.out + other.out
    assert "is chosen for" in said
    assert "its chip is" in said


def test_processes_say_what_they_made(awe: Command, made_home: Path) -> None:
    found = {p["product_class"]: p for p in json.loads(awe("--home", made_home, "processes", "--json").out)}
    assert found["ReducedFrame"]["made"] == 6
    assert found["DarkFrame"]["made"] == 0
    assert found["BiasFrame"]["parameters"][0]["name"] == "overscan"
    assert "make_coadd" in awe("--home", made_home, "processes").out


def test_jobs_are_listed_newest_first(awe: Command, made_home: Path) -> None:
    result = awe("--home", made_home, "jobs", "--limit", "3")
    assert len(result.out.splitlines()) == 4
    assert "AssociateList" in result.out.splitlines()[1]
    assert "shown: --limit 0 shows all" in result.err
    assert awe("--home", made_home, "jobs", "--failed").out == "no job has failed\n"
    assert json.loads(awe("--home", made_home, "jobs", "--json", "--limit", "1").out)["truncated"] is True


def test_every_class_is_listed_and_described(awe: Command) -> None:
    listed = awe("classes").out
    for cls in concrete_classes():
        assert cls.__name__ in listed
        described = awe("describe", cls.__name__)
        assert (described.code, described.out.startswith(cls.__name__)) == (0, True)
    found = json.loads(awe("describe", "BiasFrame", "--json").out)
    assert found["key"] == ["chip", "valid_from", "valid_to"]


def test_what_is_shown_can_be_cut_off_by_a_pipe(made_home: Path) -> None:
    process = start(made_home, "find", "RawFrame", "--limit", "0")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(60)
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
