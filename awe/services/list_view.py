"""The rows of a source list or associate list as a table: chosen, sorted, paged and linked as those of objects are."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.model.access import visible_numbers
from awe.model.catalogue import AssociateList, SourceList
from awe.model.persistent import Persistent
from awe.model.rows import Source, rows_of
from awe.services import links
from awe.services.columns import Column, column_at, names_of
from awe.services.counting import Count, count_rows
from awe.services.export import MEDIA_TYPES
from awe.services.facets import Facets, count_facets
from awe.services.operations import Parameter
from awe.services.table_request import BOX, TableRequest, parse_request
from awe.services.table_rows import Page, TableRows
from awe.services.table_view import pager

CUTOUTS = Parameter("cutouts", "1: a small image of each source, in its row", "boolean", False)
THUMBNAIL = 48
"""Side of a cutout in a row, in pixels of the image."""
_SOURCES = (
    *("SID", "RA", "DEC", "X_IMAGE", "Y_IMAGE", "MAG_AUTO", "MAGERR_AUTO", "FLUX_AUTO", "FWHM_IMAGE"),
    *("A_IMAGE", "B_IMAGE", "THETA_IMAGE", "ELLIPTICITY", "STELLARITY", "FLAGS", "IMAFLAGS"),
)
_ASSOCIATES = (
    *("AID", "SLID", "SID", "source.RA", "source.DEC", "source.MAG_AUTO", "source.MAGERR_AUTO"),
    *("source.FWHM_IMAGE", "source.FLAGS", "DISTANCE"),
)


def parse_list_request(thing: Persistent, given: Mapping[str, str]) -> TableRequest:
    """Return what an address asks of the rows of a list; raise NotFound if the object is none."""
    if not isinstance(thing, SourceList | AssociateList):
        raise NotFound(f"{thing} is neither a SourceList nor an AssociateList, so it has no sources")
    cls, number = rows_of(type(thing).__name__)
    usual = usual_list_columns(cls)
    extra = (("cutouts", "1"),) if CUTOUTS.read(given.get("cutouts")) else ()
    given = {n: v for n, v in given.items() if n not in ("project", "cutouts")}
    path = f"/object/{thing.object_id}/sources"
    return parse_request(cls, given, path, usual=usual, fixed=number == thing.object_id, extra=extra)


def usual_list_columns(cls: type) -> tuple[Column, ...]:
    """Return the columns that the rows of a list show by themselves."""
    return tuple(column_at(cls, path) for path in (_SOURCES if cls is Source else _ASSOCIATES))


def view_list(session: Session, thing: Any, request: TableRequest) -> dict[str, Any]:
    """Return what the template of a list of sources needs; a fixed number of statements."""
    hidden = _hidden(thing, request)
    table = TableRows(request, (*request.columns, *hidden))
    page = table.page(session)
    count = _count(session, thing, request)
    wanted = request.facets or (count.is_exact and count.rows > 1)
    return {
        "q": request,
        "thing": thing,
        "page": page,
        "count": count,
        "facets": count_facets(session, request) if wanted else Facets([], []),
        "facets_offered": not wanted and count.rows > 1,
        "box": BOX,
        "boxes": dict(request.boxes),
        "choices": _choices(request.cls),
        "chosen": {c.path for c in request.columns},
        "places": _linked(session, request, thing, page),
        "with_cutouts": bool(request.extra),
        "cutouts_offered": bool(links.cutout(1)),
        "thumbnail": THUMBNAIL,
        "cutouts_page": _cutouts_page(thing),
        "forms": tuple(MEDIA_TYPES),
        **pager(request, page),
    }


def _count(session: Session, thing: Any, request: TableRequest) -> Count:
    """Return the number of rows; of a whole long source list, what was noted when it was made."""
    count = count_rows(session, request)
    if count.is_exact or request.filter or not isinstance(thing, SourceList) or not thing.n_sources:
        return count
    return Count(thing.n_sources, "estimate")


def _hidden(thing: Any, request: TableRequest) -> tuple[Column, ...]:
    """Return the columns that links and cutouts need: the list, the source, and its place on the sky."""
    of_sources, of_associates = ("SLID", "SID", "RA", "DEC"), ("SLID", "SID", "source.RA", "source.DEC", "AID")
    paths = of_sources if isinstance(thing, SourceList) else of_associates
    return tuple(column_at(request.cls, path) for path in paths)


def _choices(cls: type) -> list[Column]:
    found = [column_at(cls, name) for name in names_of(cls)]
    own = [c for c in found if not c.is_link]
    nested = [c for c in found if c.is_link and c.target is not None and not issubclass(c.target, Persistent)]
    return own + [column_at(cls, f"{c.path}.{n}") for c in nested for n in names_of(c.target)]


def _linked(session: Session, request: TableRequest, thing: Any, page: Page) -> dict[int, dict[str, Any]]:
    """Return, by the place of a row on the page, the frame of its list and the addresses that lead on from it."""
    first = len(request.columns)
    named = [row.values[first : first + 5] for row in page.rows]
    frames = _frames(session, {values[0] for values in named}) if named else {}
    return {i: _addresses(thing, frames.get(values[0]), values) for i, values in enumerate(named)}


def _addresses(thing: Any, frame: int | None, values: tuple[Any, ...]) -> dict[str, Any]:
    slid, sid, ra, dec = values[:4]
    if isinstance(thing, SourceList):
        ancestors = links.depcuts(slid, sid)
    else:
        ancestors = links.depcuts_of_associates(thing.object_id, values[4])
    if frame is None or ra is None or dec is None:
        return {"label": "", "cutout": "", "large": "", "viewer": "", "ancestors": ancestors}
    place = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}"}
    return {
        "label": f"SLID={slid} SID={sid} RA={ra:.5f} DEC={dec:.5f}",
        "cutout": links.cutout(frame, size=THUMBNAIL, **place),
        "large": links.cutout(frame, size=96, zoom=5, **place),
        "viewer": links.viewer(frame, **place),
        "ancestors": ancestors,
    }


def _frames(session: Session, slids: set[int]) -> dict[int, int]:
    """Return the frame of each source list: one statement."""
    lists: Any = SourceList.__table__.c
    query = visible_numbers(session, select(lists.object_id, lists.frame_id), lists.frame_id)
    return {row[0]: row[1] for row in session.execute(query.where(lists.object_id.in_(slids)))}


def _cutouts_page(thing: Any) -> str:
    if isinstance(thing, SourceList):
        return links.cutouts_of(thing.object_id)
    return links.cutouts_of_associates(thing.object_id)
