"""From an image to its PSF and the measurements with it: in bands as whole, and where there is little or nothing."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from awe.kernels import planes, psf_crowd, regions, thresholding
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_positions
from awe.kernels.planes import Rows, scene
from awe.kernels.psf_model import measure_with_psf, model_psf
from tests.kernels.test_psf import moffat

GAIN, SIGMA, FWHM = 2.0, 4.0, 3.6


def observed(x, y, flux, shape, rng, fwhm=FWHM):
    """Return Moffat stars, integrated over pixels, with noise."""
    truth = np.zeros(shape)
    fine = (np.arange(61 * 5) + 0.5) / 5 - 0.5
    for at_x, at_y, total in zip(x, y, flux, strict=True):
        i0, j0 = round(at_x) - 30, round(at_y) - 30
        star = moffat(fine[None, :] - (at_x - i0), fine[:, None] - (at_y - j0), fwhm, 3.0)
        star = total * star.reshape(61, 5, 61, 5).mean((1, 3))
        j, i = slice(max(0, j0), min(shape[0], j0 + 61)), slice(max(0, i0), min(shape[1], i0 + 61))
        truth[j, i] += star[j.start - j0 : j.stop - j0, i.start - i0 : i.stop - i0]
    return (rng.poisson(truth * GAIN) / GAIN + rng.normal(0, SIGMA, shape)).astype(np.float32)


def measured(rows, threads=1):
    where = scene(rows, GAIN)
    found = find(where, threads=threads)
    catalogue = catalogue_of(where, found, threads=threads)
    psf = model_psf(where, found, catalogue, stars(catalogue), threads=threads)
    return catalogue, psf, measure_with_psf(where, psf, catalogue, threads)


@pytest.fixture(scope="module")
def sky():
    rng = np.random.default_rng(21)
    x, y, flux = rng.uniform(10, 790, 300), rng.uniform(10, 890, 300), 10 ** rng.uniform(3.3, 5.3, 300)
    return x, y, flux, observed(x, y, flux, (900, 800), rng)


def test_stars_of_a_field_have_true_fluxes_and_are_seen_to_be_stars(sky):
    x, y, flux, image = sky
    catalogue, psf, found = measured(Rows(image, rms=SIGMA))
    i, j = match_positions(x, y, found["XPSF_IMAGE"], found["YPSF_IMAGE"], 1.0)
    single = (catalogue["FLAGS"][j] == 0) & (flux[i] > 10000)
    i, j = i[single], j[single]

    assert psf.accepted > 60
    assert single.sum() > 100
    assert abs(np.median(found["FLUX_PSF"][j] / flux[i]) - 1) < 0.002
    pull = (found["FLUX_PSF"][j] - flux[i]) / np.hypot(found["FLUXERR_PSF"][j], 0.002 * flux[i])
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.25)
    assert np.mean(np.abs(found["SPREAD_MODEL"][j]) < 0.003 + 3 * found["SPREADERR_MODEL"][j]) > 0.97


def test_bands_of_a_large_image_give_the_same(sky, monkeypatch):
    _, _, _, image = sky
    catalogue, psf, found = measured(Rows(image, rms=SIGMA))
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(regions, "BAND_ROWS", 130)
    monkeypatch.setattr(regions, "MARGIN", 100)
    monkeypatch.setattr(thresholding, "BAND_PIXELS", 800 * 77)
    again, other, parts = measured(Rows(image, rms=SIGMA), threads=2)

    assert len(again) == len(catalogue)
    assert other.accepted == psf.accepted
    np.testing.assert_allclose(other.basis, psf.basis, atol=1e-5 * psf.basis.max())
    bright = catalogue["FLUX_AUTO"] > 20 * catalogue["FLUXERR_AUTO"]
    np.testing.assert_allclose(parts["FLUX_PSF"][bright], found["FLUX_PSF"][bright], rtol=2e-3)


def test_the_fit_of_a_source_does_not_depend_on_how_the_image_is_read(sky, monkeypatch):
    _, _, _, image = sky
    where = scene(Rows(image, rms=SIGMA), GAIN)
    catalogue, psf, whole = measured(Rows(image, rms=SIGMA))
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(regions, "BAND_ROWS", 77)
    monkeypatch.setattr(regions, "MARGIN", 40)
    banded = measure_with_psf(where, psf, catalogue, threads=2)
    monkeypatch.setattr(psf_crowd, "MOST_PIXELS", 30_000)
    zoned = measure_with_psf(where, psf, catalogue)

    for name in whole.dtype.names:
        np.testing.assert_array_equal(banded[name], whole[name])
    # a zone sees the light of those beyond it as far as it matters
    off = np.abs(zoned["FLUX_PSF"] - whole["FLUX_PSF"]) / whole["FLUXERR_PSF"]
    assert np.isfinite(off).all()
    assert off.max() < 0.05


def test_one_star_is_a_model(sky):
    rng = np.random.default_rng(3)
    _, psf, found = measured(Rows(observed([60.3], [50.7], [80000.0], (110, 120), rng), rms=SIGMA))

    assert (psf.degree, psf.accepted) == (0, 1)
    assert found["FLUX_PSF"][0] == pytest.approx(80000, rel=0.02)


def test_fields_without_a_usable_star_are_refused_with_the_reason():
    rng = np.random.default_rng(4)
    noise = rng.normal(0, SIGMA, (100, 100)).astype(np.float32)
    star = observed([50.0], [50.0], [80000.0], (100, 100), rng)
    full = np.where(star > 500, PixelFlag.SATURATED, 0).astype(np.uint8)
    cut = observed([2.0], [50.0], [80000.0], (100, 100), rng)
    refused = {
        "nothing but noise": Rows(noise, rms=SIGMA),
        "all masked": Rows(star, np.zeros((100, 100), np.float32)),
        "all NaN": Rows(np.full((100, 100), np.nan, np.float32)),
        "saturated only": Rows(star, rms=SIGMA, flags=full),
        "cut by the border": Rows(cut, rms=SIGMA),
    }
    for name, rows in refused.items():
        with pytest.raises(ValueError, match="star"):
            pytest.fail(f"{name}: {measured(rows)[1]}")


def test_nan_and_masked_pixels_do_not_spoil_the_model(sky):
    x, y, flux, image = sky
    spoiled, weight = image.copy(), np.full(image.shape, SIGMA**-2, np.float32)
    rng = np.random.default_rng(5)
    spoiled[rng.random(image.shape) < 0.003] = np.nan
    weight[:, 400:403] = 0
    spoiled[:, 401] = 1e6
    _, psf, found = measured(Rows(spoiled, weight))
    i, j = match_positions(x, y, found["XPSF_IMAGE"], found["YPSF_IMAGE"], 1.0)
    bright = flux[i] > 20000

    assert psf.fwhm == pytest.approx(np.hypot(FWHM, 0.68), rel=0.03)
    assert np.isfinite(psf.basis).all()
    assert abs(np.median(found["FLUX_PSF"][j[bright]] / flux[i[bright]]) - 1) < 0.004


def with_galaxies(image, x, y, flux, rng):
    """Add round exponential discs, seen through the same PSF, to an image; half of their light lies within 2 pixels."""
    fine = (np.arange(61 * 5) + 0.5) / 5 - 0.5
    star = moffat(fine[None, :] - 30, fine[:, None] - 30, FWHM, 3.0)
    for at_x, at_y, total in zip(x, y, flux, strict=True):
        i0, j0 = round(at_x) - 30, round(at_y) - 30
        radius = np.hypot(fine[None, :] - (at_x - i0), fine[:, None] - (at_y - j0))
        disc = fftconvolve(np.exp(-1.678 * radius / 2.0), star, mode="same").reshape(61, 5, 61, 5).mean((1, 3))
        disc *= total / disc.sum()
        image[j0 : j0 + 61, i0 : i0 + 61] += disc + rng.normal(0, 1, disc.shape) * np.sqrt(disc / GAIN)
    return image


def test_stars_and_galaxies_are_told_apart_down_to_a_tenth_of_a_percent_of_the_brightest():
    """Within |SPREAD_MODEL| < 0.003 + 2 errors, as Desai et al. (2012, ApJ 757, 83) classify, lie the stars."""
    rng = np.random.default_rng(33)
    place = np.arange(20) * 45 + 40
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, 400) for axis in np.meshgrid(place, place))
    is_star, flux = rng.random(400) < 0.5, 10 ** rng.uniform(3.0, 5.5, 400)
    shape = (940, 940)
    image = observed(x[is_star], y[is_star], flux[is_star], shape, rng)
    image = with_galaxies(image, x[~is_star], y[~is_star], flux[~is_star], rng)
    _, psf, found = measured(Rows(image, rms=SIGMA))
    i, j = match_positions(x, y, found["XPSF_IMAGE"], found["YPSF_IMAGE"], 2.0)
    spread, error = found["SPREAD_MODEL"][j], found["SPREADERR_MODEL"][j]
    as_star = np.abs(spread) < 0.003 + 2 * error

    assert psf.accepted > 40
    for low, least in ((10**4.0, 0.98), (10**3.5, 0.93)):
        bright = flux[i] > low
        # 150 or 200 sources: the last percent is one of them or two
        assert np.mean(as_star[bright & is_star[i]]) > least - 0.02
        assert np.mean(is_star[i][bright & as_star]) > least
    pull = spread[is_star[i]] / error[is_star[i]]
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.25)
