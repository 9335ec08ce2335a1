"""`awe find`: the objects of a class that fulfil a condition."""

import csv
import io
from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from awe.cli.printing import plural, print_json, table
from awe.cli.workplace import Workplace, works
from awe.model.description import plain
from awe.model.values import shown
from awe.services.columns import Column, named_column
from awe.services.counting import count_rows
from awe.services.table_asked import rows_asked
from awe.services.table_rows import TableRows


@click.command()
@click.argument("name", metavar="CLASS|LIST")
@click.argument("condition", metavar="[FILTER]", required=False)
@click.option("--order-by", metavar="NAME", help="attribute to sort by; -NAME is descending")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="most objects; 0: all")
@click.option("--columns", metavar="NAMES", help="attributes to show, with dots through links, separated by commas")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.option("--csv", "as_csv", is_flag=True, help="as CSV")
@works
def find(
    place: Workplace,
    name: str,
    condition: str | None,
    order_by: str | None,
    limit: int,
    columns: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List the objects of a class, or the rows of a source or associate list, that fulfil a condition.

    FILTER compares attributes (awe describe CLASS) with numbers, texts in quotes and times: == != < <= > >=, in [..],
    is None, and, or, not, .like("M*"), .contains("x"), .between(1, 5), quality_flags.has("FEW_INPUTS").

    \b
    Example: awe find RawScienceFrame 'filter.name == "g" and exptime > 100'
             awe find 97 'MAG_AUTO < 20' --columns SID,RA,DEC,MAG_AUTO,source_list.frame.filter.name
             awe find ReducedFrame 'raw.night == "2026-02-14"' --columns object_id,background,bias.read_noise.value
    """
    given = {"where": condition or "", "columns": columns or "", "sort": order_by or "", "count": "exact"}
    with place.session() as session:
        request = rows_asked(session, name, given)
        paths = tuple(named_column(c) for c in request.columns)
        total = count_rows(session, request).rows
        found = (row for rows in TableRows(request, paths).values(session) for row in rows)
        rows = list(islice(found, limit or None))
        _print(request.cls.__name__, request.columns, rows, total, as_json, as_csv)
    if len(rows) < total:
        place.say(f"{len(rows)} of {plural(total, request.cls.__name__)} shown: --limit 0 shows all")


def _print(
    name: str, columns: Sequence[Column], rows: list[tuple[Any, ...]], total: int, as_json: bool, as_csv: bool
) -> None:
    paths = [c.path for c in columns]
    if as_json:
        objects = [dict(zip(paths, map(_plain, row), strict=True)) for row in rows]
        print_json({"class": name, "total": total, "truncated": len(rows) < total, "objects": objects})
    elif as_csv:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([paths, *([_brief(v) for v in row] for row in rows)])
        click.echo(text.getvalue(), nl=False)
    elif rows:
        click.echo(_table(columns, rows))
    else:
        click.echo(f"no {name} fulfils the condition")


def _table(columns: Sequence[Column], rows: list[tuple[Any, ...]]) -> str:
    """Return the table, without columns that are empty throughout."""
    keep = [i for i in range(len(columns)) if any(row[i] not in (None, "", []) for row in rows)]
    headers = [f"{_title(c.path)} ({c.unit})" if c.unit else _title(c.path) for c in (columns[i] for i in keep)]
    return table(headers, [[_cell(row[i], columns[i].unit) for i in keep] for row in rows])


def _title(path: str) -> str:
    return "id" if path == "object_id" else path


def _cell(value: Any, unit: str) -> str:
    if isinstance(value, list):
        return " ".join(_cell(v, unit) for v in value[:4]) + (f" ... ({len(value)})" if len(value) > 4 else "")
    return shown(value, unit)


def _brief(value: Any) -> Any:
    """Return a value for a cell; many are separated by blanks."""
    return " ".join(str(plain(v)) for v in value) if isinstance(value, list) else plain(value)


def _plain(value: Any) -> Any:
    return [plain(v) for v in value] if isinstance(value, list) else plain(value)
