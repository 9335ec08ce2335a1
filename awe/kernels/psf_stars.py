"""The stars from which a PSF model is found: bright, alone and whole; and the pixels around them."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.detection import SPOILED, Stars
from awe.kernels.isophotes import Isophotes
from awe.kernels.measuring import Catalogue, SourceFlag, edge_flags
from awe.kernels.photometry import Plane
from awe.kernels.psf_fitting import StarStamps
from awe.kernels.psf_residuals import Rejection, unknown_stars
from awe.kernels.stamps import cut

MOST_STARS, MOST_MEASURED = 200, 6000
"""Stars of which a model is found; sources that are measured to find them."""
PARTS = 4
"""The field is divided into as many parts along each axis, in all of which there should be stars."""
MOST_REFUSED = 200
"""Sources of which it is told why they were not tried."""
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
    inside = _is_inside(x, y, margin, shape)
    rows, x, y, flux = rows[inside], x[inside], y[inside], flux[inside]
    if len(rows) <= MOST_STARS:
        return rows
    return rows[_brightest(x, y, flux, shape, MOST_STARS)]


def refused_stars(
    catalogue: Catalogue, candidates: Stars, chosen: NDArray[np.intp], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return rows (`PSF_STARS`) about the brightest sources that were not tried, with the reasons.

    Those are left out that are fainter than all that were tried, that nothing speaks against but that others are
    brighter, and all but the brightest `MOST_REFUSED`.

    Parameters
    ----------
    catalogue : array as `awe.kernels.detection.detect` returns
    candidates : Stars
        See `awe.kernels.detection.stars`.
    chosen : array of int
        Rows that were tried, at least one.
    shape : tuple of int
        (ny, nx) of the image.
    """
    flux = np.nan_to_num(catalogue["FLUX_AUTO"].astype(np.float64), nan=-np.inf)
    why = np.zeros(len(catalogue), np.int16)
    neighbour = int(SourceFlag.NEIGHBOURS | SourceFlag.BLENDED)
    why[catalogue["FLAGS"] & neighbour > 0] |= Rejection.NEIGHBOUR
    why[(catalogue["FLAGS"] & ~neighbour > 0) | (catalogue["IMAFLAGS"] & int(SPOILED) > 0)] |= Rejection.BAD_PIXELS
    why[~candidates.selected & (why == 0)] |= Rejection.SHAPE
    x, y, margin = catalogue["XWIN_IMAGE"], catalogue["YWIN_IMAGE"], BORDER * stamp_side(candidates.seeing)
    why[~_is_inside(x, y, margin, shape)] |= Rejection.BORDER
    told = np.flatnonzero((why > 0) & (flux >= flux[chosen].min()))
    told = np.setdiff1d(told[np.argsort(-flux[told], kind="stable")][:MOST_REFUSED], chosen)
    rows = unknown_stars(len(told))
    rows["x"], rows["y"], rows["rejected"] = x[told], y[told], why[told]
    rows["flux"], rows["flux_error"] = catalogue["FLUX_AUTO"][told], catalogue["FLUXERR_AUTO"][told]
    return rows


def _is_inside(x: NDArray[Any], y: NDArray[Any], margin: float, shape: tuple[int, int]) -> Any:
    return (x > margin) & (x < shape[1] - 1 - margin) & (y > margin) & (y < shape[0] - 1 - margin)


def _brightest(x: NDArray[Any], y: NDArray[Any], flux: NDArray[Any], shape: tuple[int, int], most: int) -> Any:
    """Return the brightest of each part of the field, beginning with the first of each, no more in all than asked."""
    part = (PARTS * y / shape[0]).astype(int) * PARTS + (PARTS * x / shape[1]).astype(int)
    order = np.argsort(-flux)
    rank = np.empty(len(x), int)
    for number in np.unique(part):
        own = order[part[order] == number]
        rank[own] = np.arange(len(own))
    return np.argsort(rank, kind="stable")[:most]


def worth_measuring(found: Isophotes) -> NDArray[np.int64]:
    """Return the numbers, from 0, of the sources among which to look for stars: whole, single, bright, from everywhere.

    What else makes a star has to be measured; of a large image, not for all of its sources.
    """
    whole = np.flatnonzero(edge_flags(found) == 0)
    x, y, flux = (found.rows[name][whole] for name in ("x", "y", "flux"))
    return np.sort(whole[_brightest(x, y, flux, found.pixels.shape, MOST_MEASURED)])


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
