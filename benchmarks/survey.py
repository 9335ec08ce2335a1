"""A night of a mosaic camera from raw frames to a coadd and its sources, beside a chain of programs of others."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from awe.database import open_engine, short_transaction, upgrade
from awe.instruments import load_definitions
from awe.local import start_data_server
from awe.model import Coadd, HotPixelMap, Job, MasterFlatFrame, RawScienceFrame, SourceList, WeightFrame
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import execute, get_ready
from awe.processing.ingest import Ingester
from awe.processing.plan import plan
from awe.processing.products import Products
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.processing.worker import open_store
from awe.simulation import PRESETS, NightPlan, load_night, simulate_night
from benchmarks import ldac
from benchmarks.child import Work
from benchmarks.scene import settings_in


def observe(folder: Path, chip: tuple[int, int], exposures: int) -> Work:
    """Simulate the night, take it in, and make its calibrations."""
    night = replace(PRESETS["large"], chip_shape=tuple(chip), exposures=exposures, filters=("r",), biases=5)
    made = (HotPixelMap, MasterFlatFrame)
    return Work(lambda: observed(folder, night, made), _pixels(chip, exposures), "Mpix", lambda t: t, warm=False)


def _pixels(chip: tuple[int, int], exposures: int, chips: int = 4) -> float:
    """Return the millions of pixels of the science exposures."""
    return chip[0] * chip[1] * chips * exposures / 1e6


def observed(folder: Path, night_plan: NightPlan, made: tuple[type, ...]) -> dict[str, Any]:
    """Simulate a night, take it in, make the products of some classes, and return the seconds that both took."""
    simulate_night(folder / "night", night_plan)
    settings = settings_in(folder)
    settings.home.mkdir()
    engine = open_engine(settings.database)
    upgrade(engine)
    night = load_night(folder / "night")
    with short_transaction(engine) as session:
        register_processes(session)
    told = {}
    with start_data_server(settings.data_folder) as server:
        settings = replace(settings, data_server=server.address)
        store = open_store(settings)
        add_catalogue(engine, store, settings, night.reference_catalogue, "reference", "plain")
        start = time.perf_counter()
        list(Ingester(engine, store, settings, load_definitions()).ingest(night.files))
        told["ingest"], start = time.perf_counter() - start, time.perf_counter()
        for cls in made:
            _made(engine, settings, cls)
        told["calibrations"] = time.perf_counter() - start
    engine.dispose()
    return told


def _made(engine: Engine, settings: Any, cls: type) -> None:
    get_ready(settings)
    with Session(engine) as session:
        outcome = execute(plan(session, targets(session, cls)), engine, settings)
    if outcome.failed:
        raise RuntimeError(next(iter(outcome.failed.values())))


def awe(folder: Path, chip: tuple[int, int], exposures: int, keep_regridded: bool = True) -> Work:
    """Make coadd and source list of raw exposures whose calibrations are there."""
    settings = replace(settings_in(folder), keep_regridded=keep_regridded)
    engine = open_engine(settings.database)

    def call() -> dict[str, Any]:
        _made(engine, settings, SourceList)
        with Session(engine) as session:
            rows = session.scalar(select(func.sum(SourceList.n_sources)))
            largest = session.scalar(select(func.max(Job.peak_memory)))
        return {"sources": int(rows or 0), "MB in the largest process": int(largest or 0)}

    return Work(call, _pixels(chip, exposures), "Mpix", lambda found: found, warm=False)


def export(folder: Path) -> Work:
    """Write the reduced exposures, a file each, with weights and the coordinates of the telescope, for the chain."""
    return Work(lambda: exported(folder), warm=False)


def exported(folder: Path) -> None:
    """Write exp*.fits, exp*.weight.fits, the catalogue for SCAMP, and `survey.json` with the grid."""
    settings, out = settings_in(folder), folder / "exposures"
    engine = open_engine(settings.database)
    out.mkdir()
    with start_data_server(settings.data_folder) as server, Session(engine) as session:
        products = Products(open_store(replace(settings, data_server=server.address)), out, "default", lambda *_: {})
        weights = session.scalars(select(WeightFrame).order_by(WeightFrame.object_id)).unique()
        found = sorted(((w.reduced, w) for w in weights), key=lambda pair: (pair[0].date_obs, pair[0].chip.name))
        dates = sorted({reduced.date_obs for reduced, _ in found})
        for number, date in enumerate(dates):
            _export_exposure(products, [pair for pair in found if pair[0].date_obs == date], out, number)
        grid = session.scalars(select(Coadd)).unique().one()
        known = {"exposures": len(dates), "ra": grid.ra, "dec": grid.dec, "scale": grid.pixel_scale}
        known |= {"shape": [grid.naxis2, grid.naxis1], "megapixels": sum(r.naxis1 * r.naxis2 for r, _ in found) / 1e6}
        (out / "survey.json").write_text(json.dumps(known))
    _export_catalogue(load_night(folder / "night").reference_catalogue, out / "reference.cat")
    engine.dispose()


def _export_exposure(products: Products, pairs: list[Any], out: Path, number: int) -> None:
    files = {name: fits.HDUList([fits.PrimaryHDU()]) for name in ("image", "weight")}
    raw: RawScienceFrame = pairs[0][0].raw
    cards = {"FILTER": raw.filter.name, "EXPTIME": raw.exptime, "MJD-OBS": raw.mjd_obs, "AIRMASS": raw.airmass}
    files["image"][0].header.update(cards | {"INSTRUME": raw.instrument.name})
    for reduced, weight in pairs:
        header = fits.Header()
        header.update(reduced.wcs)
        header["GAIN"], header["EXTNAME"] = reduced.gain, reduced.chip.name
        files["image"].append(fits.ImageHDU(products.plane(reduced, "IMAGE"), header))
        files["weight"].append(fits.ImageHDU(products.plane(weight, "WEIGHT"), header))
    for name, hdus in files.items():
        hdus.writeto(out / (f"exp{number}.fits" if name == "image" else f"exp{number}.weight.fits"))


def _export_catalogue(path: Path, out: Path) -> None:
    """Write a reference catalogue in the form that SCAMP reads (FITS_LDAC)."""
    stars = fits.getdata(path, 1)
    error = float(np.median(stars["ra_error"])) / 3.6e6
    ldac.write_reference(out, stars["ra"], stars["dec"], error, stars["mag_r"], stars["mag_r_error"], stars["epoch"])
