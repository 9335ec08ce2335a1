"""Flat fields: their normalisation, and the join of dome and twilight."""

from dataclasses import dataclass

import numpy as np

from awe.kernels.background import background_map
from awe.kernels.statistics import clipped_statistics


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat field of median 1 (NaN = bad pixel), and the variance of each pixel."""

    image: np.ndarray
    variance: np.ndarray


def normalise(image: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Divide an exposure by its own level.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        Flat exposure, bias subtracted; NaN is left out of the level and stays.
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out of the level.

    Returns
    -------
    image : ndarray of float32, shape (ny, nx)
    level : float, adu
        The clipped median: its inverse is the scale to give `combine`.

    Raises
    ------
    ValueError
        If the level is not positive.
    """
    level = flat_level(image, mask)
    return np.divide(image, level, dtype=np.float32), level


def flat_level(image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the clipped median (adu) of a flat exposure; raise ValueError if it is not positive."""
    level = clipped_statistics(image, mask=mask).median
    if not level > 0:
        raise ValueError(f"a flat exposure must have light, its level is {level} adu")
    return level


def master_flat(dome: Flat | None = None, twilight: Flat | None = None, cell: int = 64) -> Flat:
    """Join dome and twilight flat: small scales of the dome, large scales of the twilight.

    The dome flat has the photons that the response of single pixels needs, the twilight the even illumination.
    The result is dome * smooth(twilight / dome), smooth being the background of the ratio on a mesh; the variance is
    that of the dome scaled likewise. With one of the two, that one is normalised.

    Parameters
    ----------
    dome, twilight : Flat, optional
        Of equal shape; any level. Not finite or <= 0 = bad pixel.
    cell : int, pixel
        Side of a mesh cell: scales larger than this are those of the twilight.

    Returns
    -------
    Flat
        Of median 1; NaN where a pixel is bad.

    Raises
    ------
    ValueError
        If both are absent, shapes differ, or no light is left.
    """
    if dome is None and twilight is None:
        raise ValueError("a master flat needs a dome flat, a twilight flat or both")
    if dome is None or twilight is None:
        return _scaled(dome or twilight, 1.0)
    if dome.image.shape != twilight.image.shape:
        raise ValueError(f"dome flat has shape {dome.image.shape}, twilight flat {twilight.image.shape}")
    lit = _lit(dome) & _lit(twilight)
    if not lit.any():
        raise ValueError("there is no pixel that has light in both the dome and the twilight flat")
    ratio = np.full(dome.image.shape, np.nan, np.float32)
    np.divide(twilight.image, dome.image, out=ratio, where=lit)
    return _scaled(dome, background_map(ratio, cell=cell).level)


def _lit(flat: Flat) -> np.ndarray:
    return np.isfinite(flat.image) & (flat.image > 0)


def _scaled(flat: Flat, factor: np.ndarray | float) -> Flat:
    """Return a flat times a factor, normalised, with bad pixels NaN."""
    image = np.where(_lit(flat), flat.image * np.float32(1) * factor, np.float32(np.nan)).astype(np.float32)
    level = flat_level(image)
    variance = np.asarray(flat.variance, np.float32) * (np.asarray(factor, np.float32) / np.float32(level)) ** 2
    return Flat(image / np.float32(level), variance)
