"""Numbers of sources as people write them: `1:6`, `1,2,5`, `1:5,20,31:34`; counted out, but never too many.

The syntax is that of `awe.model.ranges`, which queries use; here the numbers count from 0, and each is wanted once.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement

from awe.errors import BadRequest
from awe.model.ranges import Range, count_of, lies_in
from awe.model.ranges import parse_ranges as parse

LARGEST = 2**31 - 1
"""Largest number of a source."""
LONGEST_TEXT = 2000
_SHOWN = 40


def parse_ranges(text: str, name: str = "the numbers") -> tuple[Range, ...]:
    """Return the ranges that a text states: in order, without overlap, neighbours joined; both ends are included.

    Raises BadRequest, with the name of the parameter and the part that is wrong: empty or negative parts, reversed
    ranges, numbers beyond `LARGEST`, text beyond `LONGEST_TEXT`.
    """
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"{name}: {len(text):,} characters, the limit is {LONGEST_TEXT:,}")
    try:
        found = parse(text)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}") from error
    for low, high in found:
        if low < 0:
            raise BadRequest(f"{name}: {low} is negative; numbers begin at 0")
        if high > LARGEST:
            raise BadRequest(f"{name}: {high} is too large; the largest number is {LARGEST:,}")
    return _joined(found)


def numbers(text: str, most: int, name: str = "the numbers") -> tuple[int, ...]:
    """Return each number that a text states, once, in order; refuse more than `most` before counting them out.

    >>> numbers("1:5,20,31:34", most=100)
    (1, 2, 3, 4, 5, 20, 31, 32, 33, 34)
    """
    found = parse_ranges(text, name)
    if count_of(found) > most:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise BadRequest(f"{name}: {shown} means {count_of(found):,} numbers, the limit is {most:,}; ask for fewer")
    return tuple(number for low, high in found for number in range(low, high + 1))


def ranges_text(values: Iterable[int]) -> str:
    """Return the shortest text that states some numbers.

    >>> ranges_text([34, 1, 2, 3, 33])
    '1:3,33:34'
    """
    joined = _joined((v, v) for v in values)
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in joined)


def among(column: Any, text: str, name: str = "the numbers") -> ColumnElement[bool]:
    """Return the SQL condition that a column holds one of the numbers that a text states."""
    return lies_in(column, parse_ranges(text, name))


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)
