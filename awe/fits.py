"""Read and verify FITS images: plain, gzipped and tile-compressed.

Pixels inside awe are [y, x], counted from 0, half-open; an HDU is a number or an EXTNAME, and None is the first
HDU with an image. Plain files are mapped: only the pixels that are asked for are read.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits import Header, VerifyError
from astropy.utils.exceptions import AstropyUserWarning

from awe.errors import BadFile, BadRequest, NotFound
from awe.fits_layout import COMPRESSED, Hdu, Scaling, file_contents, layout, scan
from awe.fits_tiles import PackedMap, is_packed
from awe.fits_verify import verify

__all__ = [
    "PLANES",
    "Planes",
    "from_bytes",
    "image_hdus",
    "image_names",
    "open_planes",
    "plane_names",
    "read_header",
    "read_headers",
    "read_image",
    "section",
    "verify",
]

PLANES = ("IMAGE", "WEIGHT", "FLAGS")


@dataclass(frozen=True)
class Planes:
    """The images of one file by their names, each read when its rows are asked for."""

    path: Path
    first: Hdu
    stored: Mapping[str, tuple[np.ndarray | PackedMap, Scaling]]

    @cached_property
    def header(self) -> Header:
        """The header of the first plane."""
        return _image_header(self.path, self.first)

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
        return pixels[y0:y1] if isinstance(pixels, PackedMap) else scaling.values(pixels[y0:y1])


def read_image(path: Path, hdu: int | str | None = None) -> tuple[np.ndarray, Header]:
    """Return an image as float32 [y, x] (BSCALE, BZERO applied, BLANK is NaN) and its header.

    Integers beyond 2**24 lose their last bits.
    """
    contents, found = _open(path, hdu)
    pixels = _stored(path, contents, found)[:]
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
    part = slice(y0, y1), slice(x0, x1)
    is_foreign = found.kind == COMPRESSED and not is_packed(found)
    pixels = _unpacked(path, found, part) if is_foreign else _stored(path, file_contents(path), found)[part]
    return found.scaling.values(pixels)


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
    contents, hdus = layout(path)
    images = [hdu for hdu in hdus if hdu.is_image]
    if not images:
        raise BadFile(f"{path} holds no image: {', '.join(map(str, hdus))}")
    names = plane_names(images)
    stored = {name: (_stored(path, contents, hdu), hdu.scaling) for name, hdu in zip(names, images, strict=True)}
    return Planes(path, images[0], stored)


def plane_names(images: Sequence[Hdu]) -> list[str]:
    """Return the names of the images of a file: EXTNAME, or that of the place: IMAGE, WEIGHT, FLAGS."""
    return [hdu.name or (PLANES[i] if i < len(PLANES) else f"HDU{hdu.index}") for i, hdu in enumerate(images)]


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


def _stored(path: Path, contents: Any, hdu: Hdu) -> "np.ndarray | PackedMap":
    """Return the stored numbers of an image: what can be read in parts is not read yet."""
    if hdu.kind != COMPRESSED:
        return hdu.pixels(contents)
    return PackedMap(contents, hdu, path) if is_packed(hdu) else _unpacked(path, hdu)


def _unpacked(path: Path, hdu: Hdu, part: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
    try:
        with _opened(path) as hdus:
            return np.asarray(hdus[hdu.index].section[part])
    except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        raise BadFile(f"{path} is damaged: {hdu} can't be decompressed: {error}") from error


def _image_header(path: Path, hdu: Hdu) -> Header:
    if hdu.kind != COMPRESSED:
        return _repaired(hdu.header.copy())
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
