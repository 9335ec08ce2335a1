"""Read, write and verify FITS images: plain, gzipped and tile-compressed.

Pixels inside awe are [y, x], counted from 0, half-open; an HDU is a number or an EXTNAME, and None is the first
HDU with an image. Plain files are mapped: only the pixels that are asked for are read.
"""

import os
import re
import secrets
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits import Header, VerifyError
from astropy.utils.exceptions import AstropyUserWarning

from awe.errors import BadFile, BadRequest, NotFound
from awe.fits_layout import COMPRESSED, Hdu, Scaling, file_contents, scan
from awe.fits_verify import verify

__all__ = [
    "PLANES",
    "Planes",
    "folded",
    "from_bytes",
    "image_hdus",
    "image_names",
    "open_planes",
    "plane_header",
    "plane_names",
    "read_header",
    "read_headers",
    "read_image",
    "section",
    "verify",
    "write_image",
]

PLANES = ("IMAGE", "WEIGHT", "FLAGS")
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|(Z?CHECK|Z?DATA)SUM|ZHECKSUM"
    r"|EXTNAME|EXTVER|INHERIT|END"
)
_WCS = re.compile(
    r"WCSAXES|C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA)\d|(CD|PC|PV)\d_\d+|RADESYS|EQUINOX|L(ON|AT)POLE|[AB]P?_(\d_\d|ORDER)"
)


@dataclass(frozen=True)
class Planes:
    """The images of one file by their names, each read when its rows are asked for."""

    header: Header
    stored: Mapping[str, tuple[np.ndarray, Scaling]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the first plane."""
        first, _ = next(iter(self.stored.values()))
        return first.shape[0], first.shape[1]

    def __contains__(self, plane: str) -> bool:
        return plane in self.stored

    def rows(self, plane: str, y0: int = 0, y1: int | None = None) -> np.ndarray:
        """Return rows y0 to y1 (half-open) of a plane: float32, or uint8 if so stored, in native byte order."""
        pixels, scaling = self.stored[plane]
        return scaling.values(pixels[y0:y1])


def read_image(path: Path, hdu: int | str | None = None) -> tuple[np.ndarray, Header]:
    """Return an image as float32 [y, x] (BSCALE, BZERO applied, BLANK is NaN) and its header.

    Integers beyond 2**24 lose their last bits.
    """
    contents, found = _open(path, hdu)
    pixels = _stored(path, contents, found)
    return found.scaling.values(pixels).astype(np.float32, copy=False), _image_header(path, found)


def section(path: Path, hdu: int | str | None, x0: int, x1: int, y0: int, y1: int) -> np.ndarray:
    """Return the pixels x0 to x1, y0 to y1 (from 0, half-open): float32, or uint8 if so stored."""
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}") from error
    found = _image_in(path, stat.st_size, stat.st_mtime_ns, hdu)
    ny, nx = found.shape
    if not (0 <= x0 < x1 <= nx and 0 <= y0 < y1 <= ny):
        raise BadRequest(f"pixels x {x0}:{x1}, y {y0}:{y1} lie outside {path.name}, whose image is {nx} x {ny} (x, y)")
    contents = None if found.kind == COMPRESSED else file_contents(path)
    return found.scaling.values(_stored(path, contents, found, (slice(y0, y1), slice(x0, x1))))


@lru_cache(maxsize=512)
def _image_in(path: Path, _size: int, _mtime_ns: int, hdu: int | str | None) -> Hdu:
    """Return where an image lies; to read its header takes longer than to read a section, so it is remembered."""
    return _open(path, hdu)[1]


def from_bytes(contents: bytes, what: str) -> np.ndarray:
    """Return the pixels of the first image of a FITS file in memory: float32, or uint8 if so stored."""
    for hdu in scan(Path(what), contents):
        if hdu.is_image:
            return hdu.scaling.values(hdu.pixels(contents))
    raise BadFile(f"{what} holds no image")


def read_header(path: Path, hdu: int | str | None = None) -> Header:
    """Return the header of one HDU; that of a tile-compressed image as if it were not compressed."""
    _, found = _open(path, hdu, image=hdu is None)
    return _image_header(path, found)


def read_headers(path: Path) -> list[Header]:
    """Return the headers of all HDUs, each as `read_header` returns it."""
    return [_image_header(path, hdu) for hdu in scan(path, file_contents(path))]


def image_hdus(path: Path) -> list[int]:
    """Return the numbers of the HDUs that hold an image."""
    return [hdu.index for hdu in scan(path, file_contents(path)) if hdu.is_image]


def image_names(path: Path) -> set[str]:
    """Return the names of the HDUs that hold images."""
    return {hdu.name for hdu in scan(path, file_contents(path)) if hdu.is_image}


def open_planes(path: Path) -> Planes:
    """Open all images of a file; one without EXTNAME goes by the name of its place: IMAGE, WEIGHT, FLAGS."""
    contents = file_contents(path)
    hdus = list(scan(path, contents))
    images = [hdu for hdu in hdus if hdu.is_image]
    if not images:
        raise BadFile(f"{path} holds no image: {', '.join(map(str, hdus))}")
    names = plane_names(images)
    header = _image_header(path, images[0])
    stored = {name: (_stored(path, contents, hdu), hdu.scaling) for name, hdu in zip(names, images, strict=True)}
    return Planes(header, stored)


def plane_names(images: Sequence[Hdu]) -> list[str]:
    """Return the names of the images of a file: EXTNAME, or that of the place: IMAGE, WEIGHT, FLAGS."""
    return [hdu.name or (PLANES[i] if i < len(PLANES) else f"HDU{hdu.index}") for i, hdu in enumerate(images)]


def plane_header(
    name: str, kind: np.dtype[Any], shape: tuple[int, int], header: Header | Mapping[str, Any], first: bool
) -> Header:
    """Return the header of a plane of a file: that of the first holds all, the others get the WCS of it."""
    bits = -8 * kind.itemsize if kind.kind == "f" else 8 * kind.itemsize
    own = Header([("SIMPLE", True) if first else ("XTENSION", "IMAGE"), ("BITPIX", bits), ("NAXIS", 2)])
    own.extend([("NAXIS1", shape[1]), ("NAXIS2", shape[0])], strip=False)
    own.extend([("EXTEND", True)] if first else [("PCOUNT", 0), ("GCOUNT", 1)], strip=False)
    cards = _plain_header(header).cards
    own.extend([card for card in cards if first or _WCS.fullmatch(card.keyword)])
    own["EXTNAME"] = (name, "name of this plane")
    return own


def write_image(path: Path, planes: Mapping[str, np.ndarray], header: Header | Mapping[str, Any] | None = None) -> None:
    """Write planes to a file, the first one as primary HDU, uncompressed, each with its EXTNAME and checksums.

    The header goes to the primary HDU; the others get its WCS. Masks are written as uint8, floats as float32. The file
    appears under its name when it is complete.
    """
    primary = _plain_header(header or {})
    hdus: list[Any] = []
    for name, image in planes.items():
        kind = _Image if hdus else _Primary
        own = Header([card for card in primary.cards if _WCS.fullmatch(card.keyword)]) if hdus else primary
        hdus.append(kind(_storable(name, image), own))
        hdus[-1].header["EXTNAME"] = (name, "name of this plane")
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        fits.HDUList(hdus).writeto(part, checksum=True, output_verify="silentfix+ignore")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class _Summed:
    """An image HDU whose DATASUM is added up at once: astropy does so by blocks of 2880 bytes, at 200 MB/s."""

    def _calculate_datasum(self) -> int:
        data: np.ndarray = self.data  # type: ignore[attr-defined]
        if data.dtype not in (np.dtype(">f4"), np.dtype("u1")) or not data.flags.c_contiguous:
            return int(super()._calculate_datasum())  # type: ignore[misc]
        return _ones_complement_sum(data)


class _Primary(_Summed, fits.PrimaryHDU):
    pass


class _Image(_Summed, fits.ImageHDU):
    pass


def _ones_complement_sum(data: np.ndarray) -> int:
    """Return the checksum of the FITS standard (4.0, appendix J): the sum of big-endian words, carries added."""
    octets = data.reshape(-1).view(np.uint8)
    whole = octets.size // 4 * 4
    rest = int.from_bytes(octets[whole:].tobytes().ljust(4, b"\0"), "big")
    return folded(int(octets[:whole].view(">u4").sum(dtype=np.uint64)) + rest)


def folded(total: int) -> int:
    """Return a sum as the standard wants it: 32 bits, with carries added back in."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _storable(name: str, image: np.ndarray) -> np.ndarray:
    if image.ndim != 2:
        raise ValueError(f"plane {name} must be [y, x], got shape {image.shape}")
    if image.dtype == bool:
        return image.astype(np.uint8)
    # Big-endian beforehand: astropy would swap the bytes of the caller's array in place while it writes.
    return image.astype(">f4") if image.dtype.kind == "f" else image.copy()


def _plain_header(header: Header | Mapping[str, Any]) -> Header:
    cards = header.cards if isinstance(header, Header) else Header(list(header.items())).cards
    return Header([card for card in cards if not _STRUCTURE.fullmatch(card.keyword)])


def _open(path: Path, wanted: int | str | None, image: bool = True) -> tuple[Any, Hdu]:
    contents = file_contents(path)
    seen = []
    for hdu in scan(path, contents):
        seen.append(hdu)
        named = hdu.index == wanted or (isinstance(wanted, str) and hdu.name == wanted.upper())
        if (hdu.is_image or not image) and (named or wanted is None):
            return contents, hdu
    what = "image" if image else "HDU"
    raise BadFile(f"{path} has no {what}{'' if wanted is None else f' {wanted}'}: it holds {', '.join(map(str, seen))}")


def _stored(path: Path, contents: Any, hdu: Hdu, part: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
    if hdu.kind != COMPRESSED:
        return hdu.pixels(contents)[part]
    try:
        with _opened(path) as hdus:
            return np.asarray(hdus[hdu.index].section[part])
    except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        raise BadFile(f"{path} is damaged: {hdu} can't be decompressed: {error}") from error


def _image_header(path: Path, hdu: Hdu) -> Header:
    if hdu.kind != COMPRESSED:
        return _repaired(hdu.header)
    with _opened(path) as hdus:
        return _repaired(hdus[hdu.index].header.copy())


def _opened(path: Path) -> Any:
    with warnings.catch_warnings():
        # What is wrong with a file is found by `verify`; here astropy only remarks on style.
        warnings.simplefilter("ignore", AstropyUserWarning)
        return fits.open(path, memmap=True, do_not_scale_image_data=True)


def _repaired(header: Header) -> Header:
    """Bring cards that break the standard into a form whose values can be read."""
    for card in _unreadable(header):
        card.verify("silentfix+ignore")
    return header


def _unreadable(header: Header) -> Iterable[Any]:
    for card in header.cards:
        try:
            _ = card.value
        except VerifyError:
            yield card
