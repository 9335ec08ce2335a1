"""Observe a simulated night: raw files of a mosaic camera, and the truth beside them."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.flags import PixelFlag
from awe.simulation.camera import Chip, FloatImage, make_chip, read_out
from awe.simulation.cosmics import cosmic_rays
from awe.simulation.effects import compressed, fringes, stray_light, with_crosstalk
from awe.simulation.plan import PRESETS, NightPlan
from awe.simulation.raw_files import write_raw
from awe.simulation.rendering import Kind, moffat_psf, render
from awe.simulation.schedule import Exposure, epoch, schedule, standard_field
from awe.simulation.sky import make_sky, reference_catalogue, sources_on
from awe.simulation.truth import REFERENCE, SUMMARY, Truth, pixel_rows, write_truth

UNFINISHED = ".part"  # folder in the folder, for a night that is not complete; what a kill leaves there is overwritten
TWILIGHT_LIMIT = 18.5  # r magnitude; fainter stars vanish in the twilight


@dataclass(frozen=True)
class Night:
    """A simulated night: its raw files in order of time, and its truth."""

    folder: Path
    files: tuple[Path, ...]
    truth: Truth

    @property
    def reference_catalogue(self) -> Path:
        """The reference catalogue of the field."""
        return self.folder / REFERENCE

    def __str__(self) -> str:
        """Say in one line what the night holds."""
        kinds = Counter(exposure["obstype"] for exposure in self.truth.exposures.values())
        exposures = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return (
            f"{len(self.files)} exposures ({exposures}) of {len(self.truth.chips)} chips, {self.truth.objects.size} "
            f"objects, {self.truth.reference.size} reference stars in {self.folder}"
        )

    def of_type(self, obstype: str, filter_name: str | None = None) -> list[Path]:
        """Return the raw files of one kind (BIAS, SKYFLAT, OBJECT ...), of one filter if it is given."""
        wanted = {
            name
            for name, exposure in self.truth.exposures.items()
            if exposure["obstype"] == obstype and filter_name in (None, exposure["filter"])
        }
        return [file for file in self.files if file.name in wanted]


def simulate_night(folder: Path | str, plan: NightPlan | None = None, **changes: Any) -> Night:
    """Observe a night and write it into an empty (or new) folder.

    The plan is `PRESETS["demo"]` if none is given; `changes` replace single fields of it, such as `seed=3` or
    `exposures=5`. The raw files lie in `folder/raw`, catalogue and truth in `folder`.
    """
    plan = replace(plan or PRESETS["demo"], **changes)
    folder = Path(folder)
    if folder.exists() and {path.name for path in folder.iterdir()} - {UNFINISHED}:
        raise FileExistsError(f"a night is simulated into an empty folder, but {folder} holds files; remove them first")
    unfinished = folder / UNFINISHED
    if unfinished.exists():
        shutil.rmtree(unfinished)
    (unfinished / "raw").mkdir(parents=True)
    _simulate(unfinished, plan)
    # the summary last: who finds it, finds a complete night
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name == SUMMARY):
        path.rename(folder / path.name)
    unfinished.rmdir()
    return load_night(folder)


def _simulate(folder: Path, plan: NightPlan) -> None:
    exposures, objects = schedule(plan), _all_fields(plan)
    chips = [make_chip(plan, number) for number in range(plan.chips)]
    pixels = [rows for i, e in enumerate(exposures) for rows in _observe(folder / "raw", plan, i, e, chips, objects)]
    reference = reference_catalogue(plan, objects, epoch(plan))
    write_truth(folder, plan, exposures, chips, objects, reference, pixels)


def load_night(folder: Path | str) -> Night:
    """Return the night that was simulated into a folder earlier."""
    folder = Path(folder)
    if not (folder / SUMMARY).is_file():
        raise FileNotFoundError(f"{folder} holds no complete simulated night: there is no {SUMMARY}")
    truth = Truth.of(folder)
    return Night(folder, tuple(folder / "raw" / name for name in truth.exposures), truth)


def holds_night(folder: Path | str, plan: NightPlan) -> bool:
    """Say whether a folder already holds the complete night of this plan."""
    return (Path(folder) / SUMMARY).is_file() and Truth.of(Path(folder)).plan == plan


def _all_fields(plan: NightPlan) -> NDArray[np.void]:
    science = make_sky(plan, plan.ra, plan.dec, first_id=1, stream=0)
    if not plan.standards:
        return science
    return np.concatenate([science, make_sky(plan, *standard_field(plan), first_id=science.size + 1, stream=1)])


def _observe(
    folder: Path, plan: NightPlan, index: int, exposure: Exposure, chips: Sequence[Chip], objects: NDArray[np.void]
) -> list[NDArray[np.void]]:
    """Take one exposure with all chips, write it, and return its rows for the table of pixels."""
    images, pixels = [], []
    for number, chip in enumerate(chips):
        # a stream for each image: no exposure depends on how many came before
        rng = np.random.default_rng([plan.seed, 6, index, number])
        expected = plan.cosmics * exposure.exptime * chip.flags.size / 1e6
        hits = cosmic_rays(chip.shape, expected, rng)
        seen = light(plan, exposure, chip, objects)
        readout = read_out(chip, seen, exposure.exptime, hits, rng, partial(compressed, plan))
        images.append(readout.image)
        full_y, full_x = np.nonzero(readout.spilt)
        charge = readout.spilt[full_y, full_x]
        pixels.append(pixel_rows(index, number, PixelFlag.COSMIC, hits.y, hits.x, hits.electrons / chip.gain))
        pixels.append(pixel_rows(index, number, PixelFlag.SATURATED, full_y, full_x, charge))
    write_raw(folder / exposure.filename, plan, exposure, chips, with_crosstalk(plan, chips, images))
    return pixels


def light(plan: NightPlan, exposure: Exposure, chip: Chip, objects: NDArray[np.void]) -> FloatImage:
    """Return the electrons (expected value) that light frees in each pixel of a chip during an exposure."""
    if exposure.filter is None:
        return np.zeros(chip.shape, np.float32)
    rate = _even_light(plan, exposure, chip)
    if exposure.seeing:
        rate += _starlight(plan, exposure, chip, objects) * chip.throughput[exposure.filter]
    return rate * np.float32(exposure.exptime * chip.response * chip.gain)


def _even_light(plan: NightPlan, exposure: Exposure, chip: Chip) -> FloatImage:
    """Return the sky, or the screen in the dome, in adu/s of the reference chip."""
    ny, nx = chip.shape
    height, width = plan.field_shape
    x = (np.arange(nx, dtype=np.float32) - chip.projection.axis[0]) / width
    y = (np.arange(ny, dtype=np.float32) - chip.projection.axis[1]) / height
    slope = exposure.gradient[0] * x[None, :] + exposure.gradient[1] * y[:, None]
    indoors = exposure.obstype == "DOMEFLAT"
    response = (chip.throughput if indoors else chip.flat)[exposure.filter or ""]
    also = stray_light(plan, x[None, :], y[:, None]) * fringes(plan, exposure, chip)
    return np.asarray(exposure.level * (1 + slope) * response * also, np.float32)


def _starlight(plan: NightPlan, exposure: Exposure, chip: Chip, objects: NDArray[np.void]) -> FloatImage:
    if exposure.obstype == "SKYFLAT":
        objects = objects[(objects["kind"] == Kind.STAR) & (objects["mag_r"] < TWILIGHT_LIMIT)]
    projection = chip.projection.pointed(exposure.true_ra, exposure.true_dec)
    sources = sources_on(objects, projection, exposure.filter or "", chip.shape)
    psf = moffat_psf(exposure.seeing / plan.pixel_scale)
    image: FloatImage = np.maximum(render(chip.shape, sources, psf) * np.float32(exposure.throughput), 0)
    return image
