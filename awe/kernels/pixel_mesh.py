"""Where the pixels of an output grid fall on an input image: exact on a mesh, interpolated between its nodes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs

TOLERANCE = 0.001
"""Largest error of an interpolated position, input pixels."""

FIRST_STEP = 32
_EDGE_POINTS = 65
_SLACK = 0.01

Nodes = NDArray[np.float64]


@dataclass(frozen=True)
class PixelMesh:
    """Input positions of the nodes of a mesh over a region of the output grid.

    `x`, `y`: float64 [my, mx], position of each node on the input (pixel; NaN where there is none); node (j, i) is
    the output pixel (region.x0 + i * step, region.y0 + j * step), and the last nodes lie beyond the region.
    `area`: float64 [my, mx], size of an output pixel in input pixels (the Jacobian of the mapping, without sign).
    `error`: largest error of a bilinear interpolation between nodes that was found (input pixel).
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
        return cls(region, step, x, y, np.abs(x_by_x * y_by_y - x_by_y * y_by_x), error)

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
    along = np.linspace(0.0, 1.0, _EDGE_POINTS)
    low, high = np.zeros(_EDGE_POINTS), np.ones(_EDGE_POINTS)
    x = np.concatenate([along, high, along, low]) * shape[1] - 0.5
    y = np.concatenate([low, along, high, along]) * shape[0] - 0.5
    x, y = target.to_pixel(*source.to_sky(x, y))
    seen = np.isfinite(x) & np.isfinite(y)
    if not seen.any():
        return None
    (x0, x1), (y0, y1) = _covered(x[seen], grid_shape[1]), _covered(y[seen], grid_shape[0])
    return Section(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def pixel_mesh(
    source: Wcs, target: Wcs, region: Section, step: int = FIRST_STEP, tolerance: float = TOLERANCE
) -> PixelMesh:
    """Compute where the pixels of a region of the output grid fall on the input.

    The interpolation is compared with the exact mapping halfway between all nodes, where its error is largest; the
    step is halved until the error is below the tolerance, in the worst case to 1: every pixel exact.

    Parameters
    ----------
    source, target : Wcs
        Of the input image and of the output grid, any projection and distortion.
    region : Section
        Part of the output grid, 0-based.
    step : int, pixel of the output grid
        Distance of the nodes at first; a power of 2.
    tolerance : float, input pixel

    Raises
    ------
    ValueError
        If the step is not a power of 2.
    """
    if step < 1 or step & (step - 1):
        raise ValueError(f"the step of a mesh is a power of 2, not {step}")
    reach, error = step, 0.0
    x, y = _nodes(source, target, region, step, reach)
    while step > 1:
        fine_x, fine_y = _nodes(source, target, region, step // 2, reach)
        error = max(_interpolation_error(x, fine_x), _interpolation_error(y, fine_y))
        if error < tolerance:
            break
        step //= 2
        x, y = fine_x, fine_y
    return PixelMesh.from_nodes(region, step, x, y, error if step > 1 else 0.0)


def _covered(positions: Nodes, length: int) -> tuple[int, int]:
    """Return the first and last + 1 pixel of an axis; an edge bends a little between its points, hence the slack."""
    first, last = np.ceil(positions.min() - _SLACK), np.floor(positions.max() + _SLACK)
    return int(max(0.0, first)), int(min(float(length), last + 1))


def _nodes(source: Wcs, target: Wcs, region: Section, step: int, reach: int) -> tuple[Nodes, Nodes]:
    """Return exact positions at nodes over whole cells of the size `reach`, two or more along each axis."""
    ny, nx = (max(2, (length - 1) // reach + 1) * (reach // step) + 1 for length in region.shape)
    column, row = np.meshgrid(region.x0 + step * np.arange(nx), region.y0 + step * np.arange(ny))
    return source.to_pixel(*target.to_sky(column, row))


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
