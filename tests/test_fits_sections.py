"""Sections of FITS files are read without holding the files, and planes written by rows are whole files."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from awe.errors import BadFile
from awe.fits import open_planes, verify
from awe.fits_sections import PixelsOnFile, mapped_plane
from awe.fits_writing import PlaneWriter, write_image
from awe.kernels.sections import Section

RNG = np.random.default_rng(7)
IMAGE = RNG.normal(1000, 30, (301, 203)).astype(np.float32)
FLAGS = RNG.integers(0, 256, IMAGE.shape).astype(np.uint8)
PART = Section(17, 150, 40, 261)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    path = tmp_path / "frame.fits"
    write_image(path, {"IMAGE": IMAGE, "WEIGHT": 1 / IMAGE, "FLAGS": FLAGS}, {"OBJECT": "M67"})
    return path


@pytest.mark.parametrize(("name", "expected"), [("IMAGE", IMAGE), ("FLAGS", FLAGS), (None, IMAGE)])
def test_a_section_is_the_pixels_of_its_plane(planes: Path, name: str | None, expected: np.ndarray) -> None:
    plane = mapped_plane(planes, name)

    assert plane.shape == IMAGE.shape
    np.testing.assert_array_equal(plane.section(PART), expected[PART.slices])
    np.testing.assert_array_equal(plane.section(Section.whole(plane.shape)), expected)


@pytest.mark.parametrize("kind", ["gzipped", "compressed", "scaled"])
def test_sections_of_files_that_must_be_decoded_are_the_same(tmp_path: Path, kind: str) -> None:
    path, counts = tmp_path / "frame.fits", np.rint(IMAGE).astype(np.uint16)
    if kind == "compressed":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(counts)]).writeto(path)
    else:
        fits.PrimaryHDU(counts).writeto(path)
    if kind == "gzipped":
        path.write_bytes(gzip.compress(path.read_bytes()))

    np.testing.assert_array_equal(mapped_plane(path).section(PART), counts[PART.slices])


def test_a_plane_that_is_not_there_is_refused_with_those_that_are(planes: Path) -> None:
    with pytest.raises(BadFile, match="holds no plane PSF: it has IMAGE, WEIGHT, FLAGS"):
        mapped_plane(planes, "PSF")


def test_an_image_without_weight_and_flags_has_equal_weights(planes: Path) -> None:
    image, weight, flags = PixelsOnFile(mapped_plane(planes)).read(PART)

    np.testing.assert_array_equal(image, IMAGE[PART.slices])
    assert (weight == 1).all()
    assert flags is None


def test_reading_a_large_file_by_sections_does_not_hold_it(tmp_path: Path) -> None:
    path, shape = tmp_path / "large.fits", (12_000, 2048)  # 98 MB
    with PlaneWriter(path, {"IMAGE": np.float32}, shape, {}) as writer:
        for y0 in range(0, shape[0], 1000):
            writer.write(y0, {"IMAGE": np.ones((1000, shape[1]), np.float32)})
    read = f"""
import resource, sys
from pathlib import Path
from awe.fits_sections import mapped_plane
from awe.kernels.sections import Section
plane = mapped_plane(Path({str(path)!r}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = sum(float(plane.section(Section(0, 2048, y, y + 100)).sum()) for y in range(0, 12_000, 100))
print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    total, grown = done.stdout.split()

    assert float(total) == shape[0] * shape[1]
    assert int(grown) < 20_000  # kB; a section has 819


def test_planes_written_by_rows_are_a_whole_file(tmp_path: Path) -> None:
    path, planes = tmp_path / "written.fits", {"IMAGE": np.float32, "FLAGS": np.uint8, "COUNT": np.int16}
    header = {"OBJECT": "M67", "CRVAL1": 132.8, "CTYPE1": "RA---TAN"}
    header |= {f"PROV{i}": f"{i:0150d}" for i in range(40)}  # each takes three cards

    with PlaneWriter(path, planes, IMAGE.shape, header, spare=10) as writer:
        for y0 in range(0, IMAGE.shape[0], 37):
            rows = slice(y0, y0 + 37)
            writer.write(y0, {"IMAGE": IMAGE[rows], "FLAGS": FLAGS[rows], "COUNT": FLAGS[rows].astype(np.int16)})
        writer.describe(header | {"NOISE": 1.5})

    assert verify(path) == []
    opened = open_planes(path)
    np.testing.assert_array_equal(opened.rows("IMAGE"), IMAGE)
    np.testing.assert_array_equal(opened.rows("FLAGS"), FLAGS)
    np.testing.assert_array_equal(opened.rows("COUNT"), FLAGS.astype(np.float32))
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum would be a warning
        assert [hdu.name for hdu in hdus] == list(planes)
        assert (hdus[0].header["OBJECT"], hdus[0].header["NOISE"]) == ("M67", 1.5)
        assert (hdus[1].header["CRVAL1"], "OBJECT" in hdus[1].header) == (132.8, False)


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with PlaneWriter(tmp_path / "written.fits", {"IMAGE": np.float32}, (10, 5), {}) as writer:
        with pytest.raises(ValueError, match="don't fit into a plane of shape"):
            writer.write(8, {"IMAGE": np.zeros((3, 5))})
        with pytest.raises(ValueError, match="don't fit into a plane of shape"):
            writer.write(0, {"IMAGE": np.zeros((3, 4))})


@pytest.mark.parametrize("role", ["weight", "flags"])
def test_a_map_of_another_shape_than_its_image_is_refused_by_both_sizes(
    planes: Path, tmp_path: Path, role: str
) -> None:
    other = tmp_path / "other.fits"
    write_image(other, {"IMAGE": IMAGE[:100]}, {})

    with pytest.raises(
        BadFile, match=r"IMAGE of frame\.fits has 203 x 301 pixels, but IMAGE of other\.fits has 203 x 100"
    ):
        PixelsOnFile(mapped_plane(planes), **{role: mapped_plane(other)})
