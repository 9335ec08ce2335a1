"""Width and shape of a point source, by its picture."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from awe.kernels.psf_equations import enlarge

SIGMAS_PER_FWHM = 2.3548


def width_of(picture: NDArray[Any], sampling: float) -> float:
    """Return the FWHM (pixel) of the circle that has the area above half of the peak.

    Parameters
    ----------
    picture : array (n, n)
        A star in the middle; n is odd.
    sampling : float
        Side of a pixel of the picture, in pixels of the image.
    """
    fine = 4
    side = picture.shape[0]
    coefficients = spline_filter(picture, 3)
    middle = (side - 1) / 2
    reach = int(min(middle - 2, 12 / sampling + 4)) * fine
    out = np.zeros((2 * reach + 1, 2 * reach + 1))
    enlarge(coefficients, fine, out)
    return float(2 * math.sqrt((out > out.max() / 2).sum() / math.pi) * sampling / fine)


def ellipticity_of(picture: NDArray[Any], sampling: float, fwhm: float) -> tuple[float, float]:
    """Return 1 - B/A of the light under a round Gaussian of this FWHM (pixel), and the angle of A from x to y (deg)."""
    place = (np.arange(len(picture)) - (len(picture) - 1) / 2) * sampling
    x, y = np.meshgrid(place, place)
    light = np.maximum(picture, 0) * np.exp(-(x**2 + y**2) / (2 * (fwhm / SIGMAS_PER_FWHM) ** 2))
    xx, yy, xy = (float((light * v).sum() / light.sum()) for v in (x * x, y * y, x * y))
    root = math.hypot((xx - yy) / 2, xy)
    ellipticity = 1 - math.sqrt(((xx + yy) / 2 - root) / ((xx + yy) / 2 + root))
    return ellipticity, math.degrees(math.atan2(xy, (xx - yy) / 2) / 2)
