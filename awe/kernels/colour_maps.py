"""Colour maps: tables of 256 colours, from the lowest gray level to the highest."""

from enum import StrEnum
from functools import lru_cache

import numpy as np

# Every ninth colour or so of the tables by S. van der Walt, N. Smith and E. Firing (viridis, magma; CC0) and by
# J. Nunez, C. Anderton and R. Renslow (cividis; 2018, PLoS ONE 13, e0199239; CC BY); what is between is interpolated.
_ANCHORS = {
    "viridis": "440154 470d60 481a6c 482576 472f7d 443983 414487 3d4e8a 39568c 355f8d 31688e 2d718e 2a788e 27808e "
    "23888e 21918c 1f988b 1fa088 22a884 2ab07f 35b779 42be71 54c568 67cc5c 7ad151 8ed645 a5db36 bddf26 d2e21b e7e419 "
    "fde725",
    "magma": "000004 030312 0b0924 150e38 20114b 2c115f 3b0f70 4a1079 57157e 641a80 721f81 802582 8c2981 992d80 a8327d "
    "b73779 c43c75 d0416f de4968 e95462 f1605d f66e5c fa7f5e fc9065 fe9f6d feae77 febf84 fecf92 fddea0 fcecae fcfdbf",
    "cividis": "00224e 00285b 002e6c 0c3470 1e3a6f 2a3f6d 35456c 3f4c6c 47516c 4f576c 575d6d 5f636f 666970 6d6f72 "
    "757575 7d7c78 848279 8c8878 948e77 9d9576 a59c74 ada272 b7a96e c0b16a c8b866 d1bf61 dbc75a e5cf52 eed649 f7de3e "
    "fee838",
}


class ColourMap(StrEnum):
    """How gray levels are coloured."""

    GRAY = "gray"
    VIRIDIS = "viridis"
    MAGMA = "magma"
    CIVIDIS = "cividis"
    HEAT = "heat"
    COOL = "cool"
    RAINBOW = "rainbow"


@lru_cache
def colour_table(kind: ColourMap) -> np.ndarray:
    """Return the colours of a map.

    gray: red = green = blue. heat: black, red, yellow, white, each over a third of the range. cool: black, blue,
    cyan, white in the same way. rainbow: blue over green to red at full saturation, black below. viridis, magma and
    cividis rise evenly in lightness; cividis also looks alike to people who do not see red or green.

    Parameters
    ----------
    kind : which map.

    Returns
    -------
    uint8 array [256, 3], red, green and blue of each level.

    >>> colour_table(ColourMap.HEAT)[[0, 85, 170, 255]].tolist()
    [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]]
    """
    if kind.value in _ANCHORS:
        anchors = np.array([list(bytes.fromhex(colour)) for colour in _ANCHORS[kind.value].split()], np.float64)
        return _interpolated(np.round(np.linspace(0, 255, len(anchors))), anchors)
    black, white, blue, red = (0, 0, 0), (255, 255, 255), (0, 0, 255), (255, 0, 0)
    cyan, green, yellow = (0, 255, 255), (0, 255, 0), (255, 255, 0)
    points = {
        ColourMap.GRAY: (black, white),
        ColourMap.HEAT: (black, red, yellow, white),
        ColourMap.COOL: (black, blue, cyan, white),
        ColourMap.RAINBOW: (black, blue, cyan, green, yellow, red),
    }[kind]
    return _interpolated(np.linspace(0, 255, len(points)), np.array(points, np.float64))


def _interpolated(levels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    table = [np.interp(np.arange(256), levels, colours[:, channel]) for channel in range(3)]
    return np.stack(table, axis=1).round().astype(np.uint8)
