"""The named bits of a flag map."""

from collections.abc import Mapping
from enum import IntFlag

import numpy as np


class PixelFlag(IntFlag):
    """Say why a pixel is suspect: one bit per cause, so that a flag map fits in uint8."""

    HOT = 1
    COLD = 2
    SATURATED = 4
    COSMIC = 8
    SATELLITE = 16
    NO_DATA = 32
    INTERPOLATED = 64
    EDGE = 128


def flag_map(shape: tuple[int, int], masks: Mapping[PixelFlag, np.ndarray | None]) -> np.ndarray:
    """Join masks into one flag map.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the map.
    masks : dict of PixelFlag to ndarray of bool or None
        One mask (True = flagged) per cause; None is skipped.

    Returns
    -------
    ndarray of uint8, shape (ny, nx)

    Raises
    ------
    ValueError
        If a mask has another shape.
    """
    flags = np.zeros(shape, np.uint8)
    for flag, mask in masks.items():
        if mask is None:
            continue
        if mask.shape != flags.shape:
            raise ValueError(f"mask {flag.name} has shape {mask.shape}, the flag map {flags.shape}")
        flags[mask] |= np.uint8(flag)
    return flags


def flagged(flags: np.ndarray, bits: PixelFlag) -> np.ndarray:
    """Return the mask of pixels that carry any of the given bits.

    Parameters
    ----------
    flags : ndarray of uint8
        Flag map.
    bits : PixelFlag
        Bits to look for, joined by ``|``.

    Returns
    -------
    ndarray of bool, True where any of the bits is set
    """
    return (flags & np.uint8(bits)) != 0


def flag_names(value: int) -> list[str]:
    """Return the names of the bits set in one value, lowest bit first.

    >>> flag_names(12)
    ['SATURATED', 'COSMIC']
    """
    return [str(flag.name) for flag in PixelFlag if int(value) & flag]
