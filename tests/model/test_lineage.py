"""What an object was made from, and what was made from it."""

from itertools import pairwise

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from awe import model
from awe.model.lineage import ancestors, bind, descendants, edges, inputs, sources
from awe.model.persistent import Persistent


@pytest.fixture
def coadd(archive):
    """A coadd of two exposures that share a bias."""
    bias = archive.bias()
    return archive.coadd([archive.reduced(archive.science(h), bias) for h in (11, 12)])


def test_inputs_are_listed_by_name_in_the_order_of_declaration():
    found = inputs(model.ReducedFrame)

    always = ["raw", "bias", "read_noise", "dark", "flat", "hot_pixels", "cold_pixels", "saturated_pixels"]
    assert list(found) == [*always, "crosstalk", "aggressors", "linearity", "fringes"]
    assert found["raw"].source is model.RawScienceFrame
    assert found["bias"].optional
    assert not found["saturated_pixels"].optional
    assert inputs(model.BiasFrame)["raw_biases"].many


def test_raw_frames_and_descriptions_have_no_inputs():
    without = [c.__name__ for c in (model.RawBiasFrame, model.Chip, model.GridTarget) if inputs(c)]

    assert without == []


def test_sources_are_the_direct_inputs_with_their_roles(archive):
    bias = archive.bias(number=2)
    reduced = archive.reduced(archive.science(), bias)

    assert [role for role, _ in sources(bias)] == ["raw_biases", "raw_biases", "read_noise"]
    found = dict(sources(reduced))
    assert set(found) == {"raw", "bias", "read_noise", "saturated_pixels"}
    assert found["bias"] is bias


def test_the_edges_hold_every_link_once(session, archive, coadd):
    graph = edges(Persistent)
    rows = [tuple(r) for r in session.execute(select(graph))]
    products = session.scalars(select(Persistent)).unique().all()
    expected = {(p.object_id, role, s.object_id) for p in products for role, s in sources(p)}

    assert set(rows) == expected
    assert len(rows) == len(expected)


def test_ancestors_reach_down_to_the_raw_frames(session, coadd):
    found = ancestors(session, Persistent, [coadd.object_id])
    raws = set(session.scalars(select(model.RawFrame.object_id)))

    assert raws < found
    assert coadd.object_id not in found


def test_descendants_of_a_raw_bias_are_all_that_used_it(session, archive, coadd):
    bias = coadd.regridded_frames[0].reduced.bias
    spoiled = bias.raw_biases[0]
    apart = archive.reduced(archive.science(13), archive.bias())
    found = descendants(session, Persistent, [spoiled.object_id])

    assert {bias.object_id, bias.read_noise_id, coadd.object_id} < found
    assert apart.object_id not in found
    assert all(coadd.object_id not in descendants(session, Persistent, [i]) for i in (apart.object_id, coadd.object_id))


def test_descendants_and_ancestors_are_each_others_inverse(session, coadd):
    everything = set(session.scalars(select(Persistent.object_id)))
    down = {i: descendants(session, Persistent, [i]) for i in everything}
    up = {i: ancestors(session, Persistent, [i]) for i in everything}

    assert all((j in down[i]) == (i in up[j]) for i in everything for j in everything)


def test_no_object_descends_from_itself(session, coadd):
    everything = set(session.scalars(select(Persistent.object_id)))

    assert [i for i in everything if i in descendants(session, Persistent, [i])] == []


def test_one_walk_costs_one_statement_for_each_level(session, coadd, statements):
    session.flush()
    with statements() as sent:
        found = ancestors(session, Persistent, [coadd.object_id])

    # coadd, regridded, photometry, astrometry, weight, background, cosmics, reduced, bias, noise, raw; and nothing
    assert len(found) > 20
    assert len(sent) <= 12


def test_a_membership_keeps_the_order_that_was_given(session, archive):
    raws = archive.biases(5)
    shuffled = [raws[i] for i in (3, 0, 4, 1, 2)]
    noise = archive.calibration(model.ReadNoise, raw_biases=shuffled)
    session.commit()
    session.expire_all()

    assert noise.raw_biases == shuffled
    assert [m.position for m in noise.raw_biases_members] == [0, 1, 2, 3, 4]
    assert [m.input_id for m in noise.raw_biases_members] == [r.object_id for r in shuffled]


def test_a_member_that_was_left_out_keeps_the_reason(session, coadd):
    first, second = coadd.regridded_frames_members
    first.weight = 0.7
    second.used, second.reason = False, "its seeing, 2.10 arcsec, exceeds 1.5"
    session.commit()
    session.expire_all()
    first, second = coadd.regridded_frames_members

    assert (first.used, first.weight, first.reason) == (True, 0.7, None)
    assert (second.used, second.weight, second.reason) == (False, None, "its seeing, 2.10 arcsec, exceeds 1.5")
    assert len(coadd.regridded_frames) == 2


def test_bound_inputs_get_one_membership_row_each(archive):
    raws = archive.biases(3)
    noise = model.ReadNoise()
    bind(noise, "raw_biases", raws)

    assert [m.position for m in noise.raw_biases_members] == [0, 1, 2]
    assert all(m.used for m in noise.raw_biases_members)


def test_the_same_object_twice_in_a_role_is_refused(session, archive):
    raw = archive.biases(1)[0]

    with pytest.raises(IntegrityError), session.begin_nested():
        archive.calibration(model.ReadNoise, raw_biases=[raw, raw])


def test_what_was_used_cannot_be_deleted(session, archive):
    bias = archive.bias()
    number = bias.read_noise.object_id

    with pytest.raises(IntegrityError), session.begin_nested():
        session.delete(session.get(model.ReadNoise, number))
        session.flush()


def test_a_class_may_use_another_object_of_its_own(session, archive):
    coadds = archive.coadd([archive.reduced(archive.science(h)) for h in (10, 11)])
    first, second = (r.astrometry for r in coadds.regridded_frames)
    second.reference = first
    session.flush()

    assert first.object_id in ancestors(session, Persistent, [second.object_id])
    assert (second.object_id, "reference", first.object_id) in {
        tuple(r) for r in session.execute(select(edges(Persistent)))
    }


def test_a_lineage_is_loaded_as_its_own_classes(session, coadd):
    session.commit()
    number = coadd.object_id
    session.expunge_all()
    found = session.get(Persistent, number)

    assert type(found) is model.Coadd
    assert [type(f) for f in found.regridded_frames] == [model.RegriddedFrame] * 2
    assert type(found.regridded_frames[0].reduced.bias.raw_biases[0]) is model.RawBiasFrame
    assert all(a.date_obs <= b.date_obs for a, b in pairwise(found.regridded_frames))
