"""Sources as areas above a threshold: their shapes, and which of them are but bumps in the wings of brighter ones."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.components import connected, grouped
from awe.kernels.deblending import split_areas
from awe.kernels.thresholding import PixelList

ISOPHOTE = np.dtype(
    [
        *((name, "f8") for name in ("x", "y", "xx", "yy", "xy", "errxx", "erryy", "errxy", "flux")),
        *((name, "f8") for name in ("low", "peak", "last")),
        *((name, "i4") for name in ("area", "x0", "x1", "y0", "y1")),
        ("blended", "?"),
    ]
)
"""`flux` and `peak` are of the filtered image; `low` is the least threshold of the pixels, `last` how far the faintest
of the `min_area` brightest is above its threshold; `x0` to `y1` the limits, inclusive; moments are weighted."""

CELL = 64
TINY = 1e-30
_TASKS = 16


@dataclass(frozen=True)
class Isophotes:
    """Sources as areas of pixels."""

    rows: NDArray[Any]
    """One row of `ISOPHOTE` per source."""
    pixels: PixelList
    order: NDArray[np.int64]
    """Pixels of the list, source by source."""
    starts: NDArray[np.int64]
    """First pixel of each source in `order`, and the end."""
    number: NDArray[np.int32]
    """Source of each pixel of the list, from 0; -1 = of none."""

    def segmentation(self, y0: int, y1: int) -> NDArray[np.int32]:
        """Return a map of the numbers of the sources, from 1; 0 = none."""
        part = slice(*self.pixels.starts[[y0, y1]])
        out = np.zeros((y1 - y0, self.pixels.shape[1]), np.int32)
        out[self.pixels.y[part] - y0, self.pixels.x[part]] = self.number[part] + 1
        return out

    def pixels_of(self, chosen: NDArray[np.int64], x0: int, y0: int) -> tuple[NDArray[Any], ...]:
        """Return the first pixel of each chosen source, x and y of their pixels from (x0, y0), and their order."""
        places = np.concatenate([self.order[self.starts[k] : self.starts[k + 1]] for k in chosen])
        starts = np.concatenate([[0], np.cumsum(self.starts[chosen + 1] - self.starts[chosen])])
        return starts, self.pixels.x[places] - x0, self.pixels.y[places] - y0, np.arange(places.size)


def isophotes(
    pixels: PixelList,
    threshold: float,
    min_area: int,
    levels: int,
    contrast: float,
    clean: float,
    gain: float,
    threads: int = 1,
) -> Isophotes:
    """Join pixels to sources, separate those that are blended, and leave out what is only a bump in a brighter one.

    Parameters
    ----------
    pixels : PixelList
        Those above `threshold`.
    min_area : int, pixel
        Smallest area of a source.
    levels, contrast, clean
        See `awe.kernels.detection.detect`.
    gain : float, electron/adu
        For the errors.
    """
    area = connected(pixels)
    count = int(area.max(initial=-1)) + 1
    order, starts = grouped(area, count)
    part, parts = np.empty(area.size, np.int32), np.zeros(count, np.int32)
    limits = (float(threshold), int(min_area), int(levels), float(contrast))

    def split(first: int, last: int) -> None:
        arrays = pixels.x, pixels.y, pixels.value, pixels.variance
        split_areas(order, starts, first, last, *arrays, *limits, part, parts)

    _shared(split, starts, threads)
    offset = np.concatenate([[0], np.cumsum(parts)])
    number = np.where(part >= 0, offset[area] + part, -1).astype(np.int32)
    rows, order, starts = _measured(pixels, number, int(offset[-1]), threshold, min_area, gain, threads)
    rows["blended"] = (parts > 1).repeat(parts)
    kept = (rows["area"] >= min_area) & np.isfinite(rows["x"])
    if clean > 0:
        kept &= _survive(rows, np.argsort(-rows["flux"], kind="stable"), float(clean), *pixels.shape)
    new = np.where(kept, np.cumsum(kept) - 1, -1)
    listed = number >= 0
    number[listed] = new[number[listed]]
    order, starts = grouped(number, int(kept.sum()))
    return Isophotes(rows[kept], pixels, order, starts, number)


def _shared(work: Any, starts: NDArray[np.int64], threads: int) -> None:
    """Do work on groups of pixels, some threads at a time, each on about as many pixels."""
    ends = np.searchsorted(starts, np.linspace(0, starts[-1], _TASKS * threads + 1))
    ends[0], ends[-1] = 0, starts.size - 1
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, ends[:-1].tolist(), ends[1:].tolist()))


def _measured(
    pixels: PixelList, number: NDArray[np.int32], count: int, threshold: float, min_area: int, gain: float, threads: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    order, starts = grouped(number, count)
    rows = np.zeros(count, ISOPHOTE)

    def measure(first: int, last: int) -> None:
        arrays = pixels.x, pixels.y, pixels.value, pixels.variance
        _moments(order, starts, first, last, *arrays, float(threshold), int(min_area), 1 / gain, rows)

    _shared(measure, starts, threads)
    return rows, order, starts


@njit(cache=True, nogil=True)
def _moments(order, starts, first, last, x, y, value, variance, threshold, min_area, per_electron, rows):
    for k in range(first, last):
        own = order[starts[k] : starts[k + 1]]
        row = rows[k]
        row.area = own.size
        if own.size < min_area:
            continue
        row.x0 = row.x1 = x[own[0]]
        row.y0 = row.y1 = y[own[0]]
        total = sx = sy = xx = yy = xy = peak = 0.0
        low = np.inf
        for p in own:
            v = value[p]
            dx, dy = x[p] - x[own[0]], y[p] - y[own[0]]
            total += v
            sx += v * dx
            sy += v * dy
            xx += v * dx * dx
            yy += v * dy * dy
            xy += v * dx * dy
            peak = max(peak, v)
            low = min(low, variance[p])
            row.x0, row.x1 = min(row.x0, x[p]), max(row.x1, x[p])
            row.y0, row.y1 = min(row.y0, y[p]), max(row.y1, y[p])
        mx, my = sx / total, sy / total
        xx, yy, xy = xx / total - mx * mx, yy / total - my * my, xy / total - mx * my
        if xx * yy - xy * xy < 0.00694:  # a line of pixels has the width of a pixel (SExtractor)
            xx, yy = xx + 1 / 12, yy + 1 / 12
        row.xx, row.yy, row.xy = xx, yy, xy
        row.x, row.y = mx + x[own[0]], my + y[own[0]]
        row.flux, row.peak, row.low = total, peak, threshold * math.sqrt(low)
        exx = eyy = exy = 0.0
        for p in own:
            dx, dy = x[p] - row.x, y[p] - row.y
            noise = variance[p] + value[p] * per_electron
            exx += noise * dx * dx
            eyy += noise * dy * dy
            exy += noise * dx * dy
        row.errxx, row.erryy, row.errxy = exx / total**2, eyy / total**2, exy / total**2
        row.last = _nth_largest(value[own] - threshold * np.sqrt(variance[own]), min_area)


@njit(cache=True, nogil=True)
def _nth_largest(values, n):
    if n > 32:
        return np.sort(values)[values.size - n]
    largest = np.full(n, -np.inf)
    for v in values:
        if v > largest[0]:
            k = 0
            while k + 1 < n and largest[k + 1] < v:
                largest[k] = largest[k + 1]
                k += 1
            largest[k] = v
    return largest[0]


@njit(cache=True, nogil=True)
def _survive(rows, brightest_first, beta, ny, nx):
    """Return which sources would be seen without the wings of brighter ones (SExtractor's cleaning).

    The wings of a source are those of a Moffat function of exponent `beta` with its moments and isophotal area. A
    source falls if the wings of a brighter one that stands, at its place, would lift it above the threshold.
    """
    count = rows.size
    alive = np.ones(count, np.bool_)
    cells_x, cells_y = nx // CELL + 1, ny // CELL + 1
    first, following = np.full(cells_x * cells_y, -1, np.int64), np.full(count, -1, np.int64)
    # wings of the amplitude a reach where 1 + alpha r^2 < (a / last)^(1 / beta)
    resistance, weakest = np.zeros(count), np.zeros(cells_x * cells_y)
    for k in range(count):
        row = rows[k]
        if row.flux > 0:
            resistance[k] = max(row.last, TINY) ** (-1 / beta)
            cell = int(row.y) // CELL * cells_x + int(row.x) // CELL
            following[k] = first[cell]
            first[cell] = k
            weakest[cell] = max(weakest[cell], resistance[k])
    least = weakest.max() if weakest.size else 0.0
    for k in brightest_first:
        row = rows[k]
        if not alive[k] or not row.flux > 0 or not row.peak > row.low:
            continue
        root = math.sqrt(row.xx * row.yy - row.xy**2)
        # the moments of the isophote are too small, by as much as a Gaussian cut off there tells
        width = row.area / (2 * math.pi * math.log(row.peak / row.low))
        amplitude = row.flux / (2 * math.pi * max(root, width))
        unit = math.pi * root
        strength = amplitude ** (1 / beta)
        inner = strength * row.low ** (-1 / beta) - 1
        if not inner > 0:
            continue
        alpha = inner * unit / row.area
        cxx, cyy, cxy = row.yy / root**2, row.xx / root**2, -2 * row.xy / root**2
        flattest = (cxx + cyy - math.hypot(cxx - cyy, cxy)) / 2
        # no source is so faint that the wings reach it beyond this
        reach2 = (strength * least - 1) / alpha
        rx, ry = math.sqrt(max(reach2, 0) * row.xx), math.sqrt(max(reach2, 0) * row.yy)
        for cy in range(max(0, int(row.y - ry) // CELL), min(cells_y - 1, int(row.y + ry) // CELL) + 1):
            for cx in range(max(0, int(row.x - rx) // CELL), min(cells_x - 1, int(row.x + rx) // CELL) + 1):
                # the wings at the corner that is nearest, if all went as far as along the major axis
                dx = max(cx * CELL - row.x, row.x - (cx + 1) * CELL, 0.0)
                dy = max(cy * CELL - row.y, row.y - (cy + 1) * CELL, 0.0)
                if 1 + alpha * (dx * dx + dy * dy) * flattest >= strength * weakest[cy * cells_x + cx]:
                    continue
                j = first[cy * cells_x + cx]
                while j >= 0:
                    other = rows[j]
                    if alive[j] and other.flux < row.flux:
                        dx, dy = other.x - row.x, other.y - row.y
                        far = 1 + alpha * (cxx * dx * dx + cyy * dy * dy + cxy * dx * dy)
                        if 1 < far < strength * resistance[j]:
                            alive[j] = False
                    j = following[j]
    return alive
