"""The projection of the simulated camera against astropy's, and against geometry."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from awe.simulation import PRESETS, true_wcs
from awe.simulation.projection import nominal_projection, to_plane, true_projection

PLAN = PRESETS["demo"]


def _everywhere(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = PLAN.chip_shape
    x, y = np.random.default_rng(1).uniform((0, 0), (nx, ny), (count, 2)).T
    return x, y


@pytest.mark.parametrize("chip", range(PLAN.chips))
def test_header_cards_of_the_truth_mean_the_same_to_astropy(chip: int) -> None:
    x, y = _everywhere()
    cards = true_wcs(PLAN, chip, 10.0, -45.0)

    ra, dec = WCS(fits.Header(cards)).all_pix2world(x, y, 0)

    found_ra, found_dec = true_projection(PLAN, chip).pointed(10.0, -45.0).to_sky(x, y)
    assert cards["CTYPE1"] == "RA---TPV"
    assert found_ra == pytest.approx(ra, abs=1e-9)
    assert found_dec == pytest.approx(dec, abs=1e-9)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.99, 60.0), (150.0, -79.0)])
def test_pixel_to_sky_to_pixel_is_identity(centre: tuple[float, float]) -> None:
    x, y = _everywhere()
    projection = true_projection(PLAN, 0).pointed(*centre)

    found_x, found_y = projection.to_pixel(*projection.to_sky(x, y))

    assert found_x == pytest.approx(x, abs=1e-6)
    assert found_y == pytest.approx(y, abs=1e-6)


def test_positions_on_the_other_half_of_the_sky_have_no_pixel() -> None:
    x, _ = true_projection(PLAN, 0).to_pixel(np.array([PLAN.ra + 180]), np.array([-PLAN.dec]))

    assert np.isnan(x).all()


def test_pixel_area_is_the_area_spanned_by_steps_of_one_pixel() -> None:
    projection = true_projection(PLAN, 3)
    y, x = np.array([0.0, 500.0, 1023.0]), np.array([0.0, 300.0, 767.0])

    def plane(dx: float, dy: float) -> np.ndarray:
        return np.array(to_plane(PLAN.ra, PLAN.dec, *projection.to_sky(x + dx, y + dy)))

    (east_x, north_x), (east_y, north_y) = plane(0.5, 0) - plane(-0.5, 0), plane(0, 0.5) - plane(0, -0.5)
    area = np.abs(east_x * north_y - east_y * north_x) / (PLAN.pixel_scale / 3600) ** 2

    assert projection.pixel_area((1024, 768))[y.astype(int), x.astype(int)] == pytest.approx(area, rel=1e-6)


def test_truth_differs_from_the_drawing_by_pixels_and_by_more_than_a_linear_map() -> None:
    x, y = _everywhere()
    true_x, true_y = nominal_projection(PLAN, 0).to_pixel(*true_projection(PLAN, 0).to_sky(x, y))

    terms = np.stack([np.ones_like(x), x, y], axis=1)
    _, (left_over, _), _, _ = np.linalg.lstsq(terms, np.stack([true_x - x, true_y - y], axis=1))

    assert 0.3 < np.hypot(true_x - x, true_y - y).max() < 10
    assert np.sqrt(left_over / x.size) > 0.05


def test_north_is_up_and_east_is_left() -> None:
    x, y = true_projection(PLAN, 0).to_pixel(PLAN.ra + np.array([0, 0.01, 0]), PLAN.dec + np.array([0, 0, 0.01]))

    assert x[1] < x[0] - 100
    assert y[2] > y[0] + 100


def test_chips_do_not_overlap() -> None:
    ny, nx = PLAN.chip_shape
    x0, y0 = nominal_projection(PLAN, 0).axis
    for chip in range(1, PLAN.chips):
        x, y = nominal_projection(PLAN, chip).axis
        assert x0 - x >= nx or y0 - y >= ny
