"""The stars from which a PSF model is found: bright, alone and whole; and the pixels around them."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.measuring import Catalogue
from awe.kernels.photometry import Plane
from awe.kernels.psf_fitting import StarStamps
from awe.kernels.stamps import cut

MOST_STARS = 200
BORDER = 0.4
"""Part of the stamp that a star must lie inside the image."""


def stamp_side(fwhm: float, radius: float = 5.0) -> int:
    """Return the side (pixel, odd) of a stamp that reaches this many FWHM from its middle."""
    return 2 * math.ceil(radius * fwhm) + 1


def choose_stars(catalogue: Catalogue, candidates: NDArray[np.bool_], fwhm: float, shape: tuple[int, int]) -> Any:
    """Return the rows of the brightest candidates, with no source beside them that is as bright, evenly over the field.

    Parameters
    ----------
    catalogue : array as `awe.kernels.detection.detect` returns
    candidates : array of bool
        See `awe.kernels.detection.stars`.
    fwhm : float, pixel
    shape : tuple of int
        (ny, nx) of the image.
    """
    rows = np.flatnonzero(candidates)
    x, y, flux = (catalogue[name][rows].astype(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE", "FLUX_AUTO"))
    margin = BORDER * stamp_side(fwhm)
    inside = (x > margin) & (x < shape[1] - 1 - margin) & (y > margin) & (y < shape[0] - 1 - margin)
    rows, x, y, flux = rows[inside], x[inside], y[inside], flux[inside]
    if len(rows) <= MOST_STARS:
        return rows
    # the brightest of each of 4 x 4 parts of the field
    part = (4 * y / shape[0]).astype(int) * 4 + (4 * x / shape[1]).astype(int)
    order = np.argsort(-flux)
    rank = np.empty(len(rows), int)
    for number in np.unique(part):
        own = order[part[order] == number]
        rank[own] = np.arange(len(own))
    return rows[np.argsort(rank, kind="stable")[:MOST_STARS]]


def star_stamps(
    plane: Plane, number: NDArray[Any], stamps: StarStamps, chosen: NDArray[np.int64], x0: int, y0: int
) -> None:
    """Fill stamps with the pixels around stars; those that are bad, or belong to other sources, have no weight.

    Parameters
    ----------
    plane : Plane
        Its first pixel is (x0, y0) of the image.
    number : array of m int
        Of the stars in the segmentation of the plane.
    stamps : StarStamps
    chosen : array of m int
        Which of them are filled.
    """
    light, weight = (array[chosen] for array in (stamps.light, stamps.weight))
    corners = stamps.corner_x[chosen] - x0, stamps.corner_y[chosen] - y0
    _cut_all(*plane.arrays, np.asarray(number, np.int64), *corners, light, weight)
    stamps.light[chosen], stamps.weight[chosen] = light, weight


@njit(cache=True, nogil=True)
def _cut_all(image, variance, bad, segmentation, flags, number, corner_x, corner_y, light, weight):
    half = light.shape[1] // 2
    for k in range(number.size):
        x, y = float(corner_x[k] + half), float(corner_y[k] + half)
        v, s, states, _, _, _, _ = cut(image, variance, bad, segmentation, flags, number[k], x, y, float(half))
        for j in range(light.shape[1]):
            for i in range(light.shape[2]):
                if states[j, i] == 0 and s[j, i] > 0:
                    light[k, j, i], weight[k, j, i] = v[j, i], 1 / s[j, i]
