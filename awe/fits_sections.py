"""Sections of planes of FITS files, mapped only while they are read.

Who reads a large file through one mapping ends up with all of it in memory, as far as the system counts. Here a
section is mapped for itself and let go with the array, so that what is held does not grow with the files.
"""

import mmap
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from awe.errors import BadFile
from awe.fits import open_planes, plane_names
from awe.fits_layout import Hdu, Scaling, file_contents, layout
from awe.fits_tiles import PackedMap, is_packed
from awe.kernels.sections import Section


@dataclass(frozen=True)
class MappedPlane:
    """One image of a FITS file, of which sections are read."""

    path: Path
    name: str
    hdu: Hdu = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.hdu.shape[0], self.hdu.shape[1]

    def section(self, section: Section) -> np.ndarray:
        """Return the pixels of a section: float32 in any byte order, or uint8 if so stored."""
        if self._is_packed:
            return PackedMap(file_contents(self.path), self.hdu, self.path)[section.slices]
        if self._whole is not None:
            return section.cut(self._whole)
        nx, kind = self.shape[1], self.hdu.dtype
        first = self.hdu.data_start + section.y0 * nx * kind.itemsize
        begin = first - first % mmap.ALLOCATIONGRANULARITY
        count = (section.y1 - section.y0) * nx
        with open(self.path, "rb") as file:
            mapped = mmap.mmap(
                file.fileno(), first - begin + count * kind.itemsize, access=mmap.ACCESS_READ, offset=begin
            )
        rows = np.frombuffer(mapped, kind, count, first - begin).reshape(-1, nx)
        return rows[:, section.x0 : section.x1]

    @cached_property
    def _is_packed(self) -> bool:
        return is_packed(self.hdu)

    @cached_property
    def _whole(self) -> np.ndarray | None:
        """All pixels, of a file that must be decompressed or whose numbers must be scaled; else None."""
        unscaled = self.hdu.scaling == Scaling(1, 0, None)
        plain = self.hdu.kind != "COMPRESSED" and self.hdu.dtype in (np.dtype(">f4"), np.dtype(np.uint8))
        if plain and unscaled and not _is_gzipped(self.path):
            return None
        return open_planes(self.path).rows(self.name)


@dataclass(frozen=True)
class PixelsOnFile:
    """Image, weight and flags of a frame, each a plane of some file, as the kernels ask for them.

    Raises BadFile if they are not of one shape.
    """

    image: MappedPlane
    weight: MappedPlane | None = None
    flags: MappedPlane | None = None

    def __post_init__(self) -> None:
        """Compare the shapes."""
        for plane in (self.weight, self.flags):
            if plane is not None and plane.shape != self.shape:
                sizes = [f"{p.name} of {p.path.name} has {p.shape[1]} x {p.shape[0]}" for p in (self.image, plane)]
                raise BadFile(f"{sizes[0]} pixels, but {sizes[1]}: a weight or flag map must be of its image")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape

    def read(self, section: Section) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return image, weight (1 if there is none) and flags of a section."""
        image = self.image.section(section)
        weight = np.ones(image.shape, np.float32) if self.weight is None else self.weight.section(section)
        return image, weight, None if self.flags is None else self.flags.section(section)


def mapped_plane(path: Path, name: str | None = None) -> MappedPlane:
    """Return the plane of this name (as in `open_planes`) of a file; the first one if none is named."""
    images = [hdu for hdu in layout(path)[1] if hdu.is_image]
    names = plane_names(images)
    wanted = names[0] if name is None and names else name
    if wanted not in names:
        raise BadFile(f"{path} holds no plane {wanted or ''}: it has {', '.join(names) or 'no image'}")
    return MappedPlane(path, str(wanted), images[names.index(str(wanted))])


def _is_gzipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"
