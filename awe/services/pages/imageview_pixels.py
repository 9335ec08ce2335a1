"""Pictures and FITS sections of images, for scripts and pages."""

from collections.abc import Callable
from hashlib import sha256

from flask import Blueprint, Response, current_app, redirect, request
from werkzeug.datastructures import MultiDict

from awe.kernels.sections import Section
from awe.services.addresses import changed
from awe.services.image_fits import fits_section
from awe.services.image_look import MEDIA_TYPES, draw
from awe.services.image_pixels import read_section
from awe.services.image_request import PICTURE_PARAMETERS, Wanted
from awe.services.images import header_of
from awe.services.journal import Journal
from awe.services.operations import Operation, Parameter, describe
from awe.services.parts import parts
from awe.services.sessions import session
from awe.services.stored_frames import StoredFrame
from awe.services.workshop import QUICK

image_pixels = Blueprint("image_pixels", __name__)

VERSION = 1
"""Goes up when the same address gives other bytes than before."""
FOREVER = "private, max-age=31536000, immutable"
SHORTLY = "private, max-age=60"
"""For what lies around a position of the sky on an exposure, whose astrometry may be solved again."""


def find_image(which: str | int) -> StoredFrame:
    """Return an image by number or file name, and hold no transaction while its pixels are worked on."""
    found = parts(current_app).images.find(session(), which)
    session().rollback()
    return found


def kept(name: str, media_type: str, make: Callable[[], bytes], on_disk: bool = True) -> Response:
    """Answer with something whose name says all that it depends on: the browser keeps it for ever."""
    response = Response(mimetype=media_type)
    response.set_etag(sha256(name.encode()).hexdigest()[:24])
    response.headers["Cache-Control"] = FOREVER
    if request.if_none_match.contains_weak(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    response.set_data(parts(current_app).workshop.get(name, make, on_disk))
    return response


@image_pixels.get("/imageview/<which>.<any(png,jpg,tif,fits):form>")
@describe(
    Operation(
        "A picture of an image, or of a section of it; or the section as a FITS file with its own coordinates.",
        parameters=PICTURE_PARAMETERS,
        answers=tuple(MEDIA_TYPES.values()),
        path=(
            Parameter("which", "number of the frame, or name of its file (with or without .fits)", example="94"),
            Parameter("form", "what is sent", choices=tuple(MEDIA_TYPES)),
        ),
    )
)
def picture(which: str, form: str) -> Response:
    """Send a picture or a FITS file of an image."""
    wanted = Wanted.of(picture.__operation__.read(request.args))  # type: ignore[attr-defined]
    journal = Journal()
    with journal.step("database", "the frame and its file"):
        image = find_image(which)
    store, region = parts(current_app).store, wanted.region(image)
    factor = wanted.binning(region)
    look = "" if form == "fits" else wanted.look.text
    name = f"v{VERSION}-{image.object_id}-{image.content[:16]}-{wanted.plane}-{region}-{factor}-{look}.{form}"

    def make() -> bytes:
        with journal.step("read", "pixels, binned"):
            pixels = read_section(store, image, wanted.plane, region, factor)
        with journal.step("draw", f"to {form}"):
            if form == "fits":
                return fits_section(pixels, header_of(store, image, wanted.plane), region, factor)
            return draw(pixels, wanted.look, form)

    is_small_part = region.size <= min(QUICK, image.nx * image.ny - 1)
    response = kept(name, MEDIA_TYPES[form], make, on_disk=not is_small_part)
    if wanted.is_by_sky and not image.is_gridded:
        response.headers["Cache-Control"] = SHORTLY
    response.headers["X-Binning"] = str(factor)
    response.headers["X-Section"] = str(region)
    response.headers["X-Outside"] = str(_outside(region, image))
    response.headers["Server-Timing"] = journal.server_timing()
    if form == "fits":
        response.headers["Content-Disposition"] = f'attachment; filename="{image.class_name}-{image.object_id}.fits"'
    return response


def _outside(region: Section, image: StoredFrame) -> int:
    """Return the number of pixels of a section that lie beyond the image."""
    part = region.within(image.nx, image.ny)
    return region.size - (part.size if part else 0)


@image_pixels.get("/picture/<number:object_id>.<form>")
@describe(Operation("The address of pictures before there was a viewer: leads to the new one.", open_ended="as there"))
def old_picture(object_id: int, form: str) -> Response:
    """Lead on to the address of today, for good."""
    given = MultiDict(request.args)
    if "width" in given:
        given["fit"] = given.pop("width")
    found: Response = redirect(changed(f"/imageview/{object_id}.{form}", given), 301)  # type: ignore[assignment]
    return found
