"""Tables as CSV: a line of names, then the rows; what has no value is empty."""

import csv
import io
from collections.abc import Iterator

from awe.services.export import Exported


def csv_parts(table: Exported) -> Iterator[bytes]:
    """Yield the file, some rows at a time; numbers read back as they were."""
    yield _lines([tuple(c.name for c in table.columns)])
    for rows in table.rows():
        yield _lines([tuple(_cell(v) for v in row) for row in rows])


def _lines(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else value
