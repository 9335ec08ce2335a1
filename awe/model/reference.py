"""Reference catalogues: positions and magnitudes measured by others."""

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, relationship

from awe.model.frame import FileBacked, SkyCell
from awe.model.lineage import described
from awe.model.persistent import Persistent


class ReferenceCatalogue(FileBacked, Persistent):
    """A table of stars of known position, and perhaps magnitude, kept as a FITS table sorted by sky cell."""

    __key__ = ("name",)

    name: Mapped[str] = described("name", index=True)
    description: Mapped[str] = described("what it is and where it comes from", default="")
    epoch: Mapped[float | None] = described("epoch of the positions, where the table has no column for it", unit="yr")
    astrometric: Mapped[bool] = described("good enough to solve astrometry with", default=True)
    bands: Mapped[list[str]] = described("bands with magnitudes", sql=JSON, default=list)
    rows: Mapped[int] = described("number of stars", default=0)
    position_error: Mapped[float | None] = described("typical error of a position", unit="mas")

    cells: Mapped[list[SkyCell]] = relationship(
        primaryjoin="ReferenceCatalogue.object_id == foreign(SkyCell.object_id)",
        cascade="all, delete-orphan",
        passive_deletes=True,
        overlaps="cells",
    )

    def __str__(self) -> str:
        return f"catalogue {self.name}"
