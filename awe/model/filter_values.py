"""Values in a filter text, as the column they are compared with holds them."""

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Date, DateTime, Enum, Float, Integer, Numeric

from awe.model.angles import parse_dec, parse_ra

_KINDS: tuple[tuple[type, str], ...] = (
    (JSON, "structure"),
    (Boolean, "truth"),
    (DateTime, "time"),
    (Date, "date"),
    (Enum, "choice"),
    (Integer, "number"),
    (Float, "number"),
    (Numeric, "number"),
)


_ANGLES: dict[str, Callable[[str], float]] = {"pos.eq.ra": parse_ra, "pos.eq.dec": parse_dec}
"""What reads the text that a coordinate is compared with, by the first word of its UCD."""


def kind_of(column: Any) -> str:
    """Return what a column holds: number, text, truth, time, date, choice or structure."""
    kind = column.property.columns[0].type
    return next((name for known, name in _KINDS if isinstance(kind, known)), "text")


def converted(column: Any, value: Any) -> Any:
    """Return a literal as the column holds it; raise ValueError, with what is expected, if it can't be that."""
    kind = kind_of(column)
    if kind == "choice":
        return _choice(column, value)
    if kind in ("time", "date"):
        return _moment(column.key, kind, value)
    if kind == "structure":
        raise ValueError(f"{column.key} is a structure and can't be compared")
    if kind == "number" and isinstance(value, str) and (parse := _ANGLES.get(_ucd(column))):
        return parse(value)
    wanted: dict[str, tuple[type, ...]] = {"number": (int, float), "truth": (bool, int), "text": (str,)}
    if not isinstance(value, wanted[kind]) or (kind == "number" and isinstance(value, bool)):
        expected = {"number": "a number", "truth": "True or False", "text": "a text in quotes"}[kind]
        raise ValueError(f"{column.key} is compared with {expected}, got {value!r}")
    return bool(value) if kind == "truth" else value


def _ucd(column: Any) -> str:
    return str(column.property.columns[0].info.get("ucd", "")).partition(";")[0]


def _choice(column: Any, value: Any) -> enum.Enum:
    kind: type[enum.Enum] = column.property.columns[0].type.enum_class
    for member in kind:
        if value in (member.value, member.name):
            return member
    raise ValueError(f"{column.key} is one of {', '.join(repr(m.value) for m in kind)}, got {value!r}")


def _moment(name: str, kind: str, value: Any) -> date | datetime:
    example = "2026-01-31" if kind == "date" else "2026-01-31T04:05:06"
    expected = f'{name} is compared with a {kind} in quotes such as "{example}" (UTC), got {value!r}'
    if not isinstance(value, str):
        raise ValueError(expected)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(expected) from error
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.date() if kind == "date" else moment
