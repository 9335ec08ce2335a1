"""Find the PSF model of an image from its stars.

The model starts as a round Moffat profile. What the stars differ from it is found by least squares: the coefficients of
the splines of all terms at once, by conjugate gradients, each with a prior width that grows with the light of the
profile, so that wings stay smooth where no star tells anything. Between the rounds the stars are centred and scaled
again; pixels that do not fit (cosmic rays, neighbours) and stars that do not (blends, galaxies) are left out.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, spline_filter

from awe.kernels.psf import Psf, polynomial, spline_axis, terms_of

Array = NDArray[np.float64]

STARS_PER_TERM = 4
"""The degree of the polynomial is lowered until there are as many stars."""
ROUNDS, STEPS = 6, 15
"""Rounds of centring and fitting; steps of conjugate gradients in each."""
BETAS, WIDTHS = tuple(np.geomspace(1.8, 8, 16)), tuple(np.linspace(0.8, 1.2, 21))
"""Moffat profiles that are tried: exponents, and widths in units of the FWHM of the stars."""
RADIAL_RINGS = 12
"""Rings of the radial profile within the FWHM; they widen with the square of the radius."""
CLIP, TOLERANCE = 5.0, 0.05
"""A pixel is left out that differs by more than CLIP sigma and TOLERANCE of the light of the star."""
MODEL_ERROR = 0.01
"""What the model is trusted to, relative to the light in a pixel."""
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


def fit_psf(stars: StarStamps, fwhm: float, shape: tuple[int, int], degree: int = 2, sampling: float = 0.0) -> Psf:
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

    Raises
    ------
    ValueError
        If there is no star, or none of them can be fitted.
    """
    if not len(stars.x):
        raise ValueError("no star to find the PSF from")
    fitting = _Fitting(stars, fwhm, shape, degree, sampling or min(max(fwhm / 4, 0.25), 1.0))
    for number in range(ROUNDS):
        fitting.centre()
        fitting.reject(number)
        fitting.improve()
    return fitting.model()


class _Fitting:
    """The state between the rounds."""

    def __init__(self, stars: StarStamps, fwhm: float, shape: tuple[int, int], degree: int, sampling: float) -> None:
        self._stars, self._sampling, self._fwhm = stars, sampling, fwhm
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

    def centre(self) -> None:
        """Centre and scale the stars by the model as it is."""
        per_electron = 1 / self._stars.gain
        _centre_stars(*self._arrays(), self._stars.light, self._weight, per_electron, self._flux, self._chi2)
        # the model has no place of its own: together, the stars stay where they were measured
        usable = self._good & (self._flux > 0) & np.isfinite(self._places).all(1)
        if not usable.any():
            raise ValueError(f"none of the {len(self._good)} stars can be fitted")
        self._places -= np.median((self._places - self._start)[usable], axis=0)
        far = np.hypot(*(self._places - self._start).T) > self._fwhm / 2
        self._good &= usable & ~far
        self._places[far] = self._start[far]

    def reject(self, number: int) -> None:
        """Leave out pixels, and after the first two rounds stars, that do not fit."""
        stars = self._stars
        if number:
            self._weight = stars.weight.copy()
            _clip_pixels(*self._arrays(), self._flux, stars.light, self._weight, 1 / stars.gain, TOLERANCE * 2 / number)
        if number > 1:
            value = np.log(self._chi2[self._good])
            spread = 1.4826 * np.median(np.abs(value - np.median(value)))
            limit = np.median(value) + max(WORST_STARS * spread, math.log(2.0))
            left = self._good & (np.log(np.maximum(self._chi2, 1e-30)) < limit)
            self._good = left if left.any() else self._good

    def improve(self) -> None:
        """Move the coefficients towards the least squares."""
        chosen = np.flatnonzero(self._good)
        weights = _fit_weights(*self._arrays(), self._flux, self._weight, 1 / self._stars.gain)
        found = _conjugate_gradients(
            *self._arrays(), self._flux, self._stars.light, weights, chosen, self._origin, self._prior, STEPS
        )
        total = _samples(found).sum((1, 2)) * self._sampling**2
        if not total[0] > 0:
            raise ValueError("the stars have no light in common")
        # the same flux everywhere: what varies across the field has no sum
        self._coefficients = found / total[0]
        self._coefficients[1:] -= (total[1:] / total[0])[:, None, None] * self._coefficients[0]

    def model(self) -> Psf:
        """Return the model."""
        basis = _samples(self._coefficients)[:, 2:-2, 2:-2]
        basis /= basis[0].sum() * self._sampling**2
        basis[1:] -= basis[1:].sum((1, 2))[:, None, None] * basis[0] * self._sampling**2
        chi2 = float(np.median(self._chi2[self._good]))
        width = _width(basis[0], self._sampling)
        counts = len(self._good), int(self._good.sum())
        return Psf(basis, self._sampling, self._degree, self._zero, self._scale, width, chi2, *counts)


def _moffat(square: Array, fwhm: float, beta: float) -> Array:
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    return np.asarray((beta - 1) / (np.pi * alpha2) * (1 + square / alpha2) ** -beta)


def _samples(coefficients: Array) -> Array:
    """Return the values of the splines at the pixels of the pictures."""
    weights = (1 / 6, 4 / 6, 1 / 6)
    rows = correlate1d(coefficients, weights, axis=1, mode="constant")
    return np.asarray(correlate1d(rows, weights, axis=2, mode="constant"))


def _width(picture: Array, sampling: float) -> float:
    """Return the FWHM (pixel) of the circle that has the area above half of the peak."""
    fine = 4
    side = picture.shape[0]
    coefficients = spline_filter(picture, 3)
    middle = (side - 1) / 2
    reach = int(min(middle - 2, 12 / sampling + 4)) * fine
    out = np.zeros((2 * reach + 1, 2 * reach + 1))
    _enlarge(coefficients, fine, out)
    return float(2 * math.sqrt((out > out.max() / 2).sum() / math.pi) * sampling / fine)


@njit(cache=True, nogil=True)
def _enlarge(coefficients, fine, out):
    side, size = coefficients.shape[0], out.shape[0]
    first, weights, slopes = np.empty(size, np.int64), np.zeros((size, 4)), np.zeros((size, 4))
    spline_axis(size, side, 1 / fine, (size - 1) / 2, first, weights, slopes)
    for j in range(size):
        for i in range(size):
            if first[i] < 0 or first[j] < 0:
                continue
            for m in range(4):
                for n in range(4):
                    out[j, i] += weights[j, m] * weights[i, n] * coefficients[first[j] + m, first[i] + n]


@njit(cache=True, nogil=True)
def _local(coefficients, terms):
    out = terms[0] * coefficients[0]
    for k in range(1, terms.size):
        out += terms[k] * coefficients[k]
    return out


@njit(cache=True, nogil=True)
def _axes(size, side, fine, place):
    columns, along, slope_x = np.empty(size, np.int64), np.zeros((size, 4)), np.zeros((size, 4))
    rows, across, slope_y = np.empty(size, np.int64), np.zeros((size, 4)), np.zeros((size, 4))
    spline_axis(size, side, fine, place[0], columns, along, slope_x)
    spline_axis(size, side, fine, place[1], rows, across, slope_y)
    return columns, along, slope_x, rows, across, slope_y


@njit(cache=True, nogil=True)
def _drawn(local, fine, place, size):
    """Return a star of unit flux, and its derivatives by the place."""
    side = local.shape[0]
    columns, along, slope_x, rows, across, slope_y = _axes(size, side, fine, place)
    light, by_x, by_y = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    line, steep = np.zeros((side, size)), np.zeros((side, size))
    for m in range(side):
        for i in range(size):
            c = columns[i]
            if c >= 0:
                for n in range(4):
                    line[m, i] += along[i, n] * local[m, c + n]
                    steep[m, i] += slope_x[i, n] * local[m, c + n]
    for j in range(size):
        r = rows[j]
        if r < 0:
            continue
        for m in range(4):
            for i in range(size):
                light[j, i] += across[j, m] * line[r + m, i]
                by_x[j, i] -= fine * across[j, m] * steep[r + m, i]
                by_y[j, i] -= fine * slope_y[j, m] * line[r + m, i]
    return light, by_x, by_y


@njit(cache=True, nogil=True)
def _gathered(residual, fine, place, side):
    """Return the transpose of drawing: what each coefficient gets from the pixels."""
    size = residual.shape[0]
    columns, along, _, rows, across, _ = _axes(size, side, fine, place)
    line = np.zeros((side, size))
    for j in range(size):
        r = rows[j]
        if r >= 0:
            for m in range(4):
                for i in range(size):
                    line[r + m, i] += across[j, m] * residual[j, i]
    out = np.zeros((side, side))
    for m in range(side):
        for i in range(size):
            c = columns[i]
            if c >= 0:
                for n in range(4):
                    out[m, c + n] += along[i, n] * line[m, i]
    return out


@njit(cache=True, nogil=True)
def _variance(weight, model, per_electron):
    """Return the weight of a pixel with the photon noise and the error of the model."""
    if weight == 0:
        return 0.0
    return 1 / (1 / weight + max(model, 0.0) * per_electron + (MODEL_ERROR * model) ** 2)


@njit(cache=True, nogil=True)
def _centre_stars(coefficients, terms, places, fine, light, weight, per_electron, flux, chi2):
    """Fit flux and place of each star."""
    size = light.shape[1]
    for s in range(places.shape[0]):
        local = _local(coefficients, terms[s])
        for step in range(4):
            model, by_x, by_y = _drawn(local, fine, places[s], size)
            matrix, right = np.zeros((3, 3)), np.zeros(3)
            total, count = 0.0, 0
            for j in range(size):
                for i in range(size):
                    # the first time the flux is not known
                    w = _variance(weight[s, j, i], flux[s] * model[j, i] if step else 0.0, per_electron)
                    if w == 0:
                        continue
                    a, b, c = model[j, i], by_x[j, i], by_y[j, i]
                    v = light[s, j, i]
                    total += w * (v - flux[s] * a) ** 2
                    count += 1
                    matrix[0, 0] += w * a * a
                    matrix[0, 1] += w * a * b
                    matrix[0, 2] += w * a * c
                    matrix[1, 1] += w * b * b
                    matrix[1, 2] += w * b * c
                    matrix[2, 2] += w * c * c
                    right[0] += w * a * v
                    right[1] += w * b * v
                    right[2] += w * c * v
            chi2[s] = total / max(count - 3, 1)
            matrix[1, 0], matrix[2, 0], matrix[2, 1] = matrix[0, 1], matrix[0, 2], matrix[1, 2]
            if not matrix[0, 0] > 0:
                flux[s] = np.nan
                break
            if step == 0:
                flux[s] = right[0] / matrix[0, 0]
                continue
            if abs(np.linalg.det(matrix)) < 1e-12 * matrix[0, 0] * matrix[1, 1] * matrix[2, 2]:
                break
            found = np.linalg.solve(matrix, right)
            flux[s] = found[0]
            if not found[0] > 0:
                break
            places[s, 0] += min(max(found[1] / found[0], -0.5), 0.5)
            places[s, 1] += min(max(found[2] / found[0], -0.5), 0.5)


@njit(cache=True, nogil=True)
def _clip_pixels(coefficients, terms, places, fine, flux, light, weight, per_electron, tolerance):
    """Set the weight of pixels to 0 that do not fit."""
    size = light.shape[1]
    for s in range(places.shape[0]):
        if not flux[s] > 0:
            continue
        model, _, _ = _drawn(_local(coefficients, terms[s]), fine, places[s], size)
        for j in range(size):
            for i in range(size):
                if weight[s, j, i] > 0:
                    expected = flux[s] * model[j, i]
                    sigma = math.sqrt(1 / weight[s, j, i] + max(expected, 0.0) * per_electron)
                    if abs(light[s, j, i] - expected) > CLIP * sigma + tolerance * max(expected, 0.0):
                        weight[s, j, i] = 0


@njit(cache=True, nogil=True)
def _fit_weights(coefficients, terms, places, fine, flux, weight, per_electron):
    size = weight.shape[1]
    out = np.zeros(weight.shape)
    for s in range(places.shape[0]):
        model, _, _ = _drawn(_local(coefficients, terms[s]), fine, places[s], size)
        for j in range(size):
            for i in range(size):
                out[s, j, i] = _variance(weight[s, j, i], flux[s] * model[j, i], per_electron)
    return out


@njit(cache=True, nogil=True)
def _normal(vector, terms, places, fine, flux, weights, chosen, prior):
    """Multiply by the matrix of the normal equations, in units of the prior."""
    side, size = vector.shape[1], weights.shape[1]
    out = vector.copy()
    scaled = vector * prior
    for s in chosen:
        model, _, _ = _drawn(_local(scaled, terms[s]), fine, places[s], size)
        back = _gathered(model * weights[s] * flux[s] ** 2, fine, places[s], side)
        for k in range(vector.shape[0]):
            out[k] += terms[s, k] * prior[k] * back
    return out


@njit(cache=True, nogil=True)
def _conjugate_gradients(coefficients, terms, places, fine, flux, light, weights, chosen, origin, prior, steps):
    """Return coefficients nearer to the least squares of all pixels and the prior."""
    side, size = coefficients.shape[1], light.shape[1]
    z = (coefficients - origin) / prior
    rest = -z
    scale = np.ones(coefficients.shape)
    for s in chosen:
        model, _, _ = _drawn(_local(coefficients, terms[s]), fine, places[s], size)
        back = _gathered(weights[s] * flux[s] * (light[s] - flux[s] * model), fine, places[s], side)
        # how much pixels tell of each coefficient, roughly: to precondition
        told = _gathered(weights[s] * flux[s] ** 2, fine, places[s], side) / 4
        for k in range(coefficients.shape[0]):
            rest[k] += terms[s, k] * prior[k] * back
            scale[k] += (terms[s, k] * prior[k]) ** 2 * told
    eased = rest / scale
    way = eased.copy()
    before = np.sum(rest * eased)
    for _ in range(steps):
        if not before > 1e-12:
            break
        image = _normal(way, terms, places, fine, flux, weights, chosen, prior)
        length = before / np.sum(way * image)
        z += length * way
        rest -= length * image
        eased = rest / scale
        now = np.sum(rest * eased)
        way = eased + now / before * way
        before = now
    return origin + z * prior
