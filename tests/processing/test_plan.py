"""Plans say what is made, in which order and why; what is up to date is not made again."""

from collections import Counter

import pytest

from awe.errors import BadRequest, NotFound
from awe.model import BiasFrame, Coadd, MasterFlatFrame, RawBiasFrame, ReducedFrame, SourceList, Telescope

OF_ONE_NIGHT = {
    "ReadNoise": 2,
    "BiasFrame": 2,
    "HotPixelMap": 2,
    "TwilightFlatFrame": 2,
    "MasterFlatFrame": 2,
    "ColdPixelMap": 2,
    "SaturatedPixelMap": 6,
    "ReducedFrame": 6,
    "CosmicMap": 6,
    "SatelliteMap": 6,
    "BackgroundFrame": 6,
    "WeightFrame": 6,
    "AstrometricParameters": 6,
    "PhotometricParameters": 6,
    "RegriddedFrame": 6,
    "Coadd": 1,
    "PsfModel": 1,
    "SourceList": 1,
}
"""Two chips, three exposures, one filter."""


def names(plan):
    return Counter(type(step.product).__name__ for step in plan.steps)


def test_a_plan_holds_every_product_once_with_its_reason(ingested):
    plan = ingested.plan(SourceList, object="SIM-A")

    assert names(plan) == OF_ONE_NIGHT
    assert all(step.reasons[0].startswith(f"there is no {type(step.product).__name__} ") for step in plan.steps)
    assert {len(step.reasons) for step in plan.steps} == {1}
    assert plan.up_to_date == plan.impossible == []


def test_every_step_stands_after_those_that_it_needs(ingested):
    steps = ingested.plan(SourceList, object="SIM-A").steps

    assert [s.number for s in steps] == list(range(len(steps)))
    assert all(need < step.number for step in steps for need in step.needs)


def test_a_plan_says_how_many_pixels_are_read(ingested):
    steps = ingested.plan(BiasFrame, chip="ccd1").steps
    raw = ingested.all(RawBiasFrame)[0]

    assert {type(s.product).__name__: s.pixels for s in steps} == {
        "ReadNoise": 5 * raw.naxis1 * raw.naxis2,
        "BiasFrame": 5 * raw.naxis1 * raw.naxis2,
    }


def test_a_plan_changes_nothing(ingested):
    before = ingested.count()
    ingested.plan(SourceList, object="SIM-A")

    assert ingested.count() == before


def test_what_is_up_to_date_is_not_made_again(made):
    plan = made.plan(SourceList, object="SIM-A")

    assert plan.steps == []
    assert [t.object_id for t in plan.up_to_date] == [s.object_id for s in made.all(SourceList)]


def test_making_what_is_up_to_date_adds_no_object_and_no_job(made):
    before = made.count()
    outcome = made.make(SourceList, object="SIM-A")

    assert (outcome.made, outcome.failed, outcome.results) == ({}, {}, [])
    assert made.count() == before


@pytest.mark.parametrize(
    ("cls", "named", "expected"),
    [
        (ReducedFrame, {"chip": "ccd1"}, {"ReducedFrame": 3, "BiasFrame": 1}),
        (BiasFrame, {"night": "2026-02-14"}, {"BiasFrame": 2, "ReadNoise": 2}),
        (MasterFlatFrame, {"filter": "r", "chip": "ccd2"}, {"MasterFlatFrame": 1, "TwilightFlatFrame": 1}),
        (Coadd, {"object": "SIM-*"}, {"Coadd": 1, "RegriddedFrame": 6}),
    ],
)
def test_targets_are_named_by_what_their_raw_frames_have(ingested, cls, named, expected):
    found = names(ingested.plan(cls, **named))

    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("cls", "named", "error", "said"),
    [
        (Coadd, {"object": "M67"}, NotFound, "no valid RawScienceFrame with object M67: look with `awe find RawFrame`"),
        (BiasFrame, {"night": "2026-02-20"}, NotFound, "no valid RawBiasFrame with night 2026-02-20: look with"),
        (Coadd, {"objekt": "M67"}, BadRequest, "RawScienceFrame has no attribute 'objekt'; near ones: object"),
        (Telescope, {}, BadRequest, "Telescope is not made by awe; it makes "),
        (Coadd, {"object": "SIM-A", "grid": "none"}, NotFound, "no grid target 'none'"),
    ],
)
def test_a_target_that_cannot_be_found_is_refused_with_the_way_out(ingested, cls, named, error, said):
    with pytest.raises(error) as refusal:
        ingested.plan(cls, **named)

    assert str(refusal.value).startswith(said)


def test_a_required_calibration_that_cannot_be_made_makes_the_target_impossible(ingested):
    for raw in ingested.all(RawBiasFrame):
        ingested.change(RawBiasFrame, raw.object_id, is_valid=0)
    plan = ingested.plan(ReducedFrame, chip="ccd1")

    assert plan.steps == []
    assert len(plan.impossible) == 3
    assert "no RawBiasFrame of ccd1 within" in plan.impossible[0]
    assert "which is flagged invalid" in plan.impossible[0]


def test_a_coadd_goes_on_without_the_frames_that_cannot_be_had(ingested):
    """Chip 2 has no bias: the coadd is made of chip 1, and says what is left out and why."""
    for raw in ingested.all(RawBiasFrame, chip="ccd2"):
        ingested.change(RawBiasFrame, raw.object_id, is_valid=0)
    plan = ingested.plan(Coadd, object="SIM-A")

    (coadd,) = [s for s in plan.steps if isinstance(s.product, Coadd)]
    assert names(plan)["RegriddedFrame"] == 3
    assert len(coadd.left_out) == 3
    assert "no RawBiasFrame of ccd2" in coadd.left_out[0]
