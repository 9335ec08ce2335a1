"""How inputs are chosen: raws of the nearest night, the newest calibration that covers, products by their key."""

from datetime import datetime, timedelta

import pytest

from awe import model
from awe.errors import MissingInput
from awe.model.lineage import Wanted, inputs
from awe.model.night import night_bounds
from awe.model.rules import (
    MAXIMUM_RAWS,
    CalibrationFor,
    NearestRaws,
    Of,
    SameInterval,
    Through,
    follow,
    newest_valid,
    require,
)
from awe.model.sky_rules import OfFirstExposure, exposures_on_grid

NOON = datetime(2026, 1, 27, 16, 42, 55, 200000)


def wanted_bias(archive):
    """Return a bias of the chip, not yet stored, for the night."""
    return model.BiasFrame(chip=archive.chip, valid_from=NOON, valid_to=NOON + timedelta(days=1))


@pytest.fixture
def choose(session, archive):
    """Choose raw biases for the master of the night."""

    def chosen(**rule):
        product = wanted_bias(archive)
        with session.no_autoflush:
            return NearestRaws("bias", **rule).choose(session, model.RawBiasFrame, product)

    return chosen


def test_the_raws_of_the_own_night_are_chosen_in_order_of_time(archive, choose):
    archive.biases(4, day=1)
    own = archive.biases(3)

    assert choose() == own


def test_a_night_with_too_few_frames_gives_way_to_the_nearest_with_enough(archive, choose):
    archive.biases(2)
    archive.biases(3, day=3)
    near = archive.biases(3, day=-2)

    assert choose(minimum=3) == near


def test_of_two_nights_at_the_same_distance_the_earlier_is_chosen(archive, choose):
    archive.biases(3, day=1)
    before = archive.biases(3, day=-1)

    assert choose() == before


def test_where_no_night_has_enough_the_fullest_is_chosen(archive, choose):
    archive.biases(1)
    most = archive.biases(2, day=2)

    assert choose(minimum=3) == most


def test_frames_beyond_the_reach_of_the_instrument_are_not_chosen(archive, choose):
    archive.biases(3, day=9)

    assert choose() == []
    archive.camera.calibration_days = {"bias": 10}
    assert len(choose()) == 3


def test_invalid_frames_and_other_chips_are_not_chosen(archive, choose):
    spoiled, *good = archive.biases(4)
    spoiled.is_valid = 0
    archive.biases(9, chip=archive.other_chip)

    assert choose() == good


def test_proposed_frames_are_as_good_as_valid_ones(archive, choose):
    raws = archive.biases(3)
    raws[0].is_valid = 2

    assert choose() == raws


def test_flats_must_be_of_the_same_filter(session, archive):
    flats = [archive.raw(model.RawDomeFlatFrame, timedelta(hours=2, minutes=i), filter=archive.r) for i in range(3)]
    archive.raw(model.RawDomeFlatFrame, timedelta(hours=2))
    interval = {"valid_from": NOON, "valid_to": NOON + timedelta(days=1)}
    with session.no_autoflush:
        product = model.DomeFlatFrame(chip=archive.chip, filter=archive.r, **interval)
        chosen = NearestRaws("dome_flat", same=("filter",)).choose(session, model.RawDomeFlatFrame, product)

    assert chosen == flats


def test_no_more_frames_than_make_a_master_better_are_chosen(archive, choose):
    archive.biases(MAXIMUM_RAWS + 5)

    assert len(choose()) == MAXIMUM_RAWS


@pytest.mark.parametrize(
    ("day", "judged", "said"),
    [
        (None, 1, "no RawBiasFrame of ccd50 within 7 d of 2026-01-27T16:42; there is none at any time: ingest some"),
        (20, 1, "no RawBiasFrame of ccd50 within 7 d of 2026-01-27T16:42; nearest: 2026-02-16T17:42"),
        (
            0,
            0,
            "no RawBiasFrame of ccd50 within 7 d of 2026-01-27T16:42; "
            "nearest: 2026-01-27T17:42, which is flagged invalid",
        ),
    ],
)
def test_a_missing_raw_is_explained_by_the_nearest(session, archive, day, judged, said):
    if day is not None:
        archive.biases(1, day=day)[0].is_valid = judged
    session.flush()
    with session.no_autoflush:
        product = wanted_bias(archive)
        explained = NearestRaws("bias").why_none(session, model.RawBiasFrame, product)

    assert explained == said


def test_the_newest_of_the_valid_calibrations_eclipses_the_others(session, archive):
    exposure = archive.science()
    old = archive.calibration(model.BiasFrame, creation_date=NOON, read_noise=archive.bias().read_noise)
    new = archive.calibration(model.BiasFrame, creation_date=NOON + timedelta(days=400), read_noise=old.read_noise)

    assert newest_valid(session, model.BiasFrame, exposure) is new
    new.is_valid = 0
    session.flush()
    assert newest_valid(session, model.BiasFrame, exposure) is not new


def test_of_calibrations_made_in_the_same_moment_the_later_number_counts(session, archive):
    first = archive.bias(creation_date=NOON)
    second = archive.bias(creation_date=NOON)

    assert newest_valid(session, model.BiasFrame, archive.science()) is second
    assert first.object_id < second.object_id


@pytest.mark.parametrize(
    ("hours", "covered"), [(0, True), (-1e-6, False), (12, True), (24 - 1e-6, True), (24, False), (36, False)]
)
def test_an_interval_holds_from_its_start_until_just_before_its_end(session, archive, hours, covered):
    bias = archive.bias()
    exposure = archive.science(hours)

    assert (newest_valid(session, model.BiasFrame, exposure) is bias) == covered


def test_a_longer_validity_covers_exposures_of_other_nights(session, archive):
    bias = archive.bias(days=(-180, 180))

    assert newest_valid(session, model.BiasFrame, archive.science(24 * 100)) is bias
    assert newest_valid(session, model.BiasFrame, archive.science(24 * 200)) is None


def test_calibrations_of_other_chips_are_never_chosen(session, archive):
    archive.bias(chip=archive.other_chip)

    assert newest_valid(session, model.BiasFrame, archive.science()) is None


def test_an_exposure_without_calibration_asks_for_one_of_its_night(session, archive):
    exposure = archive.science()
    with session.no_autoflush:
        reduced = model.ReducedFrame(raw=exposure)
        wanted = CalibrationFor("raw", needed_as="bias").choose(session, model.BiasFrame, reduced)

    start, end = night_bounds(exposure.night, archive.telescope.longitude)
    assert wanted == Wanted(
        model.BiasFrame, {"chip": archive.chip, "valid_from": start, "valid_to": end}, optional=True
    )


def test_a_calibration_that_the_instrument_requires_is_not_optional(session, archive):
    archive.camera.required_calibrations = ["bias"]
    with session.no_autoflush:
        reduced = model.ReducedFrame(raw=archive.science())
        wanted = CalibrationFor("raw", needed_as="bias").choose(session, model.BiasFrame, reduced)

    assert wanted.optional is False


def test_calibrations_made_of_calibrations_share_their_interval(session, archive):
    bias = archive.bias()
    wide = archive.calibration(model.ReadNoise, days=(-30, 30), raw_biases=bias.raw_biases)

    assert SameInterval().choose(session, model.ReadNoise, bias) is wide
    wide.is_valid = 0
    session.flush()
    assert SameInterval().choose(session, model.ReadNoise, bias) is bias.read_noise
    bias.read_noise.is_valid = 0
    session.flush()
    interval = {"valid_from": bias.valid_from, "valid_to": bias.valid_to}
    assert SameInterval().choose(session, model.ReadNoise, bias) == Wanted(
        model.ReadNoise, {"chip": archive.chip} | interval
    )


def test_products_of_the_same_objects_are_asked_for_by_key(session, archive):
    reduced = archive.reduced(archive.science())
    cosmics = archive.product(model.CosmicMap, reduced, reduced=reduced)
    background = archive.product(model.BackgroundFrame, reduced, reduced=reduced, cosmics=cosmics)

    assert Of("reduced").choose(session, model.WeightFrame, background) == Wanted(
        model.WeightFrame, {"reduced": reduced}
    )
    assert Of(raw="reduced.raw").choose(session, model.SaturatedPixelMap, background).key == {"raw": reduced.raw}


def test_a_key_with_a_gap_asks_for_nothing(session, archive):
    reduced = archive.reduced(archive.science())
    coadd = archive.coadd([reduced])
    listed = archive.product(model.SourceList, frame=coadd)

    assert Of("bias").choose(session, model.HotPixelMap, reduced) is None
    assert Of(only="ReducedFrame", reduced="frame").choose(session, model.WeightFrame, listed) is None


def test_what_an_input_was_made_with_is_taken_from_it(session, archive):
    bias = archive.bias()
    reduced = archive.reduced(archive.science(), bias)

    assert Through("bias.read_noise").choose(session, model.ReadNoise, reduced) is bias.read_noise
    assert Through("flat.twilight").choose(session, model.TwilightFlatFrame, reduced) is None
    assert follow(reduced, "raw.chip.instrument.name") == "EFOSC2"


def test_frames_without_catalogue_are_tied_to_the_first_exposure_of_the_target(session, archive):
    first, second = archive.reduced(archive.science(10)), archive.reduced(archive.science(11))
    archive.science(9, object="M67")
    rule = OfFirstExposure("reduced.raw")
    with session.no_autoflush:
        tied = rule.choose(session, model.AstrometricParameters, model.AstrometricParameters(reduced=second))
        own = rule.choose(session, model.AstrometricParameters, model.AstrometricParameters(reduced=first))

    assert tied.key["reduced"].key["raw"].object_id == first.raw_id
    assert own is None


def test_an_invalid_exposure_belongs_on_no_grid(session, archive):
    raws = [archive.science(10 + i) for i in range(3)]
    grid = archive.add(model.GridTarget, name="Q1010", object="Q1010", wcs={})
    raws[1].is_valid = 0
    archive.science(14, filter=archive.r)
    session.flush()

    assert exposures_on_grid(session, grid, archive.g) == [raws[0], raws[2]]


def test_a_list_that_must_not_be_empty_is_refused(archive):
    noise = model.ReadNoise(chip=archive.chip)

    with pytest.raises(MissingInput, match="no raw bias of ccd50"):
        require(noise, "raw_biases", "raw bias of ccd50")


def test_every_rule_of_the_model_can_choose():
    rules = [d.rule for c in model.concrete_classes() for d in inputs(c).values() if d.rule is not None]

    assert len(rules) > 20
    assert [r for r in rules if not callable(getattr(r, "choose", None))] == []
