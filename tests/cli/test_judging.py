"""awe token and awe judge: who may say what of an object, and what is kept of it."""

import json
import sqlite3
from pathlib import Path

import pytest

from .conftest import Command


@pytest.fixture
def place(raw_home: Path) -> tuple[str, Path]:
    """How commands name a home folder that a test may change."""
    return "--home", raw_home


def first(awe: Command, place: tuple[str, Path], name: str) -> int:
    """Return the number of the first object of a class."""
    found = json.loads(awe(*place, "find", name, "--json", "--columns", "object_id").out)["objects"]
    return int(found[0]["object_id"])


def said_of(place: tuple[str, Path], number: int) -> list[tuple[str, str, int | None, int | None, str]]:
    """Return the history of an object, as the database holds it."""
    with sqlite3.connect(place[1] / "awe.db") as database:
        query = "SELECT creator, subject, before, after, text FROM judgement WHERE object_id = ? ORDER BY judgement_id"
        return database.execute(query, (number,)).fetchall()


def test_a_token_is_printed_once_and_listed_without_its_text(awe: Command, place: tuple[str, Path]) -> None:
    issued = awe(*place, "token", "add", "ann", "--project", "survey")
    text = issued.out.strip()
    listed = awe(*place, "token", "list")
    (entry,) = json.loads(awe(*place, "token", "list", "--json").out)

    assert text.startswith("awe_")
    assert len(text) > 40
    assert text not in issued.err + listed.out
    assert (entry["user"], entry["project"], entry["revoked"]) == ("ann", "survey", None)
    assert text.encode() not in (place[1] / "awe.db").read_bytes()


def test_a_token_is_revoked_by_its_number(awe: Command, place: tuple[str, Path]) -> None:
    awe(*place, "token", "add", "ann")

    assert awe(*place, "token", "revoke", "1").out == "token 1 of ann: revoked\n"
    assert json.loads(awe(*place, "token", "list", "--json").out)[0]["revoked"] is not None
    refused = awe(*place, "token", "revoke", "7")
    assert (refused.code, "no token 7" in refused.err) == (3, True)


@pytest.mark.parametrize("user", ["", " ann", "a\nb", "x" * 65])
def test_a_token_is_for_somebody(awe: Command, place: tuple[str, Path], user: str) -> None:
    refused = awe(*place, "token", "add", user)

    assert refused.code == 2
    assert "user must be a name" in refused.err
    assert json.loads(awe(*place, "token", "list", "--json").out) == []


def test_a_judgement_is_kept_with_its_author(
    awe: Command, place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = first(awe, place, "RawScienceFrame")
    monkeypatch.setenv("AWE_USER", "ann")
    judged = awe(*place, "judge", number, "--invalid", "satellite", "--flags", "few_inputs")
    told = awe(*place, "judge", number, "--comment", "seen again")

    assert (judged.code, told.code) == (0, 0), judged.err + told.err
    assert said_of(place, number) == [
        ("ann", "is_valid", 1, 0, "satellite"),
        ("ann", "quality_flags", 0, 1, "satellite"),
        ("ann", "comment", None, None, "seen again"),
    ]


def test_who_is_of_another_project_may_only_comment(
    awe: Command, place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = first(awe, place, "RawScienceFrame")
    monkeypatch.setenv("AWE_USER", "eve")
    monkeypatch.setenv("AWE_PROJECT", "other")
    refused = awe(*place, "judge", number, "--invalid", "no")

    assert refused.code != 0
    assert "eve (project other) may not judge" in refused.err
    assert awe(*place, "judge", number, "--comment", "hm").code == 0
    assert [entry[:2] for entry in said_of(place, number)] == [("eve", "comment")]


def test_a_flag_that_there_is_not_is_named(awe: Command, place: tuple[str, Path]) -> None:
    refused = awe(*place, "judge", "2", "--flags", "few_input", "--comment", "x")

    assert refused.code == 2
    assert "no quality flag 'few_input'; near ones: few_inputs" in refused.err
