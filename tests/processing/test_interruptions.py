"""Real processes: two that make the same, and one that is killed again and again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

import awe
from awe.model import Frame, Job, Persistent, PsfModel, SourceList, WeightFrame
from awe.model.catalogue import SOURCES
from awe.model.lineage import inputs


def start(site, cls: type, *more: str, workers: int = 1) -> subprocess.Popen[str]:
    """Start `awe make`, as the leader of a group of processes."""
    environment = os.environ | {
        "AWE_HOME": str(site.settings.home),
        "AWE_DATABASE": site.settings.database,
        "AWE_DATA_SERVER": site.settings.data_server,
        "AWE_USER": "ann",
        "AWE_WORKERS": str(workers),
        "PYTHONPATH": str(Path(awe.__file__).parents[1]),
    }
    command = [sys.executable, "-m", "awe.cli", "make", cls.__name__, "--object", "SIM-A", *more]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **quiet)


def finish(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said


def kill(process: subprocess.Popen[str], whole_group: bool) -> None:
    """Kill `awe make`: alone, so that its workers have to notice, or with all of them."""
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate(timeout=30)  # its workers hold its standard error: none may outlive it


def products(site) -> Iterator[Any]:
    with site.session() as session:
        for thing in session.scalars(select(Persistent).order_by(Persistent.object_id)).unique():
            if inputs(type(thing)):
                yield session, thing


def made_of(site) -> Counter[str]:
    """Return how many products of each class there are."""
    return Counter(type(thing).__name__ for _, thing in products(site))


def pixels(site) -> dict[tuple[str, ...], list[np.ndarray]]:
    """Return the planes (or the table) of each product, by what it is of."""
    found = {}
    for _, thing in products(site):
        if not getattr(thing, "filename", None):
            continue
        like = thing if isinstance(thing, Frame) else thing.frame if isinstance(thing, PsfModel) else thing.reduced
        name = (type(thing).__name__, like.chip.name if like.chip else "", f"{like.date_obs}")
        with fits.open(site.store.retrieve(thing.filename, thing.sha256), memmap=False) as hdus:
            assert name not in found, f"{name} is there twice"
            found[name] = [hdu.data.copy() for hdu in hdus if hdu.data is not None]
    return found


def sources_of(site) -> list[tuple[Any, ...]]:
    with site.session() as session:
        columns = [SOURCES.c[n] for n in ("SID", "RA", "DEC", "FLUX_AUTO", "FLAGS")]
        rows = session.execute(select(*columns).order_by(SOURCES.c.SID)).all()
    # PostgreSQL writes single precision with the digits that tell it, SQLite as double
    return [(sid, ra, dec, np.float32(flux), flags) for sid, ra, dec, flux, flags in rows]


def difference(found: np.ndarray, expected: np.ndarray) -> str:
    """Return what differs between two planes or tables, bit by bit; empty if nothing does."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{found.shape} of {found.dtype}, not {expected.shape} of {expected.dtype}"
    columns = expected.dtype.names or (...,)
    pairs = [
        (name, found[name], expected[name]) for name in columns if found[name].tobytes() != expected[name].tobytes()
    ]
    return "; ".join(f"{name}: by up to {np.nanmax(np.abs(a.astype(float) - b)):g}" for name, a, b in pairs)


def assert_same_as_undisturbed(site, undisturbed) -> None:
    found, expected = pixels(site), pixels(undisturbed)
    expected = {name: planes for name, planes in expected.items() if name in found}
    compared = {n: [difference(a, b) for a, b in zip(found[n], p, strict=True)] for n, p in expected.items()}

    assert {name: said for name, said in compared.items() if any(said)} == {}
    assert set(found) == set(expected)


def assert_nothing_half_done(site, files) -> None:
    """No file is half there, no row lacks its file, no job runs for ever."""
    with site.session() as session:
        for thing in session.scalars(select(Persistent)).unique():
            if getattr(thing, "filename", None):
                stored = site.store.find(thing.filename)
                assert stored is not None, f"{thing}: no file"
                assert (stored.size, stored.sha256) == (thing.size, thing.sha256)
            if inputs(type(thing)):
                assert thing.job.state == "done"
        done = session.scalars(select(Job).where(Job.state == "done")).all()
        assert session.scalars(select(Job).where(Job.state == "running")).all() == []
        assert len(done) == sum(1 for _ in products(site))
        assert set(session.scalars(select(SOURCES.c.SLID).distinct())) <= {t.object_id for _, t in products(site)}
    deadline = time.monotonic() + 20
    while (half := [p for p in files.folder.rglob("*.part*") if p.is_file()]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert half == []


def test_two_processes_that_make_the_same_make_each_product_once(ingested, undisturbed, files):
    both = [start(ingested, SourceList, workers=2) for _ in range(2)]
    for process in both:
        finish(process)

    assert made_of(ingested) == made_of(undisturbed)
    assert_nothing_half_done(ingested, files)
    with ingested.session() as session:
        assert set(session.scalars(select(Job.state))) == {"done"}
    assert_same_as_undisturbed(ingested, undisturbed)
    assert sources_of(ingested) == sources_of(undisturbed)


def test_a_worker_whose_parent_is_gone_before_it_looks_ends_too():
    """The parent was killed between the start of the worker and its first look: the worker must not wait for ever."""
    program = (
        "import time; from awe.processing.worker import begin; "
        "begin(2**22 + 1, 12345.0); time.sleep(60)"  # no process has such a number
    )
    environment = os.environ | {"PYTHONPATH": str(Path(awe.__file__).parents[1])}
    worker = subprocess.Popen([sys.executable, "-c", program], env=environment)

    assert worker.wait(120) == 1


def killed_again_and_again(site, cls: type, kills: int, longest: float, rng: np.random.Generator, *more: str) -> int:
    """Kill `awe make` at random moments until it was killed often enough or is done; return the number of kills."""
    for number in range(kills):
        process = start(site, cls, *more, workers=1 + number % 2)
        try:
            process.wait(rng.uniform(0.5, longest))
        except subprocess.TimeoutExpired:
            kill(process, whole_group=bool(number % 3))
            continue
        process.communicate()
        return number
    return kills


def resumed(site, cls: type, *more: str) -> None:
    time.sleep(1)  # workers without a parent have half a second to notice
    finish(start(site, cls, *more, workers=2))


def test_a_killed_run_is_resumed_to_the_same_products(ingested, undisturbed, files):
    chip = ("--chip", "ccd1")
    kills = killed_again_and_again(ingested, WeightFrame, 3, 4.0, np.random.default_rng(14), *chip)
    resumed(ingested, WeightFrame, *chip)

    assert kills >= 2
    assert made_of(ingested)["WeightFrame"] == 3
    assert all(number <= made_of(undisturbed)[cls] for cls, number in made_of(ingested).items())
    assert_nothing_half_done(ingested, files)
    assert_same_as_undisturbed(ingested, undisturbed)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(copied, undisturbed, files):
    """Whatever is done by then is begun anew, so that kills fall on every step."""
    rng = np.random.default_rng(20)
    kills = 0
    while kills < 20:
        site = copied("ingested")
        kills += killed_again_and_again(site, SourceList, min(7, 20 - kills), 9.0, rng)
        resumed(site, SourceList)

        assert made_of(site) == made_of(undisturbed)
        assert_nothing_half_done(site, files)
        assert_same_as_undisturbed(site, undisturbed)
        assert sources_of(site) == sources_of(undisturbed)
