"""Photometric zeropoints: from standard stars, and relative ones between overlapping frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MAG_PER_RELATIVE = 2.5 / math.log(10)


@dataclass(frozen=True, eq=False)
class Zeropoint:
    """The magnitude of a source of 1 adu/s above the atmosphere."""

    value: float
    """mag; NaN without any star."""
    error: float
    """Standard deviation of the value, mag, the scatter that errors of the stars don't explain included."""
    scatter: float
    """Standard deviation of the used stars about the value, mag; NaN for one star."""
    count: int
    """Stars used."""
    residuals: Array
    """Zeropoint of each star given minus the value, mag; NaN where it has none."""
    used: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Overlap:
    """Sources seen in two frames of the same filter: fluxes (adu/s) and errors, in the same order."""

    first: int
    second: int
    first_flux: Array
    second_flux: Array
    first_error: Array
    second_error: Array


@dataclass(frozen=True, eq=False)
class RelativeZeropoints:
    """Zeropoints of frames relative to one of them, mag: add them to magnitudes -2.5 log10(adu/s)."""

    offsets: Array
    """NaN for frames that no chain of overlaps links to the reference frame."""
    errors: Array
    covariance: Array
    chi_square: float
    """Per degree of freedom; NaN if there is none."""
    linked: NDArray[np.bool_]


def zeropoint(
    flux: ArrayLike,
    flux_error: ArrayLike,
    magnitude: ArrayLike,
    magnitude_error: ArrayLike = 0.0,
    *,
    airmass: ArrayLike = 0.0,
    extinction: float = 0.0,
    colour: ArrayLike = 0.0,
    colour_term: float = 0.0,
    threshold: float = 3.0,
) -> Zeropoint:
    """Return the zeropoint that standard stars define.

    Each star gives magnitude + 2.5 log10(flux) + extinction airmass - colour_term colour. Their mean is weighted by
    the errors together with the scatter that these don't explain, so that neither a few bright stars nor the colours
    of the stars rule it; stars beyond `threshold` standard deviations (from the median at first) are left out.

    Parameters
    ----------
    flux, flux_error : arrays of n, adu/s
        Stars with a flux that is not positive, or NaN, are not used.
    magnitude, magnitude_error : arrays of n, mag
    airmass, extinction : mag of extinction per airmass
        With 0, the zeropoint holds at the airmass of the exposure.
    colour, colour_term : mag, and mag per mag

    Returns
    -------
    Zeropoint
        NaN with count 0 if there is no usable star.
    """
    rate, rate_error = np.atleast_1d(np.asarray(flux, np.float64)), np.asarray(flux_error, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        single = np.asarray(magnitude, np.float64) + 2.5 * np.log10(rate) + extinction * np.asarray(airmass, np.float64)
        single = single - colour_term * np.asarray(colour, np.float64)
        error = np.hypot(MAG_PER_RELATIVE * rate_error / rate, np.asarray(magnitude_error, np.float64))
    single, error = np.broadcast_arrays(np.atleast_1d(single), error)
    usable = np.isfinite(single) & np.isfinite(error) & (rate > 0)
    if not usable.any():
        return Zeropoint(math.nan, math.nan, math.nan, 0, np.full(single.shape, math.nan), usable)
    value, mean_error, used = _robust_mean(single, np.maximum(error, 1e-4), usable, threshold)
    residuals = np.where(usable, single - value, math.nan)
    count = int(used.sum())
    scatter = math.sqrt(float(np.sum(residuals[used] ** 2)) / (count - 1)) if count > 1 else math.nan
    return Zeropoint(value, mean_error, scatter, count, residuals, used)


@dataclass(frozen=True)
class ApertureCorrection:
    """The flux of stars in a large aperture over that in a small one."""

    value: float
    """NaN without any star."""
    error: float
    count: int
    """Stars used."""


BRIGHTEST, LEAST_SIGNAL, LEAST_STARS = 20, 50.0, 3
"""Stars that make an aperture correction: at most, with at least this signal to noise, at least."""


def aperture_correction(
    core: ArrayLike, core_error: ArrayLike, whole: ArrayLike, whole_error: ArrayLike
) -> ApertureCorrection:
    """Return how much more flux stars have in a large aperture than in a small one about the same centres.

    The robust weighted mean over the `BRIGHTEST` stars with a signal to noise above `LEAST_SIGNAL` in the large
    aperture: what neighbours and the sky add there is least, in proportion, for them. Both sums share the light of the
    core, so that the error of a ratio is that of the ring alone: var(whole) - var(core), with the share of the core in
    the noise of the ratio.

    Parameters
    ----------
    core, core_error : arrays of n, adu
        In the small aperture.
    whole, whole_error : arrays of n, adu
        In the large one. Single, unsaturated stars only.

    Returns
    -------
    ApertureCorrection
        With count 0 and NaN if there are fewer than `LEAST_STARS` such stars.
    """
    core, core_error, whole, whole_error = (np.asarray(v, np.float64) for v in (core, core_error, whole, whole_error))
    bright = np.flatnonzero((core > 0) & (whole > LEAST_SIGNAL * whole_error))
    bright = bright[np.argsort(whole[bright] / whole_error[bright])[::-1][:BRIGHTEST]]
    if bright.size < LEAST_STARS:
        return ApertureCorrection(math.nan, math.nan, 0)
    core, core_error, whole, whole_error = (v[bright] for v in (core, core_error, whole, whole_error))
    ratio = whole / core
    ring = np.maximum(whole_error**2 - core_error**2, 0.0)
    error = np.sqrt(ring + (ratio - 1) ** 2 * core_error**2) / core
    value, mean_error, used = _robust_mean(ratio, np.maximum(error, 1e-4), np.ones(ratio.shape, bool), 3.0)
    return ApertureCorrection(value, mean_error, int(used.sum()))


def relative_zeropoints(
    overlaps: Sequence[Overlap], frames: int, reference: int = 0, threshold: float = 3.0
) -> RelativeZeropoints:
    """Return the zeropoints of frames relative to one, from the fluxes of sources they have in common.

    Each overlap gives the robust mean of -2.5 log10(first / second flux); least squares over all overlaps, weighted by
    the errors of these means, gives the offsets (Koranyi et al. 1998, PASP 110, 1464; with one frame fixed at 0).

    Parameters
    ----------
    overlaps : sequence of Overlap
        With frame numbers from 0; those without a usable source are ignored.
    frames : int
        Number of frames.
    reference : int
        The frame whose offset is 0.
    """
    rows: list[tuple[int, int, float, float]] = []
    for pair in overlaps:
        step = zeropoint(
            np.asarray(pair.first_flux) / np.asarray(pair.second_flux), _ratio_error(pair), 0.0, threshold=threshold
        )
        if step.count:
            # m1 + z1 = m2 + z2, hence z1 - z2 = 2.5 log10(f1 / f2)
            rows.append((pair.first, pair.second, step.value, step.error))
    linked = _linked(rows, frames, reference)
    rows = [row for row in rows if linked[row[0]]]
    return _adjusted(rows, frames, reference, linked)


def _ratio_error(pair: Overlap) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = np.asarray(pair.first_flux, np.float64), np.asarray(pair.second_flux, np.float64)
        ratio = first / second
        relative = np.hypot(np.asarray(pair.first_error) / first, np.asarray(pair.second_error) / second)
        # of two negative fluxes the ratio looks sound
        return np.where((first > 0) & (second > 0), np.abs(ratio) * relative, np.nan)


def _robust_mean(
    values: Array, error: Array, usable: NDArray[np.bool_], threshold: float
) -> tuple[float, float, NDArray[np.bool_]]:
    """Return mean, its error, and the values used; weights include the scatter that the errors don't explain."""
    used, mean = usable, float(np.median(values[usable]))
    extra = 0.0
    for _ in range(20):
        spread = 1.4826 * float(np.median(np.abs(values[used] - mean)))
        if used.sum() < 8:
            # the median of few deviations is a poor measure; nor can few stars outvote an outlier
            spread = float(np.std(values[used], ddof=1)) if used.sum() > 1 else 0.0
        extra = math.sqrt(max(spread**2 - float(np.median(error[used] ** 2)), 0.0))
        total = np.hypot(error, extra)
        kept = usable & (np.abs(values - mean) < threshold * total)
        kept = kept if kept.any() else used
        new_mean = float(np.average(values[kept], weights=1 / total[kept] ** 2))
        settled = bool((kept == used).all()) and abs(new_mean - mean) < 1e-7
        used, mean = kept, new_mean
        if settled:
            break
    total = np.hypot(error[used], extra)
    return mean, float(1 / np.sqrt(np.sum(1 / total**2))), used


def _linked(rows: Sequence[tuple[int, int, float, float]], frames: int, reference: int) -> NDArray[np.bool_]:
    linked = np.zeros(frames, bool)
    linked[reference] = True
    for _ in range(frames):
        before = linked.sum()
        for first, second, _, _ in rows:
            linked[first] = linked[second] = linked[first] | linked[second]
        if linked.sum() == before:
            break
    return linked


def _adjusted(
    rows: Sequence[tuple[int, int, float, float]], frames: int, reference: int, linked: NDArray[np.bool_]
) -> RelativeZeropoints:
    free = [frame for frame in range(frames) if linked[frame] and frame != reference]
    design, steps = np.zeros((len(rows), frames)), np.zeros(len(rows))
    for n, (first, second, step, error) in enumerate(rows):
        design[n, first], design[n, second] = 1 / error, -1 / error
        steps[n] = step / error
    covariance = np.zeros((frames, frames))
    offsets = np.where(linked, 0.0, math.nan)
    if free:
        covariance[np.ix_(free, free)] = np.linalg.inv(design[:, free].T @ design[:, free])
        offsets[free] = covariance[np.ix_(free, free)] @ (design[:, free].T @ steps)
    freedom = len(rows) - len(free)
    chi_square = float(np.sum((design @ np.nan_to_num(offsets) - steps) ** 2)) / freedom if freedom > 0 else math.nan
    errors = np.where(linked, np.sqrt(np.diag(covariance)), math.nan)
    return RelativeZeropoints(offsets, errors, covariance, chi_square, linked)
