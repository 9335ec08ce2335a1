"""Headers, sections and pixels of FITS images, computed without reading the rest of the file.

A section is given as in FITS: `x1:x2,y1:y2`, counted from 1, both ends inside; `*` is a whole axis.
"""

import gzip
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits import Card, Header, VerifyError

from dataservers.refusal import Refused

BLOCK = 2880
MAPPED = 64
"""Files that are kept mapped: each takes a file descriptor, and no memory but that of the system's cache."""
BAND = 4 << 20  # bytes of pixels that are held in memory at once
PIECE = 1 << 20  # of plain pixels: one is sent while the client reads the one before
_END = b"END" + b" " * 77
_PRINTABLE = bytes(c if 32 <= c < 127 else ord("?") for c in range(256))
_BYTES = 8
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_STRUCTURE = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|(Z?CHECK|Z?DATA)SUM|INHERIT|END")
_SCALING = re.compile(r"BSCALE|BZERO|BLANK")
_ORIGIN = re.compile(r"(CRPIX|LTV)([12])[A-Z]?")
_STEP = re.compile(r"CD[12]_[12][A-Z]?|CDELT[12][A-Z]?|LTM1_1|LTM2_2")
_SIP = re.compile(r"[AB]P?_(\d)_(\d)")


@dataclass(frozen=True)
class Image:
    """A header and data unit: its cards, and where its pixels lie; no shape if it holds no two-dimensional image."""

    path: Path
    index: int
    cards: str
    header: Header
    data_start: int
    shape: tuple[int, ...]
    compressed: bool = False
    gzipped: bool = False
    version: tuple[int, int] = (0, 0)
    """Size and date of the file: a changed one is mapped anew."""

    @cached_property
    def bitpix(self) -> int:
        """How a pixel is stored."""
        return int(self.header["BITPIX"])

    @cached_property
    def name(self) -> str:
        """EXTNAME in capitals."""
        return str(self.header.get("EXTNAME", "")).strip().upper()

    @cached_property
    def scaling(self) -> "Scaling":
        """What the stored numbers mean."""
        return Scaling(self.header.get("BSCALE", 1), self.header.get("BZERO", 0), self.header.get("BLANK"))

    @cached_property
    def lasting(self) -> str:
        """The cards that hold for any section too."""
        return "".join(card for card in _cards(self.cards) if not _matches(card[:8].strip(), _STRUCTURE, _ORIGIN))

    @cached_property
    def origins(self) -> dict[str, float]:
        """The cards that say where the pixels lie, in the sky and in the image they were cut from."""
        return {"LTV1": 0.0, "LTV2": 0.0} | {key: self.header[key] for key in self.header if _ORIGIN.fullmatch(key)}

    def pixels(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        """Return stored numbers, big-endian, without their scaling."""
        dtype = _DTYPES[self.bitpix]
        if self.compressed:
            with fits.open(self.path, memmap=True, do_not_scale_image_data=True) as hdus:
                return np.asarray(hdus[self.index].section[y0:y1, x0:x1]).astype(dtype, copy=False)
        contents = _contents(self.path) if self.gzipped else _mapped(self.path, self.version)
        stored = np.frombuffer(contents, dtype, prod(self.shape), self.data_start)
        return stored.reshape(self.shape)[y0:y1, x0:x1]


@dataclass(frozen=True)
class Scaling:
    """How stored numbers become values: value = number * scale + zero, without one where the number is `blank`."""

    scale: float
    zero: float
    blank: int | None

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Return the values of stored numbers; blank integers are NaN."""
        has_blank = pixels.dtype.kind in "iu" and self.blank is not None
        if (self.scale, self.zero) == (1, 0) and not has_blank:
            return pixels
        values: np.ndarray = pixels.astype(np.float64) * self.scale + self.zero
        if has_blank:
            values[pixels == self.blank] = np.nan
        return values


@dataclass(frozen=True)
class Section:
    """A part of an image, to be sent as a FITS file of its own: the pixels x0 to x1, y0 to y1, from 0, half-open."""

    image: Image
    x0: int
    x1: int
    y0: int
    y1: int
    bin: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the result; the last bins may be averages of fewer pixels."""
        return -(-(self.y1 - self.y0) // self.bin), -(-(self.x1 - self.x0) // self.bin)

    @property
    def bitpix(self) -> int:
        """How the pixels are sent: as they are stored, float32 if binned."""
        return self.image.bitpix if self.bin == 1 else -32

    @property
    def size(self) -> int:
        """Bytes of the FITS file."""
        return len(self.head) + _padded(prod(self.shape) * abs(self.bitpix) // 8)

    @cached_property
    def head(self) -> bytes:
        """The header, with its WCS moved to the section."""
        ny, nx = self.shape
        structure = {"SIMPLE": True, "BITPIX": self.bitpix, "NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny}
        text = "".join(str(Card(keyword, value)) for keyword, value in structure.items())
        text += self.image.lasting if self.bin == 1 else self._unscaled()
        text += "".join(str(Card(keyword, value)) for keyword, value in self._moved().items()) + "END".ljust(80)
        return text.ljust(_padded(len(text))).encode("ascii")

    def whole(self) -> Iterator[bytes | memoryview]:
        """Yield the FITS file: its header, the pixels in bands of rows, and their padding."""
        yield self.head
        for band in self._bands(BAND):
            yield _bytes(band if self.bin == 1 else self._binned(band).astype(">f4"))
        yield bytes(-(prod(self.shape) * abs(self.bitpix) // 8) % BLOCK)

    @property
    def kind(self) -> str:
        """Of its values: float32, or uint8 where nothing is to be scaled."""
        is_plain = self.bin == 1 and self.image.bitpix == _BYTES and self.image.scaling == Scaling(1, 0, None)
        return "uint8" if is_plain else "float32"

    @property
    def value_bytes(self) -> int:
        """Bytes of the values alone."""
        return prod(self.shape) * np.dtype(self.kind).itemsize

    def values(self) -> Iterator[memoryview]:
        """Yield the values, little-endian, in bands of rows; what was yielded before is overwritten."""
        dtype = np.dtype(self.kind).newbyteorder("<")
        held = np.empty(0, dtype)
        for band in self._bands(PIECE):
            found = self._binned(band) if self.bin > 1 else self.image.scaling.values(band)
            if held.size < found.size:
                held = np.empty(found.size, dtype)
            piece = held[: found.size].reshape(found.shape)
            np.copyto(piece, found, casting="same_kind")
            yield _bytes(piece)

    def _bands(self, most: int) -> Iterator[np.ndarray]:
        """Yield the stored numbers in bands of rows of about so many bytes."""
        rows = max(1, most // max(1, (self.x1 - self.x0) * abs(self.image.bitpix) // 8) // self.bin) * self.bin
        if self.image.compressed:
            rows = self.y1 - self.y0  # tiles would be decompressed again for each band
        for y0 in range(self.y0, self.y1, rows):
            yield self.image.pixels(y0, min(y0 + rows, self.y1), self.x0, self.x1)

    def _binned(self, band: np.ndarray) -> np.ndarray:
        return binned(self.image.scaling.values(band), self.bin)

    def _unscaled(self) -> str:
        cards = _cards(self.image.lasting)
        return "".join(card for card in cards if not _matches(card[:8].strip(), _STEP, _SIP, _SCALING))

    def _moved(self) -> dict[str, float]:
        """Return the cards that change: a pixel p becomes (p - start - 0.5) / bin + 0.5 (FITS: the first is 1)."""
        header, n = self.image.header, self.bin
        start = {"1": self.x0, "2": self.y0}
        origins = self.image.origins.items()
        moved = {k: (v - start[_ORIGIN.fullmatch(k)[2]] - 0.5) / n + 0.5 for k, v in origins}  # type: ignore[index]
        if n > 1:
            moved |= {key: header.get(key, 1.0) / n for key in ("LTM1_1", "LTM2_2")}
            moved |= {key: header[key] * n for key in header if _STEP.fullmatch(key) and not key.startswith("LTM")}
            powers = {key: match for key in header if (match := _SIP.fullmatch(key))}
            moved |= {key: header[key] * float(n) ** (int(m[1]) + int(m[2]) - 1) for key, m in powers.items()}
        return moved


def header_text(path: Path, hdu: str | None) -> str:
    """Return the cards of a header, one per line; of a tile-compressed image as if it were not compressed."""
    image = _chosen(path, hdu, image=hdu is None)
    return "\n".join(card.rstrip() for card in _cards(image.cards)) + "\n"


def cut(path: Path, section: str, hdu: str | None, bin_: str | None) -> Section:
    """Return the section of an image that a request asks for."""
    image = _chosen(path, hdu)
    ny, nx = image.shape
    x, comma, y = section.partition(",")
    if not comma:
        raise Refused(400, f"section must be x1:x2,y1:y2 (from 1, both ends inside), got {section!r}")
    (x0, x1), (y0, y1) = _interval(x, nx, section), _interval(y, ny, section)
    if not (0 <= x0 < x1 <= nx and 0 <= y0 < y1 <= ny):
        size = {"X-Image-Size": f"{nx},{ny}"}
        raise Refused(
            416, f"section {section} is not inside {path.name}, whose image is {nx} x {ny} pixels (x, y)", size
        )
    if not (bin_ or "1").isdigit() or int(bin_ or 1) < 1:
        raise Refused(400, f"bin must be a whole number from 1, got {bin_!r}")
    return Section(image, x0, x1, y0, y1, int(bin_ or 1))


def binned(values: np.ndarray, n: int) -> np.ndarray:
    """Return the means of n x n pixels; NaN do not count, and at the far edges fewer pixels do."""
    (ny, nx), (rows, columns) = values.shape, (values.shape[0] // n, values.shape[1] // n)
    means = np.empty((-(-ny // n), -(-nx // n)))
    means[:rows, :columns] = _block_means(values[: rows * n, : columns * n], n)
    if rows < len(means):
        means[rows:] = _means_of_good(values[rows * n :], n)
    if columns < means.shape[1]:
        means[:, columns:] = _means_of_good(values[:, columns * n :], n)
    return means


def _block_means(values: np.ndarray, n: int) -> np.ndarray:
    """Return the means of whole blocks, fast where all pixels are good."""
    total = np.zeros((values.shape[0] // n, values.shape[1]))
    for row in range(n):
        total += values[row::n]
    means: np.ndarray = sum((total[:, column::n] for column in range(1, n)), total[:, ::n]) / n**2
    return means if np.isfinite(means).all() else _means_of_good(values, n)


def _means_of_good(values: np.ndarray, n: int) -> np.ndarray:
    ny, nx = values.shape
    padded = np.pad(values.astype(np.float64), ((0, -ny % n), (0, -nx % n)), constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // n, n, padded.shape[1] // n, n)
    good = np.isfinite(blocks)
    count = good.sum(axis=(1, 3))
    total = np.where(good, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    means: np.ndarray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return means


def _chosen(path: Path, hdu: str | None, image: bool = True) -> Image:
    stat = path.stat()
    for found in _images(path, stat.st_size, stat.st_mtime_ns):
        named = hdu is None or hdu.upper() in (str(found.index), found.name)
        if named and (len(found.shape) == 2 or not image):
            return found
    raise Refused(404, f"{path.name} has no {'image' if image else 'HDU'}{'' if hdu is None else f' in HDU {hdu}'}")


@lru_cache(maxsize=512)
def _images(path: Path, size: int, mtime_ns: int) -> tuple[Image, ...]:
    """Return the HDUs of a file; size and date are there so that a changed file is read anew."""
    contents = _contents(path)
    if contents[:9] != b"SIMPLE  =":
        raise Refused(422, f"{path.name} is not a FITS file")
    try:
        return tuple(replace(image, version=(size, mtime_ns)) for image in _scanned(path, contents))
    except (KeyError, TypeError, ValueError, VerifyError) as error:
        raise Refused(422, f"{path.name} has a damaged header: {error}") from error


def _scanned(path: Path, contents: Any) -> Iterator[Image]:
    start, index = 0, 0
    gzipped = isinstance(contents, bytes)
    while index == 0 or contents[start : start + 9] == b"XTENSION=":
        end = contents.find(_END, start)
        while (end - start) % 80 and end >= 0:
            end = contents.find(_END, end + 1)
        if end < 0:
            raise ValueError(f"HDU {index} has no END")
        text = bytes(contents[start:end]).translate(_PRINTABLE).decode("ascii")
        header = Header.fromstring(text)
        data_start = start + _padded(end + 80 - start)
        data_bytes = _data_bytes(header)
        if data_start + data_bytes > len(contents):
            raise ValueError(f"HDU {index} ends at byte {data_start + data_bytes}, the file has {len(contents)}")
        if header.get("ZIMAGE") is True:
            yield _compressed(path, index)
        else:
            yield Image(path, index, text, header, data_start, _shape(header), gzipped=gzipped)
        start, index = data_start + _padded(data_bytes), index + 1


def _compressed(path: Path, index: int) -> Image:
    with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
        header = hdus[index].header.copy()
    return Image(path, index, header.tostring(endcard=False, padding=False), header, 0, _shape(header), compressed=True)


def _shape(header: Header) -> tuple[int, ...]:
    if str(header.get("XTENSION", "IMAGE")).strip() != "IMAGE" or header.get("GROUPS") is True:
        return ()
    axes = [int(header[f"NAXIS{i}"]) for i in range(header["NAXIS"], 0, -1)]
    while len(axes) > 2 and axes[0] == 1:
        axes = axes[1:]
    return tuple(axes) if all(axes) else ()


def _data_bytes(header: Header) -> int:
    axes = [int(header[f"NAXIS{i}"]) for i in range(1, header["NAXIS"] + 1)]
    if header.get("GROUPS") is True and axes and axes[0] == 0:
        axes = axes[1:]
    elements = int(header.get("PCOUNT", 0)) + (prod(axes) if axes else 0)
    return abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * elements


@lru_cache(maxsize=MAPPED)
def _mapped(path: Path, _version: tuple[int, int]) -> Any:
    """Return the contents of a file; it stays mapped, since to map its pages takes longer than to read a section."""
    return _contents(path)


def _contents(path: Path) -> Any:
    with open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
        file.seek(0)
        try:
            return gzip.decompress(file.read())
        except (EOFError, OSError) as error:
            raise Refused(422, f"{path.name} is a damaged gzip file: {error}") from error


def _interval(text: str, length: int, section: str) -> tuple[int, int]:
    if text == "*":
        return 0, length
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text)
    if not match:
        raise Refused(400, f"section must be x1:x2,y1:y2 (from 1, both ends inside), got {section!r}")
    return int(match[1]) - 1, int(match[2])


def _matches(keyword: str, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(keyword) for pattern in patterns)


def _cards(text: str) -> Iterator[str]:
    return (text[i : i + 80].ljust(80) for i in range(0, len(text), 80))


def _bytes(pixels: np.ndarray) -> memoryview:
    return np.ascontiguousarray(pixels).view(np.uint8).data


def _padded(count: int) -> int:
    return -(-count // BLOCK) * BLOCK
