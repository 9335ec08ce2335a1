"""The input of the measurements: simulated nights, taken in and processed by awe; frames of one as FITS and arrays."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import open_engine, short_transaction, upgrade
from awe.fits import read_image
from awe.fits_layout import file_contents, scan
from awe.instruments import load_definitions
from awe.kernels.flags import PixelFlag
from awe.kernels.overscan import overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.local import start_data_server
from awe.model import Coadd, Job, RawBiasFrame, RawFrame, ReducedFrame, RegriddedFrame, SourceList
from awe.model.persistent import Persistent
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import execute
from awe.processing.ingest import Ingester, find_files
from awe.processing.plan import plan
from awe.processing.products import Products
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.processing.worker import open_store
from awe.simulation import PRESETS, NightPlan, load_night, simulate_night
from awe.simulation.rendering import Kind
from awe.simulation.truth import Truth
from benchmarks.child import Work


def settings_in(folder: Path, workers: int = 0) -> Settings:
    """Return settings with everything in one folder."""
    return Settings(home=folder / "home", workers=workers)


def simulated(folder: Path, size: str) -> None:
    """Simulate a night unless it is there."""
    if not (folder / "night").exists():
        simulate_night(folder / "night", _plan(size))


def _plan(size: str) -> NightPlan:
    if size in PRESETS:
        return PRESETS[size]
    side = int(size)
    return replace(PRESETS["demo"], chip_shape=(side, side), chips=1, filters=("r",))


def simulate(folder: Path, size: str) -> Work:
    """Simulate a night."""
    return Work(lambda: simulated(folder, size), warm=False)


def process(folder: Path, size: str = "", raw: str = "", catalogue: str = "") -> Work:
    """Take in and process a night, from an empty database to source lists: a simulated one, or a folder of raw frames.

    `catalogue` is a reference catalogue for the latter, as FILE:FORM.
    """
    if raw:
        files = find_files([Path(raw)])
        path, _, form = catalogue.rpartition(":")
    else:
        simulated(folder, size)
        night = load_night(folder / "night")
        files, path, form = night.files, str(night.reference_catalogue), "plain"
    return Work(
        lambda: processed(folder, files, path, form), _raw_pixels(files) / 1e6, "Mpix", lambda told: told, warm=False
    )


def _raw_pixels(files: Sequence[Path]) -> int:
    return sum(int(np.prod(hdu.shape)) for path in files for hdu in scan(path, file_contents(path)) if hdu.is_image)


def processed(folder: Path, files: Sequence[Path], catalogue: str, form: str) -> dict[str, Any]:
    """Process raw frames and return the seconds that each part took."""
    settings = settings_in(folder)
    settings.home.mkdir()
    engine = open_engine(settings.database)
    upgrade(engine)
    told: dict[str, Any] = {}
    with short_transaction(engine) as session:
        register_processes(session)
    with start_data_server(settings.data_folder) as server:
        settings = replace(settings, data_server=server.address)
        store = open_store(settings)
        if catalogue:
            add_catalogue(engine, store, settings, Path(catalogue), "reference", form)
        start = time.perf_counter()
        reports = list(Ingester(engine, store, settings, load_definitions()).ingest(files))
        told["ingest"] = time.perf_counter() - start
        told["files"], told["bytes"] = len(reports), sum(f.stat().st_size for f in files)
        start = time.perf_counter()
        with Session(engine) as session:
            wanted = plan(session, targets(session, SourceList))
            told["plan"], start = time.perf_counter() - start, time.perf_counter()
            outcome = execute(wanted, engine, settings)
        told["make"] = time.perf_counter() - start
    if outcome.failed:
        raise RuntimeError(next(iter(outcome.failed.values())))
    told["steps"] = _steps(engine)
    engine.dispose()
    return told


def _steps(engine: Any) -> dict[str, list[float]]:
    """Return {class: [number of products, seconds of all together, largest memory]}, in the order of making."""
    with Session(engine) as session:
        columns = Job.product_class, func.count(), func.sum(Job.wall_time), func.max(Job.peak_memory)
        rows = session.execute(select(*columns).group_by(Job.product_class).order_by(func.min(Job.job_id)))
        return {name: [count, seconds, memory] for name, count, seconds, memory in rows}


def export(folder: Path) -> Work:
    """Write frames of a processed night as FITS files and arrays, for the kernels and their peers."""
    return Work(lambda: exported(folder), warm=False)


def exported(folder: Path) -> None:
    """Write the reduced frames (image, weight, flags, background, mask) and the trimmed biases of a night."""
    settings = settings_in(folder)
    engine = open_engine(settings.database)
    out = folder / "scene"
    out.mkdir()
    with start_data_server(settings.data_folder) as server, Session(engine) as session:
        products = Products(open_store(replace(settings, data_server=server.address)), out, "default", _no_rows)
        frames = list(session.scalars(select(RegriddedFrame).order_by(RegriddedFrame.date_obs)).unique())
        truth = load_night(folder / "night").truth
        for number, frame in enumerate(frames):
            _export_frame(products, frame, out, number)
            np.save(out / f"charge{number}.npy", _charge(truth, frame))
            np.save(out / f"truth{number}.npy", _objects(truth, frame))
        described = _export_reduction(products, frames[0].reduced, out)
        biases = list(session.scalars(select(RawBiasFrame).order_by(RawBiasFrame.date_obs)).unique())
        np.save(out / "biases.npy", np.stack([_trimmed(products, raw) for raw in biases]))
        coadd = session.scalars(select(Coadd)).unique().first()
        grid = frames[0].grid_target
        described |= {"frames": len(frames), "gain": frames[0].reduced.gain, "noise": frames[0].reduced.noise}
        described |= {"wcs": grid.wcs, "shape": [grid.naxis2, grid.naxis1], "coadd": coadd.object_id if coadd else 0}
        described["pixels"] = frames[0].reduced.naxis1 * frames[0].reduced.naxis2
        described["ra"], described["dec"], described["scale"] = grid.ra, grid.dec, grid.pixel_scale
        described["objects"] = session.scalar(select(func.count(Persistent.object_id)))
        (out / "scene.json").write_text(json.dumps(described))
    engine.dispose()


def _export_reduction(products: Products, reduced: ReducedFrame, out: Path) -> dict[str, Any]:
    """Copy the files of which a reduced frame and its weight are made, and return what is known of them."""
    raw = reduced.raw
    roles = {"bias": reduced.bias, "flat": reduced.flat, "hot": reduced.hot_pixels, "cold": reduced.cold_pixels}
    for name, frame in (roles | {"raw": raw, "full": reduced.saturated_pixels}).items():
        (out / f"{name}.fits").write_bytes(products.path(frame).read_bytes())
    return {"hdu": raw.hdu, "data": raw.data_section, "overscan": raw.overscan_sections.split(";")}


def _charge(truth: Truth, frame: RegriddedFrame) -> np.ndarray:
    """Return the charge (adu) that cosmic rays left in each pixel of an exposure."""
    raw = frame.reduced.raw
    chip = next(name for name in truth.chips if name.lower() == raw.chip.name.lower())
    return truth.charge(raw.original_name, chip, PixelFlag.COSMIC)


def _objects(truth: Truth, frame: RegriddedFrame) -> np.ndarray:
    """Return place (pixel, from 0) and flux (adu) of all objects on an exposure, and whether they are stars."""
    raw = frame.reduced.raw
    chip = next(name for name in truth.chips if name.lower() == raw.chip.name.lower())
    x, y = truth.positions(raw.original_name, chip)
    rows = np.zeros(len(x), [("x", "f8"), ("y", "f8"), ("flux", "f8"), ("star", "?")])
    rows["x"], rows["y"] = x, y
    rows["flux"] = truth.fluxes(raw.original_name, chip) * raw.exptime
    rows["star"] = truth.objects["kind"] == Kind.STAR
    ny, nx = frame.reduced.naxis2, frame.reduced.naxis1
    return rows[(x > -20) & (y > -20) & (x < nx + 20) & (y < ny + 20)]


def _no_rows(_number: int, _names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {}


def _trimmed(products: Products, raw: RawFrame) -> np.ndarray:
    image, _ = read_image(products.path(raw), raw.hdu)
    overscan = [Section.parse(text) for text in raw.overscan_sections.split(";")]
    return calibrate(image, Section.parse(raw.data_section), overscan_level(image, overscan))[0]


def _export_frame(products: Products, frame: RegriddedFrame, out: Path, number: int) -> None:
    header = fits.Header()
    header.update(frame.astrometry.wcs)
    header["GAIN"], header["EXPTIME"] = frame.reduced.gain, 1.0
    header["FLXSCALE"] = frame.flux_scale
    planes = {
        "image": products.plane(frame.reduced, "IMAGE"),
        "weight": products.plane(frame.weight, "WEIGHT"),
        "flags": products.plane(frame.weight, "FLAGS"),
        "background": products.sky(frame.background).rows(),
    }
    for name, plane in planes.items():
        fits.writeto(out / f"{name}{number}.fits", np.asarray(plane), header)
        np.save(out / f"{name}{number}.npy", np.asarray(plane))
    regridded = products.path(frame)
    (out / f"regridded{number}.fits").write_bytes(regridded.read_bytes())
