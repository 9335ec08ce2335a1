"""Which rows of a class, in what order, from which place, and what of them: all of it as an address states it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from awe.errors import BadRequest
from awe.model.filters import filter_condition
from awe.model.persistent import Persistent
from awe.services.addresses import changed
from awe.services.column_conditions import box_filter
from awe.services.columns import Column, column_at, columns_at
from awe.services.declared import brief_fields
from awe.services.operations import PROJECT, Parameter

BOX, OPERATOR = "q.", "op."
"""What the names of the parameters of the boxes of the columns begin with, and of the operators before them."""
ALL = "ALL"
"""The project context of all projects."""
SIZES = (1, 1000)
PARAMETERS = (
    Parameter("where", "condition, in the language of `awe find`", example='exptime > 100 and filter.name = "g"'),
    Parameter(
        "columns", "attributes to show, with dots through links, separated by commas", example="object_id,raw.airmass"
    ),
    Parameter("sort", "attribute to sort by; -NAME is descending", example="-date_obs"),
    Parameter("size", "rows on a page", "integer", None, low=SIZES[0], high=SIZES[1]),
    Parameter("after", "the page after this row: the values it is sorted by", example="[180.0,55]"),
    Parameter("before", "the page before this row; `end`: the last page", example="end"),
    Parameter("count", "exact: count all rows, however many", choices=("quick", "exact"), default="quick"),
    Parameter("facets", "1: count the values of columns that have few", "boolean", False),
)
OPEN_ENDED = (
    "`q.NAME` is a condition on one column, such as `q.exptime=>100`, `q.object=M*`, `q.object_id=1:6,20`; "
    "`op.NAME` the operator before it, if it is not in it. NAME may go through links: `q.raw.filter.name=g`."
)
_NAMES = {p.name for p in PARAMETERS} | {"project"}


@dataclass(frozen=True)
class TableRequest:
    """The rows of a class that are wanted; `fixed` is a condition that goes without saying."""

    cls: type
    columns: tuple[Column, ...]
    where: str = ""
    boxes: tuple[tuple[str, str], ...] = ()
    sort: str = ""
    size: int = 50
    after: str = ""
    before: str = ""
    project: str = ALL
    count_exactly: bool = False
    facets: bool = False
    given_columns: bool = False
    fixed: Any = None
    path: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    """Further parameters of the page, to be kept in its links."""

    @cached_property
    def filter(self) -> str:
        """The whole condition, in the language of filters; empty: all rows."""
        parts = [self.where] if self.where else []
        parts += [box_filter(self.cls, path, text) for path, text in self.boxes]
        if len(parts) > 1 and self.where:
            parts[0] = f"({self.where})"
        if self.project != ALL:
            parts = [f"({parts[0]})" if len(parts) == 1 and self.where else p for p in parts]
            parts.append(f"project = {_quoted(self.project)}")
        return " and ".join(parts)

    @cached_property
    def condition(self) -> Any:
        """The SQL of the condition; None: all rows."""
        return filter_condition(self.cls, self.filter) if self.filter else None

    @property
    def sort_column(self) -> Column | None:
        """The column it is sorted by, if not by number."""
        return column_at(self.cls, self.sort.removeprefix("-")) if self.sort else None

    @property
    def is_persistent(self) -> bool:
        """Whether the rows are objects."""
        return issubclass(self.cls, Persistent)

    def address(self, path: str = "", **new: object) -> str:
        """Return the address of these rows, with some parameters changed; None removes one."""
        return changed(path or self.path, self.given, **new)

    def moved(self, place: int, step: int) -> str:
        """Return the address of the same rows with one column moved; empty where there is no further place."""
        paths = [c.path for c in self.columns]
        if not 0 <= place + step < len(paths):
            return ""
        paths.insert(place + step, paths.pop(place))
        return self.address(columns=",".join(paths))

    @cached_property
    def given(self) -> dict[str, str]:
        """The parameters that state this request, without those that are as always."""
        found = {"where": self.where} | {f"{BOX}{path}": text for path, text in self.boxes}
        found["columns"] = ",".join(c.path for c in self.columns) if self.given_columns else ""
        found |= {"sort": self.sort, "size": str(self.size) if self.size != 50 else ""}
        found |= {"after": self.after, "before": self.before, "count": "exact" if self.count_exactly else ""}
        found |= {"facets": "1" if self.facets else "", "project": self.project if self.project != ALL else ""}
        return {name: text for name, text in found.items() if text} | dict(self.extra)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def clean(given: Mapping[str, str]) -> dict[str, str]:
    """Return parameters without empty ones, operators put before their values: the form to keep."""
    found = {n: v.strip() for n, v in given.items() if not n.startswith((BOX, OPERATOR)) and v.strip()}
    for name, text in given.items():
        if name.startswith(BOX):
            operator, value = given.get(OPERATOR + name.removeprefix(BOX), "").strip(), text.strip()
            if value or operator.startswith("is "):
                found[name] = f"{operator} {value}".strip()
    for name, operator in given.items():
        box = BOX + name.removeprefix(OPERATOR)
        if name.startswith(OPERATOR) and box not in given and operator.strip():
            found[box] = operator.strip()
    return found


def parse_request(cls: type, given: Mapping[str, str], path: str = "", **more: Any) -> TableRequest:
    """Return the request that an address states; raise BadRequest naming what is wrong with it."""
    given = clean(given)
    check_names(given)
    values = {p.name: p.read(given.get(p.name)) for p in PARAMETERS}
    columns = columns_at(cls, values["columns"] or "")
    request = TableRequest(
        cls,
        columns or more.pop("usual", ()) or usual_columns(cls),
        values["where"] or "",
        tuple((n.removeprefix(BOX), v) for n, v in given.items() if n.startswith(BOX)),
        _sort(cls, values["sort"] or ""),
        values["size"] or 50,
        values["after"] or "",
        values["before"] or "",
        PROJECT.read(given.get("project")),
        values["count"] == "exact",
        values["facets"],
        bool(columns),
        path=path,
        **{n: v for n, v in more.items() if n != "usual"},
    )
    _ = request.condition  # what is wrong with it is said here
    return request


def check_names(given: Mapping[str, str]) -> None:
    """Raise BadRequest, naming it, if there is a parameter that no table has."""
    unknown = [n for n in given if n not in _NAMES and not n.startswith((BOX, OPERATOR))]
    if unknown:
        raise BadRequest(f"no table parameter {', '.join(unknown)[:60]!r}; there are {', '.join(sorted(_NAMES))}")


def usual_columns(cls: type) -> tuple[Column, ...]:
    """Return the columns that a table shows by itself."""
    assert issubclass(cls, Persistent)
    return tuple(column_at(cls, f.name) for f in brief_fields(cls))


def _sort(cls: type, text: str) -> str:
    if text and not column_at(cls, text.removeprefix("-")).is_sortable:
        raise BadRequest(f"a table can't be sorted by {text.removeprefix('-')[:60]}, which is no single value")
    return text


def prompt_line(request: TableRequest) -> str:
    """Return the line that gives the same rows at the prompt: as objects, or as a table where columns are chosen."""
    name = request.cls.__name__
    if request.is_persistent and not request.given_columns:
        found = f"find({name}, {request.filter!r})" if request.filter else f"{name}.select()"
        return f"{found}.order_by({_order(request)!r})"
    given = [_of(request), *([repr(request.filter)] if request.filter else [])]
    columns = ",".join(c.path for c in request.columns) if request.given_columns else ""
    named = {"columns": columns, "order_by": _order(request)}
    return f"table({', '.join([*given, *(f'{n}={v!r}' for n, v in named.items() if v)])})"


def command_line(request: TableRequest) -> str:
    """Return the command that gives the same rows in a shell."""
    words = ["awe", "find", _of(request), *([request.filter] if request.filter else [])]
    words += [f"--order-by={_order(request)}"] if _order(request) else []
    if request.given_columns:
        words += ["--columns", ",".join(c.path for c in request.columns)]
    return shlex.join([*words, "--limit", "0"])


def _of(request: TableRequest) -> str:
    """Return what the rows are of: a class, or the list with this number."""
    return request.cls.__name__ if request.is_persistent else str(request.fixed.right.value)


def _order(request: TableRequest) -> str:
    return request.sort or ("-object_id" if request.is_persistent else "")
