"""Images of frames: where their pixels lie, found once and remembered, since frames never change."""

import threading
from dataclasses import replace

from astropy.io.fits import Header
from cachetools import LRUCache, TTLCache
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound, StoreUnavailable
from awe.model.access import is_restricted, visible
from awe.model.frame import Frame
from awe.model.persistent import Persistent
from awe.services.stored_frames import Plane, Solution, StoredFrame, current_file, solutions, stored_frame
from awe.store import Store

REMEMBERED = 4096
SOLVED_SECONDS = 60.0
"""For so long the place of an exposure on the sky is remembered: a better astrometric solution may be made."""
_SHOWN = 80


class Images:
    """Finds frames by number or file name; what they are is remembered, whether they may be seen is asked each time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._frames: LRUCache[int, StoredFrame] = LRUCache(REMEMBERED)
        self._solutions: TTLCache[int, Solution | None] = TTLCache(REMEMBERED, SOLVED_SECONDS)
        self._lock = threading.Lock()

    def find(self, session: Session, which: str | int) -> StoredFrame:
        """Return a frame, by number or file name, with the coordinate system that is now the best one.

        Raise NotFound, or BadRequest if several fit.
        """
        number = int(which) if isinstance(which, int) or _is_number(which) else _by_name(session, which)
        return self._placed(session, self.frame(session, number))

    def frame(self, session: Session, number: int) -> StoredFrame:
        """Return a frame by its number, with the coordinate system that its header states; raise NotFound."""
        with self._lock:
            known = self._frames.get(number)
        if known is None or (is_restricted(session) and current_file(session, number) != known.filename):
            known = sized(self.store, stored_frame(session, number))
            with self._lock:
                self._frames[number] = known
        return known

    def _placed(self, session: Session, frame: StoredFrame) -> StoredFrame:
        if frame.is_gridded:
            return frame
        number = frame.object_id
        with self._lock:
            asked, found = number in self._solutions, self._solutions.get(number)
        if not asked or is_restricted(session):
            found = solutions(session, [frame]).get(number)
            if not is_restricted(session):
                with self._lock:
                    self._solutions[number] = found
        return frame if found is None else replace(frame, solved=found.wcs)


_headers: LRUCache[tuple[str, str, int | str], Header | None] = LRUCache(REMEMBERED)
"""By data server, file and HDU; None: the file has none such. Files never change."""
_away: TTLCache[str, bool] = TTLCache(100, ttl=10)
"""Data servers that did not answer a moment ago: pages that can do without them do not wait for each anew."""
_headers_lock = threading.Lock()


def header_of(store: Store, frame: StoredFrame, plane: Plane = Plane.IMAGE) -> Header:
    """Return the header of a plane; raise NotFound if the file has none such."""
    found = _header(store, frame.filename, frame.hdu_of(plane))
    if found is None and plane is Plane.IMAGE:
        raise NotFound(f"{frame.filename} of {frame.label} is not at the data server {store.address}")
    if found is None:
        there = ", ".join(planes_of(store, frame.filename))
        raise NotFound(f"{frame.filename} of {frame.label} has no plane {plane.value}; it has {there}")
    return found


def planes_of(store: Store, filename: str) -> list[str]:
    """Return the planes that a file has."""
    return [p.value for p in Plane if p is Plane.IMAGE or _header(store, filename, p.value.upper()) is not None]


def offered_planes(store: Store, filename: str | None) -> list[str]:
    """Return the planes that the file of a product has; none if the data server does not answer now."""
    with _headers_lock:
        if filename is None or store.address in _away:
            return []
    try:
        return planes_of(store, filename)
    except StoreUnavailable:
        with _headers_lock:
            _away[store.address] = True
        return []


def _header(store: Store, filename: str, hdu: int | str) -> Header | None:
    key = (store.address, filename, hdu)
    with _headers_lock:
        if key in _headers:
            return _headers[key]
    try:
        found = store.header(filename, hdu)
    except NotFound:
        found = None
    with _headers_lock:
        _headers[key] = found
    return found


def sized(store: Store, frame: StoredFrame) -> StoredFrame:
    """Return a frame with the size of its image, from the header of the file if the database does not know it."""
    if frame.nx and frame.ny:
        return frame
    header = header_of(store, frame)
    return replace(frame, nx=int(header["NAXIS1"]), ny=int(header["NAXIS2"]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


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
