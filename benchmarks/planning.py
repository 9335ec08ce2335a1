"""The planner on archives of growing size, which consist of rows alone."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from awe.database import open_engine, upgrade
from awe.model import Coadd
from awe.processing.plan import plan
from awe.processing.requests import targets
from benchmarks.archive import OBJECT, fill, pretend
from benchmarks.child import Work, own_memory


def _archive(folder: Path, count: int) -> Engine:
    engine = open_engine(f"sqlite:///{folder / f'archive{count}-{os.getpid()}.db'}")
    upgrade(engine)
    with Session(engine) as session:
        fill(session, count)
    return engine


def plan_unreduced(folder: Path, count: int) -> Work:
    """Plan the coadd of raw frames of which nothing is made yet."""
    return _planned(_archive(folder, count), count)


def plan_reduced(folder: Path, count: int) -> Work:
    """Find that the coadd of raw frames, and all that it was made from, is up to date."""
    engine = _archive(folder, count)
    with Session(engine) as session:
        pretend(session, Coadd)
    return _planned(engine, count)


def _planned(engine: Engine, count: int) -> Work:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]))

    def call() -> dict[str, Any]:
        sent.clear()
        with own_memory() as memory, Session(engine) as session:
            steps = len(plan(session, targets(session, Coadd, object=OBJECT)).steps)
        return {"steps": steps, "statements": len(sent), "MB without files": round(memory[0])}

    return Work(call, count, "raw", lambda told: told)
