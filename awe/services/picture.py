"""Pictures of frames: pixels from the data server, through the kernels, to PNG or JPEG."""

import io
import math
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import NotFound, StoreUnavailable
from awe.kernels.binning import bin_mean
from awe.kernels.flag_picture import bin_flags, colour_flags
from awe.kernels.png import encode_png
from awe.kernels.stretch import Cuts, apply_stretch, cuts
from awe.model.frame import Frame
from awe.model.persistent import Persistent
from awe.services.picture_request import PictureRequest, Plane
from awe.store import Store

BAND_PIXELS = 16_000_000
"""Pixels that are fetched at once: an image is read in bands of rows, so that any size fits in memory."""

JPEG_QUALITY = 90


@dataclass(frozen=True)
class StoredImage:
    """Where the pixels of a frame lie."""

    object_id: int
    filename: str
    content: str
    hdu: int
    nx: int
    ny: int


def stored_image(session: Session, store: Store, object_id: int) -> StoredImage:
    """Return where the pixels of a frame lie; raise NotFound if the object is none, or has no file."""
    frame, persistent = Frame.__table__.c, Persistent.__table__.c
    columns = (frame.filename, frame.sha256, frame.hdu, frame.naxis1, frame.naxis2, persistent.class_name)
    joined = Persistent.__table__.outerjoin(Frame.__table__, frame.object_id == persistent.object_id)
    row = session.execute(select(*columns).select_from(joined).where(persistent.object_id == object_id)).one_or_none()
    if row is None:
        raise NotFound(f"no object {object_id}")
    if row.filename is None:
        raise NotFound(f"{row.class_name} {object_id} has no image file, so there is no picture of it")
    nx, ny = row.naxis1, row.naxis2
    if not (nx and ny):
        header = store.header(row.filename, row.hdu)
        nx, ny = int(header["NAXIS1"]), int(header["NAXIS2"])
    return StoredImage(object_id, row.filename, row.sha256 or row.filename, row.hdu, nx, ny)


_planes: LRUCache[tuple[str, str], list[str]] = LRUCache(4096)


def offered_planes(store: Store, filename: str | None) -> list[str]:
    """Return the planes that the file of a product has; none if the data server does not answer now."""
    if filename is None:
        return []
    key = (store.address, filename)
    if key not in _planes:
        try:
            _planes[key] = [p.value for p in Plane if p is Plane.IMAGE or _has(store, filename, p)]
        except StoreUnavailable:
            return []
    return _planes[key]


def _has(store: Store, filename: str, plane: Plane) -> bool:
    try:
        store.header(filename, plane.value.upper())
    except NotFound:
        return False
    return True


def make_picture(store: Store, image: StoredImage, request: PictureRequest) -> bytes:
    """Return a picture of a frame as the bytes of a PNG or JPEG file, north of the pixels (large y) at the top."""
    binned = _binned(store, image, request)
    if binned.dtype == np.uint8:
        drawn = colour_flags(binned)
        drawn = 255 - drawn if request.invert else drawn
    else:
        low, high = cuts(binned, request.cuts) if isinstance(request.cuts, Cuts) else request.cuts
        drawn = apply_stretch(binned, low, high, request.stretch, request.invert)
    return _encoded(drawn[::-1], request.form)


def _binned(store: Store, image: StoredImage, request: PictureRequest) -> np.ndarray:
    """Return the plane, binned; float32, or uint8 for maps of flags."""
    offered = offered_planes(store, image.filename) if request.plane is not Plane.IMAGE else []
    if offered and request.plane.value not in offered:
        raise NotFound(f"{image.filename} has no plane {request.plane.value}; it has {', '.join(offered)}")
    factor = request.binning(image.nx, image.ny)
    hdu = image.hdu if request.plane is Plane.IMAGE else request.plane.value.upper()
    rows = max(1, BAND_PIXELS // image.nx // factor) * factor
    bands = []
    for y0 in range(0, image.ny, rows):
        pixels = store.section(image.filename, hdu, 0, image.nx, y0, min(y0 + rows, image.ny))
        bands.append(_smaller(pixels, factor))
    assert sum(len(b) for b in bands) == math.ceil(image.ny / factor)
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def _smaller(pixels: np.ndarray, factor: int) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return bin_flags(pixels, factor)
    return pixels if factor == 1 else bin_mean(pixels, factor)


def _encoded(drawn: np.ndarray, form: str) -> bytes:
    if form == "png":
        return encode_png(drawn)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(drawn)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
