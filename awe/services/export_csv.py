"""Tables as CSV: a line of names, then the rows; what has no value is empty."""

import csv
import io
from collections.abc import Iterator

from awe.services.export import Exported


def csv_parts(table: Exported) -> Iterator[bytes]:
    """Yield the file, some rows at a time; numbers read back as they were."""
    yield _lines([tuple(c.name for c in table.columns)])
    truths = [i for i, c in enumerate(table.columns) if c.datatype == "boolean"]
    for rows in table.rows():
        yield _lines([_with_words(row, truths) for row in rows] if truths else rows)


def _lines(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _with_words(row: tuple[object, ...], truths: list[int]) -> tuple[object, ...]:
    """Return a row with its truth values as words."""
    cells = list(row)
    for i in truths:
        cells[i] = {True: "true", False: "false"}.get(bool(row[i])) if row[i] is not None else None
    return tuple(cells)
