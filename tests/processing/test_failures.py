"""What fails is told with its reason, the rest goes on, and nothing is left half done."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import make_url, select

import awe.database
from awe.database import open_engine, short_transaction
from awe.errors import DatabaseUnavailable
from awe.model import (
    AstrometricParameters,
    BiasFrame,
    Coadd,
    Job,
    Persistent,
    Process,
    PsfModel,
    RawBiasFrame,
    RawScienceFrame,
    ReadNoise,
    ReducedFrame,
    ReferenceCatalogue,
    SourceList,
    WeightFrame,
)
from awe.model.catalogue import SOURCES
from awe.model.persistent import QualityFlag, utc_now
from awe.processing import claims
from awe.processing.catalogues import add_catalogue
from awe.processing.claims import claim, finished, is_dead, new_job


def jobs(site, **named):
    with site.session() as session:
        return list(session.scalars(select(Job).filter_by(**named).order_by(Job.job_id)))


def assert_consistent(site):
    """Every row points at a file that is there, complete and of the right content; every product has its job."""
    with site.session() as session:
        for thing in session.scalars(select(Persistent)).unique():
            if getattr(thing, "filename", None):
                stored = site.store.find(thing.filename)
                assert stored is not None, f"{thing}: no file {thing.filename}"
                assert (stored.size, stored.sha256) == (thing.size, thing.sha256)
            if thing.job is not None:
                assert (thing.job.state, thing.job.claim) == ("done", None)
        assert session.scalars(select(Job).where(Job.state == "running")).all() == []


def test_a_lost_raw_file_fails_what_needs_it_and_loses_nothing_else(ingested):
    lost = ingested.all(RawScienceFrame, chip="ccd2")[1]
    ingested.change(RawScienceFrame, lost.object_id, filename="lost.fits")
    outcome = ingested.make(SourceList, object="SIM-A")

    assert all("lost.fits" in reason for reason in outcome.failed.values())
    assert len(outcome.failed) == 1  # the map of saturated pixels; what needs it is not started
    assert set(outcome.skipped.values()) == set(outcome.failed.values())
    with ingested.session() as session:
        (coadd,) = session.scalars(select(Coadd)).unique()
        assert len(coadd.regridded_frames) == 5
        assert QualityFlag.INPUTS_REJECTED in QualityFlag(coadd.quality_flags)
        assert coadd.remark.startswith("1 inputs could not be made, first: ")
        assert "lost.fits" in coadd.remark
    assert len(jobs(ingested, state="failed")) == len(outcome.failed)
    assert ingested.count(SourceList) == 1


def test_a_failed_job_keeps_target_reason_and_class_of_the_error(ingested):
    raw = ingested.all(RawBiasFrame, chip="ccd1")[0]
    ingested.change(RawBiasFrame, raw.object_id, filename="lost.fits")
    outcome = ingested.make(BiasFrame, chip="ccd1")

    (failed,) = jobs(ingested, state="failed")
    assert (failed.error_class, failed.product_class, failed.claim) == ("NotFound", "ReadNoise", None)
    assert failed.error == outcome.failed[0]
    assert failed.error.startswith("ReadNoise ccd1 2026-02-14T13:11:31: ")
    assert failed.reason == "there is no ReadNoise for ccd1 of the night 2026-02-14"
    assert failed.finished >= failed.started
    assert outcome.skipped == {1: failed.error}


def test_after_the_cause_is_gone_only_what_failed_is_made(ingested):
    lost = ingested.all(RawBiasFrame, chip="ccd1")[0]
    right = lost.filename
    ingested.change(RawBiasFrame, lost.object_id, filename="lost.fits")
    first = ingested.make(BiasFrame)
    ingested.change(RawBiasFrame, lost.object_id, filename=right)
    second = ingested.make(BiasFrame)

    assert (len(first.made), len(second.made), second.failed) == (2, 2, {})
    assert ingested.make(BiasFrame).results == []
    assert_consistent(ingested)


def test_an_exposure_whose_pixels_are_all_bad_is_told_and_left_out(ingested):
    spoiled = ingested.all(RawScienceFrame, chip="ccd1")[2]
    ingested.change(RawScienceFrame, spoiled.object_id, saturation=0.001)
    outcome = ingested.make(Coadd, object="SIM-A")

    (reason,) = outcome.failed.values()
    assert reason.startswith("ReducedFrame SIM-A r ccd1 2026-02-14T23:35:20: all of its pixels are bad")
    with ingested.session() as session:
        (coadd,) = session.scalars(select(Coadd)).unique()
        assert len(coadd.regridded_frames) == 5
        assert reason in coadd.remark
    assert_consistent(ingested)


def test_a_raw_file_of_another_size_is_told_with_both_sizes(made, tmp_path):
    raw = made.all(RawScienceFrame, chip="ccd1")[0]
    path = tmp_path / "small.fits"
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.full((64, 64), 900, np.int16)) for _ in range(3))]).writeto(
        path
    )
    stored = made.store.put(path, "another-size.fits")
    made.change(RawScienceFrame, raw.object_id, filename=stored.filename, sha256=stored.sha256)
    made.change(ReducedFrame, made.all(ReducedFrame, chip="ccd1")[0].object_id, is_valid=0)
    outcome = made.make(ReducedFrame, chip="ccd1")

    assert len(outcome.failed) == 1
    assert next(iter(outcome.failed.values())).startswith("ReducedFrame SIM-A r ccd1 2026-02-14T23:30:00: ")


def test_a_file_that_is_no_longer_what_the_database_remembers_is_refused(made):
    reduced = made.all(ReducedFrame)[0]
    made.change(WeightFrame, made.all(WeightFrame)[0].object_id, is_valid=0)
    made.change(ReducedFrame, reduced.object_id, sha256="0" * 64)
    fresh = replace(made, settings=replace(made.settings, cache_folder=made.settings.home / "empty cache"))
    outcome = fresh.make(WeightFrame, chip=reduced.chip.name)

    (reason,) = outcome.failed.values()
    assert "the database remembers 0000" in reason


def test_a_catalogue_without_stars_on_the_frame_leaves_the_astrometry_as_it_was_and_says_so(ingested, night, tmp_path):
    with fits.open(night.reference_catalogue) as hdus:
        few = hdus[1].data[:1].copy()
    few["dec"] += 0.02
    path = tmp_path / "few.fits"
    fits.BinTableHDU(few).writeto(path)
    for old in ingested.all(ReferenceCatalogue):
        ingested.change(ReferenceCatalogue, old.object_id, is_valid=0)
    add_catalogue(ingested.engine, ingested.store, ingested.settings, path, "few", "plain")
    outcome = ingested.make(AstrometricParameters, chip="ccd1")

    assert outcome.failed == {}
    first = ingested.all(AstrometricParameters)[0]
    assert first.method == "prior"
    assert QualityFlag.ASTROMETRY_NOT_SOLVED in QualityFlag(first.quality_flags)
    assert first.remark


def test_a_catalogue_file_without_a_star_is_refused(ingested, night, tmp_path):
    with fits.open(night.reference_catalogue) as hdus:
        none = hdus[1].data[:0].copy()
    path = tmp_path / "none.fits"
    fits.BinTableHDU(none).writeto(path)
    before = ingested.count(ReferenceCatalogue)

    with pytest.raises(Exception, match=r"none.fits holds no star"):
        add_catalogue(ingested.engine, ingested.store, ingested.settings, path, "none", "plain")
    assert ingested.count(ReferenceCatalogue) == before


def test_a_frame_without_sources_gives_an_empty_list_that_says_so(made):
    outcome = made.make(SourceList, wish=SourceList.Parameters(detect_thresh=1e6), object="SIM-A")
    assert outcome.failed == {}
    (number,) = outcome.made.values()
    with made.session() as session:
        empty = session.get(SourceList, number)
        rows = session.execute(select(SOURCES).where(number == SOURCES.c.SLID)).all()

    assert (empty.n_sources, rows) == (0, [])
    assert QualityFlag.NO_SOURCES in QualityFlag(empty.quality_flags)
    assert empty.remark == "no source stands out of the noise"


def test_a_frame_without_a_star_has_no_psf_and_its_list_says_so(made):
    few = {PsfModel: PsfModel.Parameters(sample_minsn=1e9)}
    assert made.make(SourceList, parameters=few).failed == {}
    with made.session() as session:
        psf = session.scalars(select(PsfModel).order_by(PsfModel.object_id.desc())).first()
        found = session.scalars(select(SourceList).where(SourceList.psf_id == psf.object_id)).one()
        rows = session.execute(select(SOURCES).where(SOURCES.c["SLID"] == found.object_id)).mappings().all()

        assert (psf.filename, psf.n_stars, psf.fwhm) == (None, 0, None)
        assert "no model: no unsaturated single star" in psf.remark
        assert psf.quality_flags & QualityFlag.FEW_INPUTS
        assert "without PSF photometry" in found.remark
        assert rows
        assert all(row["FLUX_PSF"] is None and row["SPREAD_MODEL"] is None for row in rows)
        assert all(row["FLUX_AUTO"] is not None for row in rows)


def test_a_data_server_that_does_not_answer_fails_the_jobs_and_leaves_no_row(ingested, unused_address):
    before = ingested.count()
    settings = replace(ingested.settings, data_server=unused_address, cache_folder=ingested.settings.home / "cold")
    down = replace(ingested, settings=settings)
    outcome = down.make(ReadNoise, chip="ccd1")

    (reason,) = outcome.failed.values()
    assert f"data server {unused_address} can't be used: no answer after 5 attempts" in reason
    assert "start it with `awe serve`" in reason
    assert ingested.count() == before
    assert ingested.make(ReadNoise, chip="ccd1").failed == {}


@pytest.fixture
def unused_address():
    """An address at which nothing listens."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_full_disk_fails_the_job_with_one_line_and_leaves_nothing(ingested, tmp_path):
    """A process that may write files of at most 100 kB makes a bias of 500 kB."""
    program = tmp_path / "make.py"
    program.write_text(
        "import resource, signal, sys\n"
        "from awe.config import load_settings\n"
        "from awe.database import open_engine\n"
        "from awe.model import BiasFrame, ReadNoise\n"
        "from awe.processing.engine import execute\n"
        "from awe.processing.plan import plan\n"
        "from awe.processing.requests import targets\n"
        "from sqlalchemy.orm import Session\n"
        "settings = load_settings()\n"
        "engine = open_engine(settings.database)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with Session(engine) as session:\n"
        "    planned = plan(session, targets(session, BiasFrame, chip='ccd1'))\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "    outcome = execute(planned, engine, settings)\n"
        "print(*outcome.failed.values(), sep='\\n')\n"
    )
    if ingested.engine.dialect.name == "sqlite":
        pytest.skip("the limit would hold for the file of the database too")
    answer = run(program, ingested)

    assert answer.stdout.count("\n") == 1, answer.stdout + answer.stderr
    assert answer.stdout.startswith("BiasFrame ccd1 2026-02-14T13:11:31: the disk of ")
    assert "is it full?" in answer.stdout
    assert ingested.count(BiasFrame) == 0
    assert not list((ingested.settings.cache_folder / "work").glob("*/*"))
    assert ingested.make(BiasFrame, chip="ccd1").failed == {}


def run(program: Path, site) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "AWE_HOME": str(site.settings.home),
        "AWE_DATABASE": site.settings.database,
        "AWE_DATA_SERVER": site.settings.data_server,
        "AWE_WORKERS": "1",
        "PYTHONPATH": str(Path(awe.database.__file__).parents[1]),
    }
    return subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_locked_database_is_told_and_nothing_is_half_written(ingested, monkeypatch):
    if ingested.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL locks rows, not the database")
    monkeypatch.setattr(awe.database, "BUSY_SECONDS", 0.2)  # the patience is a constant of the program, not code
    impatient = replace(ingested, engine=open_engine(ingested.settings.database))
    bias = impatient.all(RawBiasFrame)[0]
    with closing(sqlite3.connect(str(make_url(ingested.settings.database).database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match=r"database sqlite:.*: database is locked"):
            impatient.change(RawBiasFrame, bias.object_id, judgement="seen")
        assert impatient.all(RawBiasFrame)[0].judgement is None
        other.execute("ROLLBACK")
    impatient.change(RawBiasFrame, bias.object_id, judgement="seen")
    impatient.engine.dispose()

    assert ingested.all(RawBiasFrame)[0].judgement == "seen"


def _dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _fingerprint_of(site) -> str:
    """Return the fingerprint of the read noise of chip 1, by making it in a state that is thrown away."""
    number = next(iter(site.make(ReadNoise, chip="ccd1").made.values()))
    with short_transaction(site.engine) as session:
        made = session.get(ReadNoise, number)
        fingerprint = made.fingerprint
        session.delete(made)
    return fingerprint


def _running_job(site, fingerprint: str, **process) -> int:
    with short_transaction(site.engine) as session:
        task = session.scalars(select(Process.process_id).where(Process.product_class == "ReadNoise")).one()
        described = {"product_class": "ReadNoise", "target": "ReadNoise ccd1", "reason": "there is no ReadNoise"}
        job = new_job(fingerprint=fingerprint, creator="bob", project="default", process_id=task, **described)
        for name, value in process.items():
            setattr(job, name, value)
        session.add(job)
        session.flush()
        return job.job_id


def test_the_job_of_a_dead_process_is_taken_over(ingested):
    fingerprint = _fingerprint_of(ingested)
    number = _running_job(ingested, fingerprint, pid=_dead_process(), process_started=1.0)
    outcome = ingested.make(ReadNoise, chip="ccd1")

    assert outcome.failed == {}
    (lost,) = jobs(ingested, state="lost")
    assert (lost.job_id, lost.claim, lost.error) == (number, None, "its process ended without a word")
    assert_consistent(ingested)


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(ingested):
    job = new_job(fingerprint="f", product_class="", target="", reason="", creator="", project="", process_id=1)
    alive = is_dead(job)
    job.process_started -= 100

    assert (alive, is_dead(job)) == (False, True)


def test_the_job_of_another_machine_is_dead_after_a_long_silence(ingested):
    job = new_job(fingerprint="f", product_class="", target="", reason="", creator="", project="", process_id=1)
    job.host, job.heartbeat = "elsewhere", utc_now() - timedelta(seconds=30)
    soon = is_dead(job)
    job.heartbeat = utc_now() - timedelta(seconds=300)

    assert (soon, is_dead(job)) == (False, True)


def test_who_asks_for_what_another_makes_waits_and_gives_up_in_the_end(ingested):
    fingerprint = _fingerprint_of(ingested)
    _running_job(ingested, fingerprint)
    with ingested.session() as session:
        task = session.scalars(select(Process.process_id).where(Process.product_class == "ReadNoise")).one()
    described = {"product_class": "ReadNoise", "target": "ReadNoise ccd1", "reason": ""}
    mine = new_job(fingerprint=fingerprint, creator="ann", project="default", process_id=task, **described)

    with pytest.raises(TimeoutError, match="ReadNoise ccd1: another process has been making it for"):
        claim(ingested.engine, mine, patience=0.5)


def test_a_claim_on_what_is_finished_gives_the_product(made):
    noise = made.all(ReadNoise)[0]
    described = {"product_class": "ReadNoise", "target": "ReadNoise ccd1", "reason": ""}
    job = new_job(
        fingerprint=noise.fingerprint, creator="ann", project="default", process_id=noise.process_id, **described
    )

    assert claim(made.engine, job).object_id == noise.object_id


def test_everything_of_an_undisturbed_night_is_consistent(undisturbed):
    assert_consistent(undisturbed)


def test_a_product_that_is_finished_between_two_looks_is_not_made_again(made, monkeypatch):
    """Another process ends at the worst moment: after it was looked for, before the claim was entered."""
    noise = made.all(ReadNoise)[0]
    described = {"product_class": "ReadNoise", "target": "ReadNoise ccd1", "reason": ""}
    job = new_job(
        fingerprint=noise.fingerprint, creator="ann", project="default", process_id=noise.process_id, **described
    )
    looks = [None]  # the first look, a moment before the other process commits, finds nothing
    monkeypatch.setattr(claims, "finished", lambda s, f: looks.pop() if looks else finished(s, f))

    assert claim(made.engine, job).object_id == noise.object_id
    with made.session() as session:
        assert session.scalars(select(Job).where(Job.state == "running")).all() == []
