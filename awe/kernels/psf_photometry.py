"""Fluxes and places of sources by fitting the PSF, those that are near to each other together.

For each source, flux and place are found by least squares (Gauss-Newton) on the pixels within a radius. Sources whose
profiles overlap much form a group and are fitted at once; the light of all others is subtracted as it was found in the
sweep before, so that groups can be fitted in any order, on any number of threads. A group is left as it is once neither
it nor the light of its neighbours changes by more than a small part of the errors. Pixels are weighted by their
variance plus the photon noise of the *model* (that of the pixels would make fluxes too small); errors are those of the
matrix of the normal equations, neighbours included.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.photometry import Plane
from awe.kernels.psf import Psf
from awe.kernels.psf_crowd import Crowd, Stamps, crowd_of, empty_stamps, neighbours_of
from awe.kernels.psf_light import add_star, part_of_picture, star_light

Array = NDArray[np.float64]

FIT_RADIUS = 1.7
"""Radius of the pixels that are fitted, in units of the FWHM."""
SWEEPS, STEPS = 4, 8
FARTHEST = 1.0
"""How far (FWHM) a source may move from where it was detected; beyond, its place is not fitted."""
SETTLED = 0.01
"""Steps smaller than this part of the errors are the last; so are"""
LEAST_STEP, LEAST_CHANGE = 1e-4, 1e-6
"""those smaller than this (pixel), and than this part of the flux."""
RIDGE = 1e-9
SLICES = 16
"""Parts per thread into which the groups are divided, so that threads end together."""

PSF_ROWS = np.dtype(
    [*((name, "f8") for name in ("x", "y", "flux", "flux_error", "x_error", "y_error", "chi2")), ("fixed", "?")]
)
"""`chi2` is the mean of the squares of the residuals in units of their errors; `fixed` if the place was not fitted."""


def psf_photometry(plane: Plane, psf: Psf, x: Array, y: Array, forced: bool = False, threads: int = 1) -> NDArray[Any]:
    """Fit the PSF to sources.

    Parameters
    ----------
    plane : Plane
        Bad pixels are left out.
    psf : Psf
    x, y : array of n, pixel
        Where the sources were found.
    forced : bool
        Fit the flux only, at these places.
    threads : int

    Returns
    -------
    array of n `PSF_ROWS`; NaN for a source without a pixel that could be fitted
    """
    crowd = crowd_for(psf, x, y, plane.image.shape)
    rows = fit_crowd(crowd, stamps_of(crowd, plane), psf, plane.gain, forced, threads)
    rows["fixed"] |= np.isnan(rows["x"])
    return rows


def crowd_for(psf: Psf, x: Array, y: Array, shape: tuple[int, ...]) -> Crowd:
    """Join sources to groups as wide as this PSF asks for."""
    farthest = FARTHEST * psf.fwhm
    places = (np.ascontiguousarray(v, np.float64) for v in (x, y))
    return crowd_of(*places, psf.fwhm, psf.radius, farthest, (shape[0], shape[1]))


def stamps_of(crowd: Crowd, plane: Plane) -> Stamps:
    """Cut all groups out of a plane."""
    stamps = empty_stamps(crowd, np.arange(len(crowd.boxes)))
    stamps.fill(crowd, plane, 0, 0, stamps.groups)
    return stamps


def fit_crowd(
    crowd: Crowd, stamps: Stamps, psf: Psf, gain: float, forced: bool = False, threads: int = 1
) -> NDArray[Any]:
    """Fit the PSF to the sources of the groups that were cut out.

    Parameters
    ----------
    crowd : Crowd
    stamps : Stamps
    psf : Psf
    gain : float, electron/adu
        For the photon noise of the sources.
    forced : bool
        Fit the fluxes only.
    threads : int

    Returns
    -------
    array of n `PSF_ROWS`, one per source of the crowd
        NaN where there is no pixel to fit, or the source is of a group that was not cut out.
    """
    start = np.zeros(len(crowd.x), PSF_ROWS)
    start["x"], start["y"], start["fixed"] = crowd.x, crowd.y, forced
    rows = start.copy()
    for name in ("flux_error", "x_error", "y_error", "chi2"):
        rows[name] = np.nan
    terms = np.ascontiguousarray(psf.terms(crowd.x, crowd.y))
    layout = crowd.order, crowd.starts, crowd.boxes, crowd.group, crowd.cells
    pixels = stamps.groups, stamps.starts, stamps.light, stamps.variance
    model = psf.coefficients, 1 / psf.sampling, terms
    radius = max(FIT_RADIUS * psf.fwhm, 2.0)
    changed, restless = np.ones(len(rows), np.bool_), np.ones(len(crowd.boxes), np.bool_)
    for sweep in range(SWEEPS):
        limits = radius, crowd.reach, crowd.farthest, 1 / gain, sweep
        state = start, rows.copy(), changed.copy(), rows, changed, restless

        def fit(first: int, last: int, limits: Any = limits, state: Any = state) -> None:
            _fit_groups(first, last, *layout, *pixels, *model, *limits, *state)

        in_slices(fit, len(stamps.groups), threads)
        if not changed.any():
            break
    left_out = ~np.isin(crowd.group, stamps.groups)
    for name in ("x", "y", "flux"):
        rows[name][left_out] = np.nan
    return rows


def in_slices(work: Any, count: int, threads: int) -> None:
    """Do work, given the first and the end of a part of `count` groups, on all parts, some threads at a time."""
    edges = np.linspace(0, count, min(count, SLICES * threads) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


@njit(cache=True, nogil=True)
def subtract_stars(chosen, box, pictures, fine, terms, rows, out):
    """Subtract the light of some sources, as they were fitted, from a box of pixels."""
    for s in chosen:
        flux = rows[s].flux
        if flux != 0 and np.isfinite(flux):
            add_star(pictures, terms[s], fine, rows[s].x - box[0], rows[s].y - box[1], -flux, out)


@njit(cache=True, nogil=True)
def _fit_groups(
    first, last, order, starts, boxes, group, cells, groups, begin, light, variance, pictures, fine, terms,
    radius, reach, farthest, per_electron, sweep, start, before, changed, rows, changing, restless,
):  # fmt: skip
    side = pictures.shape[1]
    for k in range(first, last):
        g = groups[k]
        own, box = order[starts[g] : starts[g + 1]], boxes[g]
        if box[2] * box[3] == 0:
            for s in own:
                _no_fit(rows[s])
                changing[s] = False
            restless[g] = False
            continue
        near = neighbours_of(box, cells, before.x, before.y, reach, g, group)
        if sweep and not restless[g]:
            still = True
            for s in near:
                still &= not changed[s]
            if still:
                for s in own:
                    changing[s] = False
                continue
        rest = light[begin[k] : begin[k + 1]].reshape((box[3], box[2])).astype(np.float64)
        subtract_stars(near, box, pictures, fine, terms, before, rest)
        noise = variance[begin[k] : begin[k + 1]].reshape((box[3], box[2]))
        local = np.empty((own.size, side, side))
        for m in range(own.size):
            local[m] = part_of_picture(pictures, terms[own[m]], (0, side), (0, side))
        restless[g] = not _fit_group(
            rest, noise, box[0], box[1], local, fine, own, radius, farthest, per_electron, sweep, start, rows
        )
        for s in own:
            changing[s] = _differs(before[s], rows[s])


@njit(cache=True, nogil=True)
def _differs(one, other):
    """Return whether two fits of a source differ by more than a small part of the errors."""
    if not np.isfinite(other.flux):
        return False
    if abs(one.flux - other.flux) > max(SETTLED * other.flux_error, LEAST_CHANGE * other.flux):
        return True
    step = max(SETTLED * other.x_error, LEAST_STEP)
    return one.fixed != other.fixed or (not other.fixed and np.hypot(one.x - other.x, one.y - other.y) > step)


@njit(cache=True, nogil=True)
def _no_fit(row):
    row.flux = row.flux_error = row.x_error = row.y_error = row.chi2 = np.nan


@njit(cache=True, nogil=True)
def _fit_group(light, noise, x0, y0, local, fine, own, radius, farthest, per_electron, sweep, start, rows):
    """Fit the sources of a group, `light` being what is left without all others; return whether they came to rest."""
    count = own.size
    matrix, right = np.empty((3 * count, 3 * count)), np.empty(3 * count)
    chi, seen = np.empty(count), np.empty(count, np.int64)
    settled = False
    for step in range(STEPS):
        # fluxes first: before they are known, places can't be told
        places = step > 0 or sweep > 0
        _equations(
            light, noise, x0, y0, local, fine, own, radius, per_electron, places, rows, matrix, right, chi, seen
        )  # fmt: skip
        settled = _improve(own, matrix, right, places, farthest, start, rows) and places
        if settled:
            break
    if not settled:
        _equations(light, noise, x0, y0, local, fine, own, radius, per_electron, True, rows, matrix, right, chi, seen)
        _factorise(matrix)
    unit = np.empty(3 * count)
    for k in range(count):
        row = rows[own[k]]
        if seen[k] == 0:
            _no_fit(row)
            continue
        row.chi2 = chi[k] / max(seen[k] - (1 if row.fixed else 3), 1)
        row.flux_error = _error(matrix, 3 * k, unit)
        row.x_error = np.nan if row.fixed else _error(matrix, 3 * k + 1, unit)
        row.y_error = np.nan if row.fixed else _error(matrix, 3 * k + 2, unit)
    return settled


@njit(cache=True, nogil=True)
def _improve(own, matrix, right, places, farthest, start, rows):
    """Take a step; return whether it was the last one. The matrix is replaced by its factor."""
    scale = np.empty(right.size)
    for a in range(right.size):
        scale[a] = math.sqrt(matrix[a, a]) if matrix[a, a] > 0 else 1e-30
    _factorise(matrix)
    _solve(matrix, right)
    settled = True
    for k in range(own.size):
        row = rows[own[k]]
        row.flux += right[3 * k]
        settled &= abs(right[3 * k]) < max(SETTLED / scale[3 * k], LEAST_CHANGE * row.flux)
        if places and not row.fixed:
            for axis in range(2):
                a = 3 * k + 1 + axis
                settled &= abs(right[a]) < max(SETTLED / scale[a], LEAST_STEP)
            row.x += min(max(right[3 * k + 1], -0.5), 0.5)
            row.y += min(max(right[3 * k + 2], -0.5), 0.5)
            if np.hypot(row.x - start[own[k]].x, row.y - start[own[k]].y) > farthest or not row.flux > 0:
                row.x, row.y, row.fixed = start[own[k]].x, start[own[k]].y, True
                settled = False
    return settled


@njit(cache=True, nogil=True)
def _factorise(matrix):
    """Replace a positive matrix by its Cholesky factor (lower); what no pixel tells of gets a one."""
    for a in range(matrix.shape[0]):
        floor = RIDGE * matrix[a, a]
        for b in range(a):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = total / matrix[b, b]
        total = matrix[a, a]
        for c in range(a):
            total -= matrix[a, c] ** 2
        matrix[a, a] = math.sqrt(max(total, floor)) if floor > 0 else 1.0


@njit(cache=True, nogil=True)
def _solve(factor, right):
    """Solve the equations in place."""
    size = right.size
    for a in range(size):
        for b in range(a):
            right[a] -= factor[a, b] * right[b]
        right[a] /= factor[a, a]
    for a in range(size - 1, -1, -1):
        for b in range(a + 1, size):
            right[a] -= factor[b, a] * right[b]
        right[a] /= factor[a, a]


@njit(cache=True, nogil=True)
def _error(factor, k, unit):
    """Return the root of an element of the diagonal of the inverse."""
    square = 0.0
    for a in range(k, unit.size):
        unit[a] = 1.0 if a == k else 0.0
        for b in range(k, a):
            unit[a] -= factor[a, b] * unit[b]
        unit[a] /= factor[a, a]
        square += unit[a] ** 2
    return math.sqrt(square)


@njit(cache=True, nogil=True, error_model="numpy")
def _equations(
    light, noise, x0, y0, local, fine, own, radius, per_electron, places, rows, matrix, right, chi, seen
):  # fmt: skip
    """Fill in the normal equations for the changes of flux, x and y of each source, and chi^2 and pixels of each."""
    count = own.size
    left, low, width, height = _extent(own, rows, radius, x0, y0, light.shape)
    slopes = np.empty((count, 3, height, width))
    total, weight, rest = np.zeros((height, width)), np.empty((height, width)), np.empty((height, width))
    near = np.zeros((count, height, width), np.bool_)
    for k in range(count):
        row = rows[own[k]]
        x, y = row.x - x0 - left, row.y - y0 - low
        star_light(local[k], fine, x, y, slopes[k, 0], slopes[k, 1], slopes[k, 2])
        total += row.flux * slopes[k, 0]
        slopes[k, 1:] *= row.flux
        for j in range(height):
            for i in range(width):
                near[k, j, i] = (i - x) ** 2 + (j - y) ** 2 < radius * radius
    for j in range(height):
        for i in range(width):
            used = False
            for k in range(count):
                used |= near[k, j, i]
            spread = noise[low + j, left + i] + max(total[j, i], 0.0) * per_electron
            weight[j, i] = 1 / spread if used else 0.0
            rest[j, i] = light[low + j, left + i] - total[j, i]
    for k in range(count):
        chi[k], seen[k] = _misfit(weight, rest, near[k])
    slopes = slopes.reshape((3 * count, height * width))
    for a in range(3 * count):
        told = a % 3 == 0 or (places and not rows[own[a // 3]].fixed)
        weighted = slopes[a] * weight.ravel()
        right[a] = _dot(weighted, rest.ravel()) if told else 0.0
        for b in range(a + 1):
            both = told and (b % 3 == 0 or (places and not rows[own[b // 3]].fixed))
            matrix[a, b] = _dot(weighted, slopes[b]) if both else 0.0


@njit(cache=True, nogil=True)
def _extent(own, rows, radius, x0, y0, shape):
    """Return the part of a box of pixels that holds all circles: first column and row, columns and rows."""
    left = low = 10**9
    right = high = 0
    for s in own:
        left, right = min(left, int(rows[s].x - x0 - radius)), max(right, int(rows[s].x - x0 + radius) + 2)
        low, high = min(low, int(rows[s].y - y0 - radius)), max(high, int(rows[s].y - y0 + radius) + 2)
    left, low, right, high = max(left, 0), max(low, 0), min(right, shape[1]), min(high, shape[0])
    return left, low, max(right - left, 0), max(high - low, 0)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _dot(one, other):
    total = 0.0
    for p in range(one.size):
        total += one[p] * other[p]
    return total


@njit(cache=True, nogil=True)
def _misfit(weight, rest, near):
    """Return chi^2 of some pixels, and how many have a value."""
    total, count = 0.0, 0
    for j in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            if near[j, i] and weight[j, i] > 0:
                total += weight[j, i] * rest[j, i] ** 2
                count += 1
    return total, count
