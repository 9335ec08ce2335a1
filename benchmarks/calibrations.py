"""Masters of many frames, and reduced frames, made by the tasks as `awe make` runs them, without its database."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.database import open_engine
from awe.fits import read_image
from awe.kernels.overscan import overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.weight import inverse_variance
from awe.local import RunningDataServer, start_data_server
from awe.model import RawBiasFrame, WeightFrame
from awe.processing.exposures import overscan_sections
from awe.processing.products import Products
from awe.processing.tasks import task_for
from awe.processing.worker import open_store
from awe.simulation import PRESETS
from benchmarks.child import Work, own_memory
from benchmarks.scene import settings_in
from benchmarks.survey import observed


@dataclass(frozen=True)
class Site:
    """The weight of an exposure, with all that it was made from, and what gives tasks their pixels."""

    weight: Any
    products: Products
    session: Session
    server: RunningDataServer
    """Ends with the process, or when nobody refers to it."""

    def make(self, *wanted: Any) -> None:
        """Carry out the tasks of products once more; their files are stored, their rows are not."""
        with self.session.no_autoflush:
            for product in wanted:
                task_for(type(product)).function(product, self.products)

    def biases(self, count: int) -> list[RawBiasFrame]:
        """Return the first raw biases: more than the rule would choose for a master, if so asked."""
        with self.session.no_autoflush:
            return list(
                self.session.scalars(select(RawBiasFrame).order_by(RawBiasFrame.date_obs).limit(count)).unique()
            )


def prepare(folder: Path, chip: tuple[int, int], biases: int) -> Work:
    """Simulate a night of one chip with one exposure and many biases, and make all up to its weight."""
    night = replace(PRESETS["large"], chip_shape=tuple(chip), chips=1, exposures=1, filters=("r",), biases=biases)
    return Work(lambda: observed(folder, night, (WeightFrame,)), warm=False)


def _site(folder: Path) -> Site:
    settings = settings_in(folder)
    server = start_data_server(settings.data_folder)
    session = Session(open_engine(settings.database))
    weight = session.scalars(select(WeightFrame)).unique().one()
    store = open_store(replace(settings, data_server=server.address))
    return Site(weight, Products(store, folder / "work", "default", lambda *_: {}), session, server)


def _pixels(frame: Any, count: int = 1) -> float:
    """Return millions of pixels."""
    return float(frame.naxis1 * frame.naxis2 * count / 1e6)


def reduce_awe(folder: Path) -> Work:
    """Map of full pixels, reduced frame and weight, as the tasks make them: from stored files to stored files."""
    site = _site(folder)
    reduced = site.weight.reduced
    return Work(lambda: site.make(reduced.saturated_pixels, reduced, site.weight), _pixels(reduced), "Mpix")


def reduced_frame_awe(folder: Path) -> Work:
    """The reduced frame alone, as its task makes it."""
    site = _site(folder)
    return Work(lambda: site.make(site.weight.reduced), _pixels(site.weight.reduced), "Mpix")


def calibrate_awe(folder: Path) -> Work:
    """The kernels alone, on arrays in memory: overscan, bias, flat field, flags, weight."""
    site = _site(folder)
    reduced, products = site.weight.reduced, site.products
    raw, section = products.image(reduced.raw), Section.parse(reduced.raw.data_section)
    (bias, known_bias), (flat, known_flat) = (
        (products.plane(frame, "IMAGE"), products.plane(frame, "WEIGHT")) for frame in (reduced.bias, reduced.flat)
    )
    flags = products.plane(reduced.saturated_pixels, "FLAGS")
    sections = overscan_sections(reduced.raw)

    def call() -> None:
        level = overscan_level(raw, sections)
        image, found = calibrate(raw, section, level, bias, flat=flat, flags=flags)
        inverse_variance(100.0, flat, reduced.gain, reduced.noise, known_bias, known_flat, found > 0, image.shape)

    return Work(call, _pixels(reduced), "Mpix")


def bias_awe(folder: Path, count: int) -> Work:
    """Read noise and master bias of the first biases."""
    site = _site(folder)
    bias = site.weight.reduced.bias
    raws = site.biases(count)
    with site.session.no_autoflush:
        bias.raw_biases, bias.read_noise.raw_biases = raws, raws

    def call() -> float:
        with own_memory() as largest:
            site.make(bias.read_noise, bias)
        return largest[0]

    told = lambda held: {"MB without files that are mapped": round(held)}  # noqa: E731
    return Work(call, _pixels(bias, len(raws)), "Mpix", told, warm=False)


def bias_numpy(folder: Path, count: int) -> Work:
    """Median of the first biases by numpy, all in memory; no overscan, rejection, variance or read noise."""
    site = _site(folder)
    raws = site.biases(count)
    paths = [(site.products.path(raw), raw.hdu) for raw in raws]

    def call() -> Any:
        return np.median(np.stack([read_image(path, hdu)[0] for path, hdu in paths]), axis=0)

    return Work(call, _pixels(site.weight, len(raws)), "Mpix", warm=False)
