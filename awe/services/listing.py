"""The objects of a class as a table: chosen, sorted and paged by the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.filters import parse_filter
from awe.model.frame import Frame
from awe.model.persistent import Persistent
from awe.model.queries import Query, near_names
from awe.services.addresses import page_number
from awe.services.column_conditions import box_condition
from awe.services.declared import Field, brief_fields, field_named, plain, scalar_fields
from awe.services.summaries import Summary, summaries

SIZES = (1, 1000)
BOX = "q."
"""What the names of the parameters of the boxes above the columns begin with."""
_PARAMETERS = ("where", "sort", "page", "size", "columns")


@dataclass(frozen=True)
class ListingRequest:
    """Which objects of a class, in what order, which of them, and what of them."""

    cls: type[Persistent]
    fields: tuple[Field, ...]
    conditions: tuple[Query, ...] = ()
    where: str = ""
    sort: str = ""
    page: int = 1
    size: int = 50

    @classmethod
    def parse(cls, listed: type[Persistent], given: Mapping[str, str]) -> "ListingRequest":
        """Return the request that a URL states; raise BadRequest naming what is wrong with it."""
        unknown = [n for n in given if n not in _PARAMETERS and not n.startswith(BOX)]
        if unknown:
            raise BadRequest(f"no table parameter {', '.join(unknown)[:60]!r}; there are {', '.join(_PARAMETERS)}")
        where = given.get("where", "").strip()
        conditions = [parse_filter(listed, where)] if where else []
        boxes = {n.removeprefix(BOX): v.strip() for n, v in given.items() if n.startswith(BOX) and v.strip()}
        conditions += [box_condition(listed, _known(listed, name), text) for name, text in boxes.items()]
        sort = given.get("sort", "").strip()
        if sort and _known(listed, sort.removeprefix("-")).kind in ("json", "list"):
            raise BadRequest(f"a table can't be sorted by {sort.removeprefix('-')}, which is no single value")
        return cls(
            listed,
            _columns(listed, given.get("columns", "")),
            tuple(conditions),
            where,
            sort,
            page_number(given.get("page")),
            _size(given.get("size")),
        )


@dataclass(frozen=True)
class Row:
    """One object: its values in the order of the fields."""

    object_id: int
    class_name: str
    is_valid: int
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Listing:
    """One page of a table."""

    request: ListingRequest
    rows: list[Row]
    total: int
    linked: dict[int, Summary]
    pictures: frozenset[int] = frozenset()
    """Objects of which there is a picture."""

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // self.request.size))

    @property
    def first(self) -> int:
        """Number of the first row of the page, from 1."""
        return (self.request.page - 1) * self.request.size + 1

    def as_json(self) -> dict[str, Any]:
        """Return the page of the table as JSON holds it."""
        fields = self.request.fields
        return {
            "class": self.request.cls.__name__,
            "where": self.request.where,
            "total": self.total,
            "page": self.request.page,
            "pages": self.pages,
            "columns": [{"name": f.name, "unit": f.unit, "doc": f.doc, "kind": f.kind} for f in fields],
            "rows": [
                {f.name: self._json_value(f, value) for f, value in zip(fields, row.values, strict=True)}
                for row in self.rows
            ],
        }

    def _json_value(self, field: Field, value: Any) -> Any:
        if field.kind != "link" or value is None:
            return plain(value)
        summary = self.linked.get(value)
        return summary.as_json() if summary else {"object_id": value}


def list_objects(session: Session, request: ListingRequest) -> Listing:
    """Return one page of a table; a fixed number of statements for any number of rows."""
    cls: Any = request.cls
    total = session.scalar(_chosen(select(func.count()).select_from(cls), request)) or 0
    columns = [getattr(cls, f.column) for f in request.fields]
    filename = [cls.filename] if issubclass(cls, Frame) else []
    query = select(cls.object_id, cls.class_name, cls.is_valid, *filename, *columns).select_from(cls)
    query = _chosen(query, request).order_by(*_order(request))
    found = session.execute(query.limit(request.size).offset((request.page - 1) * request.size)).all()
    start = 3 + len(filename)
    rows = [Row(r[0], r[1], r[2], tuple(r[start:])) for r in found]
    links = [i for i, f in enumerate(request.fields) if f.kind == "link"]
    linked = summaries(session, (row.values[i] for row in rows for i in links))
    pictures = frozenset(r[0] for r in found if filename and r[3])
    return Listing(request, rows, total, linked, pictures)


def _chosen(query: Select[Any], request: ListingRequest) -> Select[Any]:
    return query.where(*(c.__clause_element__() for c in request.conditions))


def _order(request: ListingRequest) -> list[Any]:
    cls: Any = request.cls
    if not request.sort:
        return [cls.object_id.desc()]
    column = getattr(cls, _known(request.cls, request.sort.removeprefix("-")).column)
    ordered = column.desc() if request.sort.startswith("-") else column.asc()
    return [ordered.nulls_last(), cls.object_id.desc()]


def _known(cls: type[Persistent], name: str) -> Field:
    field = field_named(cls, name)
    if field is None:
        names = [f.name for f in scalar_fields(cls)]
        raise BadRequest(f"{cls.__name__} has no column {name[:60]!r}; {near_names(name[:60], names)}")
    return field


def _columns(cls: type[Persistent], text: str) -> tuple[Field, ...]:
    if not text.strip():
        return brief_fields(cls)
    fields = [_known(cls, name.strip()) for name in text.split(",") if name.strip()]
    lists = [f.name for f in fields if f.kind == "list"]
    if lists:
        raise BadRequest(
            f"{', '.join(lists)} of {cls.__name__} are many objects and no column; see the object's own page"
        )
    return tuple(dict.fromkeys(fields))


def _size(text: str | None) -> int:
    low, high = SIZES
    if not text:
        return 50
    if not (text.isascii() and text.isdigit() and len(text) < 9 and low <= int(text) <= high):
        raise BadRequest(f"size must be a whole number of rows from {low} to {high}, got {text[:60]!r}")
    return int(text)
