"""The pixel loops of resampling: kernels laid over an image, with variances, bad pixels and flags."""

import numpy as np
from numba import njit

PAD = 5
"""Margin of the padded planes: what the widest kernel can reach beyond an image."""

OUTSIDE = 32
"""Flag of an output pixel whose centre is not on the image: `PixelFlag.NO_DATA`, as the number the compiler needs."""

_LARGEST_RADIUS = 4
# no nnan, ninf: positions off the sky are NaN
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True)
def fill_bad_pixels(image, variance, bad):
    """Replace bad pixels by the mean of the nearest good ones, and weights by variances, in place.

    Parameters
    ----------
    image : float32 array [y, x]
        NaN is allowed in bad pixels.
    variance : float32 array [y, x]
        Weights (inverse variance) on entry, variances on exit.
    bad : uint8 array [y, x]
        1 = bad. The good pixels in the smallest square around a bad pixel (up to 9 x 9) that has any make its value
        and variance; 0 if there are none.
    """
    ny, nx = image.shape
    for y in range(ny):
        for x in range(nx):
            if bad[y, x]:
                image[y, x] = 0.0
                variance[y, x] = 0.0
            else:
                variance[y, x] = np.float32(1.0) / variance[y, x]
    for y in range(ny):
        for x in range(nx):
            if bad[y, x]:
                _fill(image, variance, bad, y, x)


@njit(nogil=True, cache=True)
def _fill(image, variance, bad, y, x):
    ny, nx = image.shape
    for radius in range(1, _LARGEST_RADIUS + 1):
        total, noise, count = 0.0, 0.0, 0
        for j in range(max(0, y - radius), min(ny, y + radius + 1)):
            for i in range(max(0, x - radius), min(nx, x + radius + 1)):
                if bad[j, i] == 0:
                    total += image[j, i]
                    noise += variance[j, i]
                    count += 1
        if count:
            image[y, x] = total / count
            variance[y, x] = noise / count
            return


@njit(nogil=True, cache=True)
def _look_closer(bad, flags, y, x, across, along, significant):
    """Return the joined flags of the pixels with a significant share, and whether one of them is bad."""
    joined, spoiled = np.uint8(0), False
    for j in range(across.size):
        for i in range(along.size):
            if abs(across[j] * along[i]) >= significant:
                joined |= flags[y + j, x + i]
                spoiled |= bad[y + j, x + i] > 0
    return joined, spoiled


@njit(nogil=True, cache=True)
def _line(nodes, row, cell, t, step):
    """Return the value at the left of a cell of the mesh and its slope along x, a fraction t above the lower nodes."""
    left = (1 - t) * nodes[row, cell] + t * nodes[row + 1, cell]
    right = (1 - t) * nodes[row, cell + 1] + t * nodes[row + 1, cell + 1]
    return left, (right - left) / step


@njit(nogil=True, cache=True, fastmath=_FAST)
def _interpolate(image, variance, y, x, across, along, window):
    value, noise = np.float32(0.0), np.float32(0.0)
    if y < 0 or x < 0:  # never so; tells the compiler that no index counts from the end: a tenth faster
        return value, noise
    for j in range(len(window)):
        row, spread = np.float32(0.0), np.float32(0.0)
        for i in range(len(window)):
            row += along[i] * image[y + j, x + i]
            spread += along[i] * along[i] * variance[y + j, x + i]
        value += across[j] * row
        noise += across[j] * across[j] * spread
    return value, noise


@njit(nogil=True, cache=True)
def sample_rows(planes, shape, nodes, step, first_row, table, window, origin, scale, significant, out):
    """Interpolate an image at the pixels of some rows of the output grid.

    Parameters
    ----------
    planes : tuple of image, variance (float32), bad, flags, suspect (uint8), each [y, x] with a margin of PAD
        `suspect`: not 0 if any pixel of the kernel's window that begins there is bad or flagged.
    shape : tuple of int
        (ny, nx) of the image without margin.
    nodes : tuple of x, y, area
        Of a `PixelMesh`.
    step, first_row : int
        Of the mesh; first output row, counted from its first node.
    table : float32 array [phase, tap]
    window : tuple of as many zeros as the kernel has taps
        So that the compiler knows the number and unrolls the loops.
    origin, scale, significant : float
        Where phases begin; factor on all values; least share of the kernel that counts.
    out : tuple of image, weight (float32), flags (uint8), each [row, x]
        Filled.
    """
    image, variance, bad, flags, suspect = planes
    out_image, out_weight, out_flags = out
    before, phases = len(window) // 2 - 1, table.shape[0] - 1
    for v in range(out_image.shape[0]):
        row = (first_row + v) // step
        t = (first_row + v) / step - row
        for u0 in range(0, out_image.shape[1], step):
            x, dx = _line(nodes[0], row, u0 // step, t, step)
            y, dy = _line(nodes[1], row, u0 // step, t, step)
            area, area_slope = _line(nodes[2], row, u0 // step, t, step)
            for u in range(u0, min(u0 + step, out_image.shape[1])):
                px, py = x + (u - u0) * dx, y + (u - u0) * dy
                if not (-0.5 <= px <= shape[1] - 0.5 and -0.5 <= py <= shape[0] - 0.5):
                    out_image[v, u], out_weight[v, u], out_flags[v, u] = 0.0, 0.0, OUTSIDE
                    continue
                ix, iy = int(np.floor(px - origin)), int(np.floor(py - origin))
                along = table[int((px - origin - ix) * phases + 0.5)]
                across = table[int((py - origin - iy) * phases + 0.5)]
                ix, iy = ix - before + PAD, iy - before + PAD
                value, noise = _interpolate(image, variance, iy, ix, across, along, window)
                factor = np.float32((area + (u - u0) * area_slope) * scale)
                joined, spoiled = np.uint8(0), False
                if suspect[iy, ix]:
                    joined, spoiled = _look_closer(bad, flags, iy, ix, across, along, significant)
                out_image[v, u] = value * factor
                out_weight[v, u] = np.float32(0.0) if spoiled else np.float32(1.0) / (noise * factor * factor)
                out_flags[v, u] = joined
