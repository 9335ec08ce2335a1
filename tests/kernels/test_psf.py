"""PSF models: beside analytic profiles that vary over the field, and robust against what is no star."""

import numpy as np
import pytest

from awe.kernels.psf import Psf, polynomial, psf_of_table, psf_table
from awe.kernels.psf_fitting import StarStamps, fit_psf

SIDE, GAIN, SIGMA = 41, 2.0, 4.0
SHAPE = (2000, 1500)
FINE = 7


def moffat(dx, dy, fwhm, beta, e1=0.0, e2=0.0):
    """Return an elliptic Moffat profile of unit flux."""
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    # area is kept: u = S r with det S = 1
    norm = np.sqrt(1 - e1**2 - e2**2)
    u, v = ((1 - e1) * dx - e2 * dy) / norm, (-e2 * dx + (1 + e1) * dy) / norm
    return (beta - 1) / (np.pi * alpha2) * (1 + (u**2 + v**2) / alpha2) ** -beta


def true_star(x, y, at_x, at_y, side=SIDE, fwhm=3.6, beta=3.0):
    """Return a star at (at_x, at_y) of a stamp, on pixels, with the width and shape of the place (x, y) of a field."""
    u, v = (x - SHAPE[1] / 2) / (SHAPE[1] / 2), (y - SHAPE[0] / 2) / (SHAPE[0] / 2)
    width, e1, e2 = fwhm * (1 + 0.05 * u + 0.05 * v**2), 0.08 * u, 0.06 * v
    fine = (np.arange(side * FINE) + 0.5) / FINE - 0.5
    light = moffat(fine[None, :] - at_x, fine[:, None] - at_y, width, beta, e1, e2)
    return light.reshape(side, FINE, side, FINE).mean((1, 3))


def star_stamps(rng, count=150, fwhm=3.6, beta=3.0, noise=SIGMA, gain=GAIN):
    x, y = rng.uniform(30, SHAPE[1] - 30, count), rng.uniform(30, SHAPE[0] - 30, count)
    corner_x, corner_y = (np.rint(p).astype(int) - SIDE // 2 for p in (x, y))
    flux = 10 ** rng.uniform(4.3, 5.3, count)
    at = x - corner_x, y - corner_y
    truth = np.array([f * true_star(*p, fwhm=fwhm, beta=beta) for f, *p in zip(flux, x, y, *at, strict=True)])
    light = rng.poisson(np.maximum(truth, 0) * gain) / gain + rng.normal(0, noise, truth.shape)
    weight = np.full(light.shape, 1 / noise**2, np.float32)
    measured = x + rng.normal(0, 0.02, count), y + rng.normal(0, 0.02, count)
    return StarStamps(*measured, light.astype(np.float32), weight, corner_x, corner_y, gain)


def flux_bias(psf, x, y):
    """Return the relative error of the flux of a star without noise that is fitted by the model within 7 pixels."""
    model, i0, j0 = psf.stamp(x + 0.3, y - 0.2, SIDE)
    at = x + 0.3 - i0, y - 0.2 - j0
    truth = true_star(x, y, *at)
    weight = np.hypot(*(np.indices(truth.shape) - np.array(at)[::-1, None, None])) < 7
    return (weight * truth * model).sum() / (weight * model**2).sum() - 1


@pytest.mark.parametrize("fwhm", [2.2, 3.6, 5.0])
def test_the_model_follows_the_field(fwhm):
    psf = fit_psf(star_stamps(np.random.default_rng(3), fwhm=fwhm), fwhm, SHAPE)

    assert psf.degree == 2
    # what a pixel collects is wider than what falls on it
    assert psf.fwhm == pytest.approx(np.hypot(fwhm, 2.3548 / np.sqrt(12)), rel=0.03)
    assert psf.basis[0].sum() * psf.sampling**2 == pytest.approx(1.0)
    for x, y in ((100, 100), (750, 1000), (1400, 1900), (1400, 100)):
        model, i0, j0 = psf.stamp(x + 0.3, y - 0.2, SIDE)
        truth = true_star(x, y, x + 0.3 - i0, y - 0.2 - j0, fwhm=fwhm)
        assert np.abs(model - truth).max() < 0.02 * truth.max()
        # the flux of the model is what its picture holds, the true one goes on beyond
        assert model.sum() == pytest.approx(truth.sum(), abs=0.003)


def test_bright_stars_have_the_flux_that_is_true():
    psf = fit_psf(star_stamps(np.random.default_rng(4)), 3.6, SHAPE)
    places = [(x, y) for x in (100, 500, 900, 1400) for y in (100, 700, 1300, 1900)]
    biases = np.array([flux_bias(psf, x, y) for x, y in places])

    assert abs(biases.mean()) < 0.002
    assert np.abs(biases).max() < 0.006


def test_blends_galaxies_and_cosmic_rays_do_not_matter():
    rng = np.random.default_rng(5)
    clean = star_stamps(rng)
    light = clean.light.copy()
    for k in range(0, 150, 5):
        light[k] += 0.4 * light[k].sum() * true_star(750, 1000, 25.0, 22.0)
    for k in range(1, 150, 10):
        light[k] = light[k].sum() * true_star(750, 1000, 20.0, 20.0, fwhm=5.5)
    for k in range(2, 150, 3):
        j, i = rng.integers(8, 33, 2)
        light[k, j, i : i + 3] += 3000
    spoiled = StarStamps(clean.x, clean.y, light, clean.weight, clean.corner_x, clean.corner_y, GAIN)
    psf = fit_psf(spoiled, 3.6, SHAPE)

    assert psf.accepted <= 150 - 15
    assert psf.fwhm == pytest.approx(fit_psf(clean, 3.6, SHAPE).fwhm, rel=0.02)
    assert abs(np.mean([flux_bias(psf, x, y) for x in (200, 1300) for y in (200, 1800)])) < 0.01


def test_few_stars_give_a_model_that_varies_less():
    for count, degree in ((1, 0), (5, 0), (12, 1), (24, 2)):
        psf = fit_psf(star_stamps(np.random.default_rng(6), count), 3.6, SHAPE)
        assert psf.degree == degree
        assert psf.fwhm == pytest.approx(3.6, rel=0.12)
        assert np.isfinite(psf.basis).all()


def test_no_star_and_nothing_but_masked_stars_are_refused():
    with pytest.raises(ValueError, match="no star"):
        fit_psf(star_stamps(np.random.default_rng(1), 0), 3.6, SHAPE)
    some = star_stamps(np.random.default_rng(1), 3)
    masked = StarStamps(some.x, some.y, some.light, 0 * some.weight, some.corner_x, some.corner_y)
    with pytest.raises(ValueError, match="none of the 3 stars"):
        fit_psf(masked, 3.6, SHAPE)


def test_files_of_psfex_keep_all_of_a_model():
    psf = Psf(np.random.default_rng(1).random((6, 25, 25)), 0.8, 2, (749.5, 999.5), (750.0, 1000.0), 3.6, 1.1, 60, 55)
    row, cards = psf_table(psf)
    back = psf_of_table(row["PSF_MASK"][0], cards)

    np.testing.assert_allclose(back.basis, psf.basis, rtol=1e-6)
    assert (back.zero, back.scale, back.degree, back.sampling) == (psf.zero, psf.scale, psf.degree, psf.sampling)
    assert (back.fwhm, back.chi2, back.loaded, back.accepted) == (3.6, 1.1, 60, 55)
    with pytest.raises(ValueError, match="MAG_AUTO"):
        psf_of_table(row["PSF_MASK"][0], cards | {"POLNAME2": "MAG_AUTO"})
    with pytest.raises(ValueError, match="shape"):
        psf_of_table(row["PSF_MASK"][0][:4], cards)


def test_the_polynomial_has_the_order_of_psfex():
    assert polynomial(np.array([2.0]), np.array([3.0]), 2)[0].tolist() == [1, 2, 4, 3, 6, 9]
