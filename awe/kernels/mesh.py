"""A mesh of equal cells over an image: its geometry, its repair, and its spread over the pixels by a spline."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

from awe.kernels.sections import Section


@dataclass(frozen=True)
class SmoothImage:
    """An image that is kept as a mesh of equal cells; its pixels are computed where they are wanted."""

    nodes: np.ndarray
    """Value at the centre of each cell [row, column]; finite."""
    shape: tuple[int, int]
    """Rows and columns of the image."""

    def rows(self, y0: int = 0, y1: int | None = None) -> np.ndarray:
        """Return the rows y0 to y1 (half-open) as float32."""
        return spread_rows(self.nodes, self.shape, y0, self.shape[0] if y1 is None else y1)

    def section(self, section: Section) -> np.ndarray:
        """Return the pixels of a section as float32."""
        return self.rows(section.y0, section.y1)[:, section.x0 : section.x1]


def spread_mesh(mesh: np.ndarray, shape: tuple[int, int], overshoot: bool = True, threads: int = 1) -> np.ndarray:
    """Spread a mesh of equal cells over an image by a natural bicubic spline.

    Parameters
    ----------
    mesh : ndarray, shape (rows, columns)
        Value at the centre of each cell; finite.
    shape : tuple of int
        Shape (ny, nx) of the image the cells tile.
    overshoot : bool
        Whether the spline may leave the range of the mesh, as it does next to steps: a noise map must not, lest it
        become negative.
    threads : int

    Returns
    -------
    ndarray of float32, shape (ny, nx)
    """
    out = np.empty(shape, np.float32)
    low, high = (-np.inf, np.inf) if overshoot else (np.min(mesh), np.max(mesh))
    nodes, limits = np.ascontiguousarray(mesh, np.float64), (np.float32(low), np.float32(high))
    edges = np.linspace(0, shape[0], threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda y0, y1: _spread(nodes, *limits, out, y0, y1), edges[:-1], edges[1:]))
    return out


def spread_rows(mesh: np.ndarray, shape: tuple[int, int], y0: int, y1: int) -> np.ndarray:
    """Return the rows y0 to y1 of what `spread_mesh` returns."""
    out = np.empty((y1 - y0, shape[1]), np.float32)
    columns, curvatures = columns_of(np.ascontiguousarray(mesh, np.float64))
    _spread_rows(columns, curvatures, shape, y0, out)
    return out


def cell_edges(length: int, cell: int) -> np.ndarray:
    """Return the first pixel of each cell along an axis, and the length at the end."""
    count = max(1, round(length / cell))
    return np.linspace(0, length, count + 1).round().astype(np.int64)


def fill_and_filter(mesh: np.ndarray, filter_size: int) -> np.ndarray:
    """Give cells without a value that of the nearest that has one, then take the running median over cells.

    Parameters
    ----------
    mesh : ndarray, shape (rows, columns)
        NaN = no value.
    filter_size : int, cells
        Odd side of the window, which shrinks towards the borders so that it stays centred: a lopsided one would
        shift the border of an inclined background by half a cell.

    Returns
    -------
    ndarray of float64, shape (rows, columns)

    Raises
    ------
    ValueError
        If no cell has a value.
    """
    empty = ~np.isfinite(mesh)
    if empty.all():
        raise ValueError(f"none of the {mesh.size} cells of the mesh has enough good pixels")
    if empty.any():
        nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
        mesh = mesh[tuple(nearest)]
    return _filtered(np.ascontiguousarray(mesh, np.float64), filter_size // 2)


@njit(nogil=True, cache=True)
def _filtered(mesh, reach):
    rows, columns = mesh.shape
    out = np.empty_like(mesh)
    for j in range(rows):
        b = min(reach, j, rows - 1 - j)
        for i in range(columns):
            a = min(reach, i, columns - 1 - i)
            out[j, i] = np.median(mesh[j - b : j + b + 1, i - a : i + a + 1].copy())
    return out


@njit(nogil=True, cache=True)
def _curvatures(values):
    """Return the second derivatives at the nodes of the natural cubic spline through equally spaced values."""
    size = values.size
    curvature = np.zeros(size)
    pivot = np.zeros(size)
    for k in range(1, size - 1):
        factor = 1 / (4 - pivot[k - 1])
        pivot[k] = factor
        curvature[k] = factor * (6 * (values[k - 1] - 2 * values[k] + values[k + 1]) - curvature[k - 1])
    for k in range(size - 2, 0, -1):
        curvature[k] -= pivot[k] * curvature[k + 1]
    return curvature


@njit(nogil=True, cache=True)
def _cubic(values, curvature, k):
    """Return the coefficients of the spline between node k and the next, in powers of the distance from k."""
    slope = values[k + 1] - values[k] - (2 * curvature[k] + curvature[k + 1]) / 6
    return values[k], slope, 0.5 * curvature[k], (curvature[k + 1] - curvature[k]) / 6


@njit(nogil=True, cache=True)
def _evaluate(values, curvature, place):
    """Return the spline at one place in units of nodes; a straight line beyond the ends."""
    size = values.size
    if size == 1:
        return values[0]
    k = min(max(int(np.floor(place)), 0), size - 2)
    a, b, c, d = _cubic(values, curvature, k)
    t = place - k
    if t < 0:
        return a + b * t
    if t > 1:
        return a + b + c + d + (b + 2 * c + 3 * d) * (t - 1)
    return a + t * (b + t * (c + t * d))


@njit(nogil=True, cache=True)
def _spread_row(nodes, curvature, width, first, low, high, out):
    """Evaluate a spline over a row of `width` pixels at those from `first` on.

    Interval by interval, so that the inner loop is a plain polynomial.
    """
    size = nodes.size
    stop = first + out.size
    per_node = width / size
    start = 0
    for k in range(-1, size):
        end = width if k == size - 1 else min(width, int(np.ceil((k + 1.5) * per_node - 0.5)))
        begin, last = max(start, first), min(end, stop)
        if size == 1 or k < 0 or k == size - 1:
            for x in range(begin, last):
                value = np.float32(_evaluate(nodes, curvature, (x + 0.5) / per_node - 0.5))
                out[x - first] = min(max(value, low), high)
        elif begin < last:
            a, b, c, d = _cubic(nodes, curvature, k)
            # Coefficients around the first pixel of the interval, in pixels, keep float32 exact enough.
            h = 1 / per_node
            t0 = (start + 0.5) * h - 0.5 - k
            p0 = np.float32(a + t0 * (b + t0 * (c + t0 * d)))
            p1 = np.float32((b + t0 * (2 * c + 3 * t0 * d)) * h)
            p2, p3 = np.float32((c + 3 * t0 * d) * h * h), np.float32(d * h * h * h)
            for x in range(begin, last):
                t = np.float32(x - start)
                value = p0 + t * (p1 + t * (p2 + t * p3))
                # not min and max: these look for NaN, and are not made vector instructions
                value = value if value > low else low
                out[x - first] = value if value < high else high
        start = end


@njit(nogil=True, cache=True)
def _spread(mesh, low, high, out, y0, y1):
    columns, curvatures = columns_of(mesh)
    nodes = np.empty(mesh.shape[1])
    for y in range(y0, y1):
        _nodes_of_row(columns, curvatures, out.shape[0], y, nodes)
        _spread_row(nodes, _curvatures(nodes), out.shape[1], 0, low, high, out[y])


@njit(nogil=True, cache=True)
def columns_of(mesh):
    """Return a mesh as [column, row], and its second derivatives along the columns: what its rows are made of."""
    columns = np.ascontiguousarray(mesh.T)
    curvatures = np.empty_like(columns)
    for i in range(columns.shape[0]):
        curvatures[i] = _curvatures(columns[i])
    return columns, curvatures


@njit(nogil=True, cache=True)
def _nodes_of_row(columns, curvatures, height, y, nodes):
    place = (y + 0.5) * columns.shape[1] / height - 0.5
    for i in range(nodes.size):
        nodes[i] = _evaluate(columns[i], curvatures[i], place)


@njit(nogil=True, cache=True)
def _spread_rows(columns, curvatures, shape, y0, out):
    nodes = np.empty(columns.shape[0])
    for y in range(out.shape[0]):
        spread_part_of_row(columns, curvatures, shape, y0 + y, 0, nodes, out[y])


@njit(nogil=True, cache=True)
def spread_part_of_row(columns, curvatures, shape, y, first, nodes, out):
    """Spread a mesh over the pixels of row y from column `first` on, as `spread_mesh` does over all.

    Parameters
    ----------
    columns, curvatures : float64 arrays [column, row]
        From `columns_of`.
    shape : tuple of int
        (ny, nx) of the image that the mesh covers.
    y, first : int
    nodes : float64 array, one for each column of the mesh
        Room to work in.
    out : float32 array
        Filled.
    """
    _nodes_of_row(columns, curvatures, shape[0], y, nodes)
    low, high = np.float32(-np.inf), np.float32(np.inf)
    _spread_row(nodes, _curvatures(nodes), shape[1], first, low, high, out)
