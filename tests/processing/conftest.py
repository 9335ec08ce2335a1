"""A tiny simulated night: ingested once, made once, and copied for each test on both databases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, create_engine, insert, select, text
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.instruments import load_definitions
from awe.local import RunningDataServer, start_data_server
from awe.model import Base, Coadd, Persistent, PsfModel, SourceList
from awe.model.lineage import descendants
from awe.processing import worker
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import Outcome, execute
from awe.processing.ingest import Ingester, Report
from awe.processing.plan import Plan, plan, subject
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.simulation import PRESETS, Night, simulate_night
from awe.store import Store

MakeTables = Callable[[Engine], None]


@dataclass(frozen=True)
class Site:
    """One database with the files of a data server, and what can be done with them."""

    settings: Settings
    engine: Engine

    @property
    def store(self) -> Store:
        """A client of the data server."""
        return Store(self.settings.data_server, self.settings.cache_folder)

    def session(self) -> Session:
        """Return a session whose objects stay readable after a commit."""
        return Session(self.engine, expire_on_commit=False)

    def plan(self, cls: Any, wish: Any = None, parameters: dict[type, Any] | None = None, **named: Any) -> Plan:
        """Return the plan for products named as on the command line; its objects are detached."""
        with self.session() as session:
            return plan(session, targets(session, cls, **named), parameters, wish)

    def make(self, cls: Any, wish: Any = None, parameters: dict[type, Any] | None = None, **named: Any) -> Outcome:
        """Plan and execute."""
        with self.session() as session:
            planned = plan(session, targets(session, cls, **named), parameters, wish)
            return execute(planned, self.engine, self.settings)

    def all(self, cls: Any, **named: Any) -> list[Any]:
        """Return the objects of a class, by number."""
        with self.session() as session:
            query = cls.select(**named).statement if named else select(cls).order_by(cls.object_id)
            return list(session.scalars(query).unique())

    def change(self, cls: Any, number: int, **values: Any) -> None:
        """Set attributes of an object."""
        with short_transaction(self.engine) as session:
            thing = session.get(cls, number)
            for name, value in values.items():
                setattr(thing, name, value)

    def ingest(self, *paths: Path, **given: Any) -> list[Report]:
        """Ingest files."""
        definitions = load_definitions(given.pop("instruments", None))
        return list(Ingester(self.engine, self.store, self.settings, definitions, **given).ingest(paths))

    def below(self, *numbers: int) -> set[tuple[str, str]]:
        """Return class and subject of all products that were made of some objects, directly or not."""
        with self.session() as session:
            found = descendants(session, Persistent, numbers)
            return {label(session.get(Persistent, number)) for number in found}

    def labels(self, cls: Any) -> set[tuple[str, str]]:
        """Return class and subject of all products of a class."""
        with self.session() as session:
            return {label(product) for product in session.scalars(select(cls)).unique()}

    def to_make(self, cls: Any, **given: Any) -> dict[tuple[str, str], list[str]]:
        """Return class and subject, and the reasons, of what would be made."""
        with self.session() as session:
            wish, parameters = given.pop("wish", None), given.pop("parameters", None)
            steps = plan(session, targets(session, cls, **given), parameters, wish).steps
            assert len({label(step.product) for step in steps}) == len(steps)
            return {label(step.product): step.reasons for step in steps}

    def count(self, cls: Any = Persistent) -> int:
        """Return the number of objects of a class."""
        return len(self.all(cls))


def label(product: Any) -> tuple[str, str]:
    """Return what tells a product from the others of the night: its class, and what it is of (there is one coadd)."""
    return type(product).__name__, "" if isinstance(product, Coadd | PsfModel | SourceList) else subject(product)


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A tiny night: 2 chips, filter r, 5 biases, 3 twilight flats, 3 science exposures."""
    return simulate_night(tmp_path_factory.mktemp("night") / "night", PRESETS["tiny"])


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDataServer]:
    """The data server that all sites share; files are never changed, so no test disturbs another."""
    with start_data_server(tmp_path_factory.mktemp("files")) as server:
        yield server


def _settings(address: str, server: RunningDataServer, folder: Path) -> Settings:
    return Settings(home=folder, database=address, data_server=server.address, user="ann", workers=1)


@pytest.fixture(scope="session")
def _ingested(
    tmp_path_factory: pytest.TempPathFactory, night: Night, files: RunningDataServer, make_tables: MakeTables
) -> Settings:
    """An SQLite database with the raw frames, the catalogue and the process catalogue."""
    home = tmp_path_factory.mktemp("home")
    settings = _settings(f"sqlite:///{home}/ingested.db", files, home)
    engine = open_engine(settings.database)
    make_tables(engine)
    with short_transaction(engine) as session:
        register_processes(session)
    site = Site(settings, engine)
    refused = [r for r in site.ingest(*night.files) if r.verdict != "ingested"]
    assert refused == []
    add_catalogue(engine, site.store, settings, night.reference_catalogue, "simulated", "plain")
    engine.dispose()
    return settings


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory, _ingested: Settings, make_tables: MakeTables) -> Settings:
    """The same with the coadd, the source list and all below them."""
    address = f"sqlite:///{tmp_path_factory.mktemp('made')}/made.db"
    _copy_rows(_ingested.database, address, make_tables)
    settings = replace(_ingested, database=address)
    engine = open_engine(address)
    outcome = Site(settings, engine).make(SourceList, object="SIM-A")
    assert outcome.failed == outcome.skipped == {}
    engine.dispose()
    worker._engine(address).dispose()
    return settings


def _copy_rows(source: str, target: str, make_tables: MakeTables) -> None:
    """Write all rows of a database into another one, which may be of the other kind."""
    there, here = create_engine(target), create_engine(source)
    make_tables(there)
    with here.connect() as reading, there.begin() as writing:
        for table in Base.metadata.sorted_tables:
            rows = [dict(r) for r in reading.execute(select(table).order_by(*table.primary_key.columns)).mappings()]
            if rows:
                writing.execute(insert(table), rows)
            if rows and there.dialect.name == "postgresql":
                _count_on(writing, table, rows)
    there.dispose()
    here.dispose()


def _count_on(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Let PostgreSQL number new rows after those that were copied."""
    column = table.autoincrement_column
    if column is not None and not column.foreign_keys:
        sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
        connection.execute(text(f"SELECT setval({sequence}, {max(row[column.name] for row in rows)})"))


@pytest.fixture(scope="module")
def _templates(databases: Any, _ingested: Settings, _made: Settings, make_tables: MakeTables) -> dict[str, str]:
    """Addresses of the two states in databases of one kind, to copy from."""
    for state, settings in (("ingested", _ingested), ("made", _made)):
        if state not in databases.templates:
            databases.templates[state] = databases.new()
            _copy_rows(settings.database, databases.templates[state], make_tables)
    return databases.templates  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def _slots() -> Iterator[dict[str, list[Engine]]]:
    """Engines that outlive the tests: what they know of statements saves each test seconds."""
    engines: dict[str, list[Engine]] = {"sqlite": [], "postgresql": []}
    yield engines
    for engine in engines["sqlite"] + engines["postgresql"]:
        engine.dispose()


@pytest.fixture
def copied(
    databases: Any, _templates: dict[str, str], _made: Settings, _slots: dict[str, list[Engine]]
) -> Iterator[Callable[..., Site]]:
    """A function that returns a fresh copy of a state (`ingested` or `made`), for one test."""
    free, slots = count(), _slots[databases.kind]

    def copy(state: str, **settings: Any) -> Site:
        number = next(free)
        if number == len(slots):
            slots.append(open_engine(databases.new()))
        address = slots[number].url.render_as_string(hide_password=False)
        databases.copy(_templates[state], address)
        return Site(replace(_made, database=address, **settings), slots[number])

    yield copy
    for engine in slots:
        engine.dispose()
        worker._engine(engine.url.render_as_string(hide_password=False)).dispose()


@pytest.fixture
def ingested(copied: Callable[..., Site]) -> Site:
    """The night with its raw frames, for one test to do with as it likes."""
    return copied("ingested")


@pytest.fixture
def made(copied: Callable[..., Site]) -> Site:
    """The night with all of its products, for one test to do with as it likes."""
    return copied("made")


@pytest.fixture(scope="session")
def undisturbed(_made: Settings) -> Iterator[Site]:
    """The night with all of its products, to look at only; SQLite."""
    engine = open_engine(_made.database)
    yield Site(_made, engine)
    engine.dispose()
