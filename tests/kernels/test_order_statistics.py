import numpy as np
import pytest

from awe.kernels.order_statistics import gap_factors, median_inefficiency, unequal_factor


def test_small_numbers_have_the_tabulated_variance():
    # variances of the median of 3, 4, 5 and 10 Gaussian numbers (Teichroew 1956, Ann. Math. Stat. 27, 410)
    table = median_inefficiency(10)

    assert table[[1, 2]].tolist() == [1, 1]
    assert table[[3, 4, 5, 10]] / [3, 4, 5, 10] == pytest.approx([0.44867, 0.29820, 0.28683, 0.13833], abs=2e-5)


@pytest.mark.parametrize("n", [8, 40, 41, 60])
def test_the_variance_is_that_of_many_trials(n):
    trials = 100_000
    found = n * np.median(np.random.default_rng(n).normal(size=(trials, n)), axis=1).var()

    assert found == pytest.approx(median_inefficiency(n)[n], rel=4 * np.sqrt(2 / trials))


def test_the_limit_is_half_of_pi():
    assert median_inefficiency(5000)[-2:] == pytest.approx(np.pi / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("sigma", "slack"),
    [
        ([2, 3, 4], 0),
        ([1, 10, 10], 0),
        ([1, 2, 3, 4], 0.01),
        ([1] * 5 + [4] * 5, 0.01),
        ([1, 1, 5, 5], 0.1),
        ([3] * 6, 0),
    ],
)
def test_the_variance_of_unequal_numbers_is_that_of_many_trials(sigma, slack):
    trials, n = 200_000, len(sigma)
    sigma = np.array(sigma, float)
    found = np.median(np.random.default_rng(n).normal(0, sigma, (trials, n)), axis=1).var()
    table = median_inefficiency(n)

    factor = unequal_factor(sigma, table, gap_factors(n), np.empty(n + 1))

    assert factor * table[n] * n / (1 / sigma).sum() ** 2 == pytest.approx(found, rel=slack + 4 * np.sqrt(2 / trials))
