"""`awe find`: the objects of a class that fulfil a condition."""

import csv
import io
from typing import Any

import click
from sqlalchemy.orm import DeclarativeBase

from awe.cli.printing import plural, print_json, table
from awe.cli.workplace import Workplace, works
from awe.errors import BadRequest
from awe.model.attributes import attribute_names, near_names
from awe.model.description import plain
from awe.model.filters import parse_filter
from awe.model.persistent import persistent_class
from awe.model.values import shown
from awe.services.declared import brief_fields, field_named


@click.command()
@click.argument("name", metavar="CLASS")
@click.argument("condition", metavar="[FILTER]", required=False)
@click.option("--order-by", metavar="NAME", help="attribute to sort by; -NAME is descending [object_id]")
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
    """List the objects of a class that fulfil a condition.

    FILTER compares attributes (awe describe CLASS) with numbers, texts in quotes and times: == != < <= > >=, in [..],
    is None, and, or, not, .like("M*"), .contains("x"), .between(1, 5), quality_flags.has("FEW_INPUTS").

    \b
    Example: awe find RawScienceFrame 'filter.name == "g" and exptime > 100'
             awe find ReducedFrame 'raw.night == "2026-02-14"' --columns object_id,background,bias.read_noise.value
    """
    cls: Any = persistent_class(name)
    with place.session():
        query = parse_filter(cls, condition or "object_id is not None")
        query = query.order_by(order_by) if order_by else query
        paths = _paths(cls, columns)
        total = len(query)
        rows = [[follow(o, path) for path in paths] for o in (query[:limit] if limit else query)]
        _print(cls, paths, rows, total, as_json, as_csv)
    if len(rows) < total:
        place.say(f"{len(rows)} of {plural(total, name)} shown: --limit 0 shows all")


def _paths(cls: type, columns: str | None) -> list[str]:
    """Return the names of the columns to show, each of which can be followed from the class."""
    if columns is None:
        return [field.name for field in brief_fields(cls)]
    paths = [path.strip() for path in columns.split(",") if path.strip()]
    for path in paths:
        _check(cls, path)
    return paths


def _check(cls: Any, path: str) -> None:
    for name in path.split("."):
        if name not in attribute_names(cls):
            raise BadRequest(f"{cls.__name__} has no attribute {name!r}; {near_names(name, attribute_names(cls))}")
        mapper = getattr(getattr(cls, name).property, "mapper", None)
        cls = mapper.class_ if mapper is not None else object
        if cls is object and not path.endswith(name):
            raise BadRequest(f"{name} is a value, not a link: {path!r} can't be followed")


def follow(obj: Any, path: str) -> Any:
    """Return what a path of attributes leads to; of many, a list."""
    for name in path.split("."):
        if obj is None:
            return None
        obj = [getattr(o, name) for o in obj] if isinstance(obj, list) else getattr(obj, name)
    return obj


def _print(cls: Any, paths: list[str], rows: list[list[Any]], total: int, as_json: bool, as_csv: bool) -> None:
    if as_json:
        objects = [dict(zip(paths, map(_reference, row), strict=True)) for row in rows]
        print_json({"class": cls.__name__, "total": total, "truncated": len(rows) < total, "objects": objects})
    elif as_csv:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([paths, *([_brief(v) for v in row] for row in rows)])
        click.echo(text.getvalue(), nl=False)
    elif rows:
        click.echo(_table(cls, paths, rows))
    else:
        click.echo(f"no {cls.__name__} fulfils the condition")


def _table(cls: Any, paths: list[str], rows: list[list[Any]]) -> str:
    """Return the table, without columns that are empty throughout."""
    keep = [i for i in range(len(paths)) if any(row[i] not in (None, "") for row in rows)]
    units = [field.unit if (field := field_named(cls, path)) else "" for path in paths]
    headers = [f"{_title(paths[i])} ({units[i]})" if units[i] else _title(paths[i]) for i in keep]
    return table(headers, [[_cell(row[i], units[i]) for i in keep] for row in rows])


def _title(path: str) -> str:
    return "id" if path == "object_id" else path


def _cell(value: Any, unit: str) -> str:
    if isinstance(value, list):
        return " ".join(_cell(v, unit) for v in value[:4]) + (f" ... ({len(value)})" if len(value) > 4 else "")
    return shown(value, unit) if not isinstance(value, DeclarativeBase) else str(_brief(value))


def _brief(value: Any) -> Any:
    """Return a value for a cell; of an object its name, else its number."""
    if isinstance(value, list):
        return " ".join(str(_brief(v)) for v in value)
    if isinstance(value, DeclarativeBase):
        return getattr(value, "name", "") or getattr(value, "object_id", str(value))
    return plain(value)


def _reference(value: Any) -> Any:
    if isinstance(value, list):
        return [_reference(v) for v in value]
    return _brief(value) if isinstance(value, DeclarativeBase) else plain(value)
