"""A PSF model over its field: pictures of stars, as levels of gray, and how wide and round they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from awe.kernels.psf import Psf
from awe.kernels.psf_shape import ellipticity_of, width_of

SIDE = 96
"""Pixels of the screen for each star, about."""
DEPTH = 300.0
"""How much of the peak the faintest level is: wings are seen beside the core."""
MAP = 420
"""Width of the map, in units of its drawing; the longer side of the field fills it."""
SPREAD = 10.0
"""How much larger than in truth differences of widths are drawn."""
STICK = 1000.0
"""Length of the stick of a star whose minor axis is 0."""


@dataclass(frozen=True)
class Star:
    """What a star would look like at one place."""

    x: float
    """Pixel; the first is 1."""
    y: float
    fwhm: float
    """Pixel."""
    ellipticity: float
    """1 - B/A."""
    angle: float
    """Of the major axis, from x to y, deg."""

    def as_json(self) -> dict[str, float]:
        """Return all of it."""
        return {name: round(value, 4) for name, value in vars(self).items()}


def stars(psf: Psf, shape: tuple[int, int], cells: int) -> list[Star]:
    """Return stars in the middles of equal cells of a field (ny, nx): from the top to the bottom, from left to right.

    Parameters
    ----------
    psf : Psf
    shape : tuple of int
        (ny, nx).
    cells : int
        Along each side.
    """
    found = []
    for x, y in _places(shape, cells):
        picture = psf.picture(x, y)
        fwhm = width_of(picture, psf.sampling)
        found.append(Star(x + 1, y + 1, fwhm, *ellipticity_of(picture, psf.sampling, fwhm)))
    return found


def _places(shape: tuple[int, int], cells: int) -> list[tuple[float, float]]:
    across, upward = ((np.arange(cells) + 0.5) / cells * n - 0.5 for n in shape[::-1])
    return [(float(x), float(y)) for y in upward[::-1] for x in across]


def mosaic(psf: Psf, shape: tuple[int, int], cells: int) -> NDArray[np.uint8]:
    """Return the pictures of stars at the same places, side by side as in the field, as levels [row, column].

    Levels are those of the inverse hyperbolic sine of the light, the same for all: white is the brightest pixel.
    """
    pictures = [psf.picture(x, y)[::-1] for x, y in _places(shape, cells)]
    peak = max(float(picture.max()) for picture in pictures)
    times = max(1, round(SIDE / len(pictures[0])))
    side = len(pictures[0]) * times + 1
    out = np.full((cells * side + 1, cells * side + 1), 128, np.uint8)
    for k, picture in enumerate(pictures):
        light = np.clip(picture / peak, 0, 1) * DEPTH
        level = np.rint(255 * np.arcsinh(light) / np.arcsinh(DEPTH)).astype(np.uint8)
        row, column = k // cells * side + 1, k % cells * side + 1
        large = level.repeat(times, axis=0).repeat(times, axis=1)
        out[row : row + side - 1, column : column + side - 1] = large
    return out


def drawing(found: Sequence[Star], shape: tuple[int, int], cells: int) -> Markup:
    """Return a map as SVG: circles are as wide as stars (differences enlarged), sticks show how long they are."""
    unit = MAP / max(shape)
    width, height = shape[1] * unit, shape[0] * unit
    middle = float(np.median([star.fwhm for star in found]))
    radius = 0.25 * min(width, height) / cells
    parts = [f'<rect class="frame" x="0.5" y="0.5" width="{width - 1:.1f}" height="{height - 1:.1f}"/>']
    for star in found:
        x, y = (star.x - 0.5) * unit, height - (star.y - 0.5) * unit
        size = min(max(radius * (1 + SPREAD * (star.fwhm / middle - 1)), radius / 5), 1.9 * radius)
        half = min(STICK * star.ellipticity / 2, 2 * radius)
        dx, dy = half * math.cos(math.radians(star.angle)), -half * math.sin(math.radians(star.angle))
        parts.append(
            f'<circle class="width" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
            f'<path class="stick" d="M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}"/>'
        )
    words = f"FWHM {spread([star.fwhm for star in found])} pixel, ellipticity {spread([s.ellipticity for s in found])}"
    return Markup(  # noqa: S704  all words in it are ours, all values numbers
        f'<svg class="lightcurve psfmap" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{words}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def spread(values: Sequence[float]) -> str:
    """Return the range of some values, as text."""
    return f"{min(values):.3f} to {max(values):.3f}"


def facts(psf: Psf) -> dict[str, Any]:
    """Return what a model tells of its stars and their residuals."""
    told = {"fwhm": psf.fwhm, "chi2": psf.chi2}
    counts = {"loaded": psf.loaded, "accepted": psf.accepted, "degree": psf.degree}
    return {name: round(value, 4) for name, value in told.items()} | counts | {"sampling": psf.sampling}
