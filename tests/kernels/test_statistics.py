import numpy as np
import pytest

from awe.kernels.statistics import clipped_statistics, robust_sigma, sample, truncation_factor


def test_normal_noise_gives_unbiased_mean_and_sigma():
    values = np.random.default_rng(1).normal(100, 10, 1_000_000)
    found = clipped_statistics(values)
    assert found.mean == pytest.approx(100, abs=5 * 10 / 1000)
    assert found.median == pytest.approx(100, abs=5 * 12.5 / 1000)
    assert found.sigma == pytest.approx(10, rel=5 / np.sqrt(2e6) + 0.002)
    assert found.count / values.size == pytest.approx(0.9973, abs=0.0005)


def test_a_tenth_of_outliers_shifts_the_mean_by_less_than_a_fifth_of_sigma():
    generator = np.random.default_rng(2)
    values = np.concatenate([generator.normal(0, 1, 90_000), generator.uniform(3, 3000, 10_000)])
    found = clipped_statistics(values)
    assert found.mean == pytest.approx(0, abs=0.02)
    assert found.sigma == pytest.approx(1, rel=0.02)
    assert values.mean() > 100


def test_masked_and_non_finite_values_are_left_out():
    values = np.array([1.0, 1.0, np.nan, np.inf, 1.0, 500.0], np.float32)
    found = clipped_statistics(values, mask=values == 500)
    assert (found.mean, found.median, found.sigma, found.count) == (1, 1, 0, 3)


def test_no_good_value_gives_nan_and_count_zero():
    for values in (np.array([]), np.array([np.nan])):
        found = clipped_statistics(values)
        assert found.count == 0
        assert np.isnan([found.mean, found.median, found.sigma]).all()
        assert np.isnan(robust_sigma(values))


def test_constant_values_have_no_spread():
    assert clipped_statistics(np.full((5, 5), 7)).sigma == 0


def test_integers_are_taken_as_numbers():
    found = clipped_statistics(np.array([1, 2, 3, 4, 5, 1000], np.uint16))
    assert (found.median, found.count) == (3, 5)


def test_sigma_from_the_median_absolute_deviation_is_that_of_a_normal_distribution():
    values = np.random.default_rng(3).normal(5, 2, 400_000).astype(np.float32)
    values[:20_000] = 1e6
    assert robust_sigma(values) == pytest.approx(2, rel=0.08)
    assert robust_sigma(values, mask=values == 1e6) == pytest.approx(2, rel=5 * 1.17 / np.sqrt(380_000))


def test_truncated_normal_distribution_is_narrower():
    assert truncation_factor(1.0) == pytest.approx(0.53956, abs=1e-4)
    assert truncation_factor(10.0) == pytest.approx(1)


def test_mistaken_arguments_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        clipped_statistics(np.ones(3), threshold=0)
    with pytest.raises(ValueError, match="mask has shape"):
        clipped_statistics(np.ones(3), mask=np.zeros(2, bool))


def test_a_sample_has_the_median_of_all_within_its_error():
    generator = np.random.default_rng(41)
    image = generator.normal(100, 5, (1000, 2000)).astype(np.float32)
    image[:, 500] += 1000  # a column that every step would meet, were it a divisor of the width
    mask = np.zeros(image.shape, bool)
    mask[:, 500] = True
    found = sample(image, mask)

    assert 250_000 <= found.size < 320_000
    assert found.max() < 140
    assert np.median(found) == pytest.approx(100, abs=4 * 1.25 * 5 / np.sqrt(found.size))


def test_a_sample_of_few_good_pixels_is_all_of_them():
    image, mask = np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000), np.ones((1000, 2000), bool)
    mask[:10] = False

    assert np.array_equal(sample(image, mask), image[:10].ravel())
    assert np.array_equal(sample(image[:20], mask[:20]), image[:10].ravel())
