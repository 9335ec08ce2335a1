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
_SETS = 61
"""Sets of inputs of which the weights are remembered, besides that of all."""
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
    ratios = np.empty((2, width), np.float32)
    memory = np.zeros((_SETS + 2, _MANY + 2))
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
            room = (ordered, sums, numbers, seen, median, ratios)
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
        image[x] = result if count[x] else np.float32(np.nan)
        weight[x] = certainty if count[x] else np.float32(0.0)


@njit(nogil=True, cache=True)
def _sort_out(planes, place, number, rule, tables, memory, room, line, tally):
    """Combine a row by a method that looks at all values of a pixel, sorted, of all pixels at a time."""
    image, weight, flags, counts = line
    ordered, sums, numbers, seen, median, ratios = room
    width, good, count = image.size, numbers[0], numbers[1]
    sums[:], sums[2], ordered[: place.size] = 0.0, np.float32(np.inf), np.float32(np.inf)
    seen[0], seen[1] = _NO_DATA, 255 if rule[1] == _AND else 0
    count[:] = 0
    for i in range(place.size):
        part = slice(place[i], place[i] + width)
        v, w, noise, bits = planes[0][part], planes[1][part], planes[2][part], planes[3][part]
        tally[0, number[i]] += _find_good(v, w, good, count)
        _insert(v, good, ordered[: i + 1])
        _add_certainty(w, noise, good, sums)
        if rule[0] == _MEDIAN:
            _join_flags(good, bits, rule[1], seen[0], seen[1])
        else:
            _join_flags(numbers[2], bits, 0, seen[0], seen[1])
    _find_middle(planes[1], place, ordered, sums, count, tables, memory, ratios, median)
    if rule[0] == _MEDIAN:
        for x in range(width):
            image[x] = median[0, x] if count[x] else np.float32(np.nan)
            weight[x] = np.float32(1.0) / median[2, x] if count[x] else np.float32(0.0)
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
            # not min and max: these look for NaN, and are slower
            swapped = new[x] < row[x]
            row[x], new[x] = new[x] if swapped else row[x], row[x] if swapped else new[x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _add_certainty(w, noise, good, sums):
    """Add 1 / s_i, and s_i^2, of the good pixels of an input; keep the least and the largest of their weights."""
    depth, variance, least, most = sums[0], sums[1], sums[2], sums[3]
    zero, one, all_of_it = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    for x in range(w.size):
        spread = noise[x] / w[x] if good[x] else one
        depth[x] += one / np.sqrt(spread) if good[x] else zero
        variance[x] += spread if good[x] else zero
        low, high = w[x] if good[x] else all_of_it, w[x] if good[x] else zero
        least[x] = low if low < least[x] else least[x]
        most[x] = high if high > most[x] else most[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _find_middle(weights, place, ordered, sums, count, tables, memory, ratios, median):
    """Find median, lower middle value, and variance of the median of each pixel; see `unequal_factor`.

    First of all pixels as if all inputs were good there; then one by one of those where some are not, or where the
    weights are unequal in another way than they were before.
    """
    n = place.size
    if n == 0:
        median[:] = 0.0
        return
    _find_whole_middle(ordered[(n - 1) // 2], ordered[n // 2], sums, n, np.float32(tables[0][n] * n), median)
    factor = memory[-1, -1] if 2 < n <= _MANY and memory[-1, -2] == n else 0.0
    if factor > 0:
        _compare_with_last(weights, place, memory[-1], ratios)
    else:
        ratios[0], ratios[1] = 0.0, 1.0
    if n > 2:
        _apply_factor(sums[2], sums[3], ratios, np.float32(factor if factor > 0 else 1.0), n > _MANY, median[2])
    own = np.empty(n, np.float32)
    for x in range(count.size):
        if count[x] != n or median[2, x] < 0:
            _find_one_middle(weights, place, ordered, sums, count[x], tables, memory, own, x, median)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _find_whole_middle(lower, upper, sums, n, whole, median):
    depth, variance, middle, low, spread = sums[0], sums[1], median[0], median[1], median[2]
    half, quarter = np.float32(0.5), np.float32(0.25)
    for x in range(lower.size):
        middle[x], low[x] = half * (lower[x] + upper[x]), lower[x]
        spread[x] = quarter * variance[x] if n == 2 else whole / (depth[x] * depth[x])


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _compare_with_last(weights, place, last, ratios):
    """Set the least and the largest ratio of the weights that were remembered to those of each pixel."""
    least, most = ratios[0], ratios[1]
    least[:], most[:] = np.float32(np.inf), np.float32(0.0)
    for i in range(place.size):
        w, known = weights[place[i] : place[i] + least.size], np.float32(last[i])
        for x in range(least.size):
            ratio = known / w[x]
            least[x] = ratio if ratio < least[x] else least[x]
            most[x] = ratio if ratio > most[x] else most[x]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _apply_factor(least, most, ratios, factor, any_weights, spread):
    """Multiply by the factor where weights are unequal as before; -1 where they are unequal in another way."""
    alike, same, one = np.float32(_ALIKE), np.float32(_SAME), np.float32(1.0)
    low, high = ratios[0], ratios[1]
    for x in range(spread.size):
        equal = any_weights | (most[x] <= alike * least[x])
        value = spread[x] * (one if equal else factor)
        spread[x] = value if equal | (high[x] < same * low[x]) else -one


@njit(nogil=True, cache=True, error_model="numpy")
def _find_one_middle(weights, place, ordered, sums, n, tables, memory, own, x, median):
    if n == 0:
        median[:, x] = 0.0
        return
    lower, upper = ordered[(n - 1) // 2, x], ordered[n // 2, x]
    median[0, x], median[1, x] = np.float32(0.5) * (lower + upper), lower
    if n == 2:
        median[2, x] = np.float32(0.25) * sums[1, x]
        return
    factor = 1.0
    # inputs of nearly equal weights, and many inputs, are as equal ones
    if 2 < n <= _MANY and sums[3, x] > np.float32(_ALIKE) * sums[2, x]:
        held, members = 0, 0
        for i in range(place.size):
            w = weights[place[i] + x]
            if 0 < w < np.inf and held < n:
                own[held] = w
                held, members = held + 1, members + (1 << (i & 63))
        number = 1 + (members % _SETS) if held < place.size else _SETS + 1
        factor = _remembered_factor(own, held, tables, memory[number], memory[0])
    spread = np.float32(tables[0][n] * n) / (sums[0, x] * sums[0, x])  # rounded as of all pixels at a time
    median[2, x] = spread * np.float32(factor)


@njit(nogil=True, cache=True)
def _remembered_factor(weight, n, tables, last, work):
    """Return the factor that was remembered if n inputs had nearly the same ratios of weights the last time.

    The weights of the inputs' noise are taken: those of the pixels vary with how they fall between input pixels, by a
    few tens of per cent, to which the factor is hardly sensitive. `last` holds the weights, and at the end n and the
    factor.
    """
    low, high = np.inf, 0.0
    for i in range(n):
        ratio = last[i] / weight[i]
        low, high = min(low, ratio), max(high, ratio)
    if not (last[-2] == n and low > 0 and high < _SAME * low):
        last[:n] = weight[:n]
        last[-2] = n
        last[-1] = unequal_factor(1.0 / np.sqrt(weight[:n].astype(np.float64)), tables[0], tables[1], work)
    return last[-1]


@njit(nogil=True, cache=True)
def _clip(planes, place, number, rule, room, line, tally):
    """Average what lies near the median; near the lower of the middle values where nothing does."""
    image, weight, _, counts = line
    _, sums, numbers, seen, median, _ = room
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
    for x in range(width):
        image[x] = sums[1, x] / sums[2, x] if counts[x] else np.float32(np.nan)
        weight[x] = sums[2, x] * sums[2, x] / sums[3, x] if counts[x] else np.float32(0.0)
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
