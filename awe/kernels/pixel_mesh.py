"""Where the pixels of an output grid fall on an input image: exact on a mesh, interpolated between its nodes."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt

from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, separation

TOLERANCE = 0.001
"""Largest error of an interpolated position, output pixels, unless another is asked for."""

FIRST_STEP = 32
_EDGE_POINTS, _INNER_POINTS = 65, 17
_SLACK = 0.01
_TEAR = 50
"""Steps along the edge of an image, of which one is so many times longer than most, are torn apart there."""

Nodes = NDArray[np.float64]


@dataclass(frozen=True)
class PixelMesh:
    """Input positions of the nodes of a mesh over a region of the output grid.

    `x`, `y`: float64 [my, mx], position of each node on the input (pixel; NaN where there is none); node (j, i) is
    the output pixel (region.x0 + i * step, region.y0 + j * step), and the last nodes lie beyond the region.
    `area`: float64 [my, mx], size of an output pixel in input pixels (the Jacobian of the mapping, without sign).
    `error`: largest error of a bilinear interpolation between nodes that was found (output pixel).
    """

    region: Section
    step: int
    x: Nodes
    y: Nodes
    area: Nodes
    error: float

    @classmethod
    def from_nodes(cls, region: Section, step: int, x: Nodes, y: Nodes, error: float) -> Self:
        """Make a mesh of node positions, and derive the area of the pixels from them."""
        (x_by_y, x_by_x), (y_by_y, y_by_x) = (np.gradient(nodes, step, edge_order=2) for nodes in (x, y))
        area = np.abs(x_by_x * y_by_y - x_by_y * y_by_x)
        unknown = ~np.isfinite(area)
        if unknown.any() and not unknown.all():  # at the end of the sky, that of the neighbour
            area = area[tuple(distance_transform_edt(unknown, return_distances=False, return_indices=True))]
        return cls(region, step, x, y, area, error)

    def positions(self, x: Nodes, y: Nodes) -> tuple[Nodes, Nodes]:
        """Return the input x, y of output pixels, interpolated as in the resampling of an image."""
        column, row = (x - self.region.x0) / self.step, (y - self.region.y0) / self.step
        i = np.clip(column.astype(int), 0, self.x.shape[1] - 2)
        j = np.clip(row.astype(int), 0, self.x.shape[0] - 2)
        return _bilinear(self.x, i, j, column - i, row - j), _bilinear(self.y, i, j, column - i, row - j)


def overlap_region(source: Wcs, shape: tuple[int, int], target: Wcs, grid_shape: tuple[int, int]) -> Section | None:
    """Return the smallest rectangle of the output grid that holds all of an input image.

    Parameters
    ----------
    source, target : Wcs
        Of the input image and of the output grid.
    shape, grid_shape : tuple of int
        (ny, nx) of the input image and of the output grid; the rectangle is cut to the grid.

    Returns
    -------
    Section, or None where the image and the grid have no pixel in common
    """
    x, y = target.to_pixel(*source.to_sky(*_spread_over(shape)))
    if not _goes_round(x, y):
        beyond = _nodes_on_image(source, shape, target, grid_shape)
        x, y = np.concatenate([x, beyond[0]]), np.concatenate([y, beyond[1]])
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    if not x.size:
        return None
    (x0, x1), (y0, y1) = _covered(x, grid_shape[1]), _covered(y, grid_shape[0])
    return Section(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def _spread_over(shape: tuple[int, int]) -> tuple[Nodes, Nodes]:
    """Return x, y of points round the edge of an image, side by side, then of points spread over it."""
    along, inner = np.linspace(0.0, 1.0, _EDGE_POINTS), np.linspace(0.0, 1.0, _INNER_POINTS)
    low, high = np.zeros(_EDGE_POINTS), np.ones(_EDGE_POINTS)
    u, v = (grid.ravel() for grid in np.meshgrid(inner, inner))
    x = np.concatenate([along, high, along[::-1], low, u]) * shape[1] - 0.5
    y = np.concatenate([low, along, high, along[::-1], v]) * shape[0] - 0.5
    return x, y


def _goes_round(x: Nodes, y: Nodes) -> bool:
    """Return whether the edge of an image is one closed line on the grid round its middle, which then holds all of it.

    It is not where the grid has a pole on the image, or tears the sky apart there.
    """
    edge, middle = slice(4 * _EDGE_POINTS), 4 * _EDGE_POINTS + _INNER_POINTS**2 // 2
    across, up = x[edge] - x[middle], y[edge] - y[middle]
    if not (np.isfinite(across).all() and np.isfinite(up).all()):
        return False
    step = np.hypot(np.diff(across), np.diff(up))
    angle = np.unwrap(np.arctan2(up, across))
    return bool(step.max() < _TEAR * np.median(step) and abs(abs(angle[-1] - angle[0]) - 2 * np.pi) < 0.5)


def _nodes_on_image(source: Wcs, shape: tuple[int, int], target: Wcs, grid_shape: tuple[int, int]) -> Any:
    """Return x, y of nodes of a coarse mesh over the grid that lie on the image, and of their neighbours.

    Where the grid has a pole, or tears the sky apart, an image covers more than its points span.
    """
    axes = [np.unique(np.linspace(0, length - 1, _EDGE_POINTS).round()) for length in grid_shape]
    column, row = np.meshgrid(axes[1], axes[0])
    ra, dec = target.to_sky(column, row)
    x, y = np.array([0.5, 0, 1, 1, 0]) * shape[1] - 0.5, np.array([0.5, 0, 0, 1, 1]) * shape[0] - 0.5
    (centre_ra, *corner_ra), (centre_dec, *corner_dec) = source.to_sky(x, y)
    # a distortion can't be trusted far from the image
    radius = np.max(separation(centre_ra, centre_dec, corner_ra, corner_dec))
    near = separation(centre_ra, centre_dec, ra, dec) < 1.05 * radius
    x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
    x[near], y[near] = source.to_pixel(ra[near], dec[near])
    there = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    grown = binary_dilation(there, np.ones((3, 3)))
    return column[grown], row[grown]


def pixel_mesh(
    source: Wcs, target: Wcs, region: Section, step: int = FIRST_STEP, tolerance: float = TOLERANCE
) -> PixelMesh:
    """Compute where the pixels of a region of the output grid fall on the input.

    The interpolation is compared with the exact mapping halfway between all nodes, where its error is largest; the
    step is halved until the error is below the tolerance, in the worst case to 1: every pixel exact. So it is where the
    sky, or what the projection of the input can show of it, ends within the region.

    Parameters
    ----------
    source, target : Wcs
        Of the input image and of the output grid, any projection and distortion.
    region : Section
        Part of the output grid, 0-based.
    step : int, pixel of the output grid
        Distance of the nodes at first; a power of 2.
    tolerance : float, output pixel
        0: every pixel exact.

    Raises
    ------
    ValueError
        If the step is not a power of 2.
    """
    if step < 1 or step & (step - 1):
        raise ValueError(f"the step of a mesh is a power of 2, not {step}")
    reach, error = step, 0.0
    x, y = _nodes(source, target, region, step, reach)
    size = _output_pixel(PixelMesh.from_nodes(region, step, x, y, 0.0))
    while step > 1:
        fine_x, fine_y = _nodes(source, target, region, step // 2, reach)
        error = max(_interpolation_error(x, fine_x), _interpolation_error(y, fine_y))
        if error < tolerance * size and not _ends_within_cell(x):
            break
        step //= 2
        x, y = fine_x, fine_y
    return PixelMesh.from_nodes(region, step, x, y, error / size if step > 1 else 0.0)


def _output_pixel(mesh: PixelMesh) -> float:
    """Return the side of most output pixels in input pixels; 0 where none is known."""
    known = mesh.area[np.isfinite(mesh.area)]
    return float(np.sqrt(np.median(known))) if known.size else 0.0


def _covered(positions: Nodes, length: int) -> tuple[int, int]:
    """Return the first and last + 1 pixel of an axis; an edge bends a little between its points, hence the slack."""
    first, last = np.ceil(positions.min() - _SLACK), np.floor(positions.max() + _SLACK)
    return int(max(0.0, first)), int(min(float(length), last + 1))


def _nodes(source: Wcs, target: Wcs, region: Section, step: int, reach: int) -> tuple[Nodes, Nodes]:
    """Return exact positions at nodes over whole cells of the size `reach`, two or more along each axis."""
    ny, nx = (max(2, (length - 1) // reach + 1) * (reach // step) + 1 for length in region.shape)
    column, row = np.meshgrid(region.x0 + step * np.arange(nx), region.y0 + step * np.arange(ny))
    return source.to_pixel(*target.to_sky(column, row))


def _ends_within_cell(nodes: Nodes) -> bool:
    """Return whether a cell has corners on the sky and others that are not."""
    seen = np.isfinite(nodes)
    corners = seen[1:, 1:].astype(int) + seen[1:, :-1] + seen[:-1, 1:] + seen[:-1, :-1]
    return bool(((corners > 0) & (corners < 4)).any())


def _interpolation_error(nodes: Nodes, fine: Nodes) -> float:
    """Return the largest difference of bilinear interpolation and exact positions on a mesh twice as fine."""
    between = np.empty_like(fine)
    between[::2, ::2] = nodes
    between[::2, 1::2] = (nodes[:, 1:] + nodes[:, :-1]) / 2
    between[1::2, :] = (between[2::2, :] + between[:-1:2, :]) / 2
    error = np.abs(between - fine)
    return float(np.max(error, initial=0.0, where=np.isfinite(error)))


def _bilinear(nodes: Nodes, i: NDArray[np.int_], j: NDArray[np.int_], s: Nodes, t: Nodes) -> Nodes:
    low = (1 - s) * nodes[j, i] + s * nodes[j, i + 1]
    high = (1 - s) * nodes[j + 1, i] + s * nodes[j + 1, i + 1]
    return (1 - t) * low + t * high
