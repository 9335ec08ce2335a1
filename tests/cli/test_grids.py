"""awe grid: targets are laid out, listed and refused; coadds on them are made."""

import json
from pathlib import Path

import pytest

from .conftest import Command


def test_a_grid_is_laid_out_around_the_exposures_of_a_target_and_listed(awe: Command, raw_home: Path) -> None:
    added = awe("--home", raw_home, "grid", "add", "SIM-A galactic", "--object", "SIM-A", "--projection", "ZEA",
                "--system", "galactic")  # fmt: skip
    assert added.code == 0, added.err
    assert added.out.startswith("added ")

    (found,) = json.loads(awe("--home", raw_home, "grid", "list", "--json").out)
    told = found["values"]
    assert (told["name"], told["object"], told["wcs"]["CTYPE1"]) == ("SIM-A galactic", "SIM-A", "GLON-ZEA")
    listed = awe("--home", raw_home, "grid", "list").out
    assert f"{told['naxis1']} x {told['naxis2']}" in listed
    assert f"{told['naxis1']} x {told['naxis2']} pixels" in added.out


def test_what_is_given_is_taken(awe: Command, raw_home: Path) -> None:
    words = ("--centre", "150.1,2.2", "--scale", "0.5", "--size", "300,200", "--projection", "CAR")
    assert awe("--home", raw_home, "grid", "add", "field", *words).code == 0

    (found,) = json.loads(awe("--home", raw_home, "grid", "list", "--json").out)
    told = found["values"]
    assert (told["naxis1"], told["naxis2"], told["pixel_scale"]) == (300, 200, 0.5)
    assert (told["ra"], told["dec"]) == pytest.approx((150.1, 2.2), abs=1e-6)


def test_without_grids_the_list_says_how_to_add_one(awe: Command, raw_home: Path) -> None:
    assert "no grid target yet: awe grid add" in awe("--home", raw_home, "grid", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--object", "NOWHERE"), "there is no valid science exposure of 'NOWHERE'"),
        (("x", "--centre", "150.1,2.2", "--scale", "0.2", "--size", "1000000,1000000"), "9,000 GB"),
        (("x",), "needs centre, scale and size"),
        (("x", "--centre", "150.1"), "two numbers such as 150.1,2.2"),
        (("x", "--object", "SIM-A", "--projection", "XYZ"), "no grid can be laid out in the projection 'XYZ'"),
    ],
)
def test_what_can_not_be_laid_out_is_refused_and_nothing_is_stored(
    awe: Command, raw_home: Path, words: tuple[str, ...], said: str
) -> None:
    refused = awe("--home", raw_home, "grid", "add", *words)

    assert refused.code != 0
    assert said in refused.err
    assert json.loads(awe("--home", raw_home, "grid", "list", "--json").out) == []


def test_a_name_is_taken_once(awe: Command, raw_home: Path) -> None:
    words = ("--home", raw_home, "grid", "add", "g", "--object", "SIM-A")
    assert awe(*words).code == 0

    again = awe(*words)
    assert again.code != 0
    assert "there is a grid target 'g' already" in again.err
