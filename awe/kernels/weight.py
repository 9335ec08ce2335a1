"""Weight maps: the inverse variance of each pixel of a reduced frame."""

import numpy as np


def inverse_variance(
    level: np.ndarray | float,
    flat: np.ndarray | float,
    gain: float,
    read_noise: float,
    bias_variance: np.ndarray | float = 0.0,
    flat_variance: np.ndarray | float = 0.0,
    mask: np.ndarray | None = None,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return the inverse variance of a reduced frame in empty sky.

    The variance of a raw pixel (photons of the sky, read noise, bias frame) over the square of the flat field, plus
    that of the flat field itself::

        v = (level flat / gain + read_noise^2 + bias_variance + level^2 flat_variance) / flat^2

    Only the sky counts, not the photons of objects: a weight that falls with the flux of a pixel would favour low
    values, and bias every weighted mean of a star. Photon noise of objects is added where fluxes are measured.

    Parameters
    ----------
    level : ndarray of shape (ny, nx) or float, adu
        Level of the sky in the reduced frame (after flat field, before it is subtracted); negative counts as 0.
    flat : ndarray of shape (ny, nx) or float
        Flat field, normalised to 1; NaN or <= 0 gives weight 0.
    gain : float, e-/adu
    read_noise : float, adu
    bias_variance : ndarray of shape (ny, nx) or float, adu^2
        Variance of the bias (and dark) frame that was subtracted.
    flat_variance : ndarray of shape (ny, nx) or float
        Variance of the flat field.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad: weight 0.
    shape : tuple of int, optional
        Shape (ny, nx) of the result, if no argument is an array.

    Returns
    -------
    ndarray of float32, shape (ny, nx), adu^-2
        0 where the pixel is bad or the variance is not finite.

    Raises
    ------
    ValueError
        If gain is not positive, read noise is negative, shapes differ, or the shape is unknown.
    """
    if not (gain > 0 and read_noise >= 0):
        raise ValueError(f"gain must be > 0 and read noise >= 0, got {gain} and {read_noise}")
    maps = [np.asarray(values, np.float32) for values in (level, flat, bias_variance, flat_variance)]
    shape = _shape([*maps, np.asarray(mask) if mask is not None else np.float32(0)], shape)
    sky, response, bias, flat_noise = maps
    sky = np.maximum(sky, np.float32(0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variance = sky * response / np.float32(gain) + np.float32(read_noise**2) + bias + sky * sky * flat_noise
        weight = np.broadcast_to(response * response / variance, shape)
    good = np.isfinite(weight) & (weight > 0) & (response > 0)
    if mask is not None:
        good = good & ~mask
    return np.where(good, weight, np.float32(0)).astype(np.float32, copy=False)


def _shape(maps: list[np.ndarray], shape: tuple[int, int] | None) -> tuple[int, int]:
    shapes = {np.shape(values) for values in maps if np.ndim(values)} | ({tuple(shape)} if shape else set())
    if len(shapes) != 1:
        raise ValueError(f"expected maps of one shape, got {sorted(shapes)}; give shape= if all are numbers")
    return shapes.pop()
