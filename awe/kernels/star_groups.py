"""Detections of the same star in many exposures, brought together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awe.kernels.matching import match_positions

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StarGroups:
    """Which star each detection is; stars from a reference list come first, in its order."""

    star: Indices
    """Number of the star of each detection."""
    count: int
    """Number of stars."""


def group_stars(
    x: Array, y: Array, exposure: Indices, reference_x: Array, reference_y: Array, radius: float
) -> StarGroups:
    """Say which detections are of the same star.

    Exposure by exposure the detections are paired with the nearest stars known so far, mutually and within the
    radius; those left over are new stars, at their own places. So a star has at most one detection in an exposure.

    Parameters
    ----------
    x, y : arrays of n
        Positions on a common plane; NaN matches nothing and is a star of its own.
    exposure : array of n
        Number of the exposure of each detection.
    reference_x, reference_y : arrays of m
        Stars that are known beforehand.
    radius : float, same unit
    """
    known_x, known_y = [reference_x], [reference_y]
    star, count = np.full(len(x), -1, np.int64), len(reference_x)
    for number in np.unique(exposure):
        rows = np.flatnonzero(exposure == number)
        own, other = match_positions(x[rows], y[rows], np.concatenate(known_x), np.concatenate(known_y), radius)
        star[rows[own]] = other
        new = rows[star[rows] < 0]
        star[new] = count + np.arange(len(new))
        count += len(new)
        known_x.append(x[new])
        known_y.append(y[new])
    return StarGroups(star, count)
