"""Real nights, from raw files to products, in a home folder with its own database and data server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from awe.config import Settings, load_settings
from awe.database import open_engine, short_transaction, upgrade
from awe.instruments import load_definitions
from awe.model import persistent_class
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import Outcome, data_server, execute
from awe.processing.ingest import Ingester, Report, find_files
from awe.processing.plan import plan
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.processing.worker import open_store


@dataclass
class Home:
    """One installation: settings with a running data server, engine, and what was ingested."""

    settings: Settings
    engine: Engine
    reports: list[Report] = field(default_factory=list)

    def ingest(self, *paths: Path) -> list[Report]:
        """Ingest files and folders; return the verdicts."""
        ingester = Ingester(self.engine, open_store(self.settings), self.settings, load_definitions())
        found = list(ingester.ingest(find_files(paths)))
        self.reports += found
        return found

    def add_catalogue(self, path: Path, form: str) -> None:
        """Add a reference catalogue."""
        add_catalogue(self.engine, open_store(self.settings), self.settings, path, form, form)

    def make(self, class_name: str, **named: Any) -> Outcome:
        """Make the products of a class, and whatever they need."""
        cls = persistent_class(class_name)
        with Session(self.engine) as session:
            planned = plan(session, targets(session, cls, **named))
            assert planned.impossible == []
            return execute(planned, self.engine, self.settings)

    def all(self, class_name: str, **named: Any) -> list[Any]:
        """Return the objects of a class in order of their numbers, detached."""
        cls: Any = persistent_class(class_name)
        with Session(self.engine, expire_on_commit=False) as session:
            return list(session.scalars(select(cls).filter_by(**named).order_by(cls.object_id)).unique())

    def path(self, product: Any) -> Path:
        """Return a local copy of the file of a product."""
        return open_store(self.settings).retrieve(product.filename)


@pytest.fixture(scope="module")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Home]]:
    """Make empty homes whose data servers run until the module is done."""
    with ExitStack() as servers:

        def make() -> Home:
            settings = load_settings({}, home=tmp_path_factory.mktemp("home"), workers=2)
            engine = open_engine(settings.database)
            upgrade(engine)
            servers.callback(engine.dispose)
            with short_transaction(engine) as session:
                register_processes(session)
            return Home(servers.enter_context(data_server(settings)), engine)

        yield make
