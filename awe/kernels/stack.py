"""Pixel loops of `awe.kernels.combine`: many pixels of a stack of images side by side."""

import numpy as np
from numba import njit

TILE = 64
FEW = 8
MEAN, MEDIAN, CLIPPED = 0, 1, 2
CHUNK = 4 * TILE
_LARGEST = np.float32(3.4028235e38)


@njit(nogil=True, cache=True)
def _sort(values, size):
    """Sort the first values in place: by insertion, quickest for the few values of a pixel."""
    if size > 40:
        values[:size].sort()
        return
    for k in range(1, size):
        value = values[k]
        j = k - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(nogil=True, cache=True)
def _gather(stack, y, x, values, owner):
    """Copy the finite values of one pixel, and the index of the image of each; return how many."""
    size = 0
    for index in range(stack.shape[0]):
        value = stack[index, y, x]
        if np.isfinite(value):
            values[size] = value
            owner[size] = index
            size += 1
    return size


@njit(nogil=True, cache=True)
def _middle(values, size):
    return 0.5 * (values[(size - 1) // 2] + values[size // 2])


@njit(nogil=True, cache=True)
def _weighted_mean(values, owner, size, weight):
    total = 0.0
    norm = 0.0
    for k in range(size):
        total += weight[owner[k]] * values[k]
        norm += weight[owner[k]]
    return total / norm, norm


@njit(nogil=True, cache=True)
def _scatter(values, owner, size, weight, ordered):
    """Return the spread of a pixel's values in units of weight 1: see `awe.kernels.combine.spread_corrections`."""
    if size <= FEW:
        mean, _ = _weighted_mean(values, owner, size, weight)
        total = 0.0
        for k in range(size):
            total += weight[owner[k]] * (values[k] - mean) ** 2
        return np.sqrt(total / (size - 1))
    ordered[:size] = values[:size]
    _sort(ordered, size)
    middle = _middle(ordered, size)
    for k in range(size):
        ordered[k] = np.sqrt(weight[owner[k]]) * abs(values[k] - middle)
    _sort(ordered, size)
    return _middle(ordered, size)


@njit(nogil=True, cache=True)
def tile_sigmas(stack, weight, corrections):
    """Return, per tile, the median over every second pixel of every second row of the spread of the images."""
    count, ny, nx = stack.shape
    sigmas = np.zeros(((ny + TILE - 1) // TILE, (nx + TILE - 1) // TILE))
    spreads = np.empty(TILE * TILE)
    values, ordered, owner = np.empty(count), np.empty(count), np.empty(count, np.int64)
    for ty in range(sigmas.shape[0]):
        for tx in range(sigmas.shape[1]):
            found = 0
            for y in range(ty * TILE, min((ty + 1) * TILE, ny), 2):
                for x in range(tx * TILE, min((tx + 1) * TILE, nx), 2):
                    size = _gather(stack, y, x, values, owner)
                    if size > 1:
                        spreads[found] = _scatter(values, owner, size, weight, ordered) * corrections[size]
                        found += 1
            sigmas[ty, tx] = np.median(spreads[:found]) if found else 0.0
    return sigmas


def sorting_network(count: int) -> np.ndarray:
    """Return the pairs of places to compare and exchange, in turn, that sort `count` values.

    Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M). What is compared does
    not depend on the values, so many pixels are sorted side by side in vector registers.
    """
    pairs = []
    p = top = 1 << max(0, (count - 1).bit_length() - 1)
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return np.array(pairs, np.int64).reshape(-1, 2)


@njit(nogil=True, cache=True)
def _order(rows, network, ordered, size):
    """Sort the values of each pixel of a row, those that are not finite last, and count the finite ones."""
    count, nx = rows.shape
    size[:] = 0
    for k in range(count):
        for x in range(nx):
            finite = abs(rows[k, x]) <= _LARGEST
            ordered[k, x] = rows[k, x] if finite else np.float32(np.inf)
            size[x] += finite
    for c in range(network.shape[0]):
        first, second = ordered[network[c, 0]], ordered[network[c, 1]]
        for x in range(nx):
            a, b = first[x], second[x]
            first[x], second[x] = (a if a < b else b), (b if a < b else a)


@njit(nogil=True, cache=True)
def _middles(ordered, size, lower, upper):
    """Set the middle value or values of each pixel; 0 where it has none."""
    for x in range(size.size):
        lower[x] = ordered[(size[x] - 1) // 2, x] if size[x] else 0.0
        upper[x] = ordered[size[x] // 2, x] if size[x] else 0.0


@njit(nogil=True, cache=True)
def _weighted_sums(rows, weight, total, norm, size):
    """Set sum and norm of the weighted finite values of each pixel, and count them."""
    total[:], norm[:], size[:] = 0.0, 0.0, 0
    for k in range(rows.shape[0]):
        for x in range(total.size):
            finite = abs(rows[k, x]) <= _LARGEST
            total[x] += weight[k] * (rows[k, x] if finite else np.float32(0))
            norm[x] += weight[k] if finite else 0.0
            size[x] += finite


@njit(nogil=True, cache=True)
def _mean_variances(rows, fixed, slope, light, size, found):
    """Set the mean variance of the finite values of each pixel: fixed + slope * light of each image."""
    found[:] = 0.0
    for k in range(rows.shape[0]):
        for x in range(found.size):
            finite = abs(rows[k, x]) <= _LARGEST
            found[x] += fixed[k] + slope[k] * light[x] if finite else 0.0
    for x in range(found.size):
        found[x] /= max(size[x], 1)


@njit(nogil=True, cache=True)
def _centres(rows, fixed, slope, light, lower, upper, threshold, centre):
    """Set what values are compared with: the median, or the lower of two middles that are too far apart.

    With outliers in half of an even number of images the lower half is right: cosmic rays add light.
    """
    for x in range(centre.size):
        centre[x] = 0.5 * (lower[x] + upper[x])
        gap = (upper[x] - lower[x]) ** 2
        if gap > 0.0:
            k = 0
            while not abs(rows[k, x]) <= _LARGEST:
                k += 1
            if gap > 2 * threshold * threshold * (fixed[k] + slope[k] * light[x]):
                centre[x] = lower[x]


@njit(nogil=True, cache=True)
def _mean_of_kept(rows, weight, fixed, slope, light, centre, floor, threshold, clip, size, sums):
    """Sum the finite values or, to clip, those within the threshold around the centre if there are more than two.

    `sums` are, for each pixel: weighted values, weights, squared weights times variances, number. A value better known
    than the centre must not be rejected for the centre's error, hence its `floor`; nor for the rounding of float32.
    """
    total, norm, spread, kept = sums[0], sums[1], sums[2], sums[3]
    sums[:] = 0.0
    limit = np.empty(centre.size)
    for k in range(rows.shape[0]):
        if k == 0 or fixed[k] != fixed[k - 1] or slope[k] != slope[k - 1]:
            for x in range(centre.size):
                variance = max(fixed[k] + slope[k] * light[x], floor[x])
                limit[x] = threshold * np.sqrt(variance) + 1e-6 * abs(centre[x]) if clip and size[x] > 2 else np.inf
        for x in range(centre.size):
            value = rows[k, x]
            keep = (abs(value) <= _LARGEST) & (abs(value - centre[x]) <= limit[x])
            total[x] += weight[k] * value if keep else 0.0
            norm[x] += weight[k] if keep else 0.0
            spread[x] += weight[k] * weight[k] * (fixed[k] + slope[k] * light[x]) if keep else 0.0
            kept[x] += 1.0 if keep else 0.0


@njit(nogil=True, cache=True)
def _disagreement(rows, x, fixed, slope, light, threshold):
    """Return the variance that the two finite values of a pixel imply if they are too far apart, else 0."""
    found, variance = 0, 0.0
    pair = np.zeros(2)
    for k in range(rows.shape[0]):
        if abs(rows[k, x]) <= _LARGEST:
            pair[found] = rows[k, x]
            variance += fixed[k] + slope[k] * light[x]
            found += 1
    gap = (pair[0] - pair[1]) ** 2
    return 0.25 * gap if gap > threshold * threshold * variance else 0.0


@njit(nogil=True, cache=True)
def _levels(rows, weight, network, method, ordered, size, lower, upper, level):
    """Set how many finite values each pixel has, and their mean or median."""
    if method == MEAN:
        _weighted_sums(rows, weight, lower, upper, size)
        for x in range(size.size):
            level[x] = lower[x] / upper[x] if size[x] else 0.0
    else:
        _order(rows, network, ordered, size)
        _middles(ordered, size, lower, upper)
        for x in range(size.size):
            level[x] = 0.5 * (lower[x] + upper[x])


@njit(nogil=True, cache=True)
def _spread(rows, x, fixed, slope, light, method, size, sums, threshold, loss):
    """Return the variance of the mean of what a pixel kept."""
    found = sums[2, x] / (sums[1, x] * sums[1, x])
    if method == CLIPPED and size > 2:
        return loss * found
    if method == CLIPPED and size == 2:
        return max(found, _disagreement(rows, x, fixed, slope, light, threshold))
    return found


@njit(nogil=True, cache=True)
def combine_band(
    stack, weight, scale, sigmas, gain, read_variance, method, threshold, loss, factors, network, image, variance, used
):
    """Combine one band of rows into the output arrays, a stretch of pixels side by side."""
    count, ny, nx = stack.shape
    noisy = gain > 0
    fixed = scale * scale * read_variance if noisy else np.zeros(count)
    slope = scale if noisy else 1 / weight
    rows, ordered = np.empty((count, CHUNK), np.float32), np.empty((count, CHUNK), np.float32)
    size, sums = np.empty(CHUNK, np.int32), np.empty((4, CHUNK))
    lower, upper, level, light, floor = (
        np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
    )  # fmt: skip
    for y in range(ny):
        for x0 in range(0, nx, CHUNK):
            n = min(CHUNK, nx - x0)
            rows[:, n:] = np.nan
            for k in range(count):
                rows[k, :n] = stack[k, y, x0 : x0 + n]
            _levels(rows, weight, network, method, ordered, size, lower, upper, level)
            for x in range(n):
                light[x] = max(level[x], 0.0) / gain if noisy else sigmas[y // TILE, (x0 + x) // TILE] ** 2
            if method != MEAN:
                _mean_variances(rows, fixed, slope, light, size, floor)
                for x in range(CHUNK):
                    floor[x] *= factors[size[x]] if size[x] else 0.0
            if method == CLIPPED:
                _centres(rows, fixed, slope, light, lower, upper, threshold, level)
            if method != MEDIAN:
                clip = method == CLIPPED
                _mean_of_kept(rows, weight, fixed, slope, light, level, floor, threshold, clip, size, sums)
            for x in range(n):
                to = x0 + x
                if size[x] == 0:
                    image[y, to], variance[y, to], used[y, to] = np.nan, np.inf, 0
                elif method == MEDIAN:
                    image[y, to], variance[y, to], used[y, to] = level[x], floor[x], size[x]
                else:
                    image[y, to], used[y, to] = sums[0, x] / sums[1, x], sums[3, x]
                    variance[y, to] = _spread(rows, x, fixed, slope, light, method, size[x], sums, threshold, loss)
