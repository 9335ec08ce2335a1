"""What a picture request asks for, checked against limits that are stated, never silently applied."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeVar

from awe.errors import BadRequest
from awe.kernels.stretch import Cuts, Stretch

LARGEST_BIN = 512
WIDTHS = (16, 8192)
LARGEST_PICTURE = 40_000_000
"""Most pixels of a picture: four bytes each are held in memory while it is made."""

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}
_TRUTH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True, "on": True}
_Choice = TypeVar("_Choice", bound=Enum)


class Plane(StrEnum):
    """Which image of a file is shown."""

    IMAGE = "image"
    WEIGHT = "weight"
    FLAGS = "flags"


@dataclass(frozen=True)
class PictureRequest:
    """How one frame is to be shown; equal requests are equal values."""

    form: str = "png"
    stretch: Stretch = Stretch.LINEAR
    cuts: Cuts | tuple[float, float] = Cuts.ZSCALE
    bin: int | None = None
    width: int | None = None
    invert: bool = False
    plane: Plane = Plane.IMAGE

    @classmethod
    def parse(cls, form: str, given: Mapping[str, str]) -> "PictureRequest":
        """Return the request that a URL states; raise BadRequest naming what is wrong with it."""
        if form not in MEDIA_TYPES:
            raise BadRequest(f"no pictures of kind {form!r}; there are {', '.join(MEDIA_TYPES)}")
        given = {name: value.strip() for name, value in given.items()}
        unknown = sorted(set(given) - set(PARAMETERS))
        if unknown:
            raise BadRequest(f"no picture parameter {', '.join(unknown)}; there are {', '.join(PARAMETERS)}")
        if given.get("bin") and given.get("width"):
            raise BadRequest("bin and width were both given: the width follows from the binning, so give one of them")
        return cls(
            form=form,
            stretch=_choice(Stretch, "stretch", given.get("stretch") or "linear"),
            cuts=_cuts(given.get("cuts") or "zscale"),
            bin=_whole("bin", given.get("bin"), 1, LARGEST_BIN),
            width=_whole("width", given.get("width"), *WIDTHS),
            invert=_truth("invert", given.get("invert", "")),
            plane=_choice(Plane, "plane", given.get("plane") or "image"),
        )

    def binning(self, nx: int, ny: int) -> int:
        """Return the side of the blocks that an image of nx x ny pixels is averaged over; refuse too large a picture.

        A width is reached by the smallest whole number of pixels that makes the picture fit into it.
        """
        factor = self.bin or (math.ceil(nx / self.width) if self.width else 1)
        pixels = math.ceil(nx / factor) * math.ceil(ny / factor)
        if pixels > LARGEST_PICTURE:
            enough = math.ceil(math.sqrt(nx * ny / LARGEST_PICTURE))
            raise BadRequest(
                f"the picture would have {pixels:,} pixels, the limit is {LARGEST_PICTURE:,}: "
                f"ask for bin={max(enough, 2)} or more, or for a width"
            )
        return factor

    def name(self, object_id: int, content: str, factor: int) -> str:
        """Return the name of the finished picture: all that its pixels depend on."""
        cuts = self.cuts.value if isinstance(self.cuts, Cuts) else f"{self.cuts[0]!r}_{self.cuts[1]!r}"
        parts = (object_id, content[:16], self.plane.value, factor, self.stretch.value, cuts, int(self.invert))
        return "-".join(str(p) for p in parts) + f".{self.form}"


PARAMETERS = ("stretch", "cuts", "bin", "width", "invert", "plane")


def _choice(kind: type[_Choice], name: str, text: str) -> _Choice:
    try:
        return kind(text.lower())
    except ValueError as error:
        raise BadRequest(f"{name} must be {' or '.join(m.value for m in kind)}, got {_shown(text)}") from error


def _whole(name: str, text: str | None, low: int, high: int) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise BadRequest(f"{name} must be a whole number from {low} to {high}, got {_shown(text)}")
    return int(text)


def _truth(name: str, text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise BadRequest(f"{name} must be 0 or 1, got {_shown(text)}")
    return _TRUTH[text.lower()]


def _cuts(text: str) -> Cuts | tuple[float, float]:
    if "," not in text:
        try:
            return Cuts(text.lower())
        except ValueError as error:
            kinds = ", ".join(c.value for c in Cuts)
            raise BadRequest(
                f"cuts must be one of {kinds}, or two values such as 100,250; got {_shown(text)}"
            ) from error
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadRequest(f"cuts must be two values such as 100,250; got {_shown(text)}") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadRequest(f"cuts must be two finite values, the smaller one first; got {_shown(text)}")
    return low, high


def _shown(text: str) -> str:
    return repr(text[:60])
