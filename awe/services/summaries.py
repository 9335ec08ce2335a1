"""Short descriptions of many objects at once: what a link to an object shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.model.access import visible
from awe.model.frame import Frame
from awe.model.instrument import Chip, Filter
from awe.model.persistent import Persistent, persistent_class

CHUNK = 20_000
"""Most ids in one statement: SQLite takes 32,766 values."""


@dataclass(frozen=True)
class Summary:
    """What identifies an object to a person."""

    object_id: int
    class_name: str
    words: str = ""
    is_valid: int = 1
    quality_flags: int = 0
    date_obs: datetime | None = None
    has_picture: bool = False

    @property
    def label(self) -> str:
        """Class, number and the words that tell it from its like."""
        return f"{self.class_name} {self.object_id} {self.words}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "object_id": self.object_id,
            "class": self.class_name,
            "label": self.label,
            "is_valid": self.is_valid,
            "quality_flags": self.quality_flags,
            "date_obs": self.date_obs.isoformat() if self.date_obs else None,
        }


def summaries(session: Session, object_ids: Iterable[int | None]) -> dict[int, Summary]:
    """Return summaries by id, of those that may be seen; a fixed number of statements for any number of objects."""
    wanted = sorted({i for i in object_ids if i is not None})
    found: dict[int, Summary] = {}
    for start in range(0, len(wanted), CHUNK):
        found |= _summaries(session, wanted[start : start + CHUNK])
    return found


def summary_with(session: Session, object_id: int) -> Summary:
    """Return the summary of one object; raise NotFound if there is none of this number."""
    found = summaries(session, [object_id]).get(object_id)
    if found is None:
        raise NotFound(f"no object {object_id}")
    return found


def _summaries(session: Session, ids: list[int]) -> dict[int, Summary]:
    table: Any = Persistent.__table__.c
    query = select(table.object_id, table.class_name, table.is_valid, table.quality_flags)
    rows = session.execute(visible(session, query.where(table.object_id.in_(ids)))).all()
    frames = _frames(session, [r.object_id for r in rows if issubclass(persistent_class(r.class_name), Frame)])
    named = _names(session, [(r.object_id, r.class_name) for r in rows])
    return {
        r.object_id: Summary(
            r.object_id,
            r.class_name,
            is_valid=r.is_valid,
            quality_flags=r.quality_flags,
            **frames.get(r.object_id, {"words": named.get(r.object_id, "")}),
        )
        for r in rows
    }


def _frames(session: Session, ids: list[int]) -> dict[int, dict[str, Any]]:
    if not ids:
        return {}
    frame: Any = Frame.__table__.c
    chip: Any = Chip.__table__.c
    passband: Any = Filter.__table__.c
    query = (
        select(
            frame.object_id,
            frame.object,
            frame.date_obs,
            frame.filename,
            chip.name.label("chip"),
            passband.name.label("filter"),
        )
        .select_from(
            Frame.__table__.outerjoin(Chip.__table__, frame.chip_id == chip.object_id).outerjoin(
                Filter.__table__, frame.filter_id == passband.object_id
            )
        )
        .where(frame.object_id.in_(ids))
    )
    return {
        r.object_id: {
            "words": " ".join(w for w in (r.object, r.filter, r.chip) if w),
            "date_obs": r.date_obs,
            "has_picture": r.filename is not None,
        }
        for r in session.execute(query).all()
    }


def _names(session: Session, objects: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Return the names of objects of classes that have one: one statement for each such class."""
    by_class: dict[type[Persistent], list[int]] = {}
    for object_id, class_name in objects:
        cls = persistent_class(class_name)
        if "name" in cls.__table__.c:
            by_class.setdefault(cls, []).append(object_id)
    found: dict[int, str] = {}
    for cls, ids in by_class.items():
        table: Any = cls.__table__.c
        found |= {
            r.object_id: r.name
            for r in session.execute(select(table.object_id, table.name).where(table.object_id.in_(ids)))
        }
    return found
