"""The place that a request for one cutout names: by pixel or by sky position."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.kernels.cutout import Axes
from awe.kernels.marks import Ellipse
from awe.kernels.wcs import Wcs
from awe.model.angles import parse_dec, parse_ra
from awe.services.cutout import Spot, axes_of
from awe.services.cutout_request import CutoutRequest
from awe.services.images import Images
from awe.services.operations import Parameter
from awe.services.stored_frames import StoredFrame, solution

LARGEST_COORDINATE = 1e6
LARGEST_AXIS = 1e5


def _several(text: str, count: int, most: float) -> tuple[float, ...]:
    found = tuple(float(part) for part in text.split(","))
    if len(found) != count or not all(math.isfinite(v) and abs(v) <= most for v in found):
        raise ValueError(text)
    return found


def parse_ellipse(text: str) -> Ellipse:
    """Return the ellipse that `A,B,THETA` states."""
    a, b, theta = _several(text, 3, 3600.0)
    if a <= 0 or b <= 0:
        raise ValueError(text)
    return Ellipse(a, b, theta)


def parse_axes(text: str) -> Axes:
    """Return the axes that four numbers state."""
    return Axes(*_several(text, 4, LARGEST_AXIS))


PLACE = (
    Parameter(
        "x",
        "position along the rows, as FITS counts: the first pixel's centre is 1 (X_IMAGE of a source list + 1)",
        "number",
        low=-LARGEST_COORDINATE,
        high=LARGEST_COORDINATE,
        unit="pixel",
        example=512,
    ),
    Parameter(
        "y",
        "position along the columns, as FITS counts",
        "number",
        low=-LARGEST_COORDINATE,
        high=LARGEST_COORDINATE,
        unit="pixel",
        example=512,
    ),
    Parameter("ra", "right ascension, degrees or h:m:s, ICRS", example="152.5 or 10:10:00", parse=parse_ra),
    Parameter("dec", "declination, degrees or d:m:s, ICRS", example="-1.5 or -01:30:00", parse=parse_dec),
    Parameter(
        "ellipse",
        "A_IMAGE,B_IMAGE,THETA_IMAGE of the source, for mark=ellipse",
        example="2.1,1.8,35",
        parse=parse_ellipse,
    ),
    Parameter(
        "axes",
        "how the pixels lie on the sky, if the frame does not tell: pixels along x and y for one arcsec to the east, "
        "then for one to the north",
        example="-4.2,0,0,4.2",
        parse=parse_axes,
    ),
)


def find_spot(
    session: Session, images: Images, object_id: int, read: Mapping[str, Any], request: CutoutRequest, with_sky: bool
) -> Spot:
    """Return the place that parameters state; `with_sky`: with its coordinate system, if there is one."""
    _check_given(read)
    frame = images.frame(session, object_id)
    x, y, wcs = read["x"], read["y"], None
    if x is None:
        wcs = solution(session, frame).wcs
        x, y = _pixel(wcs, read["ra"], read["dec"])
    else:
        x, y = x - 1, y - 1
        if with_sky or (read["axes"] is None and (request.north or not request.extent.in_pixels)):
            wcs = _wcs(session, frame)
    return Spot(frame, x, y, read["axes"] or axes_of(wcs, x, y), read["ellipse"], wcs)


def _check_given(read: Mapping[str, Any]) -> None:
    pixel, sky = ([name for name in names if read[name] is not None] for names in (("x", "y"), ("ra", "dec")))
    if pixel and sky:
        raise BadRequest(f"{pixel[0]} and {sky[0]} were both given: the place is either x and y, or ra and dec")
    if len(pixel) != 2 and len(sky) != 2:
        given = (pixel or sky or ["nothing"])[0]
        raise BadRequest(f"a cutout needs its place, x and y (pixels) or ra and dec (degrees); {given} was given")


def _pixel(wcs: Wcs, ra: float, dec: float) -> tuple[float, float]:
    x, y = wcs.to_pixel(ra, dec)
    return float(x), float(y)


def _wcs(session: Session, frame: StoredFrame) -> Wcs | None:
    try:
        return solution(session, frame).wcs
    except BadRequest:  # calibrations are cut by pixel; `plan` tells if more is needed
        return None
