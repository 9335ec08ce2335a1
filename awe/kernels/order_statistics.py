"""The variance of the median of a few Gaussian numbers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.special import gammaln, log_ndtr

_EXACT = 40
_GRID = 201


def median_inefficiency(largest: int) -> NDArray[np.float64]:
    """Return var(median) / var(mean) of n equal Gaussian numbers, for n = 0 (set to 1) to `largest`.

    1 for n = 1 and 2, 1.346 for 3, 1.193 for 4, and pi/2 in the limit. Up to n = 40 by integration over the
    distribution of the middle order statistics (David & Nagaraja 2003, Order Statistics, section 2); beyond by
    pi/2 (1 - a/n), with a from n = 39 and 40: odd and even n differ.
    """
    return np.array([_inefficiency(n) for n in range(largest + 1)])


@lru_cache(maxsize=None)
def _inefficiency(n: int) -> float:
    if n <= 2:
        return 1.0
    if n <= _EXACT:
        return n * (_odd_variance(n) if n % 2 else _even_variance(n))
    known, limit = _EXACT - n % 2, np.pi / 2
    return limit * (1 - (1 - _inefficiency(known) / limit) * known / n)


def _odd_variance(n: int) -> float:
    half = (n - 1) // 2
    x = np.linspace(-8, 8, 20 * _GRID) / np.sqrt(half)
    density = gammaln(n + 1) - 2 * gammaln(half + 1) + half * (log_ndtr(x) + log_ndtr(-x)) - x**2 / 2
    return float(simpson(x**2 * np.exp(density), x=x) / np.sqrt(2 * np.pi))


def _even_variance(n: int) -> float:
    # the two middle values are middle - gap and middle + gap
    half = n // 2
    middle = np.linspace(-8, 8, _GRID)[:, None] / np.sqrt(half)
    gap = np.linspace(0, 16, _GRID) / half
    density = gammaln(n + 1) - 2 * gammaln(half) + (half - 1) * (log_ndtr(middle - gap) + log_ndtr(-middle - gap))
    density = np.exp(density - middle**2 - gap**2)
    return float(simpson(simpson(density, x=gap) * middle[:, 0] ** 2, x=middle[:, 0]) / np.pi)
