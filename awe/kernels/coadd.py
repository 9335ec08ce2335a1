"""Images on one grid added up, in bands of rows: any number of inputs in bounded memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from awe.kernels.choices import Method
from awe.kernels.flags import PixelFlag
from awe.kernels.order_statistics import gap_factors, median_inefficiency
from awe.kernels.sections import Section
from awe.kernels.stacking import METHOD_NUMBERS, stack_rows

INPUT_BYTES, OUTPUT_BYTES = 9, 11
"""Of each pixel that is held: image, weight, flags; and the count in the output."""


class Input(Protocol):
    """What a coadd asks of an input: a `Regridder`, or a file read by sections."""

    @property
    def region(self) -> Section:
        """The part of the output grid it covers."""
        ...

    def read(self, y0: int, y1: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint8] | None]:
        """Return image, weight (inverse variance, 0 = bad) and flags of rows y0 <= y < y1 of the output grid."""
        ...


@dataclass(frozen=True)
class Band:
    """Rows of a coadd from `y0` on: image, inverse variance, flags, and number of inputs used for each pixel."""

    y0: int
    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    flags: NDArray[np.uint8]
    count: NDArray[np.uint16]

    def fill_empty(self, rows: slice, columns: slice) -> None:
        """Mark a rectangle (rows relative to the band) that no input covers."""
        for plane in (self.image, self.weight, self.count):
            plane[rows, columns] = 0
        self.flags[rows, columns] = PixelFlag.NO_DATA


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
        self._tally = np.zeros((3, len(inputs)), np.int64)

    @property
    def statistics(self) -> list[InputStatistics]:
        """Of the rows done so far."""
        return [InputStatistics(*(int(number) for number in column)) for column in self._tally.T]

    def bands(self) -> Iterator[Band]:
        """Yield the output from the first row to the last."""
        self._tally[:] = 0
        with ThreadPoolExecutor(self._threads) as pool:
            y0 = 0
            while y0 < self._shape[0]:
                y1 = self._end_of_band(y0)
                yield self._band(y0, y1, pool)
                y0 = y1

    def _end_of_band(self, y0: int) -> int:
        """Return where a band must end so that what is held of inputs and output stays below the limit."""
        depth = self._shape[0] - y0
        while depth > 1 and self._bytes_held(y0, y0 + depth) > self._limit:
            depth = (depth + 1) // 2
        return y0 + depth

    def _bytes_held(self, y0: int, y1: int) -> int:
        read = sum(_held(source.region, y0, y1) for source in self._inputs)
        return INPUT_BYTES * read + OUTPUT_BYTES * (y1 - y0) * self._shape[1]

    def _band(self, y0: int, y1: int, pool: Executor) -> Band:
        active = [k for k, source in enumerate(self._inputs) if _held(source.region, y0, y1)]
        stack = _Stack([self._inputs[k].region for k in active], y0, y1)
        read = [pool.submit(stack.fill, i, self._inputs[k], self._scales[k]) for i, k in enumerate(active)]
        for future in read:
            future.result()
        shape = (y1 - y0, self._shape[1])
        band = Band(y0, *(np.empty(shape, kind) for kind in (np.float32, np.float32, np.uint8, np.uint16)))
        chunks = np.array_split(np.arange(y1 - y0), min(self._threads, y1 - y0))
        tallies = list(pool.map(lambda rows: stack.combine(band, rows[0], rows[-1] + 1, self._rule), chunks))
        self._tally[:, active] += np.sum(tallies, axis=0)
        return band


def coadd(
    inputs: Sequence[Input],
    shape: tuple[int, int],
    method: Method = Method.WEIGHTED,
    threshold: float = 4.0,
    amplitude: float = 0.6,
    scales: Sequence[float] | None = None,
    memory_limit: int = 512 * 2**20,
    threads: int = 1,
) -> Coaddition:
    """Add up images that lie on one grid.

    An input pixel is good if its weight is above 0 and its value finite. From the n good ones, of variance s_i^2:

    - WEIGHTED: sum(v_i / s_i^2) / sum(1 / s_i^2); weight sum(1 / s_i^2).
    - AVERAGE: plain mean; weight n^2 / sum(s_i^2).
    - MEDIAN: plain median; weight (sum(1 / s_i))^2 / (n e(n) f), with e(n) the inefficiency of the median of n equal
      Gaussian numbers (exact; 1.346 for n = 3, pi/2 in the limit) and f a factor for unequal s_i, from the
      distribution of their median (`unequal_factor`; 1 per cent for most sets); as AVERAGE for n = 2.
    - CLIPPED: as WEIGHTED, of the inputs with |v_i - median| <= threshold * sigma_i + amplitude * |median| (Gruen et
      al. 2014, PASP 126, 158), where sigma_i is that of the difference, as the median is noisy itself and contains
      v_i. The second term allows for differences of the PSF in stars: at the usual 0.3, exposures of poor and of good
      seeing are clipped in the wings, which takes some thousandths of the flux of a bright star. If none remains (as
      of two that disagree) the lower of the middle values takes the place of the median: cosmic rays and satellites
      are bright.

    The weight is the inverse variance of the result for Gaussian noise. Flags of a pixel: OR of those of the inputs
    used, so that what a value contains can be read; where nothing is used NO_DATA, and OR of those of all inputs
    there, so that the cause can be read. Image and weight are 0 there.

    Parameters
    ----------
    inputs : sequence of Input
        Read by rows, each row once, in rising order.
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
        Inputs read, and rows added up, at a time.

    Raises
    ------
    ValueError
        If a region lies beyond the grid, or there is not one positive scale for each input; while bands are made, if
        an input returns rows of another shape.
    """
    factors = np.ones(len(inputs)) if scales is None else np.asarray(scales, np.float64)
    if factors.shape != (len(inputs),) or not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(f"{len(inputs)} inputs need as many positive scales, not {scales}")
    for source in inputs:
        if not source.region.fits_in(shape):
            raise ValueError(f"region {source.region} of an input reaches beyond the grid of shape {shape}")
    tables = median_inefficiency(len(inputs)), gap_factors(len(inputs))
    rule = _Rule(method, float(threshold), float(amplitude), tables)
    return Coaddition(inputs, shape, factors, rule, memory_limit, threads)


@dataclass(frozen=True)
class _Rule:
    method: Method
    threshold: float
    amplitude: float
    tables: tuple[NDArray[np.float64], NDArray[np.float64]]


class _Stack:
    """The rows of a band that its inputs cover, end to end in one array of each kind."""

    def __init__(self, regions: list[Section], y0: int, y1: int) -> None:
        self.y0 = y0
        self.boxes = np.array(
            [(r.x0, r.x1, max(r.y0, y0) - y0, min(r.y1, y1) - y0) for r in regions], np.int64
        ).reshape(-1, 4)
        x0, x1, top, bottom = self.boxes.T
        self.starts = np.concatenate([[0], np.cumsum((x1 - x0) * (bottom - top))])
        size = int(self.starts[-1])
        self.image, self.weight, self.flags = (np.empty(size, kind) for kind in (np.float32, np.float32, np.uint8))

    def fill(self, index: int, source: Input, scale: float) -> None:
        x0, x1, top, bottom = (int(edge) for edge in self.boxes[index])
        image, weight, flags = source.read(self.y0 + top, self.y0 + bottom)
        shape, place = (bottom - top, x1 - x0), slice(self.starts[index], self.starts[index + 1])
        if image.shape != shape or weight.shape != shape or (flags is not None and flags.shape != shape):
            raise ValueError(f"input {source.region} returned rows of shape {image.shape}, expected {shape}")
        np.multiply(image, np.float32(scale), out=self.image[place].reshape(shape), casting="same_kind")
        np.multiply(weight, np.float32(scale**-2), out=self.weight[place].reshape(shape), casting="same_kind")
        self.flags[place].reshape(shape)[...] = 0 if flags is None else flags

    def combine(self, band: Band, first: int, last: int, rule: _Rule) -> NDArray[np.int64]:
        """Fill rows of the band, column range by column range with the same inputs; return the tally of inputs."""
        tally = np.zeros((3, len(self.boxes)), np.int64)
        width = band.image.shape[1]
        edges = np.unique(np.concatenate([[0, width], self.boxes[:, 0], self.boxes[:, 1]]))
        for left, right in pairwise(edges):
            there = np.flatnonzero((self.boxes[:, 0] <= left) & (self.boxes[:, 1] >= right))
            if not there.size:
                band.fill_empty(slice(first, last), slice(left, right))
                continue
            stack_rows(
                (self.image, self.weight, self.flags), self.starts, self.boxes, there, (first, last), (left, right),
                METHOD_NUMBERS[rule.method.value], rule.threshold, rule.amplitude, rule.tables,
                (band.image, band.weight, band.flags, band.count), tally,
            )  # fmt: skip
        return tally


def _held(region: Section, y0: int, y1: int) -> int:
    """Return the number of pixels of a region within rows y0 <= y < y1."""
    return max(0, min(region.y1, y1) - max(region.y0, y0)) * (region.x1 - region.x0)
