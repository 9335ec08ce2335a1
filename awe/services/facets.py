"""Facets: the values of columns that have few, with the number of rows of each, to narrow a selection by a click."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Date, func, select
from sqlalchemy.orm import Session

from awe.services.budget import within_seconds
from awe.services.column_conditions import equal_filter
from awe.services.columns import Column, column_at, named_column, names_of
from awe.services.declared import has_subclasses
from awe.services.joins import Joins
from awe.services.sessions import TookTooLong
from awe.services.table_request import TableRequest
from awe.services.table_rows import TableRows

MOST_VALUES = 12
"""Values of a column that are shown; the most frequent first."""
_NAMES = (
    *(
        "class_name",
        "instrument",
        "chip",
        "filter",
        "night",
        "object",
        "is_valid",
        "quality_flags",
        "project",
        "creator",
    ),
    *("FLAGS", "IMAFLAGS", "SLID"),
)
_SECONDS = {False: 0.25, True: 3.0}
"""Time for all facets of a page: of itself, and if they were asked for."""


@dataclass(frozen=True)
class Facet:
    """One column, its most frequent values, and how many rows have each."""

    column: Column
    values: list[tuple[Any, int]]
    is_cut: bool = False
    """There are further values."""

    def narrowed(self, request: TableRequest, value: Any) -> str:
        """Return the address of the rows that have a value."""
        text = "is null" if value is None else equal_filter(_text(value))
        new: dict[str, Any] = {f"q.{self.column.path}": text, "after": None, "before": None}
        return request.address(**new)


@dataclass(frozen=True)
class Facets:
    """What could be counted in the time there was."""

    found: list[Facet]
    left_out: list[str]
    """Columns that would have taken too long."""


def facet_columns(request: TableRequest) -> list[Column]:
    """Return the columns whose values are worth counting, for the rows of a class."""
    known = names_of(request.cls)
    chosen = [named_column(column_at(request.cls, n)) for n in _NAMES if n in known]
    fixed = [] if request.fixed is None else [request.fixed.left.key]
    special = not request.is_persistent or has_subclasses(request.cls)
    return [c for c in chosen if c.path not in fixed and (c.path != "class_name" or special)]


def count_facets(session: Session, request: TableRequest) -> Facets:
    """Return the facets of a selection; a fixed number of statements, and a bounded time."""
    end = time.monotonic() + _SECONDS[request.facets]
    found: list[Facet] = []
    left_out: list[str] = []
    for column in facet_columns(request):
        try:
            with within_seconds(session, end - time.monotonic()):
                facet = _facet(session, request, column)
        except TookTooLong:
            left_out.append(column.label)
            continue
        if len(facet.values) > 1 or (facet.values and facet.is_cut):
            found.append(facet)
    return Facets(found, left_out)


def _facet(session: Session, request: TableRequest, column: Column) -> Facet:
    joins = Joins(request.cls)
    element = joins.element(column)
    statement = joins.join(select(element, func.count().label("rows")).select_from(request.cls), session)
    statement = TableRows(request, ()).chosen(statement, session).group_by(element)
    newest_first = isinstance(element.type, Date)
    order = element.desc() if newest_first else func.count().desc()
    rows = session.execute(statement.order_by(order, element).limit(MOST_VALUES + 1)).all()
    return Facet(column, [(row[0], row[1]) for row in rows[:MOST_VALUES]], len(rows) > MOST_VALUES)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(getattr(value, "value", value))
