"""A site with a small simulated night that the pipeline has made: for tests in a browser, and pictures of the pages."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from waitress.server import create_server

from awe.cli.demo import plan_everything
from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.instruments import load_definitions
from awe.local import start_data_server
from awe.model import Base, GlobalAstrometry, Persistent, PhotometricSolution
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import execute
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.ingest import Ingester
from awe.processing.plan import Plan, plan
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.services.app import create_app
from awe.simulation import PRESETS, simulate_night
from awe.store import Store

BANDS = ("i", "r", "g")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
NO_CHROMIUM = (
    "no Chromium: the tests in a browser are skipped. On Debian: apt-get install chromium; "
    "one elsewhere is found by AWE_CHROMIUM=/path/to/chromium"
)


def find_chromium() -> str | None:
    """Return the path of a Chromium of this machine, or that of AWE_CHROMIUM."""
    path = os.environ.get("AWE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return path if path and Path(path).is_file() else None


@dataclass
class Site:
    """The pages at an address, and what is behind them."""

    address: str
    settings: Settings
    engine: Engine
    store: Store
    app: Any
    newest: int
    """The number of the last object that was there at the start."""

    def ids(self, class_name: str) -> list[int]:
        """Return the numbers of the objects of a class, oldest first."""
        query = select(Persistent.object_id).where(Persistent.class_name == class_name).order_by(Persistent.object_id)
        with Session(self.engine) as session:
            return list(session.scalars(query))

    def one(self, class_name: str) -> int:
        """Return the number of the newest object of a class that was there at the start."""
        return max(number for number in self.ids(class_name) if number <= self.newest)

    def ingest_external(self, paths: list[Path], **stated: Any) -> list[int]:
        """Take in calibrated frames made elsewhere; return their numbers."""
        worker = ExternalIngester(self.engine, self.store, self.settings, load_definitions(), stated=Stated(**stated))
        reports = list(worker.ingest(paths))
        refused = [report.reason for report in reports if not report.frames]
        assert refused == []
        return [report.frames[0] for report in reports]


def make_night(folder: Path, size: str = "tiny", **changes: Any) -> None:
    """Simulate a night of one target in three filters, and make all of it, in an empty folder."""
    sky = replace(PRESETS[size], filters=BANDS, **({"exposures": 2, "biases": 3, "chips": 1} | changes))
    night = simulate_night(folder / "night", sky)
    with _opened(folder) as (settings, engine, store):
        Base.metadata.create_all(engine)
        with short_transaction(engine) as session:
            register_processes(session)
        list(Ingester(engine, store, settings, load_definitions()).ingest(night.files))
        add_catalogue(engine, store, settings, night.reference_catalogue, "simulated", "plain")
        for wanted in (_all_exposures_together, plan_everything):
            with Session(engine) as session:
                outcome = execute(wanted(session), engine, settings)
            assert outcome.failed == {}


def _all_exposures_together(session: Session) -> Plan:
    return plan(session, [*targets(session, GlobalAstrometry), *targets(session, PhotometricSolution, filter="r")])


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Serve the night of a folder as `awe serve` does, on a free port."""
    with _opened(folder) as (settings, engine, store):
        app = create_app(settings, engine, store)
        with Session(engine) as session:
            newest = session.scalar(select(func.max(Persistent.object_id)))
        sockets: dict[Any, Any] = {}
        web = create_server(app, sockets, host="127.0.0.1", port=0, threads=8, clear_untrusted_proxy_headers=True)
        thread = threading.Thread(target=web.run)
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{web.effective_port}", settings, engine, store, app, newest)
        finally:
            web.trigger.pull_trigger(lambda: [s.close() for s in [*sockets.values()]])
            thread.join(10)
            web.task_dispatcher.shutdown()


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Settings, Engine, Store]]:
    with start_data_server(folder / "files") as server:
        address = f"sqlite:///{folder}/awe.db"
        settings = Settings(home=folder, database=address, data_server=server.address, user="ann", workers=1)
        engine = open_engine(address)
        try:
            yield settings, engine, Store(server.address, settings.cache_folder)
        finally:
            engine.dispose()
