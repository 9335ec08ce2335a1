"""Tables as JSON: what the table is, its columns, all its rows, and at the end their number."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.orm import Session

from awe.services.columns import Column
from awe.services.export import compact_json, file_value
from awe.services.summaries import Summary
from awe.services.table_request import TableRequest
from awe.services.table_rows import Row, TableRows, linked_objects


def json_parts(session: Session, request: TableRequest) -> Iterator[bytes]:
    """Yield the table with all its rows, some at a time; links as objects with number, class and label."""
    table, count = TableRows(request), 0
    yield f'{compact_json(json_head(request))[:-1]},"rows":[\n'.encode()
    for rows in table.chunks(session):
        linked = linked_objects(session, table.columns, rows)
        lines = [compact_json(json_row(table.columns, row, linked)) for row in rows]
        yield (",\n" * bool(count) + ",\n".join(lines)).encode()
        count += len(rows)
    yield f'\n],"total":{count}}}\n'.encode()


def json_head(request: TableRequest) -> dict[str, Any]:
    """Return what a table is, as JSON holds it."""
    columns = [{"name": c.path, "unit": c.unit, "ucd": c.ucd, "doc": c.doc, "kind": c.kind} for c in request.columns]
    return {
        "class": request.cls.__name__,
        "where": request.filter,
        "project": request.project,
        "sort": request.sort,
        "columns": columns,
    }


def json_row(columns: Sequence[Column], row: Row, linked: dict[int, Summary]) -> dict[str, Any]:
    """Return a row as JSON holds it."""
    return {c.path: _value(c, v, linked) for c, v in zip(columns, row.values, strict=True)}


def _value(column: Column, value: Any, linked: dict[int, Summary]) -> Any:
    if isinstance(value, list) and column.kind != "json":
        return [_value(column, v, linked) for v in value]
    if column.is_link and value is not None:
        summary = linked.get(value)
        return summary.as_json() if summary else {"object_id": value}
    return value if column.kind == "json" else file_value(column, value)
