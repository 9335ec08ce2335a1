"""The pixel loops of coaddition: many values, with their weights, become one."""

import numpy as np
from numba import njit

from awe.kernels.order_statistics import unequal_factor

METHOD_NUMBERS = {
    "weighted": 0, "average": 1, "sum": 2, "minimum": 3, "maximum": 4, "chi-squared": 5, "median": 6, "clipped": 7,
}  # fmt: skip
FLAG_RULE_NUMBERS = {"or": 0, "and": 1, "nor": 2}
_WEIGHTED, _AVERAGE, _SUM, _MINIMUM, _MAXIMUM, _CHI_SQUARED, _MEDIAN, _CLIPPED = range(8)
_AND, _NOR = 1, 2
_NO_DATA = 32
_MANY = 64
_ALIKE, _SAME = 1.3, 1.1
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True)
def stack_rows(planes, starts, boxes, there, rows, columns, corner, rule, tables, out, tally):
    """Combine the inputs `there` in a rectangle of a tile.

    Parameters
    ----------
    planes : tuple of image, weight, noise (float32) and flags (uint8), each 1-d
        The rows of all inputs end to end; the variance of a pixel is noise / weight.
    starts : int64 array
        Where each input begins in the planes.
    boxes : int64 array [input, 4]
        x0, x1, top and bottom row of each input, relative to the tile.
    there : int64 array
        Numbers of the inputs that cover all of `columns`.
    rows, columns : tuples of int
        First and last + 1, in the tile.
    corner : int
        First column of the tile in `out`.
    rule : tuple of method, flag rule (by their numbers), threshold, amplitude
        As in `coadd`.
    tables : tuple of float64 arrays
        From `median_inefficiency`, `gap_factors` and `extreme_variance`.
    out : tuple of image, weight, flags, count
        Filled in the rectangle; rows from that of the tile on.
    tally : int64 array [3, input]
        Good, used and clipped pixels of each input are added to it.
    """
    width = columns[1] - columns[0]
    place, number = np.empty(there.size, np.int64), np.empty(there.size, np.int64)
    sums, seen = np.empty((4, width), np.float32), np.empty((2, width), np.uint8)
    numbers, median = np.zeros((3, width), np.int32), np.empty((3, width), np.float32)
    ordered = np.empty((there.size if rule[0] >= _MEDIAN else 0, width), np.float32)
    memory = np.zeros((min(there.size, _MANY) + 1, there.size + 2))
    for y in range(rows[0], rows[1]):
        covering = 0
        for k in there:
            if boxes[k, 2] <= y < boxes[k, 3]:
                # position in the planes of what would be column 0
                place[covering] = starts[k] + (y - boxes[k, 2]) * (boxes[k, 1] - boxes[k, 0]) - boxes[k, 0]
                number[covering] = k
                covering += 1
        a, b = corner + columns[0], corner + columns[1]
        line = (out[0][y, a:b], out[1][y, a:b], out[2][y, a:b], out[3][y, a:b])
        if rule[0] < _MEDIAN:
            _add_up(planes, place[:covering] + columns[0], number, rule, tables[2], sums, numbers, seen, line, tally)
        else:
            room = (ordered, sums, numbers, seen, median)
            _sort_out(planes, place[:covering] + columns[0], number, rule, tables, memory, room, line, tally)


@njit(nogil=True, cache=True)
def _add_up(planes, place, number, rule, extremes, sums, numbers, seen, line, tally):
    """Combine a row by a method that takes one input after the other."""
    image, weight, flags, counts = line
    method, width, good, count = rule[0], image.size, numbers[0], numbers[1]
    sums[:] = 0.0
    if method in (_MINIMUM, _MAXIMUM):
        sums[0] = np.float32(np.inf) if method == _MINIMUM else np.float32(-np.inf)
    seen[0], seen[1] = _NO_DATA, 255 if rule[1] == _AND else 0
    count[:] = 0
    for i in range(place.size):
        part = slice(place[i], place[i] + width)
        v, w, noise, bits = planes[0][part], planes[1][part], planes[2][part], planes[3][part]
        found = _find_good(v, w, good, count)
        if method == _WEIGHTED:
            _add_weighted(v, w, noise, good, sums[0], sums[1], sums[2])
        else:
            _add_values(v, w, noise, good, method, sums[0], sums[2])
        _join_flags(good, bits, rule[1], seen[0], seen[1])
        tally[0, number[i]] += found
        tally[1, number[i]] += found
    _finish(sums, method, extremes, image, weight, count)
    counts[:] = count
    for x in range(width):
        if count[x]:
            flags[x] = ~seen[1, x] if rule[1] == _NOR else seen[1, x]
        else:
            flags[x] = seen[0, x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _find_good(v, w, good, number):
    """Note which pixels of a row of one input are good, and count them in each pixel."""
    zero, most = np.float32(0.0), np.float32(np.inf)
    total = np.int32(0)
    for x in range(v.size):
        here = np.int32((w[x] > zero) & (w[x] < most) & (abs(v[x]) < most))
        good[x] = here
        number[x] += here
        total += here
    return total


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _add_weighted(v, w, noise, good, value, total, spread):
    zero = np.float32(0.0)
    for x in range(v.size):
        weight = w[x] if good[x] else zero
        value[x] += weight * v[x] if good[x] else zero
        total[x] += weight
        spread[x] += weight * noise[x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _add_values(v, w, noise, good, method, value, spread):
    """Add a row of one input to the sums of the other methods."""
    for x in range(v.size):
        if not good[x]:
            continue
        if method == _CHI_SQUARED:
            value[x] += v[x] * v[x] * w[x] / noise[x]
            continue
        spread[x] += noise[x] / w[x]
        if method == _MINIMUM:
            value[x] = min(value[x], v[x])
        elif method == _MAXIMUM:
            value[x] = max(value[x], v[x])
        else:
            value[x] += v[x]


@njit(nogil=True, cache=True)
def _join_flags(good, bits, rule, there, joined):
    none, every = np.uint8(0), np.uint8(255)
    for x in range(bits.size):
        there[x] |= bits[x]
        if rule == _AND:
            joined[x] &= bits[x] if good[x] else every
        else:
            joined[x] |= bits[x] if good[x] else none


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _finish(sums, method, extremes, image, weight, count):
    """Turn the sums of a row into values and their inverse variances."""
    value, total, spread = sums[0], sums[1], sums[2]
    zero = np.float32(0.0)
    for x in range(image.size):
        n = np.float32(count[x])
        if method == _WEIGHTED:
            result, certainty = value[x] / total[x], total[x] * total[x] / spread[x]
        elif method == _AVERAGE:
            result, certainty = value[x] / n, n * n / spread[x]
        elif method == _SUM:
            result, certainty = value[x], np.float32(1.0) / spread[x]
        elif method == _CHI_SQUARED:
            result, certainty = value[x], np.float32(0.5) / n
        else:
            result, certainty = value[x], n / (spread[x] * np.float32(extremes[count[x]]))
        image[x] = result if count[x] else zero
        weight[x] = certainty if count[x] else zero


@njit(nogil=True, cache=True)
def _sort_out(planes, place, number, rule, tables, memory, room, line, tally):
    """Combine a row by a method that looks at all values of a pixel, sorted, of all pixels at a time."""
    image, weight, flags, counts = line
    ordered, sums, numbers, seen, median = room
    width, good, count = image.size, numbers[0], numbers[1]
    sums[:], ordered[: place.size] = 0.0, np.float32(np.inf)
    seen[0], seen[1] = _NO_DATA, 255 if rule[1] == _AND else 0
    count[:] = 0
    for i in range(place.size):
        part = slice(place[i], place[i] + width)
        v, w, noise, bits = planes[0][part], planes[1][part], planes[2][part], planes[3][part]
        tally[0, number[i]] += _find_good(v, w, good, count)
        _insert(v, good, ordered[: i + 1])
        _add_certainty(w, noise, good, sums[0], sums[1])
        if rule[0] == _MEDIAN:
            _join_flags(good, bits, rule[1], seen[0], seen[1])
        else:
            _join_flags(numbers[2], bits, 0, seen[0], seen[1])
    _find_middle(planes[1], place, ordered, sums, count, tables, memory, median)
    if rule[0] == _MEDIAN:
        for x in range(width):
            image[x], weight[x] = median[0, x], np.float32(1.0) / median[2, x] if count[x] else np.float32(0.0)
        tally[1] += tally[0] - tally[1] - tally[2]
        counts[:] = count
    else:
        _clip(planes, place, number, rule, room, line, tally)
    for x in range(width):
        if counts[x]:
            flags[x] = ~seen[1, x] if rule[1] == _NOR else seen[1, x]
        else:
            flags[x] = seen[0, x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _insert(v, good, ordered):
    """Insert the good values of an input among those of the ones before it, which are in rising order."""
    last = ordered.shape[0] - 1
    for x in range(v.size):
        ordered[last, x] = v[x] if good[x] else np.float32(np.inf)
    for k in range(last):
        row, new = ordered[k], ordered[last]
        for x in range(row.size):
            low, high = min(row[x], new[x]), max(row[x], new[x])
            row[x], new[x] = low, high


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _add_certainty(w, noise, good, depth, variance):
    """Add 1 / s_i, and s_i^2, of the good pixels of an input."""
    zero, one = np.float32(0.0), np.float32(1.0)
    for x in range(w.size):
        spread = noise[x] / w[x] if good[x] else one
        depth[x] += one / np.sqrt(spread) if good[x] else zero
        variance[x] += spread if good[x] else zero


@njit(nogil=True, cache=True, error_model="numpy")
def _find_middle(weights, place, ordered, sums, count, tables, memory, median):
    """Find median, lower middle value, and variance of the median of each pixel; see `unequal_factor`."""
    depth, variance = sums[0], sums[1]
    own = np.empty(place.size, np.float32)
    for x in range(count.size):
        n = count[x]
        if n == 0:
            median[:, x] = 0.0
            continue
        lower, upper = ordered[(n - 1) // 2, x], ordered[n // 2, x]
        median[0, x], median[1, x] = np.float32(0.5) * (lower + upper), lower
        if n == 2:
            median[2, x] = np.float32(0.25) * variance[x]
            continue
        factor = 1.0
        # inputs of nearly equal weights, and many inputs, are as equal ones
        if 2 < n <= _MANY:
            held, least, most = 0, np.float32(np.inf), np.float32(0.0)
            for i in range(place.size):
                w = weights[place[i] + x]
                if 0 < w < np.inf and held < n:
                    own[held] = w
                    held += 1
                    least, most = min(least, w), max(most, w)
            if most > _ALIKE * least:
                factor = _remembered_factor(own, held, tables, memory)
        median[2, x] = factor * tables[0][n] * n / (np.float64(depth[x]) * depth[x])


@njit(nogil=True, cache=True)
def _remembered_factor(weight, n, tables, memory):
    """Return the factor from `memory` if n inputs had nearly the same ratios of weights the last time.

    The weights of the inputs' noise are taken: those of the pixels vary with how they fall between input pixels, by a
    few tens of per cent, to which the factor is hardly sensitive.
    """
    last = memory[n]
    low, high = np.inf, 0.0
    for i in range(n):
        ratio = last[i] / weight[i]
        low, high = min(low, ratio), max(high, ratio)
    if not (low > 0 and high < _SAME * low):
        last[:n] = weight[:n]
        last[n] = unequal_factor(1.0 / np.sqrt(weight[:n].astype(np.float64)), tables[0], tables[1], memory[0])
    return last[n]


@njit(nogil=True, cache=True)
def _clip(planes, place, number, rule, room, line, tally):
    """Average what lies near the median; near the lower of the middle values where nothing does."""
    image, weight, _, counts = line
    _, sums, numbers, seen, median = room
    width, depth, near, count = image.size, sums[0], numbers[0], numbers[1]
    sums[1:4] = 0.0
    counts[:] = 0
    for again in range(2):
        for i in range(place.size):
            part = slice(place[i], place[i] + width)
            v, w, noise, bits = planes[0][part], planes[1][part], planes[2][part], planes[3][part]
            kept = _find_near(v, w, noise, median[again], median[2], depth, count, rule[2], rule[3], numbers[2], near)
            tally[1, number[i]] += kept
            if kept:
                _add_weighted(v, w, noise, near, sums[1], sums[2], sums[3])
                _join_flags(near, bits, rule[1], seen[0], seen[1])
                for x in range(width):
                    counts[x] += near[x]
        left = 0
        for x in range(width):
            numbers[2, x] = 1 if counts[x] else 0
            left += count[x] > 0 and counts[x] == 0
        if left == 0:
            break
    tally[2] += tally[0] - tally[1] - tally[2]
    zero = np.float32(0.0)
    for x in range(width):
        image[x] = sums[1, x] / sums[2, x] if counts[x] else zero
        weight[x] = sums[2, x] * sums[2, x] / sums[3, x] if counts[x] else zero
    numbers[2] = 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _find_near(v, w, noise, middle, spread, depth, count, threshold, amplitude, settled, near):
    """Note which good values of an input are near the middle, of pixels that are not settled yet; return how many.

    The variance of v_i - median is s_i^2 + var(median) - 2 cov, with cov = s_i / sum(1 / s_j): exact for equal s_i,
    and from the influence function of the median otherwise. For two values it is a quarter of their summed variances.
    The difference has wider wings than a Gaussian, as now and then v_i is the median: at 4 sigma 0.1 per cent of three
    equal inputs lie outside, which costs no noise worth the name.
    """
    zero, one, two, most = np.float32(0.0), np.float32(1.0), np.float32(2.0), np.float32(np.inf)
    reach, share, total = np.float32(threshold), np.float32(amplitude), np.int32(0)
    for x in range(v.size):
        good = (w[x] > zero) & (w[x] < most) & (abs(v[x]) < most) & (settled[x] == 0)
        variance = noise[x] / w[x] if good else one
        apart = spread[x] + variance - two * np.sqrt(variance) / (depth[x] if good else one)
        apart = spread[x] if count[x] == 2 else max(apart, zero)
        here = np.int32(good & (abs(v[x] - middle[x]) <= reach * np.sqrt(apart) + share * abs(middle[x])))
        near[x] = here
        total += here
    return total
