"""What detectors and telescope do to light besides the plain signature: each is 0 unless the plan asks for it."""

from collections.abc import Sequence
from math import sin

import numpy as np
from numpy.typing import NDArray

from awe.simulation.camera import FULL_WELL, Chip, FloatImage
from awe.simulation.plan import NightPlan
from awe.simulation.schedule import Exposure


def fringes(plan: NightPlan, exposure: Exposure, chip: Chip) -> FloatImage | float:
    """Return by what the night sky on a chip is multiplied: wavy bands, whose strength changes with the hour."""
    if not (plan.fringes and exposure.on_sky):
        return 1.0
    return 1 + np.float32(plan.fringes * fringe_strength(exposure)) * fringe_bands(chip.shape)


def fringe_strength(exposure: Exposure) -> float:
    """Return the strength of the fringes of an exposure, in units of that of the plan."""
    return 1 + 0.3 * sin(exposure.number)


def fringe_bands(shape: tuple[int, int]) -> FloatImage:
    """Return bands of mean 0 and rms 1, about 30 pixels apart."""
    y, x = (axis.astype(np.float64) for axis in np.ogrid[: shape[0], : shape[1]])
    bands = np.sin(x / 5 + 2 * np.sin(y / 35)) + 0.7 * np.sin(y / 6 + 2 * np.sin(x / 45))
    return np.asarray((bands - bands.mean()) / bands.std(), np.float32)


def stray_light(plan: NightPlan, u: FloatImage, v: FloatImage) -> FloatImage | float:
    """Return by what flats and sky are multiplied, and stars are not; u, v run from -0.5 to 0.5 over the field."""
    return 1 + np.float32(plan.illumination / 2) * (u + v) if plan.illumination else 1.0


def compressed(plan: NightPlan, signal: FloatImage) -> FloatImage:
    """Return the signal (adu above bias) of a detector that loses some of it, in proportion to its square."""
    return signal * (1 - np.float32(plan.nonlinearity / FULL_WELL) * signal) if plan.nonlinearity else signal


def with_crosstalk(
    plan: NightPlan, chips: Sequence[Chip], images: Sequence[NDArray[np.uint16]]
) -> list[NDArray[np.uint16]]:
    """Return raw frames of which each but the first shows part of the signal of the one before."""
    if not plan.crosstalk:
        return list(images)
    found = [images[0]]
    for chip, before, image, source in zip(chips[1:], chips, images[1:], images, strict=False):
        width = chip.shape[1]
        signal = source[:, :width].astype(np.float32) - np.float32(before.bias_level)
        disturbed = image.astype(np.float32)
        disturbed[:, :width] += np.float32(plan.crosstalk) * signal
        found.append(np.clip(np.rint(disturbed), 0, 65535).astype(np.uint16))
    return found
