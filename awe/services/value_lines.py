"""The values of an object line by line: what holds several, such as the cards of a coordinate system, is flattened."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from awe.services.declared import Field


class Held(Protocol):
    """A value with its field, as objects and nodes of trees hold it."""

    @property
    def field(self) -> Field:
        """What the value is."""

    @property
    def value(self) -> Any:
        """The value."""

    @property
    def error(self) -> Any:
        """Its error, if there is one."""


@dataclass(frozen=True)
class ValueLine:
    """One line: what it is called, and a value of a field or a part of one."""

    label: str
    field: Field
    value: Any
    error: Any = None


def value_lines(values: Iterable[Held]) -> Iterator[ValueLine]:
    """Yield the lines of values: `wcs.CRVAL1` for each card, but not the columns that hold the same card again."""
    held = list(values)
    cards = {key for v in held if isinstance(v.value, dict) for key in v.value}
    for v in held:
        if isinstance(v.value, dict):
            yield from (ValueLine(f"{v.field.label}.{key}", v.field, _whole(part)) for key, part in v.value.items())
        elif v.field.name.upper() not in cards:
            yield ValueLine(v.field.label, v.field, v.value, v.error)


def _whole(part: Any) -> Any:
    """Return a number with the digits that a position on the sky needs; of a group, its plain values."""
    if isinstance(part, dict):
        return ", ".join(
            f"{key} {_short(value)}" for key, value in part.items() if isinstance(value, int | float | str)
        )
    return f"{part:.10g}" if isinstance(part, float) else part


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
