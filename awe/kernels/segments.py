"""Which pixels belong to which source, in short: so that a frame is searched once, and measured again without that."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.isophotes import Isophotes
from awe.kernels.photometry import ApertureSums, Plane, circle_sums
from awe.kernels.planes import Scene
from awe.kernels.regions import Regions

RUNS = np.dtype([("number", "i4"), ("x", "i4"), ("y", "i4"), ("length", "i4")])
"""Pixels next to each other in a row that belong to one source, from 1 on: the first, and how many."""


@dataclass(frozen=True, eq=False)
class Segments:
    """The pixels of the sources of an image, in rows of `RUNS`, by y."""

    runs: NDArray[Any]
    shape: tuple[int, int]
    """(ny, nx) of the image."""

    def segmentation(self, y0: int, y1: int) -> NDArray[np.int32]:
        """Return a map of the numbers of the sources in the rows y0 to y1; 0 = none."""
        part = self.runs[slice(*np.searchsorted(self.runs["y"], [y0, y1]))]
        out = np.zeros((y1 - y0, self.shape[1]), np.int32)
        length = part["length"].astype(np.int64)
        first = (part["y"].astype(np.int64) - y0) * self.shape[1] + part["x"]
        before = np.cumsum(length) - length
        out.ravel()[np.repeat(first - before, length) + np.arange(length.sum())] = np.repeat(part["number"], length)
        return out


def segments_of(found: Isophotes) -> Segments:
    """Return the pixels of sources that were found."""
    own = found.number >= 0
    number, x, y = found.number[own] + 1, found.pixels.x[own], found.pixels.y[own]
    starts = np.flatnonzero(np.diff(number, prepend=0) | (np.diff(x, prepend=0) != 1) | np.diff(y, prepend=0))
    runs = np.zeros(starts.size, RUNS)
    runs["number"], runs["x"], runs["y"] = number[starts], x[starts], y[starts]
    runs["length"] = np.diff(starts, append=number.size)
    return Segments(runs, found.pixels.shape)


def circles_at(
    scene: Scene, segments: Segments, x: ArrayLike, y: ArrayLike, radii: ArrayLike, threads: int = 1
) -> ApertureSums:
    """Sum an image in circles around its sources, as their detection did: what neighbours cover is mirrored.

    Parameters
    ----------
    scene : Scene
    segments : Segments
        Of all sources.
    x, y : array of n, pixel
        Places of the sources, in the order of their numbers.
    radii : array of m, pixel
    threads : int

    Returns
    -------
    ApertureSums
        Arrays (n, m).
    """
    places = np.asarray(x, np.float64), np.asarray(y, np.float64)
    wanted = np.atleast_2d(np.asarray(radii, np.float64))
    sums = ApertureSums(*np.zeros((5, len(places[0]), wanted.shape[1])))
    if not len(places[0]):
        return sums

    def measure(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        found = circle_sums(plane, places[0][chosen] - x0, places[1][chosen] - y0, wanted, chosen + 1)
        for name in ("flux", "error", "area", "replaced", "outside"):
            getattr(sums, name)[chosen] = getattr(found, name)

    reach = np.full(len(places[0]), wanted.max() + 2)
    Regions(scene, segments, *places, threads).visit(measure, reach)
    return sums
