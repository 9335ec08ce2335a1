"""How much noisier large apertures are than independent pixels would make them, after an image was resampled."""

import math

import numpy as np
from numba import njit

from awe.kernels.choices import Kernel
from awe.kernels.kernel_tables import PHASES, taps_at_phases
from awe.kernels.pixel_mesh import PixelMesh
from awe.kernels.resample import oversampling_for

DENSEST = 4
"""Positions for each pixel of the image, along a side, beyond which the noise of a mean hardly changes."""


def noise_scale(
    mesh: PixelMesh, kernel: Kernel = Kernel.LANCZOS3, blocks: int = 64, size: int = 12, oversampling: int = 1
) -> float:
    """Return by how much the noise of a large aperture exceeds the square root of its summed pixel variances.

    Interpolation smooths the noise of single pixels and leaves that of large areas as it was, so neighbours are
    correlated. The factor, sqrt(sum of covariances / variance), is computed for white input noise and some blocks of
    output pixels spread over the mesh; it is 1 if pixels fall on pixels, about 1.12 for Lanczos3 at equal pixel size
    and 1.5 for bilinear, and more if the output pixels are smaller.

    Parameters
    ----------
    mesh : PixelMesh
    kernel : Kernel
    blocks : int
        Number of blocks.
    size : int, output pixel
        Side of a block, besides a margin as wide as the kernel that is left out of the mean.
    oversampling : int
        As in `Regridder`. More than four times that of `oversampling_for` changes the factor by less than 1 per cent,
        and is not followed.
    """
    oversampling = min(oversampling, DENSEST * oversampling_for(mesh))
    area = np.median(mesh.area[np.isfinite(mesh.area)])
    margin = int(np.ceil(2 * kernel.taps / np.sqrt(area)))
    v, u = (grid.ravel() for grid in np.mgrid[-margin : size + margin, -margin : size + margin])
    inner = (np.minimum(u, v) >= 0) & (np.maximum(u, v) < size)
    b, a = (grid.ravel() for grid in (np.mgrid[:oversampling, :oversampling] + 0.5) / oversampling - 0.5)
    places = (u[:, None] + a).ravel(), (v[:, None] + b).ravel()
    table = taps_at_phases(kernel).astype(np.float64)
    covariance = variance = 0.0
    for x, y in _block_positions(mesh, *places, blocks):
        sums = _block_covariance(x, y, float(kernel.origin), table, inner)
        covariance, variance = covariance + sums[0], variance + sums[1]
    return math.sqrt(covariance / variance)


def _block_positions(mesh, u, v, blocks):
    """Yield input x, y of blocks of output pixels: the linear part of the mapping at nodes spread over the mesh."""
    spread = np.arange(blocks) * 0.6180339887498949
    row = 1 + (np.arange(blocks) * (mesh.x.shape[0] - 1)) // blocks
    column = 1 + np.floor(spread % 1 * (mesh.x.shape[1] - 1)).astype(int)
    for y, x in zip(row, column, strict=True):
        axes = [
            nodes[y, x] + (u * (nodes[y, x] - nodes[y, x - 1]) + v * (nodes[y, x] - nodes[y - 1, x])) / mesh.step
            for nodes in (mesh.x, mesh.y)
        ]
        if np.isfinite(axes).all():
            yield axes


@njit(cache=True, nogil=True)
def _block_covariance(x, y, origin, table, inner):
    """Return the summed covariances and variances of the inner pixels of a block, each the mean of some positions."""
    taps, pixels = table.shape[1], inner.size
    times = x.size // pixels
    shift = taps // 2 - 1
    left, low = math.floor(x.min() - origin) - shift, math.floor(y.min() - origin) - shift
    shape = math.floor(y.max() - origin) + taps - low, math.floor(x.max() - origin) + taps - left
    total, share = np.zeros(shape), np.zeros(shape)
    covariance = variance = 0.0
    for is_sum in (True, False):  # what all pixels of the block take of each input pixel, then what it has in common
        for pixel in range(pixels):
            if not (is_sum or inner[pixel]):
                continue
            first, last = pixel * times, (pixel + 1) * times
            i0, j0, i1, j1 = shape[1], shape[0], 0, 0
            for k in range(first, last):
                column, row = math.floor(x[k] - origin), math.floor(y[k] - origin)
                along = table[round((x[k] - origin - column) * PHASES)]
                across = table[round((y[k] - origin - row) * PHASES)]
                i, j = column - shift - left, row - shift - low
                i0, j0, i1, j1 = min(i0, i), min(j0, j), max(i1, i + taps), max(j1, j + taps)
                for n in range(taps):
                    for m in range(taps):
                        share[j + n, i + m] += across[n] * along[m] / times
            for j in range(j0, j1):
                for i in range(i0, i1):
                    if is_sum:
                        total[j, i] += share[j, i]
                    else:
                        covariance += share[j, i] * total[j, i]
                        variance += share[j, i] ** 2
                    share[j, i] = 0
    return covariance, variance
