"""Numbers written as ranges: `1:6,20` is 1 to 6 and 20."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_

MOST = 1000
"""Ranges in one text."""
LARGEST = 2**63 - 1

Range = tuple[int, int]


def parse_ranges(text: str) -> list[Range]:
    """Return (first, last) of each range, both included, as they are written; raise ValueError with what is wrong.

    >>> parse_ranges("1:5,20,31:34")
    [(1, 5), (20, 20), (31, 34)]
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST:
        raise ValueError(f"there are {len(parts)} ranges: at most {MOST} are read")
    return [_range(part) for part in parts]


def _range(text: str) -> Range:
    first, colon, last = (part.strip() for part in text.partition(":"))
    low = _number(first, text)
    high = _number(last, text) if colon else low
    if high < low:
        raise ValueError(f"a range goes from the smaller to the larger number, got {text[:40]!r}")
    return low, high


def _number(text: str, whole: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) <= LARGEST):
        raise ValueError(f"ranges are whole numbers such as 1:6,20, got {whole[:40]!r}")
    return int(text)


def count_of(ranges: Sequence[Range]) -> int:
    """Return how many numbers there are in ranges, without listing them."""
    return sum(last - first + 1 for first, last in ranges)


def lies_in(column: Any, ranges: Sequence[Range]) -> ColumnElement[bool]:
    """Return the condition that a column of numbers lies in one of the ranges."""
    single = [first for first, last in ranges if first == last]
    conditions = [column.between(first, last) for first, last in ranges if first != last]
    return or_(*conditions, *([column.in_(single)] if single else []))
