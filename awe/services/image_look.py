"""How pixels become gray levels and colours: stretch, cuts, colour map, sign."""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from awe.errors import BadRequest
from awe.kernels.colour_maps import ColourMap, colour_table
from awe.kernels.flag_picture import colour_flags
from awe.kernels.png import encode_png
from awe.kernels.stretch import Cuts, Stretch, apply_stretch, cuts, percentile_cuts
from awe.services.operations import Parameter

JPEG_QUALITY = 90
LEAST_PERCENTILE = 10.0
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "tif": "image/tiff", "fits": "application/fits"}

Range = tuple[float, float]
AnyCuts = Cuts | float | Range
"""A rule, the central per cent of the values, or two values."""


def read_cuts(text: str) -> AnyCuts:
    """Return the cuts that a text means: zscale, percentile, minmax, p99 or 100,250."""
    if "," in text:
        return _two_values(text)
    if text[:1] in ("p", "P") and text.lower() not in set(Cuts):
        percent = float(text[1:])
        if not LEAST_PERCENTILE <= percent <= 100:
            raise ValueError(text)
        return percent
    return Cuts(text.lower())


def _two_values(text: str) -> Range:
    low, high = (float(part) for part in text.split(","))
    if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
        raise BadRequest(f"cuts must be two finite values, the smaller one first; got {text[:60]!r}")
    return low, high


def cuts_text(given: AnyCuts) -> str:
    """Return cuts as an address states them."""
    if isinstance(given, Cuts):
        return given.value
    return f"p{given:g}" if isinstance(given, float) else f"{given[0]!r},{given[1]!r}"


LOOK_PARAMETERS = (
    Parameter("stretch", "curve from values to gray", default=Stretch.LINEAR.value, choices=tuple(Stretch)),
    Parameter(
        "cuts",
        "values shown as black and white: zscale, percentile (the central 99.5 %), p90 (the central 90 %), minmax, "
        "or two values such as 100,250",
        default=Cuts.ZSCALE,
        example="zscale, percentile, p99, minmax, or two values such as 100,250",
        parse=read_cuts,
    ),
    Parameter("cmap", "colour map", default=ColourMap.GRAY.value, choices=tuple(ColourMap)),
    Parameter("invert", "1: dark sources on a bright sky, as on a photographic plate", "boolean", default=False),
)


@dataclass(frozen=True)
class Look:
    """How pixels are shown; equal looks are equal values."""

    stretch: Stretch = Stretch.LINEAR
    cuts: AnyCuts = Cuts.ZSCALE
    cmap: ColourMap = ColourMap.GRAY
    invert: bool = False

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Look":
        """Return the look that the values of LOOK_PARAMETERS mean."""
        return cls(Stretch(given["stretch"]), given["cuts"], ColourMap(given["cmap"]), bool(given["invert"]))

    @property
    def text(self) -> str:
        """All that it says, as part of a name."""
        return "-".join((self.stretch.value, cuts_text(self.cuts), self.cmap.value, str(int(self.invert))))

    def range_of(self, pixels: np.ndarray) -> Range:
        """Return the two values that the cuts mean for these pixels."""
        if isinstance(self.cuts, Cuts):
            return cuts(pixels, self.cuts)
        return percentile_cuts(pixels, self.cuts) if isinstance(self.cuts, float) else self.cuts


def draw(pixels: np.ndarray, look: Look, form: str, limits: Range | None = None) -> bytes:
    """Return pixels [y, x] as a picture file, y upwards; `limits` are values that the cuts were found to mean before.

    Pixels without a value are shown as the lowest; flag maps have the colours of their bits, whatever the look.
    """
    if pixels.dtype == np.uint8:
        return encoded(colour_flags(pixels)[::-1], form)
    low, high = limits or look.range_of(pixels)
    levels = apply_stretch(pixels, low, high, look.stretch, look.invert)[::-1]
    return encoded(levels, form, None if look.cmap is ColourMap.GRAY else colour_table(look.cmap))


def encoded(picture: np.ndarray, form: str, palette: np.ndarray | None = None) -> bytes:
    """Return a picture, the top row first, as the bytes of a PNG, JPEG or TIFF file."""
    if form == "png":
        return encode_png(picture, palette=palette)
    if palette is not None:
        picture = palette[picture]
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    if form == "jpg":
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(buffer, "TIFF", compression="tiff_lzw")
    return buffer.getvalue()
