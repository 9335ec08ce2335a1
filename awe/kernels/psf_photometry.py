"""Fluxes and places of sources by fitting the PSF, those that are near to each other together.

For each source, flux and place are found by least squares (Gauss-Newton) on the pixels within a radius. Sources whose
profiles overlap much form a group and are fitted at once; the light of all others is subtracted as it was found in the
sweep before, so that groups can be fitted in any order, on any number of threads. Pixels are weighted by their variance
plus the photon noise of the *model* (that of the pixels would make fluxes too small); errors are those of the matrix of
the normal equations, neighbours included.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from awe.kernels.photometry import Plane
from awe.kernels.psf import Psf, draw, spline_slopes, spline_weights

Array = NDArray[np.float64]

FIT_RADIUS = 1.7
"""Radius of the pixels that are fitted, in units of the FWHM."""
LINK = 2.2
"""Sources nearer than this many FWHM are fitted together."""
LARGEST_GROUP = 20
"""In crowds the distance of linking is made smaller until groups are no larger."""
SWEEPS, STEPS = 4, 8
FARTHEST = 1.0
"""How far (FWHM) a source may move from where it was detected; beyond, its place is not fitted."""
RIDGE = 1e-9

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
    rows = np.zeros(len(x), PSF_ROWS)
    rows["x"], rows["y"], rows["fixed"] = x, y, forced
    if not len(x):
        return rows
    known = np.isfinite(rows["x"]) & np.isfinite(rows["y"])
    order, starts = _groups(rows["x"], rows["y"], psf.fwhm, known)
    terms = np.ascontiguousarray(psf.terms(rows["x"], rows["y"]))
    radius, fine = max(FIT_RADIUS * psf.fwhm, 2.0), 1 / psf.sampling
    start = rows.copy()
    edges = np.linspace(0, len(starts) - 1, min(len(starts) - 1, 8 * threads) + 1).astype(int)
    pictures = psf.coefficients
    model = np.zeros(plane.image.shape, np.float32)
    fixed = (plane.image, plane.variance, plane.bad)
    with ThreadPoolExecutor(threads) as pool:
        for sweep in range(SWEEPS):
            arrays = *fixed, model, pictures, fine, terms, order, starts
            limits = radius, FARTHEST * psf.fwhm, 1 / plane.gain, sweep

            def fit(first: int, last: int, a: Any = arrays, b: Any = limits) -> None:
                _fit_groups(*a, first, last, *b, start, rows)

            list(pool.map(fit, edges[:-1].tolist(), edges[1:].tolist()))
            if sweep + 1 < SWEEPS:
                model = draw_sources(plane.image.shape, psf, rows)
    for name in PSF_ROWS.names or ():
        rows[name][~known] = name == "fixed" or np.nan
    return rows


def draw_sources(shape: tuple[int, ...], psf: Psf, fitted: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image (adu) of all sources that were fitted, as `psf_photometry` returns them."""
    image = np.zeros(shape, np.float32)
    terms = np.ascontiguousarray(psf.terms(fitted["x"], fitted["y"]))
    _draw_all(image, psf.coefficients, 1 / psf.sampling, terms, fitted)
    return image


def _groups(x: Array, y: Array, fwhm: float, known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sources in the order of their groups, and the first of each group (and the end)."""
    rows = np.flatnonzero(known)
    places = np.column_stack([x[rows], y[rows]])
    label = np.zeros(len(rows), np.int64)
    todo, link, count = np.arange(len(rows)), LINK * fwhm, 0
    while todo.size:
        pairs = cKDTree(places[todo]).query_pairs(link, output_type="ndarray")
        graph = coo_array((np.ones(len(pairs)), pairs.T.reshape(2, -1)), (todo.size, todo.size))
        number, own = connected_components(graph, directed=False)
        large = np.bincount(own, minlength=number)[own] > LARGEST_GROUP
        if link < 0.1 * fwhm:  # so many in one place can't be told apart: each by itself
            own, large, number = np.arange(todo.size), np.zeros(todo.size, bool), todo.size
        label[todo[~large]] = own[~large] + count
        count += number
        todo, link = todo[large], link / 1.3
    order = np.argsort(label, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(label[order])) + 1, [len(rows)]])
    return rows[order], np.unique(starts)


@njit(cache=True, nogil=True)
def local_picture(pictures, terms):
    """Return the spline coefficients of the picture at one place, given the polynomial there."""
    out = terms[0] * pictures[0]
    for k in range(1, terms.size):
        out += terms[k] * pictures[k]
    return out


@njit(cache=True, nogil=True)
def star_at(local, fine, dx, dy, wx, wy, sx, sy):
    """Return the model of unit flux at a pixel (dx, dy) from the star, and its derivatives by the place of the star."""
    side = local.shape[0]
    u, v = dx * fine + (side - 1) / 2, dy * fine + (side - 1) / 2
    i, j = int(np.floor(u)), int(np.floor(v))
    if i < 1 or j < 1 or i > side - 3 or j > side - 3:
        return 0.0, 0.0, 0.0
    spline_weights(u - i, wx)
    spline_weights(v - j, wy)
    spline_slopes(u - i, sx)
    spline_slopes(v - j, sy)
    light = by_x = by_y = 0.0
    for m in range(4):
        line = steep = 0.0
        for n in range(4):
            value = local[j - 1 + m, i - 1 + n]
            line += wx[n] * value
            steep += sx[n] * value
        light += wy[m] * line
        by_x -= wy[m] * steep
        by_y -= sy[m] * line
    return light, fine * by_x, fine * by_y


@njit(cache=True, nogil=True)
def _draw_all(model, pictures, fine, terms, rows):
    """Draw all sources on an image."""
    ny, nx = model.shape
    side = pictures.shape[1]
    reach = (side - 1) / 2 / fine
    for s in range(rows.size):
        x, y, flux = rows[s].x, rows[s].y, rows[s].flux
        if not (np.isfinite(flux) and np.isfinite(x + y)):
            continue
        i0, i1 = max(0, int(x - reach)), min(nx, int(x + reach) + 2)
        j0, j1 = max(0, int(y - reach)), min(ny, int(y + reach) + 2)
        if i1 <= i0 or j1 <= j0:
            continue
        part = np.zeros((j1 - j0, i1 - i0))
        draw(local_picture(pictures, terms[s]), fine, x - i0, y - j0, part)
        for j in range(j1 - j0):
            for i in range(i1 - i0):
                model[j0 + j, i0 + i] += flux * part[j, i]


@njit(cache=True, nogil=True)
def _fit_groups(
    image, variance, bad, model, pictures, fine, terms, order, starts, first, last,
    radius, farthest, per_electron, sweep, start, rows,
):  # fmt: skip
    ny, nx = image.shape
    for g in range(first, last):
        own = order[starts[g] : starts[g + 1]]
        count = own.size
        x0 = y0 = 10**9
        x1 = y1 = -(10**9)
        for s in own:
            x0, x1 = min(x0, int(rows[s].x - radius)), max(x1, int(rows[s].x + radius) + 2)
            y0, y1 = min(y0, int(rows[s].y - radius)), max(y1, int(rows[s].y + radius) + 2)
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, nx), min(y1, ny)
        if x1 <= x0 or y1 <= y0:
            for s in own:
                _no_fit(rows[s])
            continue
        light = np.zeros((y1 - y0, x1 - x0))
        local = np.empty((count, pictures.shape[1], pictures.shape[2]))
        for k in range(count):
            local[k] = local_picture(pictures, terms[own[k]])
            if sweep:  # the light of the group itself stays
                part = np.zeros(light.shape)
                draw(local[k], fine, rows[own[k]].x - x0, rows[own[k]].y - y0, part)
                light += rows[own[k]].flux * part
        for j in range(y1 - y0):
            for i in range(x1 - x0):
                light[j, i] += image[y0 + j, x0 + i] - model[y0 + j, x0 + i]
        noise, poor = variance[y0:y1, x0:x1], bad[y0:y1, x0:x1]
        _fit_group(light, noise, poor, x0, y0, local, fine, own, radius, farthest, per_electron, sweep, start, rows)


@njit(cache=True, nogil=True)
def _no_fit(row):
    row.flux = row.flux_error = row.x_error = row.y_error = row.chi2 = np.nan


@njit(cache=True, nogil=True)
def _fit_group(light, noise, poor, x0, y0, local, fine, own, radius, farthest, per_electron, sweep, start, rows):
    """Fit the sources of a group; `light` is what is left without all others."""
    count = own.size
    for step in range(STEPS):
        # fluxes first: before they are known, places can't be told
        places = step > 0 or sweep > 0
        matrix, right, chi, seen = _equations(
            light, noise, poor, x0, y0, local, fine, own, radius, per_electron, places, rows
        )
        for k in range(count):
            rows[own[k]].chi2 = chi[k] / max(seen[k] - 3, 1)
        for k in range(3 * count):
            # what no pixel tells of stays as it is
            matrix[k, k] += RIDGE * matrix[k, k] if matrix[k, k] > 0 else 1.0
        change = np.linalg.solve(matrix, right)
        largest = 0.0
        for k in range(count):
            row = rows[own[k]]
            row.flux += change[3 * k]
            if places and not row.fixed:
                dx, dy = change[3 * k + 1], change[3 * k + 2]
                row.x += min(max(dx, -0.5), 0.5)
                row.y += min(max(dy, -0.5), 0.5)
                largest = max(largest, abs(dx), abs(dy))
                if np.hypot(row.x - start[own[k]].x, row.y - start[own[k]].y) > farthest or not row.flux > 0:
                    row.x, row.y, row.fixed = start[own[k]].x, start[own[k]].y, True
                    largest = 1.0
        if places and largest < 1e-4 and step > 1:
            break
    matrix, right, chi, seen = _equations(
        light, noise, poor, x0, y0, local, fine, own, radius, per_electron, True, rows
    )
    for k in range(3 * count):
        matrix[k, k] += RIDGE * matrix[k, k] if matrix[k, k] > 0 else 1.0
    covariance = np.linalg.inv(matrix)
    for k in range(count):
        row = rows[own[k]]
        if seen[k] == 0:
            _no_fit(row)
            continue
        row.flux_error = np.sqrt(covariance[3 * k, 3 * k])
        row.chi2 = chi[k] / max(seen[k] - (1 if row.fixed else 3), 1)
        row.x_error = np.nan if row.fixed else np.sqrt(covariance[3 * k + 1, 3 * k + 1])
        row.y_error = np.nan if row.fixed else np.sqrt(covariance[3 * k + 2, 3 * k + 2])


@njit(cache=True, nogil=True)
def _equations(light, noise, poor, x0, y0, local, fine, own, radius, per_electron, places, rows):
    """Return the normal equations for the changes of flux, x and y of each source, and chi^2 and pixels of each."""
    count = own.size
    matrix, right = np.zeros((3 * count, 3 * count)), np.zeros(3 * count)
    chi, seen = np.zeros(count), np.zeros(count, np.int64)
    slopes, near = np.zeros((count, 3)), np.zeros(count, np.bool_)
    wx, wy, sx, sy = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            if poor[j, i]:
                continue
            any_near = False
            total = 0.0
            for k in range(count):
                row = rows[own[k]]
                dx, dy = x0 + i - row.x, y0 + j - row.y
                near[k] = dx * dx + dy * dy < radius * radius
                any_near |= near[k]
            if not any_near:
                continue
            for k in range(count):
                row = rows[own[k]]
                value, by_x, by_y = star_at(local[k], fine, x0 + i - row.x, y0 + j - row.y, wx, wy, sx, sy)
                slopes[k, 0], slopes[k, 1], slopes[k, 2] = value, row.flux * by_x, row.flux * by_y
                if row.fixed or not places:
                    slopes[k, 1] = slopes[k, 2] = 0.0
                total += row.flux * value
            weight = 1 / (noise[j, i] + max(total, 0.0) * per_electron)
            rest = light[j, i] - total
            for k in range(count):
                if near[k]:
                    chi[k] += weight * rest * rest
                    seen[k] += 1
            _accumulate(matrix, right, slopes, weight, rest)
    return matrix, right, chi, seen


@njit(cache=True, nogil=True)
def _accumulate(matrix, right, slopes, weight, rest):
    """Add one pixel to the normal equations."""
    flat = slopes.ravel()
    for a in range(flat.size):
        left = weight * flat[a]
        if left != 0:
            right[a] += left * rest
            for b in range(flat.size):
                matrix[a, b] += left * flat[b]
