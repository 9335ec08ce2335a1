"""The migrations make the tables of the model, no more and no less, on both databases."""

import sqlite3
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

import awe.database
from awe.database import alembic_config, check_schema, newest_revision, open_checked, open_engine, revision, upgrade
from awe.errors import BadRequest, DatabaseUnavailable
from awe.model import Base


@pytest.fixture
def fresh(databases):
    """An engine for a database without tables."""
    address = databases.new()
    engine = open_engine(address)
    yield engine
    engine.dispose()
    databases.drop(address)


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


def alembic_do(engine: Engine, what: str, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(awe.database.__file__).parents[1] / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, what)(config, to)


def test_the_migrations_make_what_the_model_declares(fresh):
    upgrade(fresh)

    assert differences(fresh) == []


def test_the_tables_are_the_same_whichever_way_they_were_made(fresh, databases):
    upgrade(fresh)
    address = databases.new()
    other = open_engine(address)
    Base.metadata.create_all(other)
    migrated, declared = ({table: described(engine, table) for table in tables(engine)} for engine in (fresh, other))
    other.dispose()
    databases.drop(address)

    assert {name: table for name, table in migrated.items() if table != declared.get(name)} == {}
    assert set(migrated) == set(declared)


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def described(engine: Engine, table: str) -> dict[str, object]:
    found = inspect(engine)
    return {
        "columns": {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
        "keys": found.get_pk_constraint(table),
        "links": sorted(str(sorted(f.items(), key=str)) for f in found.get_foreign_keys(table)),
        "unique": sorted(str(u["column_names"]) for u in found.get_unique_constraints(table)),
        "checks": sorted(str(c["name"]) for c in found.get_check_constraints(table)),
        "indexes": sorted(str((i["name"], i["column_names"], bool(i["unique"]))) for i in found.get_indexes(table)),
    }


def test_the_way_back_leaves_nothing(fresh):
    upgrade(fresh)
    alembic_do(fresh, "downgrade", "base")

    assert tables(fresh) == set()


def test_the_way_there_and_back_and_there_again_is_open(fresh):
    upgrade(fresh)
    alembic_do(fresh, "downgrade", "base")
    upgrade(fresh)

    assert differences(fresh) == []


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(fresh):
    upgrade(fresh)
    upgrade(fresh)

    assert revision(fresh) == newest_revision()
    check_schema(fresh)


def test_an_empty_database_is_refused_with_the_remedy(fresh):
    with pytest.raises(DatabaseUnavailable, match=r"is empty: create the tables with `awe init`"):
        check_schema(fresh)


def test_a_database_of_another_version_is_refused_with_the_remedy(fresh):
    upgrade(fresh)
    with fresh.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    with pytest.raises(DatabaseUnavailable) as refusal:
        check_schema(fresh)

    said = f"is at schema 0000, this program needs {newest_revision()}: bring it up to date with `awe upgrade`"
    assert str(refusal.value).endswith(said)


def test_a_refusal_keeps_the_password_to_itself():
    engine = open_engine("postgresql://ann:secret@127.0.0.1:1/awe")

    with pytest.raises(DatabaseUnavailable) as refusal:
        check_schema(engine)
    engine.dispose()

    assert "secret" not in str(refusal.value)
    assert "ann:***@127.0.0.1:1/awe can't be opened" in str(refusal.value)


def test_a_missing_file_is_refused_and_not_made(tmp_path):
    with pytest.raises(DatabaseUnavailable, match=r"no database .*/awe.db: create it with `awe init`"):
        open_checked(f"sqlite:///{tmp_path}/awe.db")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("awe.db", "database 'awe.db' is not an address like sqlite:///file.db or postgresql://host/name"),
        ("mysql://host/awe", "database 'mysql' is neither sqlite nor postgresql"),
    ],
)
def test_an_address_of_another_kind_is_refused(address, said):
    with pytest.raises(BadRequest) as refusal:
        open_engine(address)

    assert str(refusal.value) == said


def test_what_is_in_the_tables_survives_an_upgrade(fresh):
    alembic_do(fresh, "upgrade", "0002")
    before = MetaData()
    before.reflect(fresh)
    with fresh.begin() as connection:
        for table in before.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(insert(table), [plausible(table)])
        there = counts(connection, before)

    upgrade(fresh)

    with fresh.connect() as connection:
        assert counts(connection, before) == there
        assert set(there.values()) == {1}
        assert connection.execute(text("SELECT external, origin FROM frame")).all() == [(False, None)]
    assert differences(fresh) == []
    if fresh.dialect.name == "sqlite":
        with fresh.connect() as connection:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def counts(connection: Any, tables: MetaData) -> dict[str, int]:
    return {table.name: connection.scalar(select(func.count()).select_from(table)) for table in tables.sorted_tables}


def plausible(table: Table) -> dict[str, Any]:
    """Return values for a row of a table; all links lead to number 1."""
    return {column.name: _plausible(column) for column in table.columns if not column.nullable}


def _plausible(column: Any) -> Any:
    kinds = {int: 1, float: 1.0, str: "1", bool: True, datetime: datetime(2026, 1, 1), date: date(2026, 1, 1)}
    if column.name == "class_name":
        return "Persistent"
    try:
        return kinds[column.type.python_type]
    except (KeyError, NotImplementedError):
        return []  # JSON


def test_foreign_keys_are_watched_after_an_upgrade(fresh):
    upgrade(fresh)

    with pytest.raises(IntegrityError), fresh.begin() as connection:
        connection.execute(text("INSERT INTO sky_cell (object_id, cell) VALUES (12345, 1)"))


def test_an_upgrade_that_breaks_links_changes_nothing(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/awe.db")
    alembic_do(engine, "upgrade", "0002")
    with sqlite3.connect(tmp_path / "awe.db") as connection:
        connection.execute("INSERT INTO sky_cell (object_id, cell) VALUES (12345, 1)")

    with pytest.raises(DatabaseUnavailable, match=r"row 1 of sky_cell would link to no row of \w+; nothing was"):
        upgrade(engine)

    assert revision(engine) == "0002"
    engine.dispose()


def test_the_newest_migration_is_told_by_the_names_of_the_files() -> None:
    assert newest_revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()


def test_looking_at_the_schema_does_not_load_the_tool_that_changes_it() -> None:
    code = "import sys, awe.database as d; d.revision(d.open_engine('sqlite://')); assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_keep_their_values_under_other_names_and_get_them_back(fresh):
    alembic_do(fresh, "upgrade", "0015")
    before = MetaData()
    before.reflect(fresh)
    values = {
        "backgroundframe": {"param_cell": 96, "param_filter_size": 5},
        "fringeframe": {"param_cell": 200},
        "astrometricparameters": {"param_threshold": 7.5},
        "globalastrometry": {"param_threshold": 6.5},
        "regriddedframe": {"param_kernel": "lanczos4"},
    }
    with fresh.begin() as connection:
        for table in before.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(insert(table), [plausible(table) | values.get(table.name, {})])

    upgrade(fresh)

    def found(query: str) -> tuple[Any, ...]:
        with fresh.connect() as connection:
            return tuple(connection.execute(text(query)).one())

    assert found("SELECT param_back_size, param_back_filtersize FROM backgroundframe") == (96, 5)
    assert found("SELECT param_back_size FROM fringeframe") == (200,)
    assert found("SELECT param_detect_thresh FROM astrometricparameters") == (7.5,)
    assert found("SELECT param_detect_thresh FROM globalastrometry") == (6.5,)
    assert found("SELECT param_oversampling, oversampled FROM regriddedframe") == (0, None)
    assert found("SELECT param_projection_err FROM regriddedframe") == (0.001,)

    alembic_do(fresh, "downgrade", "0015")

    assert found("SELECT param_cell, param_filter_size FROM backgroundframe") == (96, 5)
    assert found("SELECT param_threshold FROM astrometricparameters") == (7.5,)
    after = MetaData()
    after.reflect(fresh)
    assert {t.name: {c.name: c.comment for c in t.columns} for t in after.sorted_tables} == {
        t.name: {c.name: c.comment for c in t.columns} for t in before.sorted_tables
    }


def test_frames_made_elsewhere_get_no_parameters_by_an_upgrade(fresh):
    alembic_do(fresh, "upgrade", "0015")
    before = MetaData()
    before.reflect(fresh)
    with fresh.begin() as connection:
        for table in before.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(insert(table), [plausible(table)])

    upgrade(fresh)

    with fresh.connect() as connection:
        names = ("param_kernel", "param_oversampling", "param_projection_err")
        found = connection.execute(text(f"SELECT {', '.join(names)} FROM regriddedframe")).one()
        assert found == (None, None, None)
