"""A number between 0 (extended) and 1 (point-like), from how concentrated sources are beside the stars of the image."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

SHARPER, WIDER = 0.5, 1.5
"""How much more, and less, concentrated than a star (mag) other sources are expected to be."""
CORE, WHOLE = 0.5, 1.5
"""Radii of the two circles, in units of the seeing."""


def stellarity(
    core: NDArray[Any], core_error: NDArray[Any], whole: NDArray[Any], whole_error: NDArray[Any], is_star: NDArray[Any]
) -> NDArray[np.float64]:
    """Return for each source a number from 0 (no star) to 1 (star); 0.5 where the noise leaves it open.

    The concentration c = -2.5 log10(flux within 0.5 seeing / flux within 1.5 seeing; radii) is compared with its
    median for the stars of the same image. With d the difference and s its error (noise, plus the scatter of the
    stars), a star has the density N(d; 0, s); any other source one that is flat from -0.5 mag (sharper: a cosmic ray)
    to 1.5 mag (wider: a galaxy), blurred by s. The number is star / (star + other).

    Parameters
    ----------
    core, core_error, whole, whole_error : arrays of n, adu
        Fluxes in the two circles, and their errors.
    is_star : array of n bool
        The stars by which the image is judged; at least one.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = core / whole
        concentration = -2.5 * np.log10(ratio)
        # the ring is independent of the core: var(core / whole) = [(1 - r)^2 var(core) + r^2 var(ring)] / whole^2
        ring = np.maximum(whole_error**2 - core_error**2, 0)
        noise = np.sqrt((1 - ratio) ** 2 * core_error**2 + ratio**2 * ring) / (ratio * whole) * 1.0857
        typical = np.nanmedian(concentration[is_star])
        scatter = 1.4826 * np.nanmedian(np.abs(concentration[is_star] - typical))
        return _star_probability(concentration - typical, np.hypot(noise, max(scatter, 0.005)))


def _star_probability(difference: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(difference) & np.isfinite(error)
    d, s = np.where(known, difference, 0.0), np.where(known, error, 1.0)
    star = np.exp(-0.5 * (d / s) ** 2) / (s * math.sqrt(2 * math.pi))
    other = (ndtr((d + SHARPER) / s) - ndtr((d - WIDER) / s)) / (SHARPER + WIDER)
    # beyond the range of both, nothing is left of either: no star
    return np.where(known, star / np.maximum(star + other, 1e-30), 0.5)
