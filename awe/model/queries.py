"""Query persistent objects in their own terms: `(ReducedFrame.bias.sigma < 6) & (ReducedFrame.object == "M67")`."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Date, Select, and_, event, func, inspect, not_, or_, select
from sqlalchemy.orm import ColumnProperty, QueryableAttribute, RelationshipProperty, Session
from sqlalchemy.sql import operators

from awe.errors import BadRequest, NotFound
from awe.model.attributes import attribute
from awe.model.path_values import value_at

_session: ContextVar[Callable[[], Session] | None] = ContextVar("awe_session", default=None)
_identity: ContextVar[tuple[str, str]] = ContextVar("awe_identity", default=("", ""))

_SLOTS = {"entity", "mapper", "property"}
"""Names that SQLAlchemy itself looks up lazily on a comparator."""


def connect_queries(session: Callable[[], Session] | None, user: str = "", project: str = "") -> None:
    """Name the session (as a function that returns it), user and project that queries use."""
    _session.set(session)
    _identity.set((user, project))


def current_session() -> Session:
    """Return the session of the prompt."""
    provide = _session.get()
    if provide is None:
        raise BadRequest("not connected to a database: call awe.connect() first (`awe prompt` does it for you)")
    return provide()


class _Found(Iterator[Any]):
    """The objects that one use of a query found, from the first on."""

    def __init__(self, objects: Sequence[Any]) -> None:
        self._objects = iter(objects)
        self.untouched: int | None = len(objects)
        """Their number, as long as none was taken."""

    def __next__(self) -> Any:
        self.untouched = None
        return next(self._objects)


class Query:
    """A lazy selection of persistent objects; it is also a condition, and costs one statement for each use."""

    def __init__(self, cls: type, condition: ColumnElement[bool], order: tuple[Any, ...] = ()) -> None:
        self.persistent_class = cls
        self._condition = condition
        self._order = order
        self._iteration: Callable[[], _Found | None] = lambda: None

    def __clause_element__(self) -> ColumnElement[bool]:
        return self._condition

    def __and__(self, other: Any) -> "Query":
        return self._with(and_(self._condition, other), other)

    def __or__(self, other: Any) -> "Query":
        return self._with(or_(self._condition, other), other)

    def __invert__(self) -> "Query":
        return self._with(not_(self._condition))

    def __bool__(self) -> bool:
        raise TypeError("a query is neither true nor false: combine with & | ~ (not and, or, not), count with len()")

    def _with(self, condition: ColumnElement[bool], other: Any = None) -> "Query":
        cls = self.persistent_class
        if isinstance(other, Query) and other.persistent_class is not cls:
            if issubclass(other.persistent_class, cls):
                cls = other.persistent_class
            elif not issubclass(cls, other.persistent_class):
                raise BadRequest(
                    f"conditions on {cls.__name__} and on {other.persistent_class.__name__} can't be combined: "
                    "start all from one class and follow its links"
                )
        return Query(cls, condition, self._order)

    @property
    def statement(self) -> Select[Any]:
        """The SELECT that gives the objects."""
        cls: Any = self.persistent_class
        return select(cls).where(self._condition).order_by(*self._order, cls.object_id)

    def __len__(self) -> int:
        begun = self._iteration()
        if begun is not None and begun.untouched is not None:
            return begun.untouched  # list(query) asks for the length after the iterator: no second statement for that
        cls: Any = self.persistent_class
        return current_session().scalar(select(func.count(cls.object_id)).where(self._condition)) or 0

    def __iter__(self) -> Iterator[Any]:
        found = _Found(current_session().scalars(self.statement).unique().all())
        self._iteration = weakref.ref(found)
        return found

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        if index < 0:
            return self._reversed()[-index - 1]
        found = current_session().scalars(self.statement.offset(index).limit(1)).unique().first()
        if found is None:
            raise IndexError(f"no object {index} in this selection of {self.persistent_class.__name__}")
        return found

    def _slice(self, index: slice) -> list[Any]:
        start = index.start or 0
        if start < 0 or (index.stop or 0) < 0:
            return list(self)[index]
        limited = self.statement.offset(start)
        if index.stop is not None:
            limited = limited.limit(max(index.stop - start, 0))
        return list(current_session().scalars(limited).unique())[:: index.step or 1]

    def _reversed(self) -> "Query":
        cls: Any = self.persistent_class
        order = tuple(_turned(o) for o in (*self._order, cls.object_id))
        return Query(self.persistent_class, self._condition, order)

    def order_by(self, name: str) -> "Query":
        """Return the same selection in the order of an attribute; `-name` is descending, unknown values come last.

        The name may go through links, as in `raw.exptime`.
        """
        column = value_at(self.persistent_class, name.removeprefix("-"))
        known_first = _plain(column.is_(None))  # databases differ in where they put null
        order = (known_first, column.desc() if name.startswith("-") else column.asc())
        return Query(self.persistent_class, self._condition, order)

    def first(self) -> Any:
        """Return the first object; None if there is none."""
        return current_session().scalars(self.statement.limit(1)).unique().first()

    def max(self, name: str) -> Any:
        """Return the object with the largest value of an attribute; None if there is none."""
        known = attribute(self.persistent_class, name).isnot(None)
        found: Query = self & known
        return found.order_by(f"-{name}").first()

    def min(self, name: str) -> Any:
        """Return the object with the smallest value of an attribute; None if there is none."""
        known = attribute(self.persistent_class, name).isnot(None)
        return (self & known).order_by(name).first()

    def project_only(self, project: str | None = None) -> "Query":
        """Return only the objects of a project; without argument, of the current one."""
        cls: Any = self.persistent_class
        found: Query = self & (cls.project == (project or _identity.get()[1]))
        return found

    def user_only(self, user: str | None = None) -> "Query":
        """Return only the objects that a user made; without argument, the current one."""
        cls: Any = self.persistent_class
        found: Query = self & (cls.creator == (user or _identity.get()[0]))
        return found

    def without(self, link: Any) -> "Query":
        """Return only the objects that no product uses by `link`: `raws.without(ReducedFrame.raw)`."""
        declared = link.property.info["input"]
        if declared.many:
            used = select(declared.members.input_id)
        else:
            column = getattr(link.class_, f"{link.key}_id")
            used = select(column).where(column.isnot(None))
        cls: Any = self.persistent_class
        found: Query = self & cls.object_id.not_in(used)
        return found

    def info(self) -> str:
        """Return a sentence that says what is selected, how many there are, and the SQL."""
        return f"{len(self)} {self.persistent_class.__name__} where {self._condition}"

    def __repr__(self) -> str:
        return f"<query of {self.persistent_class.__name__} where {self._condition}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{o.object_id}</td><td>{o}</td></tr>" for o in self[:20])
        return f"<p>{len(self)} {self.persistent_class.__name__}</p><table>{rows}</table>"


def _turned(order: Any) -> Any:
    """Return the opposite of one term of an order."""
    modifier = getattr(order, "modifier", None)
    if modifier is operators.desc_op:
        return order.element.asc()
    return (order.element if modifier is operators.asc_op else order).desc()


class ColumnComparator(ColumnProperty.Comparator[Any]):
    """Turns the comparison of a class attribute into a query."""

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
        """Return a query for a comparison, plain SQL for anything else."""
        return self._wrapped(op, super().operate(op, *other, **kwargs))

    def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> Any:
        """Return a query for a comparison whose attribute stands on the right."""
        return self._wrapped(op, super().reverse_operate(op, other, **kwargs))

    def _wrapped(self, op: Any, result: Any) -> Any:
        if not operators.is_comparison(op):
            return result
        return Query(self._parententity.class_, result)


class Path:
    """An attribute reached through one or more links; comparing it gives a query with an EXISTS condition."""

    def __init__(self, link: "LinkComparator", attribute: Any) -> None:
        self._link = link
        self._attribute = attribute

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._attribute, name)
        if isinstance(found, QueryableAttribute | Path) or not callable(found):
            return Path(self._link, found)
        return lambda *args, **kwargs: self._where(found(*args, **kwargs))

    def _where(self, condition: Any) -> Query:
        found: Query = self._link.any(condition) if self._link.property.uselist else self._link.has(condition)
        return found

    def __eq__(self, other: Any) -> Any:
        return self._where(self._attribute == other)

    def __ne__(self, other: Any) -> Any:
        return self._where(self._attribute != other)

    def __lt__(self, other: Any) -> Any:
        return self._where(self._attribute < other)

    def __le__(self, other: Any) -> Any:
        return self._where(self._attribute <= other)

    def __gt__(self, other: Any) -> Any:
        return self._where(self._attribute > other)

    def __ge__(self, other: Any) -> Any:
        return self._where(self._attribute >= other)

    __hash__ = None  # type: ignore[assignment]


def _plain(condition: Any) -> Any:
    return condition.__clause_element__() if isinstance(condition, Query) else condition


class LinkComparator(RelationshipProperty.Comparator[Any]):
    """Lets the attributes of the linked class be named after a link, and turns comparisons into queries."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _SLOTS:
            return super().__getattr__(name)
        return Path(self, attribute(self.mapper.class_, name))

    def _query(self, condition: ColumnElement[bool]) -> Query:
        return Query(self._parententity.class_, condition)

    def has(self, criterion: Any = None, **named: Any) -> Any:
        """Return a query for objects whose link leads to one that fulfils a condition."""
        return self._query(self._leading_to(criterion, named))

    def any(self, criterion: Any = None, **named: Any) -> Any:
        """Return a query for objects of whose links one leads to one that fulfils a condition."""
        return self._query(self._leading_to(criterion, named))

    def contains(self, other: Any, **kwargs: Any) -> Any:
        """Return a query for objects of whose links one leads to `other`."""
        return self._query(self._leading_to(None, {"object_id": other.object_id}))

    def _leading_to(self, criterion: Any, named: dict[str, Any]) -> ColumnElement[bool]:
        """Return the condition as `IN (SELECT ...)`: each class keeps its own tables, at any depth of a path.

        An empty link fulfils its negation, as it does with EXISTS.
        """
        (own, ids), *more = self.property.local_remote_pairs or ()
        here = getattr(self._parententity.entity, self.property.parent.get_property_by_column(own).key)
        target = inspect(self.mapper.class_)
        remote = getattr(target.class_, target.get_property_by_column(more[0][0] if more else ids).key)
        found = select(ids if more else remote).select_from(target.class_).correlate(None)
        if more:
            membership: Any = self.property.secondary
            found = found.join(membership, _plain(remote == more[0][1]))
        conditions = [getattr(target.class_, name) == value for name, value in named.items()]
        found = found.where(*conditions, *(() if criterion is None else (_plain(criterion),)))
        # the parser of SQLite holds deeper paths if the subquery comes first
        return and_(_plain(here.in_(found)), _plain(here.isnot(None)))

    def in_(self, other: Any) -> Any:
        """Return a query for objects whose link leads to one of `other`."""
        column = getattr(self._parententity.class_, f"{self.property.key}_id")
        return self._query(_plain(column.in_([o.object_id for o in other])))

    def __eq__(self, other: Any) -> Any:
        return self._query(super().__eq__(other))

    def __ne__(self, other: Any) -> Any:
        return self._query(super().__ne__(other))

    __hash__ = RelationshipProperty.Comparator.__hash__  # type: ignore[assignment]


def make_queryable(base: type) -> None:
    """Let the column attributes of all classes below `base` give queries when they are compared."""

    @event.listens_for(base, "attribute_instrument", propagate=True)
    def _instrumented(cls: type, key: str, attribute: Any) -> None:
        if isinstance(attribute.property, ColumnProperty) and not isinstance(attribute.comparator, ColumnComparator):
            attribute.comparator = ColumnComparator(attribute.property, attribute.parent)


def select_named(cls: Any, **named: Any) -> Query:
    """Return the objects of a class chosen by attribute values, or by names of what they link to.

    `night` is the date of the local noon that starts the night (text or date). A text given for a link
    is compared with the `name` of what the link leads to; `*` and `?` are wildcards.
    """
    query = Query(cls, cls.object_id.isnot(None).__clause_element__())
    for name, value in named.items():
        if value is None:
            continue
        target = attribute(cls, name)
        if isinstance(target.property, RelationshipProperty) and isinstance(value, str):
            target = target.name
        elif isinstance(value, str) and isinstance(target.property.columns[0].type, Date):
            value = _date(name, value)  # noqa: PLW2901
        is_pattern = isinstance(value, str) and _is_pattern(value)
        query &= target.like(_sql_pattern(value), escape="\\") if is_pattern else target == value
    return query


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{name} must be a date like 2026-01-31, got {text!r}") from error


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _sql_pattern(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return text.replace("*", "%").replace("?", "_")


def one(session: Session, cls: Any, **named: Any) -> Any:
    """Return the only object with these attribute values; raise NotFound, with what there is, otherwise."""
    found = session.scalars(select(cls).filter_by(**named)).unique().all()
    if len(found) == 1:
        return found[0]
    wanted = ", ".join(f"{k} {v}" for k, v in named.items())
    if found:
        raise NotFound(f"{len(found)} {cls.__name__} with {wanted}: {', '.join(map(str, found[:5]))}")
    raise NotFound(f"no {cls.__name__} with {wanted}")
