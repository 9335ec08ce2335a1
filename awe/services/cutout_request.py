"""What a request for cutouts asks for: size, place, looks; checked against limits that are stated."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

from awe.errors import BadRequest
from awe.services.image_look import LOOK_PARAMETERS, Look, cuts_text
from awe.services.image_pixels import Where
from awe.services.operations import Parameter
from awe.services.stored_frames import Plane

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "fits": "application/fits"}
LARGEST_SIDE = 4096
LARGEST_ZOOM = 16
LARGEST_PIXELS = LARGEST_SIDE**2
LARGEST_ARCSEC = 36_000.0
_LEAST_PART = 0.01
"""Part of a pixel for which no further one is added: scales are computed, and 30 arcsec are 75 pixels of 0.4."""
_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(?:x(\d{1,6}(?:\.\d{1,6})?))?\s?(px|pixel|arcsec|arcmin|\"|')?")
_UNITS = {"arcsec": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0}


class Mark(StrEnum):
    """What is drawn at the position."""

    NONE = "none"
    CROSS = "cross"
    ELLIPSE = "ellipse"
    BOTH = "both"


@dataclass(frozen=True)
class Size:
    """Width and height, in pixels or in arcsec."""

    width: float = 64.0
    height: float = 64.0
    in_pixels: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the size that a text states; raise ValueError if it is none."""
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        width, unit = float(found[1]), _UNITS.get(found[3] or "")
        height = float(found[2]) if found[2] else width
        size = cls(width * (unit or 1), height * (unit or 1), in_pixels=unit is None)
        most = LARGEST_SIDE if size.in_pixels else LARGEST_ARCSEC
        whole = not size.in_pixels or (width.is_integer() and height.is_integer() and min(width, height) >= 1)
        if not whole or min(width, height) <= 0 or max(size.width, size.height) > most:
            raise ValueError(text)
        return size

    def pixels(self, scale: float | None) -> tuple[int, int]:
        """Return width and height in pixels of `scale` arcsec; refuse more than `LARGEST_SIDE`."""
        if self.in_pixels:
            return int(self.width), int(self.height)
        if scale is None:
            raise BadRequest(f"size={self} is an angle, but the image has no place on the sky: give pixels")
        nx, ny = (max(1, math.ceil(length / scale - _LEAST_PART)) for length in (self.width, self.height))
        if max(nx, ny) > LARGEST_SIDE:
            raise BadRequest(
                f"size={self} is {nx} x {ny} pixels of {scale:.3g} arcsec, the limit is {LARGEST_SIDE} on a side"
            )
        return nx, ny

    def __str__(self) -> str:
        sides = f"{self.width:g}" if self.width == self.height else f"{self.width:g}x{self.height:g}"
        return sides if self.in_pixels else f"{sides}arcsec"


@lru_cache(maxsize=256)
def _extent(text: str) -> Size:
    return Size.parse(text)


def _parse_size(text: str) -> str:
    return str(Size.parse(text))


LOOKS = (
    *LOOK_PARAMETERS,
    Parameter("zoom", "each pixel is shown as a block of this side", "integer", default=1, low=1, high=LARGEST_ZOOM),
    Parameter(
        "mark",
        "what is drawn at the position: a cross, or the ellipse of the source at 3 times its rms",
        choices=tuple(m.value for m in Mark),
        default="none",
    ),
)
SHAPE = (
    Parameter(
        "size",
        f"width and height in pixels (up to {LARGEST_SIDE}), or as an angle on the sky",
        default="64",
        example="64, 80x40, 20arcsec or 1.5arcmin",
        parse=_parse_size,
    ),
    Parameter("north", "turned, by interpolation, so that north is up and east is left", "boolean"),
    Parameter("plane", "which image of the file", choices=tuple(p.value for p in Plane), default="image"),
    Parameter(
        "where",
        "where the pixels are cut out: by the data server, or by the image server from the whole file, which it "
        "keeps; auto: from the file if it is there already, else by the data server",
        choices=tuple(w.value for w in Where),
        default="auto",
    ),
)
PARAMETERS = (*SHAPE, *LOOKS)


@dataclass(frozen=True)
class CutoutRequest:
    """How cutouts are to be made; equal requests are equal values."""

    size: str = "64"
    north: bool = False
    plane: str = "image"
    where: str = "auto"
    look: Look = field(default_factory=Look)
    zoom: int = 1
    mark: str = "none"

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> Self:
        """Return the request of parameters that an operation has read."""
        request = cls(**{f.name: read[f.name] for f in fields(cls) if f.name != "look"}, look=Look.of(dict(read)))
        size = Size.parse(request.size)
        if size.in_pixels:
            request.check_picture(int(size.width), int(size.height))
        return request

    @property
    def extent(self) -> Size:
        """Width and height."""
        return _extent(self.size)

    def check_picture(self, nx: int, ny: int) -> None:
        """Raise BadRequest if the picture of a cutout of nx x ny pixels would be too large."""
        if nx * ny * self.zoom**2 > LARGEST_PIXELS:
            raise BadRequest(
                f"the picture would have {nx * self.zoom} x {ny * self.zoom} pixels, the limit is {LARGEST_PIXELS:,} "
                "pixels in all: ask for a smaller size or zoom"
            )

    def plain(self) -> "CutoutRequest":
        """Return the request for the pixels alone: what concerns looks has its default."""
        return replace(CutoutRequest(), size=self.size, north=self.north, plane=self.plane, where=self.where)

    def query(self) -> dict[str, str]:
        """Return the parameters that differ from their defaults, as an address has them."""
        usual = CutoutRequest().texts()
        return {name: value for name, value in self.texts().items() if value != usual[name]}

    def texts(self) -> dict[str, str]:
        """Return all parameters as an address has them."""
        look = self.look
        return {
            "size": self.size,
            "north": str(int(self.north)),
            "plane": self.plane,
            "where": self.where,
            "stretch": look.stretch.value,
            "cuts": cuts_text(look.cuts),
            "cmap": look.cmap.value,
            "invert": str(int(look.invert)),
            "zoom": str(self.zoom),
            "mark": self.mark,
        }
