"""Planes that touch the sky at different points, and the way from one to another."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the direction (deg) in the middle of some others, at the pole and at RA 0 too."""
    ra, dec = np.radians(np.array(points)).T
    x, y, z = (np.cos(dec) * np.cos(ra)).sum(), (np.cos(dec) * np.sin(ra)).sum(), np.sin(dec).sum()
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def _axes(pole: Sequence[float]) -> Array:
    """Return the unit vectors towards a point of the sky, and there to the east and to the north, as rows."""
    ra, dec = math.radians(pole[0]), math.radians(pole[1])
    (sa, ca), (sd, cd) = (math.sin(ra), math.cos(ra)), (math.sin(dec), math.cos(dec))
    return np.array([[cd * ca, cd * sa, sd], [-sa, ca, 0.0], [-sd * ca, -sd * sa, cd]])


def onto(pole: Sequence[float], centre: Sequence[float], plane: Array) -> tuple[Array, Array]:
    """Return the points (n, 2; deg) of one tangent plane on another, and the derivatives (n, 2, 2)."""
    turn = _axes(centre) @ _axes(pole).T
    p = turn @ np.vstack([np.ones(plane.shape[1]), np.radians(plane)])
    place = p[1:] / p[0]
    change = (turn[1:, 1:, None] - place[:, None, :] * turn[0, 1:][None, :, None]) / p[0]
    return np.degrees(place.T), np.moveaxis(change, 2, 0)
