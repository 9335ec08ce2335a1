"""Sections and headers are those of the file, wherever they come from, and keep their place in the sky."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from .conftest import Client

RNG = np.random.default_rng(7)
NY, NX = 83, 61
COUNTS = RNG.integers(0, 65536, (NY, NX)).astype(np.uint16)
SKY = RNG.normal(100, 5, (NY, NX)).astype(np.float32)
FLAGS = RNG.integers(0, 256, (NY, NX)).astype(np.uint8)


def wcs_header() -> fits.Header:
    cards = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 20.5}
    cards |= {"CRPIX2": 40.0, "CD1_1": -5e-5, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 5e-5, "RADESYS": "ICRS"}
    cards |= {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "A_1_1": 3e-6, "B_0_2": -2e-5, "OBJECT": "field"}
    return fits.Header(list(cards.items()))


def written(hdus: list[object]) -> bytes:
    file = io.BytesIO()
    fits.HDUList(hdus).writeto(file, checksum=True)
    return file.getvalue()


CONTENTS = {
    "float.fits": (written([fits.PrimaryHDU(SKY, wcs_header())]), SKY),
    "counts.fits": (written([fits.PrimaryHDU(COUNTS)]), COUNTS),
    "double.fits": (written([fits.PrimaryHDU(SKY.astype(np.float64))]), SKY),
    "flags.fits": (written([fits.PrimaryHDU(), fits.ImageHDU(FLAGS, name="FLAGS")]), FLAGS),
    "cube.fits": (written([fits.PrimaryHDU(SKY[np.newaxis])]), SKY),
    "counts.fits.gz": (gzip.compress(written([fits.PrimaryHDU(COUNTS)])), COUNTS),
    "counts.fits.fz": (written([fits.PrimaryHDU(), fits.CompImageHDU(COUNTS, tile_shape=(10, 20))]), COUNTS),
}


@pytest.fixture(scope="module")
def stored(client: Client) -> Client:
    for name, (content, _) in CONTENTS.items():
        assert client.put(name, content).status == 201
    return client


def opened(content: bytes) -> tuple[np.ndarray, fits.Header]:
    with fits.open(io.BytesIO(content)) as hdus:
        return hdus[0].data.copy(), hdus[0].header.copy()


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("x1", "x2", "y1", "y2"), [(1, 61, 1, 83), (1, 1, 1, 1), (61, 61, 83, 83), (10, 33, 7, 52)])
def test_a_section_is_that_part_of_the_image(stored: Client, name: str, x1: int, x2: int, y1: int, y2: int) -> None:
    answer = stored.get(f"/{name}?section={x1}:{x2},{y1}:{y2}")

    pixels, header = opened(answer.body)
    expected = CONTENTS[name][1][y1 - 1 : y2, x1 - 1 : x2]
    np.testing.assert_array_equal(pixels, expected)
    assert len(answer.body) == int(answer.headers["Content-Length"])
    assert len(answer.body) % 2880 == 0
    assert (header["LTV1"], header["LTV2"]) == (1 - x1, 1 - y1)


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("x1", "x2", "y1", "y2"), [(1, 61, 1, 83), (1, 1, 1, 1), (10, 33, 7, 52)])
def test_plain_pixels_are_the_values_in_rows_without_a_header(
    stored: Client, name: str, x1: int, x2: int, y1: int, y2: int
) -> None:
    answer = stored.get(f"/{name}?pixels={x1}:{x2},{y1}:{y2}")

    kind = "uint8" if name == "flags.fits" else "float32"
    values = np.frombuffer(answer.body, np.dtype(kind).newbyteorder("<")).reshape(y2 - y1 + 1, x2 - x1 + 1)
    np.testing.assert_array_equal(values, CONTENTS[name][1][y1 - 1 : y2, x1 - 1 : x2].astype(kind))
    assert answer.headers["X-Pixels"] == kind


@pytest.mark.parametrize("cards", [{"BLANK": -1}, {"BSCALE": 0.5}, {"BZERO": 7.0}, {"BSCALE": 2.0, "BLANK": 9}])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_plain_pixels_are_scaled_and_blank_ones_are_no_numbers(client: Client, cards: dict, dtype: type) -> None:
    image = np.array([[7, 3], [9, 255]]).astype(dtype)
    hdu = fits.PrimaryHDU(image)
    hdu.header.update(cards)
    name = "-".join(["scaled", np.dtype(dtype).name, *(f"{k}{v}" for k, v in cards.items())]) + ".fits"
    client.put(name, written([hdu]))

    answer = client.get(f"/{name}?pixels=*,*")

    expected = image.astype(np.float32) * cards.get("BSCALE", 1) + cards.get("BZERO", 0)
    expected[image == cards.get("BLANK", -99)] = np.nan
    np.testing.assert_array_equal(np.frombuffer(answer.body, "<f4").reshape(2, 2), expected)


def test_plain_pixels_of_many_bands_are_whole(client: Client) -> None:
    image = np.random.default_rng(2).normal(0, 1, (700, 1100)).astype(np.float32)
    client.put("bands.fits", written([fits.PrimaryHDU(image)]))

    part = np.frombuffer(client.get("/bands.fits?pixels=3:1090,2:699").body, "<f4")
    means = np.frombuffer(client.get("/bands.fits?pixels=*,*&bin=10").body, "<f4")

    np.testing.assert_array_equal(part.reshape(698, 1088), image[1:699, 2:1090])
    np.testing.assert_allclose(means.reshape(70, 110), image.reshape(70, 10, 110, 10).mean((1, 3)), atol=1e-6)


def test_a_star_is_a_whole_axis(stored: Client) -> None:
    pixels, _ = opened(stored.get("/float.fits?section=*,5:6").body)

    np.testing.assert_array_equal(pixels, SKY[4:6])


@pytest.mark.parametrize("binning", [1, 2, 5])
def test_a_section_keeps_its_place_in_the_sky(stored: Client, binning: int) -> None:
    _, header = opened(stored.get(f"/float.fits?section=11:60,21:80&bin={binning}").body)
    x, y = np.meshgrid([12.0, 30.5, 58.0], [23.0, 41.0, 77.5])

    whole, part = WCS(wcs_header()), WCS(header)

    moved = [(p - first + 0.5) / binning + 0.5 for p, first in ((x, 11), (y, 21))]
    np.testing.assert_allclose(part.all_pix2world(*moved, 1), whole.all_pix2world(x, y, 1), atol=1e-11)
    assert header["OBJECT"] == "field"
    assert header["LTV1"] * binning == pytest.approx(-10 - 0.5 + 0.5 * binning)


@pytest.mark.parametrize("name", ["float.fits", "counts.fits", "counts.fits.fz", "flags.fits"])
def test_binned_pixels_are_means_also_of_the_last_few(stored: Client, name: str) -> None:
    pixels, _ = opened(stored.get(f"/{name}?section=1:61,1:83&bin=4").body)

    image = CONTENTS[name][1].astype(np.float64)
    expected = [[image[y : y + 4, x : x + 4].mean() for x in range(0, NX, 4)] for y in range(0, NY, 4)]
    np.testing.assert_allclose(pixels, expected, rtol=1e-6)


def test_bins_leave_out_what_is_no_number(client: Client) -> None:
    image = np.array([[1, np.nan, np.nan], [3, 5, np.nan]], np.float32)
    client.put("nan.fits", written([fits.PrimaryHDU(image)]))

    pixels, _ = opened(client.get("/nan.fits?section=*,*&bin=2").body)

    np.testing.assert_array_equal(pixels, [[3, np.nan]])


def test_blank_integers_are_no_numbers_when_binned(client: Client) -> None:
    hdu = fits.PrimaryHDU(np.array([[7, -1], [9, -1]], np.int16))
    hdu.header["BLANK"] = -1
    client.put("blank.fits", written([hdu]))

    pixels, header = opened(client.get("/blank.fits?section=*,*&bin=2").body)

    np.testing.assert_array_equal(pixels, [[8]])
    assert "BLANK" not in header


@pytest.mark.parametrize("section", ["0:5,1:5", "1:62,1:5", "1:5,1:84", "5:1,1:5", "1:5,0:0", "62:70,1:2"])
def test_a_section_outside_the_image_is_refused_with_the_size(stored: Client, section: str) -> None:
    answer = stored.get(f"/float.fits?section={section}")

    assert answer.status == 416
    assert "61 x 83" in answer.error
    assert answer.headers["X-Image-Size"] == "61,83"


@pytest.mark.parametrize(
    "query", ["section=1:2", "section=a:b,1:2", "section=1:2,3:4,5:6", "section=*,*&bin=0", "section=*,*&bin=x"]
)
def test_a_section_that_is_not_understood_is_refused(stored: Client, query: str) -> None:
    assert stored.get(f"/float.fits?{query}").status == 400


def test_an_hdu_is_found_by_number_and_by_name(stored: Client) -> None:
    for hdu in ("1", "FLAGS", "flags"):
        pixels, _ = opened(stored.get(f"/flags.fits?section=1:3,1:3&hdu={hdu}").body)
        np.testing.assert_array_equal(pixels, FLAGS[:3, :3])
    for hdu in ("0", "2", "WEIGHT"):
        answer = stored.get(f"/flags.fits?section=1:3,1:3&hdu={hdu}")
        assert (answer.status, hdu in answer.error) == (404, True)


def test_a_header_is_given_as_it_was_written(stored: Client) -> None:
    header = fits.Header.fromstring(stored.get("/float.fits?header").body.decode(), sep="\n")

    for key, value in wcs_header().items():
        assert header[key] == value


def test_the_header_of_a_compressed_image_is_that_of_the_image(stored: Client) -> None:
    header = fits.Header.fromstring(stored.get("/counts.fits.fz?header").body.decode(), sep="\n")

    assert (header["NAXIS1"], header["NAXIS2"], header["BITPIX"], header["BZERO"]) == (61, 83, 16, 32768)
    assert stored.get("/counts.fits.fz?header&hdu=0").status == 200


def test_a_section_that_the_client_has_is_not_sent_again(stored: Client) -> None:
    tag = stored.get("/float.fits?section=1:9,1:9").headers["ETag"]

    assert stored.get("/float.fits?section=1:9,1:9", If_None_Match=tag).status == 304
    assert stored.get("/float.fits?section=1:9,1:8", If_None_Match=tag).status == 200


def test_head_of_a_section_tells_its_size(stored: Client) -> None:
    answer = stored.ask("HEAD", "/float.fits?section=1:9,1:9")

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(stored.get("/float.fits?section=1:9,1:9").body)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an image at all", "not a FITS file"),
        (b"", "not a FITS file"),
        (CONTENTS["float.fits"][0][:-2880], "ends at byte"),
        (CONTENTS["float.fits"][0][:1000], "no END"),
        (CONTENTS["counts.fits.gz"][0][:-100], "damaged gzip"),
    ],
)
def test_what_is_no_whole_fits_file_has_no_sections(client: Client, content: bytes, reason: str) -> None:
    name = f"damaged-{len(content)}"
    client.put(name, content)

    for query in ("section=1:2,1:2", "header"):
        answer = client.get(f"/{name}?{query}")
        assert (answer.status, reason in answer.error) == (422, True)


def test_a_section_reads_no_more_than_it_needs(client: Client) -> None:
    rows, columns = 2000, 20000
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": columns, "NAXIS2": rows})
    place = client.server.folder / "files"
    client.put("sparse.fits", b"placeholder")
    path = next(place.rglob("sparse.fits"))
    with open(path, "wb") as file:
        file.write(header.tostring().encode())
        file.truncate(2880 + -(-rows * columns * 4 // 2880) * 2880)
    client.get("/sparse.fits?section=1:1,1:1")
    process = client.server.process
    assert process is not None

    def mapped_bytes() -> int:
        return int(Path(f"/proc/{process.pid}/status").read_text().split("RssFile:")[1].split()[0]) * 1024

    before = mapped_bytes()
    client.get("/sparse.fits?section=5000:5099,1000:1099")

    assert mapped_bytes() - before < 20_000_000  # of 160 MB
