"""Images brought onto another grid: flux kept, variances and flags carried along."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.choices import Kernel
from awe.kernels.flags import PixelFlag
from awe.kernels.interpolation import PAD, fill_bad_pixels, sample_rows
from awe.kernels.pixel_mesh import PixelMesh, overlap_region, pixel_mesh
from awe.kernels.sections import Section

__all__ = ["Kernel", "PixelMesh", "Regridded", "Regridder", "noise_scale", "overlap_region", "pixel_mesh", "resample"]

Rows = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]

SIGNIFICANT = 0.03
"""An input pixel decides on the fate of an output pixel if its share of the kernel is at least this."""

BAND_ROWS = 256
_PHASES = 8192


@dataclass(frozen=True)
class Regridded:
    """An image on a region of the output grid, with its weight (inverse variance) and flag maps."""

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    flags: NDArray[np.uint8]
    region: Section


class Regridder:
    """One input image, ready to be read at any rows of the output grid.

    It has the `region` and the `read` that `coadd` asks of its inputs, so that images can be added up without being
    stored on the output grid first. It holds 11 bytes for each input pixel, besides what it was made of.

    Parameters
    ----------
    image : array [y, x], any unit
        NaN and infinite pixels are bad.
    weight : array [y, x], inverse variance
        0 (or NaN) = bad pixel.
    flags : uint8 array [y, x] of PixelFlag, or None
        Carried along; only `weight` says which pixels are bad.
    mesh : PixelMesh
        From `pixel_mesh(WCS of the image, WCS of the grid, region)`.
    kernel : Kernel
    flux_scale : float
        All values are multiplied by this, as to bring them to a common zeropoint.

    Raises
    ------
    ValueError
        If the shapes differ or the scale is not positive.
    """

    def __init__(
        self,
        image: NDArray[Any],
        weight: NDArray[Any],
        flags: NDArray[np.uint8] | None,
        mesh: PixelMesh,
        kernel: Kernel = Kernel.LANCZOS3,
        flux_scale: float = 1.0,
    ) -> None:
        flags = np.zeros(image.shape, np.uint8) if flags is None else flags
        _check_planes(image, weight, flags, flux_scale)
        self.region, self.mesh, self.kernel, self.flux_scale = mesh.region, mesh, kernel, float(flux_scale)
        self._shape = image.shape
        bad = ~(np.isfinite(image) & np.isfinite(weight) & (weight > 0))
        bad, flags = _padded(bad, np.uint8, 1), _padded(flags, np.uint8, PixelFlag.NO_DATA)
        values, variance = _padded(image, np.float32, 0), _padded(weight, np.float32, 0)
        fill_bad_pixels(values, variance, bad)
        self._planes = values, variance, bad, flags, _any_in_window(bad | flags, kernel.taps)

    def read(self, y0: int, y1: int) -> Rows:
        """Return image, weight and flags of the rows y0 <= y < y1 of the output grid, as wide as the region."""
        if not self.region.y0 <= y0 <= y1 <= self.region.y1:
            raise ValueError(f"rows {y0} to {y1} are not within the region's, {self.region.y0} to {self.region.y1}")
        shape = (y1 - y0, self.region.x1 - self.region.x0)
        out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint8)
        nodes, kernel = (self.mesh.x, self.mesh.y, self.mesh.area), self.kernel
        sample_rows(
            self._planes, self._shape, nodes, self.mesh.step, y0 - self.region.y0,
            _kernel_table(kernel), (0,) * kernel.taps, kernel.origin, self.flux_scale, SIGNIFICANT, out,
        )  # fmt: skip
        return out


def resample(
    image: NDArray[Any],
    weight: NDArray[Any],
    flags: NDArray[np.uint8] | None,
    mesh: PixelMesh,
    kernel: Kernel = Kernel.LANCZOS3,
    flux_scale: float = 1.0,
) -> Regridded:
    """Bring an image onto the region of the output grid that the mesh covers.

    An output pixel is the interpolated surface brightness times its area in input pixels, so that the sum over a
    star's pixels stays. Its variance is the sum of the input variances times the squared kernel, times the squared
    area: right for each pixel by itself; the correlation of neighbours is what `noise_scale` tells.

    An output pixel has weight 0 if a bad pixel, or one outside the image, has a share of 3 per cent or more
    (`SIGNIFICANT`) in its kernel: for Lanczos3 up to 12 pixels, the inner 2 x 2 and those that touch them sideways.
    Bad pixels further out in the kernel are replaced by the mean of their good neighbours: to leave out every pixel
    that touches a bad one would make 36 of each, and what remains is at most 3 per cent of the error of that mean.
    Flags of pixels with such a share are joined by OR, so that the cause of each weight 0 can be read; NO_DATA means
    the end of the image. Pixels of weight 0 hold what could be interpolated (for pictures only), or 0 outside.

    Parameters and errors are those of `Regridder`, which gives the same by rows.
    """
    regridder = Regridder(image, weight, flags, mesh, kernel, flux_scale)
    shape = mesh.region.shape
    out = Regridded(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint8), mesh.region)
    for top in range(0, shape[0], BAND_ROWS):
        rows = slice(top, min(top + BAND_ROWS, shape[0]))
        out.image[rows], out.weight[rows], out.flags[rows] = regridder.read(
            mesh.region.y0 + rows.start, mesh.region.y0 + rows.stop
        )
    return out


def noise_scale(mesh: PixelMesh, kernel: Kernel = Kernel.LANCZOS3, blocks: int = 64, size: int = 12) -> float:
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
    """
    area = np.median(mesh.area[np.isfinite(mesh.area)])
    margin = int(np.ceil(2 * kernel.taps / np.sqrt(area)))
    v, u = (grid.ravel() for grid in np.mgrid[-margin : size + margin, -margin : size + margin])
    inner = (np.minimum(u, v) >= 0) & (np.maximum(u, v) < size)
    sums = [_block_covariance(block, kernel, inner) for block in _block_positions(mesh, u, v, blocks)]
    covariance, variance = np.sum(sums, axis=0)
    return float(np.sqrt(covariance / variance))


def _block_covariance(positions, kernel, inner):
    """Return the summed covariances and variances of the inner pixels of a block."""
    (i, along), (j, across) = (_taps(axis, kernel) for axis in positions)
    index = (j - j.min())[:, :, None] * (np.ptp(i) + 1) + (i - i.min())[:, None]
    share = across[:, :, None] * along[:, None]
    total = np.bincount(index.ravel(), weights=share.ravel())
    return (share * total[index])[inner].sum(), (share**2)[inner].sum()


def _block_positions(mesh, u, v, blocks):
    """Return input x, y of blocks of output pixels: the linear part of the mapping at nodes spread over the mesh."""
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


def _taps(positions, kernel):
    """Return for each position the indices of the pixels under the kernel, and their shares."""
    first = np.floor(positions - kernel.origin).astype(int)
    table = _kernel_table(kernel).astype(np.float64)
    share = table[np.rint((positions - kernel.origin - first) * _PHASES).astype(int)]
    return first[:, None] - (kernel.taps // 2 - 1) + np.arange(kernel.taps), share


@lru_cache
def _kernel_table(kernel: Kernel) -> NDArray[np.float32]:
    """Return the kernel at phases 0 to 1, float32 [phase, tap]; each row has the sum 1."""
    distance = np.arange(kernel.taps) - (kernel.taps // 2 - 1) - np.linspace(0, 1, _PHASES + 1)[:, None]
    if kernel is Kernel.NEAREST:
        table = np.where(np.arange(2) == 0, 1.0, 0.0 * distance)
    elif kernel is Kernel.BILINEAR:
        table = 1 - np.abs(distance)
    else:
        table = _lanczos(distance)
    return np.ascontiguousarray(table, np.float32)


def _lanczos(distance):
    """Return sinc(d) sinc(d / half), with the first moments of a perfect interpolation.

    The textbook kernel moves a star by up to 0.02 pixel and changes its flux by parts in a thousand (Bernstein &
    Gruen 2014, PASP 126, 287). A cubic in d under the window (for Lanczos2 a quadratic), at most 0.03, makes the
    moments 0 to 3 right: flux, centroid and width of whatever is shifted stay.
    """
    taps = distance.shape[1]
    orders = range(min(4, taps - 1))
    window = np.sinc(2 * distance / taps)
    table = np.sinc(distance) * window
    powers = np.stack([distance**order for order in orders], axis=1)
    lacking = np.eye(len(orders))[0] - np.einsum("pmt,pt->pm", powers, table)
    matrix = np.einsum("pmt,pnt,pt->pmn", powers, powers, window)
    table += window * np.einsum("pm,pmt->pt", np.linalg.solve(matrix, lacking[:, :, None])[:, :, 0], powers)
    # sinc(n) is 1e-17, not 0: a pixel that falls on a pixel shall be that pixel
    table[[0, -1]] = np.abs(distance[[0, -1]]) < 0.5
    return table


def _check_planes(image, weight, flags, flux_scale):
    if image.ndim != 2 or not image.size:
        raise ValueError(f"an image has two dimensions and some pixels, this one has the shape {image.shape}")
    if weight.shape != image.shape or flags.shape != image.shape:
        raise ValueError(f"shapes differ: image {image.shape}, weight {weight.shape}, flags {flags.shape}")
    if not (np.isfinite(flux_scale) and flux_scale > 0):
        raise ValueError(f"a flux scale is a positive number, not {flux_scale}")


def _padded(plane, kind, margin):
    """Return a copy with a margin of PAD pixels of a value all round."""
    padded = np.full([length + 2 * PAD for length in plane.shape], margin, kind)
    padded[PAD:-PAD, PAD:-PAD] = plane
    return padded


def _any_in_window(plane, size):
    """Return for each pixel, as 0 or not, whether any is set in the size x size pixels that begin there."""
    found = plane.copy()
    for shift in range(1, size):
        found[:, :-shift] |= plane[:, shift:]
    rows = found.copy()
    for shift in range(1, size):
        found[:-shift] |= rows[shift:]
    return found
