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


def pairs_of(star: Indices) -> tuple[Indices, Indices]:
    """Return the rows (i, j) of all pairs of detections of the same star, i before j.

    Parameters
    ----------
    star : array of n
        Number of the star of each detection; negative = none.

    Examples
    --------
    >>> pairs_of(np.array([7, 3, 7, 7]))
    (array([0, 2, 0]), array([2, 3, 3]))
    """
    order = np.argsort(star, kind="stable")
    order = order[star[order] >= 0]
    sorted_star = star[order]
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, len(order)):
        same = np.flatnonzero(sorted_star[step:] == sorted_star[:-step])
        if not same.size:
            break
        first.append(order[same])
        second.append(order[same + step])
    return np.concatenate(first), np.concatenate(second)
