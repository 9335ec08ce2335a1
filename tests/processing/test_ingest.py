"""Each file gets a verdict with its reason; nothing is half ingested; one bad file does not stop the others."""

import gzip
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from awe.fits import read_image
from awe.local import start_data_server
from awe.model import Ingested, Observation, Persistent, RawBiasFrame, RawFrame, RawScienceFrame
from awe.model.frame import SkyCell
from awe.model.ingested import Verdict
from awe.processing import ingest as ingesting
from awe.processing.ingest import find_files, wait_until_settled


@pytest.fixture
def settled(tmp_path):
    """A function that copies a file to another name, with a time stamp of the past so that it counts as complete."""

    def copy(source: Path, name: str = "") -> Path:
        path = tmp_path / (name or source.name)
        shutil.copy(source, path)
        return age(path)

    return copy


def age(path: Path) -> Path:
    """Make a file an hour old."""
    then = time.time() - 3600
    os.utime(path, (then, then))
    return path


def rewritten(source: Path, path: Path, change) -> Path:
    """Write a copy of a raw file after a change of its HDUs, with right checksums."""
    with fits.open(source, memmap=False) as hdus:
        copied = fits.HDUList([hdu.copy() for hdu in hdus])
    change(copied)
    copied.writeto(path, checksum=True, overwrite=True, output_verify="silentfix+ignore")
    return age(path)


@pytest.fixture
def other(night, tmp_path):
    """A function that returns a science exposure unlike any that is there: taken some seconds later."""

    def make(name: str = "other.fits", seconds: int = 7) -> Path:
        def later(hdus):
            header = hdus[0].header
            header["DATE-OBS"] = header["DATE-OBS"].replace(":00:", f":{seconds:02d}:", 1)
            hdus[0].header["HISTORY"] = f"copy {seconds}"

        return rewritten(night.of_type("OBJECT")[0], tmp_path / name, later)

    return make


def test_every_file_of_the_night_became_a_frame_for_each_chip(undisturbed, night):
    frames = undisturbed.all(RawFrame)

    assert len(frames) == 2 * len(night.files)
    assert {f.original_name for f in frames} == {p.name for p in night.files}
    assert {(f.chip.name, f.extension) for f in frames} == {("ccd1", 1), ("ccd2", 2)}
    assert len({f.filename for f in frames}) == len(night.files)
    assert undisturbed.count(Observation) == len(night.files)


def test_the_raw_file_is_stored_unchanged(undisturbed, night):
    frame = undisturbed.all(RawScienceFrame)[0]
    path = next(p for p in night.files if p.name == frame.original_name)

    assert undisturbed.store.retrieve(frame.filename).read_bytes() == path.read_bytes()
    assert (frame.size, frame.content) == (path.stat().st_size, frame.sha256)


def test_what_a_frame_says_is_what_was_observed(undisturbed, night):
    truth = night.truth
    for frame in undisturbed.all(RawScienceFrame):
        exposure = truth.exposures[frame.original_name]
        assert (frame.object, frame.filter.name, frame.exptime) == (
            exposure["object"],
            exposure["filter"],
            exposure["exptime"],
        )
        assert frame.date_obs.isoformat() == exposure["start"].removesuffix("+00:00")
        assert f"{frame.night}" == truth.plan.night
        names = {name.lower(): facts for name, facts in truth.summary["chips"].items()}
        assert frame.gain == pytest.approx(names[frame.chip.name]["gain"], rel=0.01)


def test_frames_of_the_sky_have_a_place_and_calibrations_have_none(undisturbed):
    with undisturbed.session() as session:
        science = session.scalars(select(RawScienceFrame)).unique().all()
        biases = session.scalars(select(RawBiasFrame)).unique().all()
        cells = {f.object_id: len(f.cells) for f in science}
        assert min(cells.values()) > 0
        assert all(len(f.footprint) == 4 for f in science)
        assert [b.object_id for b in biases if b.footprint] == []
        with_cells = set(session.scalars(select(SkyCell.object_id)))
    assert not with_cells & {b.object_id for b in biases}


def test_the_same_content_under_another_name_is_there_already(ingested, night, settled):
    before = ingested.count()
    (report,) = ingested.ingest(settled(night.files[0], "renamed.fits"))

    assert (report.verdict, report.reason) == (Verdict.PRESENT, f"same content as {night.files[0].name}")
    assert len(report.frames) == 2
    assert ingested.count() == before


@pytest.mark.parametrize("compress", ["gz", "fz"])
def test_compressed_files_are_read_and_stored_as_they_are(ingested, other, tmp_path, compress):
    plain = other()
    path = tmp_path / f"other.fits.{compress}"
    if compress == "gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with fits.open(plain) as hdus:
            images = [fits.CompImageHDU(h.data, h.header, name=h.name, compression_type="RICE_1") for h in hdus[1:]]
            fits.HDUList([hdus[0].copy(), *images]).writeto(path, checksum=True)
    (report,) = ingested.ingest(age(path))

    assert report.verdict == Verdict.INGESTED, report.reason
    frames = [f for f in ingested.all(RawScienceFrame) if f.object_id in report.frames]
    assert len(frames) == 2
    assert frames[0].filename.endswith(f".fits.{compress}")
    assert ingested.store.retrieve(frames[0].filename).read_bytes() == path.read_bytes()
    with fits.open(plain) as hdus:
        for frame in frames:
            image = read_image(ingested.store.retrieve(frame.filename), frame.hdu)[0]
            assert np.array_equal(image, hdus[frame.extension].data.astype(np.float32))


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-3000] ^= 0xFF
    path.write_bytes(content)


def _edit(change):
    return lambda path: rewritten(path, path, change)


def _without(keyword):
    return _edit(lambda hdus: hdus[0].header.remove(keyword))


REFUSED = {
    "truncated": (_truncate, "truncated"),
    "a bit flipped": (_flip, "DATASUM"),
    "not FITS": (lambda path: path.write_bytes(b"hello\n" * 1000), "FITS"),
    "empty": (lambda path: path.write_bytes(b""), ""),
    "a table only": (
        lambda path: fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])]).writeto(path, overwrite=True),
        "",
    ),
    "no image": (_edit(lambda hdus: hdus.__delitem__(slice(1, None))), ""),
    "no instrument": (_without("INSTRUME"), "INSTRUME"),
    "unknown instrument": (_edit(lambda hdus: hdus[0].header.set("INSTRUME", "BOXCAM")), "BOXCAM"),
    "no date": (_without("DATE-OBS"), "DATE-OBS"),
    "a date that is none": (_edit(lambda hdus: hdus[0].header.set("DATE-OBS", "yesterday")), "yesterday"),
    "no exposure time": (_without("EXPTIME"), "EXPTIME"),
    "a kind that no rule knows": (_edit(lambda hdus: hdus[0].header.set("OBSTYPE", "ARC")), "ARC"),
}


@pytest.mark.parametrize("beyond", [0, 1440], ids=["between two HDUs", "within a header"])
def test_a_file_that_lost_its_last_chip_is_refused(ingested, other, beyond):
    """A copy that was broken off where the second chip begins is a complete FITS file of one chip."""
    path = other("half.fits", 16 + beyond // 1440)
    with fits.open(path) as hdus:
        end = hdus[-1].fileinfo()["hdrLoc"] + beyond
    path.write_bytes(path.read_bytes()[:end])
    (report,) = ingested.ingest(age(path))

    assert report.verdict == Verdict.REFUSED


@pytest.mark.parametrize("spoil", REFUSED, ids=list(REFUSED))
def test_a_bad_file_is_refused_with_the_reason_and_leaves_nothing(ingested, other, spoil):
    path = other()
    change, word = REFUSED[spoil]
    change(path)
    age(path)
    before = ingested.count(), {f.filename for f in ingested.store.list()}
    (report,) = ingested.ingest(path)

    assert report.verdict == Verdict.REFUSED
    assert word in report.reason
    assert len(report.reason) > 15
    assert "\n" not in report.reason
    assert (ingested.count(), {f.filename for f in ingested.store.list()}) == before


def test_a_missing_file_is_refused(ingested, tmp_path):
    (report,) = ingested.ingest(tmp_path / "none.fits")

    assert (report.verdict, report.reason) == (Verdict.REFUSED, f"no file {tmp_path / 'none.fits'}")


def test_one_bad_file_does_not_stop_the_others(ingested, other, night, settled):
    bad = other("bad.fits", 8)
    _truncate(bad)
    good = other("good.fits", 9)
    found = ingested.ingest(age(bad), good, settled(night.files[0]))

    assert [r.verdict for r in found] == [Verdict.REFUSED, Verdict.INGESTED, Verdict.PRESENT]


def test_every_verdict_is_kept_with_its_reason(ingested, other):
    good = other("good.fits", 10)
    with ingested.session() as session:
        before = len(session.scalars(select(Ingested)).all())
    found = ingested.ingest(good, good.parent / "none.fits")
    with ingested.session() as session:
        rows = session.scalars(select(Ingested).order_by(Ingested.ingested_id)).all()[before:]

    assert [(r.path, r.verdict, r.reason) for r in rows] == [(r.path, r.verdict.value, r.reason) for r in found]
    assert (rows[0].creator, rows[0].size, len(rows[0].sha256)) == ("ann", good.stat().st_size, 64)


def test_a_dry_run_judges_and_stores_nothing(ingested, other):
    path = other("dry.fits", 11)
    before = ingested.count(), {f.filename for f in ingested.store.list()}
    (report,) = ingested.ingest(path, dry_run=True)

    assert report.verdict == Verdict.INGESTED
    assert report.reason.endswith("(dry run: nothing was stored)")
    assert (ingested.count(), {f.filename for f in ingested.store.list()}) == before


def test_a_file_that_is_being_written_is_waited_for(ingested, other, tmp_path):
    content = other("whole.fits", 12).read_bytes()
    path = tmp_path / "growing.fits"
    path.write_bytes(content[:5000])

    def write_on():
        for start in range(5000, len(content), len(content) // 5):
            time.sleep(0.3)
            with open(path, "ab") as file:
                file.write(content[start : start + len(content) // 5])

    writer = threading.Thread(target=write_on)
    writer.start()
    (report,) = ingested.ingest(path)
    writer.join()

    assert report.verdict == Verdict.INGESTED, report.reason
    assert path.stat().st_size == len(content)


def test_a_file_that_never_stops_growing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ingesting, "PATIENCE", 0.5)  # the patience is a constant of the program, not code
    path = tmp_path / "endless.fits"
    path.write_bytes(b"")
    stop = threading.Event()

    def write_on():
        while not stop.wait(0.05):
            with open(path, "ab") as file:
                file.write(b"x")

    writer = threading.Thread(target=write_on)
    writer.start()
    with pytest.raises(Exception, match=r"is still being written after 0.5 s: ingest it when it is complete"):
        wait_until_settled(path)
    stop.set()
    writer.join()


def test_folders_are_searched_for_fits_files(tmp_path):
    for name in ("b.fits", "a.fit", "notes.txt", "deep/c.fits.fz", "deep/d.FITS", "e.fits.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_files([tmp_path, tmp_path / "missing.fits"])

    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        "a.fit", "b.fits", "deep/c.fits.fz", "deep/d.FITS", "e.fits.gz", "missing.fits",
    ]  # fmt: skip


def test_an_observation_whose_second_chip_has_a_bad_place_says_so_and_keeps_the_frame(ingested, other):
    path = other("bent.fits", 13)
    rewritten(path, path, lambda hdus: hdus[2].header.set("CD1_1", 0.0) or hdus[2].header.set("CD1_2", 0.0))
    (report,) = ingested.ingest(path)
    frames = [f for f in ingested.all(RawFrame) if f.object_id in report.frames]

    if report.verdict == Verdict.INGESTED:
        assert [bool(f.wcs_problem) for f in frames] == [False, True]
    else:
        assert "WCS" in report.reason or "CD1_1" in report.reason


def test_without_a_data_server_no_row_is_written(ingested, other, tmp_path):
    with start_data_server(tmp_path / "gone") as server:
        address = server.address
    down = replace(ingested, settings=replace(ingested.settings, data_server=address, cache_folder=tmp_path / "cold"))
    before = ingested.count(Persistent)

    with pytest.raises(Exception, match=r"can't be used: no answer after 5 attempts"):
        down.ingest(other("later.fits", 14))
    assert ingested.count(Persistent) == before


def test_two_who_ingest_the_same_file_at_once_ingest_it_once(ingested, other):
    path = other("both.fits", 15)
    found = []
    threads = [threading.Thread(target=lambda: found.extend(ingested.ingest(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(r.verdict for r in found) == [Verdict.PRESENT, Verdict.INGESTED]
    assert found[0].frames == found[1].frames
    assert len([f for f in ingested.all(RawFrame) if f.original_name == "both.fits"]) == 2
