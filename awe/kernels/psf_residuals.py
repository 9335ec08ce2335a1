"""What the stars of a PSF model say of it: how well each fits, how much wider or longer it is, why it was left out."""

from enum import IntFlag
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.psf_light import part_of_picture, star_light

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
) -> NDArray[Any]:
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
    array of `PSF_STARS`, in which flux, chi2, widening, stretch and their errors are set; NaN where it can't be fitted.
    """
    values = np.full((len(places), 8), np.nan)
    _fit_shapes(coefficients, terms, places, fine, light, weights, values)
    found = unknown_stars(len(places))
    names = ("flux", "flux_error", "chi2", "widening", "widening_error", "stretch_x", "stretch_xy", "stretch_error")
    for column, name in enumerate(names):
        found[name] = values[:, column]
    return found


def unknown_stars(count: int) -> NDArray[Any]:
    """Return rows about stars of which nothing is known."""
    rows = np.zeros(count, PSF_STARS)
    for name in PSF_STARS.names or ():
        if PSF_STARS[name].kind == "f":
            rows[name] = np.nan
    return rows


@njit(cache=True, nogil=True)
def _fit_shapes(coefficients, terms, places, fine, light, weights, values):
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
