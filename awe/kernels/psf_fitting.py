"""Find the PSF model of an image from its stars.

The model starts as a round Moffat profile. What the stars differ from it is found by least squares: the coefficients of
the splines of all terms at once, by conjugate gradients, each with a prior width that grows with the light of the
profile, so that wings stay smooth where no star tells anything. Between the rounds the stars are centred and scaled
again; pixels that do not fit (cosmic rays, neighbours) and stars that do not (blends, galaxies) are left out.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, spline_filter

from awe.kernels.psf import Psf, polynomial, terms_of
from awe.kernels.psf_equations import centre_stars, clip_pixels, fit_weights, normal, right_side
from awe.kernels.psf_residuals import Rejection, mean_residuals, shape_residuals
from awe.kernels.psf_shape import width_of

Array = NDArray[np.float64]

STARS_PER_TERM = 4
"""The degree of the polynomial is lowered until there are as many stars."""
ROUNDS, STEPS = 5, 12
"""Rounds of centring and fitting; steps of conjugate gradients in each."""
BETAS, WIDTHS = tuple(np.geomspace(1.8, 8, 16)), tuple(np.linspace(0.8, 1.2, 21))
"""Moffat profiles that are tried: exponents, and widths in units of the FWHM of the stars."""
RADIAL_RINGS = 12
"""Rings of the radial profile within the FWHM; they widen with the square of the radius."""
TOLERANCE = 0.05
"""A pixel must differ by this part of the light of the star, too, to be left out."""
CLIPPED_CORE = 0.2
"""A star is left out of which a larger part of the pixels within one FWHM does not fit."""
WORST_STARS = 3.0
"""Stars are left out whose residuals exceed the median by as many of their robust deviations."""
CENTRE_PRIOR, VARIATION_PRIOR, FLOOR = 0.5, 0.2, 5e-5
"""Prior widths of coefficients: relative to the profile, in the middle and across the field; relative to its peak."""


@dataclass(frozen=True)
class StarStamps:
    """The pixels around stars."""

    x: Array
    """Places on the image, pixel."""
    y: Array
    light: NDArray[np.float32]
    """(n, side, side), adu, without background."""
    weight: NDArray[np.float32]
    """Inverse variance without photon noise; 0 = left out."""
    corner_x: NDArray[np.int64]
    """Column of the first pixel of each."""
    corner_y: NDArray[np.int64]
    gain: float = math.inf


def fit_psf(
    stars: StarStamps, fwhm: float, shape: tuple[int, int], degree: int = 2, sampling: float = 0.0, threads: int = 1
) -> Psf:
    """Find the PSF model.

    Parameters
    ----------
    stars : StarStamps
        At least one star.
    fwhm : float, pixel
        Median of the stars.
    shape : tuple of int
        (ny, nx) of the image.
    degree : int
        Of the polynomial across the field; lowered where there are too few stars for it.
    sampling : float, pixel
        Side of a pixel of the picture; 0 = a quarter of the FWHM, at most 1.
    threads : int

    Raises
    ------
    ValueError
        If there is no star, or none of them can be fitted.
    """
    if not len(stars.x):
        raise ValueError("no star to find the PSF from")
    fitting = _Fitting(stars, fwhm, shape, degree, sampling or min(max(fwhm / 4, 0.25), 1.0), threads)
    for number in range(ROUNDS):
        fitting.centre()
        fitting.reject(number)
        fitting.improve()
    return fitting.model()


class _Fitting:
    """The state between the rounds."""

    def __init__(
        self, stars: StarStamps, fwhm: float, shape: tuple[int, int], degree: int, sampling: float, threads: int
    ) -> None:
        self._stars, self._sampling, self._fwhm, self._threads = stars, sampling, fwhm, threads
        side = stars.light.shape[1]
        # two more on each side, which the splines of the outermost pixels need
        self._side = 2 * math.ceil(((side - 1) / 2 + 0.5) / sampling) + 5
        while degree > 0 and len(stars.x) < STARS_PER_TERM * terms_of(degree):
            degree -= 1
        self._degree = degree
        self._zero = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        self._scale = shape[1] / 2, shape[0] / 2
        u, v = ((p - z) / s for p, z, s in zip((stars.x, stars.y), self._zero, self._scale, strict=True))
        self._terms = np.ascontiguousarray(polynomial(u, v, degree))
        self._places = np.column_stack([stars.x - stars.corner_x, stars.y - stars.corner_y])
        self._start = self._places.copy()
        self._good = np.ones(len(stars.x), bool)
        self._why = np.zeros(len(stars.x), np.int16)
        self._weight = stars.weight.copy()
        self._flux = np.ones(len(stars.x))
        self._chi2 = np.ones(len(stars.x))
        profile = self._moffat()
        self._coefficients = np.zeros((terms_of(degree), self._side, self._side))
        self._coefficients[0] = spline_filter(profile, 3)
        self._origin = self._coefficients.copy()
        self._prior = np.full_like(self._coefficients, 1.0) * (VARIATION_PRIOR * profile + FLOOR * profile.max())
        self._prior[0] = CENTRE_PRIOR * profile + FLOOR * profile.max()

    def _moffat(self) -> Array:
        """Return the profile that fits the stars best, from their cores to their wings, on the grid of the picture."""
        radius, light, error = self._radial_profile()
        best = (np.inf, BETAS[0], self._fwhm)
        for beta in BETAS:
            for width in WIDTHS:
                model = _moffat(radius**2, width * self._fwhm, beta)
                weight = 1 / (error**2 + (0.03 * light) ** 2)
                scale = (weight * light * model).sum() / (weight * model**2).sum()
                best = min(best, (float((weight * (light - scale * model) ** 2).sum()), beta, width * self._fwhm))
        place = (np.arange(self._side) - (self._side - 1) / 2) * self._sampling
        return _moffat(place[:, None] ** 2 + place**2, best[2], best[1])

    def _radial_profile(self) -> tuple[Array, Array, Array]:
        """Return mean radii (pixel), the median light there of stars of about unit flux, and its error."""
        stars = self._stars
        rows, columns = np.indices(stars.light.shape[1:])
        distance = np.hypot(columns - self._start[:, 0, None, None], rows - self._start[:, 1, None, None])
        total = (stars.light * (distance < 1.5 * self._fwhm)).sum((1, 2), dtype=np.float64)
        known = (stars.weight > 0) & (distance < stars.light.shape[1] / 2) & (total > 0)[:, None, None]
        value = (stars.light / np.where(total > 0, total, 1)[:, None, None])[known]
        ring = np.floor(np.sqrt(distance[known] / self._fwhm) * RADIAL_RINGS).astype(int)
        order = np.argsort(ring, kind="stable")
        found = []
        for part in np.split(order, np.flatnonzero(np.diff(ring[order])) + 1):
            if part.size > 3:
                middle = float(np.median(value[part]))
                spread = 1.4826 * float(np.median(np.abs(value[part] - middle)))
                found.append((distance[known][part].mean(), middle, spread / math.sqrt(part.size) + 1e-9))
        if not found:
            raise ValueError(f"none of the {len(total)} stars can be fitted")
        radius, light, error = np.array(found).T
        return radius, light, error

    def _arrays(self) -> tuple[Any, ...]:
        return self._coefficients, self._terms, self._places, 1 / self._sampling

    def _in_parts(self, work: Callable[[NDArray[np.int64]], None]) -> None:
        """Do work on all stars, some threads at a time."""
        parts = np.array_split(np.arange(len(self._good)), self._threads)
        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(work, parts))

    def centre(self) -> None:
        """Centre and scale the stars by the model as it is."""
        per_electron = 1 / self._stars.gain
        arrays = *self._arrays(), self._stars.light, self._weight, per_electron, self._flux, self._chi2
        self._in_parts(lambda part: centre_stars(*arrays, part))
        # the model has no place of its own: together, the stars stay where they were measured
        usable = self._good & (self._flux > 0) & np.isfinite(self._places).all(1)
        if not usable.any():
            raise ValueError(f"none of the {len(self._good)} stars can be fitted")
        self._places -= np.median((self._places - self._start)[usable], axis=0)
        far = np.hypot(*(self._places - self._start).T) > self._fwhm / 2
        self._leave_out(self._good & ~usable, Rejection.FAILED)
        self._leave_out(self._good & far, Rejection.OFF_CENTRE)
        self._places[far] = self._start[far]

    def _leave_out(self, chosen: NDArray[np.bool_], why: Rejection) -> None:
        self._why[chosen] |= int(why)
        self._good &= ~chosen

    def reject(self, number: int) -> None:
        """Leave out pixels, and after the first two rounds stars, that do not fit."""
        stars = self._stars
        if number:
            self._weight = stars.weight.copy()
            limits = 1 / stars.gain, TOLERANCE * 2 / number
            arrays = *self._arrays(), self._flux, stars.light, self._weight
            self._in_parts(lambda part: clip_pixels(*arrays, *limits, part))
        if number > 1:
            value = np.log(self._chi2[self._good])
            spread = 1.4826 * np.median(np.abs(value - np.median(value)))
            limit = np.median(value) + max(WORST_STARS * spread, math.log(2.0))
            poor = np.log(np.maximum(self._chi2, 1e-30)) >= limit
            spoiled = self._clipped_core() >= CLIPPED_CORE
            good = self._good.copy()
            if (good & ~poor & ~spoiled).any():
                self._leave_out(good & poor, Rejection.RESIDUALS)
                self._leave_out(good & spoiled, Rejection.CORE)

    def _clipped_core(self) -> Array:
        """Return which part of the pixels near the centre of each star does not fit."""
        rows, columns = np.indices(self._weight.shape[1:])
        at_x, at_y = self._places.T[:, :, None, None]
        core = (np.hypot(columns - at_x, rows - at_y) < self._fwhm) & (self._stars.weight > 0)
        return np.asarray((core & (self._weight == 0)).sum((1, 2)) / np.maximum(core.sum((1, 2)), 1))

    def improve(self) -> None:
        """Move the coefficients towards the least squares."""
        chosen = np.flatnonzero(self._good)
        weights = np.zeros(self._weight.shape)
        arrays = *self._arrays(), self._flux, self._weight, 1 / self._stars.gain
        self._in_parts(lambda part: fit_weights(*arrays, part, weights))
        found = self._conjugate_gradients(weights, chosen)
        total = _samples(found).sum((1, 2)) * self._sampling**2
        if not total[0] > 0:
            raise ValueError("the stars have no light in common")
        # the same flux everywhere: what varies across the field has no sum
        self._coefficients = found / total[0]
        self._coefficients[1:] -= (total[1:] / total[0])[:, None, None] * self._coefficients[0]

    def _conjugate_gradients(self, weights: Array, chosen: NDArray[np.int64]) -> Array:
        """Return coefficients nearer to the least squares of all pixels and the prior, in whose units it is solved."""
        _, *geometry = self._arrays()
        parts = np.array_split(chosen, self._threads)
        with ThreadPoolExecutor(self._threads) as pool:
            arrays = *geometry, self._flux, self._stars.light, weights
            sides = list(pool.map(lambda p: right_side(self._coefficients, *arrays, p), parts))
            z = (self._coefficients - self._origin) / self._prior
            rest = self._prior * sum(right for right, _ in sides) - z
            scale = 1 + self._prior**2 * sum(told for _, told in sides)
            eased = rest / scale
            way, before = eased.copy(), float((rest * eased).sum())
            for _ in range(STEPS):
                if not before > 1e-12:
                    break
                step = self._prior * way
                products = pool.map(lambda p, v=step: normal(v, *geometry, self._flux, weights, p), parts)
                image = way + self._prior * sum(products)
                length = before / float((way * image).sum())
                z += length * way
                rest -= length * image
                eased = rest / scale
                now = float((rest * eased).sum())
                way, before = eased + now / before * way, now
        return np.asarray(self._origin + z * self._prior)

    def model(self) -> Psf:
        """Return the model."""
        basis = _samples(self._coefficients)[:, 2:-2, 2:-2]
        basis /= basis[0].sum() * self._sampling**2
        basis[1:] -= basis[1:].sum((1, 2))[:, None, None] * basis[0] * self._sampling**2
        chi2 = float(np.median(self._chi2[self._good]))
        width = width_of(basis[0], self._sampling)
        counts = len(self._good), int(self._good.sum())
        field = self._degree, self._zero, self._scale
        return Psf(basis, self._sampling, *field, width, chi2, *counts, *self._compared())

    def _compared(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return what each star says of the model, and what the stars of each part of the field have left."""
        known = np.flatnonzero(self._flux > 0)
        weights = np.zeros(self._weight.shape)
        fit_weights(*self._arrays(), self._flux, self._weight, 1 / self._stars.gain, known, weights)
        rows, left = shape_residuals(*self._arrays(), self._stars.light, weights)
        rows["x"] = self._stars.corner_x + self._places[:, 0]
        rows["y"] = self._stars.corner_y + self._places[:, 1]
        rows["clipped_core"], rows["rejected"] = self._clipped_core(), self._why
        ny, nx = (round(2 * scale) for scale in self._scale[::-1])
        return rows, mean_residuals(rows, left, weights, (ny, nx))


def _moffat(square: Array, fwhm: float, beta: float) -> Array:
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    return np.asarray((beta - 1) / (np.pi * alpha2) * (1 + square / alpha2) ** -beta)


def _samples(coefficients: Array) -> Array:
    """Return the values of the splines at the pixels of the pictures."""
    weights = (1 / 6, 4 / 6, 1 / 6)
    rows = correlate1d(coefficients, weights, axis=1, mode="constant")
    return np.asarray(correlate1d(rows, weights, axis=2, mode="constant"))
