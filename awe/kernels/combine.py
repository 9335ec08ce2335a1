"""Combination of aligned images of one chip, read in bands of rows so that memory stays bounded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from awe.kernels import stack as loops
from awe.kernels.choices import Combine
from awe.kernels.noise import DetectorNoise
from awe.kernels.statistics import MAD_TO_SIGMA, truncation_factor

ReadRows = Callable[[int, int, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Combined:
    """A combined image (adu), the variance of each of its pixels (adu^2), and how many images each one used."""

    image: np.ndarray
    variance: np.ndarray
    used: np.ndarray


def combine(
    read: ReadRows,
    count: int,
    shape: tuple[int, int],
    method: Combine = Combine.CLIPPED,
    threshold: float = 3.0,
    scales: Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
    noise: DetectorNoise | None = None,
    band_rows: int | None = None,
    memory_limit: int = 256 * 2**20,
) -> Combined:
    """Combine images of one chip into one, with its variance.

    CLIPPED rejects, once, what lies further than `threshold` sigma from the median of the pixel, and takes the
    (weighted) mean of the rest. Sigma is never that of the few values of the pixel itself, which for 3 to 5 images
    would reject good values and miss bad ones: it comes from the noise model at the level of the median or, without
    one, from the spread among the images pooled over tiles of 64 x 64 pixels. The cut is symmetric around the
    median and thus unbiased for symmetric noise at any number of images. With two values nothing tells the good
    from the bad: both are kept, and the variance is raised to their disagreement.

    The variance is that of the returned value: from the noise model if given, else from the pooled spread. It contains
    the few per cent that cutting the tails of good values costs (exact for many values, within 5 % for 3).

    Parameters
    ----------
    read : callable (index, y0, y1) -> ndarray, shape (y1 - y0, nx), adu
        Rows y0..y1 of one image; NaN = pixel left out. Called once per image and band.
    count : int
        Number of images.
    shape : tuple of int
        Shape (ny, nx) of each image.
    method : Combine
    threshold : float, sigma
        Of CLIPPED.
    scales : sequence of float, optional
        Each image is multiplied by its scale first.
    weights : sequence of float, optional
        Relative inverse variance of each scaled image, for WEIGHTED (which needs them) and CLIPPED.
    noise : DetectorNoise, optional
        Noise model of the images as read, that is before scales.
    band_rows : int, optional
        Rows per band, rounded up to whole tiles so that results do not depend on it.
    memory_limit : int, bytes
        Bound on the rows held at once, if band_rows is not given; one row of tiles is always held.

    Returns
    -------
    Combined
        float32, float32, uint16, shape (ny, nx). Where no image has a good pixel: NaN, infinity, 0.

    Raises
    ------
    ValueError
        If arguments contradict each other or `read` returns another shape.
    """
    method = Combine(method)
    scale = _positive("scales", scales, count)
    weight = _positive("weights", weights, count)
    _check(method, count, threshold, weights)
    result = _allocate(shape)
    rows = _band_rows(count, shape, band_rows, memory_limit)
    code = {Combine.MEDIAN: loops.MEDIAN, Combine.CLIPPED: loops.CLIPPED}.get(method, loops.MEAN)
    gain, variance = (0.0, 0.0) if noise is None else (noise.gain, noise.read_noise**2)
    corrections, factors = spread_corrections(count), median_variances(count)
    network = loops.sorting_network(count)
    loss = truncation_factor(threshold) ** -2 if method is Combine.CLIPPED else 1.0
    for y0 in range(0, shape[0], rows):
        y1 = min(y0 + rows, shape[0])
        stack = _read_band(read, scale, y0, y1, shape[1])
        sigmas = loops.tile_sigmas(stack, weight, corrections) if noise is None else np.zeros((1, 1))
        outputs = (result.image[y0:y1], result.variance[y0:y1], result.used[y0:y1])
        loops.combine_band(
            stack, weight, scale, sigmas, gain, variance, code, threshold, loss, factors, network, *outputs
        )
        del stack  # before the next one is read: never two of them at once
    return result


def spread_corrections(count: int) -> np.ndarray:
    """Return, for 0..count values, the factor from the median over pixels of their spread to sigma.

    The spread of up to 8 values is their standard deviation, whose median follows from the chi-square distribution;
    that of more is their median absolute deviation, with a small-sample term fitted to a simulation (to 0.5 %).
    """
    sizes = np.arange(max(count, 2) + 1, dtype=np.float64)
    freedom = np.maximum(sizes - 1, 1)
    few = 1 / np.sqrt(2 * gammaincinv(freedom / 2, 0.5) / freedom)
    many = MAD_TO_SIGMA * sizes / np.maximum(sizes - 1.13, 0.1)
    return np.where(sizes <= loops.FEW, few, many)


def median_variances(count: int) -> np.ndarray:
    """Return, for 0..count values of unit normal noise, the variance of their median.

    Exact to four digits up to 10 values; beyond, the asymptotic pi / (2 n) with a fitted small-sample term.
    """
    sizes = np.arange(max(count, 10) + 1, dtype=np.float64)
    variances = np.pi / 2 / (sizes + np.where(sizes % 2, 0.45, 1.37))
    variances[:11] = [np.inf, 1.0, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104, 0.1682, 0.1661, 0.1383]
    return variances


def _check(method: Combine, count: int, threshold: float, weights: Sequence[float] | None) -> None:
    if not 1 <= count <= np.iinfo(np.uint16).max:
        raise ValueError(f"can combine 1 to 65535 images, got {count}")
    if method is Combine.CLIPPED and not threshold > 0:
        raise ValueError(f"threshold must be positive, got {threshold}")
    if method is Combine.WEIGHTED and weights is None:
        raise ValueError("a weighted mean needs weights")
    if method in (Combine.MEAN, Combine.MEDIAN) and weights is not None:
        raise ValueError(f"weights have no meaning for method {method.value!r}; use 'weighted' or 'clipped'")


def _positive(name: str, values: Sequence[float] | None, count: int) -> np.ndarray:
    """Return the factors as an array of float64, ones if there are none."""
    factors = np.ones(count) if values is None else np.asarray(values, np.float64)
    if factors.shape != (count,):
        raise ValueError(f"{name}: expected {count} numbers, got shape {factors.shape}")
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(f"{name} must be positive and finite, got {factors.tolist()}")
    return factors


def _allocate(shape: tuple[int, int]) -> Combined:
    return Combined(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16))


def _band_rows(count: int, shape: tuple[int, int], band_rows: int | None, memory_limit: int) -> int:
    rows = band_rows or memory_limit // (4 * count * max(shape[1], 1))
    whole = -(-rows // loops.TILE) if band_rows else rows // loops.TILE
    return loops.TILE * max(1, whole)


def _read_band(read: ReadRows, scale: np.ndarray, y0: int, y1: int, nx: int) -> np.ndarray:
    stack = np.empty((scale.size, y1 - y0, nx), np.float32)
    for index, factor in enumerate(scale):
        rows = np.asarray(read(index, y0, y1))
        if rows.shape != stack.shape[1:]:
            raise ValueError(f"image {index}: rows {y0}..{y1} have shape {rows.shape}, expected {stack.shape[1:]}")
        np.multiply(rows, np.float32(factor), out=stack[index], casting="unsafe")
    return stack
