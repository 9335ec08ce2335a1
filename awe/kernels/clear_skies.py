"""Which exposures of a field were photometric, told by what light each of them lost."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Indices = NDArray[np.int64]

LEAST_FOR_EXTINCTION = 0.15
"""Range of airmass that the photometric exposures of a night must span for its extinction to be told."""
LEAST_TO_AGREE = 3
"""Exposures of a night from which on their agreement tells something of its extinction."""


@dataclass(frozen=True, eq=False)
class PhotometricModel:
    """What the frames have in common: a zeropoint of each chip at airmass 0, extinction, and what clouds took."""

    exposure: Indices
    """Exposure of each frame, from 0."""
    chip: Indices
    """Chip of each frame, from 0."""
    airmass: Array
    """Of each exposure; NaN = the mean of the others."""
    night: Indices
    """Night of each exposure, from 0: each has its own extinction."""
    extinction: float
    """mag for one airmass, where the exposures of a night can't tell it."""
    extinction_error: float
    """Its standard deviation; it is solved for within that if the airmasses differ enough."""


def clear_exposures(absorbed: Array, error: Array, told: Bool, tolerance: float) -> Bool:
    """Return which exposures lost no more light than the clearest ones, of which at least two must agree."""
    if not told.any():
        return told
    order = np.flatnonzero(told)[np.argsort(absorbed[told])]
    reach = np.maximum(tolerance, 3 * error)
    # the clearest exposure with which another one agrees; one alone may be brighter by an error
    best = order[0]
    for one, other in pairwise(order):
        if absorbed[other] - absorbed[one] <= max(reach[one], reach[other]):
            best = one
            break
    return np.asarray(told & (np.abs(absorbed - absorbed[best]) <= np.maximum(reach, reach[best])))


def lost_to_extinction(
    absorbed: Array, error: Array, told: Bool, mass: Array, model: PhotometricModel, tolerance: float
) -> Array:
    """Return what each exposure lost because its night's extinction is not the one given.

    It is the one with which most exposures of the night agree, less a quarter of the square of its distance from
    that given in standard deviations: else those at a large airmass would be taken for cloudy, or the other way
    round.
    """
    found = np.zeros(len(mass))
    steps = np.linspace(-4, 4, 161)
    for night in range(int(model.night.max()) + 1):
        own = np.flatnonzero(told & (model.night == night))
        if len(own) < LEAST_TO_AGREE or np.ptp(mass[own]) < LEAST_FOR_EXTINCTION:
            continue
        left = absorbed[own] - model.extinction_error * steps[:, None] * mass[own]
        reach = np.maximum(tolerance, 3 * error[own])
        agree = np.abs(left[:, :, None] - left[:, None, :]) <= reach
        score = agree.sum(axis=2).max(axis=1) - steps**2 / 4
        best = agree[np.argmax(score)]
        together = own[best[np.argmax(best.sum(axis=1))]]
        # the slope of those that agree, held by what is known beforehand
        weight = 1 / np.maximum(error[together], tolerance / 3) ** 2
        from_mean = mass[together] - np.average(mass[together], weights=weight)
        slope = (weight * from_mean) @ absorbed[together]
        slope /= (weight * from_mean) @ from_mean + 1 / max(model.extinction_error, 1e-6) ** 2
        found[own] = slope * mass[own]
    return found
