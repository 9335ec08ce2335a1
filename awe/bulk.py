"""Write many rows of plain tables at once: binary COPY on PostgreSQL, executemany on SQLite."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy import types as sql

ROWS_AT_ONCE = 20_000
_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_BINARY_TRAILER = b"\xff\xff"


def insert_rows(connection: Connection, table: Table, columns: Mapping[str, Any], same: Mapping[str, Any]) -> int:
    """Insert rows given as columns of equal length, with some columns the same in all; return their number.

    NaN is stored as null: PostgreSQL would take it for the largest number.
    """
    count = len(next(iter(columns.values()))) if columns else 0
    unknown = set(columns) - set(table.c.keys())
    if unknown:
        raise ValueError(f"table {table.name} has no column {', '.join(sorted(unknown))}")
    for start in range(0, count, ROWS_AT_ONCE):
        part = {name: np.asarray(values)[start : start + ROWS_AT_ONCE] for name, values in columns.items()}
        if connection.dialect.name == "postgresql":
            _copy(connection, table, part, same)
        else:
            _execute_many(connection, table, part, same)
    return count


def read_columns(
    connection: Connection, table: Table, names: Sequence[str], condition: Any, order: Any
) -> dict[str, np.ndarray]:
    """Return columns of the rows that fulfil a condition, as arrays; null is NaN."""
    rows = connection.execute(select(*(table.c[n] for n in names)).where(condition).order_by(order)).all()
    found = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    kinds = {name: np.int64 if _kind(table.c[name]).startswith(">i") else np.float64 for name in names}
    return {name: np.array(column, dtype=kinds[name]) for name, column in zip(names, found, strict=True)}


def _execute_many(connection: Connection, table: Table, part: Mapping[str, Any], same: Mapping[str, Any]) -> None:
    names = [*same, *part]
    values = [[value] * len(next(iter(part.values()))) for value in same.values()]
    values += [column.tolist() for column in part.values()]
    statement = insert(table).compile(dialect=connection.dialect, column_keys=names)
    order = statement.positiontup or names
    by_name = dict(zip(names, values, strict=True))
    connection.exec_driver_sql(str(statement), list(zip(*(by_name[n] for n in order), strict=True)))


_KINDS: list[tuple[type[Any], str]] = [
    (sql.BigInteger, ">i8"),
    (sql.Integer, ">i4"),
    (sql.Double, ">f8"),
    (sql.REAL, ">f4"),
    (sql.Float, ">f8"),
]


def _kind(column: Any) -> str:
    return next(kind for cls, kind in _KINDS if isinstance(column.type, cls))


def _copy(connection: Connection, table: Table, part: Mapping[str, Any], same: Mapping[str, Any]) -> None:
    """Send rows in PostgreSQL's binary format: a count, then for each value its length and bytes; null has none."""
    names = [*same, *part]
    count = len(next(iter(part.values())))
    fields: list[tuple[str, str]] = [("n", ">i2")]
    for i, name in enumerate(names):
        kind = _kind(table.c[name])
        fields += [(f"l{i}", ">i4"), (f"v{i}", kind)]
    rows = np.zeros(count, dtype=np.dtype(fields))
    rows["n"] = len(names)
    for i, name in enumerate(names):
        rows[f"l{i}"] = rows.dtype[f"v{i}"].itemsize
        rows[f"v{i}"] = same[name] if name in same else part[name]
    body = io.BytesIO(_BINARY_HEADER + _without_nan(rows) + _BINARY_TRAILER)
    quoted = ", ".join(f'"{name}"' for name in names)
    driver = connection.connection.cursor()
    driver.copy_expert(f'COPY "{table.name}" ({quoted}) FROM STDIN (FORMAT BINARY)', body)


def _without_nan(rows: np.ndarray) -> bytes:
    """Return the bytes of the rows with NaN as null: the length -1, and no value."""
    sent = np.ones((len(rows), rows.dtype.itemsize), dtype=bool)
    for name in [n for n in rows.dtype.names or () if n.startswith("v")]:
        kind, offset = rows.dtype.fields[name][:2]  # type: ignore[index]
        missing = np.isnan(rows[name]) if kind.kind == "f" else np.zeros(0, dtype=bool)
        if missing.any():
            rows[f"l{name[1:]}"][missing] = -1
            sent[missing, offset : offset + kind.itemsize] = False
    bytes_of_rows = rows.view(np.uint8).reshape(sent.shape)
    return (bytes_of_rows if sent.all() else bytes_of_rows[sent]).tobytes()
