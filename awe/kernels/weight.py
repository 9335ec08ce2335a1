"""Weight maps: the inverse variance of each pixel of a reduced frame."""

import numpy as np
from numba import njit


def inverse_variance(
    level: np.ndarray | float,
    flat: np.ndarray | float,
    gain: float,
    read_noise: float,
    bias_weight: np.ndarray | None = None,
    flat_weight: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    shape: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return the inverse variance of a reduced frame in empty sky.

    The variance of a raw pixel (photons of the sky, read noise, bias frame) over the square of the flat field, plus
    that of the flat field itself::

        v = (level flat / gain + read_noise^2 + 1 / bias_weight + level^2 / flat_weight) / flat^2

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
    bias_weight : ndarray of shape (ny, nx), adu^-2, optional
        Inverse variance of the bias (and dark) frame that was subtracted; 0: not known, it adds nothing.
    flat_weight : ndarray of shape (ny, nx), optional
        Inverse variance of the flat field; 0: not known, it adds nothing.
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
    given = [np.asarray(values) for values in (level, flat, bias_weight, flat_weight, mask) if values is not None]
    shape = _shape(given, shape)
    maps = [
        np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.float32), shape)) if values is not None else _NONE
        for values in (level, flat, bias_weight, flat_weight)
    ]
    bad = np.ascontiguousarray(mask, np.bool_) if mask is not None else np.zeros((0, 0), np.bool_)
    weight = np.empty(shape, np.float32)
    _fill(*maps, bad, np.float32(1 / gain), np.float32(read_noise**2), weight)
    return weight


_NONE = np.zeros((0, 0), np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(level, flat, bias_weight, flat_weight, bad, per_gain, read_variance, weight):
    """Fill in the weights, row by row; a map of size 0 is none."""
    ny, nx = weight.shape
    zero = np.float32(0)
    one = np.float32(1)
    variance = np.empty(nx, np.float32)
    for y in range(ny):
        out = weight[y]
        for x in range(nx):
            variance[x] = max(level[y, x], zero) * flat[y, x] * per_gain + read_variance
        if bias_weight.size:
            for x in range(nx):
                known = bias_weight[y, x]
                variance[x] += one / known if known > zero else zero
        if flat_weight.size:
            for x in range(nx):
                known = flat_weight[y, x]
                sky = max(level[y, x], zero)
                variance[x] += sky * sky / known if known > zero else zero
        for x in range(nx):
            response = flat[y, x]
            value = response * response / variance[x]
            good = (response > zero) & (value > zero) & (value < np.float32(np.inf)) & (level[y, x] == level[y, x])
            out[x] = value if good else zero
        if bad.size:
            for x in range(nx):
                if bad[y, x]:
                    out[x] = zero


def _shape(maps: list[np.ndarray], shape: tuple[int, int] | None) -> tuple[int, int]:
    shapes = {np.shape(values) for values in maps if np.ndim(values)} | ({tuple(shape)} if shape else set())
    if len(shapes) != 1:
        raise ValueError(f"expected maps of one shape, got {sorted(shapes)}; give shape= if all are numbers")
    ny, nx = shapes.pop()
    return ny, nx
