"""Tables and JSON on standard output."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import click

from awe.model.description import plain
from awe.model.values import shown

_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?%?|-|nan|inf")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], indent: str = "") -> str:
    """Return rows in columns under their headers; columns of numbers are aligned to the right."""
    cells = [[value if isinstance(value, str) else shown(value) for value in row] for row in rows]
    lines = [list(headers), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    right = [bool(cells) and all(_NUMBER.fullmatch(line[i]) for line in cells) for i in range(len(headers))]
    return "\n".join(indent + _aligned(line, widths, right) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
    return "  ".join(parts).rstrip()


def print_json(value: Any) -> None:
    """Print a value as JSON; times as ISO text."""
    click.echo(json.dumps(value, indent=1, default=_jsonable, ensure_ascii=False, allow_nan=False))


def _jsonable(value: Any) -> Any:
    found = plain(value)
    return str(value) if found is value else found


def plural(count: int, noun: str) -> str:
    """Return a number with a noun.

    >>> plural(1, "file"), plural(1200, "file")
    ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def seconds_shown(seconds: float) -> str:
    """Return a duration as people read it.

    >>> seconds_shown(0.314), seconds_shown(75), seconds_shown(8000)
    ('0.3 s', '1 min 15 s', '2 h 13 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
