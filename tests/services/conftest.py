"""The pages over a small database and a real data server, asked by a client without a network."""

import runpy
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event

from awe.config import Settings
from awe.database import open_engine
from awe.local import start_data_server
from awe.model import Base
from awe.services.app import create_app
from awe.store import Store

build = runpy.run_path(str(Path(__file__).parents[1] / "web_world.py"))["build"]
build_cutouts = runpy.run_path(str(Path(__file__).parents[1] / "cutout_world.py"))["build"]
Counter = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture(scope="session")
def _worlds() -> Iterator[tuple[dict[str, Any], ExitStack]]:
    """What `world` has built, by kind of database, and what closes it at the end."""
    with ExitStack() as closing:
        yield {}, closing


@pytest.fixture(scope="module")
def world(databases: Any, _worlds: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The database (SQLite, then PostgreSQL) and its files; nothing changes them."""
    built, closing = _worlds
    if databases.kind not in built:
        folder = tmp_path_factory.mktemp("world")
        server = closing.enter_context(start_data_server(folder / "files"))
        engine = open_engine(databases.new())
        closing.callback(engine.dispose)
        built[databases.kind] = build(engine, Store(server.address, folder / "cache"), folder)
    return built[databases.kind]


@pytest.fixture
def app(world: Any, tmp_path: Path) -> Flask:
    """The application, with an empty cache of pictures."""
    return create_app(Settings(home=tmp_path), world.engine, world.store)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def empty(world: Any, databases: Any, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of the pages over an empty database."""
    engine = open_engine(databases.new())
    Base.metadata.create_all(engine)
    yield create_app(Settings(home=tmp_path), engine, world.store).test_client()
    engine.dispose()


@pytest.fixture
def engine(world: Any, databases: Any) -> Iterator[Engine]:
    """A copy of the world's database, which a test may change."""
    copy = open_engine(databases.copy(world.engine.url.render_as_string(hide_password=False)))
    yield copy
    copy.dispose()


@contextmanager
def _statements_to(engine: Engine) -> Iterator[list[str]]:
    """Collect the SQL statements that are sent to a database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def statements(world: Any) -> Counter:
    """A context that collects the SQL statements sent within it."""
    return lambda engine=world.engine: _statements_to(engine)


@pytest.fixture(scope="session")
def cut_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Exposures of a field with stars at known places, and all that is made of them; nothing changes them."""
    folder = tmp_path_factory.mktemp("cutouts")
    engine = open_engine(f"sqlite:///{folder}/awe.db")
    with start_data_server(folder / "files") as server:
        yield build_cutouts(engine, Store(server.address, folder / "cache"), folder)
    engine.dispose()


@pytest.fixture
def sent(cut_world: Any) -> Iterator[list[str]]:
    """The SQL statements that are sent to that world."""
    with _statements_to(cut_world.engine) as found:
        yield found


@pytest.fixture
def cut_closed(cut_world: Any, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of the pages over a copy of that world, where not everybody may see everything."""
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(cut_world.engine.url.database)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    engine = open_engine(f"sqlite:///{path}")
    yield create_app(Settings(home=tmp_path, open_reading=False), engine, cut_world.store).test_client()
    engine.dispose()


@pytest.fixture
def cut_client(cut_world: Any, tmp_path: Path) -> FlaskClient:
    """A client of the pages over that world, with an empty cache of pictures."""
    return create_app(Settings(home=tmp_path), cut_world.engine, cut_world.store).test_client()
