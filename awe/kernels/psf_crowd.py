"""Sources in groups that are fitted together, their neighbours, and the pixels around each group in their own memory.

What is fitted depends on sources and pixels only, not on the part of the image that was read to cut the pixels out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from awe.kernels.photometry import Plane

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

LINK = 2.2
"""Sources nearer than this many FWHM are fitted together."""
LARGEST_GROUP = 20
"""In crowds the distance of linking is made smaller until groups are no larger."""
BOX = 2.2
"""How far around its sources (FWHM) the pixels of a group reach."""
MOST_PIXELS = 1 << 24
"""Pixels that are held at a time, at eight bytes each."""
CONTEXT = 4.0
"""How far (in units of the reach of a PSF) beyond the groups that are wanted others are fitted, for their light."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """The sources of an image, and which of them are fitted together."""

    x: Array
    """Pixel; NaN is in no group."""
    y: Array
    order: Numbers
    """Sources, group by group; the groups from the first row of the image to the last."""
    starts: Numbers
    """First source of each group in `order`, and the end."""
    boxes: Numbers
    """(groups, 4): x and y of the first pixel, columns and rows; some may have none, off the image."""
    reach: float
    """How far (pixel) the picture of a star reaches along an axis."""
    farthest: float
    """How far (pixel) a source may be from where it is listed."""

    @cached_property
    def group(self) -> Numbers:
        """Group of each source; -1 = none."""
        out = np.full(len(self.x), -1)
        out[self.order] = np.repeat(np.arange(len(self.boxes)), np.diff(self.starts))
        return out

    @cached_property
    def cells(self) -> tuple[Numbers, Numbers, float, int, int]:
        """Sources by square cells of the image: members, first of each cell (and the end), side, columns and rows."""
        side = self.reach + self.farthest
        right, top = (self.boxes[:, :2] + self.boxes[:, 2:]).max(0, initial=1)
        across, up = int(right / side) + 1, int(top / side) + 1
        i = np.clip((self.x[self.order] / side).astype(np.int64), 0, across - 1)
        j = np.clip((self.y[self.order] / side).astype(np.int64), 0, up - 1)
        order = np.argsort(j * across + i, kind="stable")
        starts = np.searchsorted((j * across + i)[order], np.arange(across * up + 1))
        return self.order[order], starts, side, across, up

    def zones(self) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield groups, and those that are to be fitted with them for the sake of their light; few pixels at a time."""
        ends = np.cumsum(self.boxes[:, 2] * self.boxes[:, 3])
        zone = (ends - 1) // MOST_PIXELS
        low, high = self.boxes[:, 1], self.boxes[:, 1] + self.boxes[:, 3]
        for number in np.unique(zone):
            own = np.flatnonzero(zone == number)
            margin = CONTEXT * (self.reach + self.farthest)
            near = (high > low[own].min() - margin) & (low < high[own].max() + margin)
            yield own, np.flatnonzero(near)


def crowd_of(x: Array, y: Array, fwhm: float, reach: float, farthest: float, shape: tuple[int, int]) -> Crowd:
    """Join sources to groups.

    Parameters
    ----------
    x, y : arrays of n, pixel
        What is not finite is left out.
    fwhm, reach, farthest : float, pixel
        Of the PSF; of its picture; how far a source may move.
    shape : tuple of int
        (ny, nx) of the image.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    places = np.column_stack([x[known], y[known]])
    label = _labels(places, fwhm)
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    limits = np.zeros((len(starts), 4), np.int64)
    for axis, size in ((0, shape[1]), (1, shape[0])):
        if len(starts):
            along = places[order, axis]
            low = np.floor(np.minimum.reduceat(along, starts) - BOX * fwhm)
            high = np.ceil(np.maximum.reduceat(along, starts) + BOX * fwhm) + 1
            limits[:, axis], limits[:, 2 + axis] = np.clip(low, 0, size), np.clip(high, 0, size)
    limits[:, 2:] -= limits[:, :2]
    upwards = np.argsort(limits[:, 1], kind="stable")
    counts = np.diff(starts, append=len(order))[upwards]
    begin = np.cumsum(counts) - counts
    pieces = np.arange(counts.sum()) + np.repeat(starts[upwards] - begin, counts)
    return Crowd(x, y, known[order[pieces]], np.append(begin, len(order)), limits[upwards], reach, farthest)


def _labels(places: Array, fwhm: float) -> Numbers:
    """Return the number of the group of each source."""
    label = np.zeros(len(places), np.int64)
    todo, link, count = np.arange(len(places)), LINK * fwhm, 0
    while todo.size:
        pairs = cKDTree(places[todo]).query_pairs(link, output_type="ndarray")
        graph = coo_array((np.ones(len(pairs)), pairs.T.reshape(2, -1)), (todo.size, todo.size))
        number, own = connected_components(graph, directed=False)
        large = np.bincount(own, minlength=number)[own] > LARGEST_GROUP
        if link < 0.1 * fwhm:  # so many in one place can't be told apart: each by itself
            own, large, number = np.arange(todo.size), np.zeros(todo.size, bool), todo.size
        label[todo[~large]] = own[~large] + count
        count += number
        todo, link = todo[large], link / 1.3
    return label


@dataclass(frozen=True, eq=False)
class Stamps:
    """The pixels of some groups."""

    groups: Numbers
    starts: Numbers
    """First pixel of each, and the end."""
    light: NDArray[np.float32]
    """adu, row by row; 0 where a pixel is bad."""
    variance: NDArray[np.float32]
    """adu^2, without the photon noise of sources; infinite where a pixel is bad."""

    def fill(self, crowd: Crowd, plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        """Cut some of the groups out of a plane whose first pixel is (x0, y0) of the image."""
        boxes = crowd.boxes[self.groups[chosen]] - [x0, y0, 0, 0]
        _cut(plane.image, plane.variance, plane.bad, boxes, self.starts[chosen], self.light, self.variance)


def empty_stamps(crowd: Crowd, groups: Numbers) -> Stamps:
    """Return room for the pixels of groups."""
    starts = np.append(0, np.cumsum(crowd.boxes[groups, 2] * crowd.boxes[groups, 3]))
    light, variance = (np.empty(starts[-1], np.float32) for _ in range(2))
    return Stamps(groups, starts, light, variance)


@njit(cache=True, nogil=True)
def _cut(image, variance, bad, boxes, starts, light, noise):
    for k in range(starts.size):
        x, y, columns, rows = boxes[k]
        for j in range(rows):
            to = starts[k] + j * columns
            for i in range(columns):
                good = not bad[y + j, x + i]
                light[to + i] = image[y + j, x + i] if good else np.float32(0)
                noise[to + i] = variance[y + j, x + i] if good else np.float32(np.inf)


@njit(cache=True, nogil=True)
def neighbours_of(box, cells, places_x, places_y, reach, own, group):
    """Return the sources of other groups whose light reaches a box.

    Parameters
    ----------
    box : array of 4
        Its first column and row, and how many there are.
    cells
        As `Crowd.cells`.
    places_x, places_y : arrays of n, pixel
        Where the sources are now.
    reach : float, pixel
    own : int
        The group that is left out.
    group : array of n
    """
    members, starts, side, across, up = cells
    first_i = min(max(int((box[0] - side) / side), 0), across - 1)
    last_i = min(max(int((box[0] + box[2] + side) / side), 0), across - 1)
    first_j = min(max(int((box[1] - side) / side), 0), up - 1)
    last_j = min(max(int((box[1] + box[3] + side) / side), 0), up - 1)
    size = 0
    for j in range(first_j, last_j + 1):
        size += starts[j * across + last_i + 1] - starts[j * across + first_i]
    found = np.empty(size, np.int64)
    count = 0
    for j in range(first_j, last_j + 1):
        for m in range(starts[j * across + first_i], starts[j * across + last_i + 1]):
            s = members[m]
            dx = max(box[0] - places_x[s], places_x[s] - (box[0] + box[2] - 1))
            dy = max(box[1] - places_y[s], places_y[s] - (box[1] + box[3] - 1))
            if group[s] != own and max(dx, dy) < reach:
                found[count] = s
                count += 1
    return found[:count]
