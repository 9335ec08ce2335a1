"""Connected pixels: which pixels above a threshold touch each other, and lists of them by what they belong to."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.thresholding import PixelList


def connected(pixels: PixelList) -> NDArray[np.int32]:
    """Return for each pixel the number of the area, from 0, of pixels that touch by a side or a corner.

    Areas are numbered by their first pixels.
    """
    return _connected(pixels.x, pixels.starts)


def grouped(number: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels in the order of their groups, and the first of each group in it (and the end).

    Parameters
    ----------
    number : array of n int
        Group of each pixel, from 0; negative = none.
    count : int
        Number of groups.
    """
    starts = np.zeros(count + 1, np.int64)
    return _grouped(number, starts), starts


@njit(cache=True, nogil=True)
def find(parent, place):
    """Return the root of a place in a forest, and shorten the way to it."""
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@njit(cache=True, nogil=True)
def _join(parent, one, other):
    one, other = find(parent, one), find(parent, other)
    # the first pixel is the root, so that numbers do not depend on the order of joining
    if one < other:
        parent[other] = one
    else:
        parent[one] = other


@njit(cache=True, nogil=True)
def _connected(x, starts):
    parent = np.arange(x.size).astype(np.int32)
    for row in range(starts.size - 1):
        first, end = starts[row], starts[row + 1]
        above = starts[row - 1] if row > 0 else first
        for p in range(first, end):
            if p > first and x[p - 1] == x[p] - 1:
                _join(parent, p - 1, p)
            while above < first and x[above] < x[p] - 1:
                above += 1
            q = above
            while q < first and x[q] <= x[p] + 1:
                _join(parent, q, p)
                q += 1
    count = 0
    number = np.empty(x.size, np.int32)
    for p in range(x.size):
        root = find(parent, p)
        if root == p:
            number[p] = count
            count += 1
        else:
            number[p] = number[root]
    return number


@njit(cache=True, nogil=True)
def _grouped(number, starts):
    for k in number:
        if k >= 0:
            starts[k + 1] += 1
    for k in range(starts.size - 1):
        starts[k + 1] += starts[k]
    place = starts[:-1].copy()
    order = np.empty(starts[-1], np.int64)
    for p in range(number.size):
        k = number[p]
        if k >= 0:
            order[place[k]] = p
            place[k] += 1
    return order
