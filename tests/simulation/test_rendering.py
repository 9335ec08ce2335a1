"""Light of stars and galaxies: flux, position and form against integrals."""

from math import erf, sqrt

import numpy as np
import pytest

from awe.simulation.rendering import PROFILES, Kind, Psf, Sources, moffat_psf, render

SHAPE = (160, 150)


def _one(x: float, y: float, kind: Kind = Kind.STAR, ellipse: tuple[float, float, float] = (0, 0, 0)) -> Sources:
    xx, xy, yy = ellipse
    shape = np.array([[[xx, xy], [xy, yy]]], float)
    return Sources(np.array([x]), np.array([y]), np.ones(1), np.array([kind], np.uint8), shape)


def _integrated(psf: Psf, x: float, y: float) -> np.ndarray:
    """The PSF integrated over each pixel, by error functions."""

    def share(size: int, centre: float, variance: float) -> np.ndarray:
        edges = (np.arange(size + 1) - 0.5 - centre) / sqrt(2 * variance)
        return np.diff([erf(edge) for edge in edges]) / 2

    return sum(
        weight * np.outer(share(SHAPE[0], y, variance), share(SHAPE[1], x, variance))
        for weight, variance in zip(psf.shares, psf.variances, strict=True)
    )


@pytest.mark.parametrize("fwhm", [2.0, 2.5, 3.6, 7.0])
def test_flux_of_a_star_is_exact(fwhm: float) -> None:
    assert render(SHAPE, _one(70.3, 80.4), moffat_psf(fwhm)).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", [Kind.EXPONENTIAL, Kind.DE_VAUCOULEURS])
@pytest.mark.parametrize("ellipse", [(4.0, 0.0, 4.0), (0.2, 0.05, 0.1), (9.0, 6.0, 9.0)])
def test_flux_of_a_galaxy_is_exact(kind: Kind, ellipse: tuple[float, float, float]) -> None:
    assert render(SHAPE, _one(70.3, 80.4, kind, ellipse), moffat_psf(3.6)).sum() == pytest.approx(1, abs=1e-3)


# what is left is aliasing: the less of it, the better the PSF is sampled
@pytest.mark.parametrize(("fwhm", "tolerance"), [(2.0, 2e-3), (2.5, 1e-3), (3.0, 3e-4), (3.6, 5e-5), (7.0, 2e-5)])
def test_each_pixel_holds_the_integral_of_the_psf_over_it(fwhm: float, tolerance: float) -> None:
    psf = moffat_psf(fwhm)
    for x, y in [(70.0, 80.0), (70.5, 80.5), (70.3, 79.8)]:
        expected = _integrated(psf, x, y)
        assert np.abs(render(SHAPE, _one(x, y), psf) - expected).max() < tolerance * expected.max()


def test_a_star_outside_the_image_sheds_its_wings_on_it() -> None:
    psf = moffat_psf(4.0)

    image = render(SHAPE, _one(-3.0, 80.0), psf)

    assert image == pytest.approx(_integrated(psf, -3.0, 80.0), abs=1e-5)
    assert image.sum() > 0.01


def test_stars_far_outside_and_no_stars_give_an_empty_image() -> None:
    nothing = Sources(*[np.zeros(0)] * 3, np.zeros(0, np.uint8), np.zeros((0, 2, 2)))

    assert not render(SHAPE, nothing, moffat_psf(3.0)).any()
    assert not render(SHAPE, _one(-500.0, 80.0), moffat_psf(3.0)).any()


@pytest.mark.parametrize("fwhm", [2.5, 4.0])
def test_psf_has_the_fwhm_and_the_wings_of_a_moffat_function(fwhm: float) -> None:
    psf = moffat_psf(fwhm)
    alpha = fwhm / (2 * sqrt(2 ** (1 / 3) - 1))

    assert psf.profile(fwhm / 2) == pytest.approx(psf.profile(0) / 2, rel=1e-9)
    for radius in (0.5, 1.0, 2.0, 3.0):
        moffat = 1 - (1 + (radius * fwhm / alpha) ** 2) ** -2
        assert psf.enclosed(radius * fwhm) == pytest.approx(moffat, abs=0.02)
    assert psf.enclosed(100 * fwhm) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("kind", [Kind.EXPONENTIAL, Kind.DE_VAUCOULEURS])
def test_half_the_light_of_a_galaxy_lies_within_its_half_light_radius(kind: Kind) -> None:
    shares, variances = PROFILES[kind]

    # the mixtures stand for profiles cut off at 4 and 8 radii: this share of the light of the whole profile is inside
    whole = {Kind.EXPONENTIAL: 0.991, Kind.DE_VAUCOULEURS: 0.943}[kind]
    assert (shares * (1 - np.exp(-0.5 / variances))).sum() == pytest.approx(0.5 / whole, rel=0.01)


def test_a_galaxy_lies_along_its_ellipse() -> None:
    along_diagonal = render(SHAPE, _one(70, 80, Kind.EXPONENTIAL, (9.0, 8.0, 9.0)), moffat_psf(3.0))

    y, x = np.indices(SHAPE)
    moments = [(along_diagonal * (x - 70) ** 2).sum(), (along_diagonal * (y - 80) ** 2).sum()]
    mixed = (along_diagonal * (x - 70) * (y - 80)).sum()
    shares, variances = PROFILES[Kind.EXPONENTIAL]
    assert mixed == pytest.approx(8 * (shares * variances).sum(), rel=5e-3)
    assert moments[0] == pytest.approx(moments[1], rel=1e-3)
