"""Recognise the stars of a frame in a catalogue: by a shift of the coordinates it has, or by their pattern alone."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.astrometry import LEAST_FOR_AFFINE, AstrometricFit, fit_wcs
from awe.kernels.matching import Pattern, fit_affine, match_pattern, match_positions, match_shift
from awe.kernels.wcs import ARCSEC, Wcs, separation, tangent_plane, tangent_wcs

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

CLEAR, MOST = -6.0, 0.5
"""A shift needs no further search if its chance is below 10^-6 and it matches half of what it can."""
SHIFT_LENGTHS = (50, 150, 400)
"""Numbers of brightest detections tried in turn: few are fast, many forgive lists that differ in depth."""
WIDEST = 4.0
"""Greatest number of stars of the catalogue tried for each detection."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A frame whose stars were recognised in a catalogue."""

    wcs: Wcs
    """Fitted to the matched stars with equal weights: a shift of the prior, or more if they are many."""
    detections: Indices
    """Rows of the matched detections ..."""
    references: Indices
    """... and of their counterparts."""
    method: str
    """`shift` or `pattern`."""
    chance: float
    """Logarithm (base 10) of the probability that the match is coincidence."""


@dataclass(frozen=True, eq=False)
class _Lists:
    """Detections of a frame and the stars of a catalogue that may be on it, both the brightest first."""

    bright: Indices
    """Rows of the detections ..."""
    near: Indices
    """... and of the stars."""
    x: Array
    y: Array
    ra: Array
    dec: Array
    scale: float
    """arcsec per pixel"""

    @classmethod
    def of(
        cls, x: ArrayLike, y: ArrayLike, flux: ArrayLike, ra: ArrayLike, dec: ArrayLike, magnitude: ArrayLike,
        prior: Wcs, nx: int, ny: int, max_offset: float,
    ) -> "_Lists | None":  # fmt: skip
        x, y, flux, ra, dec, magnitude = (np.asarray(a, np.float64) for a in (x, y, flux, ra, dec, magnitude))
        ra0, dec0 = prior.centre(nx, ny)
        corners = prior.footprint(nx, ny)
        reach = float(separation(ra0, dec0, corners[:, 0], corners[:, 1]).max()) + max_offset / ARCSEC
        near = np.flatnonzero(separation(ra0, dec0, ra, dec) < reach)
        near = near[np.argsort(magnitude[near], kind="stable")]
        usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(flux))
        bright = usable[np.argsort(-flux[usable], kind="stable")]
        if not near.size or not bright.size:
            return None
        scale = math.sqrt(float(prior.pixel_area((nx - 1) / 2, (ny - 1) / 2)))
        return cls(bright, near, x[bright], y[bright], ra[near], dec[near], scale)


def recognise(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    ra: ArrayLike,
    dec: ArrayLike,
    magnitude: ArrayLike,
    prior: Wcs,
    nx: int,
    ny: int,
    *,
    max_offset: float = 60.0,
    scale_tolerance: float = 0.05,
    tolerance: float = 3.0,
    any_orientation: bool = True,
) -> Solution | None:
    """Find the stars of a catalogue among the detections of a frame, and correct the prior world coordinates by them.

    A shift of the prior is tried first; it works with as few as three catalogue stars on the frame. If it isn't beyond
    doubt, patterns of any rotation and flip are tried too, and the more significant of both is taken.

    Parameters
    ----------
    x, y, flux : arrays of n
        Detections, pixel; of flux only the order is used.
    ra, dec, magnitude : arrays of m
        Catalogue, deg, at the epoch of the frame; it may be larger than the frame.
    prior : Wcs
        From the header; or from pointing and scale alone by `wcs.tan`.
    nx, ny : int
        Size of the frame, pixel.
    max_offset : float, arcsec
        Largest pointing error of the middle of the frame.
    scale_tolerance : float
        Relative uncertainty of the pixel scale, for patterns.
    tolerance : float, pixel
        Search radius: distortion and errors of position.
    any_orientation : bool
        False = shift only.

    Returns
    -------
    Solution or None
        None if neither stands out of chance.
    """
    lists = _Lists.of(x, y, flux, ra, dec, magnitude, prior, nx, ny, max_offset)
    if lists is None:
        return None
    near, bright = lists.near, lists.bright
    x, y, flux, ra, dec, magnitude = (np.asarray(a, np.float64) for a in (x, y, flux, ra, dec, magnitude))
    (ra0, dec0), scale = prior.centre(nx, ny), lists.scale
    shift, clear = _recognise_shift(lists, prior, max_offset / scale, tolerance)
    pattern = None
    if any_orientation and not clear:
        xi, eta = tangent_plane(ra0, dec0, ra[near], dec[near])
        limits = (scale / ARCSEC * (1 - scale_tolerance), scale / ARCSEC * (1 + scale_tolerance))
        pattern = match_pattern(
            *(x[bright], y[bright], flux[bright], xi, eta, magnitude[near]),
            scale=limits,
            max_offset=max_offset / ARCSEC,
            tolerance=tolerance,
            centre=((nx - 1) / 2, (ny - 1) / 2),
        )
    if pattern is not None and (shift is None or (pattern.count, -pattern.chance) > (shift.count, -shift.chance)):
        i, j = bright[pattern.first], near[pattern.second]
        wcs = _tan_through(x[i], y[i], ra[j], dec[j], pattern, (ra0, dec0), nx, ny)
        found = Solution(wcs, i, j, "pattern", pattern.chance)
    elif shift is not None:
        wcs = prior.shifted(*-shift.affine.offset)
        found = Solution(wcs, bright[shift.first], near[shift.second], "shift", shift.chance)
    else:
        return None
    return _grown(found, x, y, ra, dec, near, tolerance)


def find_shifted(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    ra: ArrayLike,
    dec: ArrayLike,
    magnitude: ArrayLike,
    guess: Wcs,
    nx: int,
    ny: int,
    *,
    max_offset: float,
    tolerance: float = 3.0,
) -> Wcs | None:
    """Return world coordinates that are right but for a shift, with the shift that a frame's stars show.

    It is what `recognise` tries first; None unless it leaves no doubt.
    """
    lists = _Lists.of(x, y, flux, ra, dec, magnitude, guess, nx, ny, max_offset)
    if lists is None:
        return None
    shift, clear = _recognise_shift(lists, guess, max_offset / lists.scale, tolerance)
    return guess.shifted(*-shift.affine.offset) if shift is not None and clear else None


def _grown(found: Solution, x: Array, y: Array, ra: Array, dec: Array, near: Indices, tolerance: float) -> Solution:
    """Add the stars that the search, which looks at bright ones only, left aside."""
    radius, wcs, i, j = tolerance, found.wcs, found.detections, found.references
    for _ in range(5):
        fit = _simplest_fit(x[i], y[i], ra[j], dec[j], wcs)
        if fit.count < LEAST_FOR_AFFINE:
            return replace(found, wcs=fit.wcs)
        wcs = fit.wcs
        radius = min(tolerance, max(5 * math.hypot(fit.rms_x, fit.rms_y), tolerance / 10))
        first, second = match_positions(x, y, *wcs.to_pixel(ra[near], dec[near]), radius)
        second = near[second]
        if len(first) < fit.count or (np.array_equal(first, i) and np.array_equal(second, j)):
            break
        i, j = first, second
    return replace(found, wcs=wcs, detections=i, references=j)


def _simplest_fit(x: Array, y: Array, ra: Array, dec: Array, wcs: Wcs) -> AstrometricFit:
    """Return a shift of the WCS, whose distortion may be well known, unless a polynomial is clearly better."""
    shift, free = (fit_wcs(x, y, 1.0, ra, dec, 0.0, wcs, degree) for degree in (0, 3))
    freedom = max(free.count - (free.degree + 1) * (free.degree + 2) / 2, 1)
    return free if free.rms_arcsec * math.sqrt(free.count / freedom) < 0.8 * shift.rms_arcsec else shift


def _recognise_shift(lists: "_Lists", prior: Wcs, max_shift: float, tolerance: float) -> tuple[Pattern | None, bool]:
    """Return the best shift, and whether it explains the field.

    It may explain a corner only, if scale or rotation are off.
    """
    u, v = prior.to_pixel(lists.ra, lists.dec)
    best: Pattern | None = None
    # a catalogue that is wider than the frame needs more of its stars for as many on it
    wider = min(max(_extent(u, v) / max(_extent(lists.x, lists.y), 1e-9), 1.0), WIDEST)
    for length in SHIFT_LENGTHS:
        others = math.ceil(length * wider)
        x, y, here, there = lists.x[:length], lists.y[:length], u[:others], v[:others]
        found = match_shift(x, y, here, there, max_shift, tolerance)
        if found is not None and (best is None or found.chance < best.chance):
            best = found
        if found is not None and found.chance < CLEAR:
            here, there = here - found.affine.offset[0], there - found.affine.offset[1]
            inside = (here > x.min()) & (here < x.max()) & (there > y.min()) & (there < y.max())
            if found.count > MOST * min(int(inside.sum()), len(x)):
                return found, True
        if length >= len(lists.x) and others >= len(u):
            break
    return best, False


def _extent(x: Array, y: Array) -> float:
    return float((np.nanmax(x) - np.nanmin(x)) * (np.nanmax(y) - np.nanmin(y)))


def _tan_through(
    x: Array, y: Array, ra: Array, dec: Array, pattern: Pattern, pole: tuple[float, float], nx: int, ny: int
) -> Wcs:
    """Return the TAN WCS through matched stars, with its tangent point in the middle of the image."""
    middle = ((nx - 1) / 2, (ny - 1) / 2)
    (a, b), offset = pattern.affine.matrix, pattern.affine.offset
    rough = tangent_wcs(*pole, *-np.linalg.solve([a, b], offset), [a, b])
    ra0, dec0 = (float(angle) for angle in rough.to_sky(*middle))
    affine = fit_affine(x, y, *tangent_plane(ra0, dec0, ra, dec))
    return tangent_wcs(ra0, dec0, *-np.linalg.solve(affine.matrix, affine.offset), affine.matrix)
