"""What the system relies on in a database; the same on SQLite and on PostgreSQL."""

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from awe import model
from awe.bulk import insert_rows, read_columns
from awe.database import open_engine, short_transaction
from awe.kernels.combine import Combine
from awe.model.catalogue import ASSOCIATES, SOURCES
from awe.model.frame import SkyCell
from awe.model.persistent import concrete_classes, utc_now

OWNER = {"creator": "ann", "project": "default"}
NASTY = ["", "é–ß–漢字–🔭", "Robert'); DROP TABLE persistent;--", "a\\b%c_d", "two\nlines", " blank ", "x" * 5000]


def telescope(session: Session, name: str = "NTT", **more: Any) -> Any:
    thing = model.Telescope(name=name, longitude=-70.73, latitude=-29.26, altitude=2375.0, **{**OWNER, **more})
    session.add(thing)
    session.flush()
    return thing


def source_list(session: Session) -> Any:
    """Return a source list of a frame that has nothing but what it must have."""
    camera = model.Instrument(name="cam", telescope=telescope(session), definition="0" * 64, **OWNER)
    exposure = {"instrument": camera, "date_obs": datetime(2026, 1, 28), "mjd_obs": 61068.0, "night": date(2026, 1, 27)}
    frame = model.Frame(**exposure, **OWNER)
    thing = model.SourceList(frame=frame, parameters=model.SourceList.Parameters(), **OWNER)
    session.add_all([camera, frame, thing])
    session.flush()
    return thing


def job(fingerprint: str, claim: str | None, process: Any) -> Any:
    described = {
        "product_class": "BiasFrame",
        "target": "",
        "reason": "",
        "host": "here",
        "pid": 1,
        "process_started": 1.0,
    }
    return model.Job(state="running", fingerprint=fingerprint, claim=claim, process=process, **described, **OWNER)


@pytest.fixture
def process(session):
    described = {"summary": "", "parameters": "[]", "code_hash": "0", "software_version": "0"}
    thing = model.Process(name="make", product_class="BiasFrame", version=1, **described)
    session.add(thing)
    session.flush()
    return thing


@pytest.mark.parametrize("word", NASTY, ids=range(len(NASTY)))
def test_text_comes_back_as_it_was(session, word):
    number = telescope(session, judgement=word).object_id
    session.expire_all()

    assert session.get(model.Telescope, number).judgement == word
    assert session.scalar(select(func.count()).where(model.Telescope.judgement == word)) == 1


@pytest.mark.parametrize(
    "moment", ["1969-12-31T23:59:59.999999", "2026-01-28T03:04:05.123456", "2026-01-28T00:00:00", "9999-12-31T23:59:59"]
)
def test_times_keep_their_microseconds(session, moment):
    moment = datetime.fromisoformat(moment)
    number = telescope(session, creation_date=moment).object_id
    session.expire_all()

    assert session.get(model.Telescope, number).creation_date == moment
    assert session.scalar(select(model.Telescope.object_id).where(model.Telescope.creation_date == moment)) == number


@pytest.mark.parametrize("value", [0.1, 1 / 3, -1e-300, 1.7976931348623157e308, 5e-324, -0.0, 2460000.123456789])
def test_numbers_keep_all_their_digits(session, value):
    thing = telescope(session)
    thing.latitude = value
    session.flush()
    number = thing.object_id
    session.expire_all()

    assert session.get(model.Telescope, number).latitude == value


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_numbers_of_numpy_are_stored_as_numbers(session, kind):
    thing = telescope(session, wall_time=kind(1))
    number = thing.object_id
    session.expire_all()

    assert session.get(model.Telescope, number).wall_time == 1.0


def test_structures_come_back_as_they_were(session):
    days = {"bias": 7.5, "é": 1e-9}
    required = ["bias", "flat", "漢"]
    thing = model.Instrument(
        name="cam",
        telescope=telescope(session),
        definition="",
        calibration_days=days,
        required_calibrations=required,
        **OWNER,
    )
    session.add(thing)
    session.flush()
    session.expire_all()

    assert (thing.calibration_days, thing.required_calibrations) == (days, required)
    assert json.dumps(thing.calibration_days) == json.dumps(days)


def test_choices_are_stored_by_their_value(session):
    thing = source_list(session)
    chosen = model.AssociateList(source_lists=[thing], parameters=model.AssociateList.Parameters(), **OWNER)
    session.add(chosen)
    session.flush()
    stored = session.execute(text("SELECT param_kind FROM associatelist")).scalar()
    session.expire_all()

    assert stored == "chain"
    assert chosen.parameters == model.AssociateList.Parameters()
    assert Combine("clipped") is Combine.CLIPPED


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_judgement_that_does_not_exist_is_refused(session, wrong):
    with pytest.raises(IntegrityError), session.begin_nested():
        telescope(session, is_valid=wrong)


def test_a_name_is_given_once(session):
    telescope(session)

    with pytest.raises(IntegrityError), session.begin_nested():
        telescope(session)


def test_a_link_to_nothing_is_refused(session):
    with pytest.raises(IntegrityError), session.begin_nested():
        session.add(model.Chip(name="ccd1", instrument_id=987654, **OWNER))
        session.flush()


def test_a_value_that_must_be_there_is_missed(session):
    with pytest.raises(IntegrityError), session.begin_nested():
        session.add(model.Chip(name="ccd1", **OWNER))
        session.flush()


def test_one_claim_at_a_time(session, process):
    session.add(job("f", "f", process))
    session.flush()

    with pytest.raises(IntegrityError), session.begin_nested():
        session.add(job("f", "f", process))
        session.flush()


def test_jobs_that_ended_claim_nothing(session, process):
    session.add_all([job("f", None, process), job("f", None, process), job("f", "f", process)])
    session.flush()

    assert session.scalar(select(func.count(model.Job.job_id))) == 3


def test_cells_and_sources_go_with_their_owner(session):
    listed = source_list(session)
    frame = listed.frame
    session.add(SkyCell(cell=2**40, object_id=frame.object_id))
    insert_rows(session.connection(), SOURCES, {"SID": [0, 1], "CELL": [1, 2]}, {"SLID": listed.object_id})
    session.flush()
    session.delete(listed)
    session.flush()
    session.delete(frame)
    session.flush()

    assert session.scalar(select(func.count()).select_from(SOURCES)) == 0
    assert session.scalar(select(func.count()).select_from(SkyCell)) == 0


def test_numbers_are_never_given_twice(session):
    first = telescope(session, "a").object_id
    second = telescope(session, "b").object_id
    third = source_list(session).object_id

    assert first < second < third


@pytest.mark.parametrize("rows", [0, 1, 45_000])
def test_many_rows_go_in_and_come_out_as_they_were(session, rows):
    listed = source_list(session)
    rng = np.random.default_rng(5)
    columns = {
        "SID": np.arange(rows),
        "CELL": rng.integers(0, 2**60, rows),
        "RA": rng.uniform(0, 360, rows),
        "FLUX_AUTO": rng.lognormal(5, 2, rows).astype(np.float32),
        "FLAGS": rng.integers(0, 255, rows, dtype=np.int32),
    }
    inserted = insert_rows(session.connection(), SOURCES, columns, {"SLID": listed.object_id})
    own = listed.object_id == SOURCES.c.SLID
    found = read_columns(session.connection(), SOURCES, tuple(columns), own, SOURCES.c.SID)

    assert inserted == rows == len(found["SID"])
    assert all(np.array_equal(found[n], columns[n]) for n in ("SID", "CELL", "RA", "FLAGS"))
    # PostgreSQL writes single precision with as many digits as tell it
    assert np.array_equal(found["FLUX_AUTO"].astype(np.float32), columns["FLUX_AUTO"])


def test_what_is_unknown_comes_back_as_nan(session):
    listed = source_list(session)
    given = {"SID": [0, 1, 2], "CELL": [1, 1, 1], "MAG_AUTO": [np.nan, 20.5, np.nan]}
    insert_rows(session.connection(), SOURCES, given, {"SLID": listed.object_id})
    found = read_columns(
        session.connection(), SOURCES, ("MAG_AUTO", "RA"), listed.object_id == SOURCES.c.SLID, SOURCES.c.SID
    )

    assert np.array_equal(found["MAG_AUTO"], [np.nan, 20.5, np.nan], equal_nan=True)
    assert np.isnan(found["RA"]).all()


def test_what_is_unknown_is_not_larger_than_everything(session):
    listed = source_list(session)
    given = {"SID": [0, 1, 2], "CELL": [1, 1, 1], "MAG_AUTO": [np.nan, 20.5, 25.5]}
    insert_rows(session.connection(), SOURCES, given, {"SLID": listed.object_id})

    assert session.scalars(select(SOURCES.c.SID).where(SOURCES.c.MAG_AUTO > 22)).all() == [2]


def test_a_column_that_does_not_exist_is_refused(session):
    with pytest.raises(ValueError, match="table source has no column FLUX, SIZE"):
        insert_rows(session.connection(), SOURCES, {"SID": [0], "SIZE": [1], "FLUX": [1]}, {"SLID": 1})


def test_rows_that_are_there_already_are_refused_as_a_whole(session):
    listed = source_list(session)
    one = {"SID": [7], "CELL": [1]}
    insert_rows(session.connection(), SOURCES, one, {"SLID": listed.object_id})

    with pytest.raises(Exception, match=r"(?i)unique"), session.begin_nested():
        insert_rows(session.connection(), SOURCES, {"SID": [6, 7], "CELL": [1, 1]}, {"SLID": listed.object_id})
    assert session.scalars(select(SOURCES.c.SID)).all() == [7]


def test_associates_are_many_rows_too(session):
    listed = source_list(session)
    joined = model.AssociateList(source_lists=[listed], parameters=model.AssociateList.Parameters(), **OWNER)
    session.add(joined)
    session.flush()
    rows = {"AID": [0, 0], "SLID": [listed.object_id] * 2, "SID": [0, 1], "DISTANCE": [0.1, 0.2]}

    assert insert_rows(session.connection(), ASSOCIATES, rows, {"ALID": joined.object_id}) == 2


def test_every_class_answers_a_query_for_none(session):
    for cls in concrete_classes():
        assert session.scalars(select(cls).where(cls.creator == "nobody")).unique().all() == []


def test_every_class_has_a_table_with_its_columns(engine):
    found = inspect(engine)
    for cls in concrete_classes():
        table = inspect(cls).local_table
        assert {c["name"] for c in found.get_columns(table.name)} == {c.name for c in table.columns}


def test_a_failed_transaction_leaves_nothing(engine):
    with pytest.raises(RuntimeError, match="on the way"), short_transaction(engine) as session:
        telescope(session, "half")
        raise RuntimeError("on the way")

    with Session(engine) as session:
        assert session.scalar(select(func.count()).where(model.Telescope.name == "half")) == 0


def test_what_one_commits_another_sees(engine, database):
    other = open_engine(database)
    with short_transaction(engine) as session:
        number = telescope(session, "seen").object_id
    with Session(other) as session:
        assert session.get(model.Telescope, number).name == "seen"
    other.dispose()
    with short_transaction(engine) as session:
        session.execute(delete(model.Telescope.__table__).where(model.Telescope.__table__.c.object_id == number))
        session.execute(delete(model.Persistent.__table__).where(model.Persistent.__table__.c.object_id == number))


def test_of_two_who_end_the_same_job_one_does(engine, database):
    """The update names the state it expects: it changes one row, then none."""
    with short_transaction(engine) as session:
        described = {"summary": "", "parameters": "[]", "code_hash": "0", "software_version": "0"}
        made = model.Process(name="make", product_class="BiasFrame", version=9, **described)
        running = job("g", "g", made)
        session.add(running)
        session.flush()
        number, process_number = running.job_id, made.process_id
    ended = update(model.Job).where(model.Job.job_id == number, model.Job.state == "running")
    changed = []
    for _ in range(2):
        with short_transaction(engine) as session:
            changed.append(session.execute(ended.values(state="lost", claim=None, finished=utc_now())).rowcount)

    assert changed == [1, 0]
    with short_transaction(engine) as session:
        session.execute(delete(model.Job).where(model.Job.job_id == number))
        session.execute(delete(model.Process).where(model.Process.process_id == process_number))
