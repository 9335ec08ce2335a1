"""What the viewer asks for: facts of an image, tiles, cuts, pixels, positions, overlays. All as JSON or pictures."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from awe.errors import BadRequest, NotFound
from awe.services.ancestor_positions import Ancestry, load_ancestry
from awe.services.image_look import LOOK_PARAMETERS, MEDIA_TYPES, Look, draw
from awe.services.image_overlays import footprints, source_lists, sources_within
from awe.services.image_request import FARTHEST, PLANE, SECTION_PARAMETERS
from awe.services.image_sky import block_around, point_of, sky_at
from awe.services.images import planes_of
from awe.services.links import viewer
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.imageview_pixels import VERSION, find_image, kept
from awe.services.parts import parts
from awe.services.pyramids import TILE, Pyramids, last_level, sampled
from awe.services.sessions import session
from awe.services.stored_frames import Plane, StoredFrame

image_tiles = Blueprint("image_tiles", __name__)

JSON = ("application/json",)
MOST_PLACES = 5000
LARGEST_HALF = 32
WHICH = Parameter("which", "number of the frame, or name of its file", example="94")
_SETTINGS = (PLANE, *LOOK_PARAMETERS)
_POSITION = tuple(p for p in SECTION_PARAMETERS if p.name in ("x", "y", "ra", "dec"))
_TILE_FORMS = ("png", "jpg")


def pyramids() -> Pyramids:
    """Return the overviews of this application."""
    known = current_app.extensions
    found: Pyramids = known.get("awe.pyramids") or known.setdefault(
        "awe.pyramids", Pyramids(parts(current_app).store, parts(current_app).workshop)
    )
    return found


@image_tiles.get("/imageview/<which>.json")
@describe(
    Operation(
        "Facts of an image: size, planes, levels of its tiles, place on the sky, source lists.",
        answers=JSON,
        path=(WHICH,),
    )
)
def facts(which: str) -> Response:
    """Send the facts of an image that the viewer needs."""
    request_of(facts)
    image = parts(current_app).images.find(session(), which)
    lists = source_lists(session(), image)
    session().rollback()
    return jsonify(facts_of(image) | {"source_lists": lists})


def facts_of(image: StoredFrame) -> dict[str, Any]:
    """Return the facts of an image as JSON holds them."""
    point = point_of(image, dict.fromkeys(("x", "y", "ra", "dec")))
    return {
        "object_id": image.object_id,
        "class": image.class_name,
        "label": image.label,
        "filename": image.filename,
        "nx": image.nx,
        "ny": image.ny,
        "unit": image.unit,
        "planes": planes_of(parts(current_app).store, image.filename),
        "is_map": image.is_map(Plane.IMAGE),
        "tile": TILE,
        "last_level": last_level(image),
        "cuts_from_sample": sampled(image),
        "middle": point.as_json() if point else None,
    }


@image_tiles.get("/imageview/<which>/tiles/<settings>/<int:level>/<int:column>_<int:row>.<form>")
@describe(
    Operation(
        f"A tile of {TILE} x {TILE} pixels of an image binned by 2 to the power of the level, from the top left.",
        answers=tuple(MEDIA_TYPES[form] for form in _TILE_FORMS),
        path=(
            WHICH,
            Parameter(
                "settings",
                "plane, stretch, cuts, colour map and invert, with ~ between",
                example="image~linear~zscale~gray~0",
            ),
            Parameter("form", "what is sent", choices=_TILE_FORMS),
        ),
    )
)
def tile(which: str, settings: str, level: int, column: int, row: int, form: str) -> Response:
    """Send a tile; its cuts are those of the whole image, so that tiles fit together."""
    request_of(tile)
    if form not in _TILE_FORMS:
        raise NotFound(f"no tiles of kind {form[:20]!r}; there are {', '.join(_TILE_FORMS)}")
    plane, look = read_settings(settings)
    image = find_image(which)
    limits = pyramids().limits(image, plane, look)
    overview = pyramids().prepare(image, plane, level)

    def make() -> bytes:
        return draw(pyramids().tile(image, plane, level, column, row, overview), look, form, limits)

    name = f"v{VERSION}-tile-{image.object_id}-{image.content[:16]}-{plane}-{look.text}-{level}-{column}_{row}.{form}"
    response = kept(name, MEDIA_TYPES[form], make, on_disk=False)
    response.headers["X-Binning"] = str(1 << level)
    return response


def read_settings(text: str) -> tuple[Plane, Look]:
    """Return plane and look of the settings in the address of a tile."""
    words = text.split("~")
    if len(words) != len(_SETTINGS):
        names = "~".join(p.name for p in _SETTINGS)
        raise BadRequest(f"settings of tiles must be {names}, such as image~linear~zscale~gray~0; got {text[:60]!r}")
    given = {p.name: p.read(word) for p, word in zip(_SETTINGS, words, strict=True)}
    return Plane(given["plane"]), Look.of(given)


@image_tiles.get("/imageview/<which>/cuts.json")
@describe(
    Operation(
        "The two values that cuts mean for a whole image: those of all of its tiles.",
        (PLANE, *(p for p in LOOK_PARAMETERS if p.name == "cuts")),
        JSON,
        path=(WHICH,),
    )
)
def limits(which: str) -> Response:
    """Send the values of cuts."""
    given = request_of(limits)
    image = find_image(which)
    plane = Plane(given["plane"])
    found = pyramids().limits(image, plane, Look(cuts=given["cuts"]))
    low, high = found or (None, None)
    return jsonify(low=low, high=high, unit=image.unit_of(plane), from_sample=sampled(image))


@image_tiles.get("/imageview/<which>/pixel.json")
@describe(
    Operation(
        "Values and flags of the pixels around a position, and its place on the sky.",
        (*_POSITION, PLANE, Parameter("half", "pixels to each side", "integer", default=0, low=0, high=LARGEST_HALF)),
        JSON,
        path=(WHICH,),
    )
)
def pixel(which: str) -> Response:
    """Send what lies under the cursor, and around it."""
    given = request_of(pixel)
    image = find_image(which)
    point = point_of(image, given)
    if given["ra"] is None:
        x, y = ((image.nx + 1) / 2, (image.ny + 1) / 2) if given["x"] is None else (given["x"], given["y"])
    else:
        assert point is not None
        x, y = point.x + 1, point.y + 1
    block = block_around(parts(current_app).store, image, Plane(given["plane"]), x - 1, y - 1, given["half"])
    return jsonify({"x": x, "y": y, "sky": point.as_json() if point else None} | block)


@image_tiles.get("/imageview/<which>/sky.json")
@describe(
    Operation(
        "Where a position of an image lies on the sky, or of the sky on the image; and its directions and scale there.",
        (
            *_POSITION,
            Parameter(
                "onto", "number of another frame, whose position at the same place of the sky is told", "integer"
            ),
        ),
        JSON,
        path=(WHICH,),
    )
)
def sky(which: str) -> Response:
    """Send a position as pixels and as angles."""
    given = request_of(sky)
    image = find_image(which)
    point = point_of(image, given)
    if point is None:
        raise NotFound(f"no place on the sky is known there: {image.extent}")
    answer = point.as_json()
    if given["onto"] is not None:
        answer["onto"] = _onto(given["onto"], point.ra, point.dec)
    return jsonify(answer)


def _onto(other: int, ra: float, dec: float) -> dict[str, Any] | None:
    image = find_image(other)
    if image.wcs is None:
        raise BadRequest(f"{image.label} has no coordinates on the sky, so nothing can be shown beside it")
    x, y = (float(v) for v in image.wcs.to_pixel(ra, dec))
    point = sky_at(image.wcs, x, y) if abs(x) < FARTHEST and abs(y) < FARTHEST else None
    return point.as_json() if point else None


@image_tiles.get("/imageview/<which>/sources.json")
@describe(
    Operation(
        "The sources of a list in a part of its image, the brightest first; `total` is how many there are in it.",
        (
            Parameter("slid", "number of the source list; by default the newest of the image", "integer", low=1),
            *(
                Parameter(n, "edge of the part", "number", low=-FARTHEST, high=FARTHEST)
                for n in ("x1", "x2", "y1", "y2")
            ),
        ),
        JSON,
        path=(WHICH,),
    )
)
def sources(which: str) -> Response:
    """Send the sources to draw over an image."""
    given = request_of(sources)
    image = parts(current_app).images.find(session(), which)
    slid = given["slid"]
    if slid is None:
        lists = source_lists(session(), image)
        if not lists:
            raise NotFound(f"no source list of {image.label}")
        slid = lists[0]["slid"]
    whole = {"x1": 0.5, "x2": image.nx + 0.5, "y1": 0.5, "y2": image.ny + 0.5}
    box = [given[name] if given[name] is not None else edge for name, edge in whole.items()]
    return jsonify(sources_within(session(), image, slid, box))


@image_tiles.get("/imageview/<which>/footprints.json")
@describe(Operation("Outlines of the frames an image was made from or is part of.", (), JSON, path=(WHICH,)))
def outlines(which: str) -> Response:
    """Send the outlines to draw over an image."""
    request_of(outlines)
    return jsonify(footprints(session(), parts(current_app).images.find(session(), which)))


def ancestry_of(object_id: int) -> Ancestry:
    """Return the frames that an object was made from, remembered: they never change."""
    known: dict[int, Ancestry] = current_app.extensions.setdefault("awe.ancestries", {})
    found = known.get(object_id)
    if found is None:
        found = load_ancestry(session(), object_id)
        session().rollback()
        if len(found.places) <= MOST_PLACES and parts(current_app).settings.open_reading:
            if len(known) > 32:
                known.clear()
            known[object_id] = found
    return found


def places_of(found: Ancestry, x: float, y: float) -> list[dict[str, Any]]:
    """Return where a position (from 1) lies on each frame, with the address that shows it there."""
    return [
        p.as_json()
        | {"viewer": viewer(p.place.object_id, x=round(p.x + 1, 2), y=round(p.y + 1, 2)) if p.inside else ""}
        for p in found.at(x - 1, y - 1)
    ]


def request_of(view: Any) -> Mapping[str, Any]:
    """Return the parameters of this request as the declaration of its view reads them."""
    given: Mapping[str, Any] = view.__operation__.read(request.args)
    return given
