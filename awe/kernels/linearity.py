"""Gain, read noise and linearity of a detector, from pairs of flats of growing exposure time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from awe.kernels.statistics import clipped_statistics

_BLOCK = 64
_LEAST_PIXELS = 32
_CUT = 5.0
"""Sigma beyond which a difference of two flats is a cosmic ray, not noise: of true noise it takes nothing."""
FULL_PART = 1e-3
"""Part of full pixels above which a pair of flats is too bright to tell anything."""
_OFF = 5.0
_LEAST_OFF = 2e-3
"""A pair this many sigmas, and by this part, off the curve that the fainter ones tell is beyond the valid range."""


@dataclass(frozen=True)
class FlatPair:
    """What two flats of one exposure time tell."""

    exptime: float
    """s"""
    level: float
    """Mean of both, adu above bias."""
    error: float
    """Standard error of the level: photons, and how far the lamp makes two equal exposures differ; adu."""
    variance: float
    """Of one pixel in one flat, adu^2; structure that both share is not in it."""
    variance_error: float
    """adu^2"""
    full: float = 0.0
    """Part of the pixels that are saturated."""


@dataclass(frozen=True)
class Linearity:
    """The true level is m (1 + c0 m + c1 m^2 + ...) for a measured m (adu above bias); at low levels it is m."""

    coefficients: tuple[float, ...]
    """c0, c1, ...; adu^-1, adu^-2, ..."""
    covariance: np.ndarray
    rate: float
    """Light of the lamp at low levels, adu/s."""
    minimum: float
    maximum: float
    """Levels (adu) between which it was measured; beyond, the relative correction stays what it is there."""
    scatter: float
    """rms of the relative residuals of the pairs."""
    count: int

    def deviation(self, level: np.ndarray | float) -> np.ndarray:
        """Return by what part of itself a measured level (adu) is too low."""
        held = np.clip(level, 0.0, self.maximum)
        return sum(c * held ** (i + 1) for i, c in enumerate(self.coefficients)) + np.zeros_like(held, np.float64)

    def deviation_error(self, level: float) -> float:
        """Return the standard error of the deviation at a level (adu)."""
        held = float(np.clip(level, 0.0, self.maximum))
        powers = held ** np.arange(1, len(self.coefficients) + 1)
        return float(np.sqrt(powers @ self.covariance @ powers))


@dataclass(frozen=True)
class PhotonTransfer:
    """Gain (electron/adu) and read noise (adu) by photon transfer, with standard errors, and the pairs that told."""

    gain: float
    gain_error: float
    read_noise: float
    read_noise_error: float
    chi_squared: float
    """Of one degree of freedom."""
    count: int


def flat_pair(
    first: np.ndarray,
    second: np.ndarray,
    exptime: float,
    mask: np.ndarray | None = None,
    saturation: float | None = None,
) -> FlatPair:
    """Measure level and noise of two flats of equal exposure time.

    One is scaled to the level of the other before they are subtracted, so that neither a lamp that flickers nor the
    structure of the flat remains. The spread is taken in blocks of 64 x 64 pixels, each around its own median. Pixels
    whose difference is off by more than 5 sigma (cosmic rays) are left out.

    Parameters
    ----------
    first, second : ndarray, shape (ny, nx), adu
        Flats less overscan and bias; NaN is left out.
    exptime : float, s
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out.
    saturation : float, adu, optional
        Above bias; pixels at or above are full.

    Raises
    ------
    ValueError
        If shapes differ, there is no light, or no block holds enough good pixels.
    """
    if np.shape(first) != np.shape(second):
        raise ValueError(f"the flats of a pair have shapes {np.shape(first)} and {np.shape(second)}")
    bad = ~(np.isfinite(first) & np.isfinite(second))
    if mask is not None:
        bad |= mask
    one, other = (np.where(bad, np.nan, image).astype(np.float64) for image in (first, second))
    levels = [float(np.nanmean(image)) if not bad.all() else np.nan for image in (one, other)]
    if not min(levels) > 0:
        raise ValueError(f"flats must have light, their levels are {levels[0]:.1f} and {levels[1]:.1f} adu")
    mean = float(np.mean(levels))
    difference = one * (mean / levels[0]) - other * (mean / levels[1])
    variance, error, count = _variance(difference)
    full = 0.0 if saturation is None else float(np.mean(np.maximum(first, second)[~bad] >= saturation))
    flicker = abs(levels[0] - levels[1]) / 2
    return FlatPair(
        exptime, mean, float(np.hypot(np.sqrt(variance / (2 * count)), flicker)), variance, error, full
    )  # fmt: skip


def _variance(difference: np.ndarray) -> tuple[float, float, int]:
    """Return the variance of one flat from the difference of two, its error, and the number of pixels."""
    found = [clipped_statistics(block, _CUT) for block in _blocks(difference)]
    blocks = [(s.sigma**2 / 2 * s.count / (s.count - 1), s.count) for s in found if s.count >= _LEAST_PIXELS]
    if not blocks:
        raise ValueError(f"no block of the flats holds {_LEAST_PIXELS} good pixels")
    variances, counts = (np.array(column, np.float64) for column in zip(*blocks, strict=True))
    total = counts.sum()
    variance = float(np.sum(variances * counts) / total)
    return variance, variance * float(np.sqrt(2 / total)), int(total)


def _blocks(image: np.ndarray):
    rows, columns = (max(1, round(length / _BLOCK)) for length in image.shape)
    for strip in np.array_split(image, rows, axis=0):
        yield from np.array_split(strip, columns, axis=1)


def fit_linearity(
    pairs: Sequence[FlatPair], order: int = 1, minimum: float = 0.0, maximum: float = np.inf
) -> Linearity:
    """Find how the measured level departs from proportionality to the exposure time.

    The model, exposure time = (m + c0 m^2 + c1 m^3 + ...) / rate, is linear in its unknowns; it is fitted with the
    errors of the levels, which are enlarged by the scatter of the pairs where that exceeds them (a lamp that drifts).
    The brightest pairs are left out one by one as long as the next brighter one is off the curve of all fainter ones:
    there the detector saturates. The exposure time must be that of the shutter.

    Parameters
    ----------
    pairs : sequence of FlatPair
    order : int
        Number of coefficients; 0 = the detector is taken to be linear.
    minimum, maximum : float, adu
        Levels outside are not used.

    Returns
    -------
    Linearity

    Raises
    ------
    ValueError
        If fewer than order + 2 different exposure times remain.
    """
    if order < 0:
        raise ValueError(f"order must not be negative, got {order}")
    used = sorted((p for p in pairs if minimum <= p.level <= maximum and p.full <= FULL_PART), key=lambda p: p.level)
    least = order + 2
    _check_enough(used, least)
    kept = used
    while len({p.exptime for p in kept[:-1]}) >= least + 1 and _is_off(kept, order):
        kept = kept[:-1]
    return _fitted(kept, order)


def _check_enough(pairs: Sequence[FlatPair], least: int) -> None:
    times = {pair.exptime for pair in pairs}
    if len(times) < least:
        raise ValueError(f"linearity needs pairs of flats of {least} exposure times within the range, got {len(times)}")


def _is_off(pairs: list[FlatPair], order: int) -> bool:
    """Return whether the brightest pair lies off the curve of the fainter ones."""
    last, curve = pairs[-1], _fitted(pairs[:-1], order)
    true = last.level * (1 + sum(c * last.level ** (i + 1) for i, c in enumerate(curve.coefficients)))
    powers = last.level ** np.arange(1, order + 1)
    error = np.sqrt(
        (last.error / last.level) ** 2 + powers @ curve.covariance @ powers + (curve.scatter**2) * (1 + 1 / len(pairs))
    )
    return bool(abs(true / (curve.rate * last.exptime) - 1) > max(_OFF * error, _LEAST_OFF))


def _fitted(pairs: Sequence[FlatPair], order: int) -> Linearity:
    level, time = (np.array([getattr(p, name) for p in pairs]) for name in ("level", "exptime"))
    relative = np.array([p.error for p in pairs]) / level
    unit = level.max()
    design = (level / unit)[:, None] ** np.arange(1, order + 2) / time[:, None]
    weight = 1 / relative
    for _ in range(2):
        solution, covariance = _least_squares(design, weight)
        residual = design @ solution - 1
        freedom = max(len(pairs) - order - 1, 1)
        excess = np.sqrt(np.sum((residual * weight) ** 2) / freedom)
        weight = weight / max(excess, 1.0)
    rate = unit / solution[0]
    jacobian = np.column_stack([-solution[1:] / solution[0] ** 2, np.eye(order) / solution[0]])
    scale = unit ** -np.arange(1.0, order + 1)
    return Linearity(
        tuple((solution[1:] / solution[0] * scale).tolist()),
        jacobian @ covariance @ jacobian.T * np.outer(scale, scale),
        float(rate), float(level.min()), float(level.max()), float(np.sqrt(np.mean(residual**2))), len(pairs),
    )  # fmt: skip


def _least_squares(design: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the solution of design @ x = 1 and its covariance."""
    covariance = np.linalg.inv((design * weight[:, None] ** 2).T @ design)
    return covariance @ (design * weight[:, None] ** 2).sum(axis=0), covariance


def photon_transfer(pairs: Sequence[FlatPair], linearity: Linearity) -> PhotonTransfer:
    """Find gain and read noise from how the noise of flats grows with their level.

    Levels and noise are first made those of a linear detector: noise is stretched as the slope of the curve says.
    Then variance = read_noise^2 + level / gain, fitted with the errors of the variances.

    Parameters
    ----------
    pairs : sequence of FlatPair
        Those beyond the range of the linearity are not used.
    linearity : Linearity

    Raises
    ------
    ValueError
        If fewer than 2 pairs remain, or the noise does not grow with the level.
    """
    used = [p for p in pairs if linearity.minimum <= p.level <= linearity.maximum]
    if len({p.exptime for p in used}) < 2:
        raise ValueError(f"photon transfer needs pairs of flats of 2 exposure times, got {len(used)} pairs")
    level = np.array([p.level for p in used])
    slope = 1 + sum((i + 2) * c * level ** (i + 1) for i, c in enumerate(linearity.coefficients))
    variance, error = (np.array([getattr(p, n) for p in used]) * slope**2 for n in ("variance", "variance_error"))
    true = level * (1 + linearity.deviation(level))
    design = np.column_stack([np.ones(level.size), true]) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    (floor, inverse_gain), residual = covariance @ design.T @ (variance / error), variance
    if not inverse_gain > 0:
        raise ValueError("the noise of the flats does not grow with their level: no gain can be told")
    residual = (variance - floor - inverse_gain * true) / error
    chi_squared = float(np.sum(residual**2) / max(level.size - 2, 1))
    errors = np.sqrt(np.diag(covariance)) * max(np.sqrt(chi_squared), 1.0)
    noise = float(np.sqrt(max(floor, 0.0)))
    noise_error = float(errors[0] / (2 * noise)) if noise**2 > errors[0] else float(np.sqrt(errors[0]))
    return PhotonTransfer(
        float(1 / inverse_gain), float(errors[1] / inverse_gain**2), noise, noise_error, chi_squared, level.size
    )  # fmt: skip


def linearise(image: np.ndarray, coefficients: Sequence[float], maximum: float) -> np.ndarray:
    """Return an image of a detector as if it were linear.

    Parameters
    ----------
    image : ndarray of float32, shape (ny, nx), adu
        Less overscan and bias; levels below 0 stay as they are, NaN too.
    coefficients : sequence of float
        As in `Linearity`.
    maximum : float, adu
        Level above which the relative correction no longer grows.

    Returns
    -------
    ndarray of float32, shape (ny, nx), adu
    """
    out = np.asarray(image, np.float32).copy()
    for y in range(len(out)):  # row by row: it stays in the cache
        held = np.clip(out[y], np.float32(0), np.float32(maximum))
        deviation = np.zeros_like(held)
        for coefficient in reversed(coefficients):
            deviation += np.float32(coefficient)
            deviation *= held
        out[y] *= 1 + deviation
    return out
