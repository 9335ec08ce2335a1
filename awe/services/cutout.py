"""Cutouts of frames: pixels around a position, from the data server to a picture or a FITS file."""

import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from PIL import Image

from awe import __version__
from awe.errors import BadRequest, NotFound
from awe.kernels.colour_maps import ColourMap, colour_table
from awe.kernels.cutout import Axes, axes_at, blank, cut, north_up, reach, window
from awe.kernels.flag_picture import colour_flags
from awe.kernels.marks import Ellipse, draw_cross, draw_ellipse
from awe.kernels.png import encode_png
from awe.kernels.sections import Section
from awe.kernels.stretch import Cuts, apply_stretch, zscale
from awe.kernels.wcs import Wcs, tan
from awe.services.cutout_request import CutoutRequest, Mark
from awe.services.image_look import Look
from awe.services.image_pixels import Where, read_section
from awe.services.journal import Journal
from awe.services.stored_frames import Plane, StoredFrame
from awe.store import Store

VERSION = 1
"""Changes whenever the same request gives other bytes."""
ELLIPSE_SIGMAS = 3.0
"""Half axes of a drawn ellipse, in units of A_IMAGE and B_IMAGE."""
JPEG_QUALITY = 90
JPEG_GROUND = (38, 40, 43)
"""Colour of what has no data in JPEG pictures, which have no opacity."""
LARGEST_TURNED = 64_000_000
"""Pixels that a turned cutout may be interpolated from."""
ZSCALE_SAMPLES = 2500
CROSS = 0.09, 0.22
"""Where the arms of a cross begin and end, in units of the smaller side of the picture."""


@dataclass(frozen=True)
class Spot:
    """A position on a frame, with what is known of it."""

    frame: StoredFrame
    x: float
    """Pixels, 0 is the centre of the first."""
    y: float
    axes: Axes | None = None
    """How the pixels lie on the sky there; None: not known."""
    ellipse: Ellipse | None = None
    """A_IMAGE, B_IMAGE, THETA_IMAGE of the source."""
    wcs: Wcs | None = None
    cards: dict[str, Any] = field(default_factory=dict)
    """What the header of a FITS file says besides."""

    def __str__(self) -> str:
        return f"x {self.x + 1:.2f}, y {self.y + 1:.2f} of {self.frame.label}"


@dataclass(frozen=True)
class Plan:
    """What is to be read for a cutout, and the size of the result."""

    spot: Spot
    request: CutoutRequest
    nx: int
    ny: int
    wanted: Section
    """Pixels of the frame; they may reach beyond its edge."""
    part: Section | None
    """Those that there are; None: the cutout lies wholly outside."""

    @property
    def scale(self) -> float:
        """Size of a pixel of a turned cutout, arcsec: that of the frame at the position."""
        assert self.spot.axes is not None
        return self.spot.axes.scale

    @property
    def plane(self) -> Plane:
        """The plane that is shown."""
        return Plane(self.request.plane)


def axes_of(wcs: Wcs | None, x: float, y: float) -> Axes | None:
    """Return how pixels lie on the sky around a position; None if nothing tells."""
    if wcs is None or not (math.isfinite(x) and math.isfinite(y)):
        return None
    try:
        return axes_at(wcs, x, y)
    except ValueError:  # off the sky
        return None


def plan(spot: Spot, request: CutoutRequest) -> Plan:
    """Return what is to be read; refuse what would be too large."""
    if not (math.isfinite(spot.x) and math.isfinite(spot.y)):
        return Plan(spot, request, *request.extent.pixels(spot.axes.scale if spot.axes else None), _NOWHERE, None)
    nx, ny = request.extent.pixels(spot.axes.scale if spot.axes else None)
    request.check_picture(nx, ny)
    wanted = window(spot.x, spot.y, nx, ny)
    part = wanted.within(spot.frame.nx, spot.frame.ny)
    if request.north:
        if spot.axes is None:
            raise BadRequest(f"{spot.frame.label} has no place on the sky, so it can't be turned north up")
        wanted = reach(spot.x, spot.y, spot.axes, nx, ny, spot.axes.scale)
        part = wanted.within(spot.frame.nx, spot.frame.ny) if part else None
    if part is not None and math.prod(part.shape) > LARGEST_TURNED:
        raise BadRequest(f"the cutout is made from {math.prod(part.shape):,} pixels, the limit is {LARGEST_TURNED:,}")
    return Plan(spot, request, nx, ny, wanted, part)


_NOWHERE = Section(0, 1, 0, 1)


def read(store: Store, wanted: Plan, part: Section) -> np.ndarray:
    """Return pixels of the frame of a plan, cut out where its request says."""
    return read_section(store, wanted.spot.frame, wanted.plane, part, where=Where(wanted.request.where))


def _cutter(store: Store, wanted: Plan) -> str:
    """Return in words where the pixels of a plan are cut out."""
    if wanted.request.where == Where.IMAGESERVER:
        return "this server, from the whole file"
    is_here = wanted.request.where == Where.AUTO and store.cache.find(wanted.spot.frame.filename) is not None
    return "this server, from the file that is here" if is_here else f"the data server {store.address}"


def finished(wanted: Plan, pixels: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return the image of a cutout from pixels of the frame, which begin at a corner; blank where there are none."""
    if not wanted.request.north:
        return cut(pixels, corner, wanted.wanted)
    spot = wanted.spot
    assert spot.axes is not None
    return north_up(pixels, corner, spot.x, spot.y, spot.axes, wanted.nx, wanted.ny, wanted.scale)


def make_cutout(store: Store, spot: Spot, request: CutoutRequest, form: str, journal: Journal) -> bytes:
    """Return a cutout as the bytes of a file; raise NotFound if it lies wholly outside the image."""
    made = plan(spot, request)
    if made.part is None:
        frame = spot.frame
        raise NotFound(
            f"{spot}: the cutout of {made.nx} x {made.ny} pixels lies outside the image, "
            f"which is {frame.nx} x {frame.ny}"
        )
    part = made.part
    with journal.step("section", f"cut {part} of {spot.frame.filename} by {_cutter(store, made)}"):
        pixels = read(store, made, part)
    with journal.step("turn" if request.north else "frame", f"{made.nx} x {made.ny} pixels around the position"):
        image = finished(made, pixels, (part.x0, part.y0))
    with journal.step(form, f"{request.look.text}, as {form}" if form != "fits" else "FITS file"):
        return encoded(made, image, form)


def encoded(made: Plan, image: np.ndarray, form: str) -> bytes:
    """Return the image of a cutout as PNG, JPEG or FITS."""
    if form == "fits":
        return fits_bytes([image_hdu(made, image, primary=True)])
    drawn = draw(made, image)
    if form == "png":
        return encode_png(drawn)
    buffer = io.BytesIO()
    Image.fromarray(_without_opacity(drawn)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def draw(made: Plan, image: np.ndarray) -> np.ndarray:
    """Return the picture of a cutout, y downwards: gray, RGB, or RGB with opacity where there is no data."""
    request = made.request
    drawn = _coloured(request.look, image)[::-1]
    if request.zoom > 1:
        drawn = np.repeat(np.repeat(drawn, request.zoom, axis=0), request.zoom, axis=1)
    if request.mark != Mark.NONE:
        drawn = _marked(made, drawn)
    missing = _missing(image)
    if not missing.any():
        return drawn
    colours = np.repeat(drawn[..., None], 3, axis=2) if drawn.ndim == 2 else drawn
    opaque = np.repeat(np.repeat(~missing[::-1], request.zoom, axis=0), request.zoom, axis=1)
    return np.dstack([colours, np.where(opaque, 255, 0).astype(np.uint8)])


def image_hdu(made: Plan, image: np.ndarray, primary: bool = False, name: str = "") -> Any:
    """Return a cutout as an HDU, with its place on the sky and where it is from."""
    header = fits.Header()
    for keyword, value in (_sky_cards(made) | _origin_cards(made) | made.spot.cards).items():
        header[keyword] = value
    hdu = fits.PrimaryHDU(image, header) if primary else fits.ImageHDU(image, header)
    hdu.header["EXTNAME"] = name or made.request.plane.upper()
    return hdu


def fits_bytes(hdus: list[Any]) -> bytes:
    """Return HDUs as the bytes of a FITS file, with checksums."""
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer, checksum=True)
    return buffer.getvalue()


def _coloured(look: Look, image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        drawn = colour_flags(image)
        return 255 - drawn if look.invert else drawn
    # z-scale looks at fewer pixels than for whole frames
    limits = zscale(image, samples=ZSCALE_SAMPLES) if look.cuts is Cuts.ZSCALE else look.range_of(image)
    levels: np.ndarray = apply_stretch(image, *limits, look.stretch, look.invert)
    return levels if look.cmap is ColourMap.GRAY else colour_table(look.cmap)[levels]


def _missing(image: np.ndarray) -> np.ndarray:
    missing: np.ndarray = image == blank((1, 1), np.uint8)[0, 0] if image.dtype == np.uint8 else np.isnan(image)
    return missing


def _marked(made: Plan, drawn: np.ndarray) -> np.ndarray:
    request, spot, zoom = made.request, made.spot, made.request.zoom
    middle = (made.nx - 1) / 2, (made.ny - 1) / 2
    right, up = middle if request.north else (spot.x - made.wanted.x0, spot.y - made.wanted.y0)
    x, y = (right + 0.5) * zoom - 0.5, (made.ny - 1 - up + 0.5) * zoom - 0.5
    if request.mark in (Mark.CROSS, Mark.BOTH):
        side = min(made.nx, made.ny) * zoom
        drawn = draw_cross(drawn, x, y, CROSS[0] * side, CROSS[1] * side)
    if request.mark in (Mark.ELLIPSE, Mark.BOTH) and spot.ellipse is not None:
        drawn = draw_ellipse(drawn, x, y, _shown_ellipse(made, spot.ellipse))
    return drawn


def _shown_ellipse(made: Plan, ellipse: Ellipse) -> Ellipse:
    """Return an ellipse of the frame as it lies on the picture, whose y runs downwards."""
    angle = math.radians(ellipse.theta)
    cosine, sine = math.cos(angle), math.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    half_axes = ELLIPSE_SIGMAS * made.request.zoom * np.diag([ellipse.a, ellipse.b])
    u, lengths, _ = np.linalg.svd(_to_picture(made) @ rotation @ half_axes)
    return Ellipse(float(lengths[0]), float(lengths[1]), math.degrees(math.atan2(u[1, 0], u[0, 0])))


def _to_picture(made: Plan) -> np.ndarray:
    """Return the matrix from offsets on the frame to offsets on the picture, without zoom."""
    axes = made.spot.axes
    if not made.request.north or axes is None:
        return np.diag([1.0, -1.0])
    (ex, nx), (ey, ny) = axes.offsets(1.0, 0.0), axes.offsets(0.0, 1.0)
    return np.array([[-ex, -ey], [-nx, -ny]]) / axes.scale


def _without_opacity(drawn: np.ndarray) -> np.ndarray:
    if drawn.ndim == 2 or drawn.shape[2] == 3:
        return drawn
    return np.where(drawn[..., 3:] > 0, drawn[..., :3], np.array(JPEG_GROUND, np.uint8))


def _sky_cards(made: Plan) -> dict[str, Any]:
    spot = made.spot
    if spot.wcs is None:
        return {}
    if not made.request.north:
        return dict(spot.wcs.shifted(-made.wanted.x0, -made.wanted.y0).cards)
    ra, dec = spot.wcs.to_sky(spot.x, spot.y)
    return dict(tan(float(ra), float(dec), made.scale, made.nx, made.ny).cards)


def _origin_cards(made: Plan) -> dict[str, Any]:
    frame, spot = made.spot.frame, made.spot
    cards: dict[str, Any] = {"ORIGIN": f"awe {__version__}", "FRAMEID": frame.object_id, "CLASS": frame.class_name}
    cards |= {"FRAMEFIL": frame.filename, "BUNIT": frame.unit, "FRAME_X": spot.x + 1, "FRAME_Y": spot.y + 1}
    cards |= {"DATE-OBS": frame.date_obs.isoformat(), "MJD-OBS": Time(frame.date_obs, scale="utc").mjd}
    if not made.request.north:
        cards |= {"LTV1": float(-made.wanted.x0), "LTV2": float(-made.wanted.y0)}
    return cards
