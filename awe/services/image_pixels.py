"""The pixels of a section of an image, from the data server: binned, and blank where the section leaves the image."""

import numpy as np

from awe.kernels.binning import bin_mean
from awe.kernels.flag_picture import bin_flags
from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section
from awe.services.images import Images, Plane, StoredImage

BAND_PIXELS = 16_000_000
"""Pixels that are fetched at once: an image is read in bands of rows, so that any size fits in memory."""


def read_region(images: Images, image: StoredImage, plane: Plane, region: Section, factor: int = 1) -> np.ndarray:
    """Return the pixels of a section, averaged over blocks that begin at its lower left corner.

    float32 with NaN beyond the image; flag maps are uint8, a block has all the bits of its pixels, and beyond the
    image they say NO_DATA.
    """
    if plane is not Plane.IMAGE:
        images.header(image, plane)  # that there is none is said in words
    rows = max(1, BAND_PIXELS // region.width // factor) * factor
    bands = [
        _band(images, image, plane, Section(region.x0, region.x1, y0, min(y0 + rows, region.y1)), factor)
        for y0 in range(region.y0, region.y1, rows)
    ]
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def _band(images: Images, image: StoredImage, plane: Plane, band: Section, factor: int) -> np.ndarray:
    part, is_map = band.within(image.nx, image.ny), image.is_map(plane)
    if part is None:
        return _smaller(_blank(band, is_map), factor)
    if part == band and not is_map:
        return _stored(images, image, plane, band, factor)
    pixels = _stored(images, image, plane, part)
    if part != band:
        padded = _blank(band, is_map)
        padded[part.y0 - band.y0 : part.y1 - band.y0, part.x0 - band.x0 : part.x1 - band.x0] = pixels
        pixels = padded
    return _smaller(pixels, factor)


def _stored(images: Images, image: StoredImage, plane: Plane, part: Section, factor: int = 1) -> np.ndarray:
    hdu = image.hdu_of(plane)
    pixels = images.store.section(image.filename, hdu, part.x0, part.x1, part.y0, part.y1, factor)
    return pixels.astype(np.uint8 if image.is_map(plane) else np.float32, copy=False)


def _blank(band: Section, is_map: bool) -> np.ndarray:
    shape = band.height, band.width
    return np.full(shape, PixelFlag.NO_DATA, np.uint8) if is_map else np.full(shape, np.nan, np.float32)


def _smaller(pixels: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return pixels
    return bin_flags(pixels, factor) if pixels.dtype == np.uint8 else bin_mean(pixels, factor)
