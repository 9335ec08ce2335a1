"""init, upgrade, config: setting up, and what is said if it was not done."""

import json
import sqlite3
from pathlib import Path

import pytest

from .conftest import Command


def test_init_creates_what_is_missing_and_says_so_once(awe: Command, tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    first, second = awe("--home", home, "init"), awe("--home", home, "init")
    assert first.code == second.code == 0
    assert "created the tables" in first.out
    assert "registered" in first.out
    assert "everything is there already" in second.out


def test_a_database_elsewhere_is_created_too(awe: Command, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'elsewhere' / 'survey.db'}"
    assert awe("--home", tmp_path / "home", "--database", address, "init").code == 0
    assert (tmp_path / "elsewhere" / "survey.db").is_file()


def test_a_database_that_is_missing_empty_or_old_is_refused_with_the_remedy(awe: Command, tmp_path: Path) -> None:
    missing = awe("--home", tmp_path, "find", "RawFrame")
    assert (missing.code, "create it with `awe init`" in missing.err) == (8, True)
    sqlite3.connect(tmp_path / "awe.db").close()
    empty = awe("--home", tmp_path, "find", "RawFrame")
    assert (empty.code, "is empty: create the tables with `awe init`" in empty.err) == (8, True)
    awe("--home", tmp_path, "init")
    with sqlite3.connect(tmp_path / "awe.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    old = awe("--home", tmp_path, "find", "RawFrame")
    assert (old.code, "bring it up to date with `awe upgrade`" in old.err) == (8, True)


def test_upgrade_registers_what_changed(awe: Command, tmp_path: Path) -> None:
    awe("--home", tmp_path, "init")
    with sqlite3.connect(tmp_path / "awe.db") as connection:
        connection.execute("UPDATE process SET code_hash = 'x' WHERE product_class = 'Coadd'")
    assert "the code of make_coadd changed without a new version" in awe("--home", tmp_path, "upgrade").out
    assert awe("--home", tmp_path, "upgrade").out == "everything is up to date\n"


def test_config_says_where_each_value_comes_from(awe: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("awe.toml").write_text('project = "KIDS"\nport = 8100\n')
    monkeypatch.setenv("AWE_USER", "kapteyn")
    found = json.loads(awe("--home", tmp_path / "h", "--port", "8200", "config", "show", "--json").out)
    assert found["home"] == {"value": str(tmp_path / "h"), "from": "option --home"}
    assert found["port"] == {"value": 8200, "from": "option --port"}
    assert found["user"] == {"value": "kapteyn", "from": "environment AWE_USER"}
    assert found["project"] == {"value": "KIDS", "from": str(tmp_path / "awe.toml")}
    assert found["host"]["from"] == "default"


def test_the_password_of_a_database_is_not_shown(awe: Command) -> None:
    assert "secret" not in awe("--database", "postgresql://awe:secret@db/survey", "config", "show").out


def test_a_wrong_setting_is_named(awe: Command) -> None:
    assert awe("--port", "many", "config", "show").err == "awe: setting port must be a int, got 'many'\n"
