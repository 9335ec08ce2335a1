"""Planning costs statements for each kind of product, not for each frame; while it goes on nothing stays open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from awe.cli import run
from awe.database import open_engine
from awe.model import Coadd, GlobalAstrometry, RawBiasFrame, ReadNoise, ReducedFrame, RegriddedFrame, SourceList
from awe.model.persistent import Persistent
from awe.processing.plan import plan
from awe.processing.requests import targets
from awe.processing.staleness import why_stale
from awe.processing.tasks import makes, task_for
from benchmarks.archive import OBJECT, fill, pretend

SIZES = (8, 32)
"""Exposures of two archives. Both have 4 nights of 2 chips, so that calibrations are as many in both."""

Ask = Callable[[Session], Any]


@pytest.fixture(scope="module")
def archives(databases: Any, empty_database: str) -> Iterator[dict[str, list[str]]]:
    """Addresses of databases of both sizes: with raw frames only, and with all that is made of them."""
    found: dict[str, list[str]] = {"raw": [], "made": [], "bound": []}
    for size in SIZES:
        raw = databases.copy(empty_database)
        _change(raw, lambda session, size=size: fill(session, size))
        made = databases.copy(raw)
        _change(made, lambda session: pretend(session, SourceList))
        bound = databases.copy(made)
        _change(bound, lambda session: pretend(session, GlobalAstrometry))
        found["raw"].append(raw)
        found["made"].append(made)
        found["bound"].append(bound)
    yield found
    for address in found["raw"] + found["made"] + found["bound"]:
        databases.drop(address)


def _change(address: str, work: Ask) -> None:
    with _session(address) as session:
        work(session)


@contextmanager
def _session(address: str) -> Iterator[Session]:
    engine = open_engine(address)
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def sent(address: str, ask: Ask, prepare: Ask = lambda _: None) -> tuple[int, Any]:
    """Return how many statements a question takes in a session that has read nothing before, and the answer."""
    with _session(address) as session:
        prepare(session)
        session.expunge_all()
        statements: list[str] = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *given: statements.append(given[2]))
        answer = ask(session)
        session.rollback()
        return len(statements), answer


def steps(cls: Any, wish: Any = None) -> Callable[[Session], int]:
    """Return the question how many steps the products of a class take."""
    return lambda session: len(plan(session, targets(session, cls, object=OBJECT), None, wish).steps)


def spoil(cls: Any) -> Ask:
    """Return what judges the first object of a class to be invalid."""

    def change(session: Session) -> None:
        first = session.scalars(select(cls.object_id).order_by(cls.object_id).limit(1)).one()
        session.execute(update(Persistent).where(Persistent.object_id == first).values(is_valid=0))

    return change


@pytest.mark.parametrize(
    ("state", "ask", "prepare"),
    [
        ("raw", steps(ReducedFrame), None),
        ("raw", steps(SourceList), None),
        ("made", steps(SourceList), None),
        ("made", steps(RegriddedFrame, RegriddedFrame.Parameters(zeropoint=25.0)), None),
        ("made", steps(SourceList), spoil(RawBiasFrame)),
        ("raw", steps(GlobalAstrometry), None),
        ("bound", steps(SourceList), None),
        ("made", steps(SourceList), spoil(ReducedFrame)),
    ],
    ids=[
        *("unreduced", "unreduced-to-sources", "up-to-date", "parameters", "spoiled-bias"),
        *("unreduced-to-field", "field", "spoiled-frame"),
    ],
)
def test_the_statements_of_a_plan_do_not_grow_with_the_frames(archives, state, ask, prepare):
    few, many = (sent(address, ask, *([prepare] if prepare else [])) for address in archives[state])

    assert few[0] == many[0]
    assert few[1] <= many[1]


def test_what_is_looked_up_for_many_is_up_to_date_too(archives):
    assert [sent(address, steps(SourceList))[1] for address in archives["made"]] == [0, 0]


@pytest.mark.parametrize("prepare", [lambda _: None, spoil(RawBiasFrame)], ids=["up-to-date", "stale"])
def test_the_statements_of_why_stale_do_not_grow_with_the_frames(archives, prepare):
    def ask(session: Session) -> list[str]:
        return why_stale(session, session.scalars(select(Coadd)).one())

    few, many = (sent(address, ask, prepare) for address in archives["made"])

    assert few == many


@pytest.fixture
def looking(ingested):
    """Ask a question while read noises are made; the answers are collected."""
    task, answers = task_for(ReadNoise), []

    def make(product, products):
        with open_engine(ingested.settings.database).connect() as connection:
            answers.append(connection.execute(text(QUESTION[connection.dialect.name])).first()[0])
        task.function(product, products)

    makes(ReadNoise, version=task.version)(make)
    yield answers
    makes(ReadNoise, version=task.version)(task.function)


QUESTION = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    "sqlite": "PRAGMA wal_checkpoint(TRUNCATE)",  # answers 1 if somebody still reads an older state
}


def test_no_transaction_stays_open_while_a_task_runs(ingested, looking):
    given = ingested.settings
    options = {"home": given.home, "database": given.database, "data-server": given.data_server, "workers": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]

    assert run([*words, "-q", "make", "ReadNoise", "--night", "2026-02-14"]) == 0
    assert looking == [0, 0]
