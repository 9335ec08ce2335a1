"""Background and its rms on a mesh: the estimate of the mode of SExtractor (Bertin & Arnouts 1996, A&AS 117, 393)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numba import njit

from awe.kernels.mesh import cell_edges, fill_and_filter, spread_mesh
from awe.kernels.sections import Section
from awe.kernels.source_mask import mask_of_sources

LEVELS = 1024
"""Bins of a histogram over 12 sigma: places within them are told by a fraction, so that these are fine enough."""
_SAMPLE, _LEAST_SAMPLE = 1024, 64
_LEAST_FILLED = 0.25
_FIRST_ROWS, _LEAST_SAMPLED = 3, 32
"""Each so-many-th row tells the first background, above which sources are looked for, of cells so large or larger."""


@dataclass(frozen=True, eq=False)
class Background:
    """Background and its noise (adu): meshes (rows and columns of cells), from which maps are made when asked for."""

    mesh: np.ndarray
    mesh_rms: np.ndarray
    shape: tuple[int, int]
    """(ny, nx) of the image."""
    threads: int = 1

    @cached_property
    def level(self) -> np.ndarray:
        """Background of each pixel, float32 (ny, nx)."""
        return spread_mesh(self.mesh, self.shape, threads=self.threads)

    @cached_property
    def rms(self) -> np.ndarray:
        """Noise of each pixel, float32 (ny, nx)."""
        return spread_mesh(self.mesh_rms, self.shape, overshoot=False, threads=self.threads)


def background_map(
    image: np.ndarray,
    mask: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    cell: int = 128,
    filter_size: int = 3,
    mask_sources: float | None = None,
    threads: int = 1,
    every: int = 1,
) -> Background:
    """Measure the background of an image, and its noise, with sources in it.

    In each cell the values are clipped at 3 sigma around the median until nothing changes; the background is the
    mode 2.5 median - 1.5 mean, or the median where the two differ by more than 0.3 sigma (crowded cells). The mesh is
    median filtered, and spread over the image by a natural bicubic spline, continued by a straight line in the outer
    half of the border cells. Cells are made equal in size, as near to `cell` as the image allows. A cell with
    less than a quarter of good pixels takes the value of the nearest one that has more.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        NaN is left out.
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out.
    weight : ndarray, shape (ny, nx), optional
        Pixels of weight 0 (or NaN) are left out; otherwise weights do not matter.
    cell : int, pixel
        Side of a mesh cell.
    filter_size : int, cells
        Odd side of the median filter; 1 = none.
    mask_sources : float, sigma, optional
        Measure twice: pixels whose 3 x 3 mean stands this many of its sigmas above the first background, and 8 pixels
        around them (3 where that would leave less than half of the image), are left out of the second. Take 5 or more:
        at less, peaks of noise go too, and the background comes out too low. Each third row tells the first one.
    threads : int
    every : int
        Look at each so-many-th row of a cell only, where a rough background will do. Of n pixels, level and rms of a
        cell are known to 2.14 and 0.71 rms / sqrt(n): five times fewer of 64 x 64 know them to 0.075 and 0.025 rms,
        before the filter. Odd numbers meet the even and the odd rows of a detector.

    Returns
    -------
    Background

    Raises
    ------
    ValueError
        If shapes differ, or no cell has enough good pixels.
    """
    _check_sizes(cell, filter_size, every)
    pixels = np.ascontiguousarray(image, np.float32)
    if pixels.ndim != 2:
        raise ValueError(f"image must have two dimensions, got shape {pixels.shape}")
    excluded = _excluded(pixels.shape, mask, weight)
    if mask_sources is None:
        return _measure(pixels, excluded, cell, filter_size, threads, every)
    if not mask_sources > 0:
        raise ValueError(f"mask_sources must be positive, got {mask_sources}")
    first = max(every, _FIRST_ROWS if cell >= _LEAST_SAMPLED else 1)
    rough = _measure(pixels, excluded, cell, filter_size, threads, first)
    sources = mask_of_sources(pixels, rough.mesh, rough.mesh_rms, mask_sources, threads)
    if excluded.size:
        np.logical_or(sources, excluded, out=sources)
    return _measure(pixels, sources, cell, filter_size, threads, every)


class Strips(Protocol):
    """What is asked of an image on a file: `awe.kernels.resample.Pixels`."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, section: Section) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return image, weight and flags of a section."""
        ...


def background_mesh(
    pixels: Strips, cell: int = 128, filter_size: int = 3, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the meshes of `background_map`, of an image that is read a row of cells at a time.

    `awe.kernels.mesh.spread_rows` makes of them what `background_map` returns, a few rows at a time.

    Returns
    -------
    mesh, mesh_rms : float64 arrays [row, column]
    """
    _check_sizes(cell, filter_size)
    ny, nx = pixels.shape
    rows, columns = cell_edges(ny, cell), cell_edges(nx, cell)

    def measure(y0: int, y1: int) -> tuple[np.ndarray, np.ndarray]:
        image, weight, _ = pixels.read(Section(0, nx, y0, y1))
        bad = ~(np.asarray(weight, np.float32) > 0)
        return _mesh(np.ascontiguousarray(image, np.float32), bad, np.array([0, y1 - y0]), columns, 1)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(measure, rows[:-1].tolist(), rows[1:].tolist()))
    meshes = (np.concatenate([row[k] for row in found]) for k in (0, 1))
    mesh, mesh_rms = (fill_and_filter(each, filter_size) for each in meshes)
    return mesh, mesh_rms


def _check_sizes(cell: int, filter_size: int, every: int = 1) -> None:
    if cell < 4 or filter_size < 1 or filter_size % 2 == 0:
        raise ValueError(f"cell must be at least 4 and filter_size odd, got {cell} and {filter_size}")
    if not 1 <= every <= cell // 4:
        raise ValueError(f"every {every} must be at least 1, and leave four rows of a cell of {cell}")


def _excluded(shape, mask, weight) -> np.ndarray:
    """Return the mask of all that is left out; of size 0 if nothing is."""
    excluded = np.zeros((0, 0), np.bool_)
    for name, values in (("mask", mask), ("weight", weight)):
        if values is None:
            continue
        if np.shape(values) != shape:
            raise ValueError(f"{name} has shape {np.shape(values)}, the image {shape}")
        bad = np.asarray(values, bool) if name == "mask" else ~(np.asarray(values) > 0)
        excluded = bad | excluded if excluded.size else np.ascontiguousarray(bad)
    return excluded


def _measure(pixels, excluded, cell, filter_size, threads, every) -> Background:
    rows, columns = (cell_edges(length, cell) for length in pixels.shape)
    bands = [part for part in np.array_split(np.arange(rows.size - 1), threads) if part.size]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda b: _mesh(pixels, excluded, rows[b[0] : b[-1] + 2], columns, every), bands))
    mesh, mesh_rms = (fill_and_filter(np.concatenate(arrays), filter_size) for arrays in zip(*parts, strict=True))
    return Background(mesh, mesh_rms, pixels.shape, threads)


@njit(nogil=True, cache=True)
def _take_cell(pixels, excluded, y0, y1, x0, x1, every, values):
    """Copy each so-many-th row of a cell, NaN in the place of what is left out; return how many pixels are good."""
    width, most, nothing = x1 - x0, np.float32(np.inf), np.float32(np.nan)
    size, start = np.int32(0), 0
    for y in range(y0, y1, every):
        row, out = pixels[y, x0:x1], values[start : start + width]
        start += width
        if excluded.size:
            left_out = excluded[y, x0:x1]
            for x in range(width):
                good = (abs(row[x]) < most) & (left_out[x] == 0)
                out[x] = row[x] if good else nothing
                size += np.int32(good)
        else:
            for x in range(width):
                good = abs(row[x]) < most
                out[x] = row[x] if good else nothing
                size += np.int32(good)
    return size


@njit(nogil=True, cache=True)
def _sample(values, sample):
    """Copy good values spread evenly over a cell; return how many."""
    size = 0
    for k in range(0, values.size, max(1, values.size // sample.size)):
        if size < sample.size:
            sample[size] = values[k]
            size += not np.isnan(values[k])
    return size


@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _moments(values, low, high):
    """Return mean, sigma and number of the values within the limits."""
    size = 0
    total = 0.0
    square = 0.0
    # Sums about one of the values keep their digits where the level is much above the noise.
    origin = np.float64(values[0])
    for value in values:
        inside = 1 if (value >= low) & (value <= high) else 0
        shifted = (value - origin) * inside
        total += shifted
        square += shifted * shifted
        size += inside
    if size == 0:
        return origin, 0.0, 0
    mean = total / size
    return mean + origin, np.sqrt(max(square / size - mean * mean, 0.0)), size


@njit(nogil=True, cache=True)
def _whole(values):
    """Return whether all values are whole numbers."""
    return np.all(values == np.floor(values))


@njit(nogil=True, cache=True)
def _mode(values, room):
    """Return the mode and sigma of the values of a cell; NaN is left out."""
    sample, places, histogram, below = room
    # This only sets the scale of the histogram, for which a part of the values will do.
    part = sample[: _sample(values, sample)]
    if part.size < min(_LEAST_SAMPLE, values.size):  # what is good lies between
        part = values[~np.isnan(values)]
    mean, sigma, _ = _moments(part, -np.inf, np.inf)
    for _ in range(30):
        # One bright star must not set the scale.
        old = sigma
        mean, sigma, _ = _moments(part, mean - 2.5 * sigma, mean + 2.5 * sigma)
        if sigma == 0 or sigma > 0.9 * old:
            break
    if sigma == 0:
        mean, sigma, _ = _moments(values[~np.isnan(values)], -np.inf, np.inf)
    if sigma <= 1e-6 * abs(mean):
        return mean, sigma
    low = mean - 6 * sigma
    step = 12 * sigma / LEVELS
    if _whole(part):
        # One bin per whole number, centred on it: the median of digitised values is only then known to less than 1.
        low, step = np.floor(low) - 0.5, np.ceil(step)
    _count(values, low, step, places[: values.size], histogram)
    return _clip_histogram(histogram[1:-1], below, low, step)


@njit(nogil=True, cache=True)
def _count(values, low, step, places, histogram):
    """Count the values in the bins of a histogram; what lies beyond them, and NaN, in one more at either end."""
    origin, scale, least, most = np.float32(low), np.float32(1 / step), np.float32(-1.0), np.float32(LEVELS)
    for k in range(values.size):
        place = (values[k] - origin) * scale
        place = place if place > least else least
        places[k] = np.int32((place if place < most else most) - least)
    histogram[:] = 0
    for place in places:
        histogram[place] += 1


@njit(nogil=True, cache=True)
def _clip_histogram(histogram, below, low, step):
    """Clip a histogram at 3 sigma around its median until nothing changes; return mode and sigma.

    `below` is room for the sums of numbers, of places and of their squares below each bin, so that the moments of what
    is left are differences.
    """
    number, total, square = 0, 0, 0
    for k in range(histogram.size):
        below[k, 0], below[k, 1], below[k, 2] = number, total, square
        number += histogram[k]
        total += histogram[k] * k
        square += histogram[k] * k * k
    below[histogram.size, 0], below[histogram.size, 1], below[histogram.size, 2] = number, total, square
    first, last = 0, histogram.size
    mean, median, sigma = 0.0, 0.0, 0.0
    for _ in range(100):
        size = below[last, 0] - below[first, 0]
        if size == 0:
            break
        mean = (below[last, 1] - below[first, 1]) / size
        sigma = np.sqrt(max((below[last, 2] - below[first, 2]) / size - mean * mean, 1 / 12))
        median = _histogram_median(histogram, below, first, last, size)
        old = (first, last)
        first = max(0, int(np.floor(median - 3 * sigma + 0.5)))
        last = min(histogram.size, int(np.ceil(median + 3 * sigma + 0.5)))
        if old == (first, last):
            break
    mode = 2.5 * median - 1.5 * mean if abs(mean - median) < 0.3 * sigma else median
    return low + (mode + 0.5) * step, sigma * step


@njit(nogil=True, cache=True)
def _histogram_median(histogram, below, first, last, size):
    """Return the median in units of bins, as if the values of a bin filled it evenly."""
    start, end = first, last  # the bin is among these
    while end - start > 1:
        middle = (start + end) // 2
        if 2 * (below[middle, 0] - below[first, 0]) >= size:
            end = middle
        else:
            start = middle
    return start - 0.5 + (0.5 * size - (below[start, 0] - below[first, 0])) / histogram[start]


@njit(nogil=True, cache=True)
def _mesh(pixels, excluded, rows, columns, every):
    """Return mode and sigma of each cell; NaN where too few pixels are good."""
    mesh = np.full((rows.size - 1, columns.size - 1), np.nan)
    sigmas = mesh.copy()
    largest = np.max(np.diff(rows)) * np.max(np.diff(columns))
    values, places = np.empty(largest, np.float32), np.empty(largest, np.int32)
    counts, below = np.empty(LEVELS + 2, np.int64), np.empty((LEVELS + 1, 3), np.int64)
    room = (np.empty(_SAMPLE, np.float32), places, counts, below)
    for j in range(rows.size - 1):
        for i in range(columns.size - 1):
            y0, y1, x0, x1 = rows[j], rows[j + 1], columns[i], columns[i + 1]
            size = _take_cell(pixels, excluded, y0, y1, x0, x1, every, values)
            whole = (y1 - y0 + every - 1) // every * (x1 - x0)
            if size > 0 and size >= _LEAST_FILLED * whole:
                mesh[j, i], sigmas[j, i] = _mode(values[:whole], room)
    return mesh, sigmas
