"""Descriptions: all that is known of an object, as text, as HTML and as JSON."""

import json
from typing import Any

import pytest
from sqlalchemy.orm import Session

from awe import model
from awe.model.description import as_dict, as_html, as_text, flag_names, pages
from awe.model.persistent import QualityFlag
from awe.model.values import shown


@pytest.fixture
def reduced(archive: Any) -> Any:
    bias = archive.bias(read_noise=5.5)
    bias.read_noise.error = 0.021
    reduced = archive.reduced(archive.science(exptime=120.0), bias)
    reduced.background, reduced.object = 712.34567, "M67 <b>"
    reduced.flag(QualityFlag.FEW_INPUTS)
    return reduced


def test_a_text_names_values_with_units_parameters_and_inputs(reduced: Any) -> None:
    lines = [line.split() for line in as_text(reduced).splitlines()]
    assert [
        "exptime",
        "120.00",
        "s",
        "exposure",
        "time;",
        "of",
        "coadds,",
        "the",
        "longest",
        "on",
        "a",
        "pixel",
    ] in lines
    assert ["background", "712.35", "adu", "median", "sky", "level"] in lines
    assert ["overscan", "per_row", "how", "the", "overscan", "level", "is", "removed"] in lines
    assert ["bias", "BiasFrame", str(reduced.bias_id), "ccd50", "master", "bias", "of", "the", "chip"] in lines
    assert next(line for line in lines if line[:1] == ["quality_flags"])[1:3] == ["few", "inputs"]


def test_a_value_has_as_many_digits_as_its_error_deserves(reduced: Any) -> None:
    assert "5.500 ± 0.021 adu" in as_text(reduced.read_noise)


def test_members_say_whether_they_were_used(archive: Any) -> None:
    coadd = archive.coadd([archive.reduced(archive.science(h)) for h in (10, 11)])
    row = coadd.regridded_frames_members[1]
    row.used, row.reason = False, "seeing 3.1 arcsec"
    assert "left out: seeing 3.1 arcsec" in as_text(coadd)
    assert [m["used"] for m in as_dict(coadd)["inputs"]["regridded_frames"]] == [True, False]


def test_a_dictionary_is_json_and_names_links_by_number(reduced: Any) -> None:
    reduced.sigma = float("nan")
    found = json.loads(json.dumps(as_dict(reduced), allow_nan=False))
    assert found["class"] == "ReducedFrame"
    assert found["values"]["sigma"] is None
    assert found["units"]["exptime"] == "s"
    assert found["parameters"] == {"overscan": "per_row", "maximum_bad": 0.5}
    assert found["inputs"]["bias"] == [{"object_id": reduced.bias_id, "class": "BiasFrame", "label": str(reduced.bias)}]
    assert found["links"]["filter"]["object_id"] == reduced.filter_id


def test_html_is_escaped_and_links_to_the_pages_if_they_are_known(reduced: Any) -> None:
    assert "M67 &lt;b&gt;" in as_html(reduced)
    assert "<a " not in as_html(reduced)
    token = pages.set("http://127.0.0.1:8000")
    assert f'<a href="http://127.0.0.1:8000/object/{reduced.bias_id}">' in reduced._repr_html_()
    pages.reset(token)


def test_every_kind_of_object_can_be_described(archive: Any, session: Session) -> None:
    coadd = archive.coadd([archive.reduced(archive.science(), archive.bias())])
    for thing in (archive.camera, archive.chip, archive.g, coadd, coadd.grid_target, coadd.regridded_frames[0]):
        assert str(thing.object_id) in as_text(thing)
        assert as_html(thing).startswith("<table>")
        assert as_dict(thing)["object_id"] == thing.object_id


def test_unknown_flag_bits_are_told() -> None:
    assert flag_names(int(QualityFlag.NO_SOURCES) | 1 << 20) == "no sources, unknown bits 1048576"


@pytest.mark.parametrize(
    ("value", "unit", "error", "expected"),
    [
        (None, "", None, "-"),
        ("", "", None, "-"),
        (True, "", None, "yes"),
        (3, "", None, "3"),
        (150.1, "deg", None, "150.100000"),
        (22.88, "mag", None, "22.880"),
        (0.00012, "adu", None, "0.00012"),
        (float("nan"), "adu", None, "nan"),
        (11.4321, "adu", 0.0345, "11.432"),
        (11.4321, "adu", 0.0, "11.43"),
        ([1, 2], "", None, "[1, 2]"),
        (list(range(40)), "", None, "40 entries"),
        (model.BiasFrame.Parameters().combine, "", None, "clipped"),
    ],
)
def test_values_are_shown_as(value: Any, unit: str, error: Any, expected: str) -> None:
    assert shown(value, unit, error) == expected
