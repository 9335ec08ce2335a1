"""What a page needs to know of a class, read from its declaration: fields with unit and meaning."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Boolean, Date, DateTime, Enum, Float, Integer, inspect
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty
from sqlalchemy.types import TypeEngine

from awe.model.frame import EXPOSURE, FileBacked, Frame
from awe.model.lineage import Input
from awe.model.persistent import Persistent

_KINDS: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (JSON, "json"),
    (Boolean, "truth"),
    (DateTime, "time"),
    (Date, "date"),
    (Enum, "text"),
    (Integer, "number"),
    (Float, "number"),
)
_JUDGEMENT = ("seeing", "creation_date", "is_valid", "quality_flags")


@dataclass(frozen=True)
class Field:
    """One value, link or list of inputs that the objects of a class have."""

    name: str
    kind: str
    """number, text, time, date, truth, json, link (one object) or list (many)."""
    role: str
    """described, measured, parameter, input or link."""
    doc: str
    unit: str
    owner: type
    target: type | None = None

    @property
    def column(self) -> str:
        """Name of the attribute that is selected and sorted by."""
        return f"{self.name}_id" if self.kind == "link" else self.name

    @property
    def label(self) -> str:
        """Name as people read it."""
        return self.name.removeprefix("param_").replace("_", " ")


@lru_cache
def fields_of(cls: type[Persistent]) -> tuple[Field, ...]:
    """Return the fields of a class: what its body declares and what it inherits; links before values."""
    mapper = inspect(cls)
    linked = [_link(r) for r in mapper.relationships if _is_link(r)]
    return (*linked, *_values(cls))


def field_named(cls: type[Persistent], name: str) -> Field | None:
    """Return the field with this name, if there is one."""
    return next((f for f in fields_of(cls) if f.name == name), None)


def scalar_fields(cls: type[Persistent]) -> list[Field]:
    """Return the fields that a table can show, one value in a cell."""
    return [f for f in fields_of(cls) if f.kind != "list"]


@lru_cache
def brief_fields(cls: type[Persistent]) -> tuple[Field, ...]:
    """Return the fields that a table shows by itself: identity, exposure, what is the class's own, judgement."""
    shown = scalar_fields(cls)
    own = [f for f in shown if f.owner in _own_family(cls) and _is_brief(f, cls)]
    by_name = {f.name: f for f in shown}
    names = ["object_id", *(["class_name"] if has_subclasses(cls) else [])]
    names += [n for n in EXPOSURE if issubclass(cls, Frame) and n not in ("mjd_obs", "instrument")]
    names += [f.name for f in own]
    names += [n for n in _JUDGEMENT if n in by_name]
    return tuple(by_name[n] for n in dict.fromkeys(names))


def _is_brief(field: Field, cls: type[Persistent]) -> bool:
    """Return whether a field of the class itself is worth a column: inputs only if they tell what the object is of."""
    if field.role == "input":
        return field.name in cls.__key__
    return field.kind != "json" and field.role != "parameter" and field.name not in FileBacked.__annotations__


def _own_family(cls: type[Persistent]) -> set[type]:
    """Return the class and those above it that are neither frame nor root, such as RawFrame of a RawBiasFrame."""
    shared = set(Frame.__mro__) if cls is not Frame else set(Persistent.__mro__)
    return {c for c in cls.__mro__ if issubclass(c, Persistent) and c not in shared}


def has_subclasses(cls: type[Persistent]) -> bool:
    """Return whether objects of the class may be of a more special one."""
    return len(list(inspect(cls).self_and_descendants)) > 1


def summary_of(thing: Any) -> str:
    """Return the first line of the description of a class or module, as plain text."""
    return (thing.__doc__ or "").strip().split("\n")[0].replace("`", "")


def _is_link(relation: RelationshipProperty[Any]) -> bool:
    return issubclass(relation.mapper.class_, Persistent) and (
        "input" in relation.info or relation.direction is RelationshipDirection.MANYTOONE
    )


def _link(relation: RelationshipProperty[Any]) -> Field:
    declared: Input | None = relation.info.get("input")
    kind = "list" if declared and declared.many else "link"
    role = "input" if declared else "link"
    return Field(
        relation.key, kind, role, relation.doc or "", "", relation.parent.class_, target=relation.mapper.class_
    )


def _values(cls: type[Persistent]) -> list[Field]:
    found = []
    for attribute in inspect(cls).column_attrs:
        column: Any = attribute.columns[-1]
        if column.foreign_keys:
            continue
        role = "measured" if column.info.get("measured") else "parameter" if "parameter" in column.info else "described"
        unit = column.info.get("unit", "")
        owner = attribute.parent.class_
        found.append(Field(attribute.key, kind_of_type(column.type), role, column.comment or "", unit, owner))
    return found


def kind_of_type(kind: TypeEngine[Any]) -> str:
    """Return what a column of a type holds: number, text, time, date, truth or json."""
    return next((name for known, name in _KINDS if isinstance(kind, known)), "text")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; times as ISO text."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return getattr(value, "value", value)
