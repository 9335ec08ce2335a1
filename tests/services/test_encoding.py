"""Pictures as files: large JPEGs in stripes are as if in one piece; the place on the sky survives in the file."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from awe.kernels.wcs import Wcs, tan
from awe.services.avm import PictureGrid, avm_packet, place_of, wcs_of
from awe.services.encoding import encode, encode_jpeg

AVM = "{http://www.communicatingastronomy.org/avm/1.0/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def smooth_picture(ny: int, nx: int) -> np.ndarray:
    y, x = np.mgrid[:ny, :nx]
    return np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("ny", "threads"), [(3001, 2), (2048, 4), (2050, 7), (1300, 16)])
def test_a_jpeg_in_stripes_is_as_if_in_one_piece(ny: int, threads: int) -> None:
    picture = smooth_picture(ny, 2003)
    one, several = encode_jpeg(picture, threads=1), encode_jpeg(picture, threads=threads)

    assert opened(several).size == (2003, ny)
    assert np.array_equal(np.asarray(opened(several)), np.asarray(opened(one)))


@pytest.mark.parametrize("form", ["png", "tif"])
@pytest.mark.parametrize("shape", [(30, 41), (30, 41, 3), (30, 41, 4)])
def test_png_and_tiff_keep_each_pixel(form: str, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)

    for xmp in (b"", b"<x/>"):
        assert np.array_equal(np.asarray(opened(encode(picture, form, xmp))), picture)


def test_a_form_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="png, jpg, tif"):
        encode(np.zeros((2, 2), np.uint8), "gif")
    with pytest.raises(ValueError, match="do not fit into a JPEG"):
        encode(np.zeros((20, 20), np.uint8), "jpg", b" " * 70_000)


def packet_in(file: bytes) -> ElementTree.Element:
    """Return the XMP packet of a file, found as programs do that know no file formats."""
    found = re.search(rb"<x:xmpmeta.*</x:xmpmeta>", file, re.DOTALL)
    assert found is not None
    description = ElementTree.fromstring(found[0]).find(f"{RDF}RDF/{RDF}Description")
    assert description is not None
    return description


def numbers(tags: ElementTree.Element, name: str) -> list[float]:
    return [
        float(member.text or "")
        for member in tags.iter(f"{RDF}li")
        if member in list(tags.find(f"{AVM}{name}/{RDF}Seq") or [])
    ]


@pytest.mark.parametrize("form", ["png", "jpg", "tif"])
def test_each_form_holds_the_place_on_the_sky(form: str) -> None:
    grid = PictureGrid(tan(150.0, 2.0, 0.2, 2000, 3000, rotation=33.0), 100, 200, 2, 900, 1200)
    file = encode(np.zeros((1200, 900, 3), np.uint8), form, avm_packet(grid, "a <b> & c", "me", "how", ("i", "r", "g")))
    tags = packet_in(file)
    (ra, dec), (x, y) = numbers(tags, "Spatial.ReferenceValue"), numbers(tags, "Spatial.ReferencePixel")
    (sx, sy), rotation = (
        numbers(tags, "Spatial.Scale"),
        np.radians(float(tags.findtext(f"{AVM}Spatial.Rotation") or "")),
    )
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": x, "CRPIX2": y,
        "CD1_1": sx * np.cos(rotation), "CD1_2": -sy * np.sin(rotation),
        "CD2_1": sx * np.sin(rotation), "CD2_2": sy * np.cos(rotation),
    }  # fmt: skip
    corners = np.array([0.0, 899.0, 450.0]), np.array([0.0, 1199.0, 7.0])

    there = Wcs.from_header(cards).to_sky(*corners)
    # pixel i of the picture is the mean of pixels 100 + 2i and 101 + 2i
    expected = grid.wcs.to_sky(100.5 + 2 * corners[0], 200.5 + 2 * corners[1])
    assert np.allclose(there, expected, rtol=0, atol=1e-9)
    assert numbers(tags, "Spatial.ReferenceDimension") == [900, 1200]


def test_pillow_finds_the_packet_where_each_format_has_it() -> None:
    packet = avm_packet(PictureGrid(tan(10.0, -5.0, 1.0, 40, 30), 0, 0, 1, 40, 30), "t", "c")
    png, jpg, tif = (opened(encode(np.zeros((30, 40, 3), np.uint8), form, packet)) for form in ("png", "jpg", "tif"))

    assert png.info["XML:com.adobe.xmp"].encode() == packet
    assert jpg.info["xmp"] == packet
    assert tif.tag_v2[700] == packet  # type: ignore[attr-defined]


def test_a_distorted_projection_is_told_with_its_error() -> None:
    cards = dict(tan(80.0, 30.0, 0.5, 1000, 1000).cards) | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    cards |= {"PV1_1": 1.0, "PV2_1": 1.0, "PV1_7": 3.0, "PV2_7": 3.0}
    grid = PictureGrid(Wcs.from_header(cards), 0, 0, 1, 1000, 1000)
    place = place_of(grid)
    x, y = wcs_of(place).to_pixel(*grid.to_sky(np.array([0.0]), np.array([999.0])))

    assert np.hypot(x[0], y[0] - 999.0) <= place.error + 1e-6
    # 3 (0.0694 deg)^3 along both axes, at pixels of 0.5 arcsec
    assert place.error == pytest.approx(np.sqrt(2) * 3 * (499.5 / 7200) ** 3 * 7200, rel=1e-3)
    assert place_of(PictureGrid(tan(80.0, 30.0, 0.5, 1000, 1000, rotation=200.0), 0, 0, 1, 1000, 1000)).error < 1e-6


def test_a_mirrored_image_stays_mirrored() -> None:
    cards = dict(tan(80.0, 30.0, 0.5, 100, 100, rotation=40.0).cards)
    cards |= {"CD1_1": -float(cards["CD1_1"]), "CD2_1": -float(cards["CD2_1"])}
    place = place_of(PictureGrid(Wcs.from_header(cards), 0, 0, 1, 100, 100))

    assert place.scale[0] > 0
    assert place.error < 1e-6
