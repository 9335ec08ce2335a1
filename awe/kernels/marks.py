"""Marks on pictures: crosses and ellipses with smooth edges and a dark rim, seen on any ground."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLOUR = (255, 214, 64)
RIM = (0, 0, 0)
_WIDTH = 1.4
_RIM_WIDTH = 3.4
_RIM_STRENGTH = 0.55


@dataclass(frozen=True)
class Ellipse:
    """Half axes (pixel) and angle of the first one from x to y (deg)."""

    a: float
    b: float
    theta: float = 0.0


def draw_cross(picture: NDArray[np.uint8], x: float, y: float, inner: float, outer: float) -> NDArray[np.uint8]:
    """Return a picture with a cross that leaves its middle free.

    Parameters
    ----------
    picture : uint8 array [y, x] or [y, x, 3]; y as in the picture, downwards.
    x, y : float, pixel. Middle of the cross.
    inner, outer : float, pixel. Where its four arms begin and end.

    Returns
    -------
    uint8 array [y, x, 3]
    """
    dx, dy = _offsets(picture, x, y)
    across = np.minimum(np.abs(dx), np.abs(dy))
    along = np.maximum(np.abs(dx), np.abs(dy))
    return _painted(picture, np.hypot(across, np.maximum(0, np.maximum(inner - along, along - outer))))


def draw_ellipse(picture: NDArray[np.uint8], x: float, y: float, ellipse: Ellipse) -> NDArray[np.uint8]:
    """Return a picture with an ellipse; angles count from x to y of the picture, which runs downwards.

    Parameters and result are those of `draw_cross`.
    """
    a, b = max(ellipse.a, 0.5), max(ellipse.b, 0.5)
    cosine, sine = math.cos(math.radians(ellipse.theta)), math.sin(math.radians(ellipse.theta))
    dx, dy = _offsets(picture, x, y)
    u, v = (dx * cosine + dy * sine) / a, (dy * cosine - dx * sine) / b
    radius = np.hypot(u, v)
    # distance from the curve to first order: what is 0 on it, divided by its gradient
    gradient = np.hypot(u / a, v / b) / np.maximum(radius, 1e-6)
    return _painted(picture, np.abs(radius - 1) / np.maximum(gradient, 1e-6))


def _offsets(picture: NDArray[np.uint8], x: float, y: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ny, nx = picture.shape[:2]
    return (np.arange(nx, dtype=np.float32) - x)[None, :], (np.arange(ny, dtype=np.float32) - y)[:, None]


def _painted(picture: NDArray[np.uint8], distance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a line over a picture, given the distance of each pixel from its middle."""
    out = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture.copy()
    near = distance < _RIM_WIDTH / 2 + 1
    under, d = out[near].astype(np.float32), distance[near][:, None]
    for colour, width, strength in ((RIM, _RIM_WIDTH, _RIM_STRENGTH), (COLOUR, _WIDTH, 1.0)):
        cover = strength * np.clip(width / 2 + 0.5 - d, 0, 1)
        under += cover * (np.array(colour, np.float32) - under)
    out[near] = np.rint(under).astype(np.uint8)
    return out
