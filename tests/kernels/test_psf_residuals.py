"""Stars that are wider or longer than a PSF model are told so, and each that is left out has its reason."""

import numpy as np
import pytest

from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.flags import PixelFlag
from awe.kernels.planes import Rows, scene
from awe.kernels.psf_model import model_psf
from awe.kernels.psf_residuals import Rejection, mean_residuals, unknown_stars
from tests.kernels.test_psf import moffat
from tests.kernels.test_psf_model import FWHM, GAIN, SIGMA, observed

SHAPE = (700, 700)


def modelled(rows):
    where = scene(rows, GAIN)
    found = find(where, threshold=5.0)
    catalogue = catalogue_of(where, found)
    return model_psf(where, found, catalogue, stars(catalogue))


@pytest.fixture(scope="module")
def grid():
    """Places of 64 stars, far from each other, somewhere within a pixel."""
    rng = np.random.default_rng(31)
    y, x = (place.ravel() for place in np.mgrid[40:700:85, 40:700:85] + 0.0)
    return x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, x.size)


def nearest(rows, x, y):
    """Return the row of the star at a place."""
    distance = np.hypot(rows["x"] - x, rows["y"] - y)
    assert distance.min() < 3
    return rows[np.argmin(distance)]


def test_stars_like_the_model_have_residuals_as_large_as_their_errors(grid):
    x, y = grid
    rng = np.random.default_rng(32)
    flux = 10 ** rng.uniform(4.2, 5.0, x.size)
    rows = modelled(Rows(observed(x, y, flux, SHAPE, rng), rms=SIGMA)).stars
    used = rows[rows["rejected"] == 0]

    assert len(used) > 55
    assert np.median(used["chi2"]) == pytest.approx(1, abs=0.1)
    own = np.array([flux[np.argmin(np.hypot(x - row["x"], y - row["y"]))] for row in used])
    assert np.median(used["flux"] / own) == pytest.approx(1, abs=0.01)
    for name in ("widening", "stretch_x", "stretch_xy"):
        error = used["widening_error" if name == "widening" else "stretch_error"]
        # the model is that of these stars, and its error is allowed for: pulls are not wider than of one, and not
        # twice as narrow
        assert 0.5 < 1.4826 * np.median(np.abs(used[name] / error)) < 1.3
        assert abs(np.median(used[name])) < 0.01


MIDDLE = 27
"""A star in the middle of the field, where the model follows a single one least."""


@pytest.mark.parametrize("part", [0.03, -0.03])
def test_a_star_that_is_wider_by_a_part_is_told_to_be(grid, part):
    x, y = grid
    flux = np.full(x.size, 2e5)
    others, own = np.arange(x.size) != MIDDLE, slice(MIDDLE, MIDDLE + 1)
    image = observed(x[others], y[others], flux[others], SHAPE, np.random.default_rng(33))
    image += observed(x[own], y[own], flux[own], SHAPE, np.random.default_rng(34), FWHM * (1 + part))
    row = nearest(modelled(Rows(image, rms=SIGMA * 2**0.5)).stars, x[MIDDLE], y[MIDDLE])

    # a pixel widens it less than its neighbours, and as one of 64 stars it takes part in six coefficients: 10 per cent
    assert row["widening"] == pytest.approx(0.9 * part, abs=4 * float(row["widening_error"]))
    assert row["widening_error"] < 0.003


@pytest.mark.parametrize("angle", [0.0, 30.0, -70.0])
def test_a_star_that_is_longer_along_an_axis_is_told_to_be(grid, angle):
    x, y = grid
    rng = np.random.default_rng(35)
    others, ellipticity, flux = np.arange(x.size) != MIDDLE, 0.04, 2e5
    image = observed(x[others], y[others], np.full(x.size - 1, flux), SHAPE, rng)
    i0, j0 = round(x[MIDDLE]) - 30, round(y[MIDDLE]) - 30
    fine = (np.arange(61 * 5) + 0.5) / 5 - 0.5
    u, v = np.meshgrid(fine - (x[MIDDLE] - i0), fine - (y[MIDDLE] - j0))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    star = moffat((c * u + s * v) / (1 + ellipticity / 2), (c * v - s * u) / (1 - ellipticity / 2), FWHM, 3.0)
    star = flux * star.reshape(61, 5, 61, 5).mean((1, 3))
    image[j0 : j0 + 61, i0 : i0 + 61] += rng.poisson(star * GAIN) / GAIN
    row = nearest(modelled(Rows(image, rms=SIGMA)).stars, x[MIDDLE], y[MIDDLE])

    # the pixel is round, and the model follows the star by 10 per cent, as above
    error = 4 * float(row["stretch_error"])
    assert row["stretch_x"] == pytest.approx(0.9 * ellipticity * np.cos(np.radians(2 * angle)), abs=error)
    assert row["stretch_xy"] == pytest.approx(0.9 * ellipticity * np.sin(np.radians(2 * angle)), abs=error)
    assert row["widening"] == pytest.approx(0, abs=5 * float(row["widening_error"]))
    assert row["stretch_error"] < 0.003


def test_what_is_no_single_star_is_listed_as_left_out_with_the_reason(grid):
    x, y = grid
    rng = np.random.default_rng(36)
    flux = np.full(x.size, 1e5)
    blend, neighbour, full = 27, 36, 45
    # seen as one source by the detection, and as two; a star with saturated pixels; one cut by the border
    more = [(x[blend] + 2.4, y[blend] + 0.4, 2.5e4), (x[neighbour] + 6.5, y[neighbour], 7e4), (350.0, 3.0, 3e5)]
    places = (np.concatenate([values, [m[k] for m in more]]) for k, values in enumerate((x, y, flux)))
    image = observed(*places, SHAPE, rng)
    flags = np.zeros(SHAPE, np.uint8)
    flags[round(y[full]) - 1 : round(y[full]) + 2, round(x[full])] = PixelFlag.SATURATED
    psf = modelled(Rows(image, rms=SIGMA, flags=flags))
    rows = psf.stars
    tried = rows[np.isfinite(rows["chi2"])]

    assert (psf.loaded, psf.accepted) == (len(tried), np.count_nonzero(tried["rejected"] == 0))
    assert nearest(rows, x[blend], y[blend])["rejected"] & (
        Rejection.SHAPE | Rejection.RESIDUALS | Rejection.CORE | Rejection.OFF_CENTRE | Rejection.NEIGHBOUR
    )
    assert nearest(rows, x[neighbour], y[neighbour])["rejected"] & Rejection.NEIGHBOUR
    assert nearest(rows, x[full], y[full])["rejected"] == Rejection.BAD_PIXELS
    assert nearest(rows, 350, 3)["rejected"] & Rejection.BORDER
    good = [i for i in range(x.size) if i not in (blend, neighbour, full)]
    assert np.mean([nearest(rows, x[i], y[i])["rejected"] == 0 for i in good]) > 0.9


def test_pixels_in_the_core_that_do_not_fit_are_counted(grid):
    x, y = grid
    image = observed(x, y, np.full(x.size, 1e5), SHAPE, np.random.default_rng(37))
    at_x, at_y = round(x[20]), round(y[20])
    for k in range(-2, 3):
        image[at_y + k, at_x + 2] += 2500.0
    row = nearest(modelled(Rows(image, rms=SIGMA)).stars, x[20], y[20])

    # of the 41 pixels within a FWHM, 5 at a distance of 2 to 2.8 pixels
    assert row["rejected"] == 0
    assert row["clipped_core"] == pytest.approx(5 / 41, abs=2 / 41)
    assert abs(row["widening"]) < 0.02


def test_the_mean_residuals_of_a_part_of_the_field_show_what_its_stars_have_in_common(grid):
    x, y = grid
    rng = np.random.default_rng(38)
    flux = np.full(x.size, 1e5)
    psf = modelled(Rows(observed(x, y, flux, SHAPE, rng), rms=SIGMA))
    parts, used = psf.residuals, psf.stars["rejected"] == 0

    assert parts["count"].sum() == used.sum()
    assert [tuple(parts[k][["x", "y"]]) for k in (0, 8)] == [
        (pytest.approx(700 / 6 - 0.5), pytest.approx(700 / 6 - 0.5)),
        (pytest.approx(3500 / 6 - 0.5), pytest.approx(3500 / 6 - 0.5)),
    ]
    # beside the stars just noise, which falls with their number
    corner = parts["picture"][:, :8, :8] * 1e5
    expected = SIGMA / np.sqrt(parts["count"])
    assert corner.std(axis=(1, 2)) == pytest.approx(expected, rel=0.3)  # of 64 pixels: 9 %
    # and near their middles no more than two per cent of the peak
    assert np.nanmax(np.abs(parts["picture"])) < 0.02 * psf.basis[0].max()


def test_a_ghost_beside_the_stars_of_one_part_is_seen_there_only():
    side, shape = 21, (300, 300)
    rows = unknown_stars(4)
    rows["x"], rows["y"], rows["flux"] = [50, 60, 150, 250], [40, 50, 150, 250], [10.0, 20.0, 5.0, 8.0]
    rows["rejected"][3] = 1
    left = np.zeros((4, side, side), np.float32)
    left[:2, 10, 15] = [0.1, 0.2]
    left[0, 3, 3] = np.nan
    left[3] = 5.0
    found = mean_residuals(rows, left, np.ones(left.shape), shape)

    assert found["count"].tolist() == [2, 0, 0, 0, 1, 0, 0, 0, 0]
    assert found["picture"][0, 10, 15] == pytest.approx(0.01)
    assert np.count_nonzero(found["picture"][0]) == 1
    assert not found["picture"][4].any()
    assert np.isnan(found["picture"][8]).all()
