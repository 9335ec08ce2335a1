"""Parts of a scene, each large enough for the sources that are measured on it, so that any image fits into memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.photometry import Plane
from awe.kernels.planes import CHUNK_PIXELS, Scene

BAND_ROWS, MARGIN = 512, 256
"""Rows that share a region, and the most on both sides of them that sources of theirs may need."""
SLICES = 8
"""Parts per thread into which the sources of a region are divided, so that threads end together."""


class Segmented(Protocol):
    """What tells to which source a pixel belongs: `awe.kernels.isophotes.Isophotes`, or less."""

    def segmentation(self, y0: int, y1: int) -> NDArray[np.int32]:
        """Return a map of the numbers of the sources in some rows, from 1; 0 = none."""
        ...


Measure = Callable[[Plane, int, int, NDArray[np.int64]], None]
"""Given a plane, the x and y of its first pixel in the image, and the numbers of the sources to measure on it."""


class Regions:
    """The parts of a scene on which sources are measured.

    A scene that is kept is one region. Of any other, all are laid into the same memory, one after the other: a plane
    must not be kept beyond the call that gets it. There, sources that need few pixels around them share bands of rows;
    any that need more have a region of their own. What is measured does not depend on where the bands lie.

    Parameters
    ----------
    scene : Scene
    found : Segmented or None
        Without, the planes do not tell which pixels belong to which source.
    x, y : arrays of n, pixel
        Places of the sources.
    threads : int
    """

    def __init__(
        self,
        scene: Scene,
        found: Segmented | None,
        x: NDArray[Any],
        y: NDArray[Any],
        threads: int = 1,
    ) -> None:
        self._scene, self._found, self._threads = scene, found, threads
        self._x, self._y = np.asarray(x), np.asarray(y)
        self._kept: tuple[Any, Plane] | None = None
        self._room: tuple[NDArray[Any], ...] = ()

    def visit(self, measure: Measure, reach: ArrayLike) -> None:
        """Call `measure` with each region, for some of its sources at a time, from some threads at a time.

        `reach` (pixel) tells how far from the places of the sources pixels may matter to them.
        """
        each = np.broadcast_to(np.asarray(reach, np.float64), self._x.shape)
        with ThreadPoolExecutor(self._threads) as pool:
            for box, sources in _parts(self._scene, self._x, self._y, each):
                plane = self._plane(box, pool)
                many = min(SLICES * self._threads, len(sources)) or 1
                slices = np.array_split(sources, many)
                list(pool.map(lambda chosen, p=plane, b=box: measure(p, b[0], b[2], chosen), slices))

    def background(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """Return the background in the pixels nearest to some places."""
        ny, nx = self._scene.shape
        columns, rows = (np.clip(np.rint(v).astype(np.int64), 0, n - 1) for v, n in ((x, nx), (y, ny)))
        out = np.zeros(len(rows), np.float32)
        for y0 in np.unique(rows // BAND_ROWS) * BAND_ROWS:
            inside = (rows >= y0) & (rows < y0 + BAND_ROWS)
            level = self._scene.background(int(y0), min(ny, int(y0) + BAND_ROWS))
            out[inside] = level[rows[inside] - y0, columns[inside]]
        return out

    def _plane(self, box: tuple[int, int, int, int], pool: ThreadPoolExecutor) -> Plane:
        if self._kept is not None and self._kept[0] == box:
            return self._kept[1]
        plane = self._whole() if self._scene.is_kept else self._laid_out(box, pool)
        self._kept = box, plane
        return plane

    def _whole(self) -> Plane:
        ny = self._scene.shape[0]
        owner = np.zeros(self._scene.shape, np.int32) if self._found is None else self._found.segmentation(0, ny)
        return replace(self._scene.rows(0, ny), segmentation=owner)

    def _laid_out(self, box: tuple[int, int, int, int], pool: ThreadPoolExecutor) -> Plane:
        x0, x1, y0, y1 = box
        image, variance, bad, bits, owner = self._arrays((y1 - y0, x1 - x0))
        step = max(1, CHUNK_PIXELS // self._scene.shape[1])

        def fill(first: int) -> None:
            last = min(y1, first + step)
            plane, to = self._scene.rows(first, last, x0, x1), slice(first - y0, last - y0)
            image[to], variance[to], bad[to], bits[to] = plane.image, plane.variance, plane.bad, plane.flags
            owner[to] = 0 if self._found is None else self._found.segmentation(first, last)[:, x0:x1]

        list(pool.map(fill, range(y0, y1, step)))
        return Plane(image, variance, bad, owner, bits, self._scene.gain)

    def _arrays(self, shape: tuple[int, int]) -> Any:
        """Return arrays for image, variance, bad pixels, flags and owners: the same memory as before if it will do."""
        size = shape[0] * shape[1]
        if not self._room or self._room[0].size < size:
            self._kept, self._room = None, ()
            kinds = (np.float32, np.float32, np.bool_, np.uint8, np.int32)
            self._room = tuple(np.empty(size, kind) for kind in kinds)
        return (room[:size].reshape(shape) for room in self._room)


def _parts(scene: Scene, x: NDArray[Any], y: NDArray[Any], reach: NDArray[Any]) -> Any:
    """Yield boxes (x0, x1, y0, y1) and the numbers of their sources."""
    ny, nx = scene.shape
    if scene.is_kept:
        yield (0, nx, 0, ny), np.arange(len(x))
        return
    near = reach <= MARGIN
    band = np.clip(y.astype(np.int64), 0, ny - 1) // BAND_ROWS
    for number in np.unique(band[near]):
        y0, own = int(number) * BAND_ROWS, np.flatnonzero(near & (band == number))
        margin = int(reach[own].max()) + 1
        yield (0, nx, max(0, y0 - margin), min(ny, y0 + BAND_ROWS + margin)), own
    for k in np.flatnonzero(~near):
        left, low = int(x[k] - reach[k]), int(y[k] - reach[k])
        right, high = int(x[k] + reach[k]) + 2, int(y[k] + reach[k]) + 2
        yield (max(0, left), min(nx, right), max(0, low), min(ny, high)), np.array([k])
