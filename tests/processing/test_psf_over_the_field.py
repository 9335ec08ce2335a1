"""The pages of a PSF model: true widths and shapes at all places of the field, a picture of stars, clear refusals."""

import csv
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from awe.kernels.psf import Psf
from awe.kernels.psf_shape import ellipticity_of, width_of
from awe.model import Coadd, PsfModel
from awe.psf_files import psf_of_file, residuals_of_file
from awe.services.app import create_app
from awe.services.psf_field import drawing, mosaic, stars

SAMPLING, SIDE = 0.5, 61
SHAPE = (300, 400)


def gaussian(fwhm, ellipticity=0.0, angle=0.0):
    place = (np.arange(SIDE) - SIDE // 2) * SAMPLING
    x, y = np.meshgrid(place, place)
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    across = -x * np.sin(np.radians(angle)) + y * np.cos(np.radians(angle))
    major = fwhm / 2.3548 / np.sqrt(1 - ellipticity)
    minor = major * (1 - ellipticity)
    picture = np.exp(-(along**2) / (2 * major**2) - across**2 / (2 * minor**2))
    return picture / picture.sum() / SAMPLING**2


def model():
    """Return stars that are 3 pixels wide on the left border of the field and 5 on the right one."""
    left, right = gaussian(3.0), gaussian(5.0)
    middle, slope = (left + right) / 2, (right - left) / 2
    basis = np.array([middle, slope, np.zeros_like(middle)])
    zero = (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2
    return Psf(basis, SAMPLING, 1, zero, (SHAPE[1] / 2, SHAPE[0] / 2), width_of(middle, SAMPLING))


@pytest.mark.parametrize("fwhm", [2.5, 4.0, 7.0])
def test_the_width_of_a_gaussian_is_its_own(fwhm):
    # the area above half of the peak is counted in pixels of an eighth: half of one is its error
    assert width_of(gaussian(fwhm), SAMPLING) == pytest.approx(fwhm, abs=0.07)


@pytest.mark.parametrize(("ellipticity", "angle"), [(0.0, 0.0), (0.1, 30.0), (0.2, -60.0), (0.3, 90.0)])
def test_under_a_window_of_its_width_an_ellipse_is_half_as_long(ellipticity, angle):
    found, turned = ellipticity_of(gaussian(4.0, ellipticity, angle), SAMPLING, 4.0)
    # the inverse squares of window and axes add up
    sigma, ratio = 4.0 / 2.3548, 1 - ellipticity
    major2, minor2 = sigma**2 / ratio, sigma**2 * ratio
    expected = 1 - np.sqrt((1 / major2 + 1 / sigma**2) / (1 / minor2 + 1 / sigma**2))

    assert found == pytest.approx(expected, abs=0.003)
    if ellipticity:
        assert (turned - angle + 90) % 180 - 90 == pytest.approx(0, abs=0.5)


def test_stars_stand_from_the_top_left_on_and_grow_to_the_right():
    found = stars(model(), SHAPE, 4)
    widths = np.array([star.fwhm for star in found]).reshape(4, 4)

    assert [(s.x, s.y) for s in found[:2]] == [(50.5, 263.0), (150.5, 263.0)]
    assert found[-1].y == pytest.approx(38.0)
    assert np.all(np.diff(widths, axis=1) > 0.1)
    np.testing.assert_allclose(widths, widths[:1].repeat(4, axis=0))
    assert max(star.ellipticity for star in found) < 0.01


def test_the_picture_has_a_star_in_each_cell_and_the_sharpest_is_the_brightest():
    levels = mosaic(model(), SHAPE, 3)
    side = (levels.shape[0] - 1) // 3
    cells = levels[1:, 1:].reshape(3, side, 3, side).swapaxes(1, 2)[:, :, :-1, :-1]
    peaks = cells.max(axis=(2, 3))

    assert levels.dtype == np.uint8
    assert np.all(peaks[:, 0] == 255)
    assert np.all(np.diff(peaks.astype(int), axis=1) < 0)
    assert np.all(levels[0] == 128)


def test_the_map_has_a_circle_and_a_stick_for_each_star():
    found = stars(model(), SHAPE, 3)
    root = ET.fromstring(str(drawing(found, SHAPE, 3)))
    circles = [float(c.attrib["r"]) for c in root.iter("{http://www.w3.org/2000/svg}circle")]

    assert len(circles) == 9
    assert circles[0] < circles[1] < circles[2]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 9


@pytest.fixture
def client(copied):
    site = copied("made")
    return site, create_app(site.settings, site.engine, site.store).test_client()


def test_the_page_of_a_model_tells_width_shape_and_residuals_over_the_field(client):
    site, web = client
    (psf,) = site.all(PsfModel)
    found = web.get(f"/object/{psf.object_id}/psf.json?cells=3").json
    text = web.get(f"/object/{psf.object_id}/psf?cells=3", headers={"Accept": "text/html"}).get_data(as_text=True)
    own = psf_of_file(site.store.retrieve(psf.filename))

    assert (found["accepted"], found["loaded"]) == (psf.n_stars, psf.n_candidates)
    assert found["chi2"] == pytest.approx(psf.chi2, abs=1e-4)
    assert len(found["stars"]) == 9
    middle = found["stars"][4]
    assert middle["fwhm"] == pytest.approx(psf.fwhm, rel=0.1)
    assert middle["fwhm"] == pytest.approx(
        width_of(own.picture(middle["x"] - 1, middle["y"] - 1), own.sampling), abs=1e-4
    )
    assert len(re.findall("<circle", text)) == 9
    assert f"/object/{psf.object_id}/psf.png?cells=3" in text


def test_the_stars_of_a_model_are_listed_with_their_residuals_and_drawn(client):
    site, web = client
    (psf,) = site.all(PsfModel)
    address = f"/object/{psf.object_id}/psf-stars"
    listed = web.get(f"{address}.json").json["stars"]
    text = web.get(address, headers={"Accept": "text/html"}).get_data(as_text=True)
    used, tried = ([star for star in listed if star[name] not in (False, None)] for name in ("used", "chi2"))
    with site.session() as session:
        zeropoint = session.get(PsfModel, psf.object_id).frame.zeropoint

    assert (len(used), len(tried)) == (psf.n_stars, psf.n_candidates)
    assert all(bool(star["reason"]) is not star["used"] for star in listed)
    assert [star["flux"] for star in listed] == sorted((star["flux"] for star in listed), reverse=True)
    assert np.median([star["chi2"] for star in used]) == pytest.approx(psf.chi2, rel=0.3)
    for star in used:
        assert star["magnitude"] == pytest.approx(zeropoint - 2.5 * np.log10(star["flux"]))
        assert abs(star["fwhm"]) < 5 * star["fwhm_error"] + 0.05 * psf.fwhm
    assert text.count('<circle class="width"') == len(used)
    assert text.count('class="leftout"') == len(listed) - len(used)
    assert f"{address}.csv" in text
    assert web.get(f"/object/{psf.object_id}/psf-residuals.png").data.startswith(b"\x89PNG")
    parts = residuals_of_file(site.store.retrieve(psf.filename))
    assert parts["count"].sum() == len(used)


def test_the_stars_of_a_model_are_had_as_files(client):
    site, web = client
    (psf,) = site.all(PsfModel)
    address = f"/object/{psf.object_id}/psf-stars"
    listed = web.get(f"{address}.json").json["stars"]
    rows = list(csv.DictReader(io.StringIO(web.get(f"{address}.csv").get_data(as_text=True))))
    table = Table.read(io.BytesIO(web.get(f"{address}.fits").data), format="fits")
    votable = Table.read(io.BytesIO(web.get(f"{address}.vot").data), format="votable", use_names_over_ids=True)

    assert [row["reason"] for row in rows] == [star["reason"] for star in listed]
    for found in (table, votable):
        np.testing.assert_allclose(found["flux"], [star["flux"] for star in listed], rtol=1e-6)
        assert str(found["fwhm"].unit) in ("pix", "pixel")
    assert web.get(f"{address}.csv").headers["Content-Disposition"].endswith(f'psf-stars-{psf.object_id}.csv"')


def test_a_model_of_an_earlier_version_has_no_list_of_stars(client, tmp_path):
    site, web = client
    (psf,) = site.all(PsfModel)
    with fits.open(site.store.retrieve(psf.filename)) as hdus:
        del hdus["STARS"]
        hdus.writeto(tmp_path / "earlier.fits")
    stored = site.store.put(tmp_path / "earlier.fits", "earlier.fits")
    with site.session() as session:
        own = session.get(PsfModel, psf.object_id)
        own.filename, own.sha256 = stored.filename, stored.sha256
        session.commit()

    refused = web.get(f"/object/{psf.object_id}/psf-stars.json")
    assert refused.status_code == 404
    assert "was made by an earlier version, which did not keep its stars: make it again" in refused.get_data(
        as_text=True
    )
    assert web.get(f"/object/{psf.object_id}/psf.json").status_code == 200


def test_the_picture_of_a_model_is_a_png_that_is_kept_for_ever(client):
    site, web = client
    (psf,) = site.all(PsfModel)
    answer = web.get(f"/object/{psf.object_id}/psf.png?cells=2&cmap=viridis")
    again = web.get(answer.request.path + "?cells=2&cmap=viridis", headers={"If-None-Match": answer.headers["ETag"]})

    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"PLTE" in answer.data
    assert "immutable" in answer.headers["Cache-Control"]
    assert again.status_code == 304
    page = web.get(f"/object/{psf.object_id}", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert f"/object/{psf.object_id}/psf.png" in page


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/object/{coadd}/psf", 404, "is no PsfModel"),
        ("/object/{coadd}/psf.png", 404, "is no PsfModel"),
        ("/object/{psf}/psf?cells=1", 400, "2 to 9"),
        ("/object/{psf}/psf.png?cells=99", 400, "2 to 9"),
        ("/object/{psf}/psf.png?cmap=pink", 400, "gray"),
        ("/object/999999/psf", 404, "999999"),
    ],
)
def test_what_has_no_model_is_refused_with_the_reason(client, path, status, said):
    site, web = client
    numbers = {"coadd": site.all(Coadd)[0].object_id, "psf": site.all(PsfModel)[0].object_id}
    answer = web.get(path.format(**numbers))

    assert answer.status_code == status
    assert said in answer.get_data(as_text=True)


def test_a_model_without_a_star_says_so(client):
    site, web = client
    (psf,) = site.all(PsfModel)
    site.change(PsfModel, psf.object_id, filename=None, remark="there is no model: no star")
    answer = web.get(f"/object/{psf.object_id}/psf.json")

    assert answer.status_code == 404
    assert "no star" in answer.get_data(as_text=True)
    assert "psf.png" not in web.get(f"/object/{psf.object_id}", headers={"Accept": "text/html"}).get_data(as_text=True)
