"""Tracks of cosmic rays through the silicon of a chip."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THICKNESS = 3.0  # of the silicon, in pixels (45 micron at 15 micron per pixel)
CHARGE = 1100.0  # electrons per pixel of path, most probable value
DIFFUSION = 0.2  # px: how far the charge spreads on its way to the gate
STEPS_PER_PIXEL = 20


@dataclass(frozen=True)
class Hits:
    """Pixels that cosmic rays have hit, and the charge left there; a pixel appears once."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    electrons: NDArray[np.float64]


def cosmic_rays(shape: tuple[int, int], expected: float, rng: np.random.Generator) -> Hits:
    """Return what cosmic rays leave in a chip, for the number of rays expected.

    Muons go straight, from all directions above with the cosine squared law; one ray in six is an electron that
    wriggles to its end. The charge of a stretch of path follows a Moyal distribution (Moyal 1955).
    """
    tracks = [_track(shape, rng) for _ in range(rng.poisson(expected))]
    if not tracks:
        nothing = np.zeros(0, np.int64)
        return Hits(nothing, nothing, np.zeros(0))
    x, y, electrons = np.concatenate(tracks, axis=1)
    return _gathered(shape, np.rint(x).astype(np.int64), np.rint(y).astype(np.int64), electrons)


def _track(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return x, y, electrons of points along one track."""
    ny, nx = shape
    start = rng.uniform(-0.5, nx - 0.5), rng.uniform(-0.5, ny - 0.5)
    tangent = np.tan(np.arccos(rng.random() ** (1 / 3)))
    wriggling = rng.random() < 1 / 6
    length = rng.uniform(3, 15) if wriggling else min(THICKNESS * tangent, 120.0)
    count = int(np.ceil(max(length, 0.1) * STEPS_PER_PIXEL))
    bend = rng.normal(0, 0.15, count).cumsum() if wriggling else np.zeros(count)
    direction = rng.uniform(0, 2 * np.pi) + bend
    step = length / count
    path = np.hypot(step, 0 if wriggling else THICKNESS / count)
    x = start[0] + (step * np.cos(direction)).cumsum() + rng.normal(0, DIFFUSION, count)
    y = start[1] + (step * np.sin(direction)).cumsum() + rng.normal(0, DIFFUSION, count)
    # about one draw per pixel of path: energy loss varies along the track, not from step to step
    losses = np.repeat(_moyal(rng, count // STEPS_PER_PIXEL + 1), STEPS_PER_PIXEL)[:count]
    return np.stack([x, y, CHARGE * path * losses])


def _moyal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.clip(1 + 0.25 * (-2 * np.log(np.abs(rng.normal(size=count)) + 1e-9)), 0.3, 12.0)


def _gathered(
    shape: tuple[int, int], x: NDArray[np.int64], y: NDArray[np.int64], electrons: NDArray[np.float64]
) -> Hits:
    ny, nx = shape
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    pixel, where = np.unique(y[inside] * nx + x[inside], return_inverse=True)
    charge = np.bincount(where, electrons[inside], minlength=pixel.size).astype(np.float64)
    return Hits(pixel % nx, pixel // nx, charge)
