"""Pictures as the bytes of PNG, JPEG and TIFF files, with an XMP packet (such as AVM tags) if one is given."""

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from awe.kernels.png import encode_png

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "tif": "image/tiff"}
JPEG_QUALITY = 90
LARGEST_XMP = 65_000
"""Bytes of XMP that the APP1 segment of a JPEG file can hold."""

_STRIPE_ROWS = 128
"""Rows of a JPEG file after which its restart markers have been counted from 0 to 7: there stripes can be joined."""
_LARGE = 2_000_000
_PNG_START = 8 + 25  # signature and IHDR
_XMP_TAG = 700
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_START, _END = b"\xff\xd8", b"\xff\xd9"


def encode(picture: NDArray[np.uint8], form: str, xmp: bytes = b"", threads: int | None = None) -> bytes:
    """Return a picture as a file of a form: png, jpg or tif.

    Row 0 is the top. The picture is [y, x] (gray), [y, x, 3] (RGB) or, not for jpg, [y, x, 4] (RGB and opacity).
    """
    if form not in MEDIA_TYPES:
        raise ValueError(f"pictures are {', '.join(MEDIA_TYPES)}, not {form!r}")
    if form == "png":
        return _png_with(encode_png(picture), xmp)
    if form == "jpg":
        return _jpeg_with(encode_jpeg(picture, threads=threads), xmp)
    buffer = io.BytesIO()
    tags = {_XMP_TAG: xmp} if xmp else {}
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "TIFF", compression="tiff_adobe_deflate", tiffinfo=tags)
    return buffer.getvalue()


def encode_jpeg(picture: NDArray[np.uint8], quality: int = JPEG_QUALITY, threads: int | None = None) -> bytes:
    """Return a picture as the bytes of a JPEG file; a large one is encoded in stripes, by several threads.

    The stripes share their tables and are joined at restart markers: the file is as if encoded in one piece.
    """
    ny, nx = picture.shape[:2]
    threads = min(threads or os.cpu_count() or 1, ny // _STRIPE_ROWS)
    if threads < 2 or ny * nx < _LARGE:
        return _jpeg(picture, quality, 0)
    rows = -(-ny // threads // _STRIPE_ROWS) * _STRIPE_ROWS
    with ThreadPoolExecutor(threads) as pool:
        stripes = [pool.submit(_jpeg, picture[y : y + rows], quality, 1) for y in range(0, ny, rows)]
        return _joined([stripe.result() for stripe in stripes], ny)


def _jpeg(picture: NDArray[np.uint8], quality: int, restart_rows: int) -> bytes:
    buffer = io.BytesIO()
    more = {"restart_marker_rows": restart_rows} if restart_rows else {}
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=quality, **more)
    return buffer.getvalue()


def _joined(stripes: list[bytes], height: int) -> bytes:
    """Return one JPEG file of stripes whose heights, but for the last, are multiples of 8 blocks."""
    frame, start = _places(stripes[0])
    header = bytearray(stripes[0][:start])
    header[frame : frame + 2] = struct.pack(">H", height)
    scans = [stripe[_places(stripe)[1] : -len(_END)] for stripe in stripes]
    return bytes(header) + b"\xff\xd7".join(scans) + _END


def _places(jpeg: bytes) -> tuple[int, int]:
    """Return where the height stands in a JPEG file, and where its compressed pixels start."""
    at, height = len(_START), 0
    while True:
        marker, length = jpeg[at + 1], struct.unpack_from(">H", jpeg, at + 2)[0]
        if 0xC0 <= marker <= 0xC2:
            height = at + 5
        at += 2 + length
        if marker == 0xDA:  # start of scan
            return height, at


def _png_with(png: bytes, xmp: bytes) -> bytes:
    if not xmp:
        return png
    content = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:_PNG_START] + chunk + png[_PNG_START:]


def _jpeg_with(jpeg: bytes, xmp: bytes) -> bytes:
    if not xmp:
        return jpeg
    if len(xmp) > LARGEST_XMP:
        raise ValueError(f"{len(xmp)} bytes of XMP do not fit into a JPEG file, the limit is {LARGEST_XMP}")
    after = len(_START)
    if jpeg[after : after + 2] == b"\xff\xe0":  # APP0 of JFIF comes first
        after += 2 + struct.unpack_from(">H", jpeg, after + 2)[0]
    content = _XMP_NAME + xmp
    return jpeg[:after] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[after:]
