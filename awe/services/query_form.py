"""The form that a class can be queried by: its attributes, and those of what its links lead to, to any depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Enum

from awe.errors import BadRequest
from awe.model.attributes import kinds_of
from awe.model.frame import FileBacked
from awe.model.persistent import Persistent
from awe.model.sky_search import is_placed
from awe.services.column_conditions import split_box
from awe.services.columns import Column, column_at, names_of
from awe.services.declared import summary_of
from awe.services.table_request import TableRequest

MOST_UNFOLDED = 40
_HINTS = {"time": "2026-01-31T04:05", "date": "2026-01-31", "truth": "true or false"}
_ANGLES = {"pos.eq.ra": "degrees, or 10:10:24", "pos.eq.dec": "degrees, or -01:00:30"}
PARAMETERS, LINKS, FILE, RECORD = "Process parameters", "Links: + unfolds what they lead to", "File", "Record"
KINDS = "What only some of them are: + unfolds it"
SHARED = "As every "
"""What the headings of attributes that a class has from another one begin with."""


@dataclass(frozen=True)
class Line:
    """One attribute: what is asked of it, and whether it is a column of the result."""

    column: Column
    condition: str
    is_shown: bool

    @property
    def asked(self) -> tuple[str, str]:
        """Operator and value of the condition."""
        return split_box(self.condition)

    @property
    def hint(self) -> str:
        """How values of the attribute are written."""
        column = self.column
        if column.is_link:
            return "name or number" if column.target and "name" in names_of(column.target) else "number"
        if isinstance(column.end.columns[0].type, Enum):
            return ", ".join(column.end.columns[0].type.enums)
        return _ANGLES.get(column.ucd.partition(";")[0]) or _HINTS.get(column.kind, "")


@dataclass(frozen=True)
class Fork:
    """One link, or special kind of what a link leads to (without a line): the group of its attributes if unfolded."""

    path: str
    line: Line | None
    target: str
    doc: str
    group: "Group | None"


@dataclass(frozen=True)
class Section:
    """Attributes that belong together, or all links."""

    heading: str
    lines: list[Line] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """The attributes of a class, or of what a link leads to: its own, its links, then those it shares."""

    path: str
    class_name: str
    sections: list[Section]


def parse_unfold(cls: type, given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths of the links that are unfolded; `open` adds one, `close` folds one and all below it."""
    paths = [p.strip() for p in f"{given.get('unfold', '')},{given.get('open', '')}".split(",") if p.strip()]
    closed = given.get("close", "").strip()
    kept = [p for p in dict.fromkeys(paths) if not closed or not f"{p}.".startswith(f"{closed}.")]
    if len(kept) > MOST_UNFOLDED:
        raise BadRequest(f"{len(kept)} links are unfolded: at most {MOST_UNFOLDED} can be; fold some")
    for path in kept:
        if not _unfolds(cls, path):
            raise BadRequest(f"{path[:60]!r} is a value: only links unfold")
    return tuple(kept)


def _unfolds(cls: type, path: str) -> bool:
    """Return whether a path ends at a link, or at a special kind of what a link leads to."""
    way, _, last = path.rpartition(".")
    if way and last[:1].isupper():
        target = column_at(cls, way).target
        return target is not None and last in kinds_of(target)
    return column_at(cls, path).is_link


def query_form(request: TableRequest, unfolded: Sequence[str]) -> Group:
    """Return the form of a class with the conditions and columns of a request; links with either are unfolded."""
    stated = [path for path, _ in request.boxes] + [c.path for c in request.columns if c.links]
    ways = {path.rpartition(".")[0] for path in stated if "." in path} | set(unfolded)
    ways |= {way[:i] for way in ways for i, c in enumerate(way) if c == "."}
    return _group(request, request.cls, "", ways)


def _group(request: TableRequest, cls: type, path: str, ways: set[str]) -> Group:
    sections = {"": Section(""), LINKS: Section(LINKS)}
    for name in names_of(cls):
        column = column_at(request.cls, f"{path}.{name}" if path else name)
        if column.is_link:
            sections[LINKS].forks.append(_fork(request, column, ways))
        elif (column.kind != "json" and not name.endswith("_id")) or name == "object_id":
            heading = _heading(cls, name, column)
            sections.setdefault(heading, Section(heading)).lines.append(_line(request, column))
    if path:
        kinds = [_kind(request, kind, f"{path}.{name}", ways) for name, kind in kinds_of(cls).items()]
        sections[KINDS] = Section(KINDS, forks=kinds)
    order = ["", PARAMETERS, LINKS, KINDS, *(h for h in sections if h.startswith(SHARED)), FILE]
    order += [h for h in sections if h not in order]
    return Group(path, cls.__name__, [sections[h] for h in order if h in sections and _has_any(sections[h])])


def _has_any(section: Section) -> bool:
    return bool(section.lines or section.forks)


def _heading(cls: type, name: str, column: Column) -> str:
    """Return the heading under which an attribute stands; empty for what tells objects of the class apart."""
    owner = column.end.parent.class_
    if name == "object_id" or not issubclass(cls, Persistent):
        return ""
    if name.startswith("param_"):
        return PARAMETERS
    if name in FileBacked.__annotations__:
        return FILE
    if owner is Persistent and cls is not Persistent:
        return RECORD
    return "" if owner is cls else f"{SHARED}{owner.__name__}"


def _fork(request: TableRequest, column: Column, ways: set[str]) -> Fork:
    target: Any = column.target
    group = _group(request, target, column.path, ways) if column.path in ways else None
    return Fork(column.path, _line(request, column), target.__name__, summary_of(target), group)


def _kind(request: TableRequest, kind: type, path: str, ways: set[str]) -> Fork:
    group = _group(request, kind, path, ways) if path in ways else None
    return Fork(path, None, kind.__name__, summary_of(kind), group)


def _line(request: TableRequest, column: Column) -> Line:
    return Line(column, dict(request.boxes).get(column.path, ""), column in request.columns)


def sky_condition(cls: type, near: str, within: str) -> str:
    """Return the filter of a cone, or of a box if the size is like `1 x 0.5`; empty without a position."""
    if not near:
        return ""
    if not is_placed(cls):
        raise BadRequest(f"a {cls.__name__} has no place on the sky")
    sides = [s.strip() for s in within.replace("×", "x").split("x")] if within else ["0"]
    form = "cone" if len(sides) == 1 else "box"
    return f"{form}({', '.join(_quoted(t) for t in (near, *sides))})"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "").replace('"', '\\"') + '"'


def sortable(request: TableRequest) -> list[str]:
    """Return the names that a table can be sorted by, those of the shown columns first."""
    own = [column_at(request.cls, name) for name in names_of(request.cls) if not name.endswith("_id")]
    return list(dict.fromkeys(c.path for c in (*request.columns, *own) if c.is_sortable))


def chosen_columns(usual: Sequence[Column], chosen: Sequence[str], order: str) -> str:
    """Return the columns that are chosen in a form, in their earlier order, then new ones; empty: the usual ones."""
    kept = [path for path in order.split(",") if path in chosen]
    found = [*kept, *(path for path in chosen if path not in kept)]
    return "" if found == [c.path for c in usual] else ",".join(found)


def form_parameters(given: Mapping[str, str], unfolded: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query page that are to be kept."""
    dropped = ("open", "close", "show", "near", "within", "unfold", "order")
    found = {n: v for n, v in given.items() if n not in dropped}
    return found | ({"unfold": ",".join(unfolded)} if unfolded else {})
