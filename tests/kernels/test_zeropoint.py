"""Zeropoints from standards and between frames."""

import numpy as np
import pytest

from awe.kernels.zeropoint import Overlap, aperture_correction, relative_zeropoints, zeropoint


def standards(rng, count, scatter=0.0, error=0.01):
    magnitude = rng.uniform(12, 16, count)
    flux = 10 ** (-0.4 * (magnitude - 25.0 + rng.normal(0, scatter, count)))
    return flux * (1 + rng.normal(0, error, count)), flux * error, magnitude


def test_the_zeropoint_is_the_magnitude_of_one_adu_per_second():
    assert zeropoint([1.0], [0.01], [24.3]).value == pytest.approx(24.3)
    assert zeropoint([100.0], [1.0], [20.0]).value == pytest.approx(25.0)


def test_extinction_and_colour_are_corrected():
    found = zeropoint([100.0], [1.0], [20.0], airmass=1.5, extinction=0.1, colour=0.5, colour_term=0.2)

    assert found.value == pytest.approx(25.0 + 0.15 - 0.1)


@pytest.mark.parametrize("scatter", [0.0, 0.03])
@pytest.mark.parametrize("count", [3, 10, 100])
def test_the_error_is_true_with_and_without_scatter(scatter, count):
    rng = np.random.default_rng(3)
    found = [zeropoint(*standards(rng, count, scatter), 0.0) for _ in range(400)]

    spread = np.std([z.value for z in found])

    # standard deviation of 400 values: good to 3.5 %; the scatter is estimated from the few stars themselves
    assert np.sqrt(np.mean([z.error**2 for z in found])) == pytest.approx(spread, rel=0.12 if count > 3 else 0.35)
    assert np.mean([z.value for z in found]) == pytest.approx(25.0, abs=4 * spread / 20)


def test_outliers_are_left_out_and_named():
    flux, error, magnitude = standards(np.random.default_rng(1), 30)
    flux[:3] *= 1.5

    found = zeropoint(flux, error, magnitude)

    assert found.used.tolist() == [False] * 3 + [True] * 27
    assert found.residuals[:3] == pytest.approx(2.5 * np.log10(1.5), abs=0.05)
    assert found.value == pytest.approx(25.0, abs=0.01)


def test_useless_stars_give_no_zeropoint():
    found = zeropoint([-1.0, np.nan, 0.0], [1.0, 1.0, 1.0], [12.0, 12.0, 12.0])

    assert np.isnan(found.value)
    assert found.count == 0
    assert np.isnan(found.residuals).all()


def overlaps(rng, zero, pairs, stars=200, error=0.02):
    made = []
    for first, second in pairs:
        flux = 10 ** rng.uniform(1, 4, stars)
        seen = [flux * 10 ** (0.4 * zero[n]) * (1 + rng.normal(0, error, stars)) for n in (first, second)]
        made.append(Overlap(first, second, *seen, *(value * error for value in seen)))
    return made


def test_relative_zeropoints_are_found_with_true_errors():
    zero = np.array([0.0, 0.1, -0.2, 0.05])
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]
    rng = np.random.default_rng(4)

    found = [relative_zeropoints(overlaps(rng, zero, pairs), 4) for _ in range(200)]
    pulls = np.array([(one.offsets[1:] - zero[1:]) / one.errors[1:] for one in found])

    assert pulls.std() == pytest.approx(1.0, abs=0.1)
    assert found[0].offsets[0] == found[0].errors[0] == 0
    assert np.mean([one.chi_square for one in found]) == pytest.approx(1.0, abs=0.25)


def test_frames_without_a_link_have_no_zeropoint():
    rng = np.random.default_rng(4)

    found = relative_zeropoints(overlaps(rng, np.zeros(5), [(0, 1), (3, 4)]), 5)

    assert found.linked.tolist() == [True, True, False, False, False]
    assert np.isnan(found.offsets).tolist() == [False, False, True, True, True]
    assert relative_zeropoints([], 2).offsets[0] == 0


def sums_in_two_apertures(rng, stars=30, growth=1.25, core_noise=30.0, ring_noise=100.0):
    core = 10 ** rng.uniform(4, 5.5, stars)
    whole = growth * core
    noise = rng.normal(0, core_noise, stars)
    errors = np.full(stars, core_noise), np.full(stars, np.hypot(core_noise, ring_noise))
    return core + noise, errors[0], whole + noise + rng.normal(0, ring_noise, stars), errors[1]


def test_an_aperture_correction_is_found_with_its_true_error():
    rng = np.random.default_rng(6)

    found = [aperture_correction(*sums_in_two_apertures(rng)) for _ in range(400)]
    pulls = np.array([(one.value - 1.25) / one.error for one in found])

    # clipping and the scatter that is looked for in the same few stars make it a little wider
    assert pulls.mean() == pytest.approx(0, abs=0.2)
    assert pulls.std() == pytest.approx(1.0, abs=0.15)
    assert found[0].count > 15


def test_a_neighbour_in_the_large_aperture_of_one_star_does_not_shift_the_correction():
    sums = sums_in_two_apertures(np.random.default_rng(6))
    spoiled = [values.copy() for values in sums]
    spoiled[2][np.argmax(sums[2])] *= 1.2

    clean, found = aperture_correction(*sums), aperture_correction(*spoiled)

    assert found.value == pytest.approx(clean.value, abs=4 * clean.error)


def test_faint_or_few_stars_give_no_aperture_correction():
    core, core_error, whole, whole_error = sums_in_two_apertures(np.random.default_rng(6))

    assert aperture_correction(core, core_error, whole, whole / 10).count == 0
    assert aperture_correction(core[:2], core_error[:2], whole[:2], whole_error[:2]).count == 0
    assert np.isnan(aperture_correction([], [], [], []).value)
