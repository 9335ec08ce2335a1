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
def _look_closer(bad, flags, y, x, across, along, taps, significant):
    """Return the joined flags of the pixels with a significant share, and whether one of them is bad."""
    joined, spoiled = np.uint8(0), False
    for j in range(taps):
        for i in range(taps):
            if abs(across[j] * along[i]) >= significant:
                joined |= flags[y + j, x + i]
                spoiled |= bad[y + j, x + i] > 0
    return joined, spoiled


def _sampler(taps):
    """Return the loop over output pixels for kernels of `taps` x `taps` pixels; the compiler unrolls that number."""
    before = taps // 2 - 1

    @njit(nogil=True, cache=True, fastmath=_FAST)
    def interpolate(image, variance, y, x, across, along):
        value, noise = np.float32(0.0), np.float32(0.0)
        for j in range(taps):
            row, spread = np.float32(0.0), np.float32(0.0)
            for i in range(taps):
                row += along[i] * image[y + j, x + i]
                spread += along[i] * along[i] * variance[y + j, x + i]
            value += across[j] * row
            noise += across[j] * across[j] * spread
        return value, noise

    @njit(nogil=True, cache=True)
    def sample_rows(planes, shape, nodes, step, first_row, table, origin, scale, significant, out):
        image, variance, bad, flags, suspect = planes
        out_image, out_weight, out_flags = out
        ny, nx = shape
        node_x, node_y, node_area = nodes
        phases = table.shape[0] - 1
        for v in range(out_image.shape[0]):
            cell_row = min((first_row + v) // step, node_x.shape[0] - 2)
            t = (first_row + v) / step - cell_row
            for cell in range((out_image.shape[1] - 1) // step + 1):
                x = (1 - t) * node_x[cell_row, cell] + t * node_x[cell_row + 1, cell]
                y = (1 - t) * node_y[cell_row, cell] + t * node_y[cell_row + 1, cell]
                area = (1 - t) * node_area[cell_row, cell] + t * node_area[cell_row + 1, cell]
                dx = ((1 - t) * node_x[cell_row, cell + 1] + t * node_x[cell_row + 1, cell + 1] - x) / step
                dy = ((1 - t) * node_y[cell_row, cell + 1] + t * node_y[cell_row + 1, cell + 1] - y) / step
                darea = ((1 - t) * node_area[cell_row, cell + 1] + t * node_area[cell_row + 1, cell + 1] - area) / step
                for u in range(cell * step, min((cell + 1) * step, out_image.shape[1])):
                    at = u - cell * step
                    px, py = x + at * dx, y + at * dy
                    if not (-0.5 <= px <= nx - 0.5 and -0.5 <= py <= ny - 0.5):
                        out_image[v, u], out_weight[v, u], out_flags[v, u] = 0.0, 0.0, OUTSIDE
                        continue
                    px, py = px - origin, py - origin
                    ix, iy = int(np.floor(px)), int(np.floor(py))
                    along = table[int((px - ix) * phases + 0.5)]
                    across = table[int((py - iy) * phases + 0.5)]
                    ix, iy = ix - before + PAD, iy - before + PAD
                    value, noise = interpolate(image, variance, iy, ix, across, along)
                    factor = np.float32((area + at * darea) * scale)
                    joined, spoiled = np.uint8(0), False
                    if suspect[iy, ix]:
                        joined, spoiled = _look_closer(bad, flags, iy, ix, across, along, taps, significant)
                    out_image[v, u] = value * factor
                    out_weight[v, u] = np.float32(0.0) if spoiled else np.float32(1.0) / (noise * factor * factor)
                    out_flags[v, u] = joined

    return sample_rows


SAMPLERS = {taps: _sampler(taps) for taps in (2, 4, 6, 8)}
"""`sample_rows` for kernels of 2, 4, 6 and 8 rows; compiled at first use."""
