"""Exhaustive search for the similarity that lays one list of positions on another: every pair on every pair."""

import math
from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

KEPT = 24
GRID_CELLS = 2048


def candidates(
    first: Array, second: Array, limits: Array, middle: Array, tolerance: float, flip: bool | None
) -> Iterator[tuple[Array, Array, float]]:
    """Yield the maps that lay most of the first list on the second, and the number that was tried.

    Parameters
    ----------
    first, second : arrays (n, 2), (m, 2)
        Detections (pixel) and references (any unit).
    limits : array of 5
        Least and greatest scale, greatest offset of the middle, expected rotation and its tolerance (radian).
    middle : array of 2, pixel
        The point that is expected near (0, 0).
    tolerance : float, pixel
    flip : bool, or None for both

    Yields
    ------
    matrix (2, 2), offset (2), number of maps tried
    """
    pixel = math.sqrt(limits[0] * limits[1])
    least_baseline = 0.2 * float(np.hypot(*np.ptp(first, axis=0)))
    grid, corner, cell = _occupancy(second, tolerance * pixel)
    for flipped in (True, False) if flip is None else (flip,):
        best = np.zeros((KEPT, 5))
        mirrored = first * (-1.0 if flipped else 1.0, 1.0)
        centre = middle * (-1.0 if flipped else 1.0, 1.0)
        trials = _search(mirrored, second, limits, centre, least_baseline, grid, corner, cell, tolerance * pixel, best)
        for count, c, s, u0, v0 in best:
            if count >= 4:
                sign = -1.0 if flipped else 1.0
                yield np.array([[c * sign, -s], [s * sign, c]]), np.array([u0, v0]), float(trials)


def _occupancy(points: Array, tolerance: float) -> tuple[NDArray[np.bool_], Array, float]:
    """Return a map of the cells that lie within about a tolerance of a point, its corner and its cell size."""
    corner = points.min(axis=0) - 2 * tolerance
    extent = float((points.max(axis=0) - corner).max()) + 2 * tolerance
    cell = max(tolerance / 2, extent / GRID_CELLS)
    shape = np.ceil((points.max(axis=0) + 2 * tolerance - corner) / cell).astype(int) + 1
    grid = np.zeros((shape[1], shape[0]), bool)
    steps = np.arange(-math.ceil(tolerance / cell), math.ceil(tolerance / cell) + 1)
    place = np.floor((points - corner) / cell).astype(int)
    for dy in steps:
        for dx in steps[np.hypot(steps, dy) * cell <= tolerance + cell / 2]:
            rows, columns = place[:, 1] + dy, place[:, 0] + dx
            inside = (rows >= 0) & (rows < shape[1]) & (columns >= 0) & (columns < shape[0])
            grid[rows[inside], columns[inside]] = True
    return grid, corner, cell


@njit(cache=True, nogil=True)
def _count(first, c, s, u0, v0, grid, corner, cell, enough):
    """Count the points that fall on an occupied cell; give up once `enough` is out of reach."""
    hits = 0
    size = len(first)
    for m in range(size):
        column = math.floor((c * first[m, 0] - s * first[m, 1] + u0 - corner[0]) / cell)
        row = math.floor((s * first[m, 0] + c * first[m, 1] + v0 - corner[1]) / cell)
        if 0 <= column < grid.shape[1] and 0 <= row < grid.shape[0] and grid[row, column]:
            hits += 1
        elif hits + size - m - 1 < enough:
            return 0
    return hits


@njit(cache=True, nogil=True)
def _keep(best, count, c, s, u0, v0, centre, tolerance):
    """Put a map among the best; of maps that agree at the centre and in angle, only the better one."""
    at_u, at_v = c * centre[0] - s * centre[1] + u0, s * centre[0] + c * centre[1] + v0
    worst = 0
    for n in range(len(best)):
        near_u = best[n, 1] * centre[0] - best[n, 2] * centre[1] + best[n, 3] - at_u
        near_v = best[n, 2] * centre[0] + best[n, 1] * centre[1] + best[n, 4] - at_v
        turn = best[n, 1] * c + best[n, 2] * s
        if best[n, 0] > 0 and math.hypot(near_u, near_v) < 3 * tolerance and turn > 0.999 * (c * c + s * s) * 0.95:
            if count > best[n, 0]:
                best[n, 0], best[n, 1], best[n, 2], best[n, 3], best[n, 4] = count, c, s, u0, v0
            return
        if best[n, 0] < best[worst, 0]:
            worst = n
    if count > best[worst, 0]:
        best[worst, 0], best[worst, 1], best[worst, 2], best[worst, 3], best[worst, 4] = count, c, s, u0, v0


@njit(cache=True, nogil=True)
def _pair_lengths(points):
    size = len(points)
    lengths, one = np.empty(size * (size - 1)), np.empty(size * (size - 1), np.int64)
    other = np.empty(size * (size - 1), np.int64)
    n = 0
    for k in range(size):
        for m in range(size):
            if k != m:
                lengths[n] = math.hypot(points[m, 0] - points[k, 0], points[m, 1] - points[k, 1])
                one[n], other[n] = k, m
                n += 1
    order = np.argsort(lengths)
    return lengths[order], one[order], other[order]


@njit(cache=True, nogil=True)
def _search(first, second, limits, centre, least_baseline, grid, corner, cell, tolerance, best):
    """Try the map (u, v) = (c x - s y + u0, s x + c y + v0) of each pair on each; return how many were tried."""
    lengths, one, other = _pair_lengths(second)
    trials = 0
    for i in range(len(first)):
        for j in range(i + 1, len(first)):
            dx, dy = first[j, 0] - first[i, 0], first[j, 1] - first[i, 1]
            square = dx * dx + dy * dy
            if square < least_baseline**2:
                continue
            start = np.searchsorted(lengths, limits[0] * math.sqrt(square))
            stop = np.searchsorted(lengths, limits[1] * math.sqrt(square))
            for n in range(start, stop):
                k, m = one[n], other[n]
                du, dv = second[m, 0] - second[k, 0], second[m, 1] - second[k, 1]
                c, s = (du * dx + dv * dy) / square, (dv * dx - du * dy) / square
                # angle of the image of the y axis from y towards x: that of Affine.rotation
                turn = (math.atan2(-s, c) - limits[3] + math.pi) % (2 * math.pi) - math.pi
                if abs(turn) > limits[4]:
                    continue
                u0 = second[k, 0] - c * first[i, 0] + s * first[i, 1]
                v0 = second[k, 1] - s * first[i, 0] - c * first[i, 1]
                if math.hypot(c * centre[0] - s * centre[1] + u0, s * centre[0] + c * centre[1] + v0) > limits[2]:
                    continue
                trials += 1
                count = _count(first, c, s, u0, v0, grid, corner, cell, best[:, 0].min() + 1)
                if count > 0:
                    _keep(best, count, c, s, u0, v0, centre, tolerance)
    return trials
