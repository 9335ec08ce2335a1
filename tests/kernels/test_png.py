import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from awe.kernels.png import encode_png


def decoded(content):
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.mode, np.asarray(picture)


@pytest.mark.parametrize(
    ("shape", "mode"), [((61, 47), "L"), ((61, 47, 3), "RGB"), ((61, 47, 4), "RGBA"), ((1, 1), "L")]
)
@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_picture_comes_back_as_it_was(shape, mode, level):
    picture = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)

    found_mode, found = decoded(encode_png(picture, level))

    assert found_mode == mode
    assert np.array_equal(found, picture)


@pytest.mark.parametrize("shape", [(1500, 1403), (700, 601, 3), (1100, 530, 4), (2, 2_000_000)])
def test_a_large_picture_made_of_strips_comes_back_as_it_was(shape):
    picture = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)

    contents = encode_png(picture)

    assert np.array_equal(decoded(contents)[1], picture)
    assert len(zlib.decompress(deflated(contents))) == picture.size + len(picture)  # which checks the checksum


def deflated(content):
    found, start = b"", 8
    while start < len(content):
        (size,) = struct.unpack(">I", content[start : start + 4])
        if content[start + 4 : start + 8] == b"IDAT":
            found += content[start + 8 : start + 8 + size]
        start += size + 12
    return found


def test_a_flipped_view_is_encoded_as_seen():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)

    assert decoded(encode_png(picture[::-1, ::2]))[1].tolist() == [[8, 10], [4, 6], [0, 2]]


def test_smooth_pictures_become_small():
    picture = np.add.outer(np.arange(500) // 4, np.arange(500) // 4).astype(np.uint8)

    assert len(encode_png(picture)) < picture.size / 20


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_arrays_that_are_no_picture_are_refused(picture):
    with pytest.raises(ValueError, match="a picture"):
        encode_png(picture)
