"""What an image says at one position: value, flags, place on the sky, and how its pixels lie there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.errors import BadRequest
from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tangent_plane
from awe.services.image_pixels import read_section
from awe.services.image_request import FARTHEST
from awe.services.images import planes_of
from awe.services.stored_frames import Plane, StoredFrame
from awe.store import Store

STEP = 0.5
"""Pixels to either side over which the directions of north and east are measured."""


@dataclass(frozen=True)
class SkyPoint:
    """A position of an image (0 is the centre of the first pixel) and the sky around it."""

    x: float
    y: float
    ra: float
    dec: float
    matrix: tuple[float, float, float, float]
    """arcsec to the east and north for a pixel along x, then the same for y: east_x, north_x, east_y, north_y."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it; x and y as FITS counts them."""
        scale = math.sqrt(abs(self.matrix[0] * self.matrix[3] - self.matrix[1] * self.matrix[2]))
        return {
            "x": self.x + 1,
            "y": self.y + 1,
            "ra": self.ra,
            "dec": self.dec,
            "matrix": list(self.matrix),
            "scale": scale,
        }


def sky_at(wcs: Wcs, x: float, y: float) -> SkyPoint | None:
    """Return the sky around a position; None where the image has no place on the sky."""
    ra, dec = wcs.to_sky([x, x - STEP, x + STEP, x, x], [y, y, y, y - STEP, y + STEP])
    if not np.isfinite(ra).all():
        return None
    east, north = tangent_plane(float(ra[0]), float(dec[0]), ra[1:], dec[1:])
    along = [(v[1] - v[0], v[3] - v[2]) for v in (east * 3600, north * 3600)]
    (east_x, east_y), (north_x, north_y) = along
    matrix = tuple(float(v) for v in (east_x, north_x, east_y, north_y))
    return SkyPoint(x, y, float(ra[0]), float(dec[0]), matrix) if _spans(matrix) else None  # type: ignore[arg-type]


def point_of(image: StoredFrame, given: Mapping[str, Any]) -> SkyPoint | None:
    """Return the position that x and y (from 1), or ra and dec, name; by default the middle of the image.

    None if only pixels were given and the image has no place on the sky.
    """
    for first, second in (("x", "y"), ("ra", "dec")):
        if (given[first] is None) != (given[second] is None):
            raise BadRequest(f"{first} and {second} must be given together")
    if given["x"] is not None and given["ra"] is not None:
        raise BadRequest("the position was given twice: give x and y, or ra and dec")
    if given["ra"] is None:
        x, y = ((image.nx + 1) / 2, (image.ny + 1) / 2) if given["x"] is None else (given["x"], given["y"])
        return sky_at(image.wcs, x - 1, y - 1) if image.wcs is not None else None
    if image.wcs is None:
        raise BadRequest(f"{image.label} has no coordinates on the sky: give x and y instead of ra and dec")
    x, y = (float(v) for v in image.wcs.to_pixel(given["ra"], given["dec"]))
    if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST):
        raise BadRequest(f"ra={given['ra']:g}, dec={given['dec']:g} lies far off the image: {image.extent}")
    return sky_at(image.wcs, x, y)


def block_around(store: Store, image: StoredFrame, plane: Plane, x: float, y: float, half: int) -> dict[str, Any]:
    """Return the values of the pixels around a position (from 0), and their flags, as JSON holds them.

    A block of 2 half + 1 pixels a side, cut off at the edges of the image: `x0`, `y0` are its first pixel, from 1.
    """
    column, row = math.floor(x + 0.5), math.floor(y + 0.5)
    asked = Section(column - half, column + half + 1, row - half, row + half + 1)
    part = asked.within(image.nx, image.ny)
    if part is None:
        raise BadRequest(f"x={x + 1:g}, y={y + 1:g} lies off the image: {image.extent}")
    found: dict[str, Any] = {"x0": part.x0 + 1, "y0": part.y0 + 1, "unit": image.unit_of(plane)}
    pixels = read_section(store, image, plane, part)
    if pixels.dtype != np.uint8:
        found["values"] = [[float(v) if math.isfinite(v) else None for v in line] for line in pixels.astype(float)]
    if pixels.dtype == np.uint8:
        found["flags"] = pixels.tolist()
    elif Plane.FLAGS in planes_of(store, image.filename):
        found["flags"] = read_section(store, image, Plane.FLAGS, part).tolist()
    found["bits"] = {str(flag.value): flag_word(flag) for flag in PixelFlag}
    return found


def flag_word(flag: PixelFlag) -> str:
    """Return the name of a flag bit in words."""
    return str(flag.name).replace("_", " ").lower()


def _spans(matrix: tuple[float, ...]) -> bool:
    return all(math.isfinite(v) for v in matrix) and matrix[0] * matrix[3] != matrix[1] * matrix[2]
