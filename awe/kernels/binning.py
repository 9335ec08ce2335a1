"""Images made smaller by the mean over blocks of pixels."""

import numpy as np
from numba import njit

_BAND_ROWS = 512
_NO_WEIGHT = np.empty((0, 0), dtype=np.float32)


def bin_mean(image: np.ndarray, factor: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of each block of `factor` x `factor` pixels.

    Parameters
    ----------
    image : array [y, x] of any number type (also a memory map), any unit; NaN and infinite pixels are left out.
    factor : side of a block, pixel; the last row and column of blocks may be ragged.
    weight : array [y, x], optional; pixels with weight 0 (or NaN) are left out, the others count alike.

    Returns
    -------
    float32 array [ceil(ny / factor), ceil(nx / factor)], unit of the image; NaN where a block has no good pixel.

    Raises
    ------
    ValueError : factor below 1, an image that is not two-dimensional, or a weight of another shape.

    >>> bin_mean(np.arange(6.0).reshape(2, 3), 2)
    array([[2. , 3.5]], dtype=float32)
    """
    if image.ndim != 2:
        raise ValueError(f"an image has two dimensions, this array has {image.ndim}")
    if factor < 1:
        raise ValueError(f"a binning factor is 1 or more, not {factor}")
    if weight is not None and weight.shape != image.shape:
        raise ValueError(f"weight has shape {weight.shape}, image {image.shape}")
    binned = np.empty(tuple(-(-length // factor) for length in image.shape), dtype=np.float32)
    band = max(1, _BAND_ROWS // factor) * factor
    for top in range(0, image.shape[0], band):
        rows = slice(top, top + band)
        good = _NO_WEIGHT if weight is None else np.ascontiguousarray(weight[rows], dtype=np.float32)
        first = top // factor
        _bin_rows(
            np.ascontiguousarray(image[rows], dtype=np.float32), good, factor, binned[first : first + band // factor]
        )
    return binned


def halve(image: np.ndarray, last_row: float = 1.0, last_column: float = 1.0) -> np.ndarray:
    """Return the mean of each block of 2 x 2 pixels of an image that was binned before.

    Parameters
    ----------
    image : float32 array [y, x], any unit; NaN pixels are left out.
    last_row, last_column : part of a whole block that the last row and column stand for, 0 to 1: they count less.

    Returns
    -------
    float32 array [ceil(ny / 2), ceil(nx / 2)]; NaN where a block has no good pixel.

    >>> halve(np.array([[1.0, 2.0, 5.0]], dtype=np.float32))
    array([[1.5, 5. ]], dtype=float32)
    """
    if image.ndim != 2 or image.dtype != np.float32:
        raise ValueError(f"an image to halve is a float32 array of two dimensions, not {image.dtype} {image.shape}")
    halved = np.empty((-(-image.shape[0] // 2), -(-image.shape[1] // 2)), dtype=np.float32)
    _halve(np.ascontiguousarray(image), float(last_row), float(last_column), halved)
    return halved


@njit(nogil=True, cache=True)
def _halve(image, last_row, last_column, halved):
    ny, nx = image.shape
    for row in range(halved.shape[0]):
        for column in range(halved.shape[1]):
            total, weight = 0.0, 0.0
            for y in range(2 * row, min(ny, 2 * row + 2)):
                for x in range(2 * column, min(nx, 2 * column + 2)):
                    value = image[y, x]
                    if np.isfinite(value):
                        share = (last_row if y == ny - 1 else 1.0) * (last_column if x == nx - 1 else 1.0)
                        total += share * value
                        weight += share
            halved[row, column] = total / weight if weight > 0 else np.nan


@njit(nogil=True, cache=True)
def _bin_rows(image, weight, factor, binned):
    ny, nx = image.shape
    weighted = weight.size > 0
    total = np.empty(binned.shape[1], dtype=np.float64)
    count = np.empty(binned.shape[1], dtype=np.int64)
    for block in range(binned.shape[0]):
        total[:] = 0.0
        count[:] = 0
        for y in range(block * factor, min(ny, (block + 1) * factor)):
            for column in range(binned.shape[1]):
                for x in range(column * factor, min(nx, (column + 1) * factor)):
                    value = image[y, x]
                    if np.isfinite(value) and (not weighted or weight[y, x] > 0):
                        total[column] += value
                        count[column] += 1
        for column in range(binned.shape[1]):
            binned[block, column] = total[column] / count[column] if count[column] else np.nan
