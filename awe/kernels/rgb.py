"""Colour pictures of three images: Lupton et al. 2004 (PASP 116, 133), or a curve for each band."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from awe.kernels.stretch import Stretch, apply_stretch

Bands = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Three = tuple[float, float, float]
Picture = NDArray[np.uint8]

SLOPE = 0.1
"""An intensity of this share of the stretch gets this share of white, whatever Q: as in Lupton's own programs."""

_STEPS, _PER_UNIT = 65536, 64.0
_BAND_ROWS = 256


def lupton_rgb(
    bands: Bands, black: Three, scale: Three, stretch: float, q: float, threads: int | None = None
) -> Picture:
    """Return a colour picture whose colours do not depend on brightness.

    With v = (value - black) * scale of each band and I the mean of the three, a band's level is v * f(I) / I, where
    f(I) = asinh(Q I / stretch) * 0.1 / asinh(0.1 Q); levels below 0 are 0, and where one is above 1 all three are
    divided by the largest, so that bright pixels keep their colour. So does `astropy.visualization.make_lupton_rgb`.

    Parameters
    ----------
    bands : three float32 arrays [y, x] of one shape: red, green, blue
        NaN and infinite pixels count as black in their band.
    black : values shown as black, in the unit of each band
    scale : factors that bring the bands to a common unit
    stretch : float > 0, common unit
        Intensity below which the picture is nearly linear.
    q : float >= 0
        How soon brighter intensities are compressed; 0 is linear.
    threads : int, optional
        By default one for each core.

    Returns
    -------
    uint8 array [y, x, 3], from the top of the picture (largest y) down.

    Raises
    ------
    ValueError : shapes that differ, a stretch or scale that is not positive, values that are not finite.
    """
    images = _checked(bands, black, scale)
    if not (np.isfinite(stretch) and stretch > 0 and np.isfinite(q) and q >= 0):
        raise ValueError(f"stretch must be above 0 and Q not below it, not {stretch} and {q}")
    q = max(q, 1e-6)
    soften, slope = q / stretch, SLOPE / np.arcsinh(SLOPE * q)
    table = _ratios()
    levels = np.array([black, scale], dtype=np.float64).astype(np.float32)
    out = np.empty((*images[0].shape, 3), dtype=np.uint8)

    def draw(y0: int, y1: int) -> None:
        _lupton_rows(*images, levels, np.float32(soften), np.float32(slope * soften * 255.0), table, y0, y1, out)

    _in_bands(draw, len(out), threads)
    return out


def plain_rgb(
    bands: Bands, black: Three, white: Three, curve: Stretch = Stretch.LINEAR, threads: int | None = None
) -> Picture:
    """Return a colour picture of which each band is drawn by itself, as `apply_stretch` does.

    Parameters
    ----------
    bands : three float32 arrays [y, x] of one shape: red, green, blue
        NaN pixels count as black in their band.
    black, white : values shown as darkest and brightest, in the unit of each band
    curve : Stretch
    threads : int, optional
        By default one for each core.

    Returns
    -------
    uint8 array [y, x, 3], from the top of the picture (largest y) down.

    Raises
    ------
    ValueError : shapes that differ, black and white that are not finite or not in rising order.
    """
    images = _checked(bands, black, white)
    ny = len(images[0])
    out = np.empty((*images[0].shape, 3), dtype=np.uint8)

    def draw(y0: int, y1: int) -> None:
        for i, image in enumerate(images):
            out[ny - y1 : ny - y0, :, i] = apply_stretch(image[y0:y1], black[i], white[i], curve)[::-1]

    draw(0, min(1, ny))  # what is wrong with the levels is told by this thread
    _in_bands(draw, ny, threads)
    return out


def _checked(bands: Bands, *levels: Three) -> Bands:
    shapes = {image.shape for image in bands}
    if len(bands) != 3 or len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"three images [y, x] of one shape are needed, not {[image.shape for image in bands]}")
    for three in levels:
        if len(three) != 3 or not all(np.isfinite(value) for value in three):
            raise ValueError(f"three finite numbers are needed, not {three}")
    red, green, blue = (np.ascontiguousarray(image, dtype=np.float32) for image in bands)
    return red, green, blue


def _in_bands(draw: Callable[[int, int], None], ny: int, threads: int | None) -> None:
    """Draw bands of rows on several threads."""
    threads = threads or os.cpu_count() or 1
    edges = [(y, min(y + _BAND_ROWS, ny)) for y in range(0, ny, _BAND_ROWS)]
    if threads == 1 or len(edges) < 2:
        for y0, y1 in edges:
            draw(y0, y1)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(draw, *edge) for edge in edges]:
            done.result()


@lru_cache
def _ratios() -> NDArray[np.float32]:
    """Return asinh(u) / u at u = 0, 1/64, 2/64, ...: interpolated, it is right to 1e-5."""
    u = np.arange(_STEPS + 1) / _PER_UNIT
    u[0] = 1.0
    ratio = np.arcsinh(u) / u
    ratio[0] = 1.0
    return ratio.astype(np.float32)


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"})
def _lupton_rows(red, green, blue, levels, soften, factor, table, y0, y1, out):
    # several short loops over a row, each simple enough to be done on several pixels at once
    ny, nx = red.shape
    scaled = np.empty((3, nx), dtype=np.float32)
    ratio = np.empty(nx, dtype=np.float32)
    for y in range(y0, y1):
        _scale_row(red[y], levels[0, 0], levels[1, 0], scaled[0])
        _scale_row(green[y], levels[0, 1], levels[1, 1], scaled[1])
        _scale_row(blue[y], levels[0, 2], levels[1, 2], scaled[2])
        third = soften * np.float32(1 / 3)
        for x in range(nx):
            ratio[x] = (scaled[0, x] + scaled[1, x] + scaled[2, x]) * third
        _compress_row(ratio, factor, table)
        _write_row(scaled, ratio, out[ny - 1 - y])


@njit(nogil=True, cache=True)
def _scale_row(values, black, scale, scaled):
    for x in range(values.size):
        value = (values[x] - black) * scale
        scaled[x] = value if abs(value) < np.float32(np.inf) else np.float32(0)  # false for NaN


@njit(nogil=True, cache=True)
def _compress_row(ratio, factor, table):
    last = np.float32(table.size - 1)
    for x in range(ratio.size):
        step = ratio[x] * np.float32(_PER_UNIT)
        if step < last:
            step = max(step, np.float32(0))
            i = int(step)
            low = table[i]
            ratio[x] = (low + (table[i + 1] - low) * (step - np.float32(i))) * factor if step > 0 else np.float32(0)
        else:
            ratio[x] = np.float32(np.arcsinh(ratio[x]) / ratio[x]) * factor


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"})
def _write_row(scaled, ratio, out):
    top, half, zero = np.float32(255), np.float32(0.5), np.float32(0)
    for x in range(ratio.size):
        r, g, b = (
            max(scaled[0, x], zero) * ratio[x],
            max(scaled[1, x], zero) * ratio[x],
            max(scaled[2, x], zero) * ratio[x],
        )
        share = top / max(top, r, g, b)
        out[x, 0] = np.uint8(r * share + half)
        out[x, 1] = np.uint8(g * share + half)
        out[x, 2] = np.uint8(b * share + half)
