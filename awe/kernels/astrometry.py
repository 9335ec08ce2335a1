"""Astrometric solution of a frame: fit its world coordinates to stars of known places."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.fit_weights import least_scatter, leverage
from awe.kernels.tpv import HIGHEST_DEGREE, polynomial_wcs
from awe.kernels.wcs import ARCSEC, Wcs, separation, tangent_plane

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_FOR_AFFINE = 6
STARS_PER_TERM = 3


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
