"""Measurements of many sources on one plane: apertures at given places, and all that a catalogue tells of a source."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from awe.kernels.apertures import ellipse_flags, ellipse_sum, kron_radius, light_radius, petrosian_radius
from awe.kernels.centring import profile_width, windowed_position
from awe.kernels.stamps import cut, mirror

Array = NDArray[np.float64]

KRON_FACTOR, KRON_MINIMUM = 2.5, 3.5
PETROSIAN_FACTOR, PETROSIAN_RATIO = 2.0, 0.2
MIRRORINGS = 10
USUAL_REACH = 7.5
"""Pixels within so many A_IMAGE are cut out first: enough for the ellipses and the windows of most sources."""
SIGMA_PER_HALF_LIGHT_RADIUS = 2 / math.sqrt(8 * math.log(2))

MEASURED = np.dtype(
    [
        *((name, "f8") for name in ("x", "y", "var_x", "var_y", "iso", "iso_variance", "peak", "kron", "petrosian")),
        *((name, "f8") for name in ("auto", "auto_variance", "petro", "petro_variance", "radius", "fwhm")),
        *((name, "f8") for name in ("replaced", "outside", "at_x", "at_y")),
        ("converged", "?"),
        *((name, "u1") for name in ("flags", "flags_iso")),
        *((name, "i4") for name in ("flagged", "bad")),
    ]
)
"""What is measured of a source; variances without photon noise; radii of Kron and Petrosian in units of the rms.

`at_x` and `at_y` are the middle of the circles, `flags` are of an ellipse, `flags_iso` of the pixels above the
threshold, of which `flagged` have any and `bad` have no value."""


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
    def arrays(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.uint8]]:
        """Image, variance, bad, segmentation and flags, as the compiled loops take them."""
        return self.image, self.variance, self.bad, self.segmentation, self.flags


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


def circle_sums(plane: Plane, x: Array, y: Array, radius: ArrayLike, number: ArrayLike) -> ApertureSums:
    """Sum the image in one circle per source, or in several.

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
    radius : float, array of n, or array (n, m) or (1, m), pixel
    number : array of n int
        Number of the source in `plane.segmentation`; 0 = every segment belongs to a neighbour.
    """
    radii = np.asarray(radius, np.float64)
    shape = (len(x), radii.shape[1]) if radii.ndim == 2 else (len(x),)
    sums = np.zeros((5, *shape))
    each = np.broadcast_to(radii, shape).reshape(len(x), -1)
    _circle_sums(*plane.arrays, np.asarray(number, np.int64), *_floats(x, y, each), sums.reshape(5, *each.shape))
    flux, variance, area, replaced, outside = sums
    variance = variance + np.maximum(flux, 0) / plane.gain
    area = np.maximum(area, 1e-9)
    return ApertureSums(flux, np.sqrt(variance), area, replaced / area, outside / area)


@dataclass(frozen=True)
class WindowedPositions:
    """Centres of sources in a Gaussian window."""

    x: Array
    y: Array
    error_x: Array
    error_y: Array
    converged: NDArray[np.bool_]


def windowed_positions(plane: Plane, x: Array, y: Array, sigma: Array, number: ArrayLike) -> WindowedPositions:
    """Centre sources iteratively under a Gaussian window (see `awe.kernels.centring.windowed_position`).

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
        First guess; returned, not converged, where the iteration fails or leaves it by more than two sigma.
    sigma : array of n, pixel
        Width of the window: FWHM / 2.355 of the source. The window ends at 4 sigma.
    number : array of n int, as in `circle_sums`
    """
    result = np.full((len(x), 5), np.nan)
    number = np.asarray(number, np.int64)
    _windowed_positions(*plane.arrays, number, *_floats(x, y, sigma), 1 / plane.gain, result)
    return WindowedPositions(*result[:, :2].T, *np.sqrt(result[:, 2:4]).T, result[:, 4] == 1)


def measure_sources(
    plane: Plane,
    x: Array,
    y: Array,
    shape: tuple[Array, Array, Array],
    number: ArrayLike,
    pixels: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]],
    apertures: ArrayLike,
    given: Array | None = None,
) -> tuple[NDArray[np.void], Array]:
    """Measure all that a catalogue tells of sources, each on a stamp of its own.

    Parameters
    ----------
    plane : Plane
    x, y : array of n, pixel
        Centres of the isophotes.
    shape : three arrays of n
        The rms along major and minor axis (pixel), and the angle of the major axis from x to y (radian).
    number : array of n int, as in `circle_sums`
    pixels
        First pixel of each source (n + 1), x and y of the pixels, and their order, as in `awe.kernels.isophotes`.
    apertures : array of m, pixel
        Diameters.
    given : array (n, 4), optional
        Radii of Kron and Petrosian, and x and y of the middle of the circles, if they are not to be measured.

    Returns
    -------
    array of n `MEASURED`, array (n, m, 2) of aperture fluxes and variances
    """
    rows, sums = np.zeros(len(x), MEASURED), np.zeros((len(x), np.size(apertures), 2))
    number = np.asarray(number, np.int64)
    diameters = np.atleast_1d(np.asarray(apertures, np.float64))
    geometry = np.zeros((0, 4)) if given is None else np.ascontiguousarray(given, np.float64)
    _measure(*plane.arrays, number, *_floats(x, y, *shape), *pixels, diameters, 1 / plane.gain, geometry, rows, sums)
    return rows, sums


def _floats(*arrays: ArrayLike) -> list[Array]:
    return [np.ascontiguousarray(array, np.float64) for array in arrays]


@njit(cache=True, nogil=True)
def _circle_sums(image, variance, bad, segmentation, flags, number, x, y, radius, sums):
    for k in range(x.size):
        v, s, states, _, x0, y0, _ = cut(
            image, variance, bad, segmentation, flags, number[k], x[k], y[k], radius[k].max() + 1
        )  # fmt: skip
        for m in range(radius.shape[1]):
            r = radius[k, m]
            found = ellipse_sum(v, s, states, x[k] - x0, y[k] - y0, r, r, 0.0)
            for n in range(5):
                sums[n, k, m] = found[n]


@njit(cache=True, nogil=True)
def _centred(image, variance, bad, segmentation, number, x, y, sigma, per_electron, v, s, states, x0, y0, touched):
    """Return the windowed position, its variances and whether it converged; pixels are mirrored around itself.

    The stamp must reach 6 sigma and two pixels around (x, y).
    """
    centre_x, centre_y = x, y
    for _ in range(MIRRORINGS):
        at_x, at_y, var_x, var_y, converged = windowed_position(
            v, s, states, centre_x - x0, centre_y - y0, sigma, per_electron
        )
        at_x, at_y = at_x + x0, at_y + y0
        moved = math.hypot(at_x - centre_x, at_y - centre_y)
        if not converged or math.hypot(at_x - x, at_y - y) > 2 * sigma:
            return x, y, np.nan, np.nan, False
        centre_x, centre_y = at_x, at_y
        if not touched or moved < 1e-3:
            break
        touched = mirror(
            image, variance, bad, segmentation, number, at_x, at_y, 6 * sigma + 2, v, s, states, x0, y0
        )  # fmt: skip
    return centre_x, centre_y, var_x, var_y, True


@njit(cache=True, nogil=True)
def _windowed_positions(image, variance, bad, segmentation, flags, number, x, y, sigma, per_electron, result):
    for k in range(x.size):
        v, s, states, _, x0, y0, touched = cut(
            image, variance, bad, segmentation, flags, number[k], x[k], y[k], 6 * sigma[k] + 2
        )
        at_x, at_y, var_x, var_y, converged = _centred(
            image, variance, bad, segmentation, number[k], x[k], y[k], sigma[k], per_electron, v, s, states, x0, y0,
            touched,
        )  # fmt: skip
        result[k, 0], result[k, 1], result[k, 2], result[k, 3] = at_x, at_y, var_x, var_y
        result[k, 4] = converged


@njit(cache=True, nogil=True)
def _isophotal(row, image, variance, bad, flags, first, last, px, py, order):
    for m in range(first, last):
        j, i = py[order[m]], px[order[m]]
        row.iso += image[j, i]
        # a pixel that is bad on the image that is measured has no variance
        row.iso_variance += variance[j, i] if np.isfinite(variance[j, i]) else 0.0
        row.peak = max(row.peak, image[j, i])
        row.flags_iso |= flags[j, i]
        row.flagged += flags[j, i] != 0
        row.bad += bad[j, i]


@njit(cache=True, nogil=True)
def _in_ellipses(row, v, s, states, bits, x, y, a, b, theta, scale, wide):
    """Fill in what the ellipses of Kron and Petrosian hold, the flags, and the radius with half of the light."""
    row.auto, row.auto_variance, area, replaced, row.outside = ellipse_sum(
        v, s, states, x, y, scale * a, scale * b, theta
    )
    row.replaced = replaced / max(area, 1e-9)
    row.petro, row.petro_variance, _, _, _ = ellipse_sum(v, s, states, x, y, wide * a, wide * b, theta)
    row.flags = ellipse_flags(bits, x, y, 3 * a, 3 * b, theta)
    total = row.auto if row.auto > 0 else max(row.iso, 1e-6)
    row.radius = light_radius(v, x, y, 6 * a, 0.5 * total)


@njit(cache=True, nogil=True)
def _measure(
    image, variance, bad, segmentation, flags, number, x, y, a, b, theta, starts, px, py, order, apertures,
    per_electron, given, rows, sums,
):  # fmt: skip
    """Measure each source on its stamp, which is cut again where it turns out to be too small."""
    widest = apertures.max() / 2 if apertures.size else 0.0
    for k in range(x.size):
        row = rows[k]
        _isophotal(row, image, variance, bad, flags, starts[k], starts[k + 1], px, py, order)
        # mostly wide enough for all that follows
        reach = max(USUAL_REACH * a[k], widest + 0.5) + 2
        v, s, states, bits, x0, y0, touched = cut(
            image, variance, bad, segmentation, flags, number[k], x[k], y[k], reach
        )  # fmt: skip
        if given.size:
            row.kron, row.petrosian = given[k, 0], given[k, 1]
        else:
            row.kron = kron_radius(v, x[k] - x0, y[k] - y0, a[k], b[k], theta[k])
            row.petrosian = petrosian_radius(v, x[k] - x0, y[k] - y0, a[k], b[k], theta[k], PETROSIAN_RATIO)
        scale = max(KRON_FACTOR * row.kron, KRON_MINIMUM)
        wide = max(PETROSIAN_FACTOR * row.petrosian, KRON_MINIMUM)
        if max(scale, wide) * a[k] + 1 > reach:
            reach = max(scale, wide) * a[k] + 2
            v, s, states, bits, x0, y0, touched = cut(
                image, variance, bad, segmentation, flags, number[k], x[k], y[k], reach
            )  # fmt: skip
        cx, cy = x[k] - x0, y[k] - y0
        _in_ellipses(row, v, s, states, bits, cx, cy, a[k], b[k], theta[k], scale, wide)
        # in the noise, half of the light may lie far beyond the source
        radius = max(min(row.radius, 3 * a[k]), 0.7)
        sigma = radius * SIGMA_PER_HALF_LIGHT_RADIUS
        if 6 * sigma + 2 > reach:
            reach = 6 * sigma + 2
            v, s, states, bits, x0, y0, touched = cut(
                image, variance, bad, segmentation, flags, number[k], x[k], y[k], reach
            )  # fmt: skip
        row.x, row.y, row.var_x, row.var_y, row.converged = _centred(
            image, variance, bad, segmentation, number[k], x[k], y[k], sigma, per_electron, v, s, states, x0, y0,
            touched,
        )  # fmt: skip
        row.at_x, row.at_y = (given[k, 2], given[k, 3]) if given.size else (row.x, row.y)
        needed = max(widest, 1.7 * radius + max(abs(row.x - row.at_x), abs(row.y - row.at_y)), 2.0) + 2
        off = max(abs(row.x - x[k]), abs(row.y - y[k]), abs(row.at_x - x[k]), abs(row.at_y - y[k]))
        if off + needed > reach:
            v, s, states, bits, x0, y0, touched = cut(
                image, variance, bad, segmentation, flags, number[k], row.at_x, row.at_y, needed
            )  # fmt: skip
        elif touched:
            mirror(
                image, variance, bad, segmentation, number[k], row.at_x, row.at_y, needed, v, s, states, x0, y0
            )  # fmt: skip
        row.fwhm = profile_width(v, states, row.x - x0, row.y - y0, max(1.7 * radius, 2.0))
        for m in range(apertures.size):
            r = apertures[m] / 2
            sums[k, m, 0], sums[k, m, 1], _, _, outside = ellipse_sum(
                v, s, states, row.at_x - x0, row.at_y - y0, r, r, 0.0
            )
            row.outside = max(row.outside, outside)
