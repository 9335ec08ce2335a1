"""Declare what a product is made from; schema, queries, up-to-date check and plans derive from that."""

import enum
import types
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ForwardRef, Protocol, Union, get_args, get_origin

from sqlalchemy import Boolean, DateTime, Float, ForeignKey, Integer, String, inspect, literal, select, union_all
from sqlalchemy import Enum as EnumType
from sqlalchemy.orm import Session, composite, mapped_column, relationship
from sqlalchemy.orm.properties import MappedColumn
from sqlalchemy.sql.selectable import Subquery
from sqlalchemy.types import TypeEngine

from awe.errors import BadRequest
from awe.model.queries import LinkComparator
from awe.model.small_tables import is_small


@dataclass(frozen=True)
class Wanted:
    """A product that a rule asks for by class and key; the planner finds it or plans to make it."""

    product_class: type
    key: dict[str, Any]
    optional: bool = False
    """True: having none is no error, if there is nothing it could be made of."""


class Rule(Protocol):
    """How the input of a product is chosen, or what to make if there is none.

    `choose` returns a persistent object, a `Wanted` (find it or make it), a list of these for inputs
    that are many, or None. It reads the database through `session` and changes nothing.
    """

    def choose(self, session: Session, source: type, product: Any) -> Any:
        """Return what `product` would use now, as objects of class `source` or as `Wanted`."""


@dataclass(frozen=True)
class Input:
    """One declared dependency of a product on other persistent objects."""

    doc: str
    rule: Rule | None = None
    """None: the input is part of the product's key, so the caller gives it."""
    name: str = ""
    source: type = object
    many: bool = False
    optional: bool = False
    members: type | None = None
    """For inputs that are many: the class of the membership rows (position, used, weight, reason)."""

    def used(self, product: Any) -> list[Any]:
        """Return the objects that `product` was made from in this role."""
        value = getattr(product, self.name)
        if self.many:
            return list(value)
        return [] if value is None else [value]


def uses(doc: str, rule: Rule | None = None, *, may_be_empty: bool = False) -> Any:
    """Declare an input; the annotation `Mapped[X]`, `Mapped[X | None]` or `Mapped[list[X]]` names its class.

    A list of inputs has one at least, unless it `may_be_empty`.
    """
    return Input(doc, rule, optional=may_be_empty)


@dataclass(frozen=True)
class _Link:
    doc: str


def links(doc: str) -> Any:
    """Declare a link to an object that describes this one but is no input, such as its chip; it is loaded with it."""
    return _Link(doc)


def described(
    doc: str, unit: str = "", *, ucd: str = "", sql: Any = None, index: bool = False, unique: bool = False, **more: Any
) -> Any:
    """Declare an attribute that the system or the user sets.

    `unit` is a VOUnit, `ucd` a UCD1+ word, `sql` the column type where the annotation does not tell it.
    """
    info = {"unit": unit, "ucd": ucd}
    kind = () if sql is None else (sql,)
    return mapped_column(*kind, comment=doc, info=info, index=index or None, unique=unique or None, **more)


def measured(doc: str, unit: str = "", *, ucd: str = "", sql: Any = None) -> Any:
    """Declare a value that the task measures on the product; null until it is measured."""
    info = {"unit": unit, "ucd": ucd, "measured": True}
    return mapped_column(*(() if sql is None else (sql,)), default=None, comment=doc, info=info)


def parameter(default: Any, doc: str, unit: str = "", *, least: float | None = None, most: float | None = None) -> Any:
    """Declare a process parameter: one field of the product's `Parameters`, between bounds if there are any."""
    return field(default=default, metadata={"doc": doc, "unit": unit, "least": least, "most": most})


def install(cls: Any) -> None:
    """Replace the declarations in the body of `cls` by columns and relationships."""
    for name, declared in list(vars(cls).items()):
        if isinstance(declared, Input):
            _install_input(cls, name, declared)
        elif isinstance(declared, _Link):
            source, _, optional = _annotated(cls, name)
            column = _foreign_key(cls, name, source, optional)
            how = "select" if is_small(source) else "joined"  # the small ones are set from what the session holds
            setattr(cls, name, _many_to_one(source, column, declared.doc, {}, lazy=how))
    if "Parameters" in vars(cls):
        columns = [_parameter_column(f, may_be_external(cls)) for f in fields(cls.Parameters)]
        absent = _all_none if may_be_external(cls) else None
        cls.parameters = composite(cls.Parameters, *columns, return_none_on=absent)


def _install_input(cls: type, name: str, declared: Input) -> None:
    source, many, optional = _annotated(cls, name)
    if many:
        members = _membership(cls, name, source)
        installed = Input(declared.doc, declared.rule, name, source, many, declared.optional, members)
        _install_many(cls, name, installed, members)
        return
    column = _foreign_key(cls, name, source, optional)
    installed = Input(declared.doc, declared.rule, name, source, many, optional)
    setattr(cls, name, _many_to_one(source, column, declared.doc, {"input": installed}))


def _many_to_one(source: type, column: MappedColumn[Any], doc: str, info: dict[str, Any], **more: Any) -> Any:
    remote = source.object_id  # type: ignore[attr-defined]
    return relationship(
        source,
        doc=doc,
        info=info,
        foreign_keys=[column],
        remote_side=[remote] if not isinstance(remote, MappedColumn) else [remote.column],
        comparator_factory=LinkComparator,
        **more,
    )


def _foreign_key(cls: type, name: str, source: type, optional: bool) -> MappedColumn[Any]:
    table = source.__tablename__  # type: ignore[attr-defined]
    nullable = optional or may_be_external(cls)
    column: MappedColumn[Any] = mapped_column(ForeignKey(f"{table}.object_id"), nullable=nullable, index=True)
    setattr(cls, f"{name}_id", column)
    return column


def _annotated(cls: type, name: str) -> tuple[type, bool, bool]:
    """Return (class, many, optional) of a declaration such as `Mapped[list[X]]` or `Mapped[X | None]`."""
    (annotation,) = get_args(cls.__annotations__[name])
    if isinstance(annotation, str | ForwardRef):  # only a class that refers to itself needs this
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        if text.removesuffix(" | None") != cls.__name__:
            raise TypeError(f"{cls.__name__}.{name}: only the class itself may be named as text, got {text!r}")
        return cls, False, text.endswith("| None")
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True, False
    if get_origin(annotation) in (Union, types.UnionType):
        (source,) = [part for part in get_args(annotation) if part is not type(None)]
        return source, False, True
    return annotation, False, False


def _membership(cls: type, name: str, source: type) -> type:
    """Return a mapped class of the rows that say which objects a product used in a role, in order."""
    base = next(b for b in cls.__mro__ if "metadata" in vars(b))
    own, other = cls.__tablename__, source.__tablename__  # type: ignore[attr-defined]
    body = {
        "__tablename__": f"{own}_{name}",
        "__doc__": f"One of the {name} of a {cls.__name__}.",
        "product_id": mapped_column(ForeignKey(f"{own}.object_id", ondelete="CASCADE"), primary_key=True),
        "input_id": mapped_column(ForeignKey(f"{other}.object_id"), primary_key=True, index=True),
        "position": mapped_column(Integer, nullable=False, comment="order among the inputs, from 0"),
        "used": mapped_column(Boolean, nullable=False, default=True, comment="false: looked at and left out"),
        "weight": mapped_column(Float, nullable=True, comment="weight of the input in the result"),
        "reason": mapped_column(String, nullable=True, comment="why it was left out"),
    }
    return type(f"{cls.__name__}{name.title().replace('_', '')}Member", (base,), body)


def _install_many(cls: type, name: str, declared: Input, members: Any) -> None:
    setattr(
        cls,
        f"{name}_members",
        relationship(members, order_by=members.position, cascade="all, delete-orphan", passive_deletes=True),
    )
    setattr(
        cls,
        name,
        relationship(
            declared.source,
            secondary=members.__table__,
            order_by=members.position,
            viewonly=True,
            doc=declared.doc,
            info={"input": declared},
            comparator_factory=LinkComparator,
        ),
    )


def may_be_external(cls: type) -> bool:
    """Return whether objects of a class may be made elsewhere: then they have no inputs and no process parameters."""
    return bool(getattr(cls, "MAY_BE_EXTERNAL", False))


def is_external(thing: Any) -> bool:
    """Return whether an object was made elsewhere: it has no inputs, so nothing ever makes it stale."""
    return bool(getattr(thing, "external", False))


def _all_none(*values: Any) -> bool:
    return all(value is None for value in values)


def _parameter_column(declared: Any, nullable: bool) -> MappedColumn[Any]:
    kind = declared.type
    if get_origin(kind) in (Union, types.UnionType):
        nullable = True
        (kind,) = [part for part in get_args(kind) if part is not type(None)]
    return mapped_column(
        f"param_{declared.name}",
        _column_type(kind),
        nullable=nullable,
        comment=declared.metadata["doc"],
        info={"unit": declared.metadata["unit"], "parameter": declared.name},
    )


def _column_type(kind: type) -> TypeEngine[Any]:
    if issubclass(kind, enum.Enum):
        return EnumType(kind, native_enum=False, length=32, values_callable=lambda e: [m.value for m in e])
    plain: dict[type, TypeEngine[Any]] = {
        bool: Boolean(),
        int: Integer(),
        float: Float(),
        str: String(),
        datetime: DateTime(),
    }
    return plain[kind]


def inputs(cls: type) -> dict[str, Input]:
    """Return the declared inputs of a class, by name, in the order of declaration."""
    return _inputs(cls)


@cache
def _inputs(cls: Any) -> dict[str, Input]:
    found: Any = inspect(cls).relationships
    return {r.key: r.info["input"] for r in found if "input" in r.info}


def parameters_of(cls: Any, **changed: Any) -> Any:
    """Return the parameters of a product class, with some changed; text is converted to the type of the field.

    Raises BadRequest for a parameter that the class does not have, and for a value of another type or out of bounds.
    """
    known = {f.name: f for f in fields(cls.Parameters)} if hasattr(cls, "Parameters") else {}
    for name in changed:
        if name not in known:
            names = ", ".join(known) or "none"
            raise BadRequest(f"{cls.__name__} has no parameter {name!r}; its parameters: {names}")
    return cls.Parameters(**{n: _parameter_value(cls, known[n], v) for n, v in changed.items()}) if known else None


def _parameter_value(cls: type, declared: Any, value: Any) -> Any:
    kind = declared.type
    if get_origin(kind) in (Union, types.UnionType):
        if value is None or str(value).lower() == "none":
            return None
        (kind,) = [part for part in get_args(kind) if part is not type(None)]
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        return _within_bounds(cls, declared, kind(value))
    except (KeyError, ValueError, TypeError) as error:
        choices = " or ".join(m.value for m in kind) if issubclass(kind, enum.Enum) else f"a {kind.__name__}"
        raise BadRequest(f"parameter {declared.name} of {cls.__name__} must be {choices}, got {value!r}") from error


def _within_bounds(cls: type, declared: Any, value: Any) -> Any:
    least, most = declared.metadata["least"], declared.metadata["most"]
    if (least is None or value >= least) and (most is None or value <= most):
        return value
    bounds = f"from {least:g} to {most:g}" if None not in (least, most) else f"{least:g} or more"
    raise BadRequest(f"parameter {declared.name} of {cls.__name__} must be {bounds}, got {value!r}")


def parameter_default(declared: Any) -> Any:
    """Return the default of a parameter field."""
    return None if declared.default is MISSING else declared.default


def sources(product: Any) -> Iterator[tuple[str, Any]]:
    """Yield (role, object) for each direct input of `product`."""
    for name, declared in inputs(type(product)).items():
        yield from ((name, source) for source in declared.used(product))


def bind(product: Any, role: str, chosen: Any) -> None:
    """Set one input of a new product; for inputs that are many, with one membership row each."""
    declared = inputs(type(product))[role]
    setattr(product, role, chosen)
    if declared.many:
        assert declared.members is not None
        rows = [declared.members(position=i, used=True) for i in range(len(chosen))]
        setattr(product, f"{role}_members", rows)


def edges(base: type) -> Subquery:
    """Return one SELECT of all (product_id, role, input_id): the lineage graph."""
    parts = []
    root: Any = inspect(base)
    for mapper in root.self_and_descendants:
        own = [r for r in mapper.relationships if "input" in r.info and r.parent is mapper]
        for declared in (r.info["input"] for r in own):
            role = literal(declared.name).label("role")
            if declared.many:
                rows = declared.members.__table__.c
                parts.append(select(rows.product_id.label("product_id"), role, rows.input_id.label("input_id")))
            else:
                table = mapper.local_table.c
                column = table[f"{declared.name}_id"]
                parts.append(
                    select(table.object_id.label("product_id"), role, column.label("input_id")).where(
                        column.isnot(None)
                    )
                )
    return union_all(*parts).subquery("lineage")


def descendants(session: Session, base: type, object_ids: Iterable[int]) -> set[int]:
    """Return the ids of every product that was made, directly or not, from the given objects."""
    return _closure(session, base, object_ids, downward=True)


def ancestors(session: Session, base: type, object_ids: Iterable[int]) -> set[int]:
    """Return the ids of everything that the given objects were made from, directly or not."""
    return _closure(session, base, object_ids, downward=False)


def _closure(session: Session, base: type, object_ids: Iterable[int], *, downward: bool) -> set[int]:
    graph = edges(base)
    here, there = (graph.c.input_id, graph.c.product_id) if downward else (graph.c.product_id, graph.c.input_id)
    found: set[int] = set()
    level = set(object_ids)
    while level:
        level = set(session.scalars(select(there).where(here.in_(level)))) - found
        found |= level
    return found
