"""The values of many objects at once, as the nodes and lists of a tree show them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.model.frame import FileBacked
from awe.model.persistent import Persistent, persistent_class
from awe.services.declared import Field, brief_fields, fields_of
from awe.services.summaries import CHUNK, Summary

_LEFT_OUT = {"object_id", "class_name", "is_valid", "quality_flags", "judgement", "fingerprint", "host", "mjd_obs"}
_LEFT_OUT |= {"software_version", "wall_time", "peak_memory", "process_status", "privileges", "size", "sha256", "hdu"}


_IN_LABEL = {"object", "name", "night"}
"""What the link of a row says already, or the time beside it."""


@dataclass(frozen=True)
class NodeValue:
    """A value of an object, with its field."""

    field: Field
    value: Any
    error: Any = None


def node_values(session: Session, shown: Iterable[Summary]) -> dict[int, list[NodeValue]]:
    """Return the values of objects that are set, by number; one statement for each class."""
    found: dict[int, list[NodeValue]] = {}
    for cls, numbers in _by_class(shown).items():
        fields = _all_columns(cls)
        for row in _rows(session, cls, fields, numbers):
            pairs = zip(fields, row[1:], strict=True)
            found[row[0]] = [NodeValue(f, value) for f, value in pairs if value is not None and value != ""]
    return found


def brief_rows(session: Session, shown: Iterable[Summary]) -> dict[int, tuple[Any, ...]]:
    """Return the values in `brief_columns` of the class of each object, by number; one statement for each class."""
    found: dict[int, tuple[Any, ...]] = {}
    for cls, numbers in _by_class(shown).items():
        found |= {row[0]: tuple(row[1:]) for row in _rows(session, cls, brief_columns(cls), numbers)}
    return found


@lru_cache
def brief_columns(cls: type[Persistent]) -> tuple[Field, ...]:
    """Return the fields that tell the members of a list apart."""
    left_out = _LEFT_OUT | _IN_LABEL
    own = [f for f in brief_fields(cls) if f.kind not in ("link", "list", "json") and f.name not in left_out]
    names = {f.name for f in own}
    filename = [f for f in fields_of(cls) if f.name == "filename" and f.name not in names]
    return (*own, *filename)


@lru_cache
def _all_columns(cls: type[Persistent]) -> tuple[Field, ...]:
    kinds = ("link", "list", "json")
    plain = [f for f in fields_of(cls) if (f.kind not in kinds or f.name == "wcs") and f.name not in _LEFT_OUT]
    own = [f for f in plain if f.role in ("measured", "parameter") or f.owner not in cls.__mro__[1:]]
    rest = [f for f in plain if f not in own]
    return (*own, *(f for f in rest if f.name not in FileBacked.__annotations__ or f.name == "filename"))


def _by_class(shown: Iterable[Summary]) -> dict[type[Persistent], list[int]]:
    groups: dict[type[Persistent], dict[int, None]] = {}
    for summary in shown:
        groups.setdefault(persistent_class(summary.class_name), {})[summary.object_id] = None
    return {cls: list(numbers) for cls, numbers in groups.items()}


def _rows(session: Session, cls: Any, fields: Sequence[Field], numbers: list[int]) -> Iterable[Any]:
    columns = [getattr(cls, f.name) for f in fields]
    for start in range(0, len(numbers), CHUNK):
        query = select(cls.object_id, *columns).where(cls.object_id.in_(numbers[start : start + CHUNK]))
        yield from session.execute(query)
