"""The chips of the simulated camera, and what they make of the light that falls on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awe.kernels.flags import PixelFlag
from awe.simulation.cosmics import Hits
from awe.simulation.plan import NightPlan
from awe.simulation.projection import Projection, true_projection

FloatImage = NDArray[np.float32]

OVERSCAN = 32  # columns, to the right of the image area
REFERENCE_GAIN = 1.5  # e/adu; a chip of this gain and mean efficiency has unit response
FULL_WELL = 59000.0  # adu above bias
SATURATION = 58500.0  # adu, in the header: safely below bias level plus full well
DARK_CURRENT = 0.003  # e/s


@dataclass(frozen=True)
class Chip:
    """One chip: its constants, its maps (of the image area) and its defects."""

    name: str
    gain: float  # e/adu
    read_noise: float  # electrons
    response: float  # adu/s from a star, relative to the reference chip
    bias_level: float  # adu
    bias: FloatImage  # adu above the level, hot pixels included
    flat: dict[str, FloatImage]  # what an evenly bright sky looks like; median 1
    throughput: dict[str, FloatImage]  # what stars are dimmed by; the flat, but for the area of the pixels
    dark: FloatImage  # e/s
    flags: NDArray[np.uint8]  # PixelFlag bits HOT and COLD
    projection: Projection

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image area."""
        ny, nx = self.flags.shape
        return ny, nx


def make_chip(plan: NightPlan, number: int) -> Chip:
    """Return chip 0, 1, ... of the camera."""
    rng = np.random.default_rng([plan.seed, 4, number])
    projection = true_projection(plan, number)
    gain = float(np.round(rng.uniform(1.3, 1.7), 2))
    flags, hot, sensitivity = _defects(plan.chip_shape, rng)
    area = projection.pixel_area(plan.chip_shape) if plan.sky_follows_pixel_area else np.ones(plan.chip_shape)
    grain = sensitivity * rng.normal(1, 0.006, plan.chip_shape)
    flat = {band: _flat(plan, projection, grain * area, rng) for band in plan.filters}
    return Chip(
        name=f"ccd{number + 1}",
        gain=gain,
        read_noise=float(np.round(rng.uniform(4.0, 6.0), 1)),
        response=float(REFERENCE_GAIN / gain * rng.uniform(0.94, 1.04)),
        bias_level=float(np.round(rng.uniform(950, 1400))),
        bias=(_bias_pattern(plan.chip_shape, rng) + hot).astype(np.float32),
        flat=flat,
        throughput={band: (image / area).astype(np.float32) for band, image in flat.items()},
        dark=(DARK_CURRENT + 0.02 * np.maximum(hot, 0)).astype(np.float32),
        flags=flags,
        projection=projection,
    )


def read_out(
    chip: Chip,
    electrons: FloatImage,
    exptime: float,
    hits: Hits,
    rng: np.random.Generator,
    response: Callable[[FloatImage], FloatImage] = lambda signal: signal,
) -> "Readout":
    """Return the raw frame of a chip on which this many electrons (expected value) were freed by light.

    `response` gives what the electronics make of a signal (adu above bias).
    """
    # a Poisson deviate of the sum of light and dark current: both are counted, not measured
    collected = rng.poisson(electrons + chip.dark * np.float32(exptime)).astype(np.float32)
    collected[hits.y, hits.x] += hits.electrons
    saturated = bleed(collected, FULL_WELL * chip.gain)
    ny, nx = chip.shape
    adu = np.empty((ny, nx + OVERSCAN), np.float32)
    adu[:, :nx] = response(collected / chip.gain) + chip.bias
    adu[:, nx:] = 0
    adu += chip.bias_level + _drift(ny, rng)[:, None]
    adu += rng.standard_normal(adu.shape, dtype=np.float32) * np.float32(chip.read_noise / chip.gain)
    return Readout(np.clip(np.rint(adu), 0, 65535).astype(np.uint16), np.where(saturated, collected / chip.gain, 0))


@dataclass(frozen=True)
class Readout:
    """A raw frame with its overscan."""

    image: NDArray[np.uint16]
    spilt: FloatImage  # of the image area: charge (adu) of the pixels that are full or got charge from others, else 0


def bleed(electrons: FloatImage, full_well: float) -> NDArray[np.bool_]:
    """Let charge above the full well flow along the columns, up and down alike.

    The image is changed; returned is the mask of the pixels affected: the full ones, and the last one of each
    trail, which is filled in part. Charge that reaches the end of a column is lost.
    """
    affected = np.zeros(electrons.shape, bool)
    for column in np.flatnonzero((electrons > full_well).any(axis=0)):
        charge = electrons[:, column].astype(np.float64)
        surplus = np.maximum(charge - full_well, 0)
        kept = np.minimum(charge, full_well)
        for direction in (1, -1):
            kept[::direction] = _flow(kept[::direction], surplus[::direction] / 2, full_well)
        affected[:, column] = (kept > charge) | (charge > full_well)
        electrons[:, column] = kept
    return affected


def _flow(charge: NDArray[np.float64], surplus: NDArray[np.float64], full_well: float) -> NDArray[np.float64]:
    """Return the column after its surplus has flown towards higher indices."""
    filled = charge.copy()
    carried = 0.0
    for row in np.arange(np.flatnonzero(surplus)[0], charge.size):
        carried += surplus[row]
        taken = min(carried, full_well - filled[row])
        filled[row] += taken
        carried -= taken
    return filled


def _drift(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how the level wanders from row to row, common to image and overscan (adu)."""
    phase, period = rng.uniform(0, 2 * np.pi), rng.uniform(150, 600)
    wave = 1.5 * np.sin(2 * np.pi * np.arange(rows) / period + phase)
    return np.asarray(rng.normal(0, 2.0) + wave + rng.uniform(-2, 2) * np.linspace(-1, 1, rows), np.float32)


def _bias_pattern(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    ny, nx = shape
    y, x = np.arange(ny)[:, None], np.arange(nx)[None, :]
    return np.asarray(rng.normal(0, 1.2, nx)[None, :] + 6 * np.exp(-y / 40) + 1.5 * np.sin(x / 90 + rng.uniform(0, 6)))


def _flat(
    plan: NightPlan, projection: Projection, grain: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the response to an even sky: vignetting, the filter's own large-scale pattern and dust rings."""
    ny, nx = plan.chip_shape
    y, x = np.indices(plan.chip_shape, dtype=np.float32)
    height, width = plan.field_shape
    half = np.hypot(height, width) / 2
    u, v = (x - projection.axis[0]) / half, (y - projection.axis[1]) / half
    vignetting = 1 - 0.08 * (u**2 + v**2) - 0.06 * (u**2 + v**2) ** 2
    phase = rng.uniform(0, 6, 2)
    pattern = 1 + 0.015 * np.sin(3 * u + phase[0]) * np.cos(4 * v + phase[1])
    for centre_x, centre_y, radius in rng.uniform((0, 0, 8), (nx, ny, 25), (3, 3)):
        distance = np.hypot(x - centre_x, y - centre_y)
        pattern -= 0.03 * np.exp(-0.5 * ((distance - radius) / 3) ** 2)
    flat = vignetting * pattern * grain
    return np.asarray(flat / np.median(flat), np.float32)


def _defects(
    shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Return the flags, the excess of hot pixels (adu in a bias) and the relative sensitivity."""
    ny, nx = shape
    hot, sensitivity = np.zeros(shape), np.ones(shape)
    columns = rng.choice(np.arange(8, nx - 8), 5, replace=False)
    starts = rng.integers(0, ny // 2, 5)
    for column, start, level in zip(columns[:2], starts[:2], (900.0, 35.0), strict=True):
        hot[start:, column] = level
    for column, start, left in zip(columns[2:], starts[2:], (0.0, 0.05, 0.4), strict=True):
        sensitivity[start:, column] = left
    bright, dull = rng.choice(ny * nx, (2, max(4, ny * nx // 6000)), replace=False)
    hot.flat[bright] += np.clip(np.exp(rng.normal(np.log(400), 1.2, bright.size)), 60, 20000)
    sensitivity.flat[dull] *= rng.uniform(0.0, 0.6, dull.size)
    flags = np.where(hot > 0, PixelFlag.HOT, 0) | np.where(sensitivity < 1, PixelFlag.COLD, 0)
    return flags.astype(np.uint8), hot, sensitivity
