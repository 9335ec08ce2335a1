"""The rows of source lists and associate lists as classes, so that they are queried like objects."""

from typing import Any

from sqlalchemy.orm import Mapped, foreign, relationship

from awe.model.catalogue import ASSOCIATES, SOURCES, AssociateList, SourceList
from awe.model.persistent import Base


class Source(Base):
    """One source of a source list, numbered (SLID, SID)."""

    __table__ = SOURCES

    source_list: Mapped[SourceList] = relationship(
        primaryjoin=foreign(SOURCES.c.SLID) == SourceList.__table__.c.object_id,
        viewonly=True,
        doc="the list it is of: its frame, and all that was made from",
    )


class Associate(Base):
    """One member of an associate, numbered (ALID, AID); a source of one of the lists."""

    __table__ = ASSOCIATES

    source: Mapped[Source] = relationship(
        primaryjoin=(foreign(ASSOCIATES.c.SLID) == SOURCES.c.SLID) & (foreign(ASSOCIATES.c.SID) == SOURCES.c.SID),
        viewonly=True,
        doc="the source itself: its position, fluxes and shape",
    )
    associate_list: Mapped[AssociateList] = relationship(
        primaryjoin=foreign(ASSOCIATES.c.ALID) == AssociateList.__table__.c.object_id,
        viewonly=True,
        doc="the list it is of, and the source lists that were associated",
    )


def rows_of(list_class: str) -> tuple[Any, Any]:
    """Return the class of the rows of a list, and their column with the number of the list."""
    return {"SourceList": (Source, SOURCES.c.SLID), "AssociateList": (Associate, ASSOCIATES.c.ALID)}[list_class]
