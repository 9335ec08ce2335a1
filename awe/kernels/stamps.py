"""The pixels around a source, in memory of their own, as all measurements see them.

A pixel that is bad, or belongs to another source, is replaced by its mirror image on the other side of the source
(SExtractor's MASK_TYPE CORRECT), or left out if that one is no better.
"""

import math

import numpy as np
from numba import njit

GOOD, REPLACED, MISSING, OUTSIDE = 0, 1, 2, 3
"""States of a pixel."""


@njit(cache=True, nogil=True)
def cut(image, variance, bad, segmentation, flags, number, x, y, reach):
    """Return the pixels nearer to (x, y) than about `reach` along both axes.

    Parameters
    ----------
    image, variance, bad, segmentation, flags : arrays (ny, nx)
        See `awe.kernels.photometry.Plane`.
    number : int
        Of the source in the segmentation; 0 = every segment belongs to a neighbour.
    x, y : float, pixel
        The place around which pixels are mirrored.
    reach : float, pixel

    Returns
    -------
    values, spreads : arrays of float32
        Pixels and variances; 0 where there is nothing.
    states : array of uint8
    bits : array of uint8
        The flags.
    first_x, first_y : float
        The place of the first pixel.
    touched : bool
        Whether any pixel within the reach was replaced or is missing.
    """
    ny, nx = image.shape
    i0, j0 = math.floor(x - reach), math.floor(y - reach)
    columns, rows = math.ceil(x + reach) - i0 + 1, math.ceil(y + reach) - j0 + 1
    values, spreads = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    states, bits = np.full((rows, columns), OUTSIDE, np.uint8), np.zeros((rows, columns), np.uint8)
    left, right = max(0, -i0), min(columns, nx - i0)
    others = 0
    given = image.ravel(), variance.ravel(), bad.ravel(), segmentation.ravel(), flags.ravel()
    taken = values.ravel(), spreads.ravel(), states.ravel(), bits.ravel()
    for j in range(max(0, -j0), min(rows, ny - j0)):
        if left < right:
            start, to = np.uint64((j0 + j) * nx + i0 + left), np.uint64(j * columns + left)
            others += _copy(*given, number, start, to, np.uint64(right - left), *taken)
    touched = others > 0 and mirror(
        image, variance, bad, segmentation, number, x, y, reach, values, spreads, states, float(i0), float(j0)
    )
    return values, spreads, states, bits, float(i0), float(j0), touched


@njit(cache=True, nogil=True)
def _copy(image, variance, bad, segmentation, flags, number, start, to, count, values, spreads, states, bits):
    """Copy the good ones of some pixels in a row; return how many others there are."""
    others = 0
    for i in range(count):  # unsigned, without branches: so that it becomes vector code
        owner = segmentation[start + i]
        good = (not bad[start + i]) & ((owner == 0) | (owner == number))
        values[to + i] = image[start + i] if good else np.float32(0)
        spreads[to + i] = variance[start + i] if good else np.float32(0)
        states[to + i] = np.uint8(GOOD) if good else np.uint8(REPLACED)
        bits[to + i] = flags[start + i]
        others += 0 if good else 1
    return others


@njit(cache=True, nogil=True)
def mirror(image, variance, bad, segmentation, number, x, y, reach, values, spreads, states, x0, y0):
    """Replace pixels of a stamp that are not good by their mirror images; return whether there are any.

    Parameters
    ----------
    image, variance, bad, segmentation, number
        As for `cut`.
    x, y, reach : float, pixel
        The place around which pixels are mirrored, and how far from it.
    values, spreads, states, x0, y0
        The stamp, as `cut` returns it.
    """
    rows, columns = states.shape
    first_i, last_i = max(0, math.floor(x - reach - x0)), min(columns - 1, math.ceil(x + reach - x0))
    # the mirror image of a pixel lies between two columns and two rows, everywhere by the same part
    base_i, base_j = math.floor(2 * x - x0), math.floor(2 * y - y0)
    right, up = 2 * x - x0 - base_i, 2 * y - y0 - base_j
    touched = False
    for j in range(max(0, math.floor(y - reach - y0)), min(rows - 1, math.ceil(y + reach - y0)) + 1):
        if not _any_others(states[j, first_i : last_i + 1]):
            continue
        touched = True
        for i in range(first_i, last_i + 1):
            if (states[j, i] == GOOD) | (states[j, i] == OUTSIDE):
                continue
            value, spread = _between(image, variance, bad, segmentation, number, base_i - i, base_j - j, right, up)
            # its noise is counted twice, fully correlated: (2 s)^2 in all, of which s^2 comes with the pixel itself
            values[j, i], spreads[j, i] = value, 3 * spread
            states[j, i] = REPLACED if spread > 0 else MISSING
    return touched


@njit(cache=True, nogil=True)
def _any_others(states):
    """Return whether any pixel of a row is neither good nor off the image."""
    others = False
    for state in states:
        others |= (state != GOOD) & (state != OUTSIDE)
    return others


@njit(cache=True, nogil=True)
def _between(image, variance, bad, segmentation, number, i0, j0, right, up):
    """Return value and variance between four pixels, by linear interpolation; variance 0 if they are no good.

    (i0, j0) is the lower left one of them; `right` and `up` tell how far the place is from it.
    """
    ny, nx = image.shape
    value = spread = total = 0.0
    for m in range(2):
        j, part = j0 + m, up if m else 1 - up
        if j < 0 or j >= ny:
            continue
        for n in range(2):
            i = i0 + n
            if i < 0 or i >= nx or bad[j, i]:
                continue
            owner = segmentation[j, i]
            if (owner == 0) | (owner == number):
                share = part * (right if n else 1 - right)
                value += share * image[j, i]
                spread += share * variance[j, i]
                total += share
    return (value / total, spread / total) if total > 0.4 else (0.0, 0.0)
