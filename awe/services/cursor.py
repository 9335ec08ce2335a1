"""Places in a sorted table: the rows after one, or before one, are found by what they hold, not by counting."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import REAL, ColumnElement, and_, cast, false, or_

from awe.errors import BadRequest

END = "end"
_LONGEST = 1000
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Term:
    """One column that a table is sorted by."""

    element: Any
    datatype: str
    descending: bool = False
    nullable: bool = True

    def ordered(self, backwards: bool) -> Any:
        """Return how to sort by it; what has no value comes last, or first if the table is read backwards."""
        found = self.element.desc() if self.descending != backwards else self.element.asc()
        if not self.nullable:
            return found
        return found.nulls_first() if backwards else found.nulls_last()

    def beyond(self, value: Any, backwards: bool) -> ColumnElement[bool]:
        """Return the condition that a row comes after those with a value, in the direction of reading."""
        if value is None:
            return self.element.isnot(None) if backwards else false()
        value = cast(value, REAL) if self.datatype == "float" else value  # else 0.1 is not the 0.1 of four bytes
        found = self.element < value if self.descending != backwards else self.element > value
        return or_(found, self.element.is_(None)) if self.nullable and not backwards else found

    def at(self, value: Any) -> ColumnElement[bool]:
        """Return the condition that a row has a value."""
        if value is None:
            return self.element.is_(None)  # type: ignore[no-any-return]
        return self.element == (cast(value, REAL) if self.datatype == "float" else value)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Cursor:
    """The row that a page begins after, or ends before; without values, the beginning or the end of the table."""

    values: tuple[Any, ...] = ()
    backwards: bool = False

    def condition(self, terms: list[Term]) -> ColumnElement[bool] | None:
        """Return the condition that a row lies beyond; None at the beginning or the end."""
        if not self.values:
            return None
        found: ColumnElement[bool] = false()
        for term, value in reversed(list(zip(terms, self.values, strict=True))):
            found = or_(term.beyond(value, self.backwards), and_(term.at(value), found))
        return found


def cursor_text(values: Any) -> str:
    """Return the place of a row, by its values of what the table is sorted by, as an address holds it."""
    return json.dumps([_plain(value) for value in values], ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return getattr(value, "value", value)


def read_cursor(after: str, before: str, terms: list[Term]) -> Cursor:
    """Return the place that the parameters `after` and `before` state; raise BadRequest if they state none."""
    if after and before:
        raise BadRequest("a page lies after a row or before one: give `after` or `before`, not both")
    if before == END:
        return Cursor(backwards=True)
    text = after or before
    return Cursor(_values(text, terms) if text else (), bool(before))


def _values(text: str, terms: list[Term]) -> tuple[Any, ...]:
    refusal = BadRequest(f"{text[:60]!r} is no place in this table: follow its links to the next and previous page")
    if len(text) > _LONGEST:
        raise refusal
    try:
        found = json.loads(text)
        if not isinstance(found, list) or len(found) != len(terms):
            raise refusal
        return tuple(_value(term, value) for term, value in zip(terms, found, strict=True))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise refusal from error


def _value(term: Term, value: Any) -> Any:
    if value is None and term.nullable:
        return None
    kind, read = _READERS[term.datatype]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r} is no {term.datatype}")
    return read(value)


def _whole(value: int) -> int:
    if abs(value) > _LARGEST:
        raise ValueError(f"{value} is too large")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def _storable(value: str) -> str:
    value.encode()  # no text in the database has half a character
    if "\0" in value:
        raise ValueError("no text in the database has a null character")
    return value


_READERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "int": (int, _whole),
    "long": (int, _whole),
    "float": (int | float, _finite),
    "double": (int | float, _finite),
    "boolean": (bool, bool),
    "time": (str, lambda text: datetime.fromisoformat(text).replace(tzinfo=None)),
    "date": (str, date.fromisoformat),
    "text": (str, _storable),
}
