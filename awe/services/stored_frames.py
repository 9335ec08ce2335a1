"""Where the pixels of frames lie, in files and on the sky, for many frames at once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs
from awe.model.access import visible
from awe.model.astrometric import AstrometricParameters
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Chip, Filter
from awe.model.persistent import Persistent, persistent_class
from awe.model.raw import RawFrame
from awe.model.science import ReducedFrame
from awe.services.summaries import CHUNK

GRIDDED = (Coadd, RegriddedFrame)
"""Classes whose own coordinate system is the right one; that of frames of a chip is what the telescope said."""


class Plane(StrEnum):
    """Which image of a file is shown."""

    IMAGE = "image"
    WEIGHT = "weight"
    FLAGS = "flags"


@dataclass(frozen=True)
class StoredFrame:
    """A frame as far as its pixels are concerned: where they lie in a file, and on the sky."""

    object_id: int
    class_name: str
    filename: str
    content: str
    """Tells its pixels from all others: the checksum of the file."""
    hdu: int
    nx: int
    """Size of the image; 0 if only the file tells it."""
    ny: int
    date_obs: datetime
    object: str = ""
    filter: str = ""
    chip: str = ""
    unit: str = ""
    cards: Mapping[str, Any] | None = None
    """Its own coordinate system, as the header has it."""
    solved: Wcs | None = None
    """A better one."""

    @cached_property
    def wcs(self) -> Wcs | None:
        """The best coordinate system that is known; None if no coordinates can be used."""
        return self.solved or _wcs(self.cards)

    @property
    def words(self) -> str:
        """What tells it from its like: target, filter, chip."""
        return " ".join(word for word in (self.object, self.filter, self.chip) if word)

    @property
    def label(self) -> str:
        """Class, number and the words that tell it from its like."""
        return f"{self.class_name} {self.object_id} {self.words}".rstrip()

    @property
    def stem(self) -> str:
        """Name of the file without its suffix."""
        return self.filename.removesuffix(".fz").removesuffix(".gz").removesuffix(".fits")

    def hdu_of(self, plane: Plane) -> int | str:
        """Return the HDU of a plane."""
        return self.hdu if plane is Plane.IMAGE else plane.value.upper()

    def unit_of(self, plane: Plane) -> str:
        """Return the unit of the pixels of a plane: weights are inverse variances."""
        if plane is Plane.WEIGHT:
            return f"{self.unit}**-2" if self.unit else ""
        return "" if self.is_map(plane) else self.unit

    def is_map(self, plane: Plane) -> bool:
        """Tell whether the pixels of a plane are bits that say what is wrong with them."""
        return plane is Plane.FLAGS or (plane is Plane.IMAGE and self.class_name.endswith("Map"))

    @property
    def may_be_mesh(self) -> bool:
        """Tell whether its file may hold a mesh in place of all pixels."""
        return bool(getattr(persistent_class(self.class_name), "STORED_AS_MESH", False))

    @property
    def is_gridded(self) -> bool:
        """Tell whether its place on the sky is its own and never changes."""
        return issubclass(persistent_class(self.class_name), GRIDDED)

    @property
    def extent(self) -> str:
        """Size, and place on the sky, in words."""
        size = f"the image of {self.label} has {self.nx} x {self.ny} pixels (x, y)"
        if self.wcs is None:
            return size
        ra, dec = self.wcs.centre(self.nx, self.ny)
        reach = math.hypot(self.nx, self.ny) / 2 * self.wcs.scale
        return f"{size}, its centre is at {ra:.5f} {dec:+.5f} deg and its corners within {reach:.0f} arcsec"


@dataclass(frozen=True)
class Solution:
    """Which coordinate system holds for the pixels of a frame, and where it is from."""

    wcs: Wcs
    source: str


def stored_frames(session: Session, object_ids: Iterable[int]) -> dict[int, StoredFrame]:
    """Return the frames of some numbers that have a file, and that may be seen; one statement for any number."""
    wanted = sorted(set(object_ids))
    frame = Frame.__table__.c.object_id
    found: dict[int, StoredFrame] = {}
    for start in range(0, len(wanted), CHUNK):
        found |= frames_where(session, frame.in_(wanted[start : start + CHUNK]))
    return found


def frames_where(session: Session, condition: ColumnElement[bool]) -> dict[int, StoredFrame]:
    """Return the frames that have a file, may be seen, and fulfil a condition."""
    rows = session.execute(visible(session, _columns().where(condition)))
    return {row.object_id: _frame(row) for row in rows}


def current_file(session: Session, object_id: int) -> str | None:
    """Return the name of the file of a frame that is there and may be seen; None if not, or if it has no file."""
    frame, persistent = Frame.__table__, Persistent.__table__
    query = select(frame.c.filename).join_from(frame, persistent, persistent.c.object_id == frame.c.object_id)
    found: str | None = session.scalar(visible(session, query.where(persistent.c.object_id == object_id)))
    return found


def stored_frame(session: Session, object_id: int) -> StoredFrame:
    """Return a frame; raise NotFound if the object is none, or has no file."""
    found = stored_frames(session, [object_id])
    if object_id in found:
        return found[object_id]
    query = select(Persistent.__table__.c.class_name).where(Persistent.__table__.c.object_id == object_id)
    name = session.scalar(visible(session, query))
    if name is None:
        raise NotFound(f"no object {object_id}")
    reduced = RegriddedFrame.__table__.c
    source = session.scalar(select(reduced.reduced_id).where(reduced.object_id == object_id))
    raise NotFound(f"{name} {object_id} has no image file" + (f": {not_kept(source)}" if source else ""))


def not_kept(reduced_id: int) -> str:
    """Return why a regridded frame has no file, where its pixels are, and how to get a file."""
    return (
        "files of regridded frames were not kept when it was made (the setting keep_regridded); its pixels are those "
        f"of ReducedFrame {reduced_id}, which coadds read; for a file, judge it invalid and make it again with "
        "--keep-regridded true"
    )


def solutions(session: Session, frames: Iterable[StoredFrame]) -> dict[int, Solution]:
    """Return the best coordinate systems of frames, by number; none of those without a place on the sky.

    Coadds and regridded frames have their own. For the images of an exposure it is the last valid astrometric
    solution, moved by the corner of the data section for raw frames; where there is none, what the header said.
    The number of statements does not grow with the number of frames.
    """
    of = {frame.object_id: frame for frame in frames}
    reduced, corners = _reduced(session, of.values())
    solved = _astrometry(session, set(reduced.values()))
    found: dict[int, Solution] = {}
    for number, frame in of.items():
        number_of_solution, cards = solved.get(reduced.get(number, 0), (0, None))
        wcs = _wcs(cards)
        if wcs is not None:
            found[number] = Solution(
                wcs.shifted(*corners.get(number, (0, 0))), f"AstrometricParameters {number_of_solution}"
            )
        elif frame.wcs is not None:
            found[number] = Solution(frame.wcs, "its header")
    return found


def solution(session: Session, frame: StoredFrame) -> Solution:
    """Return the coordinate system of a frame; raise BadRequest if it has no place on the sky."""
    found = solutions(session, [frame]).get(frame.object_id)
    if found is None:
        raise BadRequest(f"{frame.label} has no place on the sky: ask for a position in pixels, x and y")
    return found


@lru_cache
def _columns() -> Select[Any]:
    frame, persistent = Frame.__table__, Persistent.__table__
    chip, passband = Chip.__table__, Filter.__table__
    names = ("object_id", "filename", "sha256", "hdu", "naxis1", "naxis2", "object", "date_obs", "bunit", "wcs")
    joined = (
        frame.join(persistent, persistent.c.object_id == frame.c.object_id)
        .outerjoin(chip, frame.c.chip_id == chip.c.object_id)
        .outerjoin(passband, frame.c.filter_id == passband.c.object_id)
    )
    shown = (persistent.c.class_name, chip.c.name.label("chip"), passband.c.name.label("filter"))
    query = select(*(frame.c[name] for name in names), *shown).select_from(joined)
    return query.where(frame.c.filename.isnot(None))


def _frame(row: Any) -> StoredFrame:
    place = (row.filename, row.sha256 or row.filename, row.hdu, row.naxis1 or 0, row.naxis2 or 0, row.date_obs)
    words = (row.object or "", row.filter or "", row.chip or "", row.bunit or "")
    return StoredFrame(row.object_id, row.class_name, *place, *words, row.wcs or None)


def _reduced(session: Session, frames: Iterable[StoredFrame]) -> tuple[dict[int, int], dict[int, tuple[float, float]]]:
    """Return the reduced frame that each image of an exposure belongs to, and the corner of those that are raw."""
    by_class: dict[type, list[int]] = {}
    for frame in frames:
        by_class.setdefault(persistent_class(frame.class_name), []).append(frame.object_id)
    found: dict[int, int] = {}
    corners: dict[int, tuple[float, float]] = {}
    for cls, ids in by_class.items():
        if issubclass(cls, ReducedFrame):
            found |= {i: i for i in ids}
        elif issubclass(cls, RawFrame):
            corners |= _corners(session, ids)
            made = ReducedFrame.__table__.c
            newest = select(made.raw_id, made.object_id).where(made.raw_id.in_(ids)).order_by(made.object_id)
            found |= {row.raw_id: row.object_id for row in session.execute(newest)}
        elif "reduced_id" in cls.__table__.c and not issubclass(cls, GRIDDED):  # type: ignore[attr-defined]
            table = cls.__table__.c  # type: ignore[attr-defined]
            rows = session.execute(select(table.object_id, table.reduced_id).where(table.object_id.in_(ids)))
            found |= {row.object_id: row.reduced_id for row in rows if row.reduced_id}
    return found, corners


def _corners(session: Session, ids: list[int]) -> dict[int, tuple[float, float]]:
    raw = RawFrame.__table__.c
    rows = session.execute(select(raw.object_id, raw.data_section).where(raw.object_id.in_(ids)))
    sections = {row.object_id: Section.parse(row.data_section) for row in rows}
    return {number: (section.x0, section.y0) for number, section in sections.items()}


def _astrometry(session: Session, reduced: set[int]) -> dict[int, tuple[int, Mapping[str, Any]]]:
    """Return the last valid astrometric solution of some reduced frames, with its number."""
    if not reduced:
        return {}
    solved, persistent = AstrometricParameters.__table__.c, Persistent.__table__.c
    query = (
        select(solved.reduced_id, solved.object_id, solved.wcs)
        .join_from(AstrometricParameters.__table__, Persistent.__table__, solved.object_id == persistent.object_id)
        .where(solved.reduced_id.in_(sorted(reduced)), persistent.is_valid != 0)
        .order_by(solved.object_id)
    )
    rows = session.execute(visible(session, query))
    return {row.reduced_id: (row.object_id, row.wcs) for row in rows if row.wcs}


def _wcs(cards: Mapping[str, Any] | None) -> Wcs | None:
    return _wcs_of(tuple(sorted(cards.items()))) if cards else None


@lru_cache(maxsize=4096)
def _wcs_of(cards: tuple[tuple[str, Any], ...]) -> Wcs | None:
    try:
        return Wcs.from_header(dict(cards))
    except ValueError:  # such a frame is shown all the same; only its place on the sky is not known
        return None
