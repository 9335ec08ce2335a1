"""A night of a mosaic camera from raw frames to a coadd and its sources, beside a chain of programs of others."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io import fits
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from awe.database import open_engine, short_transaction, upgrade
from awe.instruments import load_definitions
from awe.kernels.wcs import Wcs
from awe.local import start_data_server
from awe.model import Coadd, HotPixelMap, Job, MasterFlatFrame, RawScienceFrame, ReferenceCatalogue, SourceList
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import execute, get_ready
from awe.processing.ingest import Ingester, find_files
from awe.processing.plan import plan
from awe.processing.products import Products
from awe.processing.requests import targets
from awe.processing.stars import epoch_of, reference_stars
from awe.processing.tasks import register_processes
from awe.processing.worker import open_store
from awe.simulation import PRESETS, NightPlan, load_night, simulate_night
from benchmarks import ldac
from benchmarks.child import Work
from benchmarks.scene import settings_in


@dataclass(frozen=True)
class Raw:
    """Raw frames, and a reference catalogue (maybe none) in one of the forms that awe knows."""

    files: Sequence[Path]
    catalogue: str
    form: str


def observe(folder: Path, chip: Sequence[int] = (), exposures: int = 0, raw: str = "", catalogue: str = "") -> Work:
    """Simulate a night, or find the raw frames of a folder; take it in, and make its calibrations."""
    made = (HotPixelMap, MasterFlatFrame)
    if raw:
        path, _, form = catalogue.rpartition(":")
        return Work(
            lambda: taken_in(folder, Raw(find_files([Path(raw)]), path, form), made), tell=lambda t: t, warm=False
        )
    plan = replace(PRESETS["large"], chip_shape=tuple(chip), exposures=exposures, filters=("r",), biases=5)
    return Work(lambda: observed(folder, plan, made), tell=lambda t: t, warm=False)


def observed(folder: Path, night_plan: NightPlan, made: tuple[type, ...]) -> dict[str, Any]:
    """Simulate a night, take it in, make the products of some classes, and return the seconds that both took."""
    simulate_night(folder / "night", night_plan)
    night = load_night(folder / "night")
    return taken_in(folder, Raw(night.files, str(night.reference_catalogue), "plain"), made)


def taken_in(folder: Path, raw: Raw, made: tuple[type, ...]) -> dict[str, Any]:
    """Take raw frames in, make the products of some classes, and return the seconds that both took."""
    settings = settings_in(folder)
    settings.home.mkdir()
    engine = open_engine(settings.database)
    upgrade(engine)
    with short_transaction(engine) as session:
        register_processes(session)
    told = {}
    with start_data_server(settings.data_folder) as server:
        settings = replace(settings, data_server=server.address)
        store = open_store(settings)
        if raw.catalogue:
            add_catalogue(engine, store, settings, Path(raw.catalogue), "reference", raw.form)
        start = time.perf_counter()
        list(Ingester(engine, store, settings, load_definitions()).ingest(raw.files))
        told["ingest"], start = time.perf_counter() - start, time.perf_counter()
        for cls in made:
            _made(engine, settings, cls)
        told["calibrations"] = time.perf_counter() - start
    engine.dispose()
    return told


def _made(engine: Engine, settings: Any, cls: type, **named: str) -> None:
    get_ready(settings)
    with Session(engine) as session:
        outcome = execute(plan(session, targets(session, cls, **named)), engine, settings)
    if outcome.failed:
        raise RuntimeError(next(iter(outcome.failed.values())))


def awe(folder: Path, target: str, band: str, megapixels: float, keep_regridded: bool = True) -> Work:
    """Make coadd and source list of a target's raw exposures with a filter, whose calibrations are there, in a copy."""
    copy = _copied(folder)
    settings = replace(settings_in(Path(copy.name)), keep_regridded=keep_regridded)
    engine = open_engine(settings.database)

    def call() -> dict[str, Any]:
        _made(engine, settings, SourceList, object=target, filter=band)
        with Session(engine) as session:
            rows = session.scalar(select(func.sum(SourceList.n_sources)))
            largest = session.scalar(select(func.max(Job.peak_memory)))
        return {"sources": int(rows or 0), "MB in the largest process": int(largest or 0)}

    def told(found: dict[str, Any]) -> dict[str, Any]:
        copy.cleanup()
        return found

    return Work(call, megapixels, "Mpix", told, warm=False)


def _copied(folder: Path) -> TemporaryDirectory[str]:
    """Return a copy of what is stored of a night: it can be made of it again and again."""
    copy = TemporaryDirectory(dir=folder.parent)
    shutil.copytree(folder / "home", Path(copy.name) / "home")
    return copy


def export(folder: Path) -> Work:
    """Make all, and write what the coadd of most frames was made of for the chain; tell which it is."""
    return Work(lambda: exported(folder), tell=lambda told: told, warm=False)


def exported(folder: Path) -> dict[str, Any]:
    """Write exp*.fits, exp*.weight.fits, the catalogue for SCAMP, and `survey.json` with the grid.

    An exposure is a file with an extension for each chip, with weights and the coordinates of the telescope.
    """
    copy, out = _copied(folder), folder / "exposures"
    settings = settings_in(Path(copy.name))
    engine = open_engine(settings.database)
    _made(engine, settings, SourceList)
    out.mkdir()
    with start_data_server(settings.data_folder) as server, Session(engine) as session:
        products = Products(open_store(replace(settings, data_server=server.address)), out, "default", lambda *_: {})
        coadd = session.scalars(select(Coadd).order_by(Coadd.n_frames.desc())).unique().first()
        assert coadd is not None
        pairs = sorted(
            ((frame.reduced, frame.weight) for frame in coadd.regridded_frames),
            key=lambda pair: (pair[0].date_obs, pair[0].chip.name),
        )
        dates = sorted({reduced.date_obs for reduced, _ in pairs})
        for number, date in enumerate(dates):
            _export_exposure(products, [pair for pair in pairs if pair[0].date_obs == date], out, number)
        known = {"exposures": len(dates), "ra": coadd.grid_target.ra, "dec": coadd.grid_target.dec}
        known |= {"scale": coadd.pixel_scale, "shape": [coadd.naxis2, coadd.naxis1]}
        known |= {"megapixels": sum(r.naxis1 * r.naxis2 for r, _ in pairs) / 1e6}
        known |= {"target": pairs[0][0].raw.object, "band": coadd.filter.name}
        (out / "survey.json").write_text(json.dumps(known))
        catalogue = session.scalars(select(ReferenceCatalogue)).unique().first()
        if catalogue is None:
            raise RuntimeError("SCAMP needs a reference catalogue: give one with --catalogue FILE:FORM")
        _export_catalogue(products, coadd, catalogue, out / "reference.cat")
    engine.dispose()
    copy.cleanup()
    return {name: known[name] for name in ("target", "band", "megapixels")}


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


def _export_catalogue(products: Products, coadd: Any, catalogue: ReferenceCatalogue, path: Path) -> None:
    """Write the stars of the reference catalogue around a coadd, at its epoch, in the form that SCAMP reads."""
    frame = coadd.regridded_frames[0]
    epoch = epoch_of(frame.reduced.raw.mjd_obs)
    shape = (coadd.naxis2, coadd.naxis1)
    stars = reference_stars(products, catalogue, Wcs.from_header(coadd.wcs), shape, margin=60.0, epoch=epoch)
    band = next((b for b in (coadd.filter.band, *catalogue.bands) if b in catalogue.bands), None)
    magnitude, its_error = (stars[f"mag_{band}{end}"] if band else np.zeros(len(stars)) for end in ("", "_error"))
    known = np.isfinite(magnitude)
    stars, magnitude, its_error = stars[known], magnitude[known], np.nan_to_num(its_error[known], nan=0.1)
    ldac.write_reference(
        path, stars["ra"], stars["dec"], np.nanmedian(stars["ra_error"]) / 3.6e6, magnitude, its_error, epoch
    )
