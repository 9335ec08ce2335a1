"""Engine, sessions and schema: one database, SQLite or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from awe.errors import BadRequest, DatabaseUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_SECONDS = 60
MIGRATIONS = Path(__file__).parents[1] / "migrations"


def database_url(address: str) -> URL:
    """Return the SQLAlchemy address; `postgresql://` means psycopg2."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise BadRequest(
            f"database {address!r} is not an address like sqlite:///file.db or postgresql://host/name"
        ) from error
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg2")
    if url.drivername in ("sqlite", "postgresql+psycopg2"):
        return url
    raise BadRequest(f"database {url.drivername!r} is neither sqlite nor postgresql")


def open_engine(address: str) -> Engine:
    """Return an engine for the database; SQLite in WAL mode, foreign keys, patient locks, and LIKE as in PostgreSQL."""
    url = database_url(address)
    if url.drivername != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "case_sensitive_like = ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def open_checked(address: str) -> Engine:
    """Return an engine for a database whose schema is that of this program; raise DatabaseUnavailable otherwise."""
    check_exists(address)
    engine = open_engine(address)
    check_schema(engine)
    return engine


def check_exists(address: str) -> None:
    """Raise DatabaseUnavailable if the file of an SQLite database is missing."""
    url = database_url(address)
    if (
        url.drivername == "sqlite"
        and url.database not in (None, "", ":memory:")
        and not Path(str(url.database)).exists()
    ):
        raise DatabaseUnavailable(f"no database {url.database}: create it with `awe init`")


def check_schema(engine: Engine) -> None:
    """Raise DatabaseUnavailable if the database is not at the newest migration, and say the remedy."""
    current, head = revision(engine), newest_revision()
    if current == head:
        return
    name = engine.url.render_as_string(hide_password=True)
    if current is None:
        raise DatabaseUnavailable(f"database {name} is empty: create the tables with `awe init`")
    raise DatabaseUnavailable(
        f"database {name} is at schema {current}, this program needs {head}: bring it up to date with `awe upgrade`"
    )


def revision(engine: Engine) -> str | None:
    """Return the migration that a database is at; None if it has none."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.scalar(text("SELECT version_num FROM alembic_version"))
    except OperationalError as error:
        name = engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailable(f"database {name} can't be opened: {error.orig}") from error


def newest_revision() -> str:
    """Return the newest migration of this program."""
    return max(file.name for file in MIGRATIONS.glob("versions/[0-9]*.py")).partition("_")[0]


def upgrade(engine: Engine) -> None:
    """Bring the schema of a database to that of this program: all of it, or nothing if that fails."""
    from alembic import command  # a quarter of a second, which only those who change a schema need pay

    config = alembic_config()
    with _migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """Yield a connection whose transaction ends with the block.

    SQLite changes a table by making it anew. As long as it watches foreign keys it would take the rows of a table that
    goes for deleted, and with them all that links to them; so it looks at these once, at the end.
    """
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver itself begins only where rows change
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                name = engine.url.render_as_string(hide_password=True)
                raise DatabaseUnavailable(
                    f"database {name}: row {broken[1]} of {broken[0]} would link to no row of {broken[2]}; "
                    "nothing was changed"
                )
            connection.commit()
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def alembic_config() -> "Config":
    """Return the configuration of Alembic for this program."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def short_transaction(engine: Engine) -> Iterator[Session]:
    """Yield a session that commits at the end; its objects stay readable afterwards."""
    with Session(engine, expire_on_commit=False) as session:
        try:
            yield session
            session.commit()
        except OperationalError as error:
            session.rollback()
            name = engine.url.render_as_string(hide_password=True)
            raise DatabaseUnavailable(f"database {name}: {error.orig}") from error
