"""Where the headers and pixels of a FITS file lie; found without reading the pixels."""

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from astropy.io.fits import Header, VerifyError
from cachetools import LRUCache, cached
from isal import igzip

from awe.errors import BadFile, NotFound

BLOCK = 2880
COMPRESSED = "COMPRESSED"
"""What a tile-compressed image is called among the kinds of HDU."""
_END = b"END" + b" " * 77
_PRINTABLE = bytes(c if 32 <= c < 127 else ord("?") for c in range(256))
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True)
class Scaling:
    """How stored numbers become values: value = number * scale + zero, without one where the number is `blank`."""

    scale: float
    zero: float
    blank: int | None

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Return values in native byte order: float32, or uint8 where nothing is to be scaled; always a copy."""
        is_integer = pixels.dtype.kind in "iu"
        if pixels.dtype == np.uint8 and (self.scale, self.zero, self.blank) == (1, 0, None):
            return pixels.copy()
        exact = self.scale == 1 and abs(self.zero) < 2**23 and (pixels.dtype.itemsize <= 2 or self.zero == 0)
        values: np.ndarray[Any, np.dtype[Any]] = pixels.astype(np.float32 if exact else np.float64)
        if (self.scale, self.zero) != (1, 0):
            values = values * self.scale + self.zero
        if is_integer and self.blank is not None:
            values[pixels == self.blank] = np.nan
        return values.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Hdu:
    """One header and data unit: its header as written, and where its data lie in the file."""

    index: int
    header: Header
    header_start: int
    data_start: int
    data_bytes: int

    @property
    def end(self) -> int:
        """The byte after the padding of the data."""
        return self.data_start + -(-self.data_bytes // BLOCK) * BLOCK

    @cached_property
    def kind(self) -> str:
        """PRIMARY, IMAGE, BINTABLE, TABLE, ... or COMPRESSED for a tile-compressed image."""
        if self.header.get("ZIMAGE") is True:
            return COMPRESSED
        return str(self.header.get("XTENSION", "PRIMARY")).strip()

    @cached_property
    def name(self) -> str:
        """EXTNAME in capitals, or empty."""
        return str(self.header.get("EXTNAME", "")).strip().upper()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image (ny, nx), leading axes of length 1 left out; empty if there are no pixels."""
        if self.kind not in ("PRIMARY", "IMAGE", COMPRESSED) or self.header.get("GROUPS") is True:
            return ()
        axes = _axes(self.header, "ZNAXIS" if self.kind == COMPRESSED else "NAXIS")
        while len(axes) > 2 and axes[-1] == 1:
            axes = axes[:-1]
        return tuple(reversed(axes)) if all(axes) else ()

    @cached_property
    def scaling(self) -> Scaling:
        """What the stored numbers mean."""
        return Scaling(self.header.get("BSCALE", 1), self.header.get("BZERO", 0), self.header.get("BLANK"))

    @property
    def is_image(self) -> bool:
        """Whether this holds a two-dimensional image."""
        return len(self.shape) == 2

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored numbers."""
        return np.dtype(_DTYPES[self.header["BITPIX"]])

    def pixels(self, contents: Any) -> np.ndarray:
        """Return the stored numbers [y, x] of a plain image as a view of the file's contents: nothing is read yet."""
        return np.frombuffer(contents, self.dtype, prod(self.shape), self.data_start).reshape(self.shape)

    def __str__(self) -> str:
        axes = " x ".join(str(n) for n in reversed(self.shape)) or "no pixels"
        return f"HDU {self.index} {self.kind}{' ' + self.name if self.name else ''} ({axes})"


def file_contents(path: Path) -> Any:
    """Return the bytes of a file: mapped, not read, if it is plain; decompressed if it is gzipped."""
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                return igzip.decompress(file.read())
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise BadFile(f"{path} can't be read: {error.strerror}") from error
    except (EOFError, zlib.error, igzip.BadGzipFile) as error:
        raise BadFile(f"{path} is damaged: its gzip stream is cut off or corrupt ({error})") from error
    except ValueError as error:
        raise BadFile(f"{path} is not FITS: it is empty") from error


def layout(path: Path) -> tuple[Any, tuple[Hdu, ...]]:
    """Return the contents of a file (see `file_contents`) and all its header and data units.

    The units of the files looked at last are remembered, as it takes longer to read headers than to read pixels: who
    changes a header must copy it. Raises as `scan`.
    """
    contents, stat = file_contents(path), path.stat()
    return contents, _remembered(path, (stat.st_size, stat.st_mtime_ns), contents)


@cached(LRUCache(64), key=lambda path, version, _contents: (path, version), lock=Lock())
def _remembered(path: Path, _version: tuple[int, int], contents: Any) -> tuple[Hdu, ...]:
    return tuple(scan(path, contents))


def scan(path: Path, contents: Any) -> Iterator[Hdu]:
    """Yield the header and data units of a file in their order, as far as their headers can be read.

    Raises BadFile at the first header that can't be read, or whose data the file does not hold in full.
    """
    start, index = 0, 0
    while index == 0 or contents[start : start + 9] == b"XTENSION=":
        hdu = _hdu(path, contents, start, index)
        if hdu.data_start + hdu.data_bytes > len(contents):
            raise BadFile(
                f"{path} is truncated: HDU {index} ends at byte {hdu.data_start + hdu.data_bytes}, "
                f"the file has {len(contents)}"
            )
        yield hdu
        start, index = hdu.end, index + 1


def _hdu(path: Path, contents: Any, start: int, index: int) -> Hdu:
    if index == 0 and contents[:9] != b"SIMPLE  =":
        raise BadFile(f"{path} is not FITS: it starts with {bytes(contents[:9])!r}, not with SIMPLE  =")
    end = _end_card(contents, start)
    if end < 0:
        raise BadFile(f"{path} is truncated: the header of HDU {index} has no END")
    header = Header.fromstring(bytes(contents[start:end]).translate(_PRINTABLE).decode("ascii"))
    data_start = end + (start - end) % BLOCK
    try:
        return Hdu(index, header, start, data_start, _data_bytes(header))
    except (KeyError, TypeError, ValueError, VerifyError) as error:
        raise BadFile(
            f"{path} is damaged: the header of HDU {index} does not tell the size of its data: {error}"
        ) from error


def _end_card(contents: Any, start: int) -> int:
    """Return the byte after the END card of the header at `start`; -1 if there is none."""
    found = contents.find(_END, start)
    while found >= 0 and (found - start) % 80:
        found = contents.find(_END, found + 1)
    return int(found) + 80 if found >= 0 else -1


def _axes(header: Header, keyword: str) -> tuple[int, ...]:
    return tuple(int(header[f"{keyword}{i}"]) for i in range(1, int(header[keyword]) + 1))


def _data_bytes(header: Header) -> int:
    axes = _axes(header, "NAXIS")
    if header["BITPIX"] not in _DTYPES or any(n < 0 for n in axes):
        raise ValueError(f"BITPIX {header['BITPIX']}, axes {axes}")
    if header.get("GROUPS") is True and axes and axes[0] == 0:
        axes = axes[1:]
    elements = prod(axes) if axes else 0
    return abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + elements)
