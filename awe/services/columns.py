"""Columns of tables: attributes of a class, and of what its links lead to, by paths such as `raw.filter.name`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import REAL, BigInteger, Boolean, Date, DateTime, Float, Integer, inspect
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.types import TypeEngine

from awe.errors import BadRequest
from awe.model.attributes import kinds_of, near_names
from awe.model.persistent import Persistent
from awe.services.declared import fields_of, kind_of_type

DEEPEST = 12
"""Links on one path."""
_SHOWN = 60
_DATATYPES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Boolean, "boolean"),
    (DateTime, "time"),
    (Date, "date"),
    (BigInteger, "long"),
    (Integer, "int"),
    (REAL, "float"),
    (Float, "double"),
)


@dataclass(frozen=True)
class Column:
    """What a path leads to: a value, one object (kind `link`), or the values of many objects (`many`)."""

    path: str
    kind: str
    """number, text, time, date, truth, json, link or list (a link to many)."""
    datatype: str
    """int, long, float, double, boolean, time, date or text."""
    doc: str
    unit: str
    ucd: str
    links: tuple[Any, ...]
    """The relationships on the way."""
    end: Any
    """The column or relationship it ends at."""
    target: type | None = None

    @property
    def name(self) -> str:
        """Its name in addresses and files."""
        return self.path

    @property
    def label(self) -> str:
        """Its name as people read it."""
        return ".".join(p if p.isupper() else p.removeprefix("param_").replace("_", " ") for p in self.path.split("."))

    @property
    def many(self) -> bool:
        """Whether an object may have several values of it."""
        return self.kind == "list" or any(link.uselist for link in self.links)

    @property
    def is_link(self) -> bool:
        """Whether its values are objects, given by their numbers."""
        return self.kind in ("link", "list")

    @property
    def is_sortable(self) -> bool:
        """Whether it has one comparable value for each row."""
        return self.kind != "json" and not self.many


@lru_cache(maxsize=4096)
def column_at(cls: type, path: str) -> Column:
    """Return the column that a path of attributes leads to; raise BadRequest, with the near names, if there is none."""
    *way, name = path.replace("parameters.", "param_").split(".")
    if len(way) > DEEPEST:
        raise BadRequest(f"{path[:_SHOWN]!r} goes through {len(way)} links: at most {DEEPEST} are followed")
    links: list[Any] = []
    here = cls
    for step in way:
        if links and step in kinds_of(here):
            here = kinds_of(here)[step]
            continue
        found = _attribute(here, step, path)
        if not isinstance(found, RelationshipProperty):
            raise BadRequest(f"{step} of {here.__name__} is a value, not a link: {path[:_SHOWN]!r} leads nowhere")
        links.append(found)
        here = found.mapper.class_
    return _column(path.replace("parameters.", "param_"), tuple(links), _attribute(here, name, path))


def _attribute(cls: type, name: str, path: str) -> Any:
    known = names_of(cls)
    if name not in known:
        near = near_names(name[:_SHOWN], [n for n in known if n == "object_id" or not n.endswith("_id")])
        within = f" (in {path[:_SHOWN]!r})" if "." in path else ""
        raise BadRequest(f"{cls.__name__} has no column {name[:_SHOWN]!r}{within}; {near}")
    return inspect(cls).attrs[name]


@lru_cache
def names_of(cls: type) -> tuple[str, ...]:
    """Return the names of the values and links of a class: what its body declares and what it inherits."""
    if issubclass(cls, Persistent):
        more = ("process", "job", "process_id", "job_id")
        own = [c.key for c in inspect(cls).column_attrs if c.columns[0].foreign_keys and c.key.endswith("_id")]
        return tuple(dict.fromkeys((*(f.name for f in fields_of(cls)), *more, *own)))
    mapper: Any = inspect(cls)
    single = (a for a in mapper.attrs if not isinstance(a, RelationshipProperty) or a.direction.name != "ONETOMANY")
    return tuple(a.key for a in single)


def _column(path: str, links: tuple[Any, ...], end: Any) -> Column:
    if isinstance(end, RelationshipProperty):
        kind = "list" if end.uselist else "link"
        return Column(path, kind, "int", end.doc or "", "", "meta.id", links, end, end.mapper.class_)
    column = end.columns[-1]
    info = column.info
    return Column(
        path,
        kind_of_type(column.type),
        next((name for known, name in _DATATYPES if isinstance(column.type, known)), "text"),
        column.comment or "",
        info.get("unit", ""),
        info.get("ucd", "") or ("meta.id;meta.main" if column.primary_key else ""),
        links,
        end,
    )


def columns_at(cls: type, text: str) -> tuple[Column, ...]:
    """Return the columns that a text names, separated by commas, each once."""
    paths = [path.strip() for path in text.split(",") if path.strip()]
    return tuple(dict.fromkeys(column_at(cls, path) for path in paths))


def named_column(column: Column) -> Column:
    """Return the column that tells people what a link leads to: its name, if it has one; else the link itself."""
    if not column.is_link or column.target is None or "name" not in names_of(column.target):
        return column
    name = _column(column.path, (*column.links, column.end), inspect(column.target).attrs["name"])
    return Column(**{**vars(name), "doc": f"{column.doc} (its name)"})
