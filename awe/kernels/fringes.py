"""Fringes: the interference pattern of night-sky lines in a thin chip, and how strong it is in a frame."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from awe.kernels.background import background_map
from awe.kernels.statistics import clipped_statistics

_SEEN = 3.0
"""Sigma (of single pixels, fringes included) above which what is left after smoothing is a source."""
_SOURCE = 1.2
"""Sigma (pixel) of the smoothing by which sources are found."""
_WINGS = 6
"""Pixels masked around them."""
_BLOCK = 64
_CUT = 4.0
_PASSES = 5
_FEW = 8
"""Fewer good blocks than this do not tell how much they scatter."""


@dataclass(frozen=True, eq=False)
class Ripples:
    """What a frame has on scales below those of its background: fringes and noise, sources masked."""

    image: np.ndarray
    """adu, float32; NaN = masked."""
    level: float
    """Median of the background, adu."""
    sigma: float
    """Spread of the image, adu."""


@dataclass(frozen=True, eq=False)
class FringePattern:
    """Fringes relative to the sky, of mean zero."""

    image: np.ndarray
    """float32; 0 where nothing is known."""
    rms: float
    """Of the pattern, without noise."""
    noise: float
    """What noise is left in a pixel of it."""


@dataclass(frozen=True)
class FringeScale:
    """By what a pattern must be multiplied to be that of a frame."""

    value: float
    """adu"""
    error: float
    """adu"""
    count: int
    """Pixels that told."""
    before: float
    after: float
    """Spread (adu) of the frame before and after the pattern is subtracted."""


def ripples(image: np.ndarray, mask: np.ndarray | None = None, cell: int = 128) -> Ripples:
    """Take sources and background out of a frame.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        Flatfielded; NaN is left out.
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out.
    cell : int, pixel
        Side of a cell of the background: what is larger is background, not fringes.

    Returns
    -------
    Ripples

    Raises
    ------
    ValueError
        If nothing is left.
    """
    bad = ~np.isfinite(image) if mask is None else mask | ~np.isfinite(image)
    first = background_map(image, bad, cell=cell)
    bad = bad | _sources(np.where(bad, 0, image - first.level), first.rms)
    level = background_map(image, bad, cell=cell).level
    rest = np.where(bad, np.nan, image - level).astype(np.float32)
    statistics = clipped_statistics(rest)
    if not statistics.count:
        raise ValueError("all pixels are masked: nothing shows fringes")
    return Ripples(rest, float(np.median(level)), statistics.sigma)


def _sources(image: np.ndarray, rms: np.ndarray) -> np.ndarray:
    """Return a mask of what stands out more than fringes do; the rms is that of noise and fringes together."""
    seen = gaussian_filter(image, _SOURCE) > _SEEN * rms
    reach = np.hypot(*np.mgrid[-_WINGS : _WINGS + 1, -_WINGS : _WINGS + 1]) <= _WINGS
    return np.asarray(binary_dilation(seen, reach)) if seen.any() else seen


def fringe_pattern(combined: np.ndarray, variance: np.ndarray, smoothing: float = 1.0) -> FringePattern:
    """Return the pattern that the combined, normalised ripples of many frames show.

    Fringes are smooth over a few pixels: a Gaussian takes most of the noise out of them. Pixels of which nothing is
    known take the value of their surroundings, if there is any.

    Parameters
    ----------
    combined : ndarray, shape (ny, nx)
        Mean or median of ripples, each divided by its level; NaN = no frame had a good pixel there.
    variance : ndarray, shape (ny, nx)
        Of a pixel of it.
    smoothing : float, pixel
        Sigma of the Gaussian; 0 = none.

    Returns
    -------
    FringePattern

    Raises
    ------
    ValueError
        If no pixel is known.
    """
    known = np.isfinite(combined) & np.isfinite(variance)
    if not known.any():
        raise ValueError("no frame has a good pixel: there is no fringe pattern")
    share = gaussian_filter(known.astype(np.float64), smoothing) if smoothing else known.astype(np.float64)
    near = share > 1e-3
    image = np.where(known, combined, 0.0).astype(np.float64)
    if smoothing:
        image = np.divide(gaussian_filter(image, smoothing), share, where=near, out=np.zeros(image.shape))
    image = np.where(near, image - np.mean(image[near]), 0.0)
    left = 1 / (4 * np.pi * smoothing**2) if smoothing > 0.3 else 1.0  # noise of neighbours, squared and summed
    noise = float(np.sqrt(np.median(variance[known]) * min(left, 1.0)))
    rms = float(np.sqrt(max(np.mean(image[near] ** 2) - noise**2, 0.0)))
    return FringePattern(image.astype(np.float32), rms, noise)


def _centre(smoothing: float) -> float:
    """Return the share that a pixel keeps of itself when it is smoothed."""
    point = np.zeros((33, 33))
    point[16, 16] = 1
    return float(gaussian_filter(point, smoothing)[16, 16])


def own_share(frames: int, level: float, smoothing: float) -> float:
    """Return the covariance of a pixel of a pattern with one of a frame that it was made of, over the frame's variance.

    Of a mean of some frames divided by their levels (adu), smoothed by a Gaussian (sigma, pixel); adu^-1.
    """
    centre = _centre(smoothing) if smoothing else 1.0
    return float(centre / (frames * level))


def fringe_scale(frame: Ripples, pattern: np.ndarray, noise: float = 0.0, share: float = 0.0) -> FringeScale:
    """Find how strong a fringe pattern is in a frame, by least squares over its good pixels.

    Pixels that are off by more than 4 sigma are left out, and the fit is repeated. The noise of the pattern itself
    would make the scale too small, what it shares with a frame it was made of too large: both are taken off the sums.
    The error is that of the pixel noise, or by what the scales of blocks of 64 x 64 pixels scatter if that is more.

    Parameters
    ----------
    frame : Ripples
        Made with the cell that the pattern was made with.
    pattern : ndarray, shape (ny, nx)
        Of mean zero; 0 = unknown.
    noise : float
        Of a pixel of the pattern.
    share : float, adu^-1
        As `own_share` returns it, if the pattern was made of this frame among others.

    Returns
    -------
    FringeScale
        0 with an infinite error if the pattern holds nothing but noise, or there are no good pixels in common.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    if frame.image.shape != pattern.shape:
        raise ValueError(f"the frame has {frame.image.shape} pixels (y, x), the fringe pattern {pattern.shape}")
    good = np.isfinite(frame.image) & (pattern != 0)
    data, model = np.where(good, frame.image, 0).astype(np.float64), np.where(good, pattern, 0).astype(np.float64)
    before = clipped_statistics(data[good]).sigma if good.any() else 0.0
    value, used = 0.0, good
    sigma = frame.sigma
    for _ in range(_PASSES):
        power = np.sum(model[used] ** 2) - used.sum() * noise**2
        if not power > 0:
            return FringeScale(0.0, float("inf"), int(used.sum()), before, before)
        value = float((np.sum(model[used] * data[used]) - used.sum() * share * sigma**2) / power)
        rest = data - value * model
        sigma = clipped_statistics(rest[good]).sigma
        used, last = good & (np.abs(rest) <= _CUT * sigma), used
        if np.array_equal(used, last) and not share:
            break
    error = max(sigma * np.sqrt(np.sum(model[used] ** 2)) / power, _block_error(rest, model, used, power))
    return FringeScale(value, float(error), int(used.sum()), before, sigma)


def _block_error(rest: np.ndarray, model: np.ndarray, used: np.ndarray, power: float) -> float:
    """Return the error of the scale from how the blocks of what is left disagree."""
    rows, columns = (np.arange(0, length, _BLOCK) for length in rest.shape)
    product = np.where(used, rest * model, 0.0)
    sums = np.add.reduceat(np.add.reduceat(product, rows, axis=0), columns, axis=1).ravel()
    if sums.size < _FEW:
        return 0.0
    return float(np.sqrt(np.sum((sums - sums.mean()) ** 2) * sums.size / (sums.size - 1)) / power)
