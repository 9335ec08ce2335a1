"""Images on one grid added up, in tiles: any number of inputs in bounded memory, without files between."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from awe.kernels.choices import FlagRule, Method
from awe.kernels.flags import PixelFlag
from awe.kernels.order_statistics import extreme_variance, gap_factors, median_inefficiency
from awe.kernels.resample import TILE, Rows
from awe.kernels.sections import Section
from awe.kernels.stacking import FLAG_RULE_NUMBERS, METHOD_NUMBERS, stack_rows

INPUT_BYTES, OUTPUT_BYTES = 13, 11
"""Of each pixel that is held: image, weight, noise, flags; in the output the count instead of the noise."""
BANDS_AHEAD = 2
"""Bands that are in work while one is handed over, at least; more where their tiles are too few for the threads."""


class Input(Protocol):
    """What a coadd asks of an input: a `Regridder`, or an image on the grid."""

    @property
    def region(self) -> Section:
        """The part of the output grid it covers."""
        ...

    def fill(self, section: Section, rows: Rows) -> None:
        """Write the pixels of a rectangle of the grid, within the region, into arrays; many threads may call this."""
        ...


@dataclass(frozen=True)
class Band:
    """Rows of a coadd from `y0` on: image, inverse variance, flags, and number of inputs used for each pixel."""

    y0: int
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    flags: NDArray[np.uint8]
    count: NDArray[np.uint16]

    def fill_empty(self, columns: slice) -> None:
        """Mark columns that no input covers."""
        self.image[:, columns] = np.nan
        for plane in (self.weight, self.count):
            plane[:, columns] = 0
        self.flags[:, columns] = PixelFlag.NO_DATA


@dataclass(frozen=True)
class InputStatistics:
    """What became of the pixels of one input: how many were good, used, and clipped (good, but not used)."""

    offered: int
    used: int
    clipped: int

    @property
    def clipped_fraction(self) -> float:
        """The clipped part of the good pixels; 0 if there were none."""
        return self.clipped / self.offered if self.offered else 0.0


class Coaddition:
    """A coadd in the making: iterate over `bands()` once, then read `statistics`, one for each input in order."""

    def __init__(
        self,
        inputs: Sequence[Input],
        shape: tuple[int, int],
        scales: NDArray[np.float64],
        rule: "_Rule",
        limit: int,
        threads: int,
    ) -> None:
        self._inputs, self._shape, self._scales, self._rule = inputs, shape, scales, rule
        self._limit, self._threads = limit, threads
        self._ahead = max(BANDS_AHEAD, -(-2 * threads // max(1, len(self._columns()))))
        self._tally = np.zeros((3, len(inputs)), np.int64)
        edges = [(r.x0, r.x1, r.y0, r.y1) for r in (source.region for source in inputs)]
        self._edges = np.array(edges, np.int64).reshape(-1, 4)

    @property
    def statistics(self) -> list[InputStatistics]:
        """Of the rows done so far."""
        return [InputStatistics(*(int(number) for number in column)) for column in self._tally.T]

    def bands(self) -> Iterator[Band]:
        """Yield the output from the first row to the last; some bands ahead are made meanwhile."""
        self._tally[:] = 0
        begun: deque[tuple[Band, list[Future[_Counted]]]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                y0 = 0
                while y0 < self._shape[0] or begun:
                    while y0 < self._shape[0] and len(begun) <= self._ahead:
                        y1 = min(y0 + self._depth(y0), self._shape[0])
                        begun.append(self._begin(y0, y1, pool))
                        y0 = y1
                    yield self._finished(*begun.popleft())
            finally:
                for _, tiles in begun:
                    for tile in tiles:
                        tile.cancel()

    def _depth(self, y0: int) -> int:
        """Return how many rows a band may have so that what is held of inputs and output stays below the limit."""
        depth = TILE[0]
        while depth > 1 and self._bytes_held(y0, y0 + depth) > self._limit:
            depth //= 2
        return depth

    def _bytes_held(self, y0: int, y1: int) -> int:
        tiles = [len(self._there(Section(x0, x1, y0, y1))) for x0, x1 in self._columns()]
        in_tiles = max(tiles) * min(TILE[1], self._shape[1]) * self._threads
        in_bands = (self._ahead + 2) * self._shape[1]
        return (INPUT_BYTES * in_tiles + OUTPUT_BYTES * in_bands) * (y1 - y0)

    def _columns(self) -> list[tuple[int, int]]:
        return [(x0, min(x0 + TILE[1], self._shape[1])) for x0 in range(0, self._shape[1], TILE[1])]

    def _there(self, tile: Section) -> NDArray[np.intp]:
        """Return the numbers of the inputs that have pixels in a tile."""
        x0, x1, y0, y1 = self._edges.T
        return np.flatnonzero((x0 < tile.x1) & (x1 > tile.x0) & (y0 < tile.y1) & (y1 > tile.y0))

    def _begin(self, y0: int, y1: int, pool: Executor) -> "tuple[Band, list[Future[_Counted]]]":
        shape = (y1 - y0, self._shape[1])
        band = Band(y0, *(np.empty(shape, kind) for kind in (np.float32, np.float32, np.uint8, np.uint16)))
        return band, [pool.submit(self._make, band, Section(x0, x1, y0, y1)) for x0, x1 in self._columns()]

    def _finished(self, band: Band, tiles: "list[Future[_Counted]]") -> Band:
        for tile in tiles:
            there, tally = tile.result()
            self._tally[:, there] += tally
        return band

    def _make(self, band: Band, tile: Section) -> "_Counted":
        there = self._there(tile)
        stack = _Stack(self._edges[there], tile)
        for place, number in enumerate(there):
            stack.take(place, self._inputs[number], float(self._scales[number]))
        return there, stack.combine(band, self._rule)


_Counted = tuple[NDArray[np.intp], NDArray[np.int64]]


def coadd(
    inputs: Sequence[Input],
    shape: tuple[int, int],
    method: Method = Method.WEIGHTED,
    threshold: float = 4.0,
    amplitude: float = 0.6,
    scales: Sequence[float] | None = None,
    memory_limit: int = 128 * 2**20,
    threads: int = 1,
    flags: FlagRule = FlagRule.OR,
) -> Coaddition:
    """Add up images that lie on one grid.

    An input pixel is good if its weight is above 0 and its value finite. From the n good ones, of weight w_i and
    variance s_i^2 (which is noise / weight, see `Rows`):

    - WEIGHTED: sum(w_i v_i) / sum(w_i); weight sum(w_i)^2 / sum(w_i^2 s_i^2).
    - AVERAGE: plain mean; weight n^2 / sum(s_i^2).
    - MEDIAN: plain median; weight (sum(1 / s_i))^2 / (n e(n) f), with e(n) the inefficiency of the median of n equal
      Gaussian numbers (exact; 1.346 for n = 3, pi/2 in the limit) and f a factor for unequal w_i, from the
      distribution of their median (`unequal_factor`; 1 per cent for most sets); as AVERAGE for n = 2.
    - CLIPPED: as WEIGHTED, of the inputs with |v_i - median| <= threshold * sigma_i + amplitude * |median| (Gruen et
      al. 2014, PASP 126, 158), where sigma_i is that of the difference, as the median is noisy itself and contains
      v_i. The second term allows for differences of the PSF in stars: at the usual 0.3, exposures of poor and of good
      seeing are clipped in the wings, which takes some thousandths of the flux of a bright star. If none remains (as
      of two that disagree) the lower of the middle values takes the place of the median: cosmic rays and satellites
      are bright.
    - MINIMUM, MAXIMUM: the extreme value; weight that of the extreme of n numbers with the mean of the variances.
    - SUM: sum(v_i); weight 1 / sum(s_i^2).
    - CHI_SQUARED: sum(v_i^2 / s_i^2) (Szalay, Connolly & Szokoly 1999, AJ 117, 68), to find sources in: n where there
      is just noise; weight 1 / 2n.

    The weight is the inverse variance of the result for Gaussian noise. Flags of a pixel: those of the inputs used,
    joined by `flags`, so that what a value contains can be read; where nothing is used NO_DATA, and OR of those of all
    inputs there, so that the cause can be read. The image is NaN and the weight 0 there.

    Parameters
    ----------
    inputs : sequence of Input
        Read by rectangles, from the first row to the last.
    shape : tuple of int
        (ny, nx) of the output grid.
    method : Method
    threshold, amplitude : float
        For CLIPPED: in standard deviations, and as a fraction of the value.
    scales : sequence of float, optional
        One for each input: values are multiplied by it, weights divided by its square.
    memory_limit : int, bytes
        For the rows of inputs and output held at a time; a single row of all of them is held in any case.
    threads : int
        Rectangles that are worked on at a time.
    flags : FlagRule

    Raises
    ------
    ValueError
        If a region lies beyond the grid, or there is not one positive scale for each input.
    """
    factors = np.ones(len(inputs)) if scales is None else np.asarray(scales, np.float64)
    if factors.shape != (len(inputs),) or not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(f"{len(inputs)} inputs need as many positive scales, not {scales}")
    for source in inputs:
        if not source.region.fits_in(shape):
            raise ValueError(f"region {source.region} of an input reaches beyond the grid of shape {shape}")
    tables = median_inefficiency(len(inputs)), gap_factors(len(inputs)), extreme_variance(len(inputs))
    numbers = METHOD_NUMBERS[method.value], FLAG_RULE_NUMBERS[flags.value]
    rule = _Rule((*numbers, float(threshold), float(amplitude)), tables)
    return Coaddition(inputs, shape, factors, rule, memory_limit, threads)


@dataclass(frozen=True)
class _Rule:
    numbers: tuple[int, int, float, float]
    tables: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class _Stack:
    """The pixels of a tile that its inputs cover, end to end in one array of each kind."""

    def __init__(self, edges: NDArray[np.int64], tile: Section) -> None:
        self.tile = tile
        low, high = (tile.x0, tile.x0, tile.y0, tile.y0), (tile.x1, tile.x1, tile.y1, tile.y1)
        self.boxes = np.clip(edges, low, high) - low
        x0, x1, top, bottom = self.boxes.T
        self.starts = np.concatenate([[0], np.cumsum((x1 - x0) * (bottom - top))]).astype(np.int64)
        self.planes = _room(int(self.starts[-1]))

    def take(self, index: int, source: Input, scale: float) -> None:
        x0, x1, top, bottom = (int(edge) for edge in self.boxes[index])
        tile, shape = self.tile, (bottom - top, x1 - x0)
        place = slice(self.starts[index], self.starts[index + 1])
        rows = Rows(*(plane[place].reshape(shape) for plane in self.planes))
        source.fill(Section(tile.x0 + x0, tile.x0 + x1, tile.y0 + top, tile.y0 + bottom), rows)
        if scale != 1:
            self.planes[0][place] *= np.float32(scale)
            self.planes[1][place] *= np.float32(scale**-2)

    def combine(self, band: Band, rule: _Rule) -> NDArray[np.int64]:
        """Fill the tile in the band, column range by column range with the same inputs; return the tally of inputs."""
        tally = np.zeros((3, len(self.boxes)), np.int64)
        height, width = self.tile.shape
        edges = np.unique(np.concatenate([[0, width], self.boxes[:, 0], self.boxes[:, 1]]))
        for left, right in pairwise(int(edge) for edge in edges):
            there = np.flatnonzero((self.boxes[:, 0] <= left) & (self.boxes[:, 1] >= right))
            if not there.size:
                band.fill_empty(slice(self.tile.x0 + left, self.tile.x0 + right))
                continue
            stack_rows(
                self.planes, self.starts, self.boxes, there, (0, height), (left, right), self.tile.x0, rule.numbers,
                rule.tables, (band.image, band.weight, band.flags, band.count), tally,
            )  # fmt: skip
        return tally


def _room(size: int) -> tuple[NDArray[Any], ...]:
    """Return planes of this thread to work in: the system would clear new ones, which costs as much as to fill them."""
    held: tuple[NDArray[Any], ...] | None = getattr(_rooms, "held", None)
    if held is None or held[0].size < size:
        kinds = (np.float32, np.float32, np.float32, np.uint8)
        held = _rooms.held = tuple(np.empty(size, kind) for kind in kinds)
    return tuple(plane[:size] for plane in held)


_rooms = threading.local()
