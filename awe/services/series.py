"""Series of cutouts: the sources of a list, the members of associates, or positions, each on its frame."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.kernels.marks import Ellipse
from awe.model.access import visible_numbers
from awe.model.catalogue import ASSOCIATES, SOURCES, AssociateList, SourceList
from awe.model.persistent import Persistent
from awe.services.ranges import among
from awe.services.stored_frames import Solution, StoredFrame

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_SHAPE = ("X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE")


@dataclass(frozen=True)
class Member:
    """One cutout of a series: a source or a position, and the frame that shows it."""

    frame_id: int
    x: float | None
    """Pixels, 0 is the centre of the first; None: only the place on the sky is known."""
    y: float | None
    ra: float | None
    dec: float | None
    slid: int | None = None
    sid: int | None = None
    alid: int | None = None
    aid: int | None = None
    name: str = ""
    ellipse: Ellipse | None = None
    magnitude: float | None = None
    magnitude_error: float | None = None
    flux: float | None = None
    flux_error: float | None = None

    @property
    def label(self) -> str:
        """The line that the original showed: SLID= SID= RA= DEC= X= Y=, pixels as FITS counts them."""
        return " ".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The parts of the label: what it is, where on the sky, where on the frame."""
        numbers = [("AID", self.aid), ("SLID", self.slid), ("SID", self.sid), ("NAME", self.name or None)]
        sky, pixel = (("RA", self.ra), ("DEC", self.dec)), (("X", self.x), ("Y", self.y))
        parts = (
            [f"{name}={value}" for name, value in numbers if value is not None],
            [f"{name}={value:.5f}" for name, value in sky if value is not None],
            [f"{name}={value + 1:.1f}" for name, value in pixel if value is not None],
        )
        return [" ".join(part) for part in parts if part]

    @property
    def suffix(self) -> str:
        """What tells its file from the others of the same frame."""
        parts = (("ALID", self.alid), ("AID", self.aid), ("SLID", self.slid), ("SID", self.sid))
        words = [f"{name}{value}" for name, value in parts if value is not None]
        place = f"{self.ra:.5f}{self.dec:+.5f}" if self.ra is not None and self.dec is not None else ""
        return ".".join(words or [f"{_UNSAFE.sub('_', self.name)[:60] or 'position'}_{place}"])

    def query(self) -> dict[str, str]:
        """Return the place as parameters of the address of its cutout."""
        if self.x is not None and self.y is not None:
            place = {"x": f"{self.x + 1:.4f}", "y": f"{self.y + 1:.4f}"}
        else:
            place = {"ra": f"{self.ra:.7f}", "dec": f"{self.dec:.7f}"}
        e = self.ellipse
        return place | ({"ellipse": f"{e.a:.3f},{e.b:.3f},{e.theta:.2f}"} if e else {})

    @property
    def is_placed(self) -> bool:
        """Whether anything tells where it lies."""
        return None not in (self.x, self.y) or None not in (self.ra, self.dec)


def file_name(member: Member, frame: StoredFrame, form: str) -> str:
    """Return the name of the file of a cutout, as in the original: that of the frame, then of the source."""
    return f"{_UNSAFE.sub('_', frame.stem)}.{member.suffix}.{form}"


def find_source_list(session: Session, slid: int) -> int:
    """Return the number of the frame of a source list; raise NotFound if there is none such."""
    table = SourceList.__table__.c
    query = select(table.object_id, table.frame_id).where(table.object_id == slid)
    found = session.execute(visible_numbers(session, query, table.object_id)).one_or_none()
    if found is None:
        raise NotFound(f"no SourceList {slid}{_what_it_is(session, slid)}")
    return int(found.frame_id)


def find_associate_list(session: Session, alid: int) -> None:
    """Raise NotFound if there is no such associate list."""
    table = AssociateList.__table__.c
    query = select(table.object_id).where(table.object_id == alid)
    if session.scalar(visible_numbers(session, query, table.object_id)) is None:
        raise NotFound(f"no AssociateList {alid}{_what_it_is(session, alid)}")


def _what_it_is(session: Session, object_id: int) -> str:
    table = Persistent.__table__.c
    query = select(table.class_name).where(table.object_id == object_id)
    name = session.scalar(visible_numbers(session, query, table.object_id))
    return f": it is a {name}" if name else ""


def sources(
    session: Session, slid: int, sids: str = "", limit: int | None = None, offset: int = 0
) -> tuple[list[Member], int]:
    """Return sources of a list in order of their numbers, and how many there are in all; one statement for each.

    `sids`: numbers and ranges, empty: all. Raises NotFound if there is no such list.
    """
    frame_id = find_source_list(session, slid)
    wanted = [_of_list(SOURCES, slid), *([among(SOURCES.c.SID, sids, "sids")] if sids else [])]
    query = select(*_source_columns()).where(*wanted).order_by(SOURCES.c.SID)
    total = session.scalar(select(func.count()).select_from(SOURCES).where(*wanted)) or 0
    rows = session.execute(query.limit(limit).offset(offset))
    return [_member(row, frame_id) for row in rows], total


def associates(
    session: Session, alid: int, aids: str = "", limit: int | None = None, offset: int = 0
) -> tuple[list[Member], int]:
    """Return all members of some associates, in order of AID; `limit`, `offset` and the total count associates.

    The statements are two, for any number of members.
    """
    find_associate_list(session, alid)
    numbers = select(ASSOCIATES.c.AID).where(*_of_associates(alid, aids)).distinct()
    total = session.scalar(select(func.count()).select_from(numbers.subquery())) or 0
    chosen = numbers.order_by(ASSOCIATES.c.AID).limit(limit).offset(offset).subquery()
    query = _associated(session, alid).where(ASSOCIATES.c.AID.in_(select(chosen.c.AID)))
    return _associates_of(session, alid, query), total


def associated(
    session: Session, alid: int, aids: str = "", limit: int | None = None, offset: int = 0
) -> tuple[list[Member], int]:
    """Return members of associates, in order of AID; `limit`, `offset` and the total count members."""
    find_associate_list(session, alid)
    query = _associated(session, alid).where(*_of_associates(alid, aids))
    total = session.scalar(select(func.count()).select_from(query.with_only_columns(ASSOCIATES.c.SID).subquery())) or 0
    return _associates_of(session, alid, query.limit(limit).offset(offset)), total


def _of_associates(alid: int, aids: str) -> list[ColumnElement[bool]]:
    return [_of_list(ASSOCIATES, alid), *([among(ASSOCIATES.c.AID, aids, "aids")] if aids else [])]


def _associated(session: Session, alid: int) -> Select[Any]:
    lists = SourceList.__table__
    joined = ASSOCIATES.join(SOURCES, (ASSOCIATES.c.SLID == SOURCES.c.SLID) & (ASSOCIATES.c.SID == SOURCES.c.SID)).join(
        lists, lists.c.object_id == SOURCES.c.SLID
    )
    query = select(ASSOCIATES.c.AID, lists.c.frame_id, *_source_columns()).select_from(joined)
    return visible_numbers(session, query.where(_of_list(ASSOCIATES, alid)), lists.c.object_id)


def _associates_of(session: Session, alid: int, query: Select[Any]) -> list[Member]:
    rows = session.execute(query.order_by(ASSOCIATES.c.AID, ASSOCIATES.c.SLID, ASSOCIATES.c.SID))
    return [replace(_member(row, row.frame_id), alid=alid, aid=row.AID) for row in rows]


def _of_list(table: Table, number: int) -> ColumnElement[bool]:
    (first, *_) = table.primary_key
    return first == number


def placed(members: Iterable[Member], frames: Mapping[int, StoredFrame], known: Mapping[int, Solution]) -> list[Member]:
    """Return members with their pixels, computed from the sky where the list has none and the frame has a solution."""
    found = list(members)
    for frame_id in {m.frame_id for m in found if m.x is None and m.is_placed} & set(frames) & set(known):
        index = [i for i, m in enumerate(found) if m.frame_id == frame_id and m.x is None and m.is_placed]
        sky = np.array([(found[i].ra, found[i].dec) for i in index], dtype=float)
        x, y = known[frame_id].wcs.to_pixel(sky[:, 0], sky[:, 1])
        for i, a, b in zip(index, x, y, strict=True):
            found[i] = replace(found[i], x=float(a), y=float(b))
    return found


def _source_columns() -> list[Any]:
    names = ("SLID", "SID", "RA", "DEC", *_SHAPE, "MAG_AUTO", "MAGERR_AUTO", "FLUX_AUTO", "FLUXERR_AUTO")
    return [SOURCES.c[name] for name in names]


def _member(row: Any, frame_id: int) -> Member:
    x, y = (row.XWIN_IMAGE, row.YWIN_IMAGE) if row.XWIN_IMAGE is not None else (row.X_IMAGE, row.Y_IMAGE)
    has_shape = bool(row.A_IMAGE) and bool(row.B_IMAGE)
    ellipse = Ellipse(row.A_IMAGE, row.B_IMAGE, row.THETA_IMAGE or 0.0) if has_shape else None
    photometry = (row.MAG_AUTO, row.MAGERR_AUTO, row.FLUX_AUTO, row.FLUXERR_AUTO)
    return Member(frame_id, x, y, row.RA, row.DEC, row.SLID, row.SID, None, None, "", ellipse, *photometry)
