import numpy as np
import pytest

from awe.kernels.weight import inverse_variance


def test_weight_is_the_inverse_of_the_scatter_of_reduced_pixels():
    generator = np.random.default_rng(1)
    gain, read_noise, sky, flat = 1.5, 6.0, 300.0, 0.7
    trials = 200_000
    raw = generator.poisson(sky * flat * gain, trials) / gain + generator.normal(0, read_noise, trials)
    raw -= generator.normal(0, 2.0, trials)  # the bias frame's own noise
    reduced = raw / (flat * (1 + generator.normal(0, 0.004, trials)))
    calibrations = np.full((1, 1), 1 / 4.0), np.full((1, 1), (0.004 * flat) ** -2)
    weight = inverse_variance(sky, flat, gain, read_noise, *calibrations)
    assert weight[0, 0] * reduced.var() == pytest.approx(1, abs=4 * np.sqrt(2 / trials) + 0.002)


def test_maps_and_numbers_mix():
    level = np.array([[100.0, 200.0]])
    weight = inverse_variance(level, 1.0, gain=2.0, read_noise=10.0)
    assert weight == pytest.approx(np.array([[1 / 150, 1 / 200]]))
    assert weight.dtype == np.float32


def test_bad_pixels_weigh_nothing():
    flat = np.array([[1.0, 0.0, -1.0, np.nan, 1.0, 1.0]])
    level = np.array([[1.0, 1.0, 1.0, 1.0, np.nan, 1.0]])
    mask = np.array([[False] * 5 + [True]])
    weight = inverse_variance(level, flat, 1.0, 1.0, mask=mask)
    assert weight.tolist() == [[0.5, 0, 0, 0, 0, 0]]


def test_what_is_not_known_of_a_calibration_adds_nothing():
    known = np.array([[0.0, 0.5]])
    assert inverse_variance(1.0, 1.0, 1.0, 1.0, bias_weight=known).tolist() == [[0.5, 0.25]]
    assert inverse_variance(1.0, 1.0, 1.0, 1.0, flat_weight=known).tolist() == [[0.5, 0.25]]


def test_a_variance_that_is_not_finite_weighs_nothing():
    level = np.array([[np.inf, 3e38, np.nan, 1.0]])
    assert inverse_variance(level, 1.0, 0.1, 1.0).tolist() == [[0, 0, 0, pytest.approx(1 / 11)]]


def test_negative_sky_does_not_lower_the_noise():
    assert inverse_variance(-50.0, 1.0, 1.0, 2.0, shape=(1, 1)).tolist() == [[0.25]]


def test_mistaken_arguments_are_refused():
    with pytest.raises(ValueError, match="gain"):
        inverse_variance(1.0, 1.0, 0.0, 1.0, shape=(1, 1))
    with pytest.raises(ValueError, match="one shape"):
        inverse_variance(np.ones((2, 2)), np.ones((2, 3)), 1.0, 1.0)
    with pytest.raises(ValueError, match="shape"):
        inverse_variance(1.0, 1.0, 1.0, 1.0)
