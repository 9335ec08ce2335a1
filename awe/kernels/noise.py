"""Noise of a detector: its model, and its measurement from frames of equal exposure."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from awe.kernels.statistics import clipped_statistics

_BLOCK = 64


@dataclass(frozen=True)
class DetectorNoise:
    """Read noise (adu) and gain (e-/adu) of a detector: all that its noise model needs."""

    gain: float
    read_noise: float

    def __post_init__(self) -> None:
        if not (self.gain > 0 and self.read_noise >= 0):
            raise ValueError(f"gain must be > 0 and read noise >= 0, got {self.gain} and {self.read_noise}")

    def variance(self, level):
        """Return the variance (adu^2) of a pixel at a level (adu above bias; scalar or array): photons + read-out."""
        return self.read_noise**2 + np.maximum(level, 0.0) / self.gain


@dataclass(frozen=True)
class ReadNoiseEstimate:
    """Read noise (adu), its standard error (adu), and the value found from each pair of frames."""

    value: float
    error: float
    per_pair: tuple[float, ...]
    plain: float
    """The scatter of differences to the first frame over sqrt(2), no pixel rejected, mean of all (adu): the classical
    recipe, and what outliers make of it."""


def read_noise(
    images: Iterable[np.ndarray], mask: np.ndarray | None = None, threshold: float = 5.0
) -> ReadNoiseEstimate:
    """Measure the read noise from differences of successive bias frames.

    What is fixed (bias structure, hot columns) cancels in a difference; what drifts (level, slow gradients) is
    taken out by estimating the spread in blocks of 64 x 64 pixels, each around its own median. The result is the
    mean over pairs of the clipped mean over blocks, divided by sqrt(2). Pixels beyond `threshold` sigma (cosmic rays,
    unstable pixels) do not enter, which a plain standard deviation would let in. The noise of digitisation is
    contained.

    Parameters
    ----------
    images : iterable of at least two ndarrays, shape (ny, nx), adu
        NaN and infinities are left out. Gone through once, three held at a time, so that any number can be read one by
        one.
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out.
    threshold : float, sigma
        Differences further off are left out.

    Returns
    -------
    ReadNoiseEstimate
        The error is the larger of that from the scatter of blocks and that from the scatter of pairs.

    Raises
    ------
    ValueError
        If there are fewer than two frames, shapes differ, or no block holds enough good pixels.
    """
    first = previous = None
    pairs, scatters = [], []
    for image in images:
        if first is None or previous is None:
            first = previous = image
            if np.ndim(image) != 2:
                raise ValueError(f"frames must be of shape (ny, nx), got {np.shape(image)}")
            continue
        if np.shape(image) != np.shape(first):
            raise ValueError(f"frames have different shapes: {sorted({np.shape(first), np.shape(image)})}")
        pairs.append(_pair_noise(previous, image, mask, threshold))
        scatters.append(np.nanstd(_difference(first, image, mask)))
        previous = image
    if not pairs:
        raise ValueError(f"read noise needs at least 2 frames, got {0 if first is None else 1}")
    values = np.array([value for value, _ in pairs])
    by_blocks = np.sqrt(np.sum([error**2 for _, error in pairs])) / values.size
    # Successive pairs share a frame, hence the number of independent values is about half the number of frames.
    by_pairs = values.std(ddof=1) / np.sqrt((values.size + 1) / 2) if values.size > 1 else 0.0
    error = float(max(by_blocks, by_pairs))
    return ReadNoiseEstimate(float(values.mean()), error, tuple(values.tolist()), float(np.mean(scatters)) / np.sqrt(2))


def _difference(first: np.ndarray, second: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # infinities
        difference = np.asarray(first, np.float32) - np.asarray(second, np.float32)
    difference[~np.isfinite(difference) if mask is None else mask | ~np.isfinite(difference)] = np.nan
    return difference


def _pair_noise(
    first: np.ndarray, second: np.ndarray, mask: np.ndarray | None, threshold: float
) -> tuple[float, float]:
    """Return read noise and its error, from the blocks of one difference."""
    difference = _difference(first, second, mask)
    sigmas = [clipped_statistics(block, threshold) for block in _blocks(difference)]
    found = np.array([statistics.sigma for statistics in sigmas if statistics.count >= 32])
    if found.size == 0:
        raise ValueError("read noise: no block of the frames holds 32 good pixels")
    blocks = clipped_statistics(found)
    spread = blocks.sigma if found.size > 4 else blocks.mean / np.sqrt(2 * 32)
    return blocks.mean / np.sqrt(2), spread / np.sqrt(2 * found.size)


def _blocks(image: np.ndarray):
    """Yield the image in blocks; a rest smaller than half a block joins its neighbour."""
    rows, columns = (max(1, round(length / _BLOCK)) for length in image.shape)
    for strip in np.array_split(image, rows, axis=0):
        yield from np.array_split(strip, columns, axis=1)
