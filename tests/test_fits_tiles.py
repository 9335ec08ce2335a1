"""Maps of flags are packed into tiles, and come back as they were, whole or in parts, for awe and for others."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from awe.errors import BadFile
from awe.fits import open_planes, read_header, read_image, section, verify
from awe.fits_layout import file_contents, scan
from awe.fits_sections import mapped_plane
from awe.fits_writing import write_image
from awe.kernels.sections import Section

RNG = np.random.default_rng(7)
IMAGE = RNG.normal(1000, 30, (301, 203)).astype(np.float32)
FLAGS = RNG.integers(0, 256, IMAGE.shape).astype(np.uint8)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "packed.fits"
    write_image(path, {"IMAGE": IMAGE, "FLAGS": FLAGS}, {"OBJECT": "M67", "CRPIX1": 3.5}, packed=["FLAGS"])
    return path


@pytest.mark.parametrize("part", [(0, 301), (50, 130), (64, 128), (300, 301), (7, 7)])
def test_rows_of_a_packed_map_are_those_that_were_written(packed: Path, part: tuple[int, int]) -> None:
    y0, y1 = part

    np.testing.assert_array_equal(open_planes(packed).rows("FLAGS", y0, y1), FLAGS[y0:y1])


def test_sections_of_a_packed_map_are_those_that_were_written(packed: Path) -> None:
    part = Section(17, 150, 40, 261)

    np.testing.assert_array_equal(mapped_plane(packed, "FLAGS").section(part), FLAGS[part.slices])
    np.testing.assert_array_equal(section(packed, "FLAGS", 17, 150, 40, 261), FLAGS[part.slices])
    np.testing.assert_array_equal(read_image(packed, "FLAGS")[0], FLAGS)


@pytest.mark.parametrize("first", [False, True], ids=["beside an image", "alone"])
def test_others_read_a_packed_map_with_its_name_and_place_on_the_sky(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "packed.fits"
    planes = {"FLAGS": FLAGS} if first else {"IMAGE": IMAGE, "FLAGS": FLAGS}
    write_image(path, planes, {"OBJECT": "M67", "CRPIX1": 3.5}, packed=["FLAGS"])

    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus["FLAGS"].data, FLAGS)
        assert hdus["FLAGS"].header["CRPIX1"] == 3.5
        assert hdus["FLAGS"].header.get("OBJECT") == ("M67" if first else None)
    assert verify(path) == []
    assert read_header(path)["OBJECT"] == "M67"


def test_a_nearly_empty_map_is_packed_into_a_hundredth(tmp_path: Path) -> None:
    flags = np.zeros((2000, 1000), np.uint8)
    flags[RNG.integers(0, 2000, 200), RNG.integers(0, 1000, 200)] = 8

    write_image(tmp_path / "map.fits", {"FLAGS": flags}, packed=["FLAGS"])

    assert (tmp_path / "map.fits").stat().st_size < flags.size / 100


@pytest.mark.parametrize("what", ["bytes", "length"])
def test_a_damaged_packed_map_is_said_when_it_is_read(packed: Path, what: str) -> None:
    flags = next(hdu for hdu in scan(packed, file_contents(packed)) if hdu.name == "FLAGS")
    damaged = bytearray(packed.read_bytes())
    if what == "bytes":
        heap = flags.data_start + 8 * flags.header["NAXIS2"]
        damaged[heap + 20 : heap + 60] = bytes(40)
    else:
        damaged[flags.data_start : flags.data_start + 8] = damaged[flags.data_start + 32 : flags.data_start + 40]
    packed.write_bytes(damaged)

    with pytest.raises(BadFile, match=r"packed\.fits is damaged: a tile of HDU 1 COMPRESSED FLAGS"):
        open_planes(packed).rows("FLAGS")


def test_numbers_that_are_no_flags_are_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="uint8, not of float32"):
        write_image(tmp_path / "map.fits", {"IMAGE": IMAGE}, packed=["IMAGE"])

    assert list(tmp_path.iterdir()) == []
