"""Sections of planes of FITS files, mapped only while they are read, and planes written by rows.

Who reads a large file through one mapping ends up with all of it in memory, as far as the system counts. Here a
section is mapped for itself and let go with the array, so that what is held does not grow with the files.
"""

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from astropy.io.fits import Header

from awe.errors import BadFile
from awe.fits import folded, open_planes, plane_header, plane_names
from awe.fits_layout import BLOCK, Hdu, Scaling, file_contents, scan
from awe.kernels.sections import Section

CARD = 80
_LARGEST_PIECE = 2**26
_NO_LETTERS = {*range(0x3A, 0x41), *range(0x5B, 0x61)}


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
    images = [hdu for hdu in scan(path, file_contents(path)) if hdu.is_image]
    names = plane_names(images)
    wanted = names[0] if name is None and names else name
    if wanted not in names:
        raise BadFile(f"{path} holds no plane {wanted or ''}: it has {', '.join(names) or 'no image'}")
    return MappedPlane(path, str(wanted), images[names.index(str(wanted))])


def _is_gzipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


class PlaneWriter:
    """Writes a FITS file of planes of one shape whose rows come in bands; only what is written is in memory.

    Checksums are added up on the way, so each row must be written once. The header of the first plane can be replaced
    until the file is closed by one that has up to `spare` cards more: what is measured on the pixels is known late.
    The file is complete at the end of the `with` block.
    """

    def __init__(
        self,
        path: Path,
        planes: Mapping[str, Any],
        shape: tuple[int, int],
        header: Header | Mapping[str, Any],
        checksums: bool = True,
        spare: int = 0,
    ) -> None:
        self._shape, self._checksums, self._end = shape, checksums, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._planes: dict[str, _Plane] = {}
        for name, kind in planes.items():
            self._planes[name] = self._begin(name, np.dtype(kind), header, 0 if self._planes else spare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            os.ftruncate(self._file, self._end)
            for plane in self._planes.values():
                _write_all(self._file, memoryview(plane.finished_header(self._checksums)), plane.header_start)
        finally:
            os.close(self._file)

    def _begin(self, name: str, kind: np.dtype[Any], header: Header | Mapping[str, Any], spare: int) -> "_Plane":
        cards = plane_header(name, kind, self._shape, header, first=not self._planes)
        room = -(-(len(_text(cards)) + (spare + 3) * CARD) // BLOCK) * BLOCK
        plane = _Plane(cards, self._end, room, kind)
        size = self._shape[0] * self._shape[1] * kind.itemsize
        self._end += room + -(-size // BLOCK) * BLOCK
        return plane

    def write(self, y0: int, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows of some planes from row y0 on.

        Raises
        ------
        ValueError
            If the rows are not as wide as the planes, or reach beyond them.
        """
        for name, values in rows.items():
            plane = self._planes[name]
            if values.shape[1] != self._shape[1] or y0 + len(values) > self._shape[0]:
                raise ValueError(f"rows {y0} on of shape {values.shape} don't fit into a plane of shape {self._shape}")
            native = np.ascontiguousarray(values, plane.kind)
            place = plane.start + y0 * self._shape[1] * plane.kind.itemsize
            _write_all(self._file, native.astype(plane.kind.newbyteorder(">")).data.cast("B"), place)
            if self._checksums:
                plane.add(native, place - plane.start)

    def describe(self, header: Header | Mapping[str, Any]) -> None:
        """Replace the header of the first plane."""
        name, plane = next(iter(self._planes.items()))
        plane.header = plane_header(name, plane.kind, self._shape, header, first=True)


class _Plane:
    """Where a plane lies in the file, and the sum of its data."""

    def __init__(self, header: Header, header_start: int, room: int, kind: np.dtype[Any]) -> None:
        self.header, self.header_start, self.room, self.kind = header, header_start, room, kind
        self._sum = 0

    @property
    def start(self) -> int:
        """The first byte of the data."""
        return self.header_start + self.room

    def add(self, values: np.ndarray, offset: int) -> None:
        """Add the words of 4 bytes of some rows, of which the first byte lies at an offset in the data."""
        if self.kind.itemsize == 4:
            self._sum += int(values.view(np.uint32).sum(dtype=np.uint64))
            return
        data = values.astype(self.kind.newbyteorder(">")).view(np.uint8).ravel()
        before, after = offset % 4, -(offset + data.size) % 4
        if before or after:
            data = np.concatenate([np.zeros(before, np.uint8), data, np.zeros(after, np.uint8)])
        self._sum += int(data.view(">u4").sum(dtype=np.uint64))

    def finished_header(self, checksums: bool) -> bytes:
        """Return the header as bytes, as long as the room for it, with the checksums of data and HDU."""
        data = folded(self._sum)
        if checksums:
            self.header["DATASUM"] = (str(data), "data unit checksum")
            self.header["CHECKSUM"] = ("0" * 16, "HDU checksum")
        words = np.frombuffer(self._padded(), ">u4")
        if checksums:
            self.header["CHECKSUM"] = _as_text(~folded(int(words.sum(dtype=np.uint64)) + data) & 0xFFFFFFFF)
        return self._padded()

    def _padded(self) -> bytes:
        cards = _text(self.header)
        if len(cards) + CARD > self.room:
            raise ValueError(f"a header of {len(cards)} bytes does not fit into {self.room}")
        return (cards.ljust(self.room - CARD) + "END".ljust(CARD)).encode("ascii")


def _text(header: Header) -> str:
    """Return the cards of a header; long values take several."""
    return str(header.tostring(endcard=False, padding=False))


def _as_text(value: int) -> str:
    """Return 32 bits as 16 letters and digits whose sum they are (FITS standard 4.0, appendix J)."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        quarter = byte // 4 + ord("0")
        four = [quarter + byte % 4, quarter, quarter, quarter]
        while any(code in _NO_LETTERS for code in four):
            for first in (0, 2):
                if four[first] in _NO_LETTERS or four[first + 1] in _NO_LETTERS:
                    four[first], four[first + 1] = four[first] + 1, four[first + 1] - 1
        columns.append(four)
    text = "".join(chr(columns[i][j]) for j in range(4) for i in range(4))
    return text[-1] + text[:-1]


def _write_all(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data[:_LARGEST_PIECE], offset)
        data, offset = data[written:], offset + written
