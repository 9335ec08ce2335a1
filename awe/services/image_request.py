"""What part of an image is asked for, and how large; limits are stated, never silently applied."""

import math
from dataclasses import dataclass
from typing import Any

from awe.errors import BadRequest
from awe.kernels.sections import Section
from awe.services.image_look import LOOK_PARAMETERS, Look
from awe.services.operations import Parameter
from awe.services.stored_frames import Plane, StoredFrame

LARGEST_BIN = 512
WIDTHS = (16, 8192)
LARGEST_SECTION = 100_000
LARGEST_PICTURE = 40_000_000
"""Most pixels of a picture: four bytes each are held in memory while it is made."""
DEFAULT_SECTION = 256
FARTHEST = 1e7
ROUNDING = 0.01
"""Part of a pixel by which a section may fall short of a size on the sky: the scale changes a little over an image."""

PLANE = Parameter(
    "plane", "image, weight (inverse variance) or flags of the file", default=Plane.IMAGE.value, choices=tuple(Plane)
)
SECTION_PARAMETERS = (
    Parameter("x", "x of the middle of the section; the first pixel is 1", "number", low=-FARTHEST, high=FARTHEST),
    Parameter("y", "y of the middle of the section; the first pixel is 1", "number", low=-FARTHEST, high=FARTHEST),
    Parameter(
        "width",
        f"columns of the section; by default {DEFAULT_SECTION} around a position, else all",
        "integer",
        low=1,
        high=LARGEST_SECTION,
        unit="pixel",
    ),
    Parameter("height", "rows of the section; by default as the width", "integer", low=1, high=LARGEST_SECTION),
    Parameter("ra", "right ascension of the middle, instead of x and y", "number", unit="deg", low=0, high=360),
    Parameter("dec", "declination of the middle", "number", unit="deg", low=-90, high=90),
    Parameter(
        "size", "side of the section on the sky, instead of width", "number", unit="arcsec", low=0.01, high=36000
    ),
)
SIZE_PARAMETERS = (
    Parameter("bin", "side of the blocks of pixels that are averaged", "integer", low=1, high=LARGEST_BIN),
    Parameter(
        "fit",
        "most columns of the picture, instead of bin: the smallest bin that does is taken, and stated as X-Binning",
        "integer",
        low=WIDTHS[0],
        high=WIDTHS[1],
        unit="pixel",
    ),
)
PICTURE_PARAMETERS = (*LOOK_PARAMETERS, PLANE, *SIZE_PARAMETERS, *SECTION_PARAMETERS)


def least_bin(section: Section) -> int:
    """Return the smallest side of blocks with which a picture of a section is not too large."""
    factor = max(1, math.floor(math.sqrt(section.size / LARGEST_PICTURE)))
    while math.ceil(section.width / factor) * math.ceil(section.height / factor) > LARGEST_PICTURE:
        factor += 1
    return factor


@dataclass(frozen=True)
class Wanted:
    """What is asked of an image: which plane and section of it, how binned, how shown."""

    look: Look
    plane: Plane
    given: dict[str, Any]

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Wanted":
        """Return what the values of PICTURE_PARAMETERS mean; raise BadRequest for those that exclude each other."""
        if given["bin"] is not None and given["fit"] is not None:
            raise BadRequest("bin and fit were both given: the one follows from the other, so give one of them")
        for first, second in (("x", "y"), ("ra", "dec")):
            if (given[first] is None) != (given[second] is None):
                raise BadRequest(f"{first} and {second} must be given together")
        if given["x"] is not None and given["ra"] is not None:
            raise BadRequest("the middle of the section was given twice: give x and y, or ra and dec")
        if given["size"] is not None and (given["width"] is not None or given["height"] is not None):
            raise BadRequest("the section was given twice: give its size on the sky, or width and height in pixels")
        return cls(Look.of(given), Plane(given["plane"]), given)

    @property
    def is_by_sky(self) -> bool:
        """Tell whether the section depends on where the image lies on the sky."""
        return self.given["ra"] is not None or self.given["size"] is not None

    def region(self, image: StoredFrame) -> Section:
        """Return the section of an image; raise BadRequest if it lies wholly beyond the image."""
        given = self.given
        x, y = self._middle(image)
        width, height = self._size(image, x, y)
        if width is None:
            return Section(0, image.nx, 0, image.ny)
        height = height or width
        x0, y0 = math.ceil(x - width / 2), math.ceil(y - height / 2)
        region = Section(x0, x0 + width, y0, y0 + height)
        if region.within(image.nx, image.ny) is None:
            where = f"x={x + 1:.6g}, y={y + 1:.6g}"
            if given["ra"] is not None:
                where = f"ra={given['ra']:g}, dec={given['dec']:g}, which is {where}"
            raise BadRequest(f"the section around {where} lies wholly off the image: {image.extent}")
        return region

    def _middle(self, image: StoredFrame) -> tuple[float, float]:
        """Return the middle of the section, counted from 0."""
        given = self.given
        if given["x"] is not None:
            return given["x"] - 1, given["y"] - 1
        if given["ra"] is None:
            return (image.nx - 1) / 2, (image.ny - 1) / 2
        if image.wcs is None:
            raise BadRequest(f"{image.label} has no coordinates on the sky: give x and y instead of ra and dec")
        x, y = (float(v) for v in image.wcs.to_pixel(given["ra"], given["dec"]))
        if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST):
            position = f"ra={given['ra']:g}, dec={given['dec']:g}"
            raise BadRequest(f"{position} lies far off the image: {image.extent}")
        return x, y

    def _size(self, image: StoredFrame, x: float, y: float) -> tuple[int | None, int | None]:
        given = self.given
        if given["size"] is None:
            some = given["x"] is not None or given["ra"] is not None or given["height"] is not None
            return given["width"] or (DEFAULT_SECTION if some else None), given["height"]
        if image.wcs is None:
            raise BadRequest(f"{image.label} has no coordinates on the sky: give width and height instead of size")
        scale = math.sqrt(float(image.wcs.pixel_area(x, y)))
        width = math.ceil(given["size"] / scale - ROUNDING)
        if width > LARGEST_SECTION:
            raise BadRequest(
                f"size={given['size']:g} arcsec is {width:,} pixels of {scale:.3g} arcsec, "
                f"the limit is {LARGEST_SECTION:,}"
            )
        return max(width, 1), None

    def binning(self, region: Section) -> int:
        """Return the side of the blocks that pixels are averaged over; raise BadRequest for too large a picture."""
        fit = self.given["fit"]
        factor: int = self.given["bin"] or (math.ceil(region.width / fit) if fit else 1)
        pixels = math.ceil(region.width / factor) * math.ceil(region.height / factor)
        if pixels > LARGEST_PICTURE:
            raise BadRequest(
                f"the picture would have {pixels:,} pixels, the limit is {LARGEST_PICTURE:,}: "
                f"ask for bin={least_bin(region)} or more, for a fit, or for a section"
            )
        return factor
