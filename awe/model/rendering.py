"""What was made on demand for people to look at, so that it can be found again: cutouts, colour pictures and such."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from awe.model.lineage import described
from awe.model.persistent import Base, utc_now


class Rendering(Base):
    """A picture, or set of pictures, that somebody asked a service for; the address makes it again at any time."""

    __tablename__ = "rendering"

    rendering_id: Mapped[int] = mapped_column(primary_key=True)
    service: Mapped[str] = described("service that made it: cutouts, rgb or depcuts", index=True)
    address: Mapped[str] = described("path and parameters that make it again", unique=True)
    title: Mapped[str] = described("what it shows, in words")
    objects: Mapped[list[int]] = described("numbers of the objects that it shows", sql=JSON)
    files: Mapped[int] = described("number of pictures", default=1)
    creator: Mapped[str] = described("who asked for it first; empty: somebody without a token")
    project: Mapped[str] = described("project of the objects")
    created: Mapped[datetime] = described("when it was asked for first (UTC)", default=utc_now, index=True)

    def __str__(self) -> str:
        return self.title


class PositionList(Base):
    """Places on the sky that somebody sent, so that cutouts around them have an address."""

    __tablename__ = "position_list"

    key: Mapped[str] = mapped_column(String(32), primary_key=True, comment="SHA-256 of the positions, first 32 digits")
    name: Mapped[str] = described("name of the file they came in", default="")
    positions: Mapped[list[Any]] = described("[name, ra, dec] of each", unit="deg", sql=JSON)
    creator: Mapped[str] = described("who sent them; empty: somebody without a token")
    created: Mapped[datetime] = described("when (UTC)", default=utc_now)

    def __str__(self) -> str:
        return f"{len(self.positions)} positions {self.name}".rstrip()
