"""Separation of sources whose light touches, after SExtractor (Bertin & Arnouts 1996, A&AS 117, 393, section 6).

An area above the threshold is looked at from its peak down, through levels spaced evenly in the logarithm. Where
branches meet, those that stand out by enough flux above the level are sources of their own; the pixels below belong
to the source whose Gaussian (of the moments of its branch) is the brightest there.
"""

import math

import numpy as np
from numba import njit

from awe.kernels.components import find

SIGNIFICANCE = 1.5
"""Least flux of a branch above the level where it ends, in units of its noise: less is but a ripple in the light."""
LEAST_BRANCH = 3
"""Pixels of the smallest branch, if `min_area` is not smaller."""


@njit(cache=True, nogil=True)
def split_areas(order, starts, first, last, x, y, value, variance, threshold, min_area, levels, contrast, part, parts):
    """Split the areas `first` to `last`.

    Parameters
    ----------
    order, starts
        As `awe.kernels.components.grouped` returns.
    x, y, value, variance : arrays of n pixels
    threshold : float, in units of the noise
    min_area : int, pixel
        Smaller areas are left out.
    levels, contrast
        Number of levels; least part of the flux of the area that a branch must have above the level where it ends.
    part : array of n int32
        Filled with the number of the source within the area, from 0; -1 = of none.
    parts : array of int32, one per area
        Filled with the number of sources.
    """
    for k in range(first, last):
        own = order[starts[k] : starts[k + 1]]
        if own.size < min_area:
            part[own] = -1
            continue
        low = math.inf
        for p in own:
            low = min(low, threshold * math.sqrt(variance[p]))
        found, parts[k] = _split(
            x[own], y[own], value[own], low, threshold, min(min_area, LEAST_BRANCH), levels, contrast
        )
        part[own] = found


@njit(cache=True, nogil=True)
def _level_numbers(value, low, levels):
    """Return how high each pixel lies, in levels from 0, and the pixels from the highest to the lowest."""
    peak = value.max()
    high = np.zeros(value.size, np.int64)
    counts = np.zeros(levels + 1, np.int64)
    scale = levels / math.log(peak / low) if peak > low else 0.0
    for p in range(value.size):
        k = int(scale * math.log(value[p] / low)) if value[p] > low else 0
        high[p] = min(k, levels - 1)
        counts[levels - 1 - high[p] + 1] += 1
    counts = np.cumsum(counts)
    ordered = np.empty(value.size, np.int64)
    for p in range(value.size):
        k = levels - 1 - high[p]
        ordered[counts[k]] = p
        counts[k] += 1
    return high, ordered, scale


@njit(cache=True, nogil=True)
def _split(x, y, value, low, threshold, least, levels, contrast):
    """Return the part of each pixel of an area, and how many parts there are."""
    n = x.size
    part = np.full(n, -1, np.int32)
    high, ordered, scale = _level_numbers(value, low, levels)
    if levels < 2 or scale == 0 or contrast >= 1 or n < 2 * least:
        part[:] = 0
        return part, 1
    needed, sigmas = contrast * value.sum(), SIGNIFICANCE / threshold
    corner = x.min() - 1, y.min() - 1
    wide = x.max() - corner[0] + 2
    grid = np.full((y.max() - corner[1] + 2) * wide, -1, np.int32)
    place = (y.astype(np.int64) - corner[1]) * wide + x - corner[0]
    # the pixels of a branch are a chain from head to tail, of which those of what joined it remain a piece
    parent, following = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    head, tail = np.arange(n), np.arange(n)
    size, flux = np.ones(n, np.int64), value.astype(np.float64)
    whole, votes = np.ones(n, np.bool_), np.zeros(n, np.int64)
    # what the branches were one level up: root, first and last pixel, whether they stand out, whether not split
    roots, heads, tails = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    valid, unsplit = np.empty(n, np.bool_), np.empty(n, np.bool_)
    branches, cores, done = 0, 0, 0
    for k in range(levels - 1, -1, -1):
        above = low * math.exp((k + 1) / scale)
        for m in range(branches):
            r = roots[m]
            heads[m], tails[m], unsplit[m] = head[r], tail[r], whole[r]
            stands_out = max(needed, sigmas * low * math.sqrt(size[r]))
            valid[m] = size[r] >= least and flux[r] - above * size[r] > stands_out
        fresh = done
        while done < n and high[ordered[done]] == k:
            _add(ordered[done], grid, place, wide, parent, following, head, tail, size, flux)
            done += 1
        if done > fresh:
            cores = _detach(
                branches, parent, following, roots, heads, tails, valid, unsplit, whole, votes, part, cores
            )  # fmt: skip
            branches = _new_roots(branches, ordered[fresh:done], parent, roots, votes)
    if cores == 0:
        part[:] = 0
        return part, 1
    _gather(x, y, value, part, cores)
    return part, cores


@njit(cache=True, nogil=True)
def _add(p, grid, place, wide, parent, following, head, tail, size, flux):
    """Add a pixel, and join the branches it touches."""
    parent[p] = p
    grid[place[p]] = p
    for step in (-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1):
        q = grid[place[p] + step]
        if q < 0:
            continue
        one, other = find(parent, p), find(parent, q)
        if one == other:
            continue
        if size[one] < size[other]:
            one, other = other, one
        parent[other] = one
        following[tail[one]] = head[other]
        tail[one] = tail[other]
        size[one] += size[other]
        flux[one] += flux[other]


@njit(cache=True, nogil=True)
def _detach(branches, parent, following, roots, heads, tails, valid, unsplit, whole, votes, part, cores):
    """Make cores of the branches of the level above that stand out and have now met others that do; return how many."""
    for m in range(branches):
        r = find(parent, roots[m])
        votes[r], whole[r] = 0, True
    for m in range(branches):
        r = find(parent, roots[m])
        votes[r] += valid[m]
        whole[r] &= unsplit[m]
    for m in range(branches):
        r = find(parent, roots[m])
        if votes[r] < 2:
            continue
        whole[r] = False
        if valid[m] and unsplit[m]:
            p = heads[m]
            part[p] = cores
            while p != tails[m]:
                p = following[p]
                part[p] = cores
            cores += 1
    return cores


@njit(cache=True, nogil=True)
def _new_roots(branches, added, parent, roots, votes):
    """List the roots after pixels were added, each once; return how many there are."""
    count = 0
    for m in range(branches + added.size):
        r = find(parent, roots[m] if m < branches else added[m - branches])
        if votes[r] >= 0:
            roots[count] = r
            votes[r] = -1
            count += 1
    for m in range(count):
        votes[roots[m]] = 0
    return count


@njit(cache=True, nogil=True)
def _gather(x, y, value, part, cores):
    """Give the pixels outside the cores to the core whose Gaussian is the brightest there."""
    sums = np.zeros((cores, 6))
    for p in range(x.size):
        if part[p] >= 0:
            s = sums[part[p]]
            v = value[p]
            s[0] += v
            s[1] += v * (x[p] - x[0])
            s[2] += v * (y[p] - y[0])
            s[3] += v * (x[p] - x[0]) ** 2
            s[4] += v * (y[p] - y[0]) ** 2
            s[5] += v * (x[p] - x[0]) * (y[p] - y[0])
    shape = np.empty((cores, 6))
    for c in range(cores):
        s = sums[c] / sums[c, 0]
        xx, yy, xy = s[3] - s[1] ** 2 + 1 / 12, s[4] - s[2] ** 2 + 1 / 12, s[5] - s[1] * s[2]
        root = xx * yy - xy * xy
        shape[c, 0], shape[c, 1] = s[1] + x[0], s[2] + y[0]
        shape[c, 2], shape[c, 3], shape[c, 4] = yy / root, xx / root, -2 * xy / root
        shape[c, 5] = math.log(sums[c, 0] / (2 * math.pi * math.sqrt(root)))
    for p in range(x.size):
        if part[p] >= 0:
            continue
        best = -math.inf
        for c in range(cores):
            dx, dy = x[p] - shape[c, 0], y[p] - shape[c, 1]
            light = shape[c, 5] - 0.5 * (shape[c, 2] * dx * dx + shape[c, 3] * dy * dy + shape[c, 4] * dx * dy)
            if light > best:
                best, part[p] = light, c
