"""What the stars of a PSF model say of it: how well each fits, how much wider or longer it is, why it was left out."""

from enum import IntFlag
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.psf_light import part_of_picture, star_light

CELLS = 3
"""Parts of the field along each axis, of which mean residuals are kept."""
WORST_CONDITION = 1e8
"""Of the normal equations of a star, in units of their diagonal, that are solved."""


class Rejection(IntFlag):
    """Why a star did not take part in a PSF model; 0 if it did."""

    NEIGHBOUR = 1
    """The detection took it apart from another source, or one lies in its Kron ellipse."""
    BAD_PIXELS = 2
    """Saturated or bad pixels."""
    SHAPE = 4
    """Its width or shape is not that of the stars."""
    BORDER = 8
    """The border cuts it."""
    FAILED = 16
    """Nothing could be fitted to it."""
    OFF_CENTRE = 32
    """The model lies more than half a FWHM from where it was measured: a blend."""
    CORE = 64
    """A part of the pixels near its centre does not fit: a blend, or a cosmic ray."""
    RESIDUALS = 128
    """Its residuals are far above those of the others: a blend, a galaxy."""


PSF_STARS = np.dtype(
    [
        *((name, "f8") for name in ("x", "y")),
        *((name, "f4") for name in ("flux", "flux_error", "chi2", "clipped_core")),
        *((name, "f4") for name in ("widening", "widening_error", "stretch_x", "stretch_xy", "stretch_error")),
        ("rejected", "i2"),
    ]
)
"""Rows about stars. x, y: pixel, (0, 0) is the centre of the first; flux: adu; chi2: mean square of the residuals in
units of the errors; clipped_core: part of the pixels within a FWHM that does not fit; widening: by which part the star
is wider than the model; stretch_x, stretch_xy: ellipticity (1 - B/A) of the star beyond the model's, times the cosine
and the sine of twice the angle of its major axis from x to y; errors are standard deviations; rejected: bits of
`Rejection`. NaN where the star was not fitted."""


def shape_residuals(
    coefficients: NDArray[np.float64],
    terms: NDArray[np.float64],
    places: NDArray[np.float64],
    fine: float,
    light: NDArray[np.float32],
    weights: NDArray[np.float64],
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Fit each star by the model together with its derivatives by place, width and shape.

    To first order, a star that is wider by a part w, and stretched by e1 along x (squeezed along y) and e2 along the
    diagonal, is f (m + w m_w + e1 m_1 + e2 m_2) with m_w = -(2 m + u m_u + v m_v), m_1 = -(u m_u - v m_v) / 2 and
    m_2 = -(u m_v + v m_u) / 2, where u, v count from its centre. All are found by one linear least squares.

    Parameters
    ----------
    coefficients : array (terms, n, n)
        Spline coefficients of the model.
    terms : array (stars, terms)
        Of the polynomial, at the stars.
    places : array (stars, 2)
        x, y (pixel) from the first pixel of each stamp.
    fine : float
        Pixels of the picture per pixel of the image.
    light : array (stars, side, side), adu
    weights : array (stars, side, side), adu^-2
        0 = left out.

    Returns
    -------
    rows : array of `PSF_STARS`
        Flux, chi2, widening, stretch and their errors are set; NaN where it can't be fitted.
    residuals : array (stars, side, side), adu
        What is left of each star at the best place and flux; NaN where a pixel is left out.
    """
    values, residuals = np.full((len(places), 8), np.nan), np.full(light.shape, np.nan, np.float32)
    _fit_shapes(coefficients, terms, places, fine, light, weights, values, residuals)
    found = unknown_stars(len(places))
    names = ("flux", "flux_error", "chi2", "widening", "widening_error", "stretch_x", "stretch_xy", "stretch_error")
    for column, name in enumerate(names):
        found[name] = values[:, column]
    return found, residuals


def mean_residuals(
    rows: NDArray[Any], residuals: NDArray[np.float32], weights: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[Any]:
    """Return what the stars of each part of a field have left in common.

    Parameters
    ----------
    rows : array of n `PSF_STARS`
    residuals : array (n, side, side), adu
        From `shape_residuals`.
    weights : array (n, side, side), adu^-2
    shape : tuple of int
        (ny, nx) of the field.

    Returns
    -------
    array of `CELLS` x `CELLS` rows, from the lower left one on: x, y (pixel) of the middle of the part; count of the
    stars that were used there; picture, the weighted mean of their residuals divided by their fluxes, with their
    brightest pixels laid upon each other; NaN where there is none.
    """
    side = residuals.shape[1]
    found = np.zeros(CELLS**2, [("x", "f8"), ("y", "f8"), ("count", "i4"), ("picture", "f4", (side, side))])
    part = _part(rows["y"], shape[0]) * CELLS + _part(rows["x"], shape[1])
    usable = (rows["rejected"] == 0) & (rows["flux"] > 0)
    for number in range(CELLS**2):
        own = np.flatnonzero(usable & (part == number))
        flux, left = rows["flux"][own].astype(np.float64)[:, None, None], residuals[own]
        weight = np.where(np.isfinite(left), weights[own], 0) * flux**2
        total = weight.sum(0)
        mean = np.full((side, side), np.nan)
        np.divide((weight * np.nan_to_num(left) / flux).sum(0), total, where=total > 0, out=mean)
        row, column = divmod(number, CELLS)
        middle = ((column + 0.5) * shape[1] / CELLS - 0.5, (row + 0.5) * shape[0] / CELLS - 0.5)
        found[number] = (*middle, len(own), mean)
    return found


def _part(place: NDArray[Any], length: int) -> NDArray[np.int64]:
    return np.clip(np.nan_to_num((place + 0.5) / length * CELLS), 0, CELLS - 1).astype(np.int64)


def unknown_stars(count: int) -> NDArray[Any]:
    """Return rows about stars of which nothing is known."""
    rows = np.zeros(count, PSF_STARS)
    for name in PSF_STARS.names or ():
        if PSF_STARS[name].kind == "f":
            rows[name] = np.nan
    return rows


@njit(cache=True, nogil=True)
def _fit_shapes(coefficients, terms, places, fine, light, weights, values, residuals):
    size, side = light.shape[1], coefficients.shape[1]
    columns = np.empty((6, size, size))
    for s in range(places.shape[0]):
        local = part_of_picture(coefficients, terms[s], (0, side), (0, side))
        star_light(local, fine, places[s, 0], places[s, 1], columns[0], columns[1], columns[2])
        _add_shapes(places[s, 0], places[s, 1], columns)
        matrix, right = np.zeros((6, 6)), np.zeros(6)
        total, count = _add_up(columns, light[s], weights[s], matrix, right)
        if count < 7 or not right[0] > 0:
            continue
        scale = 1 / np.sqrt(np.diag(matrix)).reshape((6, 1))
        if not np.isfinite(scale).all() or np.linalg.cond(matrix * scale * scale.T) > WORST_CONDITION:
            continue
        # residuals are those against the model as it is, at its best place and flux
        plain = np.linalg.solve(matrix[:3, :3], right[:3])
        for j in range(size):
            for i in range(size):
                if weights[s, j, i] > 0:
                    model = plain[0] * columns[0, j, i] + plain[1] * columns[1, j, i] + plain[2] * columns[2, j, i]
                    residuals[s, j, i] = light[s, j, i] - model
        values[s, 0], values[s, 1] = plain[0], np.sqrt(1 / matrix[0, 0])
        values[s, 2] = max(total - (plain * right[:3]).sum(), 0.0) / (count - 3)
        inverse = np.linalg.inv(matrix * scale * scale.T) * scale * scale.T
        found = inverse @ right
        if found[0] > 0:
            values[s, 3], values[s, 4] = found[3] / found[0], np.sqrt(inverse[3, 3]) / found[0]
            values[s, 5], values[s, 6] = found[4] / found[0], found[5] / found[0]
            values[s, 7] = np.sqrt((inverse[4, 4] + inverse[5, 5]) / 2) / found[0]


@njit(cache=True, nogil=True)
def _add_shapes(x, y, columns):
    """Fill in the derivatives by width and shape from those by the place of the star."""
    for j in range(columns.shape[1]):
        for i in range(columns.shape[2]):
            # those along the pixels have the other sign
            u, v, by_x, by_y = i - x, j - y, columns[1, j, i], columns[2, j, i]
            columns[3, j, i] = u * by_x + v * by_y - 2 * columns[0, j, i]
            columns[4, j, i] = (u * by_x - v * by_y) / 2
            columns[5, j, i] = (u * by_y + v * by_x) / 2


@njit(cache=True, nogil=True)
def _add_up(columns, light, weights, matrix, right):
    """Fill in the normal equations of a star; return its weighted sum of squares and the number of its pixels."""
    total, count = 0.0, 0
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            w = weights[j, i]
            if w == 0:
                continue
            count += 1
            total += w * light[j, i] ** 2
            for a in range(6):
                right[a] += w * columns[a, j, i] * light[j, i]
                for b in range(6):
                    matrix[a, b] += w * columns[a, j, i] * columns[b, j, i]
    return total, count
