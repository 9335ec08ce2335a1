"""An archive that consists of rows alone: raw frames and products without files, to measure the planner with."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from awe.database import open_engine, upgrade
from awe.model import (
    Chip,
    Coadd,
    Filter,
    Instrument,
    Observation,
    RawBiasFrame,
    RawScienceFrame,
    RawTwilightFlatFrame,
    ReferenceCatalogue,
    Telescope,
)
from awe.model.frame import Frame, SkyCell
from awe.model.lineage import inputs
from awe.processing.plan import plan
from awe.processing.requests import targets

OBJECT = "FIELD"
CELL = 5
OWNER = {"creator": "benchmark", "project": "benchmark"}
FIRST = date(2026, 1, 1)
FOOTPRINT = [[10.0, 10.0], [10.1, 10.0], [10.1, 10.1], [10.0, 10.1]]


def fill(session: Session, exposures: int, nights: int = 4, chips: int = 2) -> None:
    """Add raw science frames of one field in one filter, spread over nights and chips, with their calibrations."""
    telescope = Telescope(name="T", longitude=0.0, latitude=0.0, altitude=0.0, **OWNER)
    needed = {"required_calibrations": ["bias"], "calibration_days": {}}
    camera = Instrument(name="I", telescope=telescope, definition="", **needed, **OWNER)
    band = Filter(name="r", instrument=camera, band="r", **OWNER)
    parts = [Chip(name=f"chip{number}", instrument=camera, **OWNER) for number in range(chips)]
    catalogue = ReferenceCatalogue(name="stars", bands=["r"], cells=[SkyCell(cell=CELL)], **OWNER)
    session.add_all([telescope, camera, band, *parts, catalogue])
    session.flush()
    dusk = [datetime(FIRST.year, FIRST.month, FIRST.day, 18) + timedelta(days=number) for number in range(nights)]
    for number, frame in enumerate(_frames(camera, band, parts, dusk, exposures)):
        frame.content, frame.extension, frame.original_name = f"{number:064d}", 0, f"{number}.fits"
        session.add(frame)
    session.commit()


def _frames(camera: Any, band: Any, chips: list[Any], dusk: list[datetime], exposures: int) -> Iterator[Any]:
    for start in dusk:
        seen = _observation(camera, band, start)
        for chip in chips:
            for minute in range(3):
                moment = start + timedelta(minutes=minute)
                yield _raw(RawBiasFrame, seen, chip, moment, filter=None, object="BIAS")
                yield _raw(RawTwilightFlatFrame, seen, chip, moment + timedelta(minutes=9), filter=band, object="FLAT")
    seen = _observation(camera, band, dusk[0])
    for number in range(exposures):
        moment = dusk[number % len(dusk)] + timedelta(hours=2, seconds=number // len(dusk))
        chip = chips[number // len(dusk) % len(chips)]
        place = {"footprint": FOOTPRINT, "ra": 10.05, "dec": 10.05, "pixel_scale": 1.0, "cells": [SkyCell(cell=CELL)]}
        yield _raw(RawScienceFrame, seen, chip, moment, filter=band, object=OBJECT, exptime=60.0, **place)


def _observation(camera: Any, band: Any, moment: datetime) -> Any:
    given = {"object": OBJECT, "date_obs": moment, "night": moment.date(), "exptime": 60.0}
    return Observation(instrument=camera, filter=band, **given, **OWNER)


def _raw(cls: Any, seen: Any, chip: Any, moment: datetime, **given: Any) -> Any:
    taken = {"date_obs": moment, "mjd_obs": 0.0, "night": (moment - timedelta(hours=12)).date()}
    size = {"naxis1": 100, "naxis2": 100, "data_section": "[1:100,1:100]", "gain": 1.0}
    return cls(observation=seen, instrument=chip.instrument, chip=chip, **taken, **size, **given, **OWNER)


def pretend(session: Session, cls: Any) -> int:
    """Add the products of a class and all that they need as if they had been made; return how many these are."""
    with session.no_autoflush:
        made = plan(session, targets(session, cls, object=OBJECT))
    assert not made.impossible, made.impossible
    for step in made.steps:
        if any(declared.many for declared in inputs(type(step.product)).values()):
            session.flush()  # the rows of its members need the numbers of what it was made of
        session.add(_finished(step.product))
    session.commit()
    return len(made.steps)


def _finished(product: Any) -> Any:
    product.creator, product.project = OWNER["creator"], OWNER["project"]
    if isinstance(product, Coadd):
        like = product.regridded_frames[0]
        for name in ("instrument", "filter", "date_obs", "mjd_obs", "night"):
            setattr(product, name, getattr(like, name))
    grid = getattr(product, "grid_target", None)
    if grid is not None:
        grid.creator, grid.project = OWNER["creator"], OWNER["project"]
    return product


def summed(folder: Path, frames: int) -> tuple[Engine, int]:
    """Return an archive in which one coadd was made of so many frames, and its number; it is kept there."""
    path = folder / f"coadd{frames}.db"
    engine = open_engine(f"sqlite:///{path}")
    if not path.exists():
        upgrade(engine)
        with Session(engine) as session:
            fill(session, frames, nights=1, chips=1)
            pretend(session, Coadd)
            session.execute(update(Frame.__table__).values(filename=Frame.__table__.c.object_id.concat(".fits")))
            session.commit()
    with Session(engine) as session:
        return engine, session.scalars(select(Coadd.object_id)).one()
