"""The pages of the image viewer: where people begin, the viewer itself, and one position in all ancestors."""

from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template

from awe.errors import AweError
from awe.kernels.colour_maps import ColourMap
from awe.kernels.stretch import Stretch
from awe.services.addresses import changed
from awe.services.image_look import LOOK_PARAMETERS, cuts_text
from awe.services.image_overlays import recent_images, source_lists
from awe.services.image_request import PLANE, SECTION_PARAMETERS
from awe.services.image_sky import point_of
from awe.services.images import StoredImage
from awe.services.links import at, viewer
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.imageview_pixels import find_image, images
from awe.services.pages.imageview_tiles import WHICH, ancestry_of, facts_of, places_of, request_of
from awe.services.sessions import session

imageview = Blueprint("imageview", __name__)

MOST_FRAMES = 60
SHOWN_PLACES = 300
STILL = 1024
_XY = tuple(p for p in SECTION_PARAMETERS if p.name in ("x", "y"))
_POSITION = tuple(p for p in SECTION_PARAMETERS if p.name in ("x", "y", "ra", "dec"))
_EXAMPLES = (
    ("/imageview/94.png?fit=1024&stretch=asinh", "the whole frame 94, at most 1024 pixels wide"),
    ("/imageview/94.jpg?ra=188.54&dec=-33.44&size=60&cmap=viridis", "a square of 60 arcsec around a position"),
    ("/imageview/94.fits?x=500&y=480&width=200&height=100", "a section as FITS; the first pixel is 1"),
    ("/imageview/94/pixel.json?x=500&y=480&half=2", "values, flags and place on the sky of 5 x 5 pixels"),
    ("/imageview/94/ancestors.json?x=500&y=480", "the same position in all that the frame was made from"),
)


@imageview.get("/imageview")
@describe(
    Operation(
        "Find an image to look at; a number or file name leads to it.",
        (Parameter("q", "number, file name, or words of a target, file name or class"),),
        ("text/html",),
    )
)
def entry() -> Response:
    """Show recent frames, or those that fit some words."""
    words = (request_of(entry)["q"] or "").strip()
    found = _exactly(words)
    if found is not None:
        return redirect(viewer(found.object_id))  # type: ignore[return-value]
    frames = recent_images(session(), MOST_FRAMES, words)
    page = render_template("imageview_entry.html", frames=frames, words=words, most=MOST_FRAMES, examples=_EXAMPLES)
    return Response(page, headers={"Cache-Control": "no-cache"})


def _exactly(words: str) -> StoredImage | None:
    if not words:
        return None
    try:
        return images().find(session(), words)
    except AweError:  # no name of a frame: words to look for
        return None


@imageview.get("/imageview/<which>")
@describe(
    Operation(
        "The viewer: pan, zoom, cuts, colours, pixel values, overlays; the address in the browser restores the view.",
        (
            *LOOK_PARAMETERS,
            PLANE,
            *_POSITION,
            Parameter("zoom", "pixels of the screen for each of the image", "number", low=1e-4, high=64),
            Parameter("sources", "number of the source list that is drawn; 0: none", "integer", low=0),
            Parameter("footprints", "1: outlines of the frames it was made from", "boolean", default=False),
            Parameter(
                "with", "number of a second frame, linked by its place on the sky", "integer", low=1, high=2**31 - 1
            ),
            Parameter("mode", "how two frames are shown", default="side", choices=("side", "blink")),
        ),
        ("text/html",),
        path=(WHICH,),
    )
)
def show(which: str) -> Response:
    """Show an image in the viewer."""
    given = dict(request_of(show))
    image = images().find(session(), which)
    point = point_of(image, given)
    if given["ra"] is not None and point is not None:
        given["x"], given["y"] = point.x + 1, point.y + 1
    lists = source_lists(session(), image)
    pair = facts_of(images().find(session(), given["with"])) if given["with"] else None
    session().rollback()
    text = cuts_text(given["cuts"])
    place = {
        n: round(given[n], 2) if given[n] is not None else (size + 1) / 2
        for n, size in (("x", image.nx), ("y", image.ny))
    }
    look = {
        "stretch": given["stretch"],
        "cuts": text,
        "cmap": given["cmap"],
        "invert": int(given["invert"]),
        "plane": given["plane"],
    }
    state = {name: given[name] for name in ("x", "y", "zoom", "sources", "footprints", "mode")} | look
    page = render_template(
        "imageview.html",
        image=image,
        facts=facts_of(image) | {"source_lists": lists},
        pair=pair,
        given=given,
        state=state,
        place=place,
        cuts_text=text,
        choices={"stretch": list(Stretch), "cmap": list(ColourMap)},
        object_page=at("dbview", f"/object/{image.object_id}"),
        source_page=at("dbview", "/object/{slid}/sources"),
        position_links=_position_links(image, place, point is not None),
        still=changed(f"/imageview/{image.object_id}.png", {}, **_still(given, look)),
    )
    return Response(page, headers={"Cache-Control": "no-cache"})


def _still(given: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the picture that stands for the viewer where scripts do not run."""
    asked: dict[str, Any] = look | {"fit": STILL, "invert": look["invert"] or None}
    if given["x"] is not None and given["zoom"] is not None:
        width = min(max(round(STILL / given["zoom"]), 1), 100_000)
        asked |= {"x": given["x"], "y": given["y"], "width": width}
    return asked


def _position_links(image: StoredImage, place: dict[str, float], on_sky: bool) -> list[tuple[str, str]]:
    """Return name and address of what other services do at a position; `{x}` and `{y}` stand for it in scripts."""
    return []


@imageview.get("/imageview/<which>/ancestors")
@describe(
    Operation(
        "Where a position of an image lies in everything it was made from, down to the raw frames, with pictures.",
        _XY,
        ("text/html",),
        path=(WHICH,),
    )
)
def ancestors(which: str) -> Response:
    """Show one position in all ancestors."""
    image, x, y, places = _ancestors(which, ancestors)
    point = point_of(image, {"x": x, "y": y, "ra": None, "dec": None})
    shown = [p | {"object_page": at("dbview", f"/object/{p['object_id']}")} for p in places[:SHOWN_PLACES]]
    page = render_template(
        "imageview_ancestors.html", image=image, x=x, y=y, sky=point, places=shown, total=len(places)
    )
    return Response(page, headers={"Cache-Control": "no-cache"})


@imageview.get("/imageview/<which>/ancestors.json")
@describe(
    Operation(
        "Where a position of an image lies in everything it was made from: x and y from 1, and whether it is inside.",
        _XY,
        ("application/json",),
        path=(WHICH,),
    )
)
def ancestors_json(which: str) -> Response:
    """Send one position in all ancestors."""
    image, x, y, places = _ancestors(which, ancestors_json)
    return jsonify(object_id=image.object_id, x=x, y=y, total=len(places), places=places)


def _ancestors(which: str, view: Any) -> tuple[StoredImage, float, float, list[dict[str, Any]]]:
    given = request_of(view)
    image = find_image(which)
    x = given["x"] if given["x"] is not None else (image.nx + 1) / 2
    y = given["y"] if given["y"] is not None else (image.ny + 1) / 2
    return image, x, y, places_of(ancestry_of(image.object_id), x, y)
