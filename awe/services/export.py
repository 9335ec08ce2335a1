"""Whole tables as files: rows are read and written some at a time, so that memory does not grow with them."""

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from awe.services.columns import Column, named_column
from awe.services.table_request import TableRequest
from awe.services.table_rows import TableRows

MEDIA_TYPES = {
    "html": "text/html",
    "json": "application/json",
    "csv": "text/csv",
    "vot": "application/x-votable+xml",
    "fits": "application/fits",
}


@dataclass(frozen=True)
class Exported:
    """A table to be written: what it is, its columns, and a function that begins to read its rows anew."""

    title: str
    description: str
    query: str
    columns: tuple[Column, ...]
    rows: Callable[[], Iterator[list[tuple[Any, ...]]]]


def exported(session: Session, request: TableRequest, description: str) -> Exported:
    """Return the table of a request; links are given by name, or by number where what they lead to has none."""
    columns = tuple(_written(named_column(c)) for c in request.columns)
    table = TableRows(request, columns)

    def rows() -> Iterator[list[tuple[Any, ...]]]:
        for chunk in table.values(session):
            yield _cleaned(columns, chunk)

    query = request.filter or "all rows"
    return Exported(request.cls.__name__, description, query, columns, rows)


def _written(column: Column) -> Column:
    """Return the column as files have it: what is many in one cell is text."""
    if column.many or column.kind == "json":
        return replace(column, datatype="text", unit="", ucd="" if column.is_link else column.ucd)
    return column


def _cleaned(columns: Sequence[Column], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows with their values as files hold them: column by column, as most need nothing done."""
    if not rows:
        return []
    return list(
        zip(*(_cleaned_column(c, v) for c, v in zip(columns, zip(*rows, strict=True), strict=True)), strict=True)
    )


def _cleaned_column(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if not column.many and column.datatype in ("int", "long", "boolean"):
        return values
    if not column.many and column.datatype in ("float", "double"):
        return [v if v is None or math.isfinite(v) else None for v in values]
    return [file_value(column, v) for v in values]


def file_value(column: Column, value: Any) -> Any:
    """Return a value as files hold it: a number, a truth value, a text, or None."""
    if value is None or isinstance(value, bool | int | str):
        return value if not isinstance(value, enum.Enum) else value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list) and column.kind != "json":
        return " ".join("" if v is None else str(file_value(column, v)) for v in value) or None
    return compact_json(value)


def compact_json(value: Any) -> str:
    """Return a structure as one line of JSON."""
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
