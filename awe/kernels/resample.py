"""Images brought onto another grid: flux kept, variances and flags carried along."""

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from awe.kernels.choices import Kernel
from awe.kernels.interpolation import MARGIN, OUTSIDE, regrid_section
from awe.kernels.kernel_tables import lane_table, outer_taps, quiet_taps, squared_sums
from awe.kernels.lanes import LANES
from awe.kernels.mesh import columns_of
from awe.kernels.pixel_mesh import PixelMesh, overlap_region, pixel_mesh
from awe.kernels.sections import Section

__all__ = [
    "InMemory",
    "Kernel",
    "PixelMesh",
    "Pixels",
    "Regridded",
    "Regridder",
    "Rows",
    "overlap_region",
    "pixel_mesh",
    "resample",
]

SIGNIFICANT = 0.03
"""An input pixel decides on the fate of an output pixel if its share of the kernel is at least this."""

TILE = (128, 1024)
"""Rows and columns of the output grid that are made in one go: what they need of the input fits into a cache."""
LARGEST_BOX = 4 * 2**20
"""Pixels of an image that are held for a rectangle; if it needs more, it is cut in two."""


class Rows(NamedTuple):
    """Part of an image on the output grid.

    The variance of a pixel is `noise / weight`. `weight` is the inverse variance the pixel would have if interpolation
    had not smoothed it: by these, images are best averaged, as it does not depend on where a pixel happens to fall
    between those of the input. `noise` is 1 where pixels are independent.
    """

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    noise: NDArray[np.float32]
    flags: NDArray[np.uint8]


class Pixels(Protocol):
    """An image of which sections can be read, as from a file: it need not be in memory."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, section: Section) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8] | None]:
        """Return image, weight (inverse variance, 0 = bad) and flags; float32 of any byte order, flags uint8."""
        ...


@dataclass(frozen=True)
class InMemory:
    """An image in memory: image, weight (inverse variance, 0 = bad), and flags if there are any.

    Raises
    ------
    ValueError
        If the shapes differ, or there is no pixel.
    """

    image: NDArray[Any]
    weight: NDArray[Any]
    flags: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        image, weight, flags = self.image, self.weight, self.flags
        if image.ndim != 2 or not image.size:
            raise ValueError(f"an image has two dimensions and some pixels, this one has the shape {image.shape}")
        if weight.shape != image.shape or (flags is not None and flags.shape != image.shape):
            other = "none" if flags is None else flags.shape
            raise ValueError(f"shapes differ: image {image.shape}, weight {weight.shape}, flags {other}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]

    def read(self, section: Section) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8] | None]:
        """Return image, weight and flags of a section."""
        part = section.slices
        return self.image[part], self.weight[part], None if self.flags is None else self.flags[part]


@dataclass(frozen=True)
class Regridded:
    """An image on a region of the output grid, with its weight (inverse variance of each pixel) and flag maps."""

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    flags: NDArray[np.uint8]
    region: Section


class Regridder:
    """One input image, ready to be read at any rectangle of the output grid.

    It has the `region` and the `read` that `coadd` asks of its inputs, so that images are added up without being
    stored on the output grid first. It holds its mesh, and nothing of the image.

    An output pixel is the interpolated surface brightness times its area in input pixels, so that the sum over a
    star's pixels stays. Its variance is the sum of the input variances times the squared kernel, times the squared
    area: right for each pixel by itself; the correlation of neighbours is what `noise_scale` tells.

    An output pixel has weight 0 if a bad pixel, or one outside the image, has a share of 3 per cent or more
    (`SIGNIFICANT`) in its kernel: for Lanczos3 up to 12 pixels, the inner 2 x 2 and those that touch them sideways.
    Bad pixels further out in the kernel are replaced by the mean of their good neighbours: to leave out every pixel
    that touches a bad one would make 36 of each, and what remains is at most 3 per cent of the error of that mean.
    Flags of pixels with such a share are joined by OR, so that the cause of each weight 0 can be read; NO_DATA means
    the end of the image. Pixels of weight 0 hold what could be interpolated (for pictures only), or NaN outside.

    Parameters
    ----------
    pixels : Pixels
        NaN and infinite pixels are bad, as are those whose weight is not a positive number. Flags are carried along.
    mesh : PixelMesh
        From `pixel_mesh(WCS of the image, WCS of the grid, region)`.
    kernel : Kernel
    flux_scale : float
        All values are multiplied by this, as to bring them to a common zeropoint.
    background : float64 array [row, column], optional
        Mesh of the background in units of the image (`background_mesh`), spread over it by a bicubic spline and
        subtracted.
    oversampling : int
        An output pixel is the mean over this many positions along each of its sides: 1 for pixels of about equal
        size; for larger ones see `oversampling_for`.

    Raises
    ------
    ValueError
        If the scale is not positive, or the oversampling less than 1.
    """

    def __init__(
        self,
        pixels: Pixels,
        mesh: PixelMesh,
        kernel: Kernel = Kernel.LANCZOS3,
        flux_scale: float = 1.0,
        background: NDArray[np.float64] | None = None,
        oversampling: int = 1,
    ) -> None:
        if not (np.isfinite(flux_scale) and flux_scale > 0):
            raise ValueError(f"a flux scale is a positive number, not {flux_scale}")
        if oversampling < 1:
            raise ValueError(f"an output pixel needs at least one position, not {oversampling}")
        self.region, self.mesh, self._pixels = mesh.region, mesh, pixels
        self.oversampling = int(oversampling)
        self._nodes = tuple(np.ascontiguousarray(nodes) for nodes in (mesh.x, mesh.y, mesh.area))
        quiet = quiet_taps(kernel)
        squares = squared_sums(kernel), squared_sums(kernel, quiet)
        self._kernel = lane_table(kernel).ravel(), *squares, kernel.origin
        self._windows = tuple((0,) * (kernel.taps - 2 * n) for n in (0, outer_taps(kernel, SIGNIFICANT), quiet))
        self._rule = float(flux_scale), SIGNIFICANT, self.oversampling
        nothing = np.zeros((0, 0))
        self._level = (nothing, nothing) if background is None else columns_of(np.asarray(background, np.float64))

    def read(self, section: Section) -> Rows:
        """Return the pixels of a rectangle of the output grid, which must lie within the region."""
        floats = [np.empty(section.shape, np.float32) for _ in range(3)]
        rows = Rows(*floats, np.empty(section.shape, np.uint8))
        self.fill(section, rows)
        return rows

    def fill(self, section: Section, rows: Rows) -> None:
        """Write the pixels of a rectangle of the output grid into contiguous arrays.

        Raises
        ------
        ValueError
            If it does not lie within the region.
        """
        if not _is_within(section, self.region):
            raise ValueError(f"{section} is not within the region {self.region}")
        box = self._box(section)
        if box is None:
            for plane, value in zip(rows, (np.nan, 0, 1, OUTSIDE), strict=True):
                plane[...] = value
        elif (box[1] - box[0]) * (box[3] - box[2]) > LARGEST_BOX and max(section.shape) > 1:
            for half in _halves(section):
                place = (
                    slice(half.y0 - section.y0, half.y1 - section.y0),
                    slice(half.x0 - section.x0, half.x1 - section.x0),
                )
                for plane, found in zip(rows, self.read(half), strict=True):
                    plane[place] = found
        else:
            self._regrid(section, box, rows)

    def _regrid(self, part: Section, box: tuple[int, int, int, int], out: Rows) -> None:
        shape = self._pixels.shape
        held = Section(max(box[0], 0), min(box[1], shape[1]), max(box[2], 0), min(box[3], shape[0]))
        first = part.y0 - self.region.y0, part.x0 - self.region.x0
        regrid_section(
            _bits(*self._pixels.read(held), held.shape), (held.x0, held.x1, held.y0, held.y1), box, shape, self._level,
            self._nodes, self.mesh.step, first, self._kernel, self._windows, self._rule, _room(box), tuple(out),
        )  # fmt: skip

    def _box(self, part: Section) -> tuple[int, int, int, int] | None:
        """Return x0, x1, y0, y1 of what a rectangle needs of the image; None if that is nothing."""
        step, (top, left) = self.mesh.step, (part.y0 - self.region.y0, part.x0 - self.region.x0)
        cells = (
            slice(top // step, (top + part.shape[0] - 1) // step + 2),
            slice(left // step, (left + part.shape[1] - 1) // step + 2),
        )
        edges = []
        for nodes, length in ((self.mesh.x[cells], self._pixels.shape[1]), (self.mesh.y[cells], self._pixels.shape[0])):
            seen = nodes[np.isfinite(nodes)]
            if not seen.size or seen.max() < -1 or seen.min() > length:
                return None
            edges += [int(max(seen.min(), -1)) - 1 - MARGIN, int(min(seen.max(), length)) + 2 + MARGIN]
        return edges[0], edges[1], edges[2], edges[3]


def resample(
    image: NDArray[Any],
    weight: NDArray[Any],
    flags: NDArray[np.uint8] | None,
    mesh: PixelMesh,
    kernel: Kernel = Kernel.LANCZOS3,
    flux_scale: float = 1.0,
    **more: Any,
) -> Regridded:
    """Bring an image in memory onto the region of the output grid that the mesh covers: see `Regridder`."""
    return regridded(Regridder(InMemory(image, weight, flags), mesh, kernel, flux_scale, **more))


def regridded(source: Regridder) -> Regridded:
    """Return all of an image on the output grid."""
    region = source.region
    shape = region.shape
    out = Regridded(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint8), region)
    for y0 in range(region.y0, region.y1, TILE[0]):
        for x0 in range(region.x0, region.x1, TILE[1]):
            part = Section(x0, min(x0 + TILE[1], region.x1), y0, min(y0 + TILE[0], region.y1))
            rows = source.read(part)
            place = _within(part, region)
            out.image[place], out.weight[place], out.flags[place] = rows.image, rows.weight / rows.noise, rows.flags
    return out


def oversampling_for(mesh: PixelMesh) -> int:
    """Return the number of positions along a side of an output pixel at which none of the input is passed over."""
    seen = mesh.area[np.isfinite(mesh.area)]
    return max(1, round(float(np.sqrt(np.median(seen))))) if seen.size else 1


def _halves(part: Section) -> tuple[Section, Section]:
    """Cut a rectangle across its longer side."""
    ny, nx = part.shape
    if ny >= nx:
        middle = part.y0 + ny // 2
        return Section(part.x0, part.x1, part.y0, middle), Section(part.x0, part.x1, middle, part.y1)
    middle = part.x0 + nx // 2
    return Section(part.x0, middle, part.y0, part.y1), Section(middle, part.x1, part.y0, part.y1)


def _within(inner: Section, outer: Section) -> tuple[slice, slice]:
    """Return the slices of a rectangle in an array of one that holds it."""
    return slice(inner.y0 - outer.y0, inner.y1 - outer.y0), slice(inner.x0 - outer.x0, inner.x1 - outer.x0)


def _is_within(inner: Section, outer: Section) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def _room(box: tuple[int, int, int, int]) -> tuple[NDArray[Any], ...]:
    """Return arrays to work in, of this thread: new ones would cost as much as the work on them."""
    size = (box[3] - box[2]) * (box[1] - box[0] + 2 * LANES)
    held: tuple[NDArray[Any], ...] | None = getattr(_rooms, "held", None)
    if held is None or held[0].size < size:
        held = _rooms.held = tuple(np.empty(size, kind) for kind in (np.float32, np.float32, np.uint8, np.uint8))
    return held


_rooms = threading.local()


def _bits(image: Any, weight: Any, flags: Any, shape: tuple[int, int]) -> tuple[Any, ...]:
    """Return what `regrid_section` wants of a section: words, flags, their pitches, whether bytes are turned."""
    planes = [_float32(plane) for plane in (image, weight)]
    flags = np.zeros((0, 0), np.uint8) if flags is None else flags
    if any(plane.shape != shape for plane in planes) or (flags.size and flags.shape != shape):
        raise ValueError(f"read {[p.shape for p in planes]} and {flags.shape} instead of a section of shape {shape}")
    turned = [not plane.dtype.isnative for plane in planes]
    words = [_in_line(plane.view(np.uint32)) for plane in planes]
    marks = _in_line(flags) if flags.size else (_NO_FLAGS, 0)
    return words[0][0], words[1][0], marks[0], (words[0][1], words[1][1], marks[1]), *turned


def _float32(plane: NDArray[Any]) -> NDArray[Any]:
    is_float32 = plane.dtype.kind == "f" and plane.dtype.itemsize == 4
    return plane if is_float32 else plane.astype(np.float32)


def _in_line(plane: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return a plane as one dimension that can't be written to, and the distance of its rows; copied if it must be."""
    size = plane.itemsize
    if plane.strides[1] != size or plane.strides[0] % size or plane.strides[0] < size * plane.shape[1]:
        plane = np.ascontiguousarray(plane)
    pitch = plane.strides[0] // size
    length = (plane.shape[0] - 1) * pitch + plane.shape[1]
    return as_strided(plane, (length,), (size,), writeable=False), pitch


_NO_FLAGS = np.zeros(0, np.uint8)
_NO_FLAGS.flags.writeable = False
