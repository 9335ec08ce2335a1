"""The pages of the image viewer: where people begin, the viewer itself, and one position in all ancestors."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, current_app, jsonify, redirect, render_template, request

from awe.errors import AweError, BadRequest
from awe.kernels.colour_maps import ColourMap
from awe.kernels.flag_picture import COLOURS as COLOURS_OF_FLAGS
from awe.kernels.stretch import Stretch
from awe.services.addresses import changed
from awe.services.image_look import LOOK_PARAMETERS, cuts_text
from awe.services.image_overlays import recent_images, source_lists
from awe.services.image_request import PLANE, SECTION_PARAMETERS
from awe.services.image_sky import block_around, flag_word, point_of
from awe.services.image_still import Still
from awe.services.links import at, cutout_page, depcuts_at, viewer
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.imageview_pixels import find_image
from awe.services.pages.imageview_tiles import WHICH, ancestry_of, facts_of, places_of, request_of
from awe.services.parts import parts
from awe.services.rgb_frames import parse_ids
from awe.services.rgb_request import COLOURS, LOOKS, RgbRequest
from awe.services.sessions import session
from awe.services.stored_frames import Plane, StoredFrame

imageview = Blueprint("imageview", __name__)

MOST_FRAMES = 60
SHOWN_PLACES = 300
_LAYER = replace(PLANE, doc=f"{PLANE.doc}, or with rgb the colours of three frames", choices=(*PLANE.choices, "rgb"))
_RGB_LOOK = Operation("How a colour picture is made", LOOKS)
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


def _exactly(words: str) -> StoredFrame | None:
    if not words:
        return None
    try:
        return parts(current_app).images.find(session(), words)
    except AweError:  # no name of a frame: words to look for
        return None


@imageview.get("/imageview/<which>")
@describe(
    Operation(
        "The viewer: pan, zoom, cuts, colours, pixel values, overlays; the address in the browser restores the view.",
        (
            *LOOK_PARAMETERS,
            _LAYER,
            *_POSITION,
            Parameter("zoom", "pixels of the screen for each of the image", "number", low=1e-4, high=64),
            Parameter("sources", "number of the source list that is drawn; 0: none", "integer", low=0),
            Parameter("footprints", "1: outlines of the frames it was made from", "boolean", default=False),
            Parameter(
                "with", "number of a second frame, linked by its place on the sky", "integer", low=1, high=2**31 - 1
            ),
            Parameter("mode", "how two frames are shown", default="side", choices=("side", "blink")),
            Parameter(
                "rgb", "numbers of three frames, this one among them, shown in colour as a layer: red,green,blue"
            ),
            Parameter(
                "rgb_look", "how they are coloured: parameters of /rgb, percent-encoded", example="mode%3Dasinh%26q%3D5"
            ),
            Parameter("click.x", "where the picture was clicked that stands for the viewer without scripts", "integer"),
            Parameter("click.y", "the same, pixels of the screen from the top", "integer"),
        ),
        ("text/html",),
        path=(WHICH,),
    )
)
def show(which: str) -> Response:
    """Show an image in the viewer."""
    given = dict(request_of(show))
    image = parts(current_app).images.find(session(), which)
    point = point_of(image, given)
    if given["ra"] is not None and point is not None:
        given["x"], given["y"] = round(point.x + 1, 2), round(point.y + 1, 2)
    still, under = _still(image, given), None
    if given["click.x"] is not None and given["click.y"] is not None:
        given["x"], given["y"] = still.clicked(given["click.x"], given["click.y"])
        still, under = _still(image, given | {"zoom": still.zoom}), _under(image, given)
    colours = _colours(image, given)
    facts = facts_of(image) | {"source_lists": source_lists(session(), image)} | colours
    facts["planes"] = [*facts["planes"], *(["rgb"] if colours else [])]
    pair = facts_of(parts(current_app).images.find(session(), given["with"])) if given["with"] else None
    session().rollback()
    look = _look(given)
    place = {"x": round(still.x, 2), "y": round(still.y, 2)}
    page = render_template(
        "imageview.html",
        image=image,
        facts=facts,
        pair=pair,
        given=given,
        state={name: given[name] for name in ("x", "y", "zoom", "sources", "footprints", "mode", "rgb", "rgb_look")}
        | look,
        place=place,
        cuts_text=look["cuts"],
        choices={"stretch": list(Stretch), "cmap": list(ColourMap)},
        object_page=at("dbview", f"/object/{image.object_id}"),
        source_page=at("dbview", "/object/{slid}/sources"),
        position_links=_position_links(image, place),
        still=still,
        still_picture=_still_picture(image, still, given, look, colours),
        under=under,
        flag_colours=[(flag_word(flag), f"#{bytes(colour).hex()}") for flag, colour in COLOURS_OF_FLAGS.items()],
    )
    return Response(page, headers={"Cache-Control": "no-cache"})


def _look(given: dict[str, Any]) -> dict[str, Any]:
    """Return the look of an address, as addresses and scripts have it."""
    plane = "rgb" if given["rgb"] and given["plane"] == Plane.IMAGE and "plane" not in request.args else given["plane"]
    simple = {name: given[name] for name in ("stretch", "cmap")}
    return simple | {"cuts": cuts_text(given["cuts"]), "invert": int(given["invert"]), "plane": plane}


def _colours(image: StoredFrame, given: dict[str, Any]) -> dict[str, str]:
    """Return the addresses of the layer in colour; none if there is none."""
    if not given["rgb"]:
        if given["plane"] == "rgb" or given["rgb_look"]:
            raise BadRequest("colours need three frames: give their numbers as rgb=red,green,blue")
        return {}
    numbers = parse_ids(given["rgb"])
    if image.object_id not in numbers:
        raise BadRequest(
            f"rgb={given['rgb'][:60]} does not have the frame {image.object_id}, on whose pixels it is shown"
        )
    of_rgb = at("rgb", f"/rgb/{','.join(map(str, numbers))}")
    if not of_rgb:
        raise BadRequest("no service makes colour pictures here: start one with `awe serve rgb`")
    looks = RgbRequest.of(_RGB_LOOK.read(dict(parse_qsl(given["rgb_look"] or "")))).looks()
    query = urlencode(looks | {"grid": COLOURS[numbers.index(image.object_id)]})
    return {"rgb_tiles": f"{of_rgb}/tiles", "rgb_query": query, "rgb_picture": of_rgb}


def _still(image: StoredFrame, given: dict[str, Any]) -> Still:
    return Still.of(image, given["x"], given["y"], given["zoom"])


def _still_picture(
    image: StoredFrame, still: Still, given: dict[str, Any], look: dict[str, Any], colours: dict[str, str]
) -> str:
    """Return the address of the picture that stands for the viewer where scripts do not run."""
    if look["plane"] == "rgb":
        return changed(f"{colours['rgb_picture']}.png", dict(parse_qsl(colours["rgb_query"])), **still.section)
    return changed(
        f"/imageview/{image.object_id}.png", {}, **still.section, **look | {"invert": look["invert"] or None}
    )


def _under(image: StoredFrame, given: dict[str, Any]) -> dict[str, Any]:
    """Return what the pixel says that was clicked."""
    plane = Plane.IMAGE if given["plane"] == "rgb" else Plane(given["plane"])
    found = block_around(parts(current_app).store, image, plane, given["x"] - 1, given["y"] - 1, 0)
    bits = found.get("flags", [[0]])[0][0]
    return {
        "value": found["values"][0][0] if "values" in found else None,
        "unit": found["unit"],
        "flags": [word for bit, word in found["bits"].items() if bits & int(bit)],
        "sky": point_of(image, {"x": given["x"], "y": given["y"], "ra": None, "dec": None}),
    }


def _position_links(image: StoredFrame, place: dict[str, float]) -> list[dict[str, str]]:
    """Return what other services do at a position: name and address, and whether it goes by pixels or by the sky."""
    point = point_of(image, place | {"ra": None, "dec": None})
    found = [{"name": "Cut-out", "address": cutout_page(image.object_id, x=place["x"], y=place["y"]), "by": "pixel"}]
    if point is not None:
        around = depcuts_at(image.object_id, point.ra, point.dec)
        found.append({"name": "Dependency cut-outs", "address": around, "by": "sky"})
    return [link for link in found if link["address"]]


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


def _ancestors(which: str, view: Any) -> tuple[StoredFrame, float, float, list[dict[str, Any]]]:
    given = request_of(view)
    image = find_image(which)
    x = given["x"] if given["x"] is not None else (image.nx + 1) / 2
    y = given["y"] if given["y"] is not None else (image.ny + 1) / 2
    return image, x, y, places_of(ancestry_of(image.object_id), x, y)
