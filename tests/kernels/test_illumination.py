"""An illumination gradient of five per cent, put into the magnitudes of stars and found again."""

from dataclasses import replace

import numpy as np
import pytest

from awe.kernels.illumination import Illumination, StarResiduals, fit_illumination

SHAPE = (600, 400)


def true_map(x, y):
    """Return a gradient of 5 % from corner to corner, and a bulge of 2 %, in mag; its mean is not zero."""
    u, v = 2 * (x + 0.5) / SHAPE[1] - 1, 2 * (y + 0.5) / SHAPE[0] - 1
    return 0.0275 * (u + v) / 2 * 2 + 0.02 * u**2


def stars(seed, count=80, offset=0.0, outliers=0, error=0.01):
    """Return stars of their own, of perfectly known magnitudes."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SHAPE[1] - 1, count), rng.uniform(0, SHAPE[0] - 1, count)
    residual = true_map(x, y) + offset + rng.normal(0, error, count)
    residual[:outliers] += rng.choice([-1, 1], outliers) * rng.uniform(0.2, 1.5, outliers)
    return StarResiduals(x, y, residual, np.full(count, error), np.zeros(count), 100000 * seed + np.arange(count))


def dithered(seed, frames=7, count=60, error=0.005, known_error=0.03, step=70):
    """Return the same stars at several places, of magnitudes that are badly known."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-step, SHAPE[1] + step, count), rng.uniform(-step, SHAPE[0] + step, count)
    wrong = rng.normal(0, known_error, count)
    found = []
    for _ in range(frames):
        here_x, here_y = (c + rng.uniform(-step, step) for c in (x, y))
        on = (here_x >= 0) & (here_x < SHAPE[1]) & (here_y >= 0) & (here_y < SHAPE[0])
        residual = true_map(here_x, here_y) + wrong + rng.normal(0, error, count) + rng.normal()
        columns = here_x, here_y, residual, np.full(count, error), np.full(count, known_error), np.arange(count)
        found.append(StarResiduals(*(column[on] for column in columns)))
    return found


def difference(found: Illumination):
    """Return found less true map over the chip, both of mean zero (mag)."""
    y, x = np.mgrid[: SHAPE[0] : 10, : SHAPE[1] : 10]
    return found.at(x, y) - (true_map(x, y) - np.mean(true_map(*np.mgrid[: SHAPE[0], : SHAPE[1]][::-1])))


def test_a_gradient_of_five_per_cent_is_found_to_half_a_per_cent():
    found = fit_illumination([stars(i, offset=0.1 * i) for i in range(4)], SHAPE)

    assert np.ptp(true_map(*np.mgrid[: SHAPE[0], : SHAPE[1]][::-1])) > 0.05
    assert np.abs(difference(found)).max() < 0.005
    assert found.count > 310


def test_outliers_are_rejected():
    found = fit_illumination([stars(i, outliers=12) for i in range(4)], SHAPE)

    assert np.abs(difference(found)).max() < 0.005
    assert 40 <= found.rejected <= 52


def test_the_errors_are_those_of_repeated_measurements():
    x, y = np.array([20.0, 200, 390]), np.array([30.0, 300, 580])
    fits = [fit_illumination([stars(1000 + 2 * i), stars(1001 + 2 * i)], SHAPE) for i in range(80)]
    mean = np.mean(true_map(*np.mgrid[: SHAPE[0], : SHAPE[1]][::-1]))
    pulls = np.array([(f.at(x, y) - true_map(x, y) + mean) / f.error_at(x, y) for f in fits])

    assert pulls.std() == pytest.approx(1, abs=0.2)  # of 240 values, a third of them independent
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(80)


def test_the_errors_hold_for_stars_that_are_seen_in_several_frames_too():
    x, y = np.array([20.0, 200, 390]), np.array([30.0, 300, 580])
    fits = [fit_illumination(dithered(2000 + i), SHAPE) for i in range(80)]
    mean = np.mean(true_map(*np.mgrid[: SHAPE[0], : SHAPE[1]][::-1]))
    pulls = np.array([(f.at(x, y) - true_map(x, y) + mean) / f.error_at(x, y) for f in fits])

    assert pulls.std() == pytest.approx(1, abs=0.2)
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(80)


def test_dithered_stars_tell_the_map_better_than_their_known_magnitudes():
    x, y = np.meshgrid(np.linspace(0, SHAPE[1] - 1, 9), np.linspace(0, SHAPE[0] - 1, 9))
    truth = true_map(x, y) - np.mean(true_map(*np.mgrid[: SHAPE[0], : SHAPE[1]][::-1]))
    joined, single = [], []
    for seed in range(3000, 3020):
        frames = dithered(seed)
        strangers = [replace(f, star=f.star + 1000 * i) for i, f in enumerate(frames)]  # each taken for another star
        joined.append(np.std(fit_illumination(frames, SHAPE).at(x, y) - truth))
        single.append(np.std(fit_illumination(strangers, SHAPE).at(x, y) - truth))

    assert np.mean(joined) < 0.85 * np.mean(single)


def test_each_frame_keeps_a_zeropoint_of_its_own():
    offsets = (0.0, 0.3, -0.2)
    found = fit_illumination([stars(i, offset=o) for i, o in enumerate(offsets)], SHAPE)

    assert np.diff(found.offsets) == pytest.approx(np.diff(offsets), abs=0.006)


def test_scatter_beyond_the_stated_errors_enlarges_the_errors_of_the_map():
    honest = fit_illumination([stars(1, 300, error=0.03)], SHAPE)
    boasting = stars(1, 300, error=0.03)
    found = fit_illumination([replace(boasting, error=boasting.error / 10)], SHAPE)

    x, y = np.array([10.0]), np.array([10.0])
    assert found.error_at(x, y) == pytest.approx(honest.error_at(x, y), rel=0.15)


def test_the_image_is_what_pixels_are_multiplied_by_and_has_the_sense_of_the_map():
    found = fit_illumination([stars(2, 400)], SHAPE)
    image = found.image()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]

    np.testing.assert_allclose(image, 10 ** (-0.4 * found.at(x, y)), rtol=1e-6)
    assert abs(np.mean(-2.5 * np.log10(image))) < 1e-5
    # a star that is fainter than its flux says (positive residual) is made fainter
    assert image[-5, -5] < 1 < image[5, 200]


@pytest.mark.parametrize(("count", "degree"), [(0, 0), (14, 0), (15, 1), (29, 1), (30, 2)])
def test_few_stars_lower_the_degree_and_too_few_correct_nothing(count, degree):
    found = fit_illumination([stars(3, count)], SHAPE)

    assert found.degree == degree
    if degree == 0:
        assert np.array_equal(found.image(), np.ones(SHAPE, np.float32))


def test_stars_without_a_known_magnitude_and_frames_without_stars_do_no_harm():
    known, unknown = stars(5, 100), stars(6, 5)
    unknown.residual[:] = np.nan
    alone, beside = fit_illumination([known], SHAPE), fit_illumination([known, unknown, stars(7, 0)], SHAPE)

    assert beside.coefficients == pytest.approx(alone.coefficients, abs=1e-9)
    assert len(beside.offsets) == 3


def test_a_negative_degree_is_refused():
    with pytest.raises(ValueError, match="degree must not be negative, got -1"):
        fit_illumination([stars(1)], SHAPE, -1)
