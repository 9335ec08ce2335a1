"""The record of what was made on demand: written once for each address, listed newest first."""

from collections.abc import Sequence

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.model.access import is_restricted, visible
from awe.model.persistent import Persistent
from awe.model.rendering import Rendering


def record(engine: Engine, rendering: Rendering) -> None:
    """Enter what was made; the same address again changes nothing."""
    known = select(Rendering.rendering_id).where(Rendering.address == rendering.address)
    with short_transaction(engine) as session:
        if session.scalar(known) is not None:
            return
        session.add(rendering)
        try:
            session.flush()
        except IntegrityError:  # another process was faster
            session.rollback()


def earlier(
    session: Session, service: str, page: int = 1, size: int = 60, creator: str | None = None
) -> Sequence[Rendering]:
    """Return a page of what a service has made, newest first."""
    query = select(Rendering).where(Rendering.service == service)
    if creator is not None:
        query = query.where(Rendering.creator == creator)
    query = query.order_by(Rendering.created.desc(), Rendering.rendering_id.desc())
    return session.scalars(query.limit(size).offset((page - 1) * size)).all()


def seen_by(session: Session, found: Sequence[Rendering]) -> list[Rendering]:
    """Return those of some renderings whose objects may all be seen by whom the session reads for; one statement."""
    if not is_restricted(session):
        return list(found)
    numbers = {number for rendering in found for number in rendering.objects}
    table = Persistent.__table__.c
    query = visible(session, select(table.object_id).where(table.object_id.in_(sorted(numbers))))
    known = set(session.scalars(query))
    return [rendering for rendering in found if known.issuperset(rendering.objects)]
