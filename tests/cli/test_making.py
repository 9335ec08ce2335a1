"""plan and make: what is made, and that nothing else is; stopped and killed runs are resumed."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.database import open_engine
from awe.model.persistent import Job, Persistent

from .conftest import Command, start


def products(home: Path) -> Counter[str]:
    """Return the number of valid products of each class."""
    engine = open_engine(f"sqlite:///{home / 'awe.db'}")
    with Session(engine) as session:
        query = select(Persistent.class_name).where(Persistent.fingerprint.isnot(None), Persistent.is_valid > 0)
        found = Counter(session.scalars(query))
    engine.dispose()
    return found


def states(home: Path) -> Counter[str]:
    """Return the number of jobs in each state."""
    engine = open_engine(f"sqlite:///{home / 'awe.db'}")
    with Session(engine) as session:
        found = Counter(session.scalars(select(Job.state)))
    engine.dispose()
    return found


def test_a_plan_names_each_step_and_changes_nothing(awe: Command, raw_home: Path) -> None:
    result = awe("--home", raw_home, "plan", "ReducedFrame", "--chip", "ccd1")
    assert result.code == 0
    assert result.out.startswith("12 steps for 3 ReducedFrames")
    assert "there is no BiasFrame for ccd1 of the night 2026-02-14" in result.out
    found = json.loads(awe("--home", raw_home, "plan", "coadd", "--json").out)
    assert found["steps"][-1]["class"] == "Coadd"
    assert set(found["steps"][-1]["needs"]) <= {s["number"] for s in found["steps"]}
    assert products(raw_home) == Counter()


def test_what_exists_is_not_made_again(awe: Command, own_home: Path) -> None:
    before = products(own_home)
    result = awe("--home", own_home, "make", "Coadd", "--object", "SIM-A")
    assert result.code == 0
    assert result.out.splitlines()[-1].startswith("nothing to make, all is up to date; Coadd ")
    assert products(own_home) == before


def test_a_parameter_remakes_just_what_follows(awe: Command, own_home: Path) -> None:
    before = products(own_home)
    assert awe("--home", own_home, "make", "Coadd", "--threshold", "5").code == 0
    assert products(own_home) - before == Counter(Coadd=1)
    plan = json.loads(awe("--home", own_home, "plan", "Coadd", "-p", "CosmicMap.sigma_clip=6", "--json").out)
    again = {s["class"] for s in plan["steps"]}
    assert "CosmicMap" in again
    assert not again & {"BiasFrame", "ReducedFrame", "SaturatedPixelMap"}


def test_a_judgement_makes_stale_what_was_made_from_it(awe: Command, own_home: Path) -> None:
    raws = json.loads(awe("--home", own_home, "find", "RawBiasFrame", "chip.name == 'ccd1'", "--json").out)["objects"]
    (coadd,) = json.loads(awe("--home", own_home, "find", "Coadd", "--json").out)["objects"]
    assert "is up to date" in awe("--home", own_home, "why", coadd["object_id"]).out
    judged = awe("--home", own_home, "judge", raws[0]["object_id"], "--invalid", "satellite")
    assert "valid -> invalid (satellite); 34 products made from it" in judged.out
    why = awe("--home", own_home, "why", coadd["object_id"]).out
    assert "is stale:" in why
    assert "is flagged invalid (satellite)" in why
    found = json.loads(awe("--home", own_home, "why", "--json", coadd["object_id"]).out)
    assert found["stale"] is True
    assert awe("--home", own_home, "judge", raws[0]["object_id"], "--valid", "mistaken").code == 0
    assert "is up to date" in awe("--home", own_home, "why", coadd["object_id"]).out


def test_failures_are_reported_with_their_reason_and_the_rest_is_made(awe: Command, raw_home: Path) -> None:
    flats = json.loads(awe("--home", raw_home, "find", "RawTwilightFlatFrame", "chip.name == 'ccd2'", "--json").out)
    awe("--home", raw_home, "judge", *[o["object_id"] for o in flats["objects"]], "--invalid", "cloud")
    result = awe("--home", raw_home, "-q", "make", "ReducedFrame")
    assert result.code == 9
    assert "can't be made:" in result.out
    assert "MasterFlatFrame" in result.out
    assert products(raw_home)["ReducedFrame"] == 3
    found = json.loads(awe("--home", raw_home, "make", "ReducedFrame", "--json").out)
    assert (len(found["up_to_date"]), len(found["impossible"])) == (3, 3)
    assert awe("--home", raw_home, "plan", "ReducedFrame").code == 4


def test_a_step_that_fails_has_its_reason_with_the_job(awe: Command, raw_home: Path) -> None:
    shutil.rmtree(raw_home / "cache")
    for path in (raw_home / "files" / "files").rglob("Raw-*RawBiasFrame*"):
        path.unlink()
    result = awe("--home", raw_home, "make", "BiasFrame", "--chip", "ccd1", "--workers", "1")
    assert result.code == 9
    assert "failed" in result.out
    jobs = awe("--home", raw_home, "jobs", "--failed").out
    assert "ReadNoise" in jobs
    assert states(raw_home)["running"] == 0


def wait_for(process: Any, count: int) -> None:
    """Return when a run has ended some steps."""
    for _ in range(count):
        line = process.stderr.readline()
        assert line.startswith("["), line


def assert_group_is_gone(group: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes are left")


def resumed(awe: Command, home: Path) -> Counter[str]:
    """Make all, check that it is whole, and return the products."""
    assert awe("--home", home, "-q", "make", "AssociateList").code == 0
    assert awe("--home", home, "doctor", "--repair", "--all").code == 0
    clean = awe("--home", home, "doctor", "--all")
    assert (clean.code, clean.out.startswith("all is well")) == (0, True)
    assert states(home)["running"] == 0
    return products(home)


@pytest.mark.slow
def test_ctrl_c_lets_running_steps_end_and_the_same_command_resumes(
    awe: Command, raw_home: Path, made_home: Path
) -> None:
    process = start(raw_home, "make", "AssociateList", "--workers", "2")
    wait_for(process, 4)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping: the steps that run end first" in err
    assert err.splitlines()[-1] == "awe: stopped; what was made is kept, and the same command goes on from there"
    assert "Traceback" not in err
    assert_group_is_gone(process.pid)
    assert 4 <= sum(products(raw_home).values()) < sum(products(made_home).values())
    assert states(raw_home)["running"] == 0
    assert resumed(awe, raw_home) == products(made_home)


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(awe: Command, raw_home: Path, made_home: Path) -> None:
    process = start(raw_home, "make", "AssociateList", "--workers", "2")
    wait_for(process, 2)
    os.killpg(process.pid, signal.SIGINT)
    while "stopping" not in (process.stderr.readline() if process.stderr else ""):
        pass
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert_group_is_gone(process.pid)
    assert resumed(awe, raw_home) == products(made_home)


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_products(awe: Command, raw_home: Path, made_home: Path) -> None:
    for steps in (1, 6, 12):
        process = start(raw_home, "make", "AssociateList", "--workers", "2")
        wait_for(process, steps)
        process.kill()
        process.communicate()
        assert_group_is_gone(process.pid)
    assert resumed(awe, raw_home) == products(made_home)
