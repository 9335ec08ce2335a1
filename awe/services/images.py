"""Images of frames: where their pixels lie, found once and remembered, since frames never change."""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from astropy.io.fits import Header
from cachetools import LRUCache, TTLCache
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound, StoreUnavailable
from awe.kernels.wcs import Wcs
from awe.model.access import is_restricted, visible
from awe.model.frame import Frame
from awe.model.persistent import Persistent, persistent_class
from awe.services.stored_frames import GRIDDED, Solution, solution_of
from awe.store import Store

REMEMBERED = 4096
SOLVED_SECONDS = 60.0
"""For so long the place of an exposure on the sky is remembered: a better astrometric solution may be made."""
_SHOWN = 80


class Plane(StrEnum):
    """Which image of a file is shown."""

    IMAGE = "image"
    WEIGHT = "weight"
    FLAGS = "flags"


@dataclass(frozen=True)
class StoredImage:
    """The image of a frame: where its pixels lie in a file, and on the sky."""

    object_id: int
    class_name: str
    object: str
    filename: str
    content: str
    """Checksum of the file."""
    hdu: int
    nx: int
    ny: int
    bunit: str
    wcs: Wcs | None
    """Of an exposure, by its last valid astrometric solution if there is one; None if no coordinates can be used."""

    @property
    def label(self) -> str:
        """Class, number and target."""
        return f"{self.class_name} {self.object_id} {self.object}".rstrip()

    def hdu_of(self, plane: Plane) -> int | str:
        """Return the HDU of a plane."""
        return self.hdu if plane is Plane.IMAGE else plane.value.upper()

    def unit_of(self, plane: Plane) -> str:
        """Return the unit of the pixels of a plane: weights are inverse variances."""
        if plane is Plane.WEIGHT:
            return f"{self.bunit}**-2" if self.bunit else ""
        return "" if self.is_map(plane) else self.bunit

    def is_map(self, plane: Plane) -> bool:
        """Tell whether the pixels of a plane are bits that say what is wrong with them."""
        return plane is Plane.FLAGS or (plane is Plane.IMAGE and self.class_name.endswith("Map"))

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


class Images:
    """Finds images by number or file name of their frames; knows headers and planes of the files it was asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._images: LRUCache[int, StoredImage] = LRUCache(REMEMBERED)
        self._headers: LRUCache[tuple[str, int | str], Header | None] = LRUCache(REMEMBERED)
        self._solutions: TTLCache[int, Solution | None] = TTLCache(REMEMBERED, SOLVED_SECONDS)
        self._lock = threading.Lock()

    def find(self, session: Session, which: str | int) -> StoredImage:
        """Return an image by the number or the file name of its frame; raise NotFound, or BadRequest if several fit."""
        number = int(which) if isinstance(which, int) or _is_number(which) else _by_name(session, which)
        with self._lock:
            known = self._images.get(number)
        if known is not None and not is_restricted(session):
            return self._placed(session, known)
        row = _row(session, number)
        if known is None:
            known = self._described(row)
            with self._lock:
                self._images[number] = known
        return self._placed(session, known)

    def _placed(self, session: Session, image: StoredImage) -> StoredImage:
        """Return an image with the coordinate system that is now the best one."""
        if image.is_gridded:
            return image
        number = image.object_id
        with self._lock:
            asked, found = number in self._solutions, self._solutions.get(number)
        if not asked or is_restricted(session):
            found = solution_of(session, number)
            if not is_restricted(session):
                with self._lock:
                    self._solutions[number] = found
        return image if found is None else replace(image, wcs=found.wcs)

    def header(self, image: StoredImage, plane: Plane = Plane.IMAGE) -> Header:
        """Return the header of a plane; raise NotFound if the file has none such."""
        key = (image.filename, image.hdu_of(plane))
        with self._lock:
            asked, found = key in self._headers, self._headers.get(key)
        if not asked:
            found = self._asked(image, plane)
            with self._lock:
                self._headers[key] = found
        if found is None:
            there = ", ".join(self.planes(image))
            raise NotFound(f"{image.filename} of {image.label} has no plane {plane.value}; it has {there}")
        return found

    def planes(self, image: StoredImage) -> list[str]:
        """Return the planes that the file of an image has."""
        others = [p for p in (Plane.WEIGHT, Plane.FLAGS) if self._has(image, p)]
        return [p.value for p in (Plane.IMAGE, *others)]

    def _has(self, image: StoredImage, plane: Plane) -> bool:
        key = (image.filename, image.hdu_of(plane))
        if key not in self._headers:
            self._headers[key] = self._asked(image, plane)
        return self._headers[key] is not None

    def _asked(self, image: StoredImage, plane: Plane) -> Header | None:
        try:
            return self.store.header(image.filename, image.hdu_of(plane))
        except NotFound:
            if plane is Plane.IMAGE:
                raise
            return None

    def _described(self, row: "Row[Any]") -> StoredImage:
        nx, ny = row.naxis1, row.naxis2
        if not (nx and ny):
            header = self.store.header(row.filename, row.hdu)
            nx, ny = int(header["NAXIS1"]), int(header["NAXIS2"])
        return StoredImage(
            row.object_id,
            row.class_name,
            row.object,
            row.filename,
            row.sha256 or row.filename,
            row.hdu,
            nx,
            ny,
            row.bunit,
            usable_wcs(row.wcs),
        )


_offered: LRUCache[tuple[str, str], list[str]] = LRUCache(REMEMBERED)
_away: TTLCache[str, bool] = TTLCache(100, ttl=10)
"""Data servers that did not answer a moment ago: pages that can do without them do not wait for each anew."""
_planes_lock = threading.Lock()


def offered_planes(store: Store, filename: str | None) -> list[str]:
    """Return the planes that the file of a product has; none if the data server does not answer now."""
    if filename is None:
        return []
    key = (store.address, filename)
    with _planes_lock:
        if key in _offered or store.address in _away:
            return _offered.get(key, [])
    try:
        found = [p.value for p in Plane if p is Plane.IMAGE or _has(store, filename, p)]
    except StoreUnavailable:
        with _planes_lock:
            _away[store.address] = True
        return []
    with _planes_lock:
        _offered[key] = found
    return found


def _has(store: Store, filename: str, plane: Plane) -> bool:
    try:
        store.header(filename, plane.value.upper())
    except NotFound:
        return False
    return True


def usable_wcs(cards: Mapping[str, Any] | None) -> Wcs | None:
    """Return the coordinate system of some cards; None if there is none, or it is of no use."""
    try:
        return Wcs.from_header(cards) if cards else None
    except ValueError:  # the pixels can be looked at all the same
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _row(session: Session, number: int) -> "Row[Any]":
    frame, persistent = Frame.__table__.c, Persistent.__table__.c
    columns = (
        frame.filename,
        frame.sha256,
        frame.hdu,
        frame.naxis1,
        frame.naxis2,
        frame.bunit,
        frame.wcs,
        frame.object,
    )
    joined = Persistent.__table__.outerjoin(Frame.__table__, frame.object_id == persistent.object_id)
    query = select(persistent.object_id, persistent.class_name, *columns).select_from(joined)
    row = session.execute(visible(session, query.where(persistent.object_id == number))).one_or_none()
    if row is None:
        raise NotFound(f"no object {number}")
    if row.filename is None:
        raise NotFound(f"{row.class_name} {number} has no image file, so there is no picture of it")
    return row


def _by_name(session: Session, name: str) -> int:
    """Return the number of the frame in a file, which may be named without `.fits`."""
    frame = Frame.__table__.c
    query = select(frame.object_id).select_from(Frame.__table__.join(Persistent.__table__))
    query = query.where(frame.filename.in_((name, f"{name}.fits"))).order_by(frame.object_id)
    found = list(session.scalars(visible(session, query)))
    if not found:
        raise NotFound(f"no frame with number or file {name[:_SHOWN]!r}")
    if len(found) > 1:
        raise BadRequest(
            f"the file {name[:_SHOWN]} holds {len(found)} frames: ask for one by its number: "
            + ", ".join(map(str, found[:20]))
        )
    return int(found[0])
