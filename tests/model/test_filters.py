"""Filters: text becomes a query that finds the right objects, and what is wrong with a text is said at its place."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from awe import model
from awe.errors import BadRequest
from awe.model.filters import parse_filter
from awe.model.persistent import QualityFlag


@pytest.fixture
def exposures(archive: Any, asking: Session) -> dict[str, Any]:
    """Three science exposures and a reduced frame of the first."""
    first = archive.science(12, object="M67", exptime=60.0)
    second = archive.science(13, object="M67", exptime=120.0, filter=archive.r)
    third = archive.science(14, object="Q1010%", exptime=300.0, chip=archive.other_chip, airmass=1.5)
    bias = archive.bias(read_noise=5.5)
    reduced = archive.reduced(first, bias)
    reduced.flag(QualityFlag.FEW_INPUTS)
    bare = archive.reduced(second)
    archive.session.flush()
    return {"a": first, "b": second, "c": third, "reduced": reduced, "bare": bare, "bias": bias}


def found(cls: type, text: str, exposures: dict[str, Any]) -> str:
    """Return the names of the objects that a filter finds."""
    numbers = {thing.object_id: name for name, thing in exposures.items()}
    return " ".join(sorted(numbers[o.object_id] for o in parse_filter(cls, text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exptime > 100", "b c"),
        ("100 < exptime", "b c"),
        ("60 <= exptime < 300", "a b"),
        ("exptime == 60.0", "a"),
        ("exptime != 60", "b c"),
        ("exptime in [60, 300]", "a c"),
        ("exptime not in (60, 300)", "b"),
        ("exptime.between(60, 120)", "a b"),
        ("exptime > -1", "a b c"),
        ('object == "M67" and filter.name == "r"', "b"),
        ('object == "M67" and (filter == "r" or exptime < 100)', "a b"),
        ('not object == "M67"', "c"),
        ('(object == "M67") & ~(exptime > 100) | (exptime == 300)', "a c"),
        ('object.like("M*")', "a b"),
        ('object.like("M6?")', "a b"),
        ('object.contains("%")', "c"),
        ('object.startswith("Q") or object.endswith("x")', "c"),
        ('filter in ["g"]', "a c"),
        ("airmass is None", "a b"),
        ("airmass is not None", "c"),
        ("airmass == none", "a b"),
        ('chip.instrument.name == "EFOSC2" and chip.name != "ccd50"', "c"),
        ('RawScienceFrame.chip.name == "ccd51"', "c"),
        ('night == "2026-01-27"', "a b c"),
        ('date_obs > "2026-01-28T05:00:00"', "b c"),
        ('date_obs < "2026-01-28T06:00:00+01:00"', "a"),
        ('"M67" == object', "a b"),
        ('class_name == "RawScienceFrame"', "a b c"),
        ('object\n  == "M67"', "a b"),
        ("exptime = 60", "a"),
        ("exptime <> 60", "b c"),
        ('object like "M*"', "a b"),
        ('object not like "M*"', "c"),
        ('object LIKE "m*"', ""),
        ('object like "Q%" AND exptime BETWEEN 100 and 400', "c"),
        ('object like "?67"', "a b"),
        ('object like "Q1010_"', ""),
        ("exptime between 60 and 120", "a b"),
        ("exptime not between 60 and 120", "c"),
        ("exptime between -1 and 60 or exptime = 300", "a c"),
        ('date_obs between "2026-01-28T05:00:00" and "2026-02-01"', "b c"),
        ("airmass is null", "a b"),
        ("airmass IS NOT NULL", "c"),
        ('filter like "g*" and not object = "M67"', "c"),
        ('chip.name not like "*51"', "a b"),
        ('exptime in "60:120"', "a b"),
        ('exptime not in "60,300"', "b"),
    ],
)
def test_raw_frames_are_found_by(text: str, expected: str, exposures: dict[str, Any]) -> None:
    assert found(model.RawScienceFrame, text, exposures) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bias.read_noise.value < 6", "reduced"),
        ("not bias.read_noise.value < 6", "bare"),
        ("bias is None", "bare"),
        ("bias is not None", "reduced"),
        ('raw.observation.object == "M67"', "bare reduced"),
        ('quality_flags.has("FEW_INPUTS")', "reduced"),
        ("quality_flags == 0", "bare"),
        ('parameters.overscan == "per_row"', "bare reduced"),
        ("parameters.maximum_bad < 0.1", ""),
        ("bias.raw_biases.exptime == 0", "reduced"),
    ],
)
def test_products_are_found_by(text: str, expected: str, exposures: dict[str, Any]) -> None:
    assert found(model.ReducedFrame, text, exposures) == expected


def test_links_to_one_and_to_many_are_compared_with_numbers(exposures: dict[str, Any]) -> None:
    bias, reduced = exposures["bias"], exposures["reduced"]
    assert found(model.ReducedFrame, f"bias == {bias.object_id}", exposures) == "reduced"
    assert found(model.ReducedFrame, f"raw in [{reduced.raw_id}, 999999]", exposures) == "reduced"
    used = bias.raw_biases[1].object_id
    assert found(model.BiasFrame, f"raw_biases.contains({used})", exposures) == "bias"
    assert found(model.BiasFrame, "raw_biases is None", exposures) == ""
    assert found(model.BiasFrame, "raw_biases is not None", exposures) == "bias"


def test_columns_of_the_class_are_compared_with_each_other(exposures: dict[str, Any]) -> None:
    exposures["bias"].valid_to = exposures["bias"].valid_from - timedelta(days=1)
    assert found(model.BiasFrame, "valid_to < valid_from", exposures) == "bias"


def test_a_truth_value_may_stand_alone(archive: Any, asking: Session) -> None:
    good = archive.add(model.ReferenceCatalogue, name="good", astrometric=True)
    archive.add(model.ReferenceCatalogue, name="coarse", astrometric=False)
    assert [c.object_id for c in parse_filter(model.ReferenceCatalogue, "astrometric")] == [good.object_id]
    assert len(parse_filter(model.ReferenceCatalogue, "astrometric == false")) == 1


REFUSED = [
    ("", "empty"),
    ("exptime + = 5", "position 11"),
    ("exptime > 5 & & object == 'x'", "position 15"),
    ("exptime like 5", "position 9"),
    ('object = "M67" and exptme like 5', "position 27"),
    ("exptime between 5", "position 9: write it like: exptime between 1 and 5"),
    ("exptime between 5 or 6", "position 9: write it like: exptime between 1 and 5"),
    ('exptime like "5*"', "compares a text"),
    ('object_id in "6:1"', "from the smaller to the larger number, got '6:1'"),
    ('object_id in "1:6,x"', "ranges are whole numbers such as 1:6,20, got 'x'"),
    ('object in "1:6"', "a list is compared by `in`"),
    ('ra > "25:00:00"', "a right ascension lies from 0 to 360"),
    ('dec > "-91"', "a declination lies from -90 to 90"),
    ("cone(1, 2)", "write it like cone(152.6, -1.0, 0.5)"),
    ("cone(1, 2, 21)", "the radius is at most 20 degrees, got 21"),
    ("cone(1, 95, 1)", "a declination lies"),
    ("cone(ra=1, dec=2, radius=3)", "expected a number"),
    ("box(1, 2, 3, 0)", "larger than 0"),
    ("box(1, 2, -3, 1)", "a size is like"),
    ("exptime.cone(1, 2, 3)", "has no place on the sky"),
    ("chip.cone(1, 2, 3)", "a Chip has no place on the sky"),
    ('object == "M67', "position 11: unterminated"),
    ("exptme > 5", "position 1: ReducedFrame has no attribute 'exptme'; near ones: exptime"),
    ('filter.nme == "g"', "Filter has no attribute 'nme'; near ones: name"),
    ("filter.name == g", 'position 16: g is no attribute; a text stands in quotes: "g"'),
    ("exptime = object", "exptime is a number, object a text: they can't be compared"),
    ('exptime > "a"', "position 11: exptime is compared with a number, got 'a'"),
    ("exptime == True", "compared with a number"),
    ("exptime", "must be compared"),
    ('night == "yesterday"', 'a date in quotes such as "2026-01-31"'),
    ("date_obs > 59000", "a time in quotes"),
    ("object > 5", "object is compared with a text in quotes, got 5"),
    ("exptime > 1e999", "too large"),
    (f"object_id == {10**30}", "too large"),
    ("exptime > 1 & naxis1 < 5", "brackets"),
    ("exptime + 1 > 5", "brackets"),
    ("footprint == 5", "structure"),
    ("exptime in 5", "a list is compared by `in`"),
    ("exptime == [1]", "a list is compared by `in`"),
    ("is_valid is 1", "`is` is for None only"),
    ("exptime > None", "neither larger nor smaller"),
    ('raw == "x"', "'x' is no RawScienceFrame"),
    ('"M" in object', "the other way round"),
    ("1 == 1", "needs an attribute"),
    ("exptime.name == 5", "exptime is a value, not a link"),
    ('parameters.overscan == "often"', "one of 'none', 'constant', 'per_row', got 'often'"),
    ("parameters.x == 1", "'parameters.x'; near ones: parameters.maximum_bad"),
    ('quality_flags.has("BAD")', "there are FEW_INPUTS"),
    ('exptime.has("FEW_INPUTS")', ".has() is for quality_flags"),
    ("exptime.between(1)", "between(1, 5)"),
    ("quality_flags.has([1, 2])", "no quality flag [1, 2]"),
    ("external > false", "true or false"),
    ("external between false and true", "write it like"),
    ("external.between(false, true)", "neither smaller nor larger"),
    ("object like 5", "with a text in quotes"),
    ('exptime.like("5*")', "compares a text"),
    ('object.upper() == "A"', "needs an attribute"),
    ('__import__("os").system("true")', "no such function"),
    ("object.__class__ == 5", "'__class__'"),
    ("metadata == 3", "'metadata'"),
    ("[x for x in exptime]", "no condition"),
    ("lambda: 1", "no condition"),
    ('f"{1}" == object', "expected a number"),
    ('object == "\x00"', "null bytes"),
    ("(" * 300 + "exptime", "nested"),
    ("not " * 400 + "exptime > 1", "nested"),
    ("exptime > 1 or " * 400 + "exptime > 1", "characters"),
    ("filter == 1.5", "1.5 is no Filter"),
    ("naxis1 > raw.naxis1", "only attributes of ReducedFrame itself"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_cannot_be_understood_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_filter(model.ReducedFrame, text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 1500


def test_nothing_in_a_text_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("builtins.print", lambda *_: called.append(1))
    for text in ("print(1) == exptime", "exptime == print(1)", "exptime > [print(1)][0]", "object == (print)(1)"):
        with pytest.raises(BadRequest):
            parse_filter(model.ReducedFrame, text)
    assert called == []
