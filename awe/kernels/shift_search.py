"""Search for the shift that lays one list of positions on another: every pair of points votes for its difference."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

REFINED = 200
"""Shifts that are looked at closely, those with most votes first."""
KEPT = 4
BEYOND_DOUBT = -15.0
"""Logarithm of the chance probability of a shift below which no other is tried."""


def shifts(
    first: Array, second: Array, centre: tuple[float, float], largest: float, tolerance: float
) -> tuple[Array, int]:
    """Return the shifts that lay most of the first list on the second, and the number of pairs that voted.

    Parameters
    ----------
    first, second : arrays (n, 2), (m, 2), in one unit
        Without NaN.
    centre : pair of float
        Expected shift.
    largest : float
        Greatest distance from it.
    tolerance : float
        How far apart counterparts may lie.

    Returns
    -------
    array (k, 4)
        Logarithm (base 10) of the probability that it is chance, rms of the distances, shift; the least likely to be
        chance first, at most `KEPT`, each refined to the mean of its pairs.
    int
    """
    votes, one, other = _votes(first, second, float(centre[0]), float(centre[1]), largest)
    if not len(votes):
        return np.zeros((0, 4)), 0
    # cells of the size of the tolerance, so that what lies within it is in a cell or the eight round it
    cell = np.floor((votes - votes.min(axis=0)) / tolerance).astype(np.int64) + 1
    width = int(cell[:, 0].max()) + 2
    number = cell[:, 1] * width + cell[:, 0]
    order = np.argsort(number, kind="stable")
    sorted_votes = votes[order], one[order], other[order], number[order]
    popularity = _popularity(sorted_votes[0], sorted_votes[3], width, tolerance)
    tries = np.argsort(-popularity, kind="stable")
    found = _refined(first, second, *sorted_votes, width, tolerance, popularity, tries)
    return found[np.lexsort((found[:, 1], found[:, 0]))][:KEPT], len(votes)


@njit(cache=True, nogil=True)
def log_chance(count, expected):
    """Return the logarithm (base 10) of the probability of so many coincidences or more, where some are expected."""
    if count <= expected:
        return 0.0
    total = term = 1.0
    k = float(count)
    while term > 1e-12 * total:
        k += 1.0
        term *= expected / k
        total += term
    natural = count * math.log(expected) - expected - math.lgamma(count + 1.0) + math.log(total)
    return min(natural / math.log(10.0), 0.0)


@njit(cache=True, nogil=True)
def _votes(first, second, east, north, largest):
    """Return the differences of all pairs within the greatest distance, and whose they are."""
    size = 0
    for fill in range(2):
        if fill:
            votes = np.empty((size, 2))
            one, other = np.empty(size, np.int64), np.empty(size, np.int64)
        size = 0
        for i in range(len(first)):
            for j in range(len(second)):
                du, dv = second[j, 0] - first[i, 0], second[j, 1] - first[i, 1]
                if (du - east) ** 2 + (dv - north) ** 2 <= largest * largest:
                    if fill:
                        votes[size, 0], votes[size, 1], one[size], other[size] = du, dv, i, j
                    size += 1
    return votes, one, other


@njit(cache=True, nogil=True)
def _popularity(votes, number, width, tolerance):
    """Count the votes within the tolerance of each."""
    found = np.zeros(len(votes), np.int64)
    for row in range(-1, 2):
        start = stop = 0
        for a in range(len(votes)):
            # three cells of a row lie behind each other, and those of the next vote not before those of this one
            least, most = number[a] + row * width - 1, number[a] + row * width + 1
            while start < len(votes) and number[start] < least:
                start += 1
            while stop < len(votes) and number[stop] <= most:
                stop += 1
            for b in range(start, stop):
                du, dv = votes[b, 0] - votes[a, 0], votes[b, 1] - votes[a, 1]
                if du * du + dv * dv <= tolerance * tolerance:
                    found[a] += 1
    return found


@njit(cache=True, nogil=True)
def _refined(first, second, votes, one, other, number, width, tolerance, popularity, tries):
    """Refine the most popular shifts that differ from each other; return chance, rms and shift of each."""
    tried, refined = np.empty((REFINED, 2)), np.empty((REFINED, 4))
    nearest_one, nearest_other = np.full(len(first), np.inf), np.full(len(second), np.inf)
    scratch = np.empty(len(votes), np.int64)
    at, kept, best, most = 0, 0, 0.0, 0
    low = np.array([votes[:, 0].min(), votes[:, 1].min()])
    for n in tries[:REFINED]:
        if popularity[n] < 2 or (best < BEYOND_DOUBT) or 2 * popularity[n] < most:
            break
        known = False
        for k in range(at):
            # votes for one shift lie close together: to refine each of them gives the same again
            if math.hypot(tried[k, 0] - votes[n, 0], tried[k, 1] - votes[n, 1]) < tolerance / 2:
                known = True
        if known:
            continue
        tried[at] = votes[n]
        at += 1
        count, radius, rms, u, v = _settle(
            votes, one, other, number, width, low, tolerance, votes[n, 0], votes[n, 1], nearest_one, nearest_other,
            scratch,
        )  # fmt: skip
        if count < 2:
            continue
        expected = _coincidences(first, second, u, v, radius)
        chance = log_chance(count - 1, expected) + math.log10(len(votes))
        refined[kept, 0], refined[kept, 1], refined[kept, 2], refined[kept, 3] = chance, rms, u, v
        kept += 1
        if chance < best:
            best, most = chance, count
    return refined[:kept]


@njit(cache=True, nogil=True)
def _settle(votes, one, other, number, width, low, tolerance, u, v, nearest_one, nearest_other, scratch):
    """Move a shift to the mean of the pairs that it brings nearest to each other, in a radius that their scatter sets.

    Returns the number of pairs, the radius, the rms of a coordinate, and the shift.
    """
    radius, rms, count = tolerance, 0.0, 0
    for step in range(9):
        rows = scratch[: _near(votes, number, width, low, tolerance, u, v, radius, scratch)]
        for b in rows:
            distance = math.hypot(votes[b, 0] - u, votes[b, 1] - v)
            nearest_one[one[b]] = min(nearest_one[one[b]], distance)
            nearest_other[other[b]] = min(nearest_other[other[b]], distance)
        mutual = np.empty(len(rows), np.int64)
        count = 0
        for b in rows:
            distance = math.hypot(votes[b, 0] - u, votes[b, 1] - v)
            if distance == nearest_one[one[b]] and distance == nearest_other[other[b]]:
                mutual[count] = b
                count += 1
        for b in rows:
            nearest_one[one[b]] = nearest_other[other[b]] = np.inf
        if count < 2:
            return count, radius, rms, u, v
        u, v = votes[mutual[:count], 0].mean(), votes[mutual[:count], 1].mean()
        off = np.hypot(votes[mutual[:count], 0] - u, votes[mutual[:count], 1] - v)
        rms = math.sqrt((off**2).sum() / 2 / (count - 1))
        if 2 <= step < 8:
            radius = min(tolerance, max(3 * 1.2 * np.median(off), tolerance / 10))
    return count, radius, rms, u, v


@njit(cache=True, nogil=True)
def _near(votes, number, width, low, tolerance, u, v, radius, found):
    """Find the rows of the votes within a radius, at most the tolerance, of a place; return how many they are."""
    column = math.floor((u - low[0]) / tolerance) + 1
    line = math.floor((v - low[1]) / tolerance) + 1
    count = 0
    for row in range(line - 1, line + 2):
        start = np.searchsorted(number, row * width + column - 1)
        for b in range(start, len(votes)):
            if number[b] > row * width + column + 1:
                break
            if (votes[b, 0] - u) ** 2 + (votes[b, 1] - v) ** 2 <= radius * radius:
                found[count] = b
                count += 1
    return count


@njit(cache=True, nogil=True)
def _coincidences(first, second, u, v, radius):
    """Return how many points of unrelated lists would lie within the radius of each other, where the lists overlap."""
    low_u = max(first[:, 0].min() + u, second[:, 0].min()) - 2 * radius
    high_u = min(first[:, 0].max() + u, second[:, 0].max()) + 2 * radius
    low_v = max(first[:, 1].min() + v, second[:, 1].min()) - 2 * radius
    high_v = min(first[:, 1].max() + v, second[:, 1].max()) + 2 * radius
    area = max(high_u - low_u, 2 * radius) * max(high_v - low_v, 2 * radius)
    here = there = 0
    for i in range(len(first)):
        if low_u <= first[i, 0] + u <= high_u and low_v <= first[i, 1] + v <= high_v:
            here += 1
    for j in range(len(second)):
        if low_u <= second[j, 0] <= high_u and low_v <= second[j, 1] <= high_v:
            there += 1
    few, many = min(here, there), max(here, there)
    return max(few * min(many * math.pi * radius**2 / area, 1.0), 1e-12)
