"""The rows of a table: one page of them, or all as a stream; the number of statements does not grow with rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Select, func, inspect, select
from sqlalchemy.orm import Session

from awe.model.access import visible
from awe.model.frame import FileBacked
from awe.model.persistent import Persistent
from awe.services.columns import Column, column_at
from awe.services.cursor import Cursor, Term, cursor_text, read_cursor
from awe.services.joins import Joins, values_of_many
from awe.services.summaries import Summary, summaries
from awe.services.table_request import TableRequest

CHUNK = 1000
"""Rows that are read at once from a stream."""


@dataclass(frozen=True)
class Row:
    """One row: what it is sorted by, what identifies it, and its values in the order of the columns."""

    place: tuple[Any, ...]
    values: tuple[Any, ...]
    object_id: int = 0
    class_name: str = ""
    is_valid: int = 1
    filename: str | None = None


@dataclass(frozen=True)
class Page:
    """Some rows of a table, and the places of the pages beside it."""

    rows: list[Row]
    linked: dict[int, Summary] = field(default_factory=dict)
    previous: str = ""
    next: str = ""


class TableRows:
    """The statement that gives the rows of a request."""

    def __init__(self, request: TableRequest, columns: Sequence[Column] | None = None) -> None:
        self.request = request
        self.columns = tuple(request.columns if columns is None else columns)
        self._joins = Joins(request.cls)
        self._many = {i: self._anchored(c) for i, c in enumerate(self.columns) if c.many}
        self._elements = [self._number(i) if c.many else self._element(c) for i, c in enumerate(self.columns)]
        self.terms = self._terms()
        self._own = self._identity()

    def _element(self, column: Column) -> Any:
        element = self._joins.element(column)
        owner = getattr(column.end, "columns", [None])[0]
        if column.datatype in ("float", "double") and owner is not None and owner.table.name in ("source", "associate"):
            return func.nullif(element, float("nan"), type_=element.type)
        return element

    def _anchored(self, column: Column) -> tuple[Column | None, type, Column]:
        """Return the object that has many values of a column: the row itself (None), or the first that it leads to."""
        cls = self.request.cls
        if self.request.is_persistent:
            return None, cls, column
        ends = [link.mapper.class_ for link in column.links]
        first = next(i for i, end in enumerate(ends, 1) if issubclass(end, Persistent))
        anchor = column_at(cls, ".".join(column.path.split(".")[:first]))
        return anchor, ends[first - 1], replace(column, links=column.links[first:])

    def _number(self, place: int) -> Any:
        anchor = self._many[place][0]
        return None if anchor is None else self._joins.element(anchor)

    def _terms(self) -> list[Term]:
        request = self.request
        own_key: Any = inspect(request.cls).primary_key
        keys = [c for c in own_key if c.key not in self._fixed()]
        column = request.sort_column
        mapped: Any = request.cls
        if request.is_persistent:
            own = Term(mapped.object_id, "int", request.sort in ("", "-object_id"), nullable=False)
            return [own] if request.sort.lstrip("-") in ("", "object_id") else [self._sorted(column), own]
        own_keys = [Term(getattr(mapped, c.key), "int", nullable=False) for c in keys]
        return own_keys if column is None else [self._sorted(column), *own_keys]

    def _fixed(self) -> list[str]:
        """Return the names of columns that are the same in all rows."""
        return [] if self.request.fixed is None else [self.request.fixed.left.key]

    def _sorted(self, column: Column | None) -> Term:
        assert column is not None
        ends_safely = not column.links and column.end is not None and not column.is_link
        nullable = not ends_safely or column.end.columns[0].nullable
        descending = self.request.sort.startswith("-")
        return Term(self._element(column), column.datatype, descending, nullable)

    def _identity(self) -> list[Any]:
        cls: Any = self.request.cls
        if not self.request.is_persistent:
            return []
        file = [cls.filename] if issubclass(cls, FileBacked) else []
        return [cls.object_id, cls.class_name, cls.is_valid, *file]

    def statement(self, session: Session) -> Select[Any]:
        """Return the SELECT of all rows, without order."""
        chosen = [e for e in self._elements if e is not None]
        found = select(*self._own, *(t.element for t in self.terms), *chosen).select_from(self.request.cls)
        return self.chosen(self._joins.join(found, session), session)

    def chosen(self, statement: Select[Any], session: Session) -> Select[Any]:
        """Return a statement with the conditions of the request, and what may be seen."""
        request = self.request
        conditions = [c for c in (request.fixed, request.condition) if c is not None]
        return restricted(statement.where(*conditions), session, request.cls)

    def page(self, session: Session) -> Page:
        """Return the page that the request names."""
        request = self.request
        cursor = read_cursor(request.after, request.before, self.terms)
        found = self._from(self.statement(session), cursor).limit(request.size + 1)
        rows = [self._row(r) for r in session.execute(found)]
        more = len(rows) > request.size
        rows = rows[: request.size][:: -1 if cursor.backwards else 1]
        rows = self._filled(session, rows)
        before, after = (more, True) if cursor.backwards else (bool(cursor.values), more)
        if cursor.backwards and not cursor.values:
            after = False
        return Page(
            rows,
            self._linked(session, rows),
            cursor_text(rows[0].place) if rows and before else "",
            cursor_text(rows[-1].place) if rows and after else "",
        )

    def _from(self, statement: Select[Any], cursor: Cursor) -> Select[Any]:
        beyond = cursor.condition(self.terms)
        statement = statement if beyond is None else statement.where(beyond)
        return statement.order_by(*(t.ordered(cursor.backwards) for t in self.terms))

    def chunks(self, session: Session) -> Iterator[list[Row]]:
        """Yield all rows in their order, some at a time."""
        for part in self._partitions(session):
            yield self._filled(session, [self._row(r) for r in part])

    def values(self, session: Session) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the values of all rows in their order, some rows at a time."""
        if any(c.many for c in self.columns):
            yield from ([row.values for row in rows] for rows in self.chunks(session))
            return
        first = len(self._own) + len(self.terms)
        for part in self._partitions(session):
            yield [row[first:] for row in part]

    def _partitions(self, session: Session) -> Iterator[Sequence[Any]]:
        statement = self._from(self.statement(session), Cursor())
        return session.execute(statement.execution_options(yield_per=CHUNK)).partitions()

    def _row(self, values: Any) -> Row:
        first = len(self._own)
        identity, place = values[:first], tuple(values[first : first + len(self.terms)])
        rest = iter(values[first + len(self.terms) :])
        found = tuple(None if e is None else next(rest) for e in self._elements)
        return Row(place, found, *identity)

    def _filled(self, session: Session, rows: list[Row]) -> list[Row]:
        """Return the rows with the values of links to many: one statement for each such column."""
        if not self._many or not rows:
            return rows
        named = [[row.object_id if v is None else v for v in row.values] for row in rows]
        read = {
            i: _grouped(session, cls, column, sorted({numbers[i] for numbers in named}))
            for i, (_, cls, column) in self._many.items()
        }

        def values(row: Row, numbers: list[Any]) -> tuple[Any, ...]:
            return tuple(read[i].get(numbers[i], []) if i in read else v for i, v in enumerate(row.values))

        return [replace(row, values=values(row, numbers)) for row, numbers in zip(rows, named, strict=True)]

    def _linked(self, session: Session, rows: list[Row]) -> dict[int, Summary]:
        return linked_objects(session, self.columns, rows)


def restricted(statement: Select[Any], session: Session, cls: Any) -> Select[Any]:
    """Return a statement restricted to what the visitor may see."""
    return visible(session, statement, cls) if issubclass(cls, Persistent) else statement


def linked_objects(session: Session, columns: Sequence[Column], rows: Sequence[Row]) -> dict[int, Summary]:
    """Return what the objects are that the values of links name, in a fixed number of statements."""
    links = [i for i, c in enumerate(columns) if c.is_link and c.target and issubclass(c.target, Persistent)]
    numbers: list[int | None] = []
    for row in rows:
        for i in links:
            value = row.values[i]
            numbers += value if isinstance(value, list) else [value]
    return summaries(session, numbers) if numbers else {}


def _grouped(session: Session, cls: type, column: Column, numbers: list[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, value in session.execute(values_of_many(session, cls, column, numbers)):
        found.setdefault(number, []).append(value)
    return found
