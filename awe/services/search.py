"""What the search box finds: a number, a class, a name, a file, or a position on the sky."""

import re
from dataclasses import dataclass

from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.model.angles import parse_position, parse_size
from awe.model.catalogue import AssociateList, SourceList
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Chip, Filter, Instrument, Telescope
from awe.model.observation import GridTarget, Observation, ObservingBlock
from awe.model.persistent import Persistent
from awe.model.raw import RawFrame, RawScienceFrame
from awe.model.reference import ReferenceCatalogue
from awe.model.science import ReducedFrame
from awe.model.sky_search import LARGEST_RADIUS
from awe.services.column_conditions import equal_filter
from awe.services.counting import Count, count_rows
from awe.services.declared import summary_of
from awe.services.groups import classes_in_order
from awe.services.table_request import TableRequest, parse_request
from awe.services.table_rows import TableRows

LONGEST = 200
_NAMED: tuple[tuple[type[Persistent], str], ...] = (
    (Frame, "filename"),
    (RawFrame, "original_name"),
    (Frame, "object"),
    *((cls, "name") for cls in (GridTarget, ObservingBlock, Instrument, Telescope, Chip, Filter)),
    *((cls, "name") for cls in (SourceList, AssociateList, ReferenceCatalogue)),
)
_SAME_FOR_MANY = ("object",)
"""Names that stand for a selection, not for one object."""
_ON_SKY: tuple[tuple[type[Persistent], str], ...] = (
    (Coadd, ""),
    (GridTarget, ""),
    (RegriddedFrame, ""),
    (ReducedFrame, ""),
    (RawScienceFrame, ""),
    (Observation, ""),
    (SourceList, "frame."),
)
_WITH_SIZE = re.compile(r"(.*\S)\s+((?:\d+\.?\d*|\.\d+)\s*(?:deg|arcmin|arcsec|[d°'′\"″]))")


@dataclass(frozen=True)
class Hit:
    """Some rows that a text names."""

    class_name: str
    words: str
    doc: str
    address: str
    count: Count


@dataclass(frozen=True)
class Found:
    """Where to go, or what to choose from."""

    address: str = ""
    heading: str = ""
    hits: tuple[Hit, ...] = ()


def search(session: Session, text: str, project: str) -> Found:
    """Return what a text names; raise NotFound if it names nothing."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return Found(f"/object/{int(text)}")
    for cls in classes_in_order():
        if cls.__name__.lower() == text.lower():
            return Found(f"/table/{cls.__name__}")
    found = _named(session, text, project) if len(text) <= LONGEST else None
    found = found or _on_sky(session, text, project) or _alike(session, text, project)
    if found is None:
        raise NotFound(
            f"nothing is called {text[:100]!r}: search for a number, a class, a target, a file name or a position "
            "(152.6 -1.0, or 10:10:24 -01:00:30 5')"
        )
    return found


def _hits(session: Session, requests: list[tuple[TableRequest, str]]) -> tuple[Hit, ...]:
    found = []
    for request, words in requests:
        count = count_rows(session, request)
        if count.rows:
            name = request.cls.__name__
            found.append(Hit(name, words, summary_of(request.cls), request.address(), count))
    return tuple(found)


def _request(cls: type, project: str, **given: str) -> TableRequest:
    return parse_request(cls, {**given, "project": project}, f"/table/{cls.__name__}")


def _named(session: Session, text: str, project: str) -> Found | None:
    """Return what has exactly this name."""
    box = text if re.fullmatch(r"\w[\w .+-]*\w", text) and " " not in text else equal_filter(text)
    requests = [(_request(cls, project, **{f"q.{name}": box}), name) for cls, name in _NAMED]
    hits = _hits(session, requests)
    if len(hits) != 1:
        return Found(heading=f"Called {text}", hits=hits) if hits else None
    ((request, name),) = [(r, n) for r, n in requests if r.address() == hits[0].address]
    if hits[0].count.rows == 1 and name not in _SAME_FOR_MANY:
        return Found(f"/object/{TableRows(request, ()).page(session).rows[0].object_id}")
    return Found(hits[0].address)


def _alike(session: Session, text: str, project: str) -> Found | None:
    """Return what has the text, or its pattern, in its name."""
    if len(text) < 3 or len(text) > LONGEST:
        return None
    pattern = text if "*" in text or "?" in text else f"*{text}*"
    requests = [(_request(cls, project, **{f"q.{name}": f"like {pattern}"}), name) for cls, name in _NAMED]
    hits = _hits(session, requests)
    return Found(heading=f"With {text} in the name", hits=hits) if hits else None


def _on_sky(session: Session, text: str, project: str) -> Found | None:
    try:
        ra, dec, radius = position_and_radius(text)
    except ValueError:
        return None
    where = f"cone({ra:.7g}, {dec:.7g}, {radius:.6g})"
    requests = [(_request(cls, project, where=link + where), "position") for cls, link in _ON_SKY]
    around = f"Within {radius:g}° of" if radius else "At"
    return Found(heading=f"{around} {ra:.6f}, {dec:+.6f}", hits=_hits(session, requests))


def position_and_radius(text: str) -> tuple[float, float, float]:
    """Return (ra, dec, radius) in degrees; without a radius, it is 0. Raise ValueError if the text is no position.

    >>> position_and_radius("10:10:00 -01:30:00 30'"), position_and_radius("152.5 -1.5")
    ((152.5, -1.5, 0.5), (152.5, -1.5, 0.0))
    """
    found = _WITH_SIZE.fullmatch(text.strip())
    words = text.split()
    if found is None and len(words) == 3:
        found = re.fullmatch(r"(.*\S)\s+(\S+)", text.strip())
    place, size = (found[1], parse_size(found[2])) if found else (text, 0.0)
    if size > LARGEST_RADIUS:
        raise ValueError(f"a radius is at most {LARGEST_RADIUS:g} degrees")
    return *parse_position(place), size
