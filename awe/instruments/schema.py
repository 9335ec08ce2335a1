"""Reading of TOML tables into dataclasses whose fields say what each key means; the documentation is made from them."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from awe.errors import BadRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Where:
    """A place in an instrument file, for error messages."""

    file: str
    path: str = ""

    def __truediv__(self, name: str | int) -> "Where":
        step = f"[{name + 1}]" if isinstance(name, int) else f".{name}"
        return Where(self.file, (self.path + step).lstrip("."))

    def __str__(self) -> str:
        return f"{self.file}: {self.path or 'top level'}"

    def refuse(self, expectation: str, found: Any) -> NoReturn:
        """Raise the error that names file, table, key, expectation and what was found."""
        raise BadRequest(f"{self}: expected {expectation}, found {found!r}")


Convert = Callable[[Any, Where], Any]


def key(doc: str, kind: str, convert: Convert, default: Any = MISSING) -> Any:
    """Declare a key of a TOML table: what it means, what kind of value it takes, and how that is read."""
    return field(default=default, metadata={"doc": doc, "kind": kind, "convert": convert})


def read_table(cls: type[T], table: Any, where: Where) -> T:
    """Return the dataclass that a TOML table describes.

    Raises
    ------
    BadRequest
        Names file, table and key of what is unknown, missing or of the wrong kind.
    """
    if not isinstance(table, Mapping):
        where.refuse("a table", table)
    known: dict[str, Field[Any]] = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadRequest(f"{where}: no key {name!r} here; {hint}The keys are {', '.join(known)}")
    values = {name: _value(f, table, where) for name, f in known.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise BadRequest(f"{where}: {error}") from error


def _value(declared: Field[Any], table: Mapping[str, Any], where: Where) -> Any:
    if declared.name in table:
        return declared.metadata["convert"](table[declared.name], where / declared.name)
    if declared.default is MISSING:
        meant = f"{declared.metadata['kind']} ({declared.metadata['doc']})"
        raise BadRequest(f"{where}: key {declared.name!r} is missing; expected {meant}")
    return declared.default


def text(value: Any, where: Where) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        where.refuse("a text", value)
    return value


def number(value: Any, where: Where) -> float:
    """Read a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        where.refuse("a number", value)
    return float(value)


def switch(value: Any, where: Where) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        where.refuse("true or false", value)
    return value


def anything(value: Any, where: Where) -> Any:
    """Read any plain value: a text, a number, true or false."""
    if not isinstance(value, str | int | float | bool):
        where.refuse("a text, a number, true or false", value)
    return value


def one_of(*allowed: str) -> Convert:
    """Read one of some words."""

    def convert(value: Any, where: Where) -> str:
        if value not in allowed:
            where.refuse(f"one of {', '.join(repr(word) for word in allowed)}", value)
        return str(value)

    return convert


def one_or_more(convert: Convert) -> Convert:
    """Read one value, or a list of them, as a tuple."""

    def convert_all(value: Any, where: Where) -> tuple[Any, ...]:
        if not isinstance(value, list):
            return (convert(value, where),)
        if not value:
            where.refuse("a value or a list of values", value)
        return tuple(convert(item, where / i) for i, item in enumerate(value))

    return convert_all


def many(convert: Convert) -> Convert:
    """Read a list of values, which may be empty, as a tuple."""

    def convert_all(value: Any, where: Where) -> tuple[Any, ...]:
        if not isinstance(value, list):
            where.refuse("a list", value)
        return tuple(convert(item, where / i) for i, item in enumerate(value))

    return convert_all


def named(convert: Convert) -> Convert:
    """Read a table of any names as a tuple of (name, value), in the order of the file."""

    def convert_all(value: Any, where: Where) -> tuple[tuple[str, Any], ...]:
        if not isinstance(value, Mapping):
            where.refuse("a table", value)
        return tuple((name, convert(item, where / name)) for name, item in value.items())

    return convert_all


def table_of(cls: type[Any]) -> Convert:
    """Read a table by the keys that a dataclass declares."""
    return lambda value, where: read_table(cls, value, where)


def markdown_table(cls: type[Any]) -> str:
    """Return the keys of a table as a Markdown table: name, kind, default, meaning."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for f in fields(cls):
        default = "required" if f.default is MISSING else _spelled(f.default)
        rows.append(f"| `{f.name}` | {f.metadata['kind']} | {default} | {f.metadata['doc']} |")
    return "\n".join(rows)


def _spelled(default: Any) -> str:
    if default in (None, (), "") or is_dataclass(default):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
