"""Single cutouts: the right pixels by pixel or sky, in each form, with marks; what is wrong is refused by name."""

import io
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from awe.errors import BadRequest
from awe.kernels.stretch import _look_up
from awe.services.cutout_request import LARGEST_SIDE, CutoutRequest, Size
from awe.services.cutout_spot import PLACE
from awe.services.operations import Parameter
from awe.services.warming import load_kernels_aside

CUTS = "cuts=0,255"
"""With these, levels of pictures are values of pixels."""


def opened(client: FlaskClient, address: str) -> tuple[np.ndarray, fits.Header]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data), checksum=True) as hdus:
        return np.asarray(hdus[0].data), hdus[0].header


def picture(client: FlaskClient, address: str) -> np.ndarray:
    """Return a picture with y upwards."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data)))[::-1]


def test_a_cutout_by_pixel_has_the_pixels_around_it(cut_client: FlaskClient, cut_world: Any) -> None:
    coadd = cut_world.ids["coadd"]
    found, header = opened(cut_client, f"/cutouts/frame/{coadd}.fits?x=101&y=81&size=21x11")

    np.testing.assert_array_equal(found, cut_world.images[coadd][75:86, 90:111])
    assert (header["FRAMEID"], header["FRAME_X"], header["FRAME_Y"]) == (coadd, 101, 81)
    assert (header["LTV1"], header["LTV2"]) == (-90, -75)


def test_a_cutout_by_sky_shows_the_star_that_is_there(cut_client: FlaskClient, cut_world: Any) -> None:
    ra, dec, x, y = cut_world.stars[12]
    coadd = cut_world.ids["coadd"]
    found, header = opened(cut_client, f"/cutouts/frame/{coadd}.fits?ra={ra!r}&dec={dec!r}&size=31")

    assert np.unravel_index(found.argmax(), found.shape) == (15, 15)
    assert found.max() == cut_world.images[coadd][round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].max()
    column, row = WCS(header).all_world2pix([[ra, dec]], 0)[0]
    assert abs(column - 15) <= 0.5
    assert abs(row - 15) <= 0.5


@pytest.mark.parametrize("place", ["10:00:00.000,+02:00:00.00", "150,2", "10h00m00s,2d00m00s"])
def test_the_sky_may_be_written_in_degrees_or_sexagesimal(cut_client: FlaskClient, cut_world: Any, place: str) -> None:
    ra, dec = place.split(",")
    query = {"ra": ra, "dec": dec}
    answer = cut_client.get(f"/cutouts/frame/{cut_world.ids['coadd']}.json", query_string=query).json

    assert (answer["x"], answer["y"]) == (pytest.approx(200.5, abs=1e-3), pytest.approx(180.5, abs=1e-3))
    assert [answer["ra"], answer["dec"]] == pytest.approx([150.0, 2.0], abs=1e-6)


def test_a_raw_frame_is_cut_at_the_sky_by_its_astrometry_and_data_section(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    for raw in cut_world.raws:
        for star in (6, 12, 18):
            ra, dec, _, _ = cut_world.stars[star]
            found, _ = opened(cut_client, f"/cutouts/frame/{raw}.fits?ra={ra!r}&dec={dec!r}&size=21")
            y, x = np.mgrid[:21, :21]
            light = found - 500
            middle = (light * x).sum() / light.sum(), (light * y).sum() / light.sum()
            assert middle == (pytest.approx(10, abs=0.55), pytest.approx(10, abs=0.55))


def test_a_size_in_arcsec_is_that_many_pixels_of_the_frame(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}.fits?x=200&y=180&size="

    assert opened(cut_client, address + "20arcsec")[0].shape == (50, 50)
    assert opened(cut_client, address + "0.5x0.25arcmin")[0].shape == (38, 75)
    assert opened(cut_client, address + '10"')[0].shape == (25, 25)


def test_a_cutout_north_up_has_the_star_in_its_middle_and_a_plain_wcs(cut_client: FlaskClient, cut_world: Any) -> None:
    ra, dec, _, _ = cut_world.stars[12]
    for reduced in cut_world.reduced:
        query = f"ra={ra!r}&dec={dec!r}&size=181&north=1"
        found, header = opened(cut_client, f"/cutouts/frame/{reduced}.fits?{query}")
        there = WCS(header)
        # the other stars stand where the sky says, in all exposures alike
        for star in (7, 11, 13, 17):
            star_ra, star_dec, _, _ = cut_world.stars[star]
            x, y = there.all_world2pix([[star_ra, star_dec]], 0)[0]
            near = found[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
            assert np.unravel_index(near.argmax(), near.shape) in {(i, j) for i in (3, 4, 5) for j in (3, 4, 5)}
        assert there.all_world2pix([[ra, dec]], 0)[0] == pytest.approx([90, 90], abs=1e-3)
        assert header["CD1_1"] < 0 < header["CD2_2"]
        assert header["CD1_2"] == pytest.approx(0, abs=1e-12)


def test_beyond_the_edge_a_fits_cutout_is_nan_and_a_picture_is_transparent(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}"
    found, _ = opened(cut_client, f"{address}.fits?x=1&y=360&size=10")
    shown = picture(cut_client, f"{address}.png?x=1&y=360&size=10")

    known = np.zeros((10, 10), bool)
    known[:6, 5:] = True
    np.testing.assert_array_equal(np.isfinite(found), known)
    np.testing.assert_array_equal(shown[..., 3] == 255, known)


def test_pictures_show_the_pixels_upright(cut_client: FlaskClient, cut_world: Any) -> None:
    bias = cut_world.ids["BiasFrame"]
    shown = picture(cut_client, f"/cutouts/frame/{bias}.png?x=100&y=5&size=9&cuts=0,255000&stretch=linear")

    expected = cut_world.images[bias][0:9, 95:104] / 1000
    assert abs(shown.astype(float) - expected).max() < 1.1


def test_a_jpeg_shows_the_same(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}"
    answer = cut_client.get(f"{address}.jpg?x=200&y=180&size=64")
    png = picture(cut_client, f"{address}.png?x=200&y=180&size=64")
    jpeg = np.asarray(Image.open(io.BytesIO(answer.data)))[::-1]

    assert answer.mimetype == "image/jpeg"
    assert abs(jpeg.astype(int) - png.astype(int)).mean() < 4


def test_zoom_makes_blocks_of_pixels(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}.png?x=200&y=180&size=20"

    np.testing.assert_array_equal(
        picture(cut_client, address + "&zoom=3"), picture(cut_client, address).repeat(3, 0).repeat(3, 1)
    )


def test_a_cross_stands_at_the_very_position_on_a_magnified_picture(cut_client: FlaskClient, cut_world: Any) -> None:
    """The position is 0.3 pixel right of and 0.2 below a centre of a pixel: 10 times that when magnified."""
    address = f"/cutouts/frame/{cut_world.ids['coadd']}.png?x=101.3&y=80.8&size=21&cuts=0,1e6&mark=cross&zoom=10"
    shown = picture(cut_client, address)[..., :3].astype(int)
    marked = shown[..., 0] > 150
    y, x = np.nonzero(marked)

    assert ((x.min() + x.max()) / 2, (y.min() + y.max()) / 2) == (
        pytest.approx(104.5 + 3, abs=0.5),
        pytest.approx(104.5 - 2, abs=0.5),
    )
    assert not marked[95:110, 95:110].any()


@pytest.mark.parametrize("north", [False, True])
def test_an_ellipse_has_three_times_the_rms_of_the_source_and_its_angle(
    cut_client: FlaskClient, cut_world: Any, north: bool
) -> None:
    """On the second exposure, whose y axis stands at 20 degrees; east is left, so angles count the other way."""
    reduced, (ra, dec, _, _) = cut_world.reduced[1], cut_world.stars[12]
    query = f"ra={ra!r}&dec={dec!r}&size=121&cuts=0,1e6&mark=ellipse&ellipse=10,4,50&north={int(north)}"
    shown = picture(cut_client, f"/cutouts/frame/{reduced}.png?{query}")[..., :3]
    y, x = np.nonzero(shown[..., 0] > 150)
    x, y = x - x.mean(), y - y.mean()
    radius, angle = np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 180

    assert (radius.max(), radius.min()) == (pytest.approx(30, abs=1.6), pytest.approx(12, abs=1.6))
    # the y axis is 20 degrees east of north: north is 20 degrees right of it
    assert np.median(angle[radius > 29]) == pytest.approx(70 if north else 50, abs=3)


def test_where_the_pixels_are_cut_does_not_change_them(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}"
    by = {w: cut_client.get(f"{address}.json?x=90&y=90&where={w}").json for w in ("dataserver", "imageserver")}
    files = {w: opened(cut_client, f"{address}.fits?x=90&y=90&where={w}")[0] for w in ("dataserver", "imageserver")}

    np.testing.assert_array_equal(files["dataserver"], files["imageserver"])
    assert "the file that is here" in cut_client.get(f"{address}.json?x=90&y=90").json["steps"][0]["what"]
    assert "data server" in by["dataserver"]["steps"][0]["what"]
    assert "this server" in by["imageserver"]["steps"][0]["what"]
    cut_world.store.cache.forget(f"Sci-Coadd-{cut_world.ids['coadd']}.fits")


def test_the_steps_and_their_times_are_told(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}"
    steps = cut_client.get(f"{address}.json?x=90&y=90&north=1").json
    timing = cut_client.get(f"{address}.png?x=91&y=90").headers["Server-Timing"]

    assert [s["step"] for s in steps["steps"]] == ["section", "turn", "png"]
    assert steps["ms"] == pytest.approx(sum(s["ms"] for s in steps["steps"]), abs=0.01)
    assert [part.partition(";")[0] for part in timing.split(", ")] == ["kept", "section", "frame", "png"]


def test_a_cutout_is_kept_and_never_expires(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/frame/{cut_world.ids['coadd']}.png?x=92&y=90"
    first, again = cut_client.get(address), cut_client.get(address)

    assert again.data == first.data
    assert again.headers["Server-Timing"].startswith("kept;")
    assert "section" not in again.headers["Server-Timing"]
    assert "immutable" in first.headers["Cache-Control"]
    unchanged = cut_client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_planes_are_cut_as_the_image_is(cut_client: FlaskClient, cut_world: Any) -> None:
    found, header = opened(cut_client, f"/cutouts/frame/{cut_world.ids['coadd']}.fits?x=9&y=9&size=4&plane=weight")

    assert (found == 1).all()
    assert header["EXTNAME"] == "WEIGHT"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "x and y (pixels) or ra and dec"),
        ("x=5", "x was given"),
        ("x=5&y=5&ra=150&dec=2", "x and ra were both given"),
        ("x=nan&y=5", "x must be"),
        ("x=1e9&y=5", "x must be a number from"),
        ("ra=150&dec=91", "dec"),
        ("ra=<script>&dec=1", "ra"),
        ("x=5&y=5&size=0", "size must be"),
        ("x=5&y=5&size=-5", "size must be"),
        ("x=5&y=5&size=5000", "size must be"),
        ("x=5&y=5&size=1.5", "size must be"),
        ("x=5&y=5&size=10parsec", "size must be"),
        ("x=5&y=5&size=11arcmin&zoom=16", "limit is 16,777,216"),
        ("x=5&y=5&size=9arcmin&zoom=16", "limit is 16,777,216"),
        ("x=5&y=5&size=4096&zoom=2", "limit is 16,777,216"),
        ("x=5&y=5&zoom=17", "zoom must be"),
        ("x=5&y=5&zoom=0", "zoom must be"),
        ("x=5&y=5&mark=star", "mark must be none or cross or ellipse or both"),
        ("x=5&y=5&ellipse=1,2", "ellipse must be"),
        ("x=5&y=5&ellipse=1,-2,3", "ellipse must be"),
        ("x=5&y=5&axes=1,1,1,1", "axes must be"),
        ("x=5&y=5&where=moon", "where must be"),
        ("x=5&y=5&stretch=log2", "stretch must be"),
        ("x=5&y=5&cuts=5,1", "cuts must be"),
        ("x=5&y=5&sise=5", "no parameter 'sise' at this address; near ones: size"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(cut_client: FlaskClient, cut_world: Any, query: str, said: str) -> None:
    answer = cut_client.get(
        f"/cutouts/frame/{cut_world.ids['coadd']}.png?{query}", headers={"Accept": "application/json"}
    )

    assert answer.status_code == 400
    assert said in answer.json["error"]


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/cutouts/frame/{coadd}.png?x=2000&y=5", 404, "lies outside the image, which is 400 x 360"),
        ("/cutouts/frame/{coadd}.png?ra=10&dec=80", 404, "outside the image"),
        ("/cutouts/frame/{coadd}.fits?ra=330&dec=-2", 404, "outside the image"),
        ("/cutouts/frame/{coadd}.gif?x=5&y=5", 400, "no cutouts of kind 'gif'"),
        ("/cutouts/frame/999999.png?x=5&y=5", 404, "no object 999999"),
        ("/cutouts/frame/{slid}.png?x=5&y=5", 404, "SourceList {slid} has no image file"),
        ("/cutouts/frame/{BiasFrame}.png?ra=150&dec=2", 400, "has no place on the sky"),
        ("/cutouts/frame/{BiasFrame}.png?x=5&y=5&size=5arcsec", 400, "no place on the sky: give pixels"),
        ("/cutouts/frame/{BiasFrame}.png?x=5&y=5&north=1", 400, "can't be turned north up"),
        ("/cutouts/frame/{BiasFrame}.png?x=5&y=5&plane=weight", 404, "no plane weight"),
    ],
)
def test_what_can_not_be_cut_is_said(
    cut_client: FlaskClient, cut_world: Any, address: str, status: int, said: str
) -> None:
    answer = cut_client.get(address.format(**cut_world.ids), headers={"Accept": "application/json"})

    assert (answer.status_code, said.format(**cut_world.ids) in answer.json["error"]) == (status, True), answer.json


def test_the_form_leads_to_the_cutout(cut_client: FlaskClient, cut_world: Any) -> None:
    answer = cut_client.get(f"/cutouts/frame?frame={cut_world.ids['coadd']}&x=&y=&ra=150&dec=2&size=64&form=fits")

    assert answer.headers["Location"] == f"/cutouts/frame/{cut_world.ids['coadd']}.fits?ra=150&dec=2&size=64"
    assert cut_client.get(answer.headers["Location"]).mimetype == "application/fits"
    assert cut_client.get("/cutouts/frame?x=1&y=2").status_code == 400


@given(st.text(max_size=30))
def test_any_text_is_a_size_within_the_limits_or_refused(text: str) -> None:
    try:
        size = Size.parse(text)
    except ValueError:
        return
    assert min(size.width, size.height) > 0
    assert max(size.width, size.height) <= (LARGEST_SIDE if size.in_pixels else 36_000)


@given(st.integers(1, LARGEST_SIDE), st.integers(1, LARGEST_SIDE), st.sampled_from(["", "px", " px"]))
def test_a_size_is_read_as_it_is_written(width: int, height: int, unit: str) -> None:
    size = Size.parse(f"{width}x{height}{unit}")

    assert (size.width, size.height, size.in_pixels) == (width, height, True)
    assert Size.parse(str(size)) == size


@given(st.text(max_size=40), st.sampled_from(PLACE))
def test_any_text_for_a_place_is_read_or_refused_with_its_name(text: str, parameter: Parameter) -> None:
    said = parameter.name
    try:
        parameter.read(text)
    except BadRequest as error:
        said = str(error)
    assert parameter.name in said or "deg" in said


def test_equal_requests_have_equal_addresses() -> None:
    usual = CutoutRequest().texts()
    read = {"size": "64", "north": False, "plane": "image", "where": "auto", "zoom": 1, "mark": "none"}

    assert CutoutRequest().query() == {}
    assert usual["size"] == read["size"]


def test_kernels_of_pictures_are_loaded_before_the_first_request() -> None:
    load_kernels_aside().join(60)

    assert _look_up.signatures
