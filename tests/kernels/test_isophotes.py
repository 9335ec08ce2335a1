"""Areas above a threshold: beside sep, split where they should be, and independent of the bands they are read in."""

import numpy as np
import pytest
import sep
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import gamma, gammainc, gammaincinv

from awe.kernels import planes, regions, thresholding
from awe.kernels.components import connected
from awe.kernels.detection import detect, detect_in
from awe.kernels.isophotes import isophotes
from awe.kernels.planes import Rows, Scene, scene
from awe.kernels.thresholding import PixelList, pixels_above

SIGMA = 5.0


def star_field(rng, shape, count):
    """Return Gaussian stars and larger, inclined blobs in white noise."""
    ny, nx = shape
    image = rng.normal(0, SIGMA, shape)
    rows, columns = np.mgrid[-40:41, -40:41]
    for x, y, kind in zip(rng.uniform(0, nx, count), rng.uniform(0, ny, count), rng.random(count), strict=True):
        j, i = int(y), int(x)
        dx, dy = columns - (x - i), rows - (y - j)
        xx, yy, xy = (4.0, 4.0, 0.0) if kind < 0.8 else (30.0, 12.0, 8.0)
        root = xx * yy - xy**2
        light = np.exp(-0.5 * (yy * dx**2 + xx * dy**2 - 2 * xy * dx * dy) / root) / (2 * np.pi * np.sqrt(root))
        flux = 10 ** rng.uniform(2.7, 5)
        j0, j1, i0, i1 = max(0, j - 40), min(ny, j + 41), max(0, i - 40), min(nx, i + 41)
        image[j0:j1, i0:i1] += flux * light[j0 - j + 40 : j1 - j + 40, i0 - i + 40 : i1 - i + 40]
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def image():
    return star_field(np.random.default_rng(5), (700, 600), 300)


def test_sources_are_those_of_sep(image):
    pixels = pixels_above(scene(Rows(image, rms=SIGMA)), 1.5)
    ours = isophotes(pixels, 1.5, 5, 32, 0.005, 0.0, 2.0).rows
    theirs = sep.extract(image, 1.5, err=SIGMA, gain=2.0, filter_type="conv", clean=False)

    distance, place = cKDTree(np.column_stack([theirs["x"], theirs["y"]])).query(
        np.column_stack([ours["x"], ours["y"]])
    )
    same = (distance < 0.01) & (ours["area"] == theirs["npix"][place])
    # where blends meet, sep draws lots for their pixels
    assert same[~ours["blended"]].mean() > 0.97
    assert np.mean(distance < 0.5) > 0.95
    same &= ~ours["blended"]
    theirs, ours = theirs[place[same]], ours[same]
    for own, other in (("xx", "x2"), ("yy", "y2"), ("errxx", "errx2"), ("erryy", "erry2"), ("flux", "cflux")):
        np.testing.assert_allclose(ours[own], theirs[other], rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(ours["peak"], theirs["cpeak"], rtol=1e-5)


def test_cleaning_takes_away_about_what_sep_takes(image):
    pixels = pixels_above(scene(Rows(image, rms=SIGMA)), 1.5)
    ours = [len(isophotes(pixels, 1.5, 5, 32, 0.005, clean, 2.0).rows) for clean in (0.0, 1.0)]
    theirs = [len(sep.extract(image, 1.5, err=SIGMA, filter_type="conv", clean=clean)) for clean in (False, True)]

    assert ours[0] == pytest.approx(theirs[0], rel=0.02)
    assert ours[1] == pytest.approx(theirs[1], rel=0.04)
    assert ours[1] < ours[0]


def blend(separation, ratio):
    rows, columns = np.mgrid[:60, :80]
    light = [np.exp(-((columns - x) ** 2 + (rows - 30) ** 2) / 8) for x in (30, 30 + separation)]
    return (1000 * (light[0] + ratio * light[1])).astype(np.float32)


@pytest.mark.parametrize(
    ("separation", "ratio", "contrast", "count"),
    [(9, 1.0, 0.005, 2), (9, 0.1, 0.005, 2), (9, 0.1, 0.3, 1), (3, 1.0, 0.005, 1), (9, 1.0, 1.0, 1)],
)
def test_two_peaks_are_two_sources_if_each_has_its_part_of_the_flux(separation, ratio, contrast, count):
    pixels = pixels_above(scene(Rows(blend(separation, ratio), rms=1.0)), 1.5)
    found = isophotes(pixels, 1.5, 5, 32, contrast, 0.0, 1.0)

    assert len(found.rows) == count
    assert found.rows["area"].sum() == len(pixels.x)
    assert np.all(found.rows["blended"] == (count > 1))


def test_the_pixels_of_a_blend_go_to_the_nearer_of_two_equals():
    found = isophotes(pixels_above(scene(Rows(blend(10, 1.0), rms=1.0)), 1.5), 1.5, 5, 32, 0.005, 0.0, 1.0)
    owner = found.segmentation(0, 60)[30]

    assert np.all(owner[26:35] == owner[30])
    assert np.all(owner[36:45] == owner[40])
    assert owner[30] != owner[40]


def test_areas_touch_by_corners_too():
    x, y = np.array([3, 4, 9, 5, 8], np.int32), np.array([0, 1, 1, 2, 2], np.int32)
    light = np.ones(5, np.float32)
    pixels = PixelList((3, 12), x, y, light, light, np.array([0, 1, 3, 5]))

    assert connected(pixels).tolist() == [0, 0, 1, 0, 1]


def test_a_large_image_gives_the_same_sources_wherever_its_bands_lie(image, monkeypatch):
    """Each source is counted once, and measured alike, whether the image is read whole or in bands of any height."""
    whole = detect(image, rms=SIGMA, gain=2.0)
    places = np.column_stack([whole["X_IMAGE"], whole["Y_IMAGE"]])
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1000)
    for rows, margin, threads in ((64, 256, 1), (97, 40, 2)):
        monkeypatch.setattr(regions, "BAND_ROWS", rows)
        monkeypatch.setattr(regions, "MARGIN", margin)
        monkeypatch.setattr(thresholding, "BAND_PIXELS", rows * 331)
        parts = detect(image, rms=SIGMA, gain=2.0, threads=threads)

        assert len(parts) == len(whole)
        np.testing.assert_allclose(np.column_stack([parts["X_IMAGE"], parts["Y_IMAGE"]]), places, atol=1e-9)
        for name in whole.dtype.names:
            if name.startswith(("FLUX", "XWIN", "FLAGS", "FWHM", "STELL")):
                np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_rows_are_read_as_they_are_needed(image, monkeypatch):
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(regions, "BAND_ROWS", 64)
    monkeypatch.setattr(thresholding, "BAND_PIXELS", 600 * 64)
    most = [0]

    def read(y0, y1):
        most[0] = max(most[0], y1 - y0)
        return Rows(image[y0:y1], rms=SIGMA)

    found = detect_in(Scene(read, image.shape, 2.0))

    assert len(found) == len(detect(image, rms=SIGMA, gain=2.0))
    assert most[0] <= max(66, regions.CHUNK_PIXELS // 600)


def test_sources_are_found_on_one_image_and_measured_on_another(image):
    fainter = scene(Rows((0.5 * image).astype(np.float32), rms=SIGMA / 2))
    both = detect_in(scene(Rows(image, rms=SIGMA)), measure_on=fainter)
    one = detect(image, rms=SIGMA)

    np.testing.assert_array_equal(both["X_IMAGE"], one["X_IMAGE"])
    np.testing.assert_array_equal(both["ISOAREA_IMAGE"], one["ISOAREA_IMAGE"])
    np.testing.assert_allclose(both["FLUX_ISO"], one["FLUX_ISO"] / 2, rtol=1e-5)
    np.testing.assert_allclose(both["FLUXERR_AUTO"], one["FLUXERR_AUTO"] / 2, rtol=1e-3)
    with pytest.raises(ValueError, match="shape"):
        detect_in(scene(Rows(image, rms=SIGMA)), measure_on=scene(Rows(image[:50])))


def test_a_gaussian_has_the_petrosian_radius_of_theory():
    rows, columns = np.mgrid[:121, :121]
    sigma = 6.0
    image = 1e4 * np.exp(-((columns - 60) ** 2 + (rows - 60) ** 2) / (2 * sigma**2))
    found = detect(image.astype(np.float32), rms=0.1)

    # with u = r^2 / 2 sigma^2, the ring has exp(-u), the mean within (1 - exp(-u)) / u: their ratio is 0.2 at 2.663
    radius = found["PETRO_RADIUS"][0] * found["A_IMAGE"][0]
    assert radius == pytest.approx(sigma * np.sqrt(2 * 2.663), rel=0.02)
    assert found["FLUX_PETRO"][0] == pytest.approx(image.sum(), rel=1e-3)


def test_a_few_bad_pixels_do_not_cut_a_source_in_two():
    whole, image = blend(9, 0.0), blend(9, 0.0)
    image[:, 29:32] = np.nan
    image[27:30, 25:40] = np.nan
    wide = blend(9, 0.0)
    wide[:, 24:36] = np.nan
    found = [
        isophotes(pixels_above(scene(Rows(i, rms=1.0)), 1.5), 1.5, 5, 32, 0.005, 0.0, 1.0).rows
        for i in (whole, image, wide)
    ]

    assert [len(rows) for rows in found[:2]] == [1, 1]
    assert found[1]["x"][0] == pytest.approx(30.0, abs=0.01)
    assert found[1]["area"][0] == pytest.approx(found[0]["area"][0], rel=0.05)
    # what is wider is no gap but unknown
    assert not len(found[2]) or np.all((found[2]["x1"] < 24) | (found[2]["x0"] > 35))


def sersic(shape, x, y, index, radius, flux):
    """Return a round galaxy, each pixel the mean of 5 x 5 places."""
    b = gammaincinv(2 * index, 0.5)
    fine = (np.arange(5 * shape[0]) + 0.5) / 5 - 0.5 - y, (np.arange(5 * shape[1]) + 0.5) / 5 - 0.5 - x
    r = np.hypot(fine[0][:, None], fine[1])
    light = np.exp(-b * (r / radius) ** (1 / index))
    light *= flux * b ** (2 * index) / (2 * np.pi * index * radius**2 * gamma(2 * index))
    return light.reshape(shape[0], 5, shape[1], 5).mean(axis=(1, 3))


def petrosian(index, radius):
    """Return the Petrosian radius of a galaxy, and the part of its light within twice that (Graham & Driver 2005)."""
    b = gammaincinv(2 * index, 0.5)

    def ratio(r):
        x = b * (r / radius) ** (1 / index)
        return x ** (2 * index) * np.exp(-x) / (2 * index * gamma(2 * index) * gammainc(2 * index, x)) - 0.2

    found = brentq(ratio, 0.5 * radius, 8 * radius)
    return found, gammainc(2 * index, b * (2 * found / radius) ** (1 / index))


@pytest.mark.parametrize("index", [0.5, 1.0, 2.0])
def test_galaxies_have_the_petrosian_radius_and_flux_of_theory(index):
    image = sersic((401, 401), 200.2, 199.7, index, 10.0, 1e6)
    # with less noise the ellipse of 3.5 A_IMAGE, the least one, holds more than that of theory
    found = detect(image.astype(np.float32), rms=5.0)
    radius, part = petrosian(index, 10.0)

    assert len(found) == 1
    # rings are a quarter of A_IMAGE wide
    assert found["PETRO_RADIUS"][0] * found["A_IMAGE"][0] == pytest.approx(radius, rel=0.03)
    assert found["FLUX_PETRO"][0] == pytest.approx(part * 1e6, rel=0.01)
    # half of the light in the Kron ellipse, which misses some
    assert found["FLUX_RADIUS"][0] == pytest.approx(10.0, rel=0.12)
    assert found["FLUX_AUTO"][0] == pytest.approx(1e6, rel=0.12)


def test_a_large_blend_on_the_seams_of_bands_is_separated_as_in_one_piece(monkeypatch):
    """Sixty sources that all touch, over all bands, and one whose middle lies on a seam."""
    rng = np.random.default_rng(15)
    rows, columns = np.mgrid[:400, :300]
    wide = np.exp(-((columns - 150) ** 2 / 30**2 + (rows - 200) ** 2 / 80**2) / 2)
    image = rng.normal(0, SIGMA, (400, 300)) + 60 * wide
    places = [(150.0, 64.0), *zip(rng.normal(150, 25, 60), rng.uniform(30, 370, 60), strict=True)]
    for x, y in places:
        image += 3000 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    image = image.astype(np.float32)
    whole = detect(image, rms=SIGMA, gain=2.0)
    assert np.sum(whole["FLAGS"] & 2 > 0) > 40
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1000)
    for rows_of_band in (32, 64, 51):
        monkeypatch.setattr(regions, "BAND_ROWS", rows_of_band)
        monkeypatch.setattr(regions, "MARGIN", 60)
        monkeypatch.setattr(thresholding, "BAND_PIXELS", rows_of_band * 300)
        parts = detect(image, rms=SIGMA, gain=2.0, threads=2)

        assert len(parts) == len(whole)
        for name in ("X_IMAGE", "Y_IMAGE", "ISOAREA_IMAGE", "FLUX_AUTO", "FLUX_APER", "FLUX_RADIUS", "FLAGS"):
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_both_images_are_seen_through_the_same_apertures(image):
    """Faint light under the apertures of bright sources: the ellipses are those of the image of detection."""
    first, second = scene(Rows(image, rms=SIGMA)), scene(Rows(0.01 * image, rms=SIGMA))
    one, both = detect_in(first), detect_in(first, measure_on=second)

    np.testing.assert_array_equal(both["KRON_RADIUS"], one["KRON_RADIUS"])
    np.testing.assert_array_equal(both["PETRO_RADIUS"], one["PETRO_RADIUS"])
    np.testing.assert_allclose(both["FLUX_AUTO"], 0.01 * one["FLUX_AUTO"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(both["FLUX_APER"], 0.01 * one["FLUX_APER"], rtol=1e-4, atol=1e-2)
