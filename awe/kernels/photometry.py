"""Aperture sums, windowed positions and profile widths of sources, with their errors.

All three see an image through the same eyes: a pixel that is bad, or belongs to another source, is replaced by its
mirror image on the other side of the source (SExtractor's MASK_TYPE CORRECT), or left out if that one is no better.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MOFFAT_BETA = 3.0
SUBPIXELS = 7

_GOOD, _REPLACED, _MISSING, _OUTSIDE = 0, 1, 2, 3


@dataclass(frozen=True)
class Plane:
    """What the measurements look at: all arrays of one shape (ny, nx)."""

    image: NDArray[np.float32]
    """Background-subtracted, adu; finite."""
    variance: NDArray[np.float32]
    """Variance of each pixel without the sources' own photon noise, adu^2."""
    bad: NDArray[np.bool_]
    """True = replaced by the mirrored pixel."""
    segmentation: NDArray[np.int32]
    """Number of the source to which a pixel belongs, or 0."""
    flags: NDArray[np.uint8]
    gain: float = math.inf
    """Electrons per adu, for the photon noise of sources; infinite = none."""

    @property
    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
        """Image, variance, bad and segmentation, as the compiled loops take them."""
        return self.image, self.variance, self.bad, self.segmentation


def plane(image: NDArray[np.float32], variance: ArrayLike, gain: float = math.inf) -> Plane:
    """Return a plane without bad pixels or neighbours, for apertures at known places."""
    shape = image.shape
    return Plane(
        np.ascontiguousarray(image, np.float32),
        np.array(np.broadcast_to(np.asarray(variance, np.float32), shape)),
        np.zeros(shape, bool),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.uint8),
        gain,
    )


@dataclass(frozen=True)
class ApertureSums:
    """Sums over one aperture per source."""

    flux: Array
    """adu."""
    error: Array
    """adu; pixel noise plus photon noise of the source."""
    area: Array
    """Pixels of the aperture, fractions counted."""
    replaced: Array
    """Fraction of the area that was replaced or missing."""
    outside: Array
    """Fraction of the area that lies off the image."""
    flags: NDArray[np.uint8]
    """All flags of pixels in the aperture, or-ed."""


def ellipse_sums(plane: Plane, x: Array, y: Array, a: Array, b: Array, theta: Array, number: ArrayLike) -> ApertureSums:
    """Sum the image in one ellipse per source.

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
    a, b : array of n, pixel
        Semi-axes.
    theta : array of n, radian
        Angle of the major axis, from x towards y.
    number : array of n int
        Number of the source in `plane.segmentation`; 0 = every segment belongs to a neighbour.
    """
    cosine, sine = np.cos(theta), np.sin(theta)
    cxx = (cosine / a) ** 2 + (sine / b) ** 2
    cyy = (sine / a) ** 2 + (cosine / b) ** 2
    cxy = 2 * cosine * sine * (1 / a**2 - 1 / b**2)
    sums = np.zeros((len(x), 5))
    seen = np.zeros(len(x), np.uint8)
    number = np.asarray(number, np.int64)
    _ellipse_sums(*plane.arrays, plane.flags, number, *_floats(x, y, cxx, cyy, cxy), sums, seen)
    flux, variance, area, replaced, outside = sums.T
    variance = variance + np.maximum(flux, 0) / plane.gain
    area = np.maximum(area, 1e-9)
    return ApertureSums(flux, np.sqrt(variance), area, replaced / area, outside / area, seen)


def circle_sums(plane: Plane, x: Array, y: Array, radius: ArrayLike, number: ArrayLike) -> ApertureSums:
    """Sum the image in one circle of the given radius (pixel; one, or one per source) per source."""
    r = np.broadcast_to(np.asarray(radius, np.float64), np.shape(x))
    return ellipse_sums(plane, x, y, r, r, np.zeros(len(x)), number)


@dataclass(frozen=True)
class WindowedPositions:
    """Centres of sources in a Gaussian window."""

    x: Array
    y: Array
    error_x: Array
    error_y: Array
    converged: NDArray[np.bool_]


def windowed_positions(plane: Plane, x: Array, y: Array, sigma: Array, number: ArrayLike) -> WindowedPositions:
    """Centre sources iteratively under a Gaussian window (SExtractor's XWIN_IMAGE, YWIN_IMAGE).

    Each step moves by 2 sum(w I (x_i - x)) / sum(w I). The error follows from the condition that ends the iteration,
    sum(w I (x_i - x)) = 0: var(x) = sum(w^2 v (x_i - x)^2) / [sum(w I (1 - (x_i - x)^2 / sigma^2))]^2 with v the
    variance of a pixel, photon noise included; for a Gaussian source under its own width this is SExtractor's formula.

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
        First guess; returned, not converged, where the iteration fails or leaves it by more than two sigma.
    sigma : array of n, pixel
        Width of the window: FWHM / 2.355 of the source. The window ends at 4 sigma.
    number : array of n int, as in `ellipse_sums`
    """
    result = np.full((len(x), 5), np.nan)
    number = np.asarray(number, np.int64)
    _windowed_positions(*plane.arrays, number, *_floats(x, y, sigma), 1 / plane.gain, result)
    converged = result[:, 4] == 1
    position_x, position_y = np.where(converged, result[:, 0], x), np.where(converged, result[:, 1], y)
    return WindowedPositions(position_x, position_y, np.sqrt(result[:, 2]), np.sqrt(result[:, 3]), converged)


def profile_widths(plane: Plane, x: Array, y: Array, radius: Array, number: ArrayLike) -> Array:
    """Return the FWHM (pixel) of a round Moffat profile (beta 3) fitted to the core of each source.

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
    radius : array of n, pixel
        The fit uses the pixels nearer than this; with about 0.85 FWHM the result is good to 5 % for profiles from
        Gaussian to beta 2.5.
    number : array of n int, as in `ellipse_sums`

    Returns
    -------
    array of n, pixel; NaN where no profile fits
    """
    width = np.full(len(x), np.nan)
    _profile_widths(*plane.arrays, np.asarray(number, np.int64), *_floats(x, y, radius), width)
    return width * 2 * math.sqrt(2 ** (1 / MOFFAT_BETA) - 1)


def _floats(*arrays: ArrayLike) -> list[Array]:
    return [np.ascontiguousarray(array, np.float64) for array in arrays]


@njit(cache=True, nogil=True)
def _between(image, variance, bad, segmentation, number, x, y):
    """Return value and variance at a place between pixels, by linear interpolation; variance 0 if they are no good."""
    ny, nx = image.shape
    i0, j0 = math.floor(x), math.floor(y)
    value = spread = total = 0.0
    for j in (j0, j0 + 1):
        for i in (i0, i0 + 1):
            if i < 0 or j < 0 or i >= nx or j >= ny or bad[j, i]:
                continue
            if segmentation[j, i] in (0, number):
                share = (1 - abs(x - i)) * (1 - abs(y - j))
                value += share * image[j, i]
                spread += share * variance[j, i]
                total += share
    return (value / total, spread / total) if total > 0.4 else (0.0, 0.0)


@njit(cache=True, nogil=True)
def _pixel(image, variance, bad, segmentation, number, i, j, x, y):
    """Return value, variance and state of pixel (i, j) for the source with this number at (x, y)."""
    ny, nx = image.shape
    if i < 0 or j < 0 or i >= nx or j >= ny:
        return 0.0, 0.0, _OUTSIDE
    owner = segmentation[j, i]
    if not bad[j, i] and owner in (0, number):
        return image[j, i], variance[j, i], _GOOD
    value, spread = _between(image, variance, bad, segmentation, number, 2 * x - i, 2 * y - j)
    if spread == 0:
        return 0.0, 0.0, _MISSING
    # its noise is counted twice, fully correlated: (2 s)^2 in all, of which s^2 comes with the pixel itself
    return value, 3 * spread, _REPLACED


@njit(cache=True, nogil=True)
def _share(dx, dy, cxx, cyy, cxy):
    """Return the fraction of the pixel at (dx, dy) that lies in the ellipse."""
    radius = math.sqrt(cxx * dx * dx + cyy * dy * dy + cxy * dx * dy)
    margin = 0.71 * math.sqrt(cxx + cyy)
    if radius < 1 - margin:
        return 1.0
    if radius > 1 + margin:
        return 0.0
    inside = 0
    for m in range(SUBPIXELS):
        sy = dy + (m + 0.5) / SUBPIXELS - 0.5
        for n in range(SUBPIXELS):
            sx = dx + (n + 0.5) / SUBPIXELS - 0.5
            if cxx * sx * sx + cyy * sy * sy + cxy * sx * sy <= 1:
                inside += 1
    return inside / SUBPIXELS**2


@njit(cache=True, nogil=True)
def _ellipse_sums(image, variance, bad, segmentation, flags, number, x, y, cxx, cyy, cxy, sums, seen):
    for k in range(x.size):
        determinant = cxx[k] * cyy[k] - cxy[k] ** 2 / 4
        if not determinant > 0:
            continue
        half_x, half_y = math.sqrt(cyy[k] / determinant), math.sqrt(cxx[k] / determinant)
        for j in range(math.floor(y[k] - half_y), math.ceil(y[k] + half_y) + 1):
            for i in range(math.floor(x[k] - half_x), math.ceil(x[k] + half_x) + 1):
                share = _share(i - x[k], j - y[k], cxx[k], cyy[k], cxy[k])
                if share == 0:
                    continue
                value, spread, state = _pixel(image, variance, bad, segmentation, number[k], i, j, x[k], y[k])
                sums[k, 0] += share * value
                sums[k, 1] += share * spread
                sums[k, 2] += share
                if state in (_REPLACED, _MISSING):
                    sums[k, 3] += share
                if state == _OUTSIDE:
                    sums[k, 4] += share
                else:
                    seen[k] |= flags[j, i]


@njit(cache=True, nogil=True)
def _window_step(image, variance, bad, segmentation, number, x, y, sigma, per_electron):
    """Return sum(w I), the step in x and y, and the variances of x and y at this place."""
    total = move_x = move_y = slope_x = slope_y = noise_x = noise_y = 0.0
    reach = 4 * sigma
    for j in range(math.floor(y - reach), math.ceil(y + reach) + 1):
        for i in range(math.floor(x - reach), math.ceil(x + reach) + 1):
            dx, dy = i - x, j - y
            distance = dx * dx + dy * dy
            if distance > reach * reach:
                continue
            value, spread, state = _pixel(image, variance, bad, segmentation, number, i, j, x, y)
            if state >= _MISSING:
                continue
            window = math.exp(-distance / (2 * sigma * sigma))
            spread = window * window * (spread + max(value, 0.0) * per_electron)
            total += window * value
            move_x += window * value * dx
            move_y += window * value * dy
            slope_x += window * value * (1 - dx * dx / sigma**2)
            slope_y += window * value * (1 - dy * dy / sigma**2)
            noise_x += spread * dx * dx
            noise_y += spread * dy * dy
    if not total > 0:
        return total, 0.0, 0.0, np.nan, np.nan
    # the slope of a profile much narrower or wider than the window may vanish in noise: bounded as for a Gaussian
    slope_x, slope_y = max(slope_x, total / 4), max(slope_y, total / 4)
    return total, 2 * move_x / total, 2 * move_y / total, noise_x / slope_x**2, noise_y / slope_y**2


@njit(cache=True, nogil=True)
def _windowed_positions(image, variance, bad, segmentation, number, x, y, sigma, per_electron, result):
    for k in range(x.size):
        at_x, at_y = x[k], y[k]
        for _ in range(32):
            total, dx, dy, var_x, var_y = _window_step(
                image, variance, bad, segmentation, number[k], at_x, at_y, sigma[k], per_electron
            )
            if not total > 0 or math.hypot(at_x + dx - x[k], at_y + dy - y[k]) > 2 * sigma[k]:
                break
            at_x, at_y = at_x + dx, at_y + dy
            result[k, 0], result[k, 1], result[k, 2], result[k, 3] = at_x, at_y, var_x, var_y
            if dx * dx + dy * dy < 1e-8:
                result[k, 4] = 1
                break


@njit(cache=True, nogil=True)
def _fit_quality(values, distances, count, alpha):
    """Return how much of the sum of squares a Moffat profile of this width explains (best amplitude)."""
    product = square = 0.0
    for n in range(count):
        model = (1 + distances[n] / (alpha * alpha)) ** -MOFFAT_BETA
        product += values[n] * model
        square += model * model
    return product * product / square if product > 0 else 0.0


@njit(cache=True, nogil=True)
def _profile_widths(image, variance, bad, segmentation, number, x, y, radius, width):
    golden = (math.sqrt(5.0) - 1) / 2
    for k in range(x.size):
        reach = math.ceil(radius[k])
        values, distances = np.empty((2 * reach + 3) ** 2), np.empty((2 * reach + 3) ** 2)
        count = 0
        for j in range(math.floor(y[k]) - reach, math.ceil(y[k]) + reach + 1):
            for i in range(math.floor(x[k]) - reach, math.ceil(x[k]) + reach + 1):
                distance = (i - x[k]) ** 2 + (j - y[k]) ** 2
                if distance > radius[k] ** 2:
                    continue
                value, _, state = _pixel(image, variance, bad, segmentation, number[k], i, j, x[k], y[k])
                if state < _MISSING:
                    values[count], distances[count] = value, distance
                    count += 1
        low, high = math.log(0.2), math.log(4 * radius[k])
        for _ in range(24):
            first, second = high - golden * (high - low), low + golden * (high - low)
            if _fit_quality(values, distances, count, math.exp(first)) > _fit_quality(
                values, distances, count, math.exp(second)
            ):
                high = second
            else:
                low = first
        alpha = math.exp((low + high) / 2)
        if count > 4 and _fit_quality(values, distances, count, alpha) > 0:
            width[k] = alpha
