"""Flag maps as pictures: binned without losing a pixel, and coloured by what is wrong."""

import numpy as np

from awe.kernels.flags import PixelFlag

COLOURS: dict[PixelFlag, tuple[int, int, int]] = {
    PixelFlag.SATURATED: (255, 255, 255),
    PixelFlag.COSMIC: (255, 176, 0),
    PixelFlag.SATELLITE: (255, 105, 180),
    PixelFlag.HOT: (230, 75, 60),
    PixelFlag.COLD: (80, 150, 255),
    PixelFlag.INTERPOLATED: (90, 200, 120),
    PixelFlag.EDGE: (120, 110, 160),
    PixelFlag.NO_DATA: (70, 74, 82),
}
"""Colour (red, green, blue) of each bit; where a pixel has several, that of the first here."""

GROUND = (12, 13, 16)
"""Colour of pixels without a flag."""


def bin_flags(flags: np.ndarray, factor: int) -> np.ndarray:
    """Return a smaller flag map: each block of pixels carries all the bits of its pixels.

    Parameters
    ----------
    flags : uint8 array [y, x].
    factor : side of a block, pixel; the last row and column of blocks may be ragged.

    Returns
    -------
    uint8 array [ceil(ny / factor), ceil(nx / factor)].

    Raises
    ------
    ValueError : factor below 1, or a map that is not two-dimensional.

    >>> bin_flags(np.array([[1, 0, 0], [4, 0, 2]], dtype=np.uint8), 2)
    array([[5, 2]], dtype=uint8)
    """
    if flags.ndim != 2:
        raise ValueError(f"a flag map has two dimensions, this array has {flags.ndim}")
    if factor < 1:
        raise ValueError(f"a binning factor is 1 or more, not {factor}")
    if factor == 1:
        return flags
    rows = np.bitwise_or.reduceat(flags, np.arange(0, flags.shape[0], factor), axis=0)
    return np.bitwise_or.reduceat(rows, np.arange(0, flags.shape[1], factor), axis=1)


def colour_flags(flags: np.ndarray) -> np.ndarray:
    """Return a flag map (uint8 [y, x]) as a picture: uint8 [y, x, 3], red, green and blue."""
    table = np.empty((256, 3), dtype=np.uint8)
    table[:] = GROUND
    bits = np.arange(256)
    for flag, colour in reversed(COLOURS.items()):
        table[(bits & flag) != 0] = colour
    return table[flags]
