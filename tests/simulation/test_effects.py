"""Effects that a plan asks for are in the raw frames, in the size that it says; without them frames are as ever."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from awe.simulation import PRESETS, NightPlan, simulate_night
from awe.simulation.camera import FULL_WELL, make_chip
from awe.simulation.effects import compressed, fringe_bands, fringe_strength, stray_light
from awe.simulation.night import _all_fields, light
from awe.simulation.schedule import schedule

PLAN = replace(PRESETS["tiny"], exposures=1, biases=1, twilights=1, stars=5.0, galaxies=0.0, cosmics=0.0)


def exposure_of(plan: NightPlan, obstype: str):
    return next(e for e in schedule(plan) if e.obstype == obstype)


@pytest.mark.parametrize(("obstype", "is_there"), [("OBJECT", True), ("SKYFLAT", False)])
def test_fringes_are_in_the_night_sky_and_in_no_flat(obstype, is_there):
    chip = make_chip(PLAN, 0)
    exposure = exposure_of(PLAN, obstype)
    plain, with_fringes = (light(p, exposure, chip, _all_fields(PLAN)[:0]) for p in (PLAN, replace(PLAN, fringes=0.03)))
    lit = plain > 0
    ratio = (with_fringes[lit] / plain[lit] - 1) / fringe_strength(exposure)

    np.testing.assert_allclose(ratio, 0.03 * fringe_bands(chip.shape)[lit] if is_there else 0, atol=1e-5)


def test_fringes_have_mean_0_and_rms_1():
    bands = fringe_bands((300, 200))

    assert (bands.mean(), bands.std()) == pytest.approx((0, 1), abs=1e-5)


def test_stray_light_is_in_sky_and_flats_and_not_in_stars():
    plan = replace(PLAN, illumination=0.05)
    chip, exposure, objects = make_chip(PLAN, 0), exposure_of(PLAN, "OBJECT"), _all_fields(PLAN)
    sky, lit_sky = (light(p, exposure, chip, objects[:0]) for p in (PLAN, plan))
    stars, lit_stars = (light(p, exposure, chip, objects) for p in (PLAN, plan))

    good = sky > 0.5 * np.median(sky)
    assert np.ptp(lit_sky[good] / sky[good]) > 0.02
    np.testing.assert_allclose((lit_stars - lit_sky)[good], (stars - sky)[good], atol=1e-2 * np.median(sky))
    edges = np.array([-0.5, 0.5])
    assert np.ptp(stray_light(plan, edges[None, :], edges[:, None])) == pytest.approx(0.05)


def test_the_detector_loses_the_part_of_the_full_well_that_the_plan_says():
    plan = replace(PLAN, nonlinearity=0.02)
    signal = np.float32([0, FULL_WELL / 2, FULL_WELL])

    np.testing.assert_allclose(compressed(plan, signal), [0, 0.99 * FULL_WELL / 2, 0.98 * FULL_WELL], rtol=1e-6)
    assert compressed(PLAN, signal) is signal


def test_each_chip_shows_the_signal_of_the_one_before(tmp_path):
    quiet, loud = (simulate_night(tmp_path / str(c), replace(PLAN, crosstalk=c)) for c in (0.0, 0.05))
    for one, other in zip(quiet.files, loud.files, strict=True):
        with fits.open(one) as plain, fits.open(other) as disturbed:
            first, second = (h.data.astype(float) for h in plain[1:3])
            level = quiet.truth.summary["chips"]["ccd1"]["bias_level"]
            width = quiet.truth.plan.chip_shape[1]
            added = disturbed[2].data.astype(float) - second

            assert np.array_equal(disturbed[1].data, plain[1].data)
            assert np.abs(added[:, width:]).max() == 0
            np.testing.assert_allclose(added[:, :width], 0.05 * (first[:, :width] - level), atol=0.51)


def test_a_ramp_is_pairs_of_dome_flats_of_growing_exposure_time(tmp_path):
    plan = replace(PLAN, ramp=4)
    flats = [e for e in schedule(plan) if e.obstype == "DOMEFLAT"]

    assert [e.exptime for e in flats] == [1.0, 1.0, 7.3, 7.3, 13.7, 13.7, 20.0, 20.0]
    assert len({e.start for e in flats}) == 8


def test_effects_that_are_too_large_are_refused():
    with pytest.raises(ValueError, match="must be within"):
        replace(PLAN, fringes=0.5)
