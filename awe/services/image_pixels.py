"""The pixels of a section of an image: from the data server or a file that is here, binned, blank beyond the image."""

from enum import StrEnum

import numpy as np

from awe.fits import section as cut_file
from awe.kernels.binning import bin_mean
from awe.kernels.cutout import blank, cut
from awe.kernels.flag_picture import bin_flags
from awe.kernels.mesh import SmoothImage
from awe.kernels.sections import Section
from awe.services.images import header_of
from awe.services.stored_frames import Plane, StoredFrame
from awe.store import Store

BAND_PIXELS = 16_000_000
"""Pixels that are fetched at once: an image is read in bands of rows, so that any size fits in memory."""


class Where(StrEnum):
    """Where the pixels are cut out of the image."""

    AUTO = "auto"
    DATASERVER = "dataserver"
    IMAGESERVER = "imageserver"


def read_section(
    store: Store, frame: StoredFrame, plane: Plane, section: Section, factor: int = 1, where: Where = Where.AUTO
) -> np.ndarray:
    """Return the pixels of a section, averaged over blocks that begin at its lower left corner.

    float32 with NaN beyond the image; flag maps are uint8, a block has all the bits of its pixels, and beyond the
    image they say NO_DATA.
    """
    if plane is not Plane.IMAGE:
        header_of(store, frame, plane)  # that there is none is said in words
    rows = max(1, BAND_PIXELS // section.width // factor) * factor
    bands = [
        _band(store, frame, plane, Section(section.x0, section.x1, y0, min(y0 + rows, section.y1)), factor, where)
        for y0 in range(section.y0, section.y1, rows)
    ]
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def _band(store: Store, frame: StoredFrame, plane: Plane, band: Section, factor: int, where: Where) -> np.ndarray:
    part, kind = band.within(frame.nx, frame.ny), np.uint8 if frame.is_map(plane) else np.float32
    if part is None:
        return _smaller(blank(band.shape, kind), factor)
    is_binned_there = part == band and kind is np.float32 and factor > 1
    pixels = _stored(store, frame, plane, part, factor if is_binned_there else 1, where).astype(kind, copy=False)
    return pixels if is_binned_there else _smaller(cut(pixels, (part.x0, part.y0), band), factor)


def _stored(store: Store, frame: StoredFrame, plane: Plane, part: Section, factor: int, where: Where) -> np.ndarray:
    if plane is Plane.IMAGE and frame.may_be_mesh and (nodes := _mesh(store, frame, where)) is not None:
        return _smaller(SmoothImage(nodes, (frame.ny, frame.nx)).section(part), factor)
    return _stored_pixels(store, frame, plane, part, factor, where)


def _stored_pixels(
    store: Store, frame: StoredFrame, plane: Plane, part: Section, factor: int, where: Where
) -> np.ndarray:
    hdu, edges = frame.hdu_of(plane), (part.x0, part.x1, part.y0, part.y1)
    if where is Where.IMAGESERVER and factor == 1:
        return cut_file(store.retrieve(frame.filename), hdu, *edges)
    return store.section(frame.filename, hdu, *edges, factor, local=where is Where.AUTO)


def _mesh(store: Store, frame: StoredFrame, where: Where) -> np.ndarray | None:
    """Return the nodes of a frame that is stored as a mesh; None if all its pixels are, as they once were."""
    header = header_of(store, frame)
    if "IMNAXIS1" not in header:
        return None
    return _stored_pixels(store, frame, Plane.IMAGE, Section(0, header["NAXIS1"], 0, header["NAXIS2"]), 1, where)


def _smaller(pixels: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return pixels
    return bin_flags(pixels, factor) if pixels.dtype == np.uint8 else bin_mean(pixels, factor)
