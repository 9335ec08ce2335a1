"""Maps of flags in tiles: bands of rows, each gzipped for itself (FITS standard 4.0, section 10).

Most bytes of such a map are 0: in tiles it takes about a hundredth of the room, and less time to write, check and read
than as it is. `funpack` makes a plain image of it; astropy, cfitsio and DS9 read it as it is.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io.fits import Header
from isal import igzip, isal_zlib

from awe.errors import BadFile
from awe.fits_layout import COMPRESSED, Hdu, Scaling

ROWS = 64
"""Of a tile, which is as wide as the image: few enough that a section costs little, enough to be packed well."""
_LEVEL, _IS_GZIP = 1, 31
_OWN_FORM = {"ZCMPTYPE": "GZIP_1", "ZBITPIX": 8, "TFIELDS": 1, "NAXIS1": 8, "TTYPE1": "COMPRESSED_DATA"}


def packed(image: np.ndarray) -> tuple[Header, np.ndarray]:
    """Return an image (ny, nx) of uint8 as tiles: the cards that tell how it is packed, and the bytes of the data unit.

    Raises
    ------
    ValueError
        If it has other numbers.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"maps of flags are packed, images of uint8, not of {image.dtype}")
    ny, nx = image.shape
    tiles = [igzip.compress(image[y0 : y0 + ROWS].tobytes(), _LEVEL, mtime=0) for y0 in range(0, ny, ROWS)]
    sizes = np.array([len(tile) for tile in tiles], np.int64)
    places = np.stack([sizes, np.cumsum(sizes) - sizes], axis=1).astype(">i4")
    cards: list[tuple[str, Any]] = [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 8)]
    cards += [("NAXIS2", len(tiles)), ("PCOUNT", int(sizes.sum())), ("GCOUNT", 1), ("TFIELDS", 1)]
    cards += [("TTYPE1", "COMPRESSED_DATA"), ("TFORM1", f"1PB({sizes.max(initial=0)})"), ("ZIMAGE", True)]
    cards += [("ZTENSION", "IMAGE"), ("ZBITPIX", 8), ("ZNAXIS", 2), ("ZNAXIS1", nx), ("ZNAXIS2", ny)]
    cards += [("ZPCOUNT", 0), ("ZGCOUNT", 1), ("ZTILE1", nx), ("ZTILE2", ROWS), ("ZCMPTYPE", "GZIP_1")]
    return Header(cards), np.frombuffer(places.tobytes() + b"".join(tiles), np.uint8)


def is_packed(hdu: Hdu) -> bool:
    """Return whether an image is packed as `packed` does; there are many other ways."""
    header = hdu.header
    return (
        hdu.kind == COMPRESSED
        and all(header.get(keyword) == value for keyword, value in _OWN_FORM.items())
        and str(header.get("TFORM1")).startswith("1PB")
        and (header.get("ZTILE1"), header.get("THEAP")) == (hdu.shape[-1], None)
        and hdu.scaling == Scaling(1, 0, None)
    )


@dataclass(frozen=True)
class PackedMap:
    """A packed image, of which rows are unpacked when they are asked for: `image[y0:y1]`, `image[y0:y1, x0:x1]`.

    Raises BadFile if a tile is damaged.
    """

    contents: Any
    hdu: Hdu
    what: object
    """Names the file in errors."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.hdu.shape[0], self.hdu.shape[1]

    def __getitem__(self, part: slice | tuple[slice, slice]) -> np.ndarray:
        rows, columns = part if isinstance(part, tuple) else (part, slice(None))
        y0, y1, _ = rows.indices(self.shape[0])
        return self._rows(y0, max(y0, y1))[:, columns]

    def _rows(self, y0: int, y1: int) -> np.ndarray:
        header, (ny, nx) = self.hdu.header, self.shape
        depth, heap = header["ZTILE2"], self.hdu.data_start + 8 * header["NAXIS2"]
        places = np.frombuffer(self.contents, ">i4", 2 * header["NAXIS2"], self.hdu.data_start).reshape(-1, 2)
        rows = np.empty((y1 - y0, nx), np.uint8)
        for first in range(y0 - y0 % depth, y1, depth):
            size, start = (int(value) for value in places[first // depth])
            last = min(first + depth, ny)
            tile = self._tile(heap + start, size, (last - first, nx))
            low, high = max(first, y0), min(last, y1)
            rows[low - y0 : high - y0] = tile[low - first : high - first]
        return rows

    def _tile(self, start: int, size: int, shape: tuple[int, int]) -> np.ndarray:
        count = shape[0] * shape[1]
        try:
            pixels = isal_zlib.decompress(self.contents[start : start + size], _IS_GZIP, count)
        except (isal_zlib.error, zlib.error) as error:
            raise BadFile(f"{self.what} is damaged: a tile of {self.hdu} can't be unpacked: {error}") from error
        if len(pixels) != count:
            raise BadFile(f"{self.what} is damaged: a tile of {self.hdu} has {len(pixels)} pixels instead of {count}")
        return np.frombuffer(pixels, np.uint8).reshape(shape)
