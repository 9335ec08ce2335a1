"""A night with crosstalk, a detector that is not linear, fringes and stray light: its pixels come back to the truth."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import binary_dilation
from sqlalchemy import select
from sqlalchemy.orm import Session

import awe.instruments
from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.fits import open_planes, read_image
from awe.instruments import load_definitions
from awe.kernels.matching import match_sky
from awe.kernels.mesh import spread_mesh
from awe.kernels.resample import resample
from awe.kernels.statistics import clipped_statistics, robust_sigma
from awe.local import start_data_server
from awe.model import (
    Crosstalk,
    FringeFrame,
    GainLinearity,
    IlluminationCorrection,
    ReducedFrame,
    RegriddedFrame,
    SourceList,
)
from awe.model.catalogue import SOURCES
from awe.model.lineage import ancestors, sources
from awe.model.persistent import Persistent
from awe.processing.catalogues import add_catalogue
from awe.processing.choosing import Chooser
from awe.processing.engine import execute
from awe.processing.ingest import Ingester
from awe.processing.on_grid import _mesh
from awe.processing.plan import plan
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.simulation import PRESETS, Night, simulate_night
from awe.simulation.camera import FULL_WELL, Chip, make_chip
from awe.simulation.effects import fringe_bands, fringe_strength, stray_light
from awe.simulation.night import _all_fields, light
from awe.simulation.schedule import schedule
from awe.store import Store

LOSS, LEAK, BANDS, STRAY = 0.02, 2e-3, 0.02, 0.06
NIGHT = {
    "chip_shape": (448, 448), "chips": 2, "filters": ("r",), "exposures": 7, "biases": 9, "twilights": 9, "ramp": 9,
    "stars": 45.0, "galaxies": 0.0, "reference_limit": 22.0, "dither": 25.0, "seed": 41, "exptime": 180.0,
    "nonlinearity": LOSS, "crosstalk": LEAK, "fringes": BANDS, "illumination": STRAY,
}  # fmt: skip
DECLARED = f"""
[corrections]
fringes = ["r"]
illumination = ["*"]
crosstalk = [{{ victim = "ccd2", aggressor = "ccd1", coefficient = {LEAK} }}]
[corrections.linearity]
maximum = 45000
"""


@dataclass(frozen=True)
class Made:
    """The products of the night, and what it was made with."""

    night: Night
    session: Session
    store: Store

    def all(self, cls: Any, chip: str = "") -> list[Any]:
        found = self.session.scalars(select(cls).order_by(cls.object_id)).unique()
        chosen = [product for product in found if not chip or product.chip.name == chip]
        return sorted(chosen, key=lambda p: (getattr(p, "date_obs", None) or p.valid_from, p.chip.name))

    def plane(self, frame: Any, name: str = "IMAGE") -> np.ndarray:
        return open_planes(self.store.retrieve(frame.filename)).rows(name)


def _site(home: Path, night: Night, server: Any, definitions: Any, make_tables: Any) -> tuple[Any, Store, Settings]:
    settings = Settings(
        home=home, database=f"sqlite:///{home}/awe.db", data_server=server.address, user="ann", workers=2
    )
    engine, store = open_engine(settings.database), Store(server.address, settings.cache_folder)
    make_tables(engine)
    with short_transaction(engine) as session:
        register_processes(session)
    reports = list(Ingester(engine, store, settings, definitions).ingest(night.files))
    assert {r.verdict for r in reports} <= {"ingested", "present"}
    add_catalogue(engine, store, settings, night.reference_catalogue, "simulated", "plain")
    return engine, store, settings


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return simulate_night(tmp_path_factory.mktemp("night") / "night", PRESETS["small"], **NIGHT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with start_data_server(tmp_path_factory.mktemp("files")) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, observed: Night, server: Any, make_tables: Any) -> Iterator[Made]:
    """The night by an instrument file that declares all four effects, made to regridded frames."""
    home = tmp_path_factory.mktemp("declared")
    (home / "instruments").mkdir()
    shipped = Path(awe.instruments.__file__).parent / "simcam.toml"
    (home / "instruments" / "simcam.toml").write_text(shipped.read_text() + DECLARED)
    definitions = load_definitions(home / "instruments")
    engine, store, settings = _site(home, observed, server, definitions, make_tables)
    with Session(engine) as session:
        for cls in (ReducedFrame, RegriddedFrame, SourceList):
            outcome = execute(plan(session, targets(session, cls, object="SIM-A")), engine, settings)
            assert (outcome.failed, outcome.skipped) == ({}, {})
    with Session(engine) as session:
        yield Made(observed, session, store)
    engine.dispose()


@pytest.fixture(scope="module")
def undeclared(
    tmp_path_factory: pytest.TempPathFactory, observed: Night, server: Any, make_tables: Any
) -> Iterator[Made]:
    """The same files by the shipped instrument file, which declares none."""
    engine, store, settings = _site(
        tmp_path_factory.mktemp("undeclared"), observed, server, load_definitions(), make_tables
    )
    with Session(engine) as session:
        outcome = execute(plan(session, targets(session, SourceList, object="SIM-A")), engine, settings)
        assert outcome.failed == {}
    with Session(engine) as session:
        yield Made(observed, session, store)
    engine.dispose()


def stray(made: Made, chip: Chip) -> np.ndarray:
    """Return by what flats and sky exceed what stars see."""
    plan, (ny, nx) = made.night.truth.plan, chip.shape
    height, width = plan.field_shape
    x, y = (np.arange(nx) - chip.projection.axis[0]) / width, (np.arange(ny) - chip.projection.axis[1]) / height
    return np.asarray(stray_light(plan, x[None, :], y[:, None]))


def truth_of(made: Made, reduced: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what a reduced frame should show (adu), and its noise."""
    plan = made.night.truth.plan
    plain = replace(plan, fringes=0.0, crosstalk=0.0, nonlinearity=0.0)
    exposure = next(e for e in schedule(plan) if e.filename == reduced.raw.original_name)
    chip = make_chip(plan, int(reduced.chip.name[3:]) - 1)
    flat = chip.flat["r"] * stray(made, chip)
    flat /= np.median(flat)
    flat = np.maximum(flat, 1e-3)  # dead pixels; they are flagged
    adu = (light(plain, exposure, chip, _all_fields(plain)) + chip.dark * exposure.exptime) / chip.gain
    return adu / flat, np.sqrt(adu / chip.gain + (chip.read_noise / chip.gain) ** 2) / flat


def good_pixels(made: Made, reduced: Any) -> np.ndarray:
    truth, raw = made.night.truth, reduced.raw
    spoilt = truth.charge(raw.original_name, raw.chip.name, 8) > 0
    spoilt |= truth.charge(raw.original_name, raw.chip.name, 4) > 0
    return ~binary_dilation(spoilt) & (made.plane(reduced, "FLAGS") == 0) & (truth.defects(raw.chip.name) == 0)


def blocks(image: np.ndarray, good: np.ndarray, size: int = 8) -> np.ndarray:
    """Return the means of the good pixels of blocks, of those that have nothing but such."""
    ny, nx = (n // size for n in image.shape)
    cut = tuple(slice(0, n * size) for n in (ny, nx))
    value, count = (np.where(good, v, 0)[cut].reshape(ny, size, nx, size).sum((1, 3)) for v in (image, 1.0))
    return (value / np.maximum(count, 1))[count == size**2]


def test_each_chip_gets_its_calibrations_once_and_the_first_chip_no_crosstalk(made):
    counted = {cls: Counter(p.chip.name for p in made.all(cls)) for cls in _PER_CHIP}

    assert all(count == {"ccd1": 1, "ccd2": 1} for count in counted.values())
    assert {len(r.aggressors) for r in made.all(ReducedFrame, "ccd1")} == {0}
    assert all(r.crosstalk is None for r in made.all(ReducedFrame, "ccd1"))
    for reduced in made.all(ReducedFrame, "ccd2"):
        (other,) = reduced.aggressors
        assert (other.chip.name, other.original_name) == ("ccd1", reduced.raw.original_name)


_PER_CHIP = (GainLinearity, FringeFrame, IlluminationCorrection)


def test_gain_and_loss_of_the_detector_are_measured(made):
    facts = made.night.truth.summary["chips"]
    for found in made.all(GainLinearity):
        level = 40000.0
        seen = level * (1 - LOSS * level / FULL_WELL)
        correction = 1 + sum(c * seen ** (i + 1) for i, c in enumerate(found.coefficients))

        assert seen * correction == pytest.approx(level, rel=1e-3)
        assert found.gain == pytest.approx(facts[found.chip.name]["gain"], abs=4 * found.gain_error)
        assert found.gain_error < 0.01 * found.gain
        assert found.maximum <= 45000
        assert found.deviation == pytest.approx(LOSS * found.maximum / FULL_WELL, abs=1e-3)
        assert found.n_pairs < 9  # the brightest are beyond the range that is declared


def test_the_fringe_pattern_is_that_of_the_sky(made):
    for found in made.all(FringeFrame):
        image = made.plane(found)
        truth = fringe_bands(image.shape)

        assert found.n_frames == 7
        assert found.rms == pytest.approx(BANDS, rel=0.2)  # the strengths of the seven exposures average 1 +- 0.1
        assert np.corrcoef(image.ravel(), truth.ravel())[0, 1] > 0.95
        assert abs(image.mean()) < 1e-6


def test_the_scale_of_the_fringes_follows_each_exposure(made):
    exposures = {e.filename: e for e in schedule(made.night.truth.plan)}
    reduced = made.all(ReducedFrame)
    strength = np.array([fringe_strength(exposures[r.raw.original_name]) for r in reduced])
    ratio = np.array([r.fringe_scale * r.fringes.rms / (BANDS * r.background) for r in reduced]) / strength

    assert ratio == pytest.approx(np.ones(len(reduced)), abs=0.05)
    assert all(r.fringe_scale_error < 0.05 * r.fringe_scale for r in reduced)


@pytest.mark.parametrize("chip", ["ccd1", "ccd2"])
def test_the_pixels_of_reduced_frames_come_back_to_the_truth(made, undeclared, chip):
    offsets, spreads, waves, before = [], [], [], []
    for reduced, other in zip(made.all(ReducedFrame, chip), undeclared.all(ReducedFrame, chip), strict=True):
        expected, noise = truth_of(made, reduced)
        faint = good_pixels(made, reduced) & (expected < 1.1 * np.median(expected))
        difference = made.plane(reduced) - expected
        offsets.append(np.median(difference[faint]) / np.median(expected))
        spreads.append(robust_sigma((difference / noise)[faint]))
        waves.append(clipped_statistics(blocks(difference, faint)).sigma / np.median(noise))
        before.append(clipped_statistics(blocks(undeclared.plane(other) - expected, faint)).sigma / np.median(noise))

    assert np.abs(offsets).max() < 2e-3
    assert np.mean(spreads) == pytest.approx(1, abs=0.05)  # flat and bias of nine frames add 2 %
    # means of 8 x 8 pixels scatter by an eighth of the noise of a pixel, and little more
    assert np.mean(waves) < 0.2
    assert np.mean(before) > 2 * np.mean(waves)


def test_bright_stars_are_linear_again(made, undeclared):
    found, before = [], []
    for reduced, other in zip(made.all(ReducedFrame), undeclared.all(ReducedFrame), strict=True):
        expected, _ = truth_of(made, reduced)
        bright = good_pixels(made, reduced) & (expected > 12000) & (expected < 50000)
        found.append(made.plane(reduced)[bright] / expected[bright])
        before.append(undeclared.plane(other)[bright] / expected[bright])
    ratio, plain = np.concatenate(found), np.concatenate(before)

    assert ratio.size > 100
    assert np.median(ratio) == pytest.approx(1, abs=2e-3)
    assert np.median(plain) < 0.997


def test_ghosts_of_the_bright_stars_of_the_other_chip_are_gone(made, undeclared):
    after, before = [], []
    for reduced, other in zip(made.all(ReducedFrame, "ccd2"), undeclared.all(ReducedFrame, "ccd2"), strict=True):
        expected, noise = truth_of(made, reduced)
        other_chip = reduced.aggressors[0]
        source = read_image(made.store.retrieve(other_chip.filename), other_chip.hdu)[0][:, : expected.shape[1]]
        ghost = LEAK * (source - np.median(source))
        haunted = good_pixels(made, reduced) & (ghost > 20) & (expected < 1.1 * np.median(expected))
        for images, frame, result in ((made, reduced, after), (undeclared, other, before)):
            result.append(((images.plane(frame) - expected) / noise)[haunted])
    left, seen = (np.concatenate(v) for v in (after, before))

    assert left.size > 50
    assert np.mean(seen) > 0.5
    assert abs(np.median(left)) < 5 / np.sqrt(left.size)


def test_the_illumination_is_found_to_half_a_per_cent(made):
    plan = made.night.truth.plan
    for found in made.all(IlluminationCorrection):
        truth = stray(made, make_chip(plan, int(found.chip.name[3:]) - 1))
        ratio = made.plane(found) / truth
        ratio /= ratio.mean()

        assert found.n_stars > 100
        assert np.ptp(truth) > 0.03
        assert np.std(ratio) < min(0.005, 3 * found.error)  # the error of the catalogue's magnitudes is 1 to 5 %


def test_what_is_regridded_is_the_reduced_frame_less_its_sky_times_the_correction(made):
    frame = made.all(RegriddedFrame)[0]
    factor = made.plane(frame.illumination)
    reduced = made.plane(frame.reduced)
    image = (reduced - spread_mesh(made.plane(frame.background, "MESH"), reduced.shape)) * factor
    weight, flags = made.plane(frame.weight, "WEIGHT") / factor**2, made.plane(frame.weight, "FLAGS")
    by_hand = resample(image, weight, flags, _mesh(frame), frame.parameters.kernel, frame.flux_scale)

    # the background is a spline evaluated in float32: equal to its rounding
    np.testing.assert_allclose(made.plane(frame), by_hand.image, atol=1e-4 * np.abs(by_hand.image).max(), rtol=1e-4)
    np.testing.assert_allclose(made.plane(frame, "WEIGHT"), by_hand.weight, rtol=1e-4)
    assert np.ptp(factor) > 0.02


def test_zeropoints_on_the_grid_are_those_of_the_chip_not_of_the_places_of_its_stars(made):
    plan = made.night.truth.plan
    for regridded in made.all(RegriddedFrame):
        truth = stray(made, make_chip(plan, int(regridded.chip.name[3:]) - 1))
        dimmed = 2.5 * np.log10(truth / np.exp(np.mean(np.log(truth))))
        with fits.open(made.store.retrieve(regridded.photometry.filename)) as hdus:
            rows = hdus[1].data[hdus[1].data["used"] > 0]
            error = np.hypot(1.0857 * rows["rate_error"] / rows["rate"], rows["magnitude_error"])
            x, y = (np.clip(np.rint(rows[n]).astype(int), 0, dimmed.shape[0] - 1) for n in "xy")
        weight = 1 / (error.astype(float) ** 2 + regridded.photometry.scatter**2)
        used = regridded.parameters.zeropoint - 2.5 * np.log10(regridded.flux_scale * regridded.reduced.raw.exptime)
        moved = used - regridded.photometry.zeropoint

        # stars where there is much stray light in the flat are too faint in the frame
        assert moved == pytest.approx(np.average(dimmed[y, x], weights=weight), abs=2e-3)


def dimming(made: Made) -> np.ndarray:
    """Return by how many magnitudes each true star is too faint, on average of the exposures that show it."""
    plan, truth = made.night.truth.plan, made.night.truth
    total, count = np.zeros(len(truth.objects)), np.zeros(len(truth.objects))
    for frame in made.all(RegriddedFrame):
        chip = make_chip(plan, int(frame.chip.name[3:]) - 1)
        light = stray(made, chip)
        # the zeropoint of a frame is that of its stars: that of the mean place
        magnitudes = 2.5 * np.log10(light / np.exp(np.mean(np.log(light))))
        x, y = (np.rint(v).astype(int) for v in truth.positions(frame.reduced.raw.original_name, frame.chip.name))
        ny, nx = chip.shape
        seen = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        total[seen] += magnitudes[y[seen], x[seen]]
        count[seen] += 1
    return np.divide(total, count, where=count > 0, out=np.full(len(total), np.nan))


def follows(made: Made) -> tuple[float, float, int]:
    """Return by what part of that dimming magnitudes on the coadd are too faint, its error, and the number of stars."""
    (found,) = made.session.scalars(select(SourceList)).unique()
    rows = made.session.execute(SOURCES.select().where(SOURCES.c.SLID.in_([found.object_id]))).mappings().all()
    value = {n: np.array([row[n] for row in rows], float) for n in ("RA", "DEC", "MAG_PSF", "MAGERR_PSF", "FLAGS")}
    good = (value["FLAGS"] == 0) & (value["MAGERR_PSF"] < 0.02)
    value = {name: values[good] for name, values in value.items()}
    stars = made.night.truth.objects
    i, j, _ = match_sky(value["RA"], value["DEC"], stars["ra"], stars["dec"], 0.5)
    off, expected = value["MAG_PSF"][i] - stars["mag_r"][j], dimming(made)[j]
    kept = np.isfinite(expected) & (np.abs(off - np.median(off)) < 0.15)  # blends are further off
    off, expected = off[kept], expected[kept]
    weight = 1 / (value["MAGERR_PSF"][i][kept] ** 2 + 0.01**2)
    apart = expected - np.average(expected, weights=weight)
    power = np.sum(weight * apart**2)
    return float(np.sum(weight * apart * off) / power), float(power**-0.5), int(kept.sum())


def test_magnitudes_on_the_coadd_do_not_depend_on_the_place_with_the_correction_and_do_without(made, undeclared):
    (part, error, stars), (before, before_error, _) = follows(made), follows(undeclared)
    print(f"{stars} stars: {part:+.3f} +- {error:.3f} of the stray light, without correction {before:+.3f}")

    assert stars > 100
    assert error < 0.15
    assert part == pytest.approx(0, abs=3 * error)
    assert before == pytest.approx(1, abs=3 * before_error)


def test_the_lineage_shows_fringes_illumination_linearity_and_the_other_chip(made):
    regridded = next(r for r in made.all(RegriddedFrame) if r.chip.name == "ccd2")
    numbers = ancestors(made.session, Persistent, [regridded.object_id])
    names = {made.session.get(Persistent, number).class_name for number in numbers}

    assert {"FringeFrame", "IlluminationCorrection", "GainLinearity", "Crosstalk", "RawDomeFlatFrame"} <= names
    assert {role for role, _ in sources(regridded.reduced)} >= {"crosstalk", "aggressors", "linearity", "fringes"}
    assert regridded.reduced.fringes.object_id not in ancestors(
        made.session, Persistent, [regridded.reduced.fringes.object_id]
    )


def test_nothing_is_stale_after_it_was_made(made):
    chooser = Chooser(made.session)

    assert {tuple(chooser.why_stale(r)) for r in made.all(RegriddedFrame)} == {()}


def test_without_a_declaration_nothing_of_it_is_made(undeclared):
    for cls in (Crosstalk, *_PER_CHIP):
        assert undeclared.all(cls) == []
    for reduced in undeclared.all(ReducedFrame):
        assert (reduced.fringes, reduced.linearity, reduced.crosstalk, reduced.aggressors) == (None, None, None, [])
        assert reduced.fringe_scale is None
        assert reduced.gain == reduced.raw.gain


def test_frames_are_stale_once_the_instrument_declares_other_coefficients(made):
    reduced = made.all(ReducedFrame, "ccd2")[0]
    camera = reduced.instrument
    with made.session.begin_nested() as change:
        camera.corrections = {**camera.corrections, "crosstalk": "another"}
        made.session.flush()

        assert Chooser(made.session).why_stale(reduced) != []
        change.rollback()
    assert Chooser(made.session).why_stale(reduced) == []
