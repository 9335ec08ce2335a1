"""Values as people read them."""

from datetime import date, datetime

import pytest

from awe.services.declared import Field
from awe.services.formatting import ago, bytes_shown, plural, sexagesimal, shown, uncertainty


def a_field(unit: str) -> Field:
    return Field("x", "number", "measured", "", unit, object)


@pytest.mark.parametrize(
    ("value", "unit", "error", "text"),
    [
        (25.4, "mag", None, "25.400"),
        (25.41234, "mag", 0.0312, "25.412"),
        (25.41234, "mag", 2.0, "25.4"),
        (152.6, "deg", None, "152.600000"),
        (481.25, "adu", None, "481.25"),
        (0.00012345678, "adu", None, "0.000123457"),
        (float("nan"), "adu", None, "nan"),
        (3, "", None, "3"),
        (True, "", None, "yes"),
        (None, "mag", None, "–"),
        ("", "", None, "–"),
        (datetime(2026, 1, 31, 4, 5, 6, 789), "", None, "2026-01-31 04:05:06"),
        (date(2026, 1, 31), "", None, "2026-01-31"),
    ],
)
def test_a_value_has_the_digits_it_deserves(value: object, unit: str, error: float | None, text: str) -> None:
    assert shown(value, a_field(unit), error) == text


def test_small_words() -> None:
    assert [bytes_shown(n) for n in (0, 999, 2_165_760, 83e9, 1e12)] == [
        "0 byte",
        "999 byte",
        "2.2 MB",
        "83.0 GB",
        "1.0 TB",
    ]
    assert [uncertainty(e) for e in (0.01234, 12.3, 0.0)] == ["0.012", "12", "0.0"]
    assert sexagesimal(152.5, -1.25) == "10 10 00.00 −01 15 00.0"
    assert sexagesimal(359.9999999, 89.9999999) == "00 00 00.00 +90 00 00.0"
    assert ago(datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 20)) == "just now"
    assert ago(datetime(2026, 1, 1), datetime(2026, 1, 3)) == "2 d ago"
    assert (plural(1, "frame"), plural(1200, "frame")) == ("1 frame", "1,200 frames")
