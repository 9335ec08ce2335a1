"""Colour pictures of three frames: the pictures, the page with its form, and the gallery of earlier ones."""

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, Response, current_app, jsonify, redirect, request, url_for

from awe.errors import AweError, BadRequest
from awe.model.rendering import Rendering
from awe.services import links
from awe.services.encoding import MEDIA_TYPES
from awe.services.journal import Journal
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.imageview_pixels import FOREVER, kept
from awe.services.pages.imageview_tiles import pyramids
from awe.services.parts import parts
from awe.services.renderings import earlier, record
from awe.services.rgb import VERSION, Scene, check_tile, make_rgb, make_tile, scene_of
from awe.services.rgb_frames import bands_of, frame_named, frames_of_target, parse_ids, target_names
from awe.services.rgb_request import COLOURS, LOOKS, PARAMETERS, RgbRequest
from awe.services.sessions import session
from awe.services.stored_frames import stored_frames
from awe.services.visitors import visitor

rgb = Blueprint("rgb", __name__)

GALLERY_SIZE = 24
PREVIEW = 900
"""Most columns of the picture on the page, and of one in the gallery."""
THUMBNAIL = 240
PROPOSED = 100
"""Grid targets that the form proposes."""

IDS = Parameter("ids", "numbers of the frames shown as red, green and blue", example="12,13,14")
FORM = Parameter("form", "kind of file", choices=tuple(MEDIA_TYPES), example="png")
TARGET = (
    Parameter("target", "name or number of a grid target, instead of three frames", default="", example="M67 EFOSC2"),
    Parameter("filters", "three filters or bands of the target, red first", default="", example="i,r,g"),
)
FRAMES = tuple(
    Parameter(c, f"number or file name of the frame shown as {c}", default="", example="12") for c in COLOURS
)
PAGE = Parameter("page", "page of the gallery", "integer", default=1, low=1, high=10_000)
PICTURE = Operation(
    "A colour picture of three frames, with its place on the sky as AVM tags (XMP)",
    PARAMETERS,
    tuple(MEDIA_TYPES.values()),
    path=(IDS, FORM),
)
DESCRIPTION = Operation(
    "What a colour picture is made of: its frames, grid, levels and scales",
    PARAMETERS,
    ("application/json",),
    path=(IDS,),
)
TILES = Operation(
    "A tile of a colour picture, counted from the top left, binned by 2 to the power of its level",
    LOOKS,
    ("image/png", "image/jpeg"),
    path=(IDS, Parameter("form", "kind of file", choices=("png", "jpg"))),
)
OF_TARGET = Operation(
    "Leads to the colour picture of the newest coadds of a grid target in three filters",
    (*TARGET, *PARAMETERS),
    tuple(MEDIA_TYPES.values()),
    path=(FORM,),
)
FORM_PAGE = Operation(
    "Page that makes colour pictures of three frames, or of a grid target and filters, and shows earlier ones",
    (*FRAMES, *TARGET, *LOOKS),
)
GALLERY = Operation("Colour pictures that were made earlier, newest first", (PAGE,))


@rgb.get("/rgb/<ids>.<any(png,jpg,tif):form>")
@describe(PICTURE)
def picture(ids: str, form: str) -> Response:
    """Send a colour picture."""
    wanted = RgbRequest.of(PICTURE.read(request.args))
    numbers = parse_ids(ids)
    scene = _scene(numbers, wanted)
    return _sent(scene, form)


@rgb.get("/rgb/<ids>.json")
@describe(DESCRIPTION)
def description(ids: str) -> Response:
    """Tell what a colour picture is made of."""
    wanted = RgbRequest.of(DESCRIPTION.read(request.args))
    response = jsonify(_scene(parse_ids(ids), wanted).described())
    response.headers["Cache-Control"] = "no-cache"
    return response


@rgb.get("/rgb/<ids>/tiles/<int:level>/<int:column>_<int:row>.<any(png,jpg):form>")
@describe(TILES)
def tile(ids: str, level: int, column: int, row: int, form: str) -> Response:
    """Send a tile of a colour picture, in the geometry of the image viewer."""
    wanted = RgbRequest.of(TILES.read(request.args))
    scene = _scene(parse_ids(ids), wanted, whole=True)
    check_tile(scene, level, column, row)
    name = f"tile-{level}-{column}_{row}-{_name(scene, form)}"
    return kept(name, MEDIA_TYPES[form], lambda: make_tile(pyramids(), scene, level, column, row, form))


@rgb.get("/rgb/target.<any(png,jpg,tif):form>")
@describe(OF_TARGET)
def of_target(form: str) -> Response:
    """Lead to the picture of a grid target."""
    read = OF_TARGET.read(request.args)
    if not read["target"]:
        raise BadRequest("target is missing: give the name or number of a grid target")
    numbers = frames_of_target(session(), read["target"], read["filters"])
    place = {name: value for name, value in request.args.items() if name not in ("target", "filters")}
    response = redirect(_address(numbers, form, place))
    response.headers["Cache-Control"] = "no-cache"  # other frames may be the newest tomorrow
    return response  # type: ignore[return-value]


@rgb.get("/rgb")
@rgb.get("/rgb.json", endpoint="page_json")
@describe(FORM_PAGE)
def page() -> Response:
    """Show the form, and the picture that it asks for."""
    read = FORM_PAGE.read(request.args)
    problem, shown = None, None
    try:
        numbers = _numbers(read)
        if numbers is not None:
            wanted = RgbRequest.of(read)
            shown = _shown(_scene(numbers, wanted, binned=True))
            _remember(shown["scene"])
    except AweError as error:
        problem = error
    gallery = _gallery(1, 6)
    targets = target_names(session(), PROPOSED)
    session().rollback()
    status = problem.status if problem else 200

    def machine() -> dict[str, Any]:
        if problem:
            raise problem
        return {"picture": shown and _as_json(shown), "earlier": gallery, "targets": targets}

    response = answer("rgb.html", machine, given=read, looks=LOOKS, problem=problem, shown=shown, gallery=gallery,
                      targets=targets, colours=COLOURS)  # fmt: skip
    response.status_code = status
    return response


@rgb.get("/rgb/earlier")
@rgb.get("/rgb/earlier.json", endpoint="gallery_json")
@describe(GALLERY)
def gallery() -> Response:
    """Show what was made earlier."""
    number = GALLERY.read(request.args)["page"]
    found = _gallery(number, GALLERY_SIZE)
    return answer("rgb_earlier.html", lambda: {"page": number, "pictures": found}, page=number, gallery=found,
                  is_full=len(found) == GALLERY_SIZE)  # fmt: skip


def _scene(numbers: tuple[int, int, int], wanted: RgbRequest, whole: bool = False, binned: bool = False) -> Scene:
    bands = bands_of(session(), parts(current_app).images, numbers)
    session().rollback()  # hold no transaction while pixels are read
    return scene_of(parts(current_app).store, bands, wanted, whole, binned)


def _sent(scene: Scene, form: str) -> Response:
    own, journal, name = parts(current_app), Journal(), _name(scene, form)
    response = Response(mimetype=MEDIA_TYPES[form])
    response.set_etag(name.partition(".")[0][-24:])
    response.headers["Cache-Control"] = FOREVER
    response.headers["X-Binning"], response.headers["X-Section"] = str(scene.binning), str(scene.region)
    response.headers["X-Balance"] = scene.levels.balance
    response.headers["Content-Disposition"] = f'inline; filename="rgb-{"-".join(map(str, _ids(scene)))}.{form}"'
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    with journal.step("kept", "found among what was made before"):
        found = own.workshop.find(name)
    if found is None:
        found = own.workshop.get(name, lambda: make_rgb(own.store, scene, form, "awe", journal))
        if scene.request.is_whole:
            _remember(scene)
    response.set_data(found)
    response.headers["Server-Timing"] = journal.server_timing()
    return response


def _name(scene: Scene, form: str) -> str:
    """Return the name of a finished picture: all that its bytes depend on."""
    frames = [(b.object_id, b.frame.content, b.frame.hdu, b.wcs.items, b.zeropoint, b.frame.label) for b in scene.bands]
    looks = (scene.request.mode, scene.request.q, scene.request.grid)
    text = repr((VERSION, frames, looks, str(scene.region), scene.binning, scene.levels, scene.title))
    return f"rgb-{sha256(text.encode()).hexdigest()[:40]}.{form}"


def _ids(scene: Scene) -> tuple[int, int, int]:
    red, green, blue = (band.object_id for band in scene.bands)
    return red, green, blue


def _remember(scene: Scene) -> None:
    """Enter a picture among those that were made."""
    own = parts(current_app)
    made = Rendering(
        service="rgb",
        address=_address(_ids(scene), "jpg", scene.request.looks()),
        title=scene.title[:200],
        objects=list(_ids(scene)),
        creator=visitor().user,
        project=own.settings.project,
    )
    record(own.writing, made)


def _address(numbers: tuple[int, ...], form: str, query: dict[str, str]) -> str:
    path = f"/rgb/{','.join(map(str, numbers))}.{form}"
    return f"{path}?{urlencode(query, safe=',')}" if query else path


def _numbers(read: dict[str, Any]) -> tuple[int, int, int] | None:
    """Return the frames that the form asks for; None if it asks for nothing yet."""
    given = [read[colour] for colour in COLOURS]
    if read["target"]:
        if any(given):
            raise BadRequest("give either a grid target or three frames")
        return frames_of_target(session(), read["target"], read["filters"])
    if not any(given):
        return None
    missing = [colour for colour in COLOURS if not read[colour]]
    if missing:
        raise BadRequest(f"the {missing[0]} frame is missing: give the numbers or file names of three frames")
    red, green, blue = (frame_named(session(), read[colour], colour) for colour in COLOURS)
    return red, green, blue


def _shown(scene: Scene) -> dict[str, Any]:
    numbers, looks = _ids(scene), scene.request.looks()
    sized = looks | ({"bin": str(scene.binning)} if scene.binning > 1 else {})
    image = scene.reference.frame
    fit = {"fit": str(PREVIEW)} if image.nx > PREVIEW else {}
    return {
        "scene": scene,
        "described": scene.described(),
        "preview": _address(numbers, "jpg", looks | fit),
        "files": {form: _address(numbers, form, sized) for form in MEDIA_TYPES},
        "viewer": links.viewer(image.object_id, rgb=",".join(map(str, numbers)), rgb_look=urlencode(looks) or None),
        "prompt": f"awe.rgb({', '.join(map(str, numbers))}{''.join(f', {k}={v!r}' for k, v in sized.items())})",
    }


def _as_json(shown: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = shown["described"]
    return described | {"preview": shown["preview"], "files": shown["files"]}


def _gallery(page: int, size: int) -> list[dict[str, Any]]:
    """Return a page of earlier pictures; those of frames that this visitor may not see are left out."""
    made = earlier(session(), "rgb", page, size)
    seen = stored_frames(session(), {number for one in made for number in one.objects})
    return [
        {
            "title": one.title,
            "address": one.address,
            "thumbnail": one.address + ("&" if "?" in one.address else "?") + f"fit={THUMBNAIL}",
            "page": url_for("rgb.page", **_page_query(one.address)),
            "who": one.creator,
            "created": one.created.isoformat(timespec="seconds"),
            "looks": ", ".join(f"{name} {value}" for name, value in _looks_in(one.address).items()),
            "objects": one.objects,
        }
        for one in made
        if all(number in seen for number in one.objects)
    ]


def _page_query(address: str) -> dict[str, Any]:
    """Return the parameters of the page that shows a picture."""
    ids = address.partition("?")[0].removeprefix("/rgb/").rpartition(".")[0].split(",")
    return dict(zip(COLOURS, ids, strict=True)) | _looks_in(address)


def _looks_in(address: str) -> dict[str, str]:
    return dict(parse_qsl(address.partition("?")[2]))
