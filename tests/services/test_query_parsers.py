"""Whatever is typed into a field of a query gives rows, or an error that says what is wrong; never a failure."""

import json
from contextlib import suppress
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Enum

from awe import model
from awe.errors import BadRequest
from awe.model.filters import filter_condition
from awe.model.sky_search import is_placed
from awe.services.column_conditions import OPERATORS, box_filter, split_box
from awe.services.columns import column_at, names_of
from awe.services.query_form import sky_condition
from awe.services.ranges import numbers
from awe.services.search import position_and_radius

many = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

PATHS = [
    *("exptime", "object", "date_obs", "night", "filter", "filter.name", "chip", "ra", "dec", "is_valid", "airmass"),
    *("quality_flags", "class_name", "observation.exptime", "chip.instrument.telescope.name", "wcs", "footprint"),
    *("parameters.x", "nothing", "filter.nothing", "object.name", "cells", "external"),
]
ODD = ["NaN", "nan", "inf", "-inf", "1e400", "1:10^9", "9:1", "1:1000000000", "<script>", "'; drop table frame --"]
ODD += [
    "{{7*7}}",
    "..",
    "..\\..",
    "%",
    "_",
    "*",
    "?",
    '"',
    "''",
    "\\",
    "None",
    "null",
    "true",
    "2026-13-45",
    "10:61:00",
]
ODD += [
    "10:61:00",
    "-0",
    "1_000",
    "٣",
    "\u202e",
    "1..5",
    "5..1",
    "..",
    "a..b",
    "[1, 2",
    "1,",
    ":",
    "1:",
    "2026-01-27",
    "12:00",
]
LITERALS = ["1", "-1.5", "1e308", "10**9", "'a'", '"M*"', "None", "true", "[1, 2]", "['a']", "[]", "[None]", "(1,)"]
LITERALS += [
    "'2026-01-27'",
    "'yesterday'",
    "'10:10:24'",
    "9" * 30,
    "exptime",
    "object",
    "1:6",
    "'1:6,20'",
    "'9:1'",
    "{}",
]

value = st.one_of(st.sampled_from(ODD), st.floats().map(str), st.integers().map(str), st.text(max_size=20))
path = st.sampled_from(PATHS)
comparison = st.builds(
    "{} {} {}".format,
    path,
    st.sampled_from([*OPERATORS, "==", "<>", "is", "is not"]),
    st.one_of(st.sampled_from(LITERALS), value.map(repr), st.sampled_from(["1 and 5", "'a' and 'b'", "1", "and"])),
)
call = st.builds(
    "{}({})".format,
    st.sampled_from(["cone", "box", "filter.cone", "frame.box", "object.like", "exptime.between", "quality_flags.has"]),
    st.lists(st.sampled_from([*LITERALS, "152.6", "-1.0", "0.1", "91", "'5 arcmin'", "'nan'"]), max_size=4).map(
        ", ".join
    ),
)
condition = st.recursive(
    st.one_of(comparison, call),
    lambda inner: st.one_of(
        st.builds("({}) and {}".format, inner, inner),
        st.builds("{} or not {}".format, inner, inner),
        st.builds("({}) & ({})".format, inner, inner),
    ),
    max_leaves=4,
)


def answered(client: FlaskClient, address: str, **given: str) -> int:
    """Return the status of an answer, which is no failure, and says what is wrong if something is."""
    answer = client.get(address, query_string=given, headers={"Accept": "application/json"})
    assert answer.status_code in (200, 302, 400, 404), (given, answer.text)
    if answer.status_code >= 400:
        said = json.loads(answer.data)["error"]
        assert said
        assert "Traceback" not in said
        assert len(said) < 2000
    return answer.status_code


@many
@given(text=st.one_of(condition, condition, st.text(max_size=60)))
def test_any_condition_gives_rows_or_is_refused(client: FlaskClient, text: str) -> None:
    answered(client, "/table/RawFrame.json", where=text, size="2")


@many
@given(text=st.one_of(condition, st.text(max_size=60)))
def test_what_a_condition_lacks_is_found_before_the_database_is_asked(text: str) -> None:
    for cls in (model.Coadd, model.ReducedFrame, model.GridTarget):
        with suppress(BadRequest):
            filter_condition(cls, text)


@many
@given(path=path, operator=st.sampled_from(["", *OPERATORS]), text=value)
def test_any_text_in_the_box_of_a_column_gives_rows_or_is_refused(
    client: FlaskClient, path: str, operator: str, text: str
) -> None:
    status = answered(client, "/table/RawFrame", **{f"op.{path}": operator, f"q.{path}": text, "size": "2"})

    assert status in (200, 302, 400)
    answered(client, "/table/RawFrame.json", **{f"q.{path}": f"{operator} {text}"}, size="2")


@many
@given(
    name=st.sampled_from(["sort", "columns", "size", "after", "before", "count", "facets", "project"]),
    text=st.one_of(value, st.sampled_from(PATHS), st.sampled_from(["[1]", "[null]", "[1,2]", '["a",1]', "end"])),
)
def test_any_text_in_another_parameter_is_understood_or_refused(client: FlaskClient, name: str, text: str) -> None:
    answered(client, "/table/RawFrame.json", **{name: text})


@many
@given(
    name=st.sampled_from(["unfold", "open", "close", "near", "within", "show", "where"]),
    text=st.one_of(value, st.sampled_from(PATHS), condition),
)
def test_any_text_in_the_query_form_is_understood_or_refused(client: FlaskClient, name: str, text: str) -> None:
    given_too = {"near": "152.6 -1.0"} if name == "within" else {}
    answered(client, "/query/RawScienceFrame", **{name: text}, **given_too)


@many
@given(text=st.one_of(value, st.sampled_from(PATHS)))
def test_any_text_is_searched_for(client: FlaskClient, text: str) -> None:
    answered(client, "/find", q=text)


@many
@given(text=st.one_of(value, st.text(alphabet="0123456789:+-. hmsd'\",", max_size=40)))
def test_any_text_is_a_position_with_a_radius_or_refused(text: str) -> None:
    try:
        ra, dec, radius = position_and_radius(text)
    except ValueError:
        return
    assert 0 <= ra <= 360
    assert -90 <= dec <= 90
    assert 0 <= radius <= 20


@many
@given(near=value, within=value)
def test_a_region_that_the_form_writes_is_read_or_refused(near: str, within: str) -> None:
    text = sky_condition(model.Coadd, near, within)
    with suppress(BadRequest):
        _ = filter_condition(model.Coadd, text) if text else None


@many
@given(text=st.one_of(value, st.text(alphabet="0123456789:,- ", max_size=40)))
def test_any_text_is_numbers_of_sources_or_refused(text: str) -> None:
    try:
        found = numbers(text, most=1000)
    except BadRequest:
        return
    assert list(found) == sorted(set(found))
    assert all(0 <= number < 2**31 for number in found)


@pytest.mark.parametrize("cls", [model.RawScienceFrame, model.Coadd, model.SourceList, model.GridTarget])
def test_every_operator_of_every_attribute_is_a_condition_or_refused(cls: Any) -> None:
    texts = {"number": "1", "text": "a", "time": "2026-01-27T04:00", "date": "2026-01-27", "truth": "true"}
    for name in names_of(cls):
        column = column_at(cls, name)
        if not column.is_link and isinstance(column.end.columns[0].type, Enum):
            texts["text"] = column.end.columns[0].type.enums[0]
        for operator in OPERATORS:
            plain = texts.get(column.kind, "1")
            text = {"between": f"{plain} and {plain}", "in": f"{plain}, {plain}"}.get(operator.split()[-1], plain)
            written = f"{operator} {'' if operator.startswith('is') else text}".strip()
            try:
                filter_condition(cls, box_filter(cls, name, written))
            except BadRequest:
                odd = column.kind in ("json", "link", "list", "truth") or operator.endswith("like")
                assert odd, (name, operator)


def test_a_box_is_split_as_it_was_joined() -> None:
    for operator in OPERATORS:
        found = split_box(f"{operator} 5" if not operator.startswith("is") else operator)
        assert found == (operator, "" if operator.startswith("is") else "5")


def test_only_what_has_a_place_can_be_searched_around() -> None:
    assert [is_placed(c) for c in (model.Coadd, model.GridTarget, model.Chip)] == [True, True, False]
