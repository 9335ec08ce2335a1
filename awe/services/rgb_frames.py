"""The three frames of a colour picture: found by number, name, or grid target and filters."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.kernels.wcs import Wcs
from awe.model.access import visible, visible_numbers
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Filter
from awe.model.observation import GridTarget
from awe.model.persistent import Persistent
from awe.model.photometric import PhotometricParameters
from awe.model.science import ReducedFrame
from awe.services.images import Images
from awe.services.stored_frames import StoredFrame, solutions

WAVELENGTHS = "uUBgVrRiIzyYJHK"
"""Bands from short to long wavelengths."""
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Band:
    """One frame of a colour picture, with its place on the sky and its zeropoint."""

    frame: StoredFrame
    wcs: Wcs
    zeropoint: float | None
    """Magnitude of 1 unit of its pixels."""

    @property
    def object_id(self) -> int:
        """Number of the frame."""
        return self.frame.object_id


def parse_ids(text: str) -> tuple[int, int, int]:
    """Return three object numbers such as `12,13,14`."""
    found = re.fullmatch(r"(\d{1,18}),(\d{1,18}),(\d{1,18})", text)
    if found is None:
        raise BadRequest(f"a colour picture needs the numbers of three frames, such as 12,13,14; got {text[:60]!r}")
    return int(found[1]), int(found[2]), int(found[3])


def bands_of(session: Session, images: Images, object_ids: Sequence[int]) -> tuple[Band, Band, Band]:
    """Return the frames of a red, green and blue band; the same frame may stand for several."""
    frames = {number: images.frame(session, number) for number in object_ids}
    placed = solutions(session, frames.values())
    for number in object_ids:
        if number not in placed:
            raise BadRequest(f"{frames[number].label} has no place on the sky, so it can't be brought onto a grid")
    zeropoints = _zeropoints(session, set(object_ids))
    red, green, blue = (Band(frames[n], placed[n].wcs, zeropoints.get(n)) for n in object_ids)
    return red, green, blue


def _zeropoints(session: Session, object_ids: Iterable[int]) -> dict[int, float]:
    """Return the zeropoints of the frames that have one; those of reduced frames are of the last calibration."""
    ids = sorted(object_ids)
    found: dict[int, float] = {}
    measured, persistent, frame = PhotometricParameters.__table__.c, Persistent.__table__.c, Frame.__table__.c
    rates = (
        select(measured.reduced_id, measured.zeropoint, frame.exptime)
        .join_from(PhotometricParameters.__table__, Persistent.__table__, measured.object_id == persistent.object_id)
        .join(Frame.__table__, frame.object_id == measured.reduced_id)
        .where(measured.reduced_id.in_(ids), persistent.is_valid != 0, measured.zeropoint.isnot(None))
        .order_by(measured.object_id)
    )
    for row in session.execute(visible(session, rates)):
        found[row.reduced_id] = row.zeropoint + 2.5 * math.log10(row.exptime or 1.0)
    for cls in (Coadd, RegriddedFrame, ReducedFrame):
        own = cls.__table__.c
        rows = session.execute(select(own.object_id, own.zeropoint).where(own.object_id.in_(ids)))
        found |= {row.object_id: row.zeropoint for row in rows if row.zeropoint is not None}
    return found


def frame_named(session: Session, text: str, colour: str) -> int:
    """Return the number of a frame that is given by its number or the name of its file."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    if not text or len(text) > _LONGEST_NAME:
        raise BadRequest(f"{colour} must be the number of a frame or the name of its file, got {text[:60]!r}")
    frame = Frame.__table__.c
    named = or_(frame.filename == text, frame.filename == f"{text}.fits", frame.origin == text)
    query = select(frame.object_id).where(named).order_by(frame.object_id.desc()).limit(1)
    number = session.scalar(visible(session, _with_persistent(query)))
    if number is None:
        raise NotFound(f"{colour}: no frame whose file is {text[:100]!r}")
    return int(number)


def _with_persistent(query: Select[tuple[int]]) -> Select[tuple[int]]:
    frame, persistent = Frame.__table__, Persistent.__table__
    return query.select_from(frame.join(persistent, persistent.c.object_id == frame.c.object_id))


def frames_of_target(session: Session, name: str, filters: str = "") -> tuple[int, int, int]:
    """Return the newest valid coadds of a grid target in three filters, red first; regridded frames if there are none.

    The target is given by its name or number.

    Filters are names or bands, separated by commas; without them, the target must have three, and the one of the
    longest wavelength is red.
    """
    grid = _grid_target(session, name.strip())
    found: dict[str, tuple[str, int]] = {}
    for cls in (RegriddedFrame, Coadd):
        found |= _by_filter(session, cls, grid)
    chosen = _wanted(found, [f.strip() for f in filters.split(",") if f.strip()], name)
    return found[chosen[0]][1], found[chosen[1]][1], found[chosen[2]][1]


def target_names(session: Session, most: int) -> list[str]:
    """Return the names of the newest grid targets."""
    own = GridTarget.__table__.c
    query = select(own.name).order_by(own.object_id.desc()).limit(most)
    return list(session.scalars(visible_numbers(session, query, own.object_id)))


def _grid_target(session: Session, name: str) -> int:
    """Return the number of a grid target, given by its name or number."""
    own = GridTarget.__table__.c
    wanted = [own.name == name[:_LONGEST_NAME]]
    if re.fullmatch(r"\d{1,18}", name):
        wanted.append(own.object_id == int(name))
    for one in wanted:
        number = session.scalar(visible_numbers(session, select(own.object_id).where(one), own.object_id))
        if number is not None:
            return int(number)
    raise NotFound(f"no grid target {name[:100]!r}")


def _by_filter(session: Session, cls: type[Coadd] | type[RegriddedFrame], grid: int) -> dict[str, tuple[str, int]]:
    """Return {filter: (band, number)} of the newest valid frame in each filter of a grid target."""
    own, frame, persistent, passband = (c.__table__ for c in (cls, Frame, Persistent, Filter))
    query = (
        select(passband.c.name, passband.c.band, own.c.object_id)
        .select_from(own)
        .join(frame, frame.c.object_id == own.c.object_id)
        .join(persistent, persistent.c.object_id == own.c.object_id)
        .join(passband, passband.c.object_id == frame.c.filter_id)
        .where(own.c.grid_target_id == grid, persistent.c.is_valid > 0, frame.c.filename.isnot(None))
        .order_by(own.c.object_id)
    )
    return {row.name: (row.band, row.object_id) for row in session.execute(visible(session, query))}


def _wanted(found: dict[str, tuple[str, int]], filters: list[str], target: str) -> list[str]:
    known = ", ".join(sorted(found)) or "none"
    if not filters:
        if len(found) != 3:
            raise BadRequest(f"{target[:100]} has frames in {len(found)} filters ({known}): say which three, red first")
        return sorted(found, key=lambda name: (-_wavelength(found[name][0] or name), name))
    if len(filters) != 3:
        raise BadRequest(f"three filters are needed, red first; {len(filters)} were given, {target[:100]} has {known}")
    return [_one(found, name, target, known) for name in filters]


def _one(found: dict[str, tuple[str, int]], name: str, target: str, known: str) -> str:
    if name in found:
        return name
    of_band = [own for own, (band, _) in found.items() if band == name]
    if not of_band:
        raise NotFound(f"{target[:100]} has no frame in filter {name[:60]!r}; it has {known}")
    return max(of_band, key=lambda own: found[own][1])


def _wavelength(band: str) -> int:
    return WAVELENGTHS.find(band[:1]) if band[:1] else -1
