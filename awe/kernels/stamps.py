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
    touched = False
    left, right = max(0, -i0), min(columns, nx - i0)
    for j in range(max(0, -j0), min(rows, ny - j0)):
        for i in range(left, right):
            bits[j, i] = flags[j0 + j, i0 + i]
            owner = segmentation[j0 + j, i0 + i]
            if not bad[j0 + j, i0 + i] and (owner == 0) | (owner == number):
                values[j, i], spreads[j, i] = image[j0 + j, i0 + i], variance[j0 + j, i0 + i]
                states[j, i] = GOOD
                continue
            touched = True
            value, spread = _between(
                image, variance, bad, segmentation, number, 2 * x - (i0 + i), 2 * y - (j0 + j)
            )  # fmt: skip
            # its noise is counted twice, fully correlated: (2 s)^2 in all, of which s^2 comes with the pixel itself
            values[j, i], spreads[j, i] = value, 3 * spread
            states[j, i] = REPLACED if spread > 0 else MISSING
    return values, spreads, states, bits, float(i0), float(j0), touched


@njit(cache=True, nogil=True)
def _between(image, variance, bad, segmentation, number, x, y):
    """Return value and variance at a place between pixels, by linear interpolation; variance 0 if they are no good."""
    ny, nx = image.shape
    i0, j0 = math.floor(x), math.floor(y)
    value = spread = total = 0.0
    for j in range(max(j0, 0), min(j0 + 2, ny)):
        for i in range(max(i0, 0), min(i0 + 2, nx)):
            owner = segmentation[j, i]
            if not bad[j, i] and (owner == 0) | (owner == number):
                share = (1 - abs(x - i)) * (1 - abs(y - j))
                value += share * image[j, i]
                spread += share * variance[j, i]
                total += share
    return (value / total, spread / total) if total > 0.4 else (0.0, 0.0)
