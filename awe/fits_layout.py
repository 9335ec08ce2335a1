"""Where the headers and pixels of a FITS file lie; found without reading the pixels."""

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import Header, VerifyError
from isal import igzip

from awe.errors import BadFile, NotFound

BLOCK = 2880
_END = b"END" + b" " * 77
_PRINTABLE = bytes(c if 32 <= c < 127 else ord("?") for c in range(256))
_IMAGE_CARDS = [word.ljust(8) + b"= " for word in (b"SIMPLE", b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2")]
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


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
            return "COMPRESSED"
        return str(self.header.get("XTENSION", "PRIMARY")).strip()

    @property
    def name(self) -> str:
        """EXTNAME in capitals, or empty."""
        return str(self.header.get("EXTNAME", "")).strip().upper()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image (ny, nx), leading axes of length 1 left out; empty if there are no pixels."""
        if self.kind not in ("PRIMARY", "IMAGE", "COMPRESSED") or self.header.get("GROUPS") is True:
            return ()
        axes = _axes(self.header, "ZNAXIS" if self.kind == "COMPRESSED" else "NAXIS")
        while len(axes) > 2 and axes[-1] == 1:
            axes = axes[:-1]
        return tuple(reversed(axes)) if all(axes) else ()

    @property
    def is_image(self) -> bool:
        """Whether this holds a two-dimensional image."""
        return len(self.shape) == 2

    def pixels(self, contents: Any) -> np.ndarray:
        """Return the stored numbers [y, x] of a plain image as a view of the file's contents: nothing is read yet."""
        dtype = np.dtype(_DTYPES[self.header["BITPIX"]])
        return np.frombuffer(contents, dtype, prod(self.shape), self.data_start).reshape(self.shape)

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


def plain_float32(contents: bytes) -> np.ndarray | None:
    """Return the pixels [y, x] of a file that is no more than an unscaled float32 image; None if it may be other.

    Data servers send sections like this: to look for a few cards takes a tenth of the time of reading the header.
    """
    end = _end_card(contents, 0)
    head = contents[: max(end, 0)]
    values = [head[start + 10 : start + 30].strip() for start in range(0, 400, 80)]
    keywords = [head[start : start + 10] for start in range(0, 400, 80)]
    if keywords != _IMAGE_CARDS or values[:3] != [b"T", b"-32", b"2"] or b"BSCALE" in head or b"BZERO" in head:
        return None
    if not (values[3].isdigit() and values[4].isdigit()):
        return None
    nx, ny = int(values[3]), int(values[4])
    start = end + -end % BLOCK
    if not nx * ny or start + 4 * nx * ny > len(contents):
        return None
    return np.frombuffer(contents, ">f4", nx * ny, start).reshape(ny, nx)


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
