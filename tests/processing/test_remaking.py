"""A change remakes just what follows from it, and nothing else."""

from datetime import timedelta

import pytest

from awe.database import short_transaction
from awe.errors import DatabaseUnavailable
from awe.kernels.combine import Combine
from awe.model import (
    AstrometricParameters,
    BiasFrame,
    Coadd,
    CosmicMap,
    Persistent,
    RawBiasFrame,
    RawScienceFrame,
    ReadNoise,
    ReducedFrame,
    RegriddedFrame,
    SourceList,
    WeightFrame,
)
from awe.model.lineage import Wanted
from awe.model.persistent import QualityFlag
from awe.processing.engine import execute
from awe.processing.plan import plan
from awe.processing.staleness import why_stale
from awe.processing.tasks import makes, register_processes, task_for


def reasons(site, **given):
    """Return class and subject, and the reasons, of all that would be made for the source list of the night."""
    return site.to_make(SourceList, object="SIM-A", **given)


def only(found):
    (thing,) = found
    return thing


@pytest.fixture
def raise_version():
    """Raise the version of a task; it falls back at the end of the test."""
    before = []

    def raised(cls):
        task = task_for(cls)
        before.append(task)
        makes(cls, version=task.version + 1)(task.function)

    yield raised
    for task in before:
        makes(task.product_class, version=task.version)(task.function)


def test_an_invalid_raw_bias_remakes_what_used_it_and_nothing_else(made):
    spoiled = made.all(RawBiasFrame, chip="ccd1")[0]
    made.change(RawBiasFrame, spoiled.object_id, is_valid=0, judgement="light leak")
    found = reasons(made)

    assert set(found) == made.below(spoiled.object_id)
    assert len(found) > 20
    assert not [subject for _, subject in found if "ccd2" in subject]
    noise = only(r for (cls, _), r in found.items() if cls == "ReadNoise")
    assert noise == [f"raw_biases: {spoiled} is flagged invalid (light leak)"]


def test_what_is_remade_without_the_spoiled_frame_is_up_to_date_and_leaves_the_old_as_it_was(made):
    spoiled = made.all(RawBiasFrame, chip="ccd1")[0]
    before = {o.object_id: o.fingerprint for o in made.all(Persistent)}
    expected = made.below(spoiled.object_id)
    made.change(RawBiasFrame, spoiled.object_id, is_valid=0)
    outcome = made.make(SourceList, object="SIM-A")

    assert outcome.failed == outcome.skipped == {}
    assert reasons(made) == {}
    after = made.all(Persistent)
    assert {o.object_id: o.fingerprint for o in after if o.object_id in before} == before
    assert len(after) - len(before) == len(outcome.made) == len(expected)
    with made.session() as session:
        newest = session.get(BiasFrame, max(o.object_id for o in after if isinstance(o, BiasFrame)))
        assert spoiled.object_id not in [raw.object_id for raw in newest.raw_biases]
        assert len(newest.raw_biases) == 4


def test_a_raw_frame_that_is_judged_valid_again_brings_the_old_products_back(made):
    spoiled = made.all(RawBiasFrame, chip="ccd1")[0]
    made.change(RawBiasFrame, spoiled.object_id, is_valid=0)
    made.make(BiasFrame, chip="ccd1")
    made.change(RawBiasFrame, spoiled.object_id, is_valid=1)
    plan = made.plan(BiasFrame, chip="ccd1")

    # the newer bias lacks a frame it should have, the older one has all: it is found, not made
    assert plan.steps == []
    assert plan.targets[0].object_id == made.all(BiasFrame, chip="ccd1")[0].object_id


def test_an_invalid_product_remakes_itself_and_what_used_it(made):
    spoiled = made.all(CosmicMap)[2]
    made.change(CosmicMap, spoiled.object_id, is_valid=0, judgement="eats stars")
    found = set(reasons(made))

    assert len([cls for cls, _ in found if cls == "CosmicMap"]) == 1
    assert {f for f in found if f[0] != "CosmicMap"} == made.below(spoiled.object_id)


def test_an_invalid_exposure_leaves_the_coadd_and_remakes_no_frame(made):
    """Astrometry is solved by a catalogue, photometry too: only the coadd had anything of the third exposure."""
    exposure = made.all(RawScienceFrame)[-1]
    made.change(RawScienceFrame, exposure.object_id, is_valid=0)
    plan = made.plan(SourceList, object="SIM-A")

    assert {type(s.product).__name__ for s in plan.steps} <= {"Coadd", "PsfModel", "SourceList"}
    coadd = only(s.product for s in plan.steps if isinstance(s.product, Coadd))
    assert len(coadd.regridded_frames) == 5


@pytest.mark.parametrize(
    ("cls", "changed"),
    [(BiasFrame, {"sigma_clip": 5.0}), (CosmicMap, {"sigma_clip": 5.0}), (RegriddedFrame, {"zeropoint": 28.0})],
    ids=["BiasFrame", "CosmicMap", "RegriddedFrame"],
)
def test_a_changed_parameter_on_the_way_remakes_that_class_and_what_used_it(made, cls, changed):
    ours = made.all(cls)
    wanted = cls.Parameters(**changed)
    found = reasons(made, parameters={cls: wanted})

    assert set(found) == made.below(*(o.object_id for o in ours)) | made.labels(cls)
    name, value = next(iter(changed.items()))
    said = {r[0] for (kind, _), r in found.items() if kind == cls.__name__}
    assert said == {f"parameters: {name} was {getattr(cls.Parameters(), name)}, now {value}"}


def test_a_changed_parameter_of_the_target_makes_the_target_alone(made):
    wish = SourceList.Parameters(detect_thresh=5.0)
    before = made.all(SourceList)[0]

    assert list(reasons(made, wish=wish)) == [("SourceList", "")]
    outcome = made.make(SourceList, wish=wish, object="SIM-A")
    assert outcome.failed == {}
    after = only(s for s in made.all(SourceList) if s.object_id != before.object_id)
    assert after.n_sources < before.n_sources
    assert after.parameters.detect_thresh == 5.0


def test_products_of_other_parameters_stay_and_are_found_again(made):
    first = made.all(SourceList)[0]
    made.make(SourceList, wish=SourceList.Parameters(detect_thresh=5.0), object="SIM-A")
    plan = made.plan(SourceList, object="SIM-A")

    assert plan.steps == []
    assert plan.targets[0].object_id == first.object_id


def test_a_new_version_of_a_task_remakes_its_products_and_what_used_them(made, raise_version):
    ours = made.all(CosmicMap)
    before = task_for(CosmicMap).version
    raise_version(CosmicMap)
    found = reasons(made)

    assert set(found) == made.below(*(o.object_id for o in ours)) | made.labels(CosmicMap)
    said = {r[0] for (cls, _), r in found.items() if cls == "CosmicMap"}
    assert said == {f"it was made by make_cosmic_map version {before}, now there is version {before + 1}"}


def test_a_new_version_of_the_last_task_remakes_its_product_alone(made, raise_version):
    before = task_for(SourceList).version
    raise_version(SourceList)
    with short_transaction(made.engine) as session:
        assert register_processes(session) == [f"make_source_list version {before + 1} registered"]
    outcome = made.make(SourceList, object="SIM-A")

    assert len(outcome.made) == 1
    assert reasons(made) == {}
    with made.session() as session:
        newest = session.get(SourceList, next(iter(outcome.made.values())))
        assert (newest.process.name, newest.process.version) == ("make_source_list", before + 1)


def test_a_version_that_the_database_does_not_know_is_named_with_the_remedy(made, raise_version):
    raise_version(SourceList)
    with pytest.raises(DatabaseUnavailable, match=r"make_source_list version \d+ of this program .* `awe upgrade`"):
        made.make(SourceList, object="SIM-A")
    assert list(reasons(made)) == [("SourceList", only(made.labels(SourceList))[1])]


def test_a_better_calibration_remakes_what_used_the_one_it_eclipses(made):
    old = only(made.all(BiasFrame, chip="ccd1"))
    outcome = made.make(BiasFrame, wish=BiasFrame.Parameters(combine=Combine.MEDIAN), chip="ccd1")
    assert len(outcome.made) == 1
    found = reasons(made)

    assert set(found) == made.below(old.object_id)
    new = only(b for b in made.all(BiasFrame, chip="ccd1") if b.object_id != old.object_id)
    reduced = [r for (cls, subject), r in found.items() if cls == "ReducedFrame" and "ccd1" in subject]
    assert reduced
    assert all(f"bias: {new} takes the place of {old}" in r for r in reduced)


def test_a_calibration_of_longer_validity_made_later_is_preferred(made):
    old = only(made.all(BiasFrame, chip="ccd1"))
    noise = only(made.all(ReadNoise, chip="ccd1"))
    interval = {"valid_from": old.valid_from - timedelta(days=30), "valid_to": old.valid_to + timedelta(days=30)}
    with made.session() as session:
        chip = session.get(BiasFrame, old.object_id).chip
        wide = plan(session, [Wanted(BiasFrame, {"chip": chip} | interval)])
        assert [type(s.product).__name__ for s in wide.steps] == ["BiasFrame"]
        outcome = execute(wide, made.engine, made.settings)
    assert outcome.failed == {}

    found, below = set(reasons(made)), made.below(old.object_id)
    # the map of hot pixels is that of the new bias, so it has its interval
    assert {f for f in found if f[0] != "HotPixelMap"} == {f for f in below if f[0] != "HotPixelMap"}
    assert len(found) == len(below)
    new = made.all(BiasFrame)[-1]
    assert (new.valid_from, new.valid_to) == (interval["valid_from"], interval["valid_to"])
    assert new.read_noise_id == noise.object_id


def test_a_calibration_for_another_time_changes_nothing(made):
    old = only(made.all(BiasFrame, chip="ccd1"))
    interval = {"valid_from": old.valid_from - timedelta(days=3), "valid_to": old.valid_from}
    with made.session() as session:
        chip = session.get(BiasFrame, old.object_id).chip
        assert (
            execute(plan(session, [Wanted(BiasFrame, {"chip": chip} | interval)]), made.engine, made.settings).failed
            == {}
        )

    assert reasons(made) == {}


def test_more_raw_frames_of_the_night_remake_the_master(made):
    late = made.all(RawBiasFrame, chip="ccd2")[-1]
    first = only(made.all(ReadNoise, chip="ccd2"))
    made.change(RawBiasFrame, late.object_id, is_valid=0)
    made.change(ReadNoise, first.object_id, is_valid=0)
    made.make(ReadNoise, chip="ccd2")
    made.change(RawBiasFrame, late.object_id, is_valid=1)
    newest = made.all(ReadNoise, chip="ccd2")[-1]
    with made.session() as session:
        said = why_stale(session, session.get(ReadNoise, newest.object_id))

    assert said == [f"raw_biases: 1 more, first {late}"]


def test_why_stale_names_the_way_to_the_cause(made):
    spoiled = made.all(RawBiasFrame, chip="ccd1")[0]
    with made.session() as session:
        reduced = session.get(ReducedFrame, made.all(ReducedFrame, chip="ccd1")[0].object_id)
        assert why_stale(session, reduced) == []
    made.change(RawBiasFrame, spoiled.object_id, is_valid=0)
    with made.session() as session:
        said = why_stale(session, session.get(ReducedFrame, reduced.object_id))

    assert f"bias: raw_biases: {spoiled} is flagged invalid" in said


def test_frames_that_are_too_bad_stay_in_the_coadd_with_the_reason(made):
    made.change(RegriddedFrame, made.all(RegriddedFrame)[1].object_id, astrometric_rms=2.5)
    made.change(RegriddedFrame, made.all(RegriddedFrame)[4].object_id, seeing=9.0)
    wish = Coadd.Parameters(maximum_seeing=3.0)
    outcome = made.make(Coadd, wish=wish, object="SIM-A")
    assert outcome.failed == {}
    with made.session() as session:
        coadd = session.get(Coadd, next(iter(outcome.made.values())))
        members = [(m.used, m.weight is not None, m.reason) for m in coadd.regridded_frames_members]

    assert members == [
        (True, True, None),
        (False, False, "its astrometric residuals, 2.50 pixel, exceed 1.5"),
        (True, True, None),
        (True, True, None),
        (False, False, "its seeing, 9.00 arcsec, exceeds 3"),
        (True, True, None),
    ]
    assert coadd.n_frames == 4
    assert QualityFlag.INPUTS_REJECTED in QualityFlag(coadd.quality_flags)


def test_the_parts_of_a_coadd_have_their_share_of_the_pixels(undisturbed):
    with undisturbed.session() as session:
        coadd = session.get(Coadd, undisturbed.all(Coadd)[0].object_id)
        shares = [m.weight for m in coadd.regridded_frames_members]
        sizes = [f.naxis1 * f.naxis2 / (coadd.naxis1 * coadd.naxis2) for f in coadd.regridded_frames]

    assert all(0.5 * size < share <= size for share, size in zip(shares, sizes, strict=True))


@pytest.mark.parametrize("cls", [WeightFrame, AstrometricParameters])
def test_every_product_tells_who_made_it_when_and_how_long_it_took(undisturbed, cls):
    for product in undisturbed.all(cls):
        with undisturbed.session() as session:
            product = session.get(cls, product.object_id)  # noqa: PLW2901
            assert (product.creator, product.project, product.process_status) == ("ann", "default", 1)
            assert product.process.product_class == cls.__name__
            assert (product.job.state, product.job.claim, product.job.fingerprint) == (
                "done",
                None,
                product.fingerprint,
            )
            assert 0 < product.wall_time < 60
            assert 50 < product.peak_memory < 4000
            assert "" not in (product.host, product.software_version)
