"""Whether an object is stale and why, told within the time that a page can wait."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import AweError, DatabaseUnavailable
from awe.model.persistent import Persistent
from awe.processing.staleness import why_stale
from awe.services.lineage_graph import all_edges
from awe.services.sessions import TookTooLong, deadline

LOOKED_AT = 30
"""Ancestors up to which the page of an object says at once whether it is stale: each costs some milliseconds."""

PATIENCE = 0.1
"""Seconds that the page of an object waits for this."""

LONG_PATIENCE = 20.0
"""Seconds that the page waits which tells nothing else."""


def short_story(session: Session, thing: Persistent) -> list[str] | None:
    """Return why an object is stale, one sentence each; None if that takes longer than its page waits."""
    return None if _has_many_ancestors(session, thing.object_id) else _story(session, thing, PATIENCE)


def full_story(session: Session, thing: Persistent) -> list[str]:
    """Return why an object is stale, looking at all it was made from; give up when a page can't wait any longer."""
    found = _story(session, thing, LONG_PATIENCE)
    if found is None:
        waited = f"whether {thing} is stale is not known after {LONG_PATIENCE:g} s"
        raise DatabaseUnavailable(f"{waited}: ask `awe why {thing.object_id}`")
    return found


def _story(session: Session, thing: Persistent, patience: float) -> list[str] | None:
    """Return why an object is stale, one sentence each; None if that takes longer than `patience` seconds to tell."""
    try:
        with deadline(session, patience):
            return why_stale(session, thing)
    except TookTooLong:
        return None
    except AweError as error:  # that it can't be judged is an answer, too
        return [str(error)]


def _has_many_ancestors(session: Session, object_id: int) -> bool:
    """Return whether an object has more ancestors than its page looks at; stops as soon as it is known."""
    graph = all_edges().c
    found: set[int] = set()
    level = {object_id}
    while level and len(found) <= LOOKED_AT:
        level = set(session.scalars(select(graph.input_id).where(graph.product_id.in_(level)))) - found
        found |= level
    return len(found) > LOOKED_AT
