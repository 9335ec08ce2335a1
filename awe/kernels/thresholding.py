"""Pixels of an image that stand out of the noise: few, so they are kept as a list."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.planes import Scene

BAND_PIXELS = 1 << 20
MOST_PIXELS_ABOVE = 0.5
AT_ONCE = 128
"""Pixels of a row that are looked at together: mostly none is above the threshold."""
BRIDGE = 8
"""Bad pixels are bridged where they are no more than this in a row or column, lest they cut a source in two."""


@dataclass(frozen=True)
class PixelList:
    """Pixels above the threshold, row by row."""

    shape: tuple[int, int]
    """(ny, nx) of the image."""
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    value: NDArray[np.float32]
    """Of the filtered image, adu."""
    variance: NDArray[np.float32]
    """Of an unfiltered pixel, adu^2."""
    starts: NDArray[np.int64]
    """First pixel of each row, and the number of all at the end."""


def pixels_above(scene: Scene, threshold: float, threads: int = 1) -> PixelList:
    """Return the pixels that exceed the threshold in the image filtered with [1 2 1; 2 4 2; 1 2 1] / 16.

    Parameters
    ----------
    scene : Scene
        Bad pixels between good ones that are near are interpolated. All others, and those beyond the border, count as 0
        in the filter, and are never in the list.
    threshold : float
        In units of the noise of an unfiltered pixel.
    threads : int

    Raises
    ------
    ValueError
        If more than half of the pixels exceed it: the background was not subtracted.
    """
    ny, nx = scene.shape
    rows = max(1, BAND_PIXELS // max(nx, 1))
    limit, found = MOST_PIXELS_ABOVE * ny * nx, 0

    def band(y0: int) -> tuple[Any, ...]:
        first, last = max(0, y0 - BRIDGE - 2), min(ny, y0 + rows + BRIDGE + 2)
        plane = scene.rows(first, last)
        image, variance = _bridged(plane.image, plane.variance, plane.bad)
        counts = np.zeros(min(ny, y0 + rows) - y0, np.int64)
        lists = _above(image, variance, y0 - first, y0, np.float32(threshold), counts)
        return *lists, counts

    parts = []
    with ThreadPoolExecutor(threads) as pool:
        for part in pool.map(band, range(0, ny, rows)):
            parts.append(part)
            found += len(part[0])
            if found > limit:
                raise ValueError(
                    f"{found / (ny * nx):.0%} of the pixels exceed the threshold: the background is not subtracted"
                )
    x, y, value, variance, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return PixelList(scene.shape, x, y, value, variance, np.concatenate([[0], np.cumsum(counts)]))


@njit(cache=True, nogil=True)
def _bridged(image, variance, bad):
    """Return image and variance with short runs of bad pixels interpolated: along rows, else along columns."""
    ny, nx = image.shape
    image, variance, still = image.copy(), variance.copy(), bad.copy()
    for y in range(ny):
        end = 0  # beyond the last run
        for x in range(nx):
            if still[y, x] and x >= end:
                end = x + 1
                while end < nx and still[y, end]:
                    end += 1
                if x > 0 and end < nx and end - x <= BRIDGE:
                    for i in range(x, end):
                        part = np.float32((i - x + 1) / (end - x + 1))
                        image[y, i] = (1 - part) * image[y, x - 1] + part * image[y, end]
                        variance[y, i] = (1 - part) * variance[y, x - 1] + part * variance[y, end]
                        still[y, i] = False
    for y in range(1, ny):
        for x in range(nx):
            if not still[y, x] or still[y - 1, x]:
                continue
            end = y + 1
            while end < ny and still[end, x]:
                end += 1
            if end < ny and end - y <= BRIDGE:
                for j in range(y, end):
                    part = np.float32((j - y + 1) / (end - y + 1))
                    image[j, x] = (1 - part) * image[y - 1, x] + part * image[end, x]
                    variance[j, x] = (1 - part) * variance[y - 1, x] + part * variance[end, x]
    return image, variance


@njit(cache=True, nogil=True)
def _larger(array, size):
    out = np.empty(size, array.dtype)
    out[: array.size] = array
    return out


@njit(cache=True, nogil=True)
def _filter_row(image, row, column, smooth):
    """Filter one row; `column` holds, with a zero at each end, the sum of three rows."""
    ny, nx = image.shape
    two, share = np.float32(2), np.float32(1 / 16)
    middle, inner = image[row], column[1 : nx + 1]
    column[0] = column[nx + 1] = 0
    for x in range(nx):
        inner[x] = two * middle[x]
    for other in (row - 1, row + 1):
        if 0 <= other < ny:
            beside = image[other]
            for x in range(nx):
                inner[x] += beside[x]
    left, right = column[:nx], column[2 : nx + 2]
    for x in range(nx):
        smooth[x] = (left[x] + two * inner[x] + right[x]) * share


@njit(cache=True, nogil=True)
def _any_above(smooth, variance, square):
    """Return whether any value exceeds the root of `square` times its noise: without branches, many at a time."""
    found = np.int32(0)
    for x in range(smooth.size):
        found += np.int32((smooth[x] > 0) & (smooth[x] * smooth[x] > square * variance[x]))
    return found > 0


@njit(cache=True, nogil=True)
def _above(image, variance, skipped, y0, threshold, counts):
    """List the pixels above the threshold of the rows from `skipped` on, of which the first is row y0 of the image."""
    nx = image.shape[1]
    room = max(4 * nx, counts.size * nx // 16)
    xs, ys = np.empty(room, np.int32), np.empty(room, np.int32)
    values, noises = np.empty(room, np.float32), np.empty(room, np.float32)
    column, smooth = np.zeros(nx + 2, np.float32), np.empty(nx, np.float32)
    size, square = 0, threshold * threshold
    for k in range(counts.size):
        row = skipped + k
        _filter_row(image, row, column, smooth)
        if size + nx > room:
            room = 2 * room + nx
            xs, ys, values, noises = _larger(xs, room), _larger(ys, room), _larger(values, room), _larger(noises, room)
        before = size
        for start in range(0, nx, AT_ONCE):
            end = min(start + AT_ONCE, nx)
            if not _any_above(smooth[start:end], variance[row, start:end], square):
                continue
            for x in range(start, end):
                value = smooth[x]
                if value > 0 and value * value > square * variance[row, x]:
                    xs[size], ys[size], values[size], noises[size] = x, y0 + k, value, variance[row, x]
                    size += 1
        counts[k] = size - before
    return xs[:size].copy(), ys[:size].copy(), values[:size].copy(), noises[:size].copy()
