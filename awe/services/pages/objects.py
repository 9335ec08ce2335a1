"""Objects: all that is known of one, its header, its file, its sources."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, current_app, request, send_file

from awe.errors import NotFound
from awe.kernels.flag_picture import COLOURS
from awe.kernels.stretch import Cuts, Stretch
from awe.model.catalogue import AssociateList, SourceList
from awe.services.declared import summary_of
from awe.services.negotiation import answer
from awe.services.objectview import ObjectView, find_object, view_object
from awe.services.parts import parts
from awe.services.picture import offered_planes
from awe.services.picture_request import PictureRequest
from awe.services.sessions import session
from awe.services.source_rows import source_rows
from awe.services.staleness_story import full_story
from awe.store import Store

objects = Blueprint("objects", __name__)

PICTURE_WIDTH = 1024
_LOOKS = ("stretch", "cuts", "invert", "plane")


def _store() -> Store:
    return parts(current_app).store


@objects.get("/object/<number:object_id>")
@objects.get("/object/<number:object_id>.json", endpoint="json")
def show(object_id: int) -> Response:
    """Show all that is known of an object."""
    look = replace(PictureRequest.parse("png", request.args.to_dict()), bin=None, width=PICTURE_WIDTH)
    view = view_object(session(), object_id)
    return answer("object.html", view.as_json, view=view, doc=summary_of(view.cls), **_shown(view, look))


def _shown(view: ObjectView, look: PictureRequest) -> dict[str, Any]:
    read = {v.field.name: v.value for group in view.values.values() for v in group}
    given = {name: request.args[name] for name in _LOOKS if request.args.get(name)}
    shown = {"stretch": look.stretch.value, "cuts": "zscale", "plane": look.plane.value} | given
    nx, ny = read.get("naxis1"), read.get("naxis2")
    factor = look.binning(nx, ny) if nx and ny else 1
    return {
        "look": shown | {"width": PICTURE_WIDTH},
        "size": (-(-nx // factor), -(-ny // factor)) if nx and ny else None,
        "is_tiny": nx is not None and nx < PICTURE_WIDTH // 2,
        "stretches": [s.value for s in Stretch],
        "cuts": [c.value for c in Cuts],
        "planes": offered_planes(_store(), view.filename) if view.summary.has_picture and view.inputs else [],
        "flag_colours": [(str(f.name).replace("_", " ").lower(), f"rgb{c}") for f, c in COLOURS.items()],
        "position": (read["ra"], read["dec"]) if "ra" in read and "dec" in read else None,
        "has_sources": issubclass(view.cls, SourceList | AssociateList),
    }


def _filename(object_id: int) -> tuple[str, int | None]:
    thing = find_object(session(), object_id)
    filename = getattr(thing, "filename", None)
    if filename is None:
        raise NotFound(f"{thing} has no file")
    return filename, getattr(thing, "hdu", None)


@objects.get("/object/<number:object_id>/why")
@objects.get("/object/<number:object_id>/why.json", endpoint="why_json")
def why(object_id: int) -> Response:
    """Show why an object is stale, looking at all it was made from."""
    thing = find_object(session(), object_id)
    reasons = full_story(session(), thing)
    return answer("why.html", lambda: {"object_id": object_id, "stale": reasons}, thing=thing, reasons=reasons)


@objects.get("/object/<number:object_id>/header")
@objects.get("/object/<number:object_id>/header.json", endpoint="header_json")
def header(object_id: int) -> Response:
    """Show the FITS header of the image of an object."""
    filename, hdu = _filename(object_id)
    read = _store().header(filename, hdu).cards
    cards = [(str(c.keyword), "" if c.value is None else str(c.value), str(c.comment)) for c in read]

    def as_json() -> list[dict[str, str]]:
        return [{"keyword": k, "value": v, "comment": c} for k, v, c in cards]

    thing = find_object(session(), object_id)
    return answer("header.html", as_json, thing=thing, filename=filename, hdu=hdu, cards=cards)


@objects.get("/object/<number:object_id>/file")
def file(object_id: int) -> Response:
    """Send the file of an object, unchanged."""
    filename, _ = _filename(object_id)
    path = _store().retrieve(filename)
    return send_file(path, mimetype="application/fits", as_attachment=True, download_name=filename, conditional=True)


@objects.get("/object/<number:object_id>/sources")
@objects.get("/object/<number:object_id>/sources.json", endpoint="sources_json")
def sources(object_id: int) -> Response:
    """Show a page of the rows of a source list or associate list."""
    given = request.args.to_dict()
    thing = find_object(session(), object_id)
    rows = source_rows(session(), thing, given)
    return answer("sources.html", rows.as_json, thing=thing, listed=rows, given=given)
