"""Small images cut out of large ones: as the pixels lie, or turned north up."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.choices import Kernel
from awe.kernels.flags import PixelFlag
from awe.kernels.pixel_mesh import PixelMesh
from awe.kernels.resample import resample
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tangent_plane

MARGIN = 4
"""Pixels around a turned cutout that its interpolation reaches."""
_SMALLEST_AXES = 1e-9


@dataclass(frozen=True)
class Axes:
    """How pixels lie on the sky at one place: pixels for each arcsec to the east and to the north."""

    east_x: float
    east_y: float
    north_x: float
    north_y: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.area) and abs(self.area) > _SMALLEST_AXES):
            raise ValueError(f"the axes {self} do not span a plane")

    @property
    def area(self) -> float:
        """Pixels for each square arcsec; negative where the image is not mirrored (east is right of north)."""
        return self.east_x * self.north_y - self.east_y * self.north_x

    @property
    def scale(self) -> float:
        """Size of a pixel, arcsec."""
        return 1 / math.sqrt(abs(self.area))

    def offsets(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return how many arcsec an offset in pixels is to the east and to the north."""
        east = (self.north_y * x - self.north_x * y) / self.area
        return east, (self.east_x * y - self.east_y * x) / self.area


def axes_at(wcs: Wcs, x: float, y: float) -> Axes:
    """Return how the pixels of an image lie on the sky around (x, y).

    Parameters
    ----------
    wcs : Wcs
    x, y : float, pixel

    Raises
    ------
    ValueError
        If (x, y) has no place on the sky.
    """
    ra, dec = wcs.to_sky([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5])
    xi, eta = (3600.0 * plane for plane in tangent_plane(float(ra[0]), float(dec[0]), ra, dec))
    to_sky = np.array([[xi[1] - xi[2], xi[3] - xi[4]], [eta[1] - eta[2], eta[3] - eta[4]]])
    if not np.isfinite(to_sky).all() or abs(np.linalg.det(to_sky)) < _SMALLEST_AXES**2:
        raise ValueError(f"pixel ({x}, {y}) has no place on the sky")
    (east_x, north_x), (east_y, north_y) = np.linalg.inv(to_sky)
    return Axes(float(east_x), float(east_y), float(north_x), float(north_y))


def window(x: float, y: float, nx: int, ny: int) -> Section:
    """Return the nx x ny pixels around a position, which lies within half a pixel of their middle.

    Parameters
    ----------
    x, y : float, pixel
    nx, ny : int, pixel

    >>> window(10.0, 20.4, 3, 4)
    Section(x0=9, x1=12, y0=19, y1=23)
    """
    x0, y0 = math.ceil(x - nx / 2), math.ceil(y - ny / 2)
    return Section(x0, x0 + nx, y0, y0 + ny)


def blank(shape: tuple[int, int], kind: Any) -> NDArray[Any]:
    """Return an image without data: NaN, or in maps of flags (uint8) NO_DATA."""
    return np.full(shape, PixelFlag.NO_DATA if kind == np.uint8 else np.nan, kind)


def cut(pixels: NDArray[Any], corner: tuple[int, int], wanted: Section) -> NDArray[Any]:
    """Return the pixels of a box, blank where there are none.

    Parameters
    ----------
    pixels : array [y, x], float32 or uint8
        Part of an image.
    corner : tuple of int
        x and y of its first pixel on the image.
    wanted : Section
        On the image; it may reach beyond the pixels.

    Returns
    -------
    array of the shape of the box; blank is NaN, or NO_DATA in maps of flags. The pixels themselves if they are what
    is wanted, else a copy.
    """
    if (wanted.x0, wanted.y0) == corner and wanted.shape == pixels.shape:
        return pixels
    out = blank(wanted.shape, pixels.dtype)
    moved = Section(wanted.x0 - corner[0], wanted.x1 - corner[0], wanted.y0 - corner[1], wanted.y1 - corner[1])
    there = moved.within(pixels.shape[1], pixels.shape[0])
    if there is not None:
        rows = slice(there.y0 - moved.y0, there.y1 - moved.y0)
        out[rows, there.x0 - moved.x0 : there.x1 - moved.x0] = pixels[there.y0 : there.y1, there.x0 : there.x1]
    return out


def reach(x: float, y: float, axes: Axes, nx: int, ny: int, scale: float) -> Section:
    """Return the pixels that a turned cutout of nx x ny pixels of `scale` arcsec is interpolated from."""
    half_x = scale * (nx * abs(axes.east_x) + ny * abs(axes.north_x)) / 2 + MARGIN
    half_y = scale * (nx * abs(axes.east_y) + ny * abs(axes.north_y)) / 2 + MARGIN
    x0, y0 = math.floor(x - half_x), math.floor(y - half_y)
    return Section(x0, math.ceil(x + half_x) + 1, y0, math.ceil(y + half_y) + 1)


def north_up(
    pixels: NDArray[Any], corner: tuple[int, int], x: float, y: float, axes: Axes, nx: int, ny: int, scale: float
) -> NDArray[Any]:
    """Return a cutout turned so that north is up and east is left, with (x, y) in its very middle.

    Fluxes stay. The curvature of the sky within the cutout is left out, which moves nothing by more than 0.01 pixel
    over some arcmin of an undistorted image.

    Parameters
    ----------
    pixels : array [y, x], float32, or uint8 for maps of flags
        Part of an image that covers `reach`, as far as there is any. NaN is a pixel without data.
    corner : tuple of int
        x and y of its first pixel on the image.
    x, y : float, pixel of the image
    axes : Axes
        How the image lies on the sky at (x, y).
    nx, ny : int, pixel
        Size of the result.
    scale : float, arcsec
        Size of its pixels.

    Returns
    -------
    float32 array [ny, nx], NaN where the kernel touches a pixel without data (Lanczos3); or uint8, the flags of the
    nearest pixel, NO_DATA outside
    """
    right, up = -(nx - 1) / 2, -(ny - 1) / 2
    region = Section(0, nx, 0, ny)
    step = 1 << max(1, max(nx, ny) - 1).bit_length()
    u, v = np.meshgrid(np.arange(3) * float(step) + right, np.arange(3) * float(step) + up)
    node_x = x - corner[0] + scale * (-u * axes.east_x + v * axes.north_x)
    node_y = y - corner[1] + scale * (-u * axes.east_y + v * axes.north_y)
    if pixels.dtype == np.uint8:
        return _nearest(pixels, x - corner[0], y - corner[1], axes, (ny, nx), scale)
    mesh = PixelMesh.from_nodes(region, step, node_x, node_y, 0.0)
    found = resample(pixels, np.isfinite(pixels).astype(np.float32), None, mesh, Kernel.LANCZOS3)
    return np.where(found.weight > 0, found.image, np.float32(np.nan))


def _nearest(
    flags: NDArray[np.uint8], x: float, y: float, axes: Axes, shape: tuple[int, int], scale: float
) -> NDArray[np.uint8]:
    v, u = (np.arange(n) - (n - 1) / 2 for n in shape)
    column = np.rint(x + scale * (-u[None, :] * axes.east_x + v[:, None] * axes.north_x)).astype(int)
    row = np.rint(y + scale * (-u[None, :] * axes.east_y + v[:, None] * axes.north_y)).astype(int)
    there = (column >= 0) & (column < flags.shape[1]) & (row >= 0) & (row < flags.shape[0])
    out = blank(shape, np.uint8)
    out[there] = flags[row[there], column[there]]
    return out
