"""Whole tables as one page: its head, then the rows as they are read, then its foot."""

from collections.abc import Iterator, Sequence
from typing import Any

from flask import render_template
from markupsafe import escape

from awe.services.columns import Column
from awe.services.export import Exported
from awe.services.formatting import tabular

_ROWS = "<!-- the rows stand here -->"


def html_parts(table: Exported) -> Iterator[bytes]:
    """Yield the page, some rows at a time; the first part needs the request, the others do not."""
    head, foot = render_template("whole_table.html", table=table, rows=_ROWS).split(_ROWS)
    yield head.encode()
    count = 0
    for rows in table.rows():
        count += len(rows)
        yield "\n".join(_line(table.columns, row) for row in rows).encode()
    yield foot.replace("<!-- count -->", f"{count:,}", 1).encode()


def _line(columns: Sequence[Column], row: Sequence[Any]) -> str:
    return f"<tr>{''.join(_cell(c, v) for c, v in zip(columns, row, strict=True))}</tr>"


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return f'<td class="{column.kind}"><span class="nothing">–</span></td>'
    if column.path in ("object_id", "SLID"):
        return f'<td class="{column.kind}"><a href="/object/{value}">{value}</a></td>'
    return f'<td class="{column.kind}">{escape(tabular(value, column))}</td>'
