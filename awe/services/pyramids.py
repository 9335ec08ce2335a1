"""Overviews of images of any size: binned by 4, 8, 16 ..., made once, and the tiles that a viewer shows of them."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from awe.errors import NotFound
from awe.kernels.binning import bin_mean, halve
from awe.kernels.flag_picture import bin_flags
from awe.kernels.sections import Section
from awe.kernels.strips import side_by_side
from awe.services.image_look import Look, Range, cuts_text
from awe.services.image_pixels import read_section
from awe.services.images import header_of
from awe.services.stored_frames import Plane, StoredFrame
from awe.services.workshop import Workshop
from awe.store import Store

VERSION = 1
"""Goes up when the same image gives another pyramid or other cuts than before."""
TILE = 512
FIRST = 2
"""Level that is stored first: each level halves the one before, so its pixels are the mean of 4 x 4 of the image.

Tiles of lower levels are made from the pixels themselves."""
SMALLEST = 256
"""Pixels along the longer side from which an overview is not made smaller."""
BAND_ROWS, BAND_PIXELS = 4096, 16_000_000
"""Most that is asked of the data server at once."""
SMALL = 4_000_000
"""Pixels up to which all of an image are looked at to find its cuts; of a larger one, rows spread over it."""
SAMPLED_ROWS, SAMPLED_PIXELS = 64, 1_000_000
"""At least so many rows, and at least so many pixels."""


def last_level(image: StoredFrame) -> int:
    """Return the level at which an image is smallest."""
    return max(0, math.ceil(math.log2(max(image.nx, image.ny) / SMALLEST)))


def level_shape(image: StoredFrame, level: int) -> tuple[int, int]:
    """Return rows and columns of a level: blocks begin at the top left, those at the far edges may be ragged."""
    side = 1 << level
    return math.ceil(image.ny / side), math.ceil(image.nx / side)


@dataclass(frozen=True)
class Pyramid:
    """The stored levels of a plane in a file, one after the other; the top row is the first."""

    path: Path
    image: StoredFrame
    is_map: bool

    @property
    def dtype(self) -> np.dtype:
        """How its pixels are stored."""
        return np.dtype(np.uint8 if self.is_map else np.float32)

    @property
    def levels(self) -> range:
        """Levels that are stored."""
        return range(FIRST, last_level(self.image) + 1)

    def open(self, level: int, mode: str = "r") -> np.ndarray:
        """Return the pixels of a level as a memory map."""
        offset = sum(math.prod(level_shape(self.image, e)) for e in self.levels if e < level) * self.dtype.itemsize
        shape = level_shape(self.image, level)
        return np.memmap(self.path, self.dtype, mode, offset, shape)  # type: ignore[call-overload, no-any-return]

    def write(self, store: Store, plane: Plane) -> None:
        """Write all levels, holding a band of rows of the image in memory at a time."""
        size = sum(math.prod(level_shape(self.image, e)) for e in self.levels) * self.dtype.itemsize
        with open(self.path, "wb") as file:
            file.truncate(size)
        for level in self.levels:
            stored = self.open(level, "r+")
            bands = _first_level(store, self.image, plane) if level == FIRST else self._halved(level)
            for row, band in bands:
                stored[row : row + len(band)] = band

    def _halved(self, level: int) -> Iterator[tuple[int, np.ndarray]]:
        below = self.open(level - 1)
        last_row, last_column = (_share(length, level - 1) for length in (self.image.ny, self.image.nx))
        for row in range(0, len(below), BAND_ROWS):
            band = below[row : row + BAND_ROWS]
            share = last_row if row + BAND_ROWS >= len(below) else 1.0
            yield row // 2, bin_flags(band, 2) if self.is_map else halve(band, share, last_column)


def _share(length: int, level: int) -> float:
    """Return the part of a whole block that the last one of a level covers."""
    side = 1 << level
    return (length % side or side) / side


def _first_level(store: Store, image: StoredFrame, plane: Plane) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the pixels of each band of the first stored level, from the top.

    Few bands are asked for at once: the data server bins one while another is on its way.
    """
    bands = list(_bands(image))
    together = 2 * (os.cpu_count() or 1)

    def read(first: int, _last: int) -> np.ndarray:
        return read_section(store, image, plane, bands[first][1], 1 << FIRST)[::-1]

    for start in range(0, len(bands), together):
        numbers = range(start, min(start + together, len(bands)))
        found = side_by_side(read, ((number, number + 1) for number in numbers))
        yield from zip((bands[number][0] for number in numbers), found, strict=True)


def _bands(image: StoredFrame) -> Iterator[tuple[int, Section]]:
    """Yield the first row of each band of the first stored level and its part of the image, from the top."""
    side = 1 << FIRST
    step = max(1, min(BAND_ROWS, BAND_PIXELS // image.nx) // side) * side
    for y1 in range(image.ny, 0, -step):
        y0 = max(0, y1 - step)
        ragged = y1 % side if y0 == 0 else 0
        row = (image.ny - y1) // side
        if y1 > ragged:
            yield row, Section(0, image.nx, y0 + ragged, y1)
        if ragged:
            yield row + (y1 - ragged) // side, Section(0, image.nx, 0, ragged)


class Pyramids:
    """Makes and finds the overviews of images; tiles and cuts come from here."""

    def __init__(self, store: Store, workshop: Workshop) -> None:
        self.store, self.workshop = store, workshop

    def prepare(self, image: StoredFrame, plane: Plane, level: int) -> Pyramid | None:
        """Return the overview that a level needs, made if it is not there; None if it needs none.

        To be called before a place in the workshop is taken.
        """
        if not 0 <= level <= last_level(image):
            raise NotFound(f"no level {level} of {image.label}; its levels are 0 to {last_level(image)}")
        if plane is not Plane.IMAGE:
            header_of(self.store, image, plane)
        if level < FIRST:
            return None
        is_map = image.is_map(plane)

        def write(path: Path) -> None:
            Pyramid(path, image, is_map).write(self.store, plane)

        return Pyramid(self.workshop.path(f"pyramid-{_named(image, plane)}", write), image, is_map)

    def tile(
        self, image: StoredFrame, plane: Plane, level: int, column: int, row: int, overview: Pyramid | None
    ) -> np.ndarray:
        """Return the pixels [y, x] of a tile, y upwards; tiles are counted from the top left."""
        height, width = level_shape(image, level)
        if not (0 <= column * TILE < width and 0 <= row * TILE < height):
            across, down = math.ceil(width / TILE), math.ceil(height / TILE)
            raise NotFound(
                f"no tile {column}_{row} of level {level} of {image.label}, which has {across} x {down} tiles"
            )
        columns = slice(column * TILE, min((column + 1) * TILE, width))
        rows = slice(row * TILE, min((row + 1) * TILE, height))
        if overview is not None:
            return overview.open(level)[rows, columns][::-1]
        return self._near(image, plane, 1 << level, columns, rows)

    def _near(self, image: StoredFrame, plane: Plane, side: int, columns: slice, rows: slice) -> np.ndarray:
        x0, x1 = columns.start * side, min(columns.stop * side, image.nx)
        y1, y0 = image.ny - rows.start * side, max(image.ny - rows.stop * side, 0)
        pixels = read_section(self.store, image, plane, Section(x0, x1, y0, y1))
        if side == 1:
            return pixels
        # blocks begin at the top, so that ragged ones lie at the lower edge
        return (bin_flags(pixels[::-1], side) if image.is_map(plane) else bin_mean(pixels[::-1], side))[::-1]

    def limits(self, image: StoredFrame, plane: Plane, look: Look) -> Range | None:
        """Return the two values that the cuts mean for a whole image, the same for all of its tiles; None for maps."""
        if image.is_map(plane):
            return None
        if isinstance(look.cuts, tuple):
            return look.cuts

        def find() -> bytes:
            return json.dumps(look.range_of(self._sample(image, plane))).encode()

        name = f"cuts-{_named(image, plane)}-{cuts_text(look.cuts)}"
        low, high = json.loads(self.workshop.get(name, find))
        return low, high

    def _sample(self, image: StoredFrame, plane: Plane) -> np.ndarray:
        if not sampled(image):
            return read_section(self.store, image, plane, Section(0, image.nx, 0, image.ny))
        rows = np.linspace(0, image.ny - 1, min(image.ny, max(SAMPLED_ROWS, SAMPLED_PIXELS // image.nx))).astype(int)
        lines = [read_section(self.store, image, plane, Section(0, image.nx, int(y), int(y) + 1)) for y in rows]
        return np.concatenate(lines)


def sampled(image: StoredFrame) -> bool:
    """Tell whether the cuts of an image rest on a sample of its pixels."""
    return image.nx * image.ny > SMALL


def _named(image: StoredFrame, plane: Plane) -> str:
    return f"v{VERSION}-{image.content[:24]}-{image.hdu}-{plane}"
