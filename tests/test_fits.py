"""FITS images are read exactly, written whole, and refused with the reason if they are damaged."""

import gzip
import hashlib
import io
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from awe.errors import BadFile, BadRequest, NotFound
from awe.fits import (
    from_bytes,
    image_hdus,
    open_planes,
    read_header,
    read_headers,
    read_image,
    section,
    verify,
)
from awe.fits_writing import write_image

RNG = np.random.default_rng(11)
IMAGE = RNG.normal(1000, 30, (57, 43)).astype(np.float32)
COUNTS = RNG.integers(0, 65536, (57, 43)).astype(np.uint16)
COUNTS[0, :2] = 0, 65535


def saved(path: Path, *hdus: object, **options: object) -> Path:
    fits.HDUList(list(hdus)).writeto(path, **options)
    return path


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    path = tmp_path / "frame.fits"
    header = {"CRVAL1": 150.25, "OBJECT": "Q1010", "BUNIT": "adu"}
    write_image(path, {"IMAGE": IMAGE, "WEIGHT": 1 / IMAGE, "FLAGS": IMAGE > 1050}, header)
    return path


def test_planes_come_back_as_they_were_written(planes: Path) -> None:
    opened = open_planes(planes)

    assert opened.shape == IMAGE.shape
    np.testing.assert_array_equal(opened.rows("IMAGE"), IMAGE)
    np.testing.assert_array_equal(opened.rows("WEIGHT", 10, 12), (1 / IMAGE)[10:12])
    np.testing.assert_array_equal(opened.rows("FLAGS"), (IMAGE > 1050).astype(np.uint8))
    assert (opened.rows("IMAGE").dtype, opened.rows("FLAGS").dtype) == (np.float32, np.uint8)
    assert "PSF" not in opened


def test_a_written_file_has_names_checksums_and_its_header(planes: Path) -> None:
    with fits.open(planes, checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["IMAGE", "WEIGHT", "FLAGS"]
        assert [hdu.header["CRVAL1"] for hdu in hdus] == [150.25] * 3
        assert hdus[0].header["OBJECT"] == "Q1010"
        assert "OBJECT" not in hdus[1].header
    assert verify(planes) == []


def test_the_structure_of_an_older_header_is_not_written_again(tmp_path: Path) -> None:
    raw = saved(tmp_path / "raw.fits", fits.PrimaryHDU(COUNTS), checksum=True)
    _, header = read_image(raw)

    write_image(tmp_path / "new.fits", {"IMAGE": IMAGE}, header)

    np.testing.assert_array_equal(read_image(tmp_path / "new.fits")[0], IMAGE)
    assert "BZERO" not in read_header(tmp_path / "new.fits")
    assert verify(tmp_path / "new.fits") == []


def test_writing_leaves_the_array_alone_and_no_unfinished_file(tmp_path: Path) -> None:
    image = IMAGE.copy()

    with pytest.raises(ValueError, match=r"must be \[y, x\]"):
        write_image(tmp_path / "a.fits", {"IMAGE": image[0]})
    write_image(tmp_path / "b.fits", {"IMAGE": image})

    np.testing.assert_array_equal(image, IMAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["b.fits"]


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".fits.fz"])
def test_unsigned_integers_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"counts{suffix}"
    if suffix == ".fits.fz":
        saved(path, fits.PrimaryHDU(), fits.CompImageHDU(COUNTS))
    else:
        saved(path, fits.PrimaryHDU(COUNTS))

    image, header = read_image(path)

    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, COUNTS)
    assert (header["NAXIS1"], header["BZERO"]) == (43, 32768)
    np.testing.assert_array_equal(section(path, None, 3, 20, 5, 9), COUNTS[5:9, 3:20])
    assert verify(path) == []


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_every_kind_of_pixel_is_read(tmp_path: Path, dtype: str) -> None:
    values = (IMAGE / 10).astype(dtype)
    path = saved(tmp_path / "x.fits", fits.PrimaryHDU(values))

    np.testing.assert_array_equal(read_image(path)[0], values.astype(np.float32))


def test_scaled_and_blank_integers_become_values_and_nan(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.array([[1, 2], [-99, 4]], np.int16))
    path = saved(tmp_path / "scaled.fits", hdu)
    for card in (("BSCALE", 0.5), ("BZERO", 10.0), ("BLANK", -99)):
        fits.setval(path, card[0], value=card[1])

    np.testing.assert_array_equal(read_image(path)[0], [[10.5, 11.0], [np.nan, 12.0]])


def test_the_first_image_is_meant_unless_an_hdu_is_named(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
    parts = [fits.ImageHDU(IMAGE, name="chip1"), fits.ImageHDU(2 * IMAGE, name="chip2")]
    path = saved(tmp_path / "mosaic.fits", fits.PrimaryHDU(), table, *parts)

    assert image_hdus(path) == [2, 3]
    np.testing.assert_array_equal(read_image(path)[0], IMAGE)
    for hdu in (3, "chip2", "CHIP2"):
        np.testing.assert_array_equal(read_image(path, hdu)[0], 2 * IMAGE)
    assert read_header(path, 0)["NAXIS"] == 0
    assert [header.get("EXTNAME") for header in read_headers(path)] == [None, None, "CHIP1", "CHIP2"]
    with pytest.raises(BadFile, match=r"has no image 1: it holds .*BINTABLE"):
        read_image(path, 1)
    with pytest.raises(BadFile, match="has no image CHIP3"):
        read_image(path, "CHIP3")


@pytest.mark.parametrize("box", [(-1, 5, 0, 5), (0, 44, 0, 5), (5, 5, 0, 5), (0, 5, 50, 58)])
def test_a_section_outside_the_image_is_refused_with_its_size(planes: Path, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadRequest, match="43 x 57"):
        section(planes, None, *box)


def test_a_file_in_memory_is_read_as_well() -> None:
    file = io.BytesIO()
    fits.PrimaryHDU(COUNTS).writeto(file)

    np.testing.assert_array_equal(from_bytes(file.getvalue(), "it"), COUNTS)


def damaged(change: Callable[[bytearray], bytes | None]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        content = bytearray(path.read_bytes())
        path.write_bytes(change(content) or content)
        return path

    return write


def with_changed(text: bytes, new: bytes) -> Callable[[Path], Path]:
    return damaged(lambda content: bytes(content.replace(text, new, 1)))


def flip(content: bytearray) -> None:
    content[2880 + 777] ^= 1


DAMAGE = {
    "empty": (damaged(lambda content: b" "), "not FITS"),
    "text": (damaged(lambda content: b"hello, this is text" * 500), "not FITS"),
    "cut in the header": (damaged(lambda content: bytes(content[:800])), "truncated: the header of HDU 0 has no END"),
    "cut in the pixels": (damaged(lambda content: bytes(content[:7000])), "truncated: HDU 0 ends at byte 12684"),
    "cut in the last plane": (damaged(lambda content: bytes(content[:-2880])), "truncated: HDU 2 ends at byte"),
    "a flipped bit": (damaged(flip), "DATASUM of HDU 0 is"),
    "a changed header": (with_changed(b"Q1010", b"Q1011"), "CHECKSUM of HDU 0 is wrong"),
    "no size": (with_changed(b"NAXIS1  ", b"NAXIS9  "), "does not tell the size"),
    "a strange BITPIX": (with_changed(b"-32", b"-33"), "does not tell the size"),
    "text for a number": (with_changed(b"                  43", b"                 'x'"), "does not tell the size"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_named(planes: Path, kind: str) -> None:
    damage, reason = DAMAGE[kind]

    problems = verify(damage(planes))

    assert reason in problems[0]
    assert str(planes) in problems[0]


def test_a_file_without_bytes_is_not_fits(tmp_path: Path) -> None:
    (tmp_path / "zero.fits").touch()

    assert verify(tmp_path / "zero.fits") == [f"{tmp_path / 'zero.fits'} is not FITS: it is empty"]


@pytest.mark.parametrize("cut", [5, 500, -9])
def test_a_gzipped_file_that_is_cut_off_is_found(tmp_path: Path, planes: Path, cut: int) -> None:
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(gzip.compress(planes.read_bytes())[:cut])

    assert "gzip stream is cut off" in verify(path)[0]


def test_a_damaged_compressed_image_is_said_when_it_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(COUNTS, compression_type="GZIP_1"))
    with fits.open(path, disable_image_compression=True) as hdus:
        heap = hdus[1].fileinfo()["datLoc"] + 57 * 8
    content = bytearray(path.read_bytes())
    content[heap : heap + 400] = bytes(400)
    path.write_bytes(content)

    with pytest.raises(BadFile, match="can't be decompressed"):
        read_image(path)


def test_a_file_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="cat")
    path = saved(tmp_path / "table.fits", fits.PrimaryHDU(), table)

    assert verify(path) == [f"{path} holds no image: HDU 0 PRIMARY (no pixels), HDU 1 BINTABLE CAT (no pixels)"]
    with pytest.raises(BadFile, match="holds no image"):
        open_planes(path)


def test_missing_padding_and_bytes_after_the_end_do_no_harm(planes: Path, tmp_path: Path) -> None:
    single = tmp_path / "single.fits"
    write_image(single, {"IMAGE": IMAGE})
    content = single.read_bytes()
    end = 2880 + IMAGE.nbytes

    for changed in (content[:end], content + b"junk" * 100):
        single.write_bytes(changed)
        assert verify(single) == []
        np.testing.assert_array_equal(read_image(single)[0], IMAGE)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert "no file" in verify(tmp_path / "absent.fits")[0]
    with pytest.raises(NotFound, match=r"absent\.fits"):
        read_image(tmp_path / "absent.fits")


def test_headers_that_break_the_standard_can_be_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "odd.fits", fits.PrimaryHDU(IMAGE, fits.Header({"AAA": 1, "BBB": 2, "CCC": "x"})))
    content = path.read_bytes()
    for old, new in (
        (b"AAA     =                    1", b"aaa     =        1.0 2.0 oops"),
        (b"'x       '", "'é      '".encode()),
    ):
        content = content.replace(old, new.ljust(len(old)), 1)
    path.write_bytes(content)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, header = read_image(path)

    assert header["BBB"] == 2
    assert header["CCC"].startswith("??")


def test_threads_can_write_one_array_at_once(tmp_path: Path) -> None:
    shared = IMAGE.copy()
    threads = [threading.Thread(target=write_image, args=(tmp_path / f"{i}.fits", {"IMAGE": shared})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [np.array_equal(read_image(tmp_path / f"{i}.fits")[0], IMAGE) for i in range(8)] == [True] * 8


@pytest.mark.real
def test_real_frames_are_read_as_astropy_reads_them(real_data: Path) -> None:
    frames = sorted(path for folder in ("efosc2", "nickel", "hatp32") for path in (real_data / folder).rglob("*.fit*"))[
        ::7
    ]
    for path in frames:
        assert verify(path) == []
        np.testing.assert_array_equal(read_image(path)[0], fits.getdata(path).astype(np.float32))


@pytest.mark.parametrize("cards", [{}, {"BSCALE": 2.0}, {"BZERO": 5.0}, {"COMMENT": "BITPIX  = 8"}])
@pytest.mark.parametrize("dtype", [">f4", ">i2", ">f8"])
def test_a_file_in_memory_is_read_as_one_on_disk(tmp_path, cards, dtype) -> None:
    image = np.arange(21.0).reshape(3, 7).astype(dtype)
    unit = fits.PrimaryHDU(image)
    unit.header.update(cards)
    buffer = io.BytesIO()
    unit.writeto(buffer)
    contents = buffer.getvalue()

    scale, zero = cards.get("BSCALE", 1.0), cards.get("BZERO", 0.0)
    found = from_bytes(contents, "part")
    assert found.dtype == np.float32
    assert np.array_equal(found, image * scale + zero)


def test_a_section_that_is_cut_off_is_refused() -> None:
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.zeros((40, 50), np.float32)).writeto(buffer)

    with pytest.raises(BadFile, match="truncated"):
        from_bytes(buffer.getvalue()[:6000], "part")


def test_a_file_that_was_replaced_is_looked_at_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    for image in (np.arange(12.0).reshape(3, 4), np.arange(300.0).reshape(60, 5)):
        write_image(path, {"IMAGE": image})

        found = section(path, None, 1, 3, 0, 2)

        assert np.array_equal(found, image[:2, 1:3])


def test_checksums_are_those_that_astropy_adds_up(tmp_path):
    generator = np.random.default_rng(5)
    planes = {"IMAGE": generator.normal(0, 1e4, (37, 41)).astype(np.float32), "FLAGS": np.full((37, 41), 255, np.uint8)}
    write_image(tmp_path / "own.fits", planes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy warns of a checksum that does not fit
        with fits.open(tmp_path / "own.fits", checksum=True) as hdus:
            assert [hdu.verify_datasum() for hdu in hdus] == [1, 1]
            assert [hdu.verify_checksum() for hdu in hdus] == [1, 1]


@pytest.mark.parametrize("kind", ["uint8", "int16", ">i2", "int32", "int64", "float32", ">f4", "float64", "bool"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (57, 43), (300, 301)])
def test_planes_of_any_kind_are_written_with_right_checksums(tmp_path: Path, kind: str, shape: tuple[int, int]) -> None:
    path, image = tmp_path / "t.fits", np.abs(RNG.normal(0, 100, shape)).astype(kind)

    told = write_image(path, {"IMAGE": image, "TURNED": image.T}, {"OBJECT": "M67"})

    assert told == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size % 2880 == 0
    with warnings.catch_warnings(), fits.open(path, checksum=True) as hdus:
        warnings.simplefilter("error")  # a wrong checksum is a warning
        assert [hdu.name for hdu in hdus] == ["IMAGE", "TURNED"]
        for hdu, expected in zip(hdus, (image, image.T), strict=True):
            assert {"DATASUM", "CHECKSUM"} <= set(hdu.header)
            np.testing.assert_array_equal(hdu.data, expected.astype("f4" if image.dtype.kind == "f" else image.dtype))
    assert [p.name for p in tmp_path.iterdir()] == ["t.fits"]


def test_numbers_that_fits_does_not_know_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plane IMAGE has numbers of type complex64: FITS knows"):
        write_image(tmp_path / "t.fits", {"IMAGE": np.zeros((2, 2), np.complex64)})
    assert not list(tmp_path.iterdir())
