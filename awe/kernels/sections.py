"""Rectangles of pixels, and their spelling in FITS headers."""

import re
from dataclasses import dataclass

import numpy as np

_FITS_SECTION = re.compile(r"\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*")


@dataclass(frozen=True, order=True)
class Section:
    """A half-open rectangle of pixels, counted from 0: x0 <= x < x1, y0 <= y < y1.

    It has pixels, and may reach beyond the edges of the image that is meant.

    >>> Section.parse("[7:1024,1:1000]")
    Section(x0=6, x1=1024, y0=0, y1=1000)
    """

    x0: int
    x1: int
    y0: int
    y1: int

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(f"section x {self.x0}..{self.x1}, y {self.y0}..{self.y1} is empty")

    @classmethod
    def parse(cls, text: str) -> "Section":
        """Read the FITS spelling "[x1:x2,y1:y2]": counted from 1, both ends included.

        Raises
        ------
        ValueError
            If the text is spelled otherwise, or names no pixel.
        """
        found = _FITS_SECTION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a section such as '[1:1024,1:1024]'")
        x1, x2, y1, y2 = (int(group) for group in found.groups())
        if min(x1, y1) < 1:
            raise ValueError(f"section {text!r} starts below 1")
        return cls(x1 - 1, x2, y1 - 1, y2)

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> "Section":
        """Return the section that covers an image of the given shape (ny, nx)."""
        return cls(0, shape[1], 0, shape[0])

    def __str__(self) -> str:
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices for an array [y, x] that holds the rectangle."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (ny, nx) of the rectangle."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def common(self, other: "Section") -> "Section | None":
        """Return the pixels that two rectangles have in common; None if there are none."""
        x0, x1 = max(self.x0, other.x0), min(self.x1, other.x1)
        y0, y1 = max(self.y0, other.y0), min(self.y1, other.y1)
        return Section(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None

    def around(self, other: "Section") -> "Section":
        """Return the smallest rectangle that holds both."""
        return Section(min(self.x0, other.x0), max(self.x1, other.x1), min(self.y0, other.y0), max(self.y1, other.y1))

    def within(self, nx: int, ny: int) -> "Section | None":
        """Return what lies on an image of nx x ny pixels; None if it lies wholly outside."""
        return self.common(Section(0, nx, 0, ny))

    def fits_in(self, shape: tuple[int, int]) -> bool:
        """Return whether the rectangle lies within an image of the given shape (ny, nx)."""
        return self.x0 >= 0 and self.y0 >= 0 and self.x1 <= shape[1] and self.y1 <= shape[0]

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return the view of an image [y, x] within the rectangle.

        Raises
        ------
        ValueError
            If the rectangle reaches beyond the image: numpy would silently cut less.
        """
        if not self.fits_in(image.shape):
            raise ValueError(f"section {self} reaches beyond the image of shape {image.shape}")
        return image[self.slices]
