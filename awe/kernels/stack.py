"""Pixel loops of `awe.kernels.combine`: one pixel of a stack of images at a time."""

import numpy as np
from numba import njit

TILE = 64
FEW = 8
MEAN, MEDIAN, CLIPPED = 0, 1, 2


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
def _spread(values, owner, size, weight, ordered):
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
                        spreads[found] = _spread(values, owner, size, weight, ordered) * corrections[size]
                        found += 1
            sigmas[ty, tx] = np.median(spreads[:found]) if found else 0.0
    return sigmas


@njit(nogil=True, cache=True)
def _value_variance(index, level, sigma, gain, read_variance, weight, scale):
    """Return the variance of one scaled value: of the noise model, or of the pooled spread where there is none."""
    if gain > 0:
        return scale[index] * (scale[index] * read_variance + max(level, 0.0) / gain)
    return sigma * sigma / weight[index]


@njit(nogil=True, cache=True)
def _reject(values, owner, size, ordered, variances, threshold, factors):
    """Keep, at the front of values and owner, what lies within the threshold around the median; return how many."""
    lower, upper = ordered[(size - 1) // 2], ordered[size // 2]
    centre = 0.5 * (lower + upper)
    # Outliers in half of an even number of images: cosmic rays add light, so the lower half is right.
    if (upper - lower) ** 2 > 2 * threshold * threshold * variances[owner[0]]:
        centre = lower
    # A value better known than the median must not be rejected for the median's error.
    floor = _median_variance(owner, size, variances, factors)
    kept = 0
    for k in range(size):
        value, index = values[k], owner[k]
        # Rounding of float32 must not reject equal values where the images have no noise.
        if abs(value - centre) <= threshold * np.sqrt(max(variances[index], floor)) + 1e-6 * abs(centre):
            values[kept], owner[kept] = value, index
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def _median_variance(owner, size, variances, factors):
    total = 0.0
    for k in range(size):
        total += variances[owner[k]]
    return factors[size] * total / size


@njit(nogil=True, cache=True)
def _disagreement(values, owner, variances, threshold):
    """Return the variance that two values too far apart imply, else 0."""
    gap = (values[0] - values[1]) ** 2
    unlikely = gap > threshold * threshold * (variances[owner[0]] + variances[owner[1]])
    return 0.25 * gap if unlikely else 0.0


@njit(nogil=True, cache=True)
def _mean_of_pixel(values, owner, size, weight, variances):
    """Return the weighted mean and its variance."""
    mean, norm = _weighted_mean(values, owner, size, weight)
    total = 0.0
    for k in range(size):
        total += weight[owner[k]] ** 2 * variances[owner[k]]
    return mean, total / (norm * norm)


@njit(nogil=True, cache=True)
def combine_band(
    stack, weight, scale, sigmas, gain, read_variance, method, threshold, loss, factors, image, variance, used
):
    """Combine one band of rows into the output arrays."""
    count, ny, nx = stack.shape
    values, ordered, variances = np.empty(count), np.empty(count), np.empty(count)
    owner = np.empty(count, np.int64)
    for y in range(ny):
        for x in range(nx):
            size = _gather(stack, y, x, values, owner)
            if size == 0:
                image[y, x], variance[y, x], used[y, x] = np.nan, np.inf, 0
                continue
            level, _ = _weighted_mean(values, owner, size, weight)
            if method != MEAN:
                ordered[:size] = values[:size]
                _sort(ordered, size)
                level = _middle(ordered, size)
            sigma = 0.0 if gain > 0 else sigmas[y // TILE, x // TILE]
            for k in range(size):
                variances[owner[k]] = _value_variance(owner[k], level, sigma, gain, read_variance, weight, scale)
            if method == MEDIAN:
                mean, spread = level, _median_variance(owner, size, variances, factors)
            else:
                floor, excess = 0.0, 1.0
                if method == CLIPPED and size > 2:
                    size, excess = _reject(values, owner, size, ordered, variances, threshold, factors), loss
                elif method == CLIPPED and size == 2:
                    floor = _disagreement(values, owner, variances, threshold)
                mean, spread = _mean_of_pixel(values, owner, size, weight, variances)
                spread = max(excess * spread, floor)
            image[y, x], variance[y, x], used[y, x] = mean, spread, size
