"""Sums and radii of the light of one source, on its stamp (`awe.kernels.stamps`)."""

import math

import numpy as np
from numba import njit

from awe.kernels.stamps import MISSING, OUTSIDE, REPLACED

SUBPIXELS = 7
RINGS = 8
"""Rings per pixel in which the growth of a source is summed."""
ROUGH = 1.5
"""How far (pixel) the radius of some light may be from what whole pixels tell."""
HALF_DIAGONAL = 0.71
PETROSIAN_RINGS = 4
"""Rings per unit of A_IMAGE."""


@njit(cache=True, nogil=True)
def conic(a, b, theta):
    """Return the coefficients of the ellipse cxx dx^2 + cyy dy^2 + cxy dx dy = 1."""
    cosine, sine = math.cos(theta), math.sin(theta)
    cxx, cyy = (cosine / a) ** 2 + (sine / b) ** 2, (sine / a) ** 2 + (cosine / b) ** 2
    return cxx, cyy, 2 * cosine * sine * (1 / a**2 - 1 / b**2)


@njit(cache=True, nogil=True)
def _share(dx, dy, cxx, cyy, cxy):
    """Return the fraction of the pixel at (dx, dy) that lies in the ellipse."""
    inside = 0
    for m in range(SUBPIXELS):
        sy = dy + (m + 0.5) / SUBPIXELS - 0.5
        for n in range(SUBPIXELS):
            sx = dx + (n + 0.5) / SUBPIXELS - 0.5
            inside += cxx * sx * sx + cyy * sy * sy + cxy * sx * sy <= 1
    return inside / SUBPIXELS**2


@njit(cache=True, nogil=True)
def _box(shape, x, y, half_x, half_y):
    """Return the first and last rows and columns of a stamp that a figure of this extent touches."""
    ny, nx = shape
    first_j, last_j = max(0, math.floor(y - half_y)), min(ny - 1, math.ceil(y + half_y))
    return first_j, last_j, max(0, math.floor(x - half_x)), min(nx - 1, math.ceil(x + half_x))


@njit(cache=True, nogil=True)
def ellipse_sum(values, spreads, states, x, y, a, b, theta):
    """Return flux, variance, area, replaced area, and area off the image, of an ellipse.

    (x, y) is the centre on the stamp; a and b are semi-axes (pixel), theta (radian) is from x towards y.
    """
    cxx, cyy, cxy = conic(a, b, theta)
    determinant = cxx * cyy - cxy**2 / 4
    half_x, half_y = math.sqrt(cyy / determinant), math.sqrt(cxx / determinant)
    margin = 0.5001 * math.sqrt(cxx + cyy + abs(cxy))  # of the corner of a pixel that is farthest from its middle
    inner, outer = max(1 - margin, 0.0) ** 2, (1 + margin) ** 2
    flux = variance = area = replaced = outside = 0.0
    first_j, last_j, first_i, last_i = _box(values.shape, x, y, half_x, half_y)
    for j in range(first_j, last_j + 1):
        dy = j - y
        # columns from `left` to before `right` are wholly inside
        left, right = _chord(x, dy, cxx, cyy, cxy, inner)
        left = min(max(left, first_i), last_i + 1)
        right = min(max(right, left), last_i + 1)
        if right > left:
            light, noise, other, off = _row_sum(values[j, left:right], spreads[j, left:right], states[j, left:right])
            flux += light
            variance += noise
            area += right - left
            replaced += other
            outside += off
        for n in range(first_i, last_i + 1 - (right - left)):
            i = n if n < left else n + right - left
            dx = i - x
            if cxx * dx * dx + cyy * dy * dy + cxy * dx * dy > outer:
                continue
            share = _share(dx, dy, cxx, cyy, cxy)
            flux += share * values[j, i]
            variance += share * spreads[j, i]
            area += share
            replaced += share * ((states[j, i] == REPLACED) | (states[j, i] == MISSING))
            outside += share * (states[j, i] == OUTSIDE)
    return flux, variance, area, replaced, outside


@njit(cache=True, nogil=True)
def _chord(x, dy, cxx, cyy, cxy, square):
    """Return the first pixel of a row within the ellipse of this square of the radius, and that after the last."""
    middle = -cxy * dy / (2 * cxx)
    half = middle * middle - (cyy * dy * dy - square) / cxx
    if not half > 0:
        return 0, 0
    # a little less: those on the edge are looked at more closely
    half = max(math.sqrt(half) - 1e-9, 0.0)
    return math.ceil(x + middle - half), math.floor(x + middle + half) + 1


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _row_sum(values, spreads, states):
    """Return flux and variance of pixels, and how many of them were replaced or are missing, or lie off the image."""
    flux = variance = 0.0
    replaced = outside = 0
    for i in range(values.size):
        flux += values[i]
        variance += spreads[i]
    for i in range(states.size):
        replaced += (states[i] == REPLACED) | (states[i] == MISSING)
        outside += states[i] == OUTSIDE
    return flux, variance, replaced, outside


@njit(cache=True, nogil=True)
def ellipse_flags(bits, x, y, a, b, theta):
    """Return all flags of the pixels that an ellipse touches; see `ellipse_sum`."""
    cxx, cyy, cxy = conic(a, b, theta)
    determinant = cxx * cyy - cxy**2 / 4
    half_x, half_y = math.sqrt(cyy / determinant), math.sqrt(cxx / determinant)
    seen = np.uint8(0)
    first_j, last_j, first_i, last_i = _box(bits.shape, x, y, half_x, half_y)
    for j in range(first_j, last_j + 1):
        for i in range(first_i, last_i + 1):
            if bits[j, i] & ~seen and _share(i - x, j - y, cxx, cyy, cxy) > 0:
                seen |= bits[j, i]
    return seen


@njit(cache=True, nogil=True)
def kron_radius(values, x, y, a, b, theta):
    """Return sum(r I) / sum(I) within 6 a x 6 b (Kron 1980, ApJS 43, 305); 0 if the light is not positive.

    a and b are the rms along the axes; r, and what is returned, is in units of them.
    """
    cxx, cyy, cxy = conic(a, b, theta)
    determinant = cxx * cyy - cxy**2 / 4
    half_x, half_y = 6 * math.sqrt(cyy / determinant), 6 * math.sqrt(cxx / determinant)
    total = moment = 0.0
    first_j, last_j, first_i, last_i = _box(values.shape, x, y, half_x, half_y)
    for j in range(first_j, last_j + 1):
        dy = j - y
        for i in range(first_i, last_i + 1):
            dx = i - x
            r = cxx * dx * dx + cyy * dy * dy + cxy * dx * dy
            if r <= 36:
                total += values[j, i]
                moment += math.sqrt(r) * values[j, i]
    return moment / total if total > 0 and moment > 0 else 0.0


@njit(cache=True, nogil=True)
def petrosian_radius(values, x, y, a, b, theta, ratio):
    """Return where the light of a ring falls below `ratio` times the mean light within (Petrosian 1976, ApJ 209, L1).

    Rings are ellipses of the shape of the source; the radius is in units of a, at most 6.
    """
    cxx, cyy, cxy = conic(a, b, theta)
    determinant = cxx * cyy - cxy**2 / 4
    half_x, half_y = 6 * math.sqrt(cyy / determinant), 6 * math.sqrt(cxx / determinant)
    light, area = np.zeros(6 * PETROSIAN_RINGS), np.zeros(6 * PETROSIAN_RINGS)
    first_j, last_j, first_i, last_i = _box(values.shape, x, y, half_x, half_y)
    for j in range(first_j, last_j + 1):
        dy = j - y
        for i in range(first_i, last_i + 1):
            dx = i - x
            ring = int(PETROSIAN_RINGS * math.sqrt(cxx * dx * dx + cyy * dy * dy + cxy * dx * dy))
            if ring < light.size:
                light[ring] += values[j, i]
                area[ring] += 1
    total = covered = 0.0
    before = 1.0
    for ring in range(light.size):
        # a ring, with half of itself counted as within
        mean = (total + light[ring] / 2) / max(covered + area[ring] / 2, 1e-9)
        if area[ring] > 0 and ring > 0 and mean > 0:
            now = light[ring] / area[ring] / mean
            if now < ratio:
                part = (before - ratio) / (before - now) if before > now else 1.0
                return (ring - 0.5 + min(max(part, 0.0), 1.0)) / PETROSIAN_RINGS
            before = now
        total += light[ring]
        covered += area[ring]
    return 6.0


@njit(cache=True, nogil=True)
def light_radius(values, x, y, reach, wanted):
    """Return the radius (pixel) of the circle that holds the light `wanted` (adu); `reach` if none within it does."""
    near = _rough_radius(values, x, y, reach, wanted)
    radius = _crossing(values, x, y, max(near - ROUGH, 0.0), min(near + ROUGH, reach), wanted)
    if radius < 0:  # the light of the inner parts falls off again, or that of whole pixels misled
        radius = _crossing(values, x, y, 0.0, reach, wanted)
    return radius if radius >= 0 else reach


@njit(cache=True, nogil=True)
def _rough_radius(values, x, y, reach, wanted):
    """Return `light_radius` as if all light of a pixel were in its middle."""
    growth = np.zeros(math.ceil(reach) + 2)
    first_j, last_j, first_i, last_i = _box(values.shape, x, y, reach, reach)
    for j in range(first_j, last_j + 1):
        for i in range(first_i, last_i + 1):
            ring = int(math.sqrt((i - x) ** 2 + (j - y) ** 2))
            if ring < growth.size:
                growth[ring] += values[j, i]
    light = 0.0
    for ring in range(growth.size):
        light += growth[ring]
        if light >= wanted:
            return ring + 0.5
    return reach


@njit(cache=True, nogil=True)
def _crossing(values, x, y, low, high, wanted):
    """Return the first radius between `low` and `high` that holds the light `wanted`; -1 if it is not there."""
    growth = np.zeros(math.ceil(high * RINGS) + 1)
    light = 0.0
    inside, reach = max(low - HALF_DIAGONAL, 0.0) ** 2, high + HALF_DIAGONAL
    first_j, last_j, first_i, last_i = _box(values.shape, x, y, reach, reach)
    for j in range(first_j, last_j + 1):
        for i in range(first_i, last_i + 1):
            dx, dy = i - x, j - y
            distance = dx * dx + dy * dy
            if distance > reach * reach:
                continue
            if distance < inside:
                light += values[j, i]
                continue
            # the nearer, the more the square of the pixel matters
            parts = 5 if distance < 16 else 3 if distance < 64 else 1
            value = values[j, i] / (parts * parts)
            for m in range(parts):
                sy = dy + (m + 0.5) / parts - 0.5
                for n in range(parts):
                    sx = dx + (n + 0.5) / parts - 0.5
                    ring = int(math.sqrt(sx * sx + sy * sy) * RINGS)
                    if ring < growth.size:
                        growth[ring] += value
    first = math.ceil(low * RINGS)
    light += growth[:first].sum()
    if first > 0 and light >= wanted:
        return -1.0
    for ring in range(first, growth.size):
        if light + growth[ring] >= wanted:
            # evenly bright within a ring
            part = (wanted - light) / growth[ring] if growth[ring] > 0 else 0.0
            inner, outer = ring / RINGS, (ring + 1) / RINGS
            return math.sqrt(inner**2 + max(part, 0.0) * (outer**2 - inner**2))
        light += growth[ring]
    return -1.0
