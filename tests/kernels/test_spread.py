"""SPREAD_MODEL: stars at zero, galaxies above, cosmic rays below, with errors that are true."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from awe.kernels.psf import Psf
from awe.kernels.psf_photometry import crowd_for, fit_crowd, stamps_of
from awe.kernels.spread import spread_model, widened
from tests.kernels.test_psf_photometry import SKY_SIGMA, field, grid, plane_of


@pytest.fixture(scope="module")
def psf():
    place = (np.arange(61) - 30) * 0.7
    light = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.6**2))
    return Psf(light[None] / light.sum() / 0.49, 0.7, 0, (0.0, 0.0), (1.0, 1.0), 2.3548 * 1.6)


def spread_of(plane, psf, x, y):
    crowd = crowd_for(psf, x, y, plane.image.shape)
    stamps = stamps_of(crowd, plane)
    return spread_model(crowd, stamps, psf, plane.gain, fit_crowd(crowd, stamps, psf, plane.gain))


def test_the_disc_keeps_the_flux_and_widens_by_its_moment(psf):
    wide, place = widened(psf)[0], (np.arange(61) - 30) * 0.7
    moments = [(p * place**2).sum() / p.sum() for p in (psf.basis[0], wide)]

    assert wide.sum() == pytest.approx(psf.basis[0].sum())
    # <x^2> of a disc exp(-r / h) is 3 h^2
    assert moments[1] - moments[0] == pytest.approx(3 * (psf.fwhm / 16) ** 2, rel=0.02)


@pytest.mark.parametrize("flux", [1000.0, 5000.0, 100000.0])
def test_stars_have_no_spread_within_its_error(psf, flux):
    rng = np.random.default_rng(2)
    x, y = grid(rng, 20, 41)
    plane = field(psf, x, y, np.full(x.size, flux), (860, 860), rng)
    spread, error = spread_of(plane, psf, x, y)

    assert (spread / error).std() == pytest.approx(1.0, abs=0.12)
    assert abs((spread / error).mean()) < 0.25


def test_galaxies_and_cosmic_rays_stand_apart(psf):
    rng = np.random.default_rng(3)
    x, y = grid(rng, 12, 41)
    kind = rng.integers(0, 3, x.size)
    stars = field(psf, x[kind == 0], y[kind == 0], np.full((kind == 0).sum(), 20000.0), (540, 540), rng)
    image = stars.image.copy()
    points = np.zeros((540, 540))
    points[np.rint(y[kind == 1]).astype(int), np.rint(x[kind == 1]).astype(int)] = 20000.0
    image += gaussian_filter(points, 2.4).astype(np.float32)  # half as wide again as a star
    image[np.rint(y[kind == 2]).astype(int), np.rint(x[kind == 2]).astype(int)] += 20 * SKY_SIGMA**2
    plane = plane_of(image)
    spread, error = spread_of(plane, psf, np.rint(x), np.rint(y))

    assert np.all(spread[kind == 1] > 0.005)
    assert np.all(spread[kind == 1] > 5 * error[kind == 1])
    assert np.all(np.abs(spread[kind == 0]) < 0.003 + 4 * error[kind == 0])
    assert np.all(spread[kind == 2] < -5 * error[kind == 2])


def test_a_source_without_flux_has_no_spread(psf):
    plane = plane_of(np.zeros((50, 50)), bad=np.ones((50, 50), bool))
    spread, error = spread_of(plane, psf, np.array([25.0]), np.array([25.0]))

    assert np.isnan(spread).all()
    assert np.isnan(error).all()
