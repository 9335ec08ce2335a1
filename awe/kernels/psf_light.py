"""The light of stars on small boxes of pixels, and how it changes with their places, from the splines of a PSF.

A cubic spline in two variables is one along the rows of its coefficients, and then one across them: so that a box of
pixels costs little more than its rows and columns.
"""

import numpy as np
from numba import njit

from awe.kernels.psf import spline_axis


@njit(cache=True, nogil=True)
def part_of_picture(pictures, terms, rows, columns):
    """Return the spline coefficients at one place of the field.

    Parameters
    ----------
    pictures : array (terms, n, n)
        As `awe.kernels.psf.Psf.coefficients`.
    terms : array (terms,)
        The polynomial at the place.
    rows, columns : tuple of int
        The first row (column) of the picture that is wanted, and the one after the last.
    """
    out = np.zeros((rows[1] - rows[0], columns[1] - columns[0]))
    for m in range(out.shape[0]):
        for k in range(terms.size):
            line, given = out[m], pictures[k, rows[0] + m, columns[0] : columns[1]]
            for n in range(line.size):
                line[n] += terms[k] * given[n]
    return out


@njit(cache=True, nogil=True)
def _span(first, side):
    """Return the part of a picture that an axis needs (see `spline_axis`): its first pixel, and that after the last."""
    low, high = side, 0
    for k in first:
        if k >= 0:
            low, high = min(low, k), max(high, k + 4)
    return min(low, high), high


@njit(cache=True, nogil=True)
def star_light(local, fine, x, y, light, by_x, by_y):
    """Fill in a star of unit flux, and its derivatives by the place of the star.

    Parameters
    ----------
    local : array (n, n)
        Spline coefficients of the picture at the place of the star.
    fine : float
        Pixels of the picture per pixel of the image.
    x, y : float, pixel
        The place of the star from the first pixel of the box.
    light, by_x, by_y : arrays (ny, nx)
        Filled.
    """
    ny, nx = light.shape
    side = local.shape[0]
    columns, along, slope_x = spline_axis(nx, side, fine, x)
    rows, across, slope_y = spline_axis(ny, side, fine, y)
    low, high = _span(rows, side)
    line, steep = np.zeros((high - low, nx)), np.zeros((high - low, nx))
    for i in range(nx):
        c = columns[i]
        if c < 0:
            continue
        for m in range(high - low):
            a, b, c3, d = local[low + m, c], local[low + m, c + 1], local[low + m, c + 2], local[low + m, c + 3]
            line[m, i] = along[i, 0] * a + along[i, 1] * b + along[i, 2] * c3 + along[i, 3] * d
            steep[m, i] = slope_x[i, 0] * a + slope_x[i, 1] * b + slope_x[i, 2] * c3 + slope_x[i, 3] * d
    light[:], by_x[:], by_y[:] = 0.0, 0.0, 0.0
    for j in range(ny):
        if rows[j] < 0:
            continue
        at, along_x, along_y = light[j], by_x[j], by_y[j]
        for m in range(4):
            weight, slope = across[j, m], -fine * slope_y[j, m]
            tilt = -fine * weight
            level, change = line[rows[j] - low + m], steep[rows[j] - low + m]
            for i in range(nx):
                at[i] += weight * level[i]
                along_x[i] += tilt * change[i]
                along_y[i] += slope * level[i]


@njit(cache=True, nogil=True)
def coefficients_of(residual, terms, fine, x, y, out):
    """Add to the coefficients what each gets from the pixels of a box: the transpose of `add_star`.

    Parameters
    ----------
    residual : array (ny, nx)
        Of the pixels.
    terms, fine, x, y
        As for `add_star`.
    out : array (terms, n, n)
        Added to.
    """
    ny, nx = residual.shape
    side = out.shape[1]
    columns, along, _ = spline_axis(nx, side, fine, x)
    rows, across, _ = spline_axis(ny, side, fine, y)
    line, back = np.zeros((side, nx)), np.empty(side)
    for j in range(ny):
        if rows[j] >= 0:
            for m in range(4):
                into, given = line[rows[j] + m], residual[j]
                for i in range(nx):
                    into[i] += across[j, m] * given[i]
    low, high = _span(rows, side)
    for m in range(low, high):
        back[:] = 0.0
        for i in range(nx):
            c = columns[i]
            if c >= 0:
                for n in range(4):
                    back[c + n] += along[i, n] * line[m, i]
        for k in range(terms.size):
            into = out[k, m]
            for n in range(side):
                into[n] += terms[k] * back[n]


@njit(cache=True, nogil=True)
def add_star(pictures, terms, fine, x, y, flux, out):
    """Add a star to a box of pixels, of which (x, y) counts from the first."""
    ny, nx = out.shape
    side = pictures.shape[1]
    columns, along, _ = spline_axis(nx, side, fine, x)
    rows, across, _ = spline_axis(ny, side, fine, y)
    low, high = _span(rows, side)
    left, right = _span(columns, side)
    if low == high or left == right:
        return
    local = part_of_picture(pictures, terms, (low, high), (left, right))
    line = np.zeros((high - low, nx))
    for i in range(nx):
        c = columns[i] - left
        if columns[i] < 0:
            continue
        for m in range(high - low):
            line[m, i] = (
                along[i, 0] * local[m, c]
                + along[i, 1] * local[m, c + 1]
                + along[i, 2] * local[m, c + 2]
                + along[i, 3] * local[m, c + 3]
            )
    for j in range(ny):
        if rows[j] < 0:
            continue
        into = out[j]
        for m in range(4):
            weight, level = flux * across[j, m], line[rows[j] - low + m]
            for i in range(nx):
                into[i] += weight * level[i]
