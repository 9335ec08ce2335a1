"""What became of each file that was given to ingest."""

import enum
from datetime import datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from awe.model.lineage import described
from awe.model.persistent import Base, utc_now


class Verdict(enum.StrEnum):
    """What became of a file."""

    INGESTED = "ingested"
    PRESENT = "already there"
    REFUSED = "refused"


class Ingested(Base):
    """The verdict on one file, with the reason."""

    __tablename__ = "ingested"

    ingested_id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = described("where the file was", index=True)
    verdict: Mapped[str] = described("ingested, already there, or refused", index=True)
    reason: Mapped[str] = described("why")
    sha256: Mapped[str | None] = described("SHA-256 of the file", index=True)
    size: Mapped[int | None] = described("size of the file", unit="byte", sql=BigInteger)
    moment: Mapped[datetime] = described("when (UTC)", default=utc_now)
    creator: Mapped[str] = described("who")
