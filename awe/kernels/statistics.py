"""Level and spread of pixel values, robust against outliers."""

from dataclasses import dataclass
from math import erf, exp, gcd, pi, sqrt

import numpy as np

MAD_TO_SIGMA = 1.4826022185056018
_QUARTILES_TO_SIGMA = 0.7413011092528009


@dataclass(frozen=True)
class ClippedStatistics:
    """What remains of a set of values after rejection of outliers; NaN and count 0 if there was none."""

    mean: float
    median: float
    sigma: float
    count: int


def truncation_factor(threshold: float) -> float:
    """Return the standard deviation of a unit normal distribution cut at +-threshold.

    >>> round(truncation_factor(3.0), 4)
    0.9866
    """
    density = exp(-0.5 * threshold * threshold) / sqrt(2 * pi)
    return sqrt(max(1.0 - 2.0 * threshold * density / erf(threshold / sqrt(2.0)), 1e-12))


def sample(image: np.ndarray, mask: np.ndarray, count: int = 250_000) -> np.ndarray:
    """Return the good pixels of an image or, of a larger one, of every n-th in turn along its rows.

    The median of m values is known to 1.25 sigma / sqrt(m): of 250,000, to 0.25 per cent of sigma. The step has no
    factor in common with the width, so that it meets all columns.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), any unit
    mask : ndarray of bool, shape (ny, nx)
        True = left out.
    count : int
        Least number of pixels that are looked at. If less than half of these are good, all pixels are returned.

    Returns
    -------
    ndarray, one axis
    """
    step = max(1, image.size // count)
    while step > 1 and gcd(step, image.shape[1]) > 1:
        step -= 1
    good = image.ravel()[::step][~mask.ravel()[::step]]
    return good if step == 1 or 2 * good.size * step > image.size else image[~mask]


def clipped_statistics(
    values: np.ndarray, threshold: float = 3.0, iterations: int = 10, mask: np.ndarray | None = None
) -> ClippedStatistics:
    """Return mean, median and standard deviation after iterated rejection around the median.

    The first cut uses the quartiles, so that it holds with up to a quarter of outliers; each further one is made
    anew among all values. Sigma is corrected for the truncation of a normal distribution, thus unbiased for
    normal noise.

    Parameters
    ----------
    values : ndarray, any shape, any unit
        NaN and infinities are left out.
    threshold : float, sigma
        Values further from the median are rejected.
    iterations : int
        Largest number of cuts.
    mask : ndarray of bool, shape of values, optional
        True = left out.

    Returns
    -------
    ClippedStatistics

    Raises
    ------
    ValueError
        If threshold is not positive or the mask has another shape.
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, got {threshold}")
    ordered = np.sort(good_values(values, mask))
    if ordered.size == 0:
        return ClippedStatistics(np.nan, np.nan, np.nan, 0)
    factor = truncation_factor(threshold)
    lower, upper = 0, ordered.size
    middle, sigma = _quartile_statistics(ordered)
    for _ in range(iterations):
        # Limits of another type would have all values converted to it.
        low, high = np.array([middle - threshold * sigma, middle + threshold * sigma], ordered.dtype)
        cut, end = np.searchsorted(ordered, low, side="left"), np.searchsorted(ordered, high, side="right")
        if (cut, end) == (lower, upper) or end <= cut:
            break
        lower, upper = int(cut), int(end)
        middle = _sorted_median(ordered[lower:upper])
        sigma = _sigma(ordered[lower:upper]) / factor
    kept = ordered[lower:upper]
    spread = sigma if kept.size < ordered.size else _sigma(kept)
    return ClippedStatistics(float(kept.mean(dtype=np.float64)), _sorted_median(kept), spread, int(kept.size))


def robust_sigma(values: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return 1.4826 times the median absolute deviation; NaN without finite values.

    Parameters
    ----------
    values : ndarray, any shape, any unit
        NaN and infinities are left out.
    mask : ndarray of bool, shape of values, optional
        True = left out.

    Returns
    -------
    float
        Sigma of a normal distribution of this spread, in the unit of values.
    """
    kept = good_values(values, mask)
    if kept.size == 0:
        return float("nan")
    return float(MAD_TO_SIGMA * np.median(np.abs(kept - np.median(kept))))


def good_values(values: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the finite, unmasked values as a flat array of floats (float32 stays float32).

    Raises
    ------
    ValueError
        If the mask has another shape.
    """
    values = np.asarray(values)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    good = np.isfinite(values)
    if mask is not None:
        if np.shape(mask) != values.shape:
            raise ValueError(f"mask has shape {np.shape(mask)}, values have {values.shape}")
        good &= ~np.asarray(mask, bool)
    return values.ravel() if good.all() else values[good]


def _quartile_statistics(ordered: np.ndarray) -> tuple[float, float]:
    """Return median and sigma from the quartiles; the plain sigma where half the values are equal."""
    size = ordered.size
    spread = _QUARTILES_TO_SIGMA * float(ordered[(3 * size) // 4 if size > 3 else -1] - ordered[size // 4])
    return _sorted_median(ordered), spread if spread > 0 else _sigma(ordered)


def _sorted_median(ordered: np.ndarray) -> float:
    return 0.5 * (float(ordered[(ordered.size - 1) // 2]) + float(ordered[ordered.size // 2]))


def _sigma(values: np.ndarray) -> float:
    return float(np.std(values, dtype=np.float64))
