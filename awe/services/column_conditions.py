"""What is typed into the box above a column, as a condition on it."""

import operator
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from awe.errors import BadRequest
from awe.model.persistent import Persistent
from awe.model.queries import Query, attribute
from awe.services.declared import Field

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_BOX = re.compile(r"(<=|>=|!=|==|=|<|>)?\s*(.*)", re.DOTALL)


def box_condition(cls: type[Persistent], field: Field, text: str) -> Query:
    """Return the condition that the text in a box means: an operator and a value, a range `1..5`, or `*` and `?`."""
    if field.kind not in ("link", "json") and ".." in text:
        low, high = (_value(field, part.strip()) for part in text.split("..", 1))
        column = attribute(cls, field.name)
        return (column >= low) & (column <= high)  # type: ignore[no-any-return]
    match = _BOX.fullmatch(text)
    assert match is not None
    sign, value = match[1] or "=", match[2].strip()
    if not value:
        raise BadRequest(f"{field.name} {sign} what? the box of a column takes values such as >100, 1..5 or M*")
    if field.kind == "link":
        return _linked(cls, field, sign, value)
    column = attribute(cls, field.name)
    if field.kind == "text" and ("*" in value or "?" in value) and sign in ("=", "=="):
        return column.like(_pattern(value), escape="\\")  # type: ignore[no-any-return]
    return _OPERATORS[sign](column, _value(field, value))  # type: ignore[no-any-return]


def _linked(cls: type[Persistent], field: Field, sign: str, value: str) -> Query:
    """Return a condition on the name of what a link leads to, or on its number."""
    target: Any = attribute(cls, field.name)
    by_name = hasattr(field.target, "name") and not value.isdigit()
    if not by_name and not value.isdigit():
        raise BadRequest(f"{field.name} is compared with the number of an object, got {value[:60]!r}")
    path = target.name if by_name else target.object_id
    if by_name and ("*" in value or "?" in value) and sign in ("=", "=="):
        return path.like(_pattern(value), escape="\\")  # type: ignore[no-any-return]
    return _OPERATORS[sign](path, value if by_name else _number(field, value))  # type: ignore[no-any-return]


def _value(field: Field, text: str) -> Any:
    if field.kind == "number":
        return _number(field, text)
    if field.kind == "truth":
        return _truth(field, text)
    if field.kind in ("time", "date"):
        return _moment(field, text)
    if field.kind == "json":
        raise BadRequest(f"{field.name} is a structure and can't be compared")
    return text


def _number(field: Field, text: str) -> int | float:
    try:
        number = float(text)
    except ValueError as error:
        raise BadRequest(f"{field.name} is compared with a number, got {text[:60]!r}") from error
    if not abs(number) < 9e18:
        raise BadRequest(f"{field.name} is compared with a finite number below 9e18, got {text[:60]!r}")
    return int(number) if number.is_integer() else number


def _truth(field: Field, text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise BadRequest(f"{field.name} is true or false, got {text[:60]!r}")
    return known[text.lower()]


def _moment(field: Field, text: str) -> date | datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{field.name} is compared with a time such as 2026-01-31T04:05, got {text[:60]!r}") from error
    return moment.date() if field.kind == "date" else moment.replace(tzinfo=None)


def _pattern(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")
