"""Cutouts: pixels around a position of a frame, or around the sources of a list."""

import math
from dataclasses import replace
from hashlib import sha256
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, make_response, redirect, render_template, request

from awe.errors import BadRequest
from awe.services import links
from awe.services.addresses import changed
from awe.services.cutout import VERSION, Spot, make_cutout
from awe.services.cutout_request import LARGEST_ZOOM, MEDIA_TYPES, PARAMETERS, CutoutRequest
from awe.services.cutout_runs import SELECTIONS, frame_classes
from awe.services.cutout_spot import PLACE, find_spot
from awe.services.journal import Journal
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.parts import parts
from awe.services.position_lists import MOST
from awe.services.sessions import session
from awe.services.workshop import QUICK

cutouts = Blueprint("cutouts", __name__)

FORM = Parameter("form", "kind of file", choices=(*MEDIA_TYPES, "json"), example="png")
FRAME = Operation(
    "A cutout of a frame around a position: picture, FITS file with its coordinate system, or (json) the steps of "
    "making it with their times",
    (*PLACE, *PARAMETERS),
    (*MEDIA_TYPES.values(), "application/json"),
    path=(FORM,),
)
OF_FRAME = Operation(
    "Leads to a cutout of a frame; for forms",
    (
        Parameter("frame", "number of the frame", "integer", low=1, high=2**31 - 1),
        Parameter("form", "the page of the cutout, or a kind of file", choices=("page", *MEDIA_TYPES), default="page"),
        *PLACE,
        *PARAMETERS,
    ),
    ("text/html",),
)
PAGE = Operation(
    "A cutout of a frame with its options, its files, and the log of its making with the time of each step",
    (*PLACE, *PARAMETERS),
    ("text/html",),
)
SHOWN = 512
"""Side that a cutout is magnified to on its page, at most."""
START = Operation("Where cutouts begin: a position, the sources of a list, associates, or positions that are sent")
FOREVER = "private, max-age=31536000, immutable"


@cutouts.get("/cutouts")
@cutouts.get("/cutouts.json", endpoint="start_json")
@describe(START)
def start() -> Response:
    """Show the forms that ask for cutouts."""
    START.read(request.args)
    shown = {"classes": frame_classes(), "most": MOST, "parameters": PARAMETERS}
    return answer("cutouts.html", lambda: {"kinds": list(SELECTIONS), "classes": frame_classes()}, **shown)


@cutouts.get("/cutouts/frame")
@describe(OF_FRAME)
def of_frame() -> Response:
    """Go to the cutout of the frame that a form names."""
    read = OF_FRAME.read(request.args)
    if read["frame"] is None:
        raise BadRequest("frame is missing: give the number of a frame")
    given = {name: value for name, value in request.args.items() if name not in ("frame", "form") and value}
    suffix = "" if read["form"] == "page" else f".{read['form']}"
    return redirect(changed(f"/cutouts/frame/{read['frame']}{suffix}", given))  # type: ignore[return-value]


@cutouts.get("/cutouts/frame/<number:object_id>")
@describe(PAGE)
def page(object_id: int) -> Response:
    """Show a cutout with its options, its files, and the log of its making."""
    read = PAGE.read(request.args)
    wanted, own, journal = CutoutRequest.of(read), parts(current_app), Journal()
    with journal.step("database", "the frame, its file and its place on the sky"):
        spot = find_spot(session(), own.images, object_id, read, wanted, with_sky=True)
        session().rollback()  # hold no transaction while pixels are computed
    with own.workshop.bench():
        made = make_cutout(own.store, spot, wanted, "png", journal)
    facts, path = _described(spot), f"/cutouts/frame/{object_id}"
    place = {name: value for name, value in request.args.items() if name in {p.name for p in PLACE}}
    query = place | wanted.query()
    pixel = {"x": f"{facts['x']:.2f}", "y": f"{facts['y']:.2f}"}
    addresses = {
        "files": {form: changed(f"{path}.{form}", query) for form in FORM.choices},
        "picture": changed(f"{path}.png", query, zoom=_zoom(wanted, spot)),
        "address": changed(path, query),
        "elsewhere": {
            "Viewer": links.viewer(object_id, **pixel),
            "Dependency cutouts": links.depcuts_at_pixel(object_id, **pixel),
        },
    }
    shown = {"spot": spot, "facts": facts, "place": place, "path": path, "journal": journal, "bytes": len(made)}
    looks = {"texts": wanted.texts(), "parameters": PARAMETERS}
    response = make_response(render_template("cutout.html", **shown, **addresses, **looks))
    response.headers["Cache-Control"] = "no-store"
    return response


def _zoom(wanted: CutoutRequest, spot: Spot) -> int:
    """Return by how much the picture is magnified on its page."""
    nx, ny = wanted.extent.pixels(spot.axes.scale if spot.axes else None)
    return max(wanted.zoom, min(LARGEST_ZOOM, SHOWN // max(nx, ny)))


@cutouts.get("/cutouts/frame/<number:object_id>.<form>")
@describe(FRAME)
def frame(object_id: int, form: str) -> Response:
    """Send a cutout of a frame."""
    read = FRAME.read(request.args)
    if form not in FORM.choices:
        raise BadRequest(f"no cutouts of kind {form[:20]!r}; there are {', '.join(FORM.choices)}")
    wanted = CutoutRequest.of(read)
    spot = find_spot(session(), parts(current_app).images, object_id, read, wanted, with_sky=form in ("fits", "json"))
    session().rollback()  # hold no transaction while pixels are computed
    return _steps(spot, wanted) if form == "json" else send_cutout(spot, wanted, form)


def send_cutout(spot: Spot, wanted: CutoutRequest, form: str) -> Response:
    """Answer with a cutout, made now or kept; how it came about is in the header Server-Timing."""
    own, journal = parts(current_app), Journal()
    wanted = wanted.plain() if form == "fits" else wanted
    name = cutout_name(spot, wanted, form)
    response = Response(mimetype=MEDIA_TYPES[form])
    response.set_etag(name.partition(".")[0][-24:])
    response.headers["Cache-Control"] = FOREVER
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    on_disk = math.prod(wanted.extent.pixels(spot.axes.scale if spot.axes else None)) > QUICK
    with journal.step("kept", "found among what was made before"):
        found = own.workshop.find(name, on_disk)
    if found is None:
        found = own.workshop.get(name, lambda: make_cutout(own.store, spot, wanted, form, journal), on_disk)
    response.set_data(found)
    response.headers["Server-Timing"] = journal.server_timing()
    if form == "fits":
        response.headers["Content-Disposition"] = f'attachment; filename="cutout-{spot.frame.object_id}.fits"'
    return response


def cutout_name(spot: Spot, wanted: CutoutRequest, form: str) -> str:
    """Return the name of a finished cutout: all that its bytes depend on."""
    looks = replace(wanted, where="auto")  # the pixels are the same wherever they are cut out
    wcs = spot.wcs.items if spot.wcs is not None and form == "fits" else ()
    axes = spot.axes if wanted.north or not wanted.extent.in_pixels else None
    place = (spot.frame.object_id, spot.frame.content, spot.frame.hdu, spot.x, spot.y, axes)
    text = repr((VERSION, place, spot.ellipse, looks, wcs, spot.cards))
    return f"cutout-{sha256(text.encode()).hexdigest()[:40]}.{form}"


def _steps(spot: Spot, wanted: CutoutRequest) -> Response:
    """Answer with what is done to make a cutout, and how long it takes."""
    own, journal = parts(current_app), Journal()
    with own.workshop.bench():
        made = make_cutout(own.store, spot, wanted, "png", journal)
    found = _described(spot) | {"bytes": len(made), "ms": round(journal.total, 3), "steps": journal.as_json()}
    response = jsonify(found)
    response.headers["Cache-Control"] = "no-store"
    return response


def _described(spot: Spot) -> dict[str, Any]:
    sky = [float(v) for v in spot.wcs.to_sky(spot.x, spot.y)] if spot.wcs else [None, None]
    return {
        "object_id": spot.frame.object_id,
        "label": spot.frame.label,
        "filename": spot.frame.filename,
        "x": spot.x + 1,
        "y": spot.y + 1,
        "ra": sky[0],
        "dec": sky[1],
        "pixel_scale": spot.axes.scale if spot.axes else None,
    }
