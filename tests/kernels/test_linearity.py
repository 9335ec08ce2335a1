"""Gain, read noise and non-linearity of a simulated detector, of which all three are known."""

import numpy as np
import pytest

from awe.kernels.linearity import FlatPair, fit_linearity, flat_pair, linearise, photon_transfer

GAIN, NOISE, FULL, LOSS = 1.6, 4.0, 60000.0, 0.02
RATE, TIMES = 3000.0, (0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 15.0, 18.0)
SHAPE = (192, 256)


def measured(true):
    """Return what the detector shows of a true level (adu): 2 % less at full well."""
    return true * (1 - LOSS * true / FULL)


def a_flat(rng, time, response, flicker=0.0):
    electrons = rng.poisson(RATE * time * (1 + flicker * rng.normal()) * GAIN * response)
    return (np.rint(measured(electrons / GAIN) + rng.normal(0, NOISE, response.shape))).astype(np.float32)


def some_pairs(seed, flicker=0.0, times=TIMES):
    rng = np.random.default_rng(seed)
    response = 1 + 0.01 * rng.normal(size=SHAPE) + 0.05 * np.linspace(-1, 1, SHAPE[1])
    return [flat_pair(*(a_flat(rng, t, response, flicker) for _ in range(2)), t) for t in times]


def true_deviation(level):
    """Return the part by which a measured level is too low."""
    true = (1 - np.sqrt(1 - 4 * LOSS * level / FULL)) / (2 * LOSS / FULL)
    return true / level - 1


def test_the_noise_of_a_pair_is_that_of_one_flat_and_holds_neither_structure_nor_flicker():
    rng = np.random.default_rng(1)
    response = 1 + 0.1 * rng.normal(size=SHAPE)
    first, second = (2000 * k * response + rng.normal(0, 30, SHAPE) for k in (1.0, 1.02))
    pair = flat_pair(first, second, 1.0)

    assert pair.variance == pytest.approx(900, abs=4 * pair.variance_error)
    assert pair.variance_error == pytest.approx(900 * np.sqrt(2 / first.size), rel=0.02)
    assert pair.level == pytest.approx(2020, rel=1e-3)


def test_a_cosmic_ray_and_masked_pixels_leave_the_noise_of_a_pair_alone():
    rng = np.random.default_rng(2)
    first, second = (rng.normal(5000, 50, SHAPE) for _ in range(2))
    plain = flat_pair(first, second, 1.0).variance
    first[10:14, 20] += 20000
    second[:, 7] = np.nan
    mask = np.zeros(SHAPE, bool)
    first[50:60, 50:60], mask[50:60, 50:60] = 0, True

    assert flat_pair(first, second, 1.0, mask).variance == pytest.approx(plain, rel=0.01)


def test_a_quadratic_non_linearity_of_two_per_cent_is_found():
    found = fit_linearity(some_pairs(3), order=2)

    for level in (5000.0, 20000.0, 50000.0):
        error = found.deviation_error(level)
        assert found.deviation(level) == pytest.approx(true_deviation(level), abs=4 * error)
        assert error < 2e-4
    assert found.rate == pytest.approx(RATE, rel=1e-3)


def test_errors_of_gain_read_noise_and_deviation_are_those_of_repeated_measurements():
    pulls = []
    for seed in range(40):
        pairs = some_pairs(100 + seed, times=TIMES[::2])
        curve = fit_linearity(pairs, order=2)
        transfer = photon_transfer(pairs, curve)
        level = 40000.0
        pulls.append([
            (transfer.gain - GAIN) / transfer.gain_error,
            (curve.deviation(level) - true_deviation(level)) / curve.deviation_error(level),
        ])  # fmt: skip
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)

    assert np.abs(mean).max() < 4 / np.sqrt(40)  # of standard errors of the mean: four
    assert spread == pytest.approx([1, 1], abs=0.4)  # 40 pulls: a spread of 1 +- 0.11; lamps of few pairs widen it


def test_the_gain_of_a_non_linear_detector_is_right_and_without_linearity_it_would_not_be():
    pairs = some_pairs(4)
    curve = fit_linearity(pairs, order=2)
    transfer, naive = (photon_transfer(pairs, c) for c in (curve, fit_linearity(pairs, order=0)))

    assert transfer.gain == pytest.approx(GAIN, abs=4 * transfer.gain_error)
    assert transfer.gain_error < 0.01 * GAIN
    assert transfer.chi_squared < 3
    assert abs(naive.gain - GAIN) > 5 * transfer.gain_error


def test_the_read_noise_is_told_where_flats_are_faint():
    pairs = some_pairs(5, times=(0.005, 0.01, 0.02, 0.05, 0.1))
    transfer = photon_transfer(pairs, fit_linearity(pairs, order=0))
    expected = np.hypot(NOISE, 1 / np.sqrt(12))  # with that of counting in whole adu

    assert transfer.read_noise == pytest.approx(expected, abs=4 * transfer.read_noise_error)
    assert transfer.read_noise_error < 0.2


def test_a_linearised_image_is_proportional_to_the_light():
    curve = fit_linearity(some_pairs(6), order=2)
    true = np.linspace(100, 52000, 500, dtype=np.float32)[None, :]
    image = linearise(measured(true).astype(np.float32), curve.coefficients, curve.maximum)

    assert image.dtype == np.float32
    np.testing.assert_allclose(image, true, rtol=5e-4)


def test_levels_beyond_the_range_keep_the_correction_of_its_end_and_negative_ones_none():
    image = linearise(np.float32([[-50, 0, 40000, 80000, np.nan]]), (1e-6,), 40000.0)

    np.testing.assert_allclose(image, [[-50, 0, 40000 * 1.04, 80000 * 1.04, np.nan]], rtol=1e-6)


def test_pairs_that_saturate_do_not_bend_the_curve_and_end_its_range():
    pairs = some_pairs(7)
    full = FlatPair(25.0, 60000.0, 10.0, 5.0, 1.0)
    marked = FlatPair(26.0, 60000.0, 10.0, 5.0, 1.0, full=0.9)
    found = fit_linearity([*pairs, full, marked], order=2)

    assert found.maximum == pytest.approx(max(p.level for p in pairs))
    assert found.coefficients == pytest.approx(fit_linearity(pairs, order=2).coefficients)


def test_a_lamp_that_flickers_enlarges_the_errors():
    steady, unsteady = (fit_linearity(some_pairs(8, flicker=f), order=2) for f in (0.0, 0.003))

    assert unsteady.deviation_error(40000.0) > 3 * steady.deviation_error(40000.0)
    assert unsteady.deviation(40000.0) == pytest.approx(true_deviation(40000.0), abs=4 * unsteady.deviation_error(4e4))


@pytest.mark.parametrize(
    ("times", "message"), [((1.0, 2.0), "of 3 exposure times within the range, got 2"), ((), "got 0")]
)
def test_too_few_exposure_times_are_refused(times, message):
    pairs = [FlatPair(t, 1000 * t, 1.0, 500 * t, 5.0) for t in times]

    with pytest.raises(ValueError, match=message):
        fit_linearity(pairs, order=1)


def test_flats_without_light_and_of_different_shapes_are_refused():
    dark = np.zeros((64, 64), np.float32)

    with pytest.raises(ValueError, match="must have light"):
        flat_pair(dark, dark, 1.0)
    with pytest.raises(ValueError, match=r"have shapes \(64, 64\) and \(32, 64\)"):
        flat_pair(dark, dark[:32], 1.0)


def test_noise_that_does_not_grow_with_the_level_tells_no_gain():
    pairs = [FlatPair(t, 1000 * t, 1.0, 500 / t, 5.0) for t in (1.0, 2.0, 4.0)]

    with pytest.raises(ValueError, match="does not grow"):
        photon_transfer(pairs, fit_linearity(pairs, order=0))
