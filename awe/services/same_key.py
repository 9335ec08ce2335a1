"""Other versions of an object: those with the same key, such as the one that took its place."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.model.lineage import inputs
from awe.model.persistent import Persistent
from awe.services.summaries import Summary, summaries

MOST = 20
"""Versions that a page suggests to compare with, the newest first."""


def other_versions(session: Session, thing: Persistent) -> list[Summary]:
    """Return the other objects with the key of an object, the newest first; two statements and those of summaries."""
    cls: Any = type(thing)
    columns = _telling(cls)
    if not columns:
        return []
    query = select(cls.object_id).where(cls.object_id != thing.object_id)
    query = query.where(*(getattr(cls, column) == getattr(thing, column) for column in columns))
    numbers = session.scalars(query.order_by(cls.object_id.desc()).limit(MOST)).all()
    known = summaries(session, numbers)
    return [known[number] for number in numbers if number in known]


def _telling(cls: Any) -> list[str]:
    """Return the columns by which versions of an object are known: its key, or the exposure if that is of an input.

    The key of a weight map is the reduced frame: made again, that is another one, but of the same exposure.
    """
    declared = inputs(cls)
    single = [name for name in cls.__key__ if not (name in declared and declared[name].many)]
    if getattr(cls, "LIKE", "") in single:
        exposure = ["chip_id", "filter_id", "object", "date_obs", "exptime"]
        return exposure + [f"{name}_id" for name in single if name not in declared]
    return [f"{name}_id" if hasattr(cls, f"{name}_id") else name for name in single]
