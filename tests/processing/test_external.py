"""Calibrated frames made elsewhere become objects without inputs, and all else works with them."""

import os
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from awe.errors import BadFile, BadRequest
from awe.fits import open_planes
from awe.instruments import load_definitions
from awe.kernels.flags import PixelFlag
from awe.kernels.wcs import tan
from awe.model import Coadd, GridTarget, Ingested, Persistent, ReducedFrame, RegriddedFrame, SourceList
from awe.model.catalogue import SOURCES
from awe.model.frame import SkyCell
from awe.model.ingested import Verdict
from awe.model.persistent import QualityFlag
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.external_header import band_of, date_of, unit_of, zeropoint_of
from awe.processing.external_pixels import WeightKind, companion
from awe.processing.staleness import why_stale

SIZE, SCALE, SKY, NOISE = 300, 0.3, 50.0, 2.0
HEADER = {
    "OBJECT": "A370", "INSTRUME": "WFX", "TELESCOP": "Tel", "FILTER": "r.2", "EXPTIME": 100.0, "BUNIT": "adu",
    "MAGZERO": 27.5, "DATE-OBS": "2024-03-01T02:03:04.5", "ORIGKEY": "kept",
}  # fmt: skip
STARS = [(60.0, 80.0, 4000.0), (200.3, 90.6, 20000.0), (140.0, 222.2, 9000.0)]


def scene(seed: int = 3) -> np.ndarray:
    """Return an image with sky and three stars of known flux, sigma 2 pixel."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.random.default_rng(seed).normal(SKY, NOISE, (SIZE, SIZE))
    for x0, y0, flux in STARS:
        image += flux / (8 * np.pi) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
    return image.astype(np.float32)


def aged(path: Path) -> Path:
    then = time.time() - 3600
    os.utime(path, (then, then))
    return path


@pytest.fixture
def stack(tmp_path):
    """A function that writes an image with a header of which some cards are changed (None: left out)."""

    def write(name: str = "stack_r.fits", image: np.ndarray | None = None, **cards: object) -> Path:
        header = fits.Header()
        header.update(tan(40.0, -1.5, SCALE, SIZE, SIZE, rotation=20.0).cards)
        for keyword, value in (HEADER | {k.replace("_", "-"): v for k, v in cards.items()}).items():
            if value is not None:
                header[keyword] = value
        fits.writeto(tmp_path / name, scene() if image is None else image, header, overwrite=True)
        return aged(tmp_path / name)

    return write


@pytest.fixture
def plane(tmp_path):
    """A function that writes a map."""

    def write(name: str, pixels: np.ndarray) -> Path:
        fits.writeto(tmp_path / name, pixels, overwrite=True)
        return aged(tmp_path / name)

    return write


@pytest.fixture
def take_in(ingested):
    """A function that ingests frames made elsewhere on a site with a night of raw frames."""

    def ingest(*paths: Path, dry_run: bool = False, ask=None, project: str = "", **stated):
        settings = replace(ingested.settings, project=project) if project else ingested.settings
        worker = ExternalIngester(
            ingested.engine, ingested.store, settings, load_definitions(), dry_run,
            stated=Stated(**stated), ask=ask, count=len(paths),
        )  # fmt: skip
        return list(worker.ingest(paths))

    return ingest


def the(site, report):
    with site.session() as session:
        frame = session.get(Persistent, report.frames[0])
        _ = (
            getattr(frame, "grid_target", None),
            frame.cells,
            getattr(frame, "regridded_frames", None),
            frame.filter,
            frame.instrument,
        )
        return frame


def test_a_coadd_made_elsewhere_is_an_object_without_inputs(ingested, take_in, stack):
    (report,) = take_in(stack())
    frame = the(ingested, report)

    assert report.verdict == Verdict.INGESTED, report.reason
    assert isinstance(frame, Coadd)
    assert (frame.external, frame.origin, len(frame.origin_sha256)) == (True, "stack_r.fits", 64)
    assert frame.regridded_frames == []
    assert frame.parameters is None
    assert (frame.zeropoint, frame.bunit, frame.exptime, frame.object) == (27.5, "adu", 100.0, "A370")
    assert (frame.instrument.name, frame.filter.name, frame.filter.band) == ("WFX", "r.2", "r")
    assert frame.date_obs.isoformat() == "2024-03-01T02:03:04.500000"
    assert "MAGZERO" in frame.remark


def test_it_has_its_place_on_the_sky_and_a_grid_target(ingested, take_in, stack):
    frame = the(ingested, take_in(stack())[0])

    assert (frame.ra, frame.dec) == pytest.approx((40.0, -1.5), abs=1e-9)
    assert frame.pixel_scale == pytest.approx(SCALE, rel=1e-6)
    assert (frame.grid_target.naxis1, frame.grid_target.naxis2) == (SIZE, SIZE)
    with ingested.session() as session:
        assert session.scalars(select(SkyCell).where(SkyCell.object_id == frame.object_id)).first() is not None


def test_the_pixels_are_stored_as_they_are_with_the_header_they_had(ingested, take_in, stack):
    frame = the(ingested, take_in(stack(BUNIT="adu/s"))[0])
    planes = open_planes(ingested.store.retrieve(frame.filename))

    assert np.array_equal(planes.rows("IMAGE"), scene())
    assert planes.header["ORIGKEY"] == "kept"
    assert planes.header["ORIGFILE"] == "stack_r.fits"
    assert planes.header["BUNIT"] == "adu/s"
    assert planes.header["AWECLASS"] == "Coadd"


def test_registered_frames_of_several_filters_share_their_grid_target(ingested, take_in, stack):
    reports = take_in(stack("r.fits"), stack("g.fits", scene(4), FILTER="g.1"))
    grids = {the(ingested, r).grid_target.object_id for r in reports}

    assert len(grids) == 1
    other = take_in(stack("i.fits", scene(5)[:200], FILTER="i"))[0]
    assert the(ingested, other).grid_target.object_id not in grids


def test_weight_and_flags_become_planes_of_its_file(ingested, take_in, stack, plane):
    image = scene()
    image[10, 20] = np.nan
    weight = np.full((SIZE, SIZE), 1 / NOISE**2, np.float32)
    weight[:, 5] = 0
    flags = np.zeros((SIZE, SIZE), np.int32)
    flags[7, 8] = 2**20
    reports = take_in(stack(image=image), weight=str(plane("w.fits", weight)), flags=str(plane("f.fits", flags)))
    frame = the(ingested, reports[0])
    planes = open_planes(ingested.store.retrieve(frame.filename))

    assert frame.origin == "stack_r.fits, w.fits, f.fits"
    expected = weight.copy()
    expected[10, 20] = 0
    assert np.array_equal(planes.rows("WEIGHT"), expected)
    flagged = planes.rows("FLAGS")
    assert (flagged[7, 8], flagged[10, 20], np.count_nonzero(flagged)) == (PixelFlag.NO_DATA, PixelFlag.NO_DATA, 2)
    ratio = float(frame.remark.split("predict: ")[1].split(";")[0])
    assert ratio == pytest.approx(1.0, abs=0.02)  # 45,000 differences: 0.5 %


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (WeightKind.RMS, NOISE),
        (WeightKind.VARIANCE, NOISE**2),
        (WeightKind.WEIGHT, NOISE**-2),
        (WeightKind.RELATIVE, 7.0),
    ],
)
def test_each_kind_of_weight_becomes_inverse_variance(ingested, take_in, stack, plane, kind, value):
    path = plane("w.fits", np.full((SIZE, SIZE), value, np.float32))
    frame = the(ingested, take_in(stack(), weight=str(path), weight_kind=kind)[0])
    weight = open_planes(ingested.store.retrieve(frame.filename)).rows("WEIGHT")

    assert np.median(weight) == pytest.approx(1 / NOISE**2, rel=0.03 if kind is WeightKind.RELATIVE else 1e-6)


def test_weights_that_do_not_fit_the_noise_flag_the_frame(ingested, take_in, stack, plane):
    path = plane("w.fits", np.full((SIZE, SIZE), 100.0, np.float32))
    frame = the(ingested, take_in(stack(), weight=str(path))[0])

    assert QualityFlag(frame.quality_flags) & QualityFlag.NOISE_OUT_OF_RANGE


def test_planes_of_the_file_itself_are_taken_if_they_have_their_names(ingested, take_in, stack):
    path = stack()
    with fits.open(path, memmap=False) as hdus:
        weight = fits.ImageHDU(np.full((SIZE, SIZE), 0.25, np.float32), name="WEIGHT")
        fits.HDUList([hdus[0].copy(), weight]).writeto(path, overwrite=True)
    frame = the(ingested, take_in(aged(path))[0])

    assert np.all(open_planes(ingested.store.retrieve(frame.filename)).rows("WEIGHT") == 0.25)


def test_the_same_content_is_there_already(ingested, take_in, stack, plane):
    weight = plane("w.fits", np.full((SIZE, SIZE), 0.25, np.float32))
    first = take_in(stack())[0]
    before = ingested.count()

    again = take_in(stack("renamed.fits"))[0]
    assert (again.verdict, again.frames) == (Verdict.PRESENT, first.frames)
    assert ingested.count() == before
    with_weight = take_in(stack(), weight=str(weight))[0]
    assert with_weight.verdict == Verdict.INGESTED
    assert take_in(stack(), weight=str(weight))[0].frames == with_weight.frames


def test_the_same_content_with_other_facts_is_refused_with_the_way_out(ingested, take_in, stack):
    number = take_in(stack())[0].frames[0]
    report = take_in(stack(), zeropoint="26")[0]

    assert report.verdict == Verdict.REFUSED
    assert "which has zeropoint 27.5, not 26.0" in report.reason
    assert f"awe judge {number} --invalid" in report.reason
    ingested.change(Coadd, number, is_valid=0)
    assert take_in(stack(), zeropoint="26")[0].verdict == Verdict.INGESTED
    other = take_in(stack(), zeropoint="26", class_name="ReducedFrame")[0]
    assert (other.verdict, "which is no ReducedFrame" in other.reason) == (Verdict.REFUSED, True)


def test_each_verdict_is_remembered(ingested, take_in, stack):
    take_in(stack(), stack("bad.fits", BUNIT=None))

    with ingested.session() as session:
        verdicts = {Path(i.path).name: i.verdict for i in session.scalars(select(Ingested))}
    assert (verdicts["stack_r.fits"], verdicts["bad.fits"]) == ("ingested", "refused")


def test_a_dry_run_stores_nothing(ingested, take_in, stack):
    before = ingested.count()
    report = take_in(stack(), dry_run=True)[0]

    assert (report.verdict, report.frames) == (Verdict.INGESTED, ())
    assert "dry run" in report.reason
    assert ingested.count() == before


@pytest.mark.parametrize(
    ("cards", "stated", "said"),
    [
        ({"BUNIT": None}, {}, "say the unit of the pixels by --unit"),
        ({"BUNIT": "furlong"}, {}, "BUNIT is 'furlong'"),
        ({"MAGZERO": None}, {}, "say the magnitude of 1 adu by --zeropoint"),
        ({"MAGZERO": 900.0}, {}, "a zeropoint lies between"),
        ({}, {"zeropoint": "nan"}, "a zeropoint lies between"),
        ({"DATE-OBS": None}, {}, "say it by --date"),
        ({"FILTER": None}, {}, "say it by --filter"),
        ({"INSTRUME": None}, {}, "by --instrument"),
        ({"CTYPE1": "LINEAR"}, {}, "must have its place on the sky"),
        ({"EXPTIME": None}, {"zeropoint": "25", "per_second": True}, "without EXPTIME"),
    ],
)
def test_what_is_missing_or_absurd_is_refused_with_the_option_that_says_it(take_in, stack, cards, stated, said):
    report = take_in(stack(**cards), **stated)[0]

    assert report.verdict == Verdict.REFUSED
    assert said in report.reason


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"zeropoint": "x"}, "--zeropoint must be a magnitude or 'unknown'"),
        ({"unit": "parsec"}, "--unit is 'parsec'"),
        ({"date": "yesterday"}, "--date must be like"),
    ],
)
def test_an_option_that_means_nothing_is_an_error_for_all_files(take_in, stack, stated, said):
    with pytest.raises(BadRequest, match=said):
        take_in(stack(), **stated)


def test_a_class_that_is_not_made_elsewhere_is_no_verdict_but_an_error():
    with pytest.raises(BadRequest, match="as one of ReducedFrame, RegriddedFrame, Coadd, not as 'BiasFrame'"):
        _ = Stated(class_name="BiasFrame").product_class


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.ones((SIZE, SIZE - 1), np.float32), "must be of one size"),
        (np.full((SIZE, SIZE), -1.0, np.float32), "values below 0"),
        (np.zeros((SIZE, SIZE), np.float32), "no pixel above 0"),
    ],
)
def test_a_weight_map_that_is_none_is_refused(take_in, stack, plane, pixels, said):
    report = take_in(stack(), weight=str(plane("w.fits", pixels)))[0]

    assert report.verdict == Verdict.REFUSED
    assert said in report.reason


def test_files_that_are_no_images_are_refused(take_in, tmp_path, stack):
    text = tmp_path / "text.fits"
    text.write_text("no FITS")
    cut = stack("cut.fits")
    cut.write_bytes(cut.read_bytes()[:100_000])
    empty = stack("empty.fits", np.full((SIZE, SIZE), np.nan, np.float32))
    reports = take_in(aged(text), aged(cut), empty, tmp_path / "absent.fits", stack())

    assert [r.verdict for r in reports] == [Verdict.REFUSED] * 4 + [Verdict.INGESTED]
    for report, said in zip(
        reports, ("is not FITS", "truncated", "none of its pixels is a number", "no file"), strict=False
    ):
        assert said in report.reason


def test_what_is_missing_is_asked_for_where_somebody_can_answer(ingested, take_in, stack):
    asked = []

    def ask(option: str, message: str) -> str:
        asked.append(option)
        return {"unit": "nJy", "filter": "HSC-I"}[option]

    frame = the(ingested, take_in(stack(BUNIT=None, FILTER=None, MAGZERO=None), ask=ask)[0])

    assert asked == ["unit", "filter"]
    assert (frame.zeropoint, frame.bunit, frame.filter.band) == (pytest.approx(31.4), "nJy", "i")


def test_an_unknown_zeropoint_is_none_and_flagged(ingested, take_in, stack):
    frame = the(ingested, take_in(stack(MAGZERO=None), zeropoint="unknown")[0])

    assert frame.zeropoint is None
    assert QualityFlag(frame.quality_flags) & QualityFlag.PHOTOMETRY_NOT_CALIBRATED


@pytest.mark.parametrize(
    ("header", "unit", "exptime", "zeropoint"),
    [
        ({"MAGZERO": 27.5}, "adu", 100.0, 27.5),
        ({"PHOTZP": 25.0}, "adu/s", 100.0, 25.0),
        ({"PHOT_C": 26.0}, "adu", 100.0, 31.0),
        ({"PHOT_C": 26.0}, "adu/s", 100.0, 26.0),
        ({"FLUXMAG0": 1e12}, "adu", 0.0, 30.0),
        ({"ZEROPNT": 0.0, "MAGZERO": 27.0}, "adu", 0.0, 0.0),
        ({}, "Jy", 0.0, 8.9),
        ({}, "nmgy", 0.0, 22.5),
    ],
)
def test_zeropoints_are_those_of_one_unit_of_the_stored_pixels(header, unit, exptime, zeropoint):
    assert zeropoint_of(header, unit, exptime, None).value == pytest.approx(zeropoint, abs=1e-9)


def test_a_zeropoint_given_for_one_second_is_brought_to_the_pixels():
    assert zeropoint_of({}, "adu", 100.0, "25", per_second=True).value == pytest.approx(30.0)
    assert zeropoint_of({}, "electron/s", 100.0, "25", per_second=True).value == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("text", "unit"), [("ADU", "adu"), ("counts", "adu"), ("e-/s", "electron/s"), ("nanomaggy", "nmgy")]
)
def test_units_are_read_as_headers_write_them(text, unit):
    assert unit_of({"BUNIT": text}, None).value == unit


def test_dates_are_read_in_several_forms():
    assert date_of({"MJD-OBS": 60370.5}, None).value.isoformat() == "2024-03-01T12:00:00"
    assert date_of({"DATE-OBS": "2024-03-01"}, None).value.isoformat() == "2024-03-01T00:00:00"
    assert date_of({"DATE": "2010-12-06T11:21:31"}, None).source == "DATE, when the file was made"
    with pytest.raises(BadFile, match="--date"):
        date_of({"DATE-OBS": "last night"}, None)


def test_bands_are_found_in_names_of_filters():
    assert [band_of(n) for n in ("g.MP9401", "OCAM_r_SDSS", "HSC-Z", "V", "F475W", "clear")] == [
        "g",
        "r",
        "z",
        "V",
        "",
        "",
    ]


def test_maps_are_named_by_the_stem_of_the_image():
    assert companion(Path("/a/stack_g.fits.fz"), "{stem}.weight.fits", 2, "--weight") == Path("/a/stack_g.weight.fits")
    assert companion(Path("/a/g.fits"), "/w/{stem}_w.fits[1]", 2, "--weight") == Path("/w/g_w.fits[1]")
    with pytest.raises(BadRequest, match="names one file for 2 images"):
        companion(Path("g.fits"), "w.fits", 2, "--weight")


@pytest.mark.parametrize("cls", [Coadd, RegriddedFrame, ReducedFrame])
def test_a_source_list_is_made_of_it_and_the_frame_is_never_made_again(ingested, take_in, stack, cls):
    report = take_in(stack(), class_name=cls.__name__)[0]
    outcome = ingested.make(SourceList, frame=report.frames[0])

    assert outcome.failed == {}
    assert [order.class_name for order, _ in outcome.results] == ["PsfModel", "SourceList"]
    made = [*outcome.made.values()][-1]
    with ingested.session() as session:
        rows = session.execute(select(SOURCES).where(made == SOURCES.c.SLID)).all()
        assert why_stale(session, session.get(Persistent, report.frames[0])) == []
        assert why_stale(session, session.get(SourceList, made)) == []
    found = {(round(r.X_IMAGE), round(r.Y_IMAGE)): r for r in rows}
    for x, y, flux in STARS:
        row = found[round(x), round(y)]
        # noise of the sky within the Kron ellipse, and what lies beyond it (some per cent of a faint star)
        assert pytest.approx(27.5 - 2.5 * np.log10(flux), abs=0.05) == row.MAG_AUTO


def test_a_source_list_of_it_is_stale_when_it_is_judged_invalid(ingested, take_in, stack):
    number = take_in(stack())[0].frames[0]
    made = [*ingested.make(SourceList, frame=number).made.values()][-1]
    ingested.change(Coadd, number, is_valid=0, judgement="wrong zeropoint")

    with ingested.session() as session:
        assert "flagged invalid (wrong zeropoint)" in why_stale(session, session.get(SourceList, made))[0]


def test_only_the_psf_and_source_lists_are_made_of_it(ingested, take_in, stack):
    number = take_in(stack(), class_name="ReducedFrame")[0].frames[0]

    with pytest.raises(
        BadRequest, match="was made elsewhere and is calibrated: of it a SourceList or PsfModel is made"
    ):
        ingested.plan(ingested_class("WeightFrame"), frame=number)


def ingested_class(name: str):
    from awe.model.persistent import persistent_class

    return persistent_class(name)


def test_a_coadd_of_raw_frames_is_made_though_one_made_elsewhere_has_its_grid(made, stack, take_in_made):
    own = made.all(Coadd)[0]
    with made.session() as session:
        coadd = session.get(Coadd, own.object_id)
        grid, band = coadd.grid_target_id, coadd.filter_id
    number = take_in_made(stack())[0].frames[0]
    made.change(Coadd, number, grid_target_id=grid, filter_id=band)

    assert made.make(Coadd, object="SIM-A").made == {}
    made.change(Coadd, own.object_id, is_valid=0)
    assert len(made.make(Coadd, object="SIM-A").made) == 1


@pytest.fixture
def take_in_made(made):
    def ingest(*paths: Path):
        return list(ExternalIngester(made.engine, made.store, made.settings, load_definitions()).ingest(paths))

    return ingest


def test_frames_of_a_known_camera_belong_to_it(ingested, take_in, real_data):
    reports = take_in(*(real_data / "rgb" / f"CFHTLS-test_{band}.fits" for band in "irg"), unit="adu")
    frames = [the(ingested, r) for r in reports]

    assert {f.instrument.name for f in frames} == {"MegaCam"}
    assert [f.filter.band for f in frames] == ["i", "r", "g"]
    assert {f.zeropoint for f in frames} == {30.0}
    assert len({f.grid_target.object_id for f in frames}) == 1


@pytest.mark.parametrize(
    ("cards", "evening"),
    [
        ({}, date(2024, 1, 1)),
        ({"OBSGEO_L": -70.4, "OBSGEO_B": -24.6, "OBSGEO_H": 2635.0}, date(2023, 12, 31)),
        ({"OBSGEO_L": 900.0, "OBSGEO_B": 1.0}, date(2024, 1, 1)),
    ],
)
def test_the_site_is_that_of_the_header_or_unknown(ingested, take_in, stack, cards, evening):
    frame = the(ingested, take_in(stack(TELESCOP="VST", DATE_OBS="2024-01-01T15:00:00", **cards))[0])
    telescope = frame.instrument.telescope

    assert frame.night == evening
    assert (telescope and telescope.name) == ("VST" if "OBSGEO_H" in cards else None)


def test_grid_targets_are_not_those_of_raw_frames(ingested, take_in, stack):
    grid = the(ingested, take_in(stack())[0]).grid_target

    assert grid.name == "A370 WFX external"
    assert [g.name for g in ingested.all(GridTarget)] == [grid.name]
