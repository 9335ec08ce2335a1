"""Reduced exposures of a mosaic camera with known truth, for coadds beside those of other programs.

The chips are read out by the simulation and reduced with the bias and flat field that it knows, so that pixels of the
size of a survey are there in a minute, without a pipeline before them.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.flags import PixelFlag
from awe.kernels.overscan import overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tan
from awe.kernels.weight import inverse_variance
from awe.simulation import PRESETS, NightPlan
from awe.simulation.camera import OVERSCAN, SATURATION, Chip, Readout, make_chip, read_out
from awe.simulation.cosmics import Hits, cosmic_rays
from awe.simulation.night import light
from awe.simulation.rendering import Kind
from awe.simulation.schedule import Exposure, schedule
from awe.simulation.sky import make_sky
from benchmarks.child import Work

CHIP = 4612, 2048
"""Rows and columns of a chip of MegaCam."""
THREADS = 2


def simulate(folder: Path, chip: tuple[int, int] = CHIP, chips: int = 4, exposures: int = 4) -> Work:
    """Simulate dithered exposures of a field and reduce them."""
    plan = replace(
        PRESETS["demo"], chip_shape=tuple(chip), chips=chips, exposures=exposures, filters=("r",),
        pixel_scale=0.186, seeing=0.8, dither=30.0, gap=80,
    )  # fmt: skip
    return Work(lambda: simulated(folder / "scene", plan), warm=False)


def simulated(folder: Path, plan: NightPlan) -> None:
    """Write image and weight of each chip of each exposure, and `scene.json` with the grid."""
    folder.mkdir()
    objects = make_sky(plan, plan.ra, plan.dec, first_id=1, stream=0)
    chips = [make_chip(plan, number) for number in range(plan.chips)]
    taken = [(i, e) for i, e in enumerate(e for e in schedule(plan) if e.obstype == "OBJECT")]
    places = [(i, e, number, chip) for i, e in taken for number, chip in enumerate(chips)]

    def take(place: tuple[int, Exposure, int, Chip]) -> Wcs:
        index, exposure, number, chip = place
        rng = np.random.default_rng([plan.seed, 6, index, number])
        hits = cosmic_rays(chip.shape, plan.cosmics * exposure.exptime * chip.flags.size / 1e6, rng)
        raw = read_out(chip, light(plan, exposure, chip, objects), exposure.exptime, hits, rng)
        cards = chip.projection.pointed(exposure.true_ra, exposure.true_dec).cards()
        _write(folder, index * plan.chips + number, _reduced(chip, exposure, raw, hits), cards | _scale(chip, exposure))
        return Wcs.from_header(cards)

    with ThreadPoolExecutor(THREADS) as pool:
        systems = list(pool.map(take, places))
    described = {"frames": len(places), "pixels": int(np.prod(plan.chip_shape)), "gain": chips[0].gain}
    bright = objects[(objects["kind"] == Kind.STAR) & (objects["mag_r"] > 17) & (objects["mag_r"] < 20)]
    described["stars"] = np.stack([bright["ra"], bright["dec"]], axis=1).tolist()
    (folder / "scene.json").write_text(json.dumps(described | _grid(plan, systems)))


def _reduced(chip: Chip, exposure: Exposure, raw: Readout, hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Return image and weight, without help of a pipeline: the flat is the true one, bad pixels are the known ones."""
    ny, nx = chip.shape
    flat = chip.flat[exposure.filter or ""]
    bad = (chip.flags & (PixelFlag.HOT | PixelFlag.COLD)) > 0
    bad |= raw.image[:, :nx] > SATURATION
    bad[hits.y, hits.x] = True
    level = overscan_level(raw.image, [Section(nx, nx + OVERSCAN, 0, ny)])
    image, _ = calibrate(raw.image, Section(0, nx, 0, ny), level, chip.bias, flat=flat)
    image[bad] = 0
    level = float(np.median(image[~bad]))
    return image, inverse_variance(level, flat, chip.gain, chip.read_noise / chip.gain, mask=bad)


def _scale(chip: Chip, exposure: Exposure) -> dict[str, float]:
    """Return the cards with the gain and the factor that brings all frames to one zeropoint."""
    return {"GAIN": chip.gain, "EXPTIME": 1.0, "FLXSCALE": 1 / (chip.response * exposure.throughput)}


def _write(folder: Path, number: int, planes: tuple[np.ndarray, np.ndarray], cards: dict[str, Any]) -> None:
    for name, plane in zip(("image", "weight"), planes, strict=True):
        fits.writeto(folder / f"{name}{number}.fits", plane, fits.Header(cards))


def _grid(plan: NightPlan, systems: list[Wcs]) -> dict[str, Any]:
    """Return the north-up grid around the field that holds all frames."""
    ny, nx = plan.chip_shape
    tangent = tan(plan.ra, plan.dec, plan.pixel_scale, 1, 1)
    corners = np.concatenate([wcs.footprint(nx, ny) for wcs in systems])
    x, y = tangent.to_pixel(*corners.T)
    sides = [2 * int(np.abs(axis).max() + 2) for axis in (y, x)]
    return {"ra": plan.ra, "dec": plan.dec, "scale": plan.pixel_scale, "shape": sides}
