"""Astrometric solution of a frame: recognise its stars in a catalogue, and fit its world coordinates to them."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.fit_weights import least_scatter, leverage
from awe.kernels.matching import Pattern, fit_affine, match_pattern, match_positions, match_shift
from awe.kernels.tpv import HIGHEST_DEGREE, polynomial_wcs
from awe.kernels.wcs import ARCSEC, Wcs, separation, tangent_plane, tangent_wcs

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_FOR_AFFINE = 6
STARS_PER_TERM = 3
CLEAR, MOST = -6.0, 0.5
"""A shift needs no further search if its chance is below 10^-6 and it matches half of what it can."""


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
class AstrometricFit:
    """World coordinates fitted to stars, and how well."""

    wcs: Wcs
    kind: str
    """`prior` (kept), `shift`, `affine` or `polynomial`."""
    degree: int
    """0 for prior and shift, 1 for affine, else that of the polynomial."""
    rms_x: float
    rms_y: float
    """Root mean square residuals of the used stars, pixel."""
    rms_arcsec: float
    """The same on the sky, per coordinate (both together, divided by sqrt 2)."""
    count: int
    """Stars used."""
    rejected: int
    """Stars thrown out as outliers."""
    error_ra: float
    error_dec: float
    """Standard deviation (arcsec, on the sky) of the solution at the middle of the stars."""
    dx: Array
    dy: Array
    """Residuals, measured minus catalogue position, of all stars given, pixel."""
    used: NDArray[np.bool_]
    reason: str
    """Why the fit is simpler than was asked; empty if it isn't."""


def choose_degree(count: int, wanted: int = 3) -> int:
    """Return the degree that this many stars can bear: -1 (none), 0 (shift), 1 (affine, from 6 stars), polynomial."""
    if count == 0:
        return -1
    degree = 0 if count < LEAST_FOR_AFFINE else 1
    while 1 <= degree < wanted and count >= STARS_PER_TERM * (degree + 2) * (degree + 3) // 2:
        degree += 1
    return min(degree, wanted)


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
    shift = _recognise_shift(x[bright], y[bright], ra[near], dec[near], prior, max_offset / scale, tolerance)
    pattern = None
    if any_orientation and not (
        shift is not None and _is_clear(shift, x[bright], y[bright], ra[near], dec[near], prior)
    ):
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


def fit_wcs(
    x: ArrayLike,
    y: ArrayLike,
    sigma_xy: ArrayLike,
    ra: ArrayLike,
    dec: ArrayLike,
    sigma_sky: ArrayLike,
    prior: Wcs,
    degree: int | None = None,
    threshold: float = 4.0,
) -> AstrometricFit:
    """Fit world coordinates to stars whose pixel and sky positions are known.

    The tangent point is kept from the prior (TAN, TPV), so that chips of a mosaic keep theirs in common. Stars are
    weighted by their errors and the scatter that these leave unexplained. That scatter is taken to be large enough for
    no fit to rest on fewer stars than it can bear: where a few have tiny errors, it would go through them whatever
    their true errors are, and the residuals could not tell. Those further off than `threshold` times
    the expected error are thrown out, in rounds; a star that pulls the fit towards itself, as one alone in a corner
    does, is judged by how far off a fit without it would leave it (studentised residuals).

    Parameters
    ----------
    x, y : arrays of n, pixel
    sigma_xy : float or array of n, pixel
        Standard deviation of x and of y.
    ra, dec : arrays of n, deg
    sigma_sky : float or array of n, arcsec
        Standard deviation of the catalogue per coordinate.
    prior : Wcs
    degree : int, optional
        Of the polynomial, 0 (shift) to 4; by default, as high as 3 if there are enough stars. Fewer stars than
        `choose_degree` asks for give a simpler fit, and a `reason`.
    threshold : float

    Returns
    -------
    AstrometricFit
        Without any star: the prior, and why.
    """
    x, y, ra, dec = (np.atleast_1d(np.asarray(a, np.float64)) for a in (x, y, ra, dec))
    if not (x.shape == y.shape == ra.shape == dec.shape):
        raise ValueError(f"x, y, ra, dec have different shapes: {x.shape}, {y.shape}, {ra.shape}, {dec.shape}")
    if degree is not None and not 0 <= degree <= HIGHEST_DEGREE:
        raise ValueError(f"degree {degree} is not in 0 to {HIGHEST_DEGREE}")
    sigma = np.hypot(np.broadcast_to(sigma_sky, x.shape), np.broadcast_to(sigma_xy, x.shape) * prior.scale)
    sigma = np.where(sigma > 0, sigma, 1e-6)
    used = np.isfinite(x + y + ra + dec + sigma)
    given, wcs, kind, total, extra = used.copy(), prior, -1, sigma, 0.0
    for _ in range(20):
        kind = choose_degree(int(used.sum()), 3 if degree is None else degree)
        if kind < 0:
            break
        least = least_scatter(sigma[used], kind)
        total = np.sqrt(sigma**2 + max(extra, least))
        weight = 1 / total[used] ** 2
        wcs = _fitted(x[used], y[used], ra[used], dec[used], weight, prior, kind)
        distance = _sky_residuals(wcs, x, y, ra, dec) / np.sqrt(1 - leverage(x, y, total, used, kind))
        # a median distance of 1.177 sigma is that of a circular normal distribution
        last = extra
        extra = max((float(np.median(distance[used])) / 1.177) ** 2 - float(np.median(sigma[used] ** 2)), least)
        total = np.sqrt(sigma**2 + extra)
        kept = given & (distance < threshold * total)
        if not kept.any() or ((kept == used).all() and abs(extra - last) <= 0.01 * extra):
            break
        used = kept
    return _report(x, y, ra, dec, used, int(given.sum()), wcs, kind, degree, total)


def compare_wcs(
    wcs: Wcs, x: ArrayLike, y: ArrayLike, sigma: ArrayLike, ra: ArrayLike, dec: ArrayLike, degree: int, threshold: float
) -> AstrometricFit:
    """Compare world coordinates, which stay as they are, with stars; `sigma` (arcsec) is the error of their places.

    Those further off than `threshold` times the error, and the scatter that it leaves unexplained, aren't counted.
    """
    x, y, ra, dec, sigma = (np.atleast_1d(np.asarray(a, np.float64)) for a in (x, y, ra, dec, sigma))
    distance = _sky_residuals(wcs, x, y, ra, dec)
    extra = max((float(np.median(distance)) / 1.177) ** 2 - float(np.median(sigma**2)), 0.0) if len(x) else 0.0
    total = np.sqrt(sigma**2 + extra)
    found = _report(x, y, ra, dec, distance < threshold * total, len(x), wcs, degree, degree, total)
    return replace(found, kind="global", reason="")


def proper_motion(
    ra: ArrayLike, dec: ArrayLike, pmra: ArrayLike, pmdec: ArrayLike, from_epoch: float, to_epoch: float
) -> tuple[Array, Array]:
    """Move catalogue positions from one epoch to another.

    Parameters
    ----------
    ra, dec : arrays, deg
    pmra, pmdec : arrays, mas/yr
        pmra includes cos(dec), as in Gaia; NaN (unknown) = no motion.
    from_epoch, to_epoch : float
        Julian years, as 2016.0.
    """
    alpha, delta = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    radians = math.radians((to_epoch - from_epoch) / ARCSEC / 1000)
    east, north = (np.nan_to_num(np.asarray(motion, np.float64)) * radians for motion in (pmra, pmdec))
    zero, place = (
        np.zeros_like(alpha),
        np.array([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)]),
    )
    place = place + east * np.array([-np.sin(alpha), np.cos(alpha), zero])
    place = place + north * np.array([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)])
    new_ra = np.mod(np.degrees(np.arctan2(place[1], place[0])), 360.0)
    return new_ra, np.degrees(np.arctan2(place[2], np.hypot(place[0], place[1])))


def _is_clear(shift: Pattern, x: Array, y: Array, ra: Array, dec: Array, prior: Wcs) -> bool:
    """Say whether the shift explains the field, not just a corner of it (as it does if scale or rotation are off)."""
    u, v = prior.shifted(*-shift.affine.offset).to_pixel(ra, dec)
    inside = (u > x.min()) & (u < x.max()) & (v > y.min()) & (v < y.max())
    return shift.chance < CLEAR and shift.count > MOST * min(int(inside.sum()), len(x))


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


def _recognise_shift(
    x: Array, y: Array, ra: Array, dec: Array, prior: Wcs, max_shift: float, tolerance: float
) -> Pattern | None:
    u, v = prior.to_pixel(ra, dec)
    best: Pattern | None = None
    for length in (2 * len(u) + 10, 100, 300):
        found = match_shift(x[:length], y[:length], u[:300], v[:300], max_shift, tolerance)
        if found is not None and (best is None or found.chance < best.chance):
            best = found
        if length >= len(x) or (best is not None and best.chance < CLEAR):
            break
    return best


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


def _fitted(x: Array, y: Array, ra: Array, dec: Array, weight: Array, prior: Wcs, degree: int) -> Wcs:
    if degree == 0:
        u, v = prior.to_pixel(ra, dec)
        return prior.shifted(float(np.average(x - u, weights=weight)), float(np.average(y - v, weights=weight)))
    pole = _tangent_point(prior, x, y)
    xi, eta = tangent_plane(*pole, ra, dec)
    return polynomial_wcs(pole, x, y, xi, eta, degree, np.sqrt(weight))


def _tangent_point(prior: Wcs, x: Array, y: Array) -> tuple[float, float]:
    cards = prior.cards
    if str(cards["CTYPE1"]).startswith(("RA---TAN", "RA---TPV")):
        return float(cards["CRVAL1"]), float(cards["CRVAL2"])
    ra, dec = prior.to_sky(x.mean(), y.mean())
    return float(ra), float(dec)


def _sky_residuals(wcs: Wcs, x: Array, y: Array, ra: Array, dec: Array) -> Array:
    found_ra, found_dec = wcs.to_sky(x, y)
    distance = separation(found_ra, found_dec, ra, dec) * ARCSEC
    return np.where(np.isfinite(distance), distance, np.inf)


def _report(
    x: Array, y: Array, ra: Array, dec: Array, used: NDArray[np.bool_], given: int, wcs: Wcs, kind: int,
    degree: int | None, sigma: Array,
) -> AstrometricFit:  # fmt: skip
    u, v = wcs.to_pixel(ra, dec)
    dx, dy, count = x - u, y - v, int(used.sum())
    rms_x, rms_y = (float(np.sqrt(np.mean(d[used] ** 2))) if count else math.nan for d in (dx, dy))
    sky = _sky_residuals(wcs, x, y, ra, dec)[used]
    rms_sky = float(np.sqrt(np.mean(sky**2) / 2)) if count else math.nan
    # in the middle of the stars the terms of a fit but the constant play a small part
    error = float(np.sqrt(1 / np.sum(1 / sigma[used] ** 2))) if count else math.nan
    name = ("prior", "shift", "affine", "polynomial")[min(kind, 2) + 1]
    reason = ""
    if kind < (1 if degree is None else degree):
        wanted = "an affine fit" if degree in (None, 1) else f"degree {degree}"
        needed = STARS_PER_TERM * ((degree or 0) + 1) * ((degree or 0) + 2) // 2
        needed = {0: 1, 1: LEAST_FOR_AFFINE}.get(degree if degree is not None else 1, needed)
        step = {"prior": "prior kept", "polynomial": f"degree {kind}"}.get(name, name)
        reason = f"{wanted} needs {needed} stars, {count} found: {step}"
    return AstrometricFit(
        wcs, name, max(kind, 0), rms_x, rms_y, rms_sky, count, given - count, error, error, dx, dy, used, reason
    )  # fmt: skip
