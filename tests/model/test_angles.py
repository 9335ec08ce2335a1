"""Positions, sizes and ranges as people write them."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awe.model.angles import parse_dec, parse_position, parse_ra, parse_size
from awe.model.ranges import count_of, parse_ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("152.6 -1.0", (152.6, -1.0)),
        ("152.6, -1.0", (152.6, -1.0)),
        ("152.6-1.0", (152.6, -1.0)),
        ("1.526e2 -1", (152.6, -1.0)),
        ("10:10:24 -01:00:36", (152.6, -1.01)),
        ("10 10 24 -01 00 36", (152.6, -1.01)),
        ("10h10m24s −1d00m36s", (152.6, -1.01)),
        ("10:10:24.00 +01:00:36.0", (152.6, 1.01)),
        ("10 10 24 01 00 36", (152.6, 1.01)),
        ("10:10 -00:30", (152.5, -0.5)),
        ("0 0", (0.0, 0.0)),
    ],
)
def test_a_position_is_read(text: str, expected: tuple[float, float]) -> None:
    assert parse_position(text) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "152.6", "M67", "10:61:00 1", "400 1", "1 91", "nan nan", "1 2 3", "1,2,3", "²  1"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is like|lies from|lie below|is finite"):
        parse_position(text)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("0.5", 0.5), ("30 arcmin", 0.5), ("30'", 0.5), ('1800"', 0.5), ("1e-3deg", 0.001), (".5", 0.5)],
)
def test_a_size_is_read(text: str, degrees: float) -> None:
    assert parse_size(text) == pytest.approx(degrees)


@given(st.text(max_size=80))
def test_any_text_is_a_finite_angle_or_refused(text: str) -> None:
    for parse in (parse_ra, parse_dec, parse_size):
        with contextlib.suppress(ValueError):
            assert math.isfinite(parse(text))


@given(st.integers(0, 359), st.integers(0, 59), st.floats(0, 59.99), st.sampled_from(["+", "-"]), st.integers(0, 89))
def test_parts_of_an_angle_add_up(hours: int, minutes: int, seconds: float, sign: str, degrees: int) -> None:
    hours %= 24
    ra, dec = parse_position(f"{hours:02d}:{minutes:02d}:{seconds:.6f} {sign}{degrees:02d}:{minutes:02d}:{seconds:.6f}")

    assert ra == pytest.approx(15 * (hours + minutes / 60 + seconds / 3600), abs=1e-5)
    assert dec == pytest.approx(float(f"{sign}1") * (degrees + minutes / 60 + seconds / 3600), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("1:6", [(1, 6)]), ("1,2,5", [(1, 1), (2, 2), (5, 5)]), ("1:5,20,31:34", [(1, 5), (20, 20), (31, 34)])],
)
def test_the_ranges_of_the_original_are_read(text: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_ranges(text) == ranges


def test_a_huge_range_is_counted_without_listing_it() -> None:
    assert count_of(parse_ranges("1:1000000000")) == 10**9


@given(st.text(alphabet="0123456789:,-. x", max_size=40))
def test_any_text_is_ranges_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(first <= last for first, last in parse_ranges(text))
