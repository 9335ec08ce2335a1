"""The pixel loops of coaddition: many values, with their weights, become one."""

import numpy as np
from numba import njit

from awe.kernels.order_statistics import unequal_factor

METHOD_NUMBERS = {"weighted": 0, "average": 1, "median": 2, "clipped": 3}
_WEIGHTED, _AVERAGE, _MEDIAN, _CLIPPED = 0, 1, 2, 3
_NO_DATA = 32
_FEW = 24
_MANY = 64
_ALIKE, _SAME = 1.3, 1.1


@njit(nogil=True, cache=True)
def stack_rows(planes, starts, boxes, there, rows, columns, method, threshold, amplitude, tables, out, tally):
    """Combine the inputs `there` in a rectangle of an output band.

    Parameters
    ----------
    planes : tuple of image, weight (float32) and flags (uint8), each 1-d
        The rows of all inputs end to end.
    starts : int64 array
        Where each input begins in the planes.
    boxes : int64 array [input, 4]
        x0, x1, top and bottom row of each input, relative to the band.
    there : int64 array
        Numbers of the inputs that cover all of `columns`.
    rows, columns : tuples of int
        First and last + 1.
    method, threshold, amplitude
        As in `coadd`, the method by its number.
    tables : tuple of float64 arrays
        From `median_inefficiency` and `gap_factors`.
    out : tuple of image, weight, flags, count
        Filled in the rectangle.
    tally : int64 array [3, input]
        Good, used and clipped pixels of each input are added to it.
    """
    image, weight, flags = planes
    value = np.empty(there.size, np.float32)
    inverse = np.empty(there.size, np.float32)
    ordered = np.empty(there.size, np.float32)
    source = np.empty(there.size, np.int64)
    number = np.empty(there.size, np.int64)
    place = np.empty(there.size, np.int64)
    used = np.empty(there.size, np.bool_)
    bits = np.empty(there.size, np.uint8)
    memory = np.zeros((min(there.size, _MANY) + 1, there.size + 2))
    for y in range(rows[0], rows[1]):
        covering = 0
        for k in there:
            if boxes[k, 2] <= y < boxes[k, 3]:
                # position in the planes of what would be column 0
                place[covering] = starts[k] + (y - boxes[k, 2]) * (boxes[k, 1] - boxes[k, 0]) - boxes[k, 0]
                number[covering] = k
                covering += 1
        for x in range(columns[0], columns[1]):
            n, count = 0, 0
            seen, joined = np.uint8(_NO_DATA), np.uint8(0)
            for i in range(covering):
                at = place[i] + x
                seen |= flags[at]
                if 0 < weight[at] < np.inf and np.isfinite(image[at]):
                    value[n], inverse[n], bits[n], source[n], used[n] = (
                        image[at],
                        weight[at],
                        flags[at],
                        number[i],
                        True,
                    )
                    n += 1
            result, certainty = 0.0, 0.0
            if n:
                result, certainty = _combine(
                    value[:n], inverse[:n], used[:n], ordered[:n], method, threshold, amplitude, tables, memory
                )
            for i in range(n):
                tally[0, source[i]] += 1
                if used[i]:
                    count += 1
                    joined |= bits[i]
                    tally[1, source[i]] += 1
                else:
                    tally[2, source[i]] += 1
            out[0][y, x], out[1][y, x], out[3][y, x] = result, certainty, count
            out[2][y, x] = joined if count else seen


@njit(nogil=True, cache=True)
def _combine(value, weight, used, ordered, method, threshold, amplitude, tables, memory):
    n = value.size
    if method == _MEDIAN:
        return _median(value, ordered), 1.0 / _median_variance(weight, tables, memory)
    if method == _AVERAGE:
        total = 0.0
        for i in range(n):
            total += value[i]
        return total / n, _certainty_of_mean(weight)
    if method == _CLIPPED and n > 1:
        _clip(value, weight, used, ordered, threshold, amplitude, tables, memory)
    total, certainty = 0.0, 0.0
    for i in range(n):
        if used[i]:
            total += np.float64(weight[i]) * value[i]
            certainty += weight[i]
    return total / certainty, certainty


@njit(nogil=True, cache=True)
def _certainty_of_mean(weight):
    variance = 0.0
    for w in weight:
        variance += 1.0 / w
    return weight.size**2 / variance


@njit(nogil=True, cache=True)
def _depth(weight):
    """Return the sum of 1 / s_i."""
    depth = 0.0
    for w in weight:
        depth += np.sqrt(np.float64(w))
    return depth


@njit(nogil=True, cache=True)
def _median_variance(weight, tables, memory):
    """Return the variance of the median; see `unequal_factor`."""
    n = weight.size
    if n == 2:
        return 1.0 / _certainty_of_mean(weight)
    factor = 1.0
    # inputs of nearly equal weights, and many inputs, are as equal ones
    if n <= _MANY and weight.max() > _ALIKE * weight.min():
        factor = _remembered_factor(weight, tables, memory)
    return factor * tables[0][n] * n / _depth(weight) ** 2


@njit(nogil=True, cache=True)
def _remembered_factor(weight, tables, memory):
    """Return the factor from `memory` if n inputs had nearly the same ratios of weights the last time."""
    n = weight.size
    last = memory[n]
    low, high = np.inf, 0.0
    for i in range(n):
        ratio = last[i] / weight[i]
        low, high = min(low, ratio), max(high, ratio)
    if not (low > 0 and high < _SAME * low):
        last[:n] = weight
        last[n] = unequal_factor(1.0 / np.sqrt(weight.astype(np.float64)), tables[0], tables[1], memory[0])
    return last[n]


@njit(nogil=True, cache=True)
def _median(value, ordered):
    """Sort the values into `ordered` and return the middle."""
    n = value.size
    if n > _FEW:
        ordered[:] = value
        ordered.sort()
    else:
        for i in range(n):
            v = value[i]
            j = i - 1
            while j >= 0 and ordered[j] > v:
                ordered[j + 1] = ordered[j]
                j -= 1
            ordered[j + 1] = v
    return ordered[n // 2] if n % 2 else np.float32(0.5) * (ordered[n // 2 - 1] + ordered[n // 2])


@njit(nogil=True, cache=True)
def _clip(value, weight, used, ordered, threshold, amplitude, tables, memory):
    """Set `used` to False for values far from the median; at least one stays."""
    middle = _median(value, ordered)
    noise = _median_variance(weight, tables, memory)
    if not _keep_near(value, weight, used, middle, noise, threshold, amplitude):
        lower = ordered[(value.size - 1) // 2]
        _keep_near(value, weight, used, lower, noise, threshold, amplitude)


@njit(nogil=True, cache=True)
def _keep_near(value, weight, used, middle, noise, threshold, amplitude):
    """Return whether any value is near the middle.

    The variance of v_i - median is s_i^2 + var(median) - 2 cov, with cov = s_i / sum(1 / s_j): exact for equal s_i,
    and from the influence function of the median otherwise. For two values it is a quarter of their summed variances.
    The difference has wider wings than a Gaussian, as now and then v_i is the median: at 4 sigma 0.1 per cent of three
    equal inputs lie outside, which costs no noise worth the name.
    """
    n = value.size
    depth = _depth(weight)
    kept = False
    for i in range(n):
        sigma = 1.0 / np.sqrt(weight[i])
        variance = noise if n == 2 else max(noise + sigma**2 - 2 * sigma / depth, 0.0)
        used[i] = abs(value[i] - middle) <= threshold * np.sqrt(variance) + amplitude * abs(middle)
        kept |= used[i]
    return kept
