"""The rows of source lists and associate lists, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, func, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.model.catalogue import ASSOCIATES, SOURCES, AssociateList, SourceList
from awe.model.persistent import Persistent
from awe.model.queries import near_names
from awe.services.addresses import page_number

PAGE = 100


@dataclass(frozen=True)
class SourceRows:
    """One page of the rows of a list."""

    columns: list[Column[Any]]
    rows: list[tuple[Any, ...]]
    total: int
    page: int
    sort: str

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // PAGE))

    def as_json(self) -> dict[str, Any]:
        """Return the page as JSON holds it."""
        return {
            "total": self.total,
            "page": self.page,
            "pages": self.pages,
            "columns": [{"name": c.name, "unit": c.info.get("unit", ""), "doc": c.comment or ""} for c in self.columns],
            "rows": [dict(zip((c.name for c in self.columns), row, strict=True)) for row in self.rows],
        }


def table_of(thing: Persistent) -> tuple[Table, Column[Any]]:
    """Return the table with the rows of a list, and the column with the number of the list."""
    if isinstance(thing, SourceList):
        return SOURCES, SOURCES.c.SLID
    if isinstance(thing, AssociateList):
        return ASSOCIATES, ASSOCIATES.c.ALID
    raise NotFound(f"{thing} is neither a SourceList nor an AssociateList, so it has no sources")


def source_rows(session: Session, thing: Persistent, given: Mapping[str, str]) -> SourceRows:
    """Return the page of rows that a URL asks for; raise BadRequest naming what is wrong with it."""
    unknown = sorted(set(given) - {"page", "sort"})
    if unknown:
        raise BadRequest(f"no parameter {', '.join(unknown)[:60]!r} of a list of sources; there are page, sort")
    table, own = table_of(thing)
    page, sort = page_number(given.get("page")), given.get("sort", "").strip()
    columns = [c for c in table.columns if c is not own]
    query = select(*columns).where(own == thing.object_id).order_by(*_order(table, own, sort))
    total = session.scalar(select(func.count()).select_from(table).where(own == thing.object_id)) or 0
    rows = session.execute(query.limit(PAGE).offset((page - 1) * PAGE)).all()
    return SourceRows(columns, [tuple(r) for r in rows], total, page, sort)


def _order(table: Table, own: Column[Any], sort: str) -> list[Any]:
    key = [c for c in table.primary_key.columns if c is not own]
    if not sort:
        return key
    name = sort.removeprefix("-")
    if name not in table.c:
        raise BadRequest(f"sources have no column {name[:60]!r}; {near_names(name[:60], list(table.c.keys()))}")
    column = table.c[name]
    return [(column.desc() if sort.startswith("-") else column.asc()).nulls_last(), *key]
