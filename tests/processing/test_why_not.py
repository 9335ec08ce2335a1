"""Why a calibration is not chosen for a frame."""

from datetime import timedelta

import pytest

from awe.errors import BadRequest
from awe.model import BiasFrame, Coadd, MasterFlatFrame, RawScienceFrame
from awe.processing.staleness import why_not


@pytest.fixture
def asked(made):
    """Ask about a bias of chip 1 and the first exposure of chip 1, after a change of the bias."""

    def ask(**changed):
        bias = made.all(BiasFrame, chip="ccd1")[0]
        made.change(BiasFrame, bias.object_id, **changed)
        with made.session() as session:
            frame = session.get(RawScienceFrame, made.all(RawScienceFrame, chip="ccd1")[0].object_id)
            return why_not(session, session.get(BiasFrame, bias.object_id), frame)

    return ask


def test_the_one_that_is_chosen_is_told_to_be(asked, made):
    bias, frame = made.all(BiasFrame, chip="ccd1")[0], made.all(RawScienceFrame, chip="ccd1")[0]

    assert asked() == [f"{bias} is chosen for {frame}"]


def test_an_invalid_one_is_told_with_the_judgement(asked):
    first, *rest = asked(is_valid=0, judgement="striped")

    assert first.endswith("no BiasFrame covers the frame")
    assert rest == ["it is flagged invalid (striped)"]


def test_one_of_another_time_is_told_with_both_times(asked, made):
    bias = made.all(BiasFrame, chip="ccd1")[0]
    before = bias.valid_from - timedelta(days=1)
    first, *rest = asked(valid_from=before, valid_to=bias.valid_from)

    assert rest[0] == f"it is valid until {bias.valid_from:%Y-%m-%dT%H:%M}, the frame is of 2026-02-14T23:30"
    assert rest[1].startswith(f"nearest misses: {bias}, {before:%Y-%m-%dT%H:%M} to ")
    assert "is not chosen for" in first


def test_one_that_begins_later_is_told_too(asked, made):
    bias = made.all(BiasFrame, chip="ccd1")[0]
    _, reason, _ = asked(valid_from=bias.valid_to, valid_to=bias.valid_to + timedelta(days=1))

    assert reason == f"it is valid from {bias.valid_to:%Y-%m-%dT%H:%M}, the frame is of 2026-02-14T23:30"


def test_one_of_another_chip_is_told_with_both(made):
    with made.session() as session:
        bias = session.get(BiasFrame, made.all(BiasFrame, chip="ccd2")[0].object_id)
        frame = session.get(RawScienceFrame, made.all(RawScienceFrame, chip="ccd1")[0].object_id)
        said = why_not(session, bias, frame)

    assert "its chip is ccd2, that of the frame ccd1" in said


def test_an_eclipsed_one_is_told_with_the_one_that_eclipses_it(made):
    old = made.all(MasterFlatFrame, chip="ccd1")[0]
    made.make(MasterFlatFrame, wish=MasterFlatFrame.Parameters(smoothing=32.0), chip="ccd1")
    new = made.all(MasterFlatFrame, chip="ccd1")[-1]
    with made.session() as session:
        frame = session.get(RawScienceFrame, made.all(RawScienceFrame, chip="ccd1")[0].object_id)
        first, reason = why_not(session, session.get(MasterFlatFrame, old.object_id), frame)

    assert first == f"{old} is not chosen for {frame}: {new} is chosen"
    assert reason == f"it is eclipsed by {new}, made later ({new.creation_date:%Y-%m-%dT%H:%M:%S})"


def test_what_is_no_calibration_is_refused(made):
    with made.session() as session:
        coadd = session.get(Coadd, made.all(Coadd)[0].object_id)
        bias = session.get(BiasFrame, made.all(BiasFrame)[0].object_id)
        with pytest.raises(BadRequest, match="is no calibration with a validity interval"):
            why_not(session, coadd, bias)
        with pytest.raises(BadRequest, match="is no frame of one chip at one time"):
            why_not(session, bias, coadd)
