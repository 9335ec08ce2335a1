"""Pixel values to gray levels: which range is shown (cuts) and by which curve (stretch)."""

from enum import StrEnum
from functools import lru_cache

import numpy as np
from numba import njit

from awe.kernels.strips import side_by_side, strips_of

_STEPS = 65536
_LOG_SCALE = 1000.0
_ASINH_SOFTENING = 0.05
_STRIP = 1 << 20
_GOLDEN = 0.6180339887498949


class Cuts(StrEnum):
    """How the range of shown values is chosen."""

    ZSCALE = "zscale"
    PERCENTILE = "percentile"
    MINMAX = "minmax"


class Stretch(StrEnum):
    """The curve from the range of values to the range of gray."""

    LINEAR = "linear"
    LOG = "log"
    SQRT = "sqrt"
    ASINH = "asinh"


def cuts(image: np.ndarray, kind: Cuts = Cuts.ZSCALE, percentile: float = 99.5) -> tuple[float, float]:
    """Return the lowest and the highest value to show; NaN is left out, (0, 1) if there is no finite pixel."""
    if kind is Cuts.ZSCALE:
        return zscale(image)
    return percentile_cuts(image, percentile) if kind is Cuts.PERCENTILE else minmax_cuts(image)


def minmax_cuts(image: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest finite value."""
    values = _finite(image)
    return _widened(values.min(), values.max()) if values.size else (0.0, 1.0)


def percentile_cuts(image: np.ndarray, percentile: float = 99.5, samples: int = 1_000_000) -> tuple[float, float]:
    """Return the range that holds the central `percentile` per cent of the finite values (of a sample, if large)."""
    if not 0 < percentile <= 100:
        raise ValueError(f"a percentile for cuts lies above 0 and up to 100, not {percentile}")
    values = _sample(image, samples)
    if not values.size:
        return 0.0, 1.0
    tail = 50 - percentile / 2
    return _widened(*np.percentile(values, [tail, 100 - tail]))


def zscale(
    image: np.ndarray, contrast: float = 0.25, samples: int = 10_000, threshold: float = 2.5, iterations: int = 5
) -> tuple[float, float]:
    """Return cuts near the sky level, by Valdes' algorithm (IRAF `display`, zscale).

    A line is fitted, with rejection, to the sorted sample of values against their rank; the cuts are the median plus
    and minus half the range of that line divided by the contrast, within the extremes of the sample.

    Parameters
    ----------
    image : array [y, x], any unit; NaN and infinite pixels are left out.
    contrast : the slope is divided by this; smaller shows a wider range.
    samples : number of pixels looked at, spread evenly over the image.
    threshold : rejection limit in standard deviations about the line.
    iterations : largest number of fits.
    """
    values = np.sort(_sample(image, samples)).astype(np.float64)
    if not values.size:
        return 0.0, 1.0
    slope = _slope_of_ranks(values, threshold, iterations)
    if slope is None:
        return _widened(values[0], values[-1])
    middle = (values.size - 1) // 2
    median = float(np.median(values))
    slope /= contrast or 1.0
    low = max(values[0], median - (middle - 1) * slope)
    high = min(values[-1], median + (values.size - middle) * slope)
    return _widened(low, high)


def apply_stretch(
    image: np.ndarray, low: float, high: float, kind: Stretch = Stretch.LINEAR, invert: bool = False
) -> np.ndarray:
    """Return an image as gray levels.

    With t = (value - low) / (high - low), held to 0..1, the gray is 255 times: t (linear), sqrt(t) (sqrt),
    log(1 + 1000 t) / log(1001) (log), or asinh(t / 0.05) / asinh(1 / 0.05) (asinh), to the nearest level.

    Parameters
    ----------
    image : array [y, x], any unit. NaN is shown as the lowest value.
    low, high : the values shown as black and white.
    invert : dark objects on a bright sky.

    Returns
    -------
    uint8 array of the shape of the image.

    Raises
    ------
    ValueError : low and high are not finite, or high is not above low.
    """
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise ValueError(f"cuts must be two finite values in rising order, not {low} and {high}")
    curve = _curve(kind)
    gray = np.empty(image.size, dtype=np.uint8)
    values = np.ascontiguousarray(image, dtype=np.float32).reshape(-1)
    scale, levels = (_STEPS - 1) / (high - low), 255 - curve if invert else curve
    strips = strips_of(values.size, values.size, _STRIP)
    if len(strips) > 1:
        list(side_by_side(lambda i, j: _look_up(values[i:j], float(low), scale, levels, gray[i:j]), strips))
    else:
        _look_up(values, float(low), scale, levels, gray)
    return gray.reshape(image.shape)


def _slope_of_ranks(values: np.ndarray, threshold: float, iterations: int) -> float | None:
    """Fit value against rank; None if the rejection leaves less than half of the values (or five)."""
    least = max(5, values.size // 2)
    slope, left = _fitted_slope(values, threshold, iterations, least, max(1, int(values.size * 0.01)))
    return float(slope) if np.isfinite(slope) and left >= least else None


@njit(nogil=True, cache=True)
def _fitted_slope(values, threshold, iterations, least, grow):
    size = values.size
    bad, grown = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    slope, left, before = np.nan, size, size + 1
    for _ in range(iterations):
        if left >= before or left < least:
            break
        before = left
        slope, intercept = _line(values, grown, left)
        spread = 0.0
        for i in range(size):
            if not grown[i]:
                spread += (values[i] - slope * i - intercept) ** 2
        limit = threshold * np.sqrt(spread / left)
        for i in range(size):
            bad[i] = grown[i] or abs(values[i] - slope * i - intercept) > limit
        # a rejected value takes its neighbours in rank along, as in IRAF, so that the wings go as a whole
        left = size - _grow(bad, grow, grown)
    return slope, left


@njit(nogil=True, cache=True)
def _line(values, bad, left):
    rank = value = 0.0
    for i in range(values.size):
        if not bad[i]:
            rank += i
            value += values[i]
    rank, value = rank / left, value / left
    square = product = 0.0
    for i in range(values.size):
        if not bad[i]:
            square += (i - rank) ** 2
            product += (i - rank) * (values[i] - value)
    slope = product / square if square > 0 else 0.0
    return slope, value - slope * rank


@njit(nogil=True, cache=True)
def _grow(bad, width, grown):
    """Mark what lies in a window of `width` around a bad value; return how many."""
    size, after, marked, inside = bad.size, (width - 1) // 2, 0, 0
    for i in range(min(after, size)):
        inside += bad[i]
    for i in range(size):
        if i + after < size:
            inside += bad[i + after]
        if i + after - width >= 0:
            inside -= bad[i + after - width]
        grown[i] = inside > 0
        marked += inside > 0
    return marked


def _sample(image: np.ndarray, samples: int) -> np.ndarray:
    """Return finite values at pixels spread evenly; multiples of the golden ratio never fall on one column."""
    if image.size <= samples:
        return _finite(image)
    position = (np.arange(1, samples + 1) * _GOLDEN) % 1.0
    row = (np.arange(samples) * image.shape[0]) // samples
    return _finite(image[row, (position * image.shape[1]).astype(np.int64)])


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return the range as floats, a constant image with some room above, so that it can be shown."""
    low, high = float(low), float(high)
    return (low, high) if high > low else (low, low + max(1.0, abs(low) * 1e-6))


@lru_cache
def _curve(kind: Stretch) -> np.ndarray:
    t = np.linspace(0.0, 1.0, _STEPS)
    level = {
        Stretch.LINEAR: lambda: t,
        Stretch.SQRT: lambda: np.sqrt(t),
        Stretch.LOG: lambda: np.log1p(_LOG_SCALE * t) / np.log1p(_LOG_SCALE),
        Stretch.ASINH: lambda: np.arcsinh(t / _ASINH_SOFTENING) / np.arcsinh(1 / _ASINH_SOFTENING),
    }[kind]()
    return np.round(255 * level).astype(np.uint8)


@njit(nogil=True, cache=True)
def _look_up(values, low, scale, curve, gray):
    last = curve.size - 1
    for i in range(values.size):
        step = (values[i] - low) * scale
        # the comparison is false for NaN
        index = int(min(step, last) + 0.5) if step > 0 else 0
        gray[i] = curve[index]
