"""Cosmic rays of a single exposure, by Laplacian edges (L.A.Cosmic; van Dokkum 2001, PASP 113, 1420)."""

from typing import NamedTuple

import numpy as np
from numba import njit

_FAINTEST_STRUCTURE = 0.01
_REACH = 4
"""A pixel's verdict depends on the image this many pixels around it: 3 (median of 7 x 7) of 1 (median of 3 x 3)."""


_LANES = 8
"""Numbers of a window that are compared at once; room for windows is a multiple of it."""


class _Work(NamedTuple):
    """The image, its noise, and the medians over 3 x 3 pixels that were computed so far: few pixels need one."""

    image: np.ndarray
    mask: np.ndarray
    variance: np.ndarray
    background: np.ndarray
    gain: float
    smooth: np.ndarray
    smoothed: np.ndarray
    """True where `smooth` is known."""


def flag_cosmic_rays(
    image: np.ndarray,
    variance: np.ndarray | float,
    gain: float,
    background: np.ndarray | float = 0.0,
    mask: np.ndarray | None = None,
    sigma_clip: float = 4.5,
    object_limit: float = 3.5,
    neighbour_fraction: float = 0.35,
    iterations: int = 4,
) -> np.ndarray:
    """Flag pixels hit by cosmic rays: sharper than anything the optics can image.

    The Laplacian of the image subsampled by two, in units of the noise and less its own median over 5 x 5 pixels,
    must exceed `sigma_clip`, and exceed `object_limit` times the fine structure (median over 3 x 3 less its median
    over 7 x 7 pixels) that stars have and cosmic rays lack. Neighbours follow with the lower limits of the paper.
    The noise is sqrt(variance + (median over 5 x 5 - background) / gain). Every quantity but the Laplacian is computed
    only where the Laplacian, over the noise of the sky, exceeds the limit: exact, since both further steps lower it.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        One exposure, sky subtracted or not. NaN counts as masked.
    variance : ndarray of shape (ny, nx) or float, adu^2
        Variance of the empty sky (read noise and photons of the sky): 1 / weight. Not finite or <= 0 = masked.
    gain : float, e-/adu
        For the photon noise of objects.
    background : ndarray of shape (ny, nx) or float, adu
        The level the image has in empty sky: 0 if it is sky subtracted.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad or saturated: never flagged, and no edge is seen against it unless it is the brighter side.
    sigma_clip : float, sigma
    object_limit : float
        Least contrast between Laplacian and fine structure; higher for undersampled images (seeing below 2 pixels).
    neighbour_fraction : float
        Limit for neighbours, in units of sigma_clip. The default finds more than astroscrappy's at better purity
        (decision 0025); 0.3 flags more of the faint rims, and more noise with them.
    iterations : int
        Largest number of rounds; each cleans what it found, so that the next sees what lay beneath.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True = hit by a cosmic ray.

    Raises
    ------
    ValueError
        If shapes differ or a limit is not positive.
    """
    if not (gain > 0 and sigma_clip > 0 and object_limit > 0 and 0 < neighbour_fraction <= 1 and iterations > 0):
        raise ValueError(
            "gain, sigma_clip, object_limit, iterations must be > 0 and neighbour_fraction within 0..1, got "
            f"{gain}, {sigma_clip}, {object_limit}, {iterations}, {neighbour_fraction}"
        )
    work = _prepare(image, variance, gain, background, mask)
    flags = np.zeros(work.image.shape, np.bool_)
    near = np.empty(work.image.shape, np.bool_)
    _screen(work, sigma_clip, near)
    for _ in range(iterations):
        found = _flag(work, np.flatnonzero(near), sigma_clip, object_limit, neighbour_fraction, flags)
        if found.size == 0:
            break
        _clean(work, found, flags)
        near[:] = False
        _mark_near(found, near)
    return flags


def _prepare(image, variance, gain, background, mask) -> _Work:
    """Copy the image, with masked pixels of no value at the background, and set up empty caches."""
    if np.ndim(image) != 2:
        raise ValueError(f"image must have two dimensions, got shape {np.shape(image)}")
    clean = np.array(image, np.float32, order="C")
    shape = clean.shape
    maps = [np.ascontiguousarray(np.atleast_2d(values), np.float32) for values in (variance, background)]
    bad = ~np.isfinite(clean)
    if mask is not None:
        if np.shape(mask) != shape:
            raise ValueError(f"mask has shape {np.shape(mask)}, the image {shape}")
        bad |= mask
    _check_shapes(shape, variance=maps[0], background=maps[1])
    unusable = ~(np.isfinite(maps[0]) & (maps[0] > 0) & np.isfinite(maps[1]))
    if unusable.any():
        bad |= unusable
        maps = [np.where(unusable, np.float32(fill), values) for values, fill in zip(maps, (1.0, 0.0), strict=True)]
    blank = ~np.isfinite(clean)
    if blank.any():
        clean[blank] = np.broadcast_to(maps[1], shape)[blank]
    return _Work(clean, bad, maps[0], maps[1], float(gain), np.empty(shape, np.float32), np.zeros(shape, np.bool_))


def _check_shapes(shape: tuple[int, int], **maps: np.ndarray) -> None:
    for name, values in maps.items():
        if values.shape not in (shape, (1, 1)):
            raise ValueError(f"{name} has shape {values.shape}, the image {shape}")


@njit(nogil=True, cache=True)
def _at(values, y, x):
    """Return a pixel of a map, or the one value that stands for all."""
    return values[0, 0] if values.size == 1 else values[y, x]


@njit(nogil=True, cache=True)
def _beside(work, y, x, value):
    """Return the value of a neighbour, such that neither the border nor a darker bad pixel makes an edge."""
    if y < 0 or x < 0 or y >= work.image.shape[0] or x >= work.image.shape[1]:
        return value
    found = work.image[y, x]
    return max(found, value) if work.mask[y, x] else found


@njit(nogil=True, cache=True)
def _corners(value, up, down, left, right):
    """Return the mean over four subpixels of the positive part of the Laplacian."""
    twice = 2 * value
    total = max(twice - up - left, 0.0) + max(twice - up - right, 0.0)
    total += max(twice - down - left, 0.0) + max(twice - down - right, 0.0)
    return 0.25 * total


@njit(nogil=True, cache=True)
def _laplacian(work, y, x):
    value = work.image[y, x]
    up, down = _beside(work, y - 1, x, value), _beside(work, y + 1, x, value)
    left, right = _beside(work, y, x - 1, value), _beside(work, y, x + 1, value)
    return _corners(value, up, down, left, right)


@njit(nogil=True, cache=True)
def _screen(work, limit, near):
    """Mark each pixel whose Laplacian exceeds the limit over the noise of the sky: an upper bound of the true one."""
    image, mask = work.image, work.mask
    ny, nx = image.shape
    floor = np.empty(nx, np.float32)
    for y in range(ny):
        if y == 0 or work.variance.size > 1:
            for x in range(nx):
                floor[x] = 2 * limit * np.sqrt(_at(work.variance, y, x))
        up, row, down = image[max(y - 1, 0)], image[y], image[min(y + 1, ny - 1)]
        for x in range(1, nx - 1):
            value = np.float32(2) * row[x]
            left, right, zero = value - row[x - 1], value - row[x + 1], np.float32(0)
            total = max(left - up[x], zero) + max(right - up[x], zero) + max(left - down[x], zero)
            total += max(right - down[x], zero)
            near[y, x] = (total > np.float32(4) * floor[x]) & (not mask[y, x])
        for x in (0, nx - 1):
            near[y, x] = not mask[y, x] and _laplacian(work, y, x) > floor[x]


@njit(nogil=True, cache=True)
def _median(values, size):
    """Return the median of the first values; those after them are overwritten.

    Of an odd number it is the value that as many others are below as above: counted by many comparisons at once, that
    is quicker than to sort so few.
    """
    if size % 2 == 0:
        values[:size].sort()
        return np.float32(0.5) * (values[size // 2 - 1] + values[size // 2])
    end = (size + _LANES - 1) // _LANES * _LANES
    values[size:end] = np.float32(np.inf)
    half = np.int32(size // 2)
    for k in range(size):
        value = values[k]
        below, upto = np.int32(0), np.int32(0)
        for other in values[:end]:
            below += np.int32(other < value)
            upto += np.int32(other <= value)
        if below <= half and upto > half:
            return value
    return values[0]


@njit(nogil=True, cache=True)
def _window_median(image, y, x, radius, values):
    size = 0
    for j in range(max(y - radius, 0), min(y + radius + 1, image.shape[0])):
        for i in range(max(x - radius, 0), min(x + radius + 1, image.shape[1])):
            values[size] = image[j, i]
            size += 1
    return _median(values, size)


@njit(nogil=True, cache=True)
def _noise(work, y, x, values):
    light = _window_median(work.image, y, x, 2, values) - _at(work.background, y, x)
    return np.sqrt(_at(work.variance, y, x) + max(light, np.float32(0)) / work.gain)


@njit(nogil=True, cache=True)
def _exceeds(work, y, x, limit, values):
    """Return whether the Laplacian of a pixel, in units of its noise, exceeds a limit above 0.

    The noise is that of a median over 25 pixels; to compare these with one value is quicker than to find it.
    """
    ny, nx = work.image.shape
    laplacian = _laplacian(work, y, x)
    most = (laplacian / (2 * limit)) ** 2 - _at(work.variance, y, x)
    if most <= 0:
        return False
    if y < 2 or x < 2 or y >= ny - 2 or x >= nx - 2:
        return laplacian > 2 * limit * _noise(work, y, x, values)
    light, above = np.float32(most * work.gain + _at(work.background, y, x)), 0
    for j in range(y - 2, y + 3):
        for value in work.image[j, x - 2 : x + 3]:
            above += value >= light
    return above <= 12


@njit(nogil=True, cache=True)
def _stands_out(work, y, x, significance, limit, values):
    """Return whether a significance less its median over 5 x 5 pixels, extended objects taken out, exceeds a limit.

    It does if more than half of the pixels are less significant by that much.
    """
    least = significance - limit
    if least <= 0:
        return False
    first_j, last_j = max(y - 2, 0), min(y + 3, work.image.shape[0])
    first_i, last_i = max(x - 2, 0), min(x + 3, work.image.shape[1])
    half = (last_j - first_j) * (last_i - first_i) // 2
    more = less = 0
    for j in range(first_j, last_j):
        for i in range(first_i, last_i):
            if _exceeds(work, j, i, least, values):
                more += 1
            else:
                less += 1
            if more > half or less > half:
                return less > half
    return False


@njit(nogil=True, cache=True)
def _fine_structure(work, y, x, window, values):
    """Return how a pixel's surroundings of 3 x 3 stand out from those of 7 x 7, adu."""
    size = 0
    for j in range(max(y - 3, 0), min(y + 4, work.image.shape[0])):
        for i in range(max(x - 3, 0), min(x + 4, work.image.shape[1])):
            if not work.smoothed[j, i]:
                work.smooth[j, i] = _window_median(work.image, j, i, 1, values)
                work.smoothed[j, i] = True
            window[size] = work.smooth[j, i]
            size += 1
    return work.smooth[y, x] - _median(window, size)


@njit(nogil=True, cache=True)
def _grow(work, seeds, limit, values, flags):
    """Flag neighbours of the seeds that exceed the limit; return the seeds and what was added."""
    ny, nx = work.image.shape
    found = np.empty(9 * seeds.size, np.int64)
    size = seeds.size
    found[:size] = seeds
    for position in seeds:
        for j in range(max(position // nx - 1, 0), min(position // nx + 2, ny)):
            for i in range(max(position % nx - 1, 0), min(position % nx + 2, nx)):
                if flags[j, i] or work.mask[j, i] or not _exceeds(work, j, i, limit, values):
                    continue
                significance = _laplacian(work, j, i) / (2 * _noise(work, j, i, values))
                if _stands_out(work, j, i, significance, limit, values):
                    flags[j, i] = True
                    found[size] = j * nx + i
                    size += 1
    return found[:size]


@njit(nogil=True, cache=True)
def _flag(work, candidates, limit, object_limit, neighbour_fraction, flags):
    """Flag cosmic rays among the candidates, and their neighbours; return the positions flagged in this round."""
    nx = work.image.shape[1]
    window, values = np.empty(7 * _LANES, np.float32), np.empty(4 * _LANES, np.float32)
    seeds, size = np.empty(candidates.size, np.int64), 0
    for position in candidates:
        y, x = position // nx, position % nx
        if work.mask[y, x] or flags[y, x] or not _exceeds(work, y, x, limit, values):
            continue
        noise = _noise(work, y, x, values)
        significance = _laplacian(work, y, x) / (2 * noise)
        if not _stands_out(work, y, x, significance, limit, values):
            continue
        structure = max(_fine_structure(work, y, x, window, values) / noise, _FAINTEST_STRUCTURE)
        if _stands_out(work, y, x, significance, object_limit * structure, values):
            flags[y, x] = True
            seeds[size] = position
            size += 1
    found = _grow(work, seeds[:size], limit, values, flags)
    return _grow(work, found, neighbour_fraction * limit, values, flags)


@njit(nogil=True, cache=True)
def _clean(work, found, flags):
    """Put the median of the good pixels around in place of each found pixel, and forget what was computed near it."""
    ny, nx = work.image.shape
    values = np.empty(4 * _LANES, np.float32)
    for position in found:
        y, x = position // nx, position % nx
        size = 0
        for j in range(max(y - 2, 0), min(y + 3, ny)):
            for i in range(max(x - 2, 0), min(x + 3, nx)):
                if not (flags[j, i] or work.mask[j, i]):
                    values[size] = work.image[j, i]
                    size += 1
        work.image[y, x] = _median(values, size) if size else _at(work.background, y, x)
        for j in range(max(y - 2, 0), min(y + 3, ny)):
            for i in range(max(x - 2, 0), min(x + 3, nx)):
                work.smoothed[j, i] = False


@njit(nogil=True, cache=True)
def _mark_near(found, near):
    """Mark the pixels whose verdict may change with the found ones."""
    ny, nx = near.shape
    for position in found:
        y, x = position // nx, position % nx
        near[max(y - _REACH, 0) : min(y + _REACH + 1, ny), max(x - _REACH, 0) : min(x + _REACH + 1, nx)] = True
