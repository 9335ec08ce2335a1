"""Where sources are, with their wings: what is left out of the sky."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from scipy.ndimage import binary_dilation

from awe.kernels.mesh import columns_of, spread_part_of_row

_WINGS, _CORES = 8, 3
"""Pixels masked around a source: the wings of stars, far below the noise of a pixel, raise a sky measured among them;
but where that leaves less than half of the image (crowded fields, thousands of hot pixels) just the cores."""
_MOST_MASKED = 0.5


def mask_of_sources(
    pixels: np.ndarray, mesh: np.ndarray, mesh_rms: np.ndarray, threshold: float, threads: int = 1
) -> np.ndarray:
    """Mask pixels whose 3 x 3 mean stands above a rough background, and 8 pixels around them.

    Just 3 pixels around them where 8 would leave less than half of the image.

    Parameters
    ----------
    pixels : ndarray of float32, shape (ny, nx), adu
        What is not finite is no source.
    mesh, mesh_rms : ndarray [row, column], adu
        Background and noise at the centres of equal cells.
    threshold : float
        In units of the noise of the mean.
    threads : int

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True = a source is near.
    """
    above = np.empty(pixels.shape, np.bool_)
    least, most = np.float32(mesh_rms.min()), np.float32(mesh_rms.max())
    level, rms = (columns_of(np.ascontiguousarray(nodes, np.float64)) for nodes in (mesh, mesh_rms))
    edges = np.linspace(0, pixels.shape[0], threads + 1).astype(int).tolist()

    def mark(y0: int, y1: int) -> int:
        return int(_peaks(pixels, *level, *rms, least, most, np.float32(threshold), y0, y1, above))

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(mark, edges[:-1], edges[1:]))
    wide = np.zeros_like(above)
    marked = _widened(above, _WINGS, wide) if count else 0
    return wide if marked < _MOST_MASKED * wide.size else binary_dilation(above, iterations=_CORES)


@njit(nogil=True, cache=True)
def _peaks(pixels, levels, level_curvatures, spreads, spread_curvatures, least, most, threshold, y0, y1, above):
    """Mark pixels where the mean of 3 x 3 stands above the noise of it, in the rows y0 to y1; return how many.

    What lies beyond a border is as the border. Level and noise are those of the splines through the meshes.
    """
    ny, nx = pixels.shape
    shape = (ny, nx)
    lines, sky, nodes = np.empty((3, nx + 2), np.float32), np.empty(nx, np.float32), np.empty(levels.shape[0])
    for y in range(max(y0 - 1, 0), min(y0 + 1, ny)):
        spread_part_of_row(levels, level_curvatures, shape, y, 0, nodes, sky)
        _residuals(pixels[y], sky, lines[y % 3])
    count = 0
    limit = np.float32(3) * threshold
    for y in range(y0, y1):
        if y + 1 < ny:
            spread_part_of_row(levels, level_curvatures, shape, y + 1, 0, nodes, sky)
            _residuals(pixels[y + 1], sky, lines[(y + 1) % 3])
        spread_part_of_row(spreads, spread_curvatures, shape, y, 0, nodes, sky)
        low, middle, high = lines[max(y - 1, 0) % 3], lines[y % 3], lines[min(y + 1, ny - 1) % 3]
        for x in range(nx):
            left, centre = low[x] + middle[x] + high[x], low[x + 1] + middle[x + 1] + high[x + 1]
            noise = sky[x] if sky[x] > least else least
            noise = noise if noise < most else most
            peak = left + centre + (low[x + 2] + middle[x + 2] + high[x + 2]) > limit * noise
            above[y, x] = peak
            count += peak
    return count


@njit(nogil=True, cache=True)
def _residuals(pixels, level, line):
    """Fill a line with pixels above the background, 0 for what is not finite, and its ends with their neighbours."""
    most, size = np.float32(np.inf), pixels.size
    for x in range(size):
        value = pixels[x] - level[x]
        line[x + 1] = value if abs(value) < most else np.float32(0)
    line[0], line[size + 1] = line[1], line[size]


@njit(nogil=True, cache=True)
def _widened(marked, reach, out):
    """Mark the squares of 2 reach + 1 pixels around marked ones; return how many pixels that are."""
    ny, nx = marked.shape
    near = np.zeros(nx, np.int32)  # rows within reach that have a mark within reach of the column
    count = 0
    for y in range(-reach, ny):
        if y + reach < ny:
            _add_reach(marked[y + reach], reach, np.int32(1), near)
        if y - reach > 0:
            _add_reach(marked[y - reach - 1], reach, np.int32(-1), near)
        if y >= 0:
            for x in range(nx):
                wide = near[x] > 0
                out[y, x] = wide
                count += wide
    return count


@njit(nogil=True, cache=True)
def _add_reach(row, reach, change, near):
    """Add a change where a mark of a row lies within reach."""
    done = 0
    for x in range(row.size):
        if row[x]:
            for place in range(max(done, x - reach), min(row.size, x + reach + 1)):
                near[place] += change
            done = min(row.size, x + reach + 1)
