"""The variance of the median of a few Gaussian numbers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import norm

_EXACT = 40
_GRID = 801


@lru_cache(maxsize=8)
def median_inefficiency(largest: int) -> NDArray[np.float64]:
    """Return var(median) / var(mean) of n equal Gaussian numbers, for n = 0 (set to 1) to `largest`.

    1 for n = 1 and 2, 1.346 for 3, 1.193 for 4, and pi/2 in the limit. Up to n = 40 by integration over the
    distribution of the middle order statistics (David & Nagaraja 2003, Order Statistics, section 2); beyond by
    pi/2 (1 - a/n), with a from n = 39 and 40: odd and even n differ.
    """
    table = np.ones(largest + 1)
    for n in range(3, min(largest, _EXACT) + 1):
        table[n] = n * (_odd_variance(n) if n % 2 else _even_variance(n))
    for n in range(_EXACT + 1, largest + 1):
        known = _EXACT - n % 2
        table[n] = np.pi / 2 * (1 - (1 - table[known] / (np.pi / 2)) * known / n)
    return table


def _odd_variance(n: int) -> float:
    x, step = np.linspace(-8, 8, 20 * _GRID, retstep=True)
    half = (n - 1) // 2
    density = gammaln(n + 1) - 2 * gammaln(half + 1) + half * (norm.logcdf(x) + norm.logsf(x)) + norm.logpdf(x)
    return float(np.sum(x**2 * np.exp(density)) * step)


def _even_variance(n: int) -> float:
    # the two middle values: the lower is middle - gap, the upper middle + gap
    middle, step = np.linspace(-8, 8, _GRID, retstep=True)
    gap, width = np.linspace(0, 8, _GRID, retstep=True)
    low, high = middle[:, None] - gap, middle[:, None] + gap
    half = n // 2
    density = gammaln(n + 1) - 2 * gammaln(half) + (half - 1) * (norm.logcdf(low) + norm.logsf(high))
    density = np.exp(density + norm.logpdf(low) + norm.logpdf(high))
    density[:, 0] /= 2
    return float(np.sum(middle[:, None] ** 2 * density) * 2 * step * width)
