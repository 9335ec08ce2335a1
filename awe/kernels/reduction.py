"""Removal of the instrument's signature from an exposure, in one pass over its rows."""

import numpy as np
from numba import njit

from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section

_NO_DATA = np.uint8(PixelFlag.NO_DATA)
_NONE = np.zeros((0, 0), np.float32)


def calibrate(
    raw: np.ndarray,
    section: Section,
    level: np.ndarray | float = 0.0,
    bias: np.ndarray | None = None,
    dark: np.ndarray | None = None,
    exptime: float = 0.0,
    flat: np.ndarray | None = None,
    flags: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Remove overscan level, bias and dark from an exposure, and divide it by the flat field.

    Parameters
    ----------
    raw : ndarray, shape (ny, nx), adu
        The frame as read.
    section : Section
        The part that saw light.
    level : ndarray of shape (ny, 1) or (ny, nx), or float; adu
        Overscan level of the frame.
    bias : ndarray, shape of the section, adu, optional
    dark : ndarray, shape of the section, adu/s, optional
    exptime : float, s
        By which the dark is multiplied.
    flat : ndarray, shape of the section, optional
        Not finite or <= 0 = bad pixel.
    flags : ndarray of uint8, shape of the section, optional
        Flags that are known; not changed.

    Returns
    -------
    image : ndarray of float32, shape of the section, adu
        With a flat field, 0 where that or the image has no value.
    flags : ndarray of uint8, shape of the section
        With NO_DATA where, with a flat field, the pixel has no value.

    Raises
    ------
    ValueError
        If a calibration has another shape than the section, or the frame not two axes.
    """
    if np.ndim(raw) != 2:
        raise ValueError(f"the exposure must be of shape (ny, nx), got {np.shape(raw)}")
    part = np.ascontiguousarray(section.cut(raw), np.float32)
    for role, values in (("bias", bias), ("dark", dark), ("flat", flat), ("flag map", flags)):
        if values is not None and values.shape != part.shape:
            raise ValueError(f"its {role} has {values.shape} pixels (y, x), the exposure {part.shape}")
    levels = np.broadcast_to(np.asarray(level, np.float32), (raw.shape[0], 1) if np.size(level) == 1 else level.shape)
    levels = np.ascontiguousarray(section.cut(levels) if levels.shape[1] > 1 else levels[section.y0 : section.y1])
    known = np.zeros(part.shape, np.uint8) if flags is None else np.array(flags, np.uint8)
    image = part.copy() if np.may_share_memory(part, raw) else part
    maps = (_NONE if values is None else np.ascontiguousarray(values, np.float32) for values in (bias, dark, flat))
    _calibrate(image, levels, *maps, np.float32(exptime), known)
    return image, known


@njit(nogil=True, cache=True)
def _calibrate(image, levels, bias, dark, flat, exptime, flags):
    """Calibrate in place: each row stays in the cache from one step to the next."""
    ny, nx = image.shape
    for y in range(ny):
        row = image[y]
        if levels.shape[1] == 1:
            row -= levels[y, 0]
        else:
            row -= levels[y]
        if bias.size:
            row -= bias[y]
        if dark.size:
            row -= dark[y] * exptime
        if flat.size:
            response, flag = flat[y], flags[y]
            for x in range(nx):
                good = (abs(row[x]) < np.inf) & (response[x] > 0) & (response[x] < np.inf)
                row[x] = row[x] / response[x] if good else np.float32(0)
                flag[x] |= np.uint8(0) if good else _NO_DATA
