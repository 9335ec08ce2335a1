"""The variance of the median of a few Gaussian numbers, of equal and of unequal variances."""

import math
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr

_EXACT = 40
_GRID = 201
_NODES, _NODE_WEIGHTS = (array / 2 for array in np.polynomial.legendre.leggauss(24))


def median_inefficiency(largest: int) -> NDArray[np.float64]:
    """Return var(median) / var(mean) of n equal Gaussian numbers, for n = 0 (set to 1) to `largest`.

    1 for n = 1 and 2, 1.346 for 3, 1.193 for 4, and pi/2 in the limit. Up to n = 40 by integration over the
    distribution of the middle order statistics (David & Nagaraja 2003, Order Statistics, section 2); beyond by
    pi/2 (1 - a/n), with a from n = 39 and 40: odd and even n differ.
    """
    return np.array([_inefficiency(n) for n in range(largest + 1)])


@cache
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
    return float(np.trapezoid(x**2 * np.exp(density), x) / np.sqrt(2 * np.pi))


def _even_variance(n: int) -> float:
    # the two middle values are middle - gap and middle + gap
    half = n // 2
    middle = np.linspace(-8, 8, _GRID)[:, None] / np.sqrt(half)
    nodes, weights = np.polynomial.legendre.leggauss(_GRID // 2)
    gap, weights = 8 / half * (1 + nodes), 8 / half * weights
    density = gammaln(n + 1) - 2 * gammaln(half) + (half - 1) * (log_ndtr(middle - gap) + log_ndtr(-middle - gap))
    density = np.exp(density - middle**2 - gap**2)
    return float(np.trapezoid(density @ weights * middle[:, 0] ** 2, middle[:, 0]) / np.pi)


def extreme_variance(largest: int) -> NDArray[np.float64]:
    """Return the variance of the largest (or smallest) of n equal Gaussian numbers of variance 1, for n = 0 (1) on."""
    return np.array([_extreme_variance(n) for n in range(largest + 1)])


@cache
def _extreme_variance(n: int) -> float:
    if n <= 1:
        return 1.0
    x = np.linspace(-9, 12, 20 * _GRID)
    density = n * np.exp((n - 1) * log_ndtr(x) - x**2 / 2) / np.sqrt(2 * np.pi)
    mean = np.trapezoid(x * density, x)
    return float(np.trapezoid((x - mean) ** 2 * density, x))


def gap_factors(largest: int) -> NDArray[np.float64]:
    """Return mean square / squared mean of the gap of the two middle values of n equal numbers; 0 for odd n.

    To be handed to `unequal_factor`.
    """
    return np.array([_gap_factor(n) for n in range(largest + 1)])


@cache
def _gap_factor(n: int) -> float:
    if n % 2 or n == 0:
        return 0.0
    mean_square, gap = _middle_moments(np.ones(n), math.sqrt(_inefficiency(n) / n), np.empty(n + 1))
    return (mean_square - _inefficiency(n) / n) / (gap / 2) ** 2


@njit(nogil=True, cache=True)
def unequal_factor(sigma, inefficiency, gaps, work):
    """Return the variance of a median relative to n e(n) / (sum 1 / s_i)^2, which holds for equal s_i.

    For odd n exact: the median is above x if at most half of the numbers are below, a sum of independent chances. For
    even n the mean of the two middle values needs the mean square of their gap; it is taken from the mean gap as for
    equal s_i: right to 1 per cent for most sets, 8 for the worst (two good of four).

    Parameters
    ----------
    sigma : float64 array [n]
        Standard deviations.
    inefficiency, gaps : float64 arrays
        From `median_inefficiency` and `gap_factors`, at least to n.
    work : float64 array, n + 1 long at least
    """
    n = sigma.size
    plain = inefficiency[n] * n / np.sum(1.0 / sigma) ** 2
    mean_square, gap = _middle_moments(sigma, math.sqrt(plain), work)
    return (mean_square - gaps[n] * (gap / 2) ** 2) / plain


@njit(nogil=True, cache=True)
def _middle_moments(sigma, scale, work):
    """Return the mean square of the middle values (mean over both for even n) and their mean distance."""
    n = sigma.size
    half = n // 2
    mean_square, gap = 0.0, 0.0
    for i in range(_NODES.size):
        t = _NODES[i] + 0.5
        x = 2 * scale * t / (1 - t)
        width = 2 * scale * _NODE_WEIGHTS[i] / (1 - t) ** 2
        _chances_of_counts(sigma, x, work)
        above = np.sum(work[: half + 1])  # of the upper middle value, or the median, to be above x
        if n % 2 == 0:
            gap += 2 * width * work[half]
            above -= work[half] / 2
        mean_square += 4 * width * x * above
    return mean_square, gap


@njit(nogil=True, cache=True)
def _chances_of_counts(sigma, x, chance):
    """Set chance[k] to the probability that k of the numbers are below x."""
    chance[: sigma.size + 1] = 0.0
    chance[0] = 1.0
    for i in range(sigma.size):
        below = 0.5 * math.erfc(-x / (sigma[i] * math.sqrt(2.0)))
        for k in range(i + 1, 0, -1):
            chance[k] = chance[k] * (1 - below) + chance[k - 1] * below
        chance[0] *= 1 - below
