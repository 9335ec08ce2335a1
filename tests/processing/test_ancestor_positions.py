"""From a pixel of a coadd to the same place in everything it was made from, against the truth of a simulated night."""

import numpy as np
import pytest
from sqlalchemy import event

from awe.errors import BadRequest, NotFound
from awe.kernels.wcs import Wcs
from awe.model import (
    AstrometricParameters,
    BiasFrame,
    Coadd,
    Instrument,
    RawScienceFrame,
    ReducedFrame,
    RegriddedFrame,
    SourceList,
)
from awe.services.ancestor_positions import load_ancestry, positions_in_ancestors
from awe.services.images import Images
from awe.simulation import Truth
from awe.store import Store

WITHIN, IN_CORNERS = 0.2, 1.0
"""Pixels, median and largest: the astrometry of the tiny night rests on few stars, and none in the corners."""


def test_a_pixel_of_a_coadd_leads_to_the_true_pixels_of_its_raw_frames(undisturbed, night) -> None:
    truth, (coadd,) = Truth.of(night.folder), undisturbed.all(Coadd)
    raws = {raw.object_id: raw for raw in undisturbed.all(RawScienceFrame)}
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(5, coadd.naxis1 - 5, 7), np.linspace(5, coadd.naxis2 - 5, 7)))
    ra, dec = Wcs.from_header(coadd.wcs).to_sky(x, y)
    with undisturbed.session() as session:
        ancestry = load_ancestry(session, coadd.object_id)
    found_x, found_y, inside = ancestry.positions(x, y)

    compared = 0
    for row, place in enumerate(ancestry.places):
        if place.class_name != "RawScienceFrame":
            continue
        raw = raws[place.object_id]
        chip = next(c for c in truth.chips if c.lower() == raw.chip.name.lower())
        true_x, true_y = truth.projection(raw.original_name, chip).to_pixel(ra, dec)
        on = inside[row]
        ny, nx = truth.plan.chip_shape
        well_inside = (true_x > 1) & (true_x < nx - 2) & (true_y > 1) & (true_y < ny - 2)
        well_outside = (true_x < -2) | (true_x > nx + 1) | (true_y < -2) | (true_y > ny + 1)
        assert on[well_inside].all()
        assert not on[well_outside].any()
        distance = np.hypot(found_x[row] - true_x, found_y[row] - true_y)[on]
        assert np.median(distance) < WITHIN
        assert distance.max() < IN_CORNERS
        compared += on.sum()
    assert compared > 60


def test_the_images_of_one_exposure_are_pixel_by_pixel_the_same(undisturbed) -> None:
    (coadd,) = undisturbed.all(Coadd)
    with undisturbed.session() as session:
        found = positions_in_ancestors(session, coadd.object_id, 100.25, 80.5)
        levels = [p.place.level for p in found]
        assert (found[0].place.object_id, found[0].x, found[0].y, found[0].inside) == (
            coadd.object_id, 100.25, 80.5, True
        )  # fmt: skip
        assert levels == sorted(levels)
        for exposure in undisturbed.all(ReducedFrame):
            same = {(p.x, p.y) for p in found if p.place.exposure == exposure.object_id}
            assert len(same) == 1
            own = positions_in_ancestors(session, exposure.object_id, *same.pop())
            classes = {p.place.class_name for p in own}
            assert {"ReducedFrame", "RawScienceFrame", "BiasFrame", "RawBiasFrame", "MasterFlatFrame"} <= classes
            assert len({(p.x, p.y) for p in own}) == 1


def test_a_shared_calibration_is_seen_on_another_pixel_by_each_exposure(undisturbed) -> None:
    (coadd,) = undisturbed.all(Coadd)
    bias = undisturbed.all(BiasFrame)[0]
    with undisturbed.session() as session:
        found = [
            p for p in positions_in_ancestors(session, coadd.object_id, 90, 90) if p.place.object_id == bias.object_id
        ]

    exposures = [r.object_id for r in undisturbed.all(ReducedFrame) if r.bias_id == bias.object_id]
    assert sorted(p.place.exposure or 0 for p in found) == sorted(exposures)
    assert len({(round(p.x, 2), round(p.y, 2)) for p in found}) == len(exposures) == 3


def test_regridded_frames_lie_where_the_grid_says(undisturbed) -> None:
    (coadd,) = undisturbed.all(Coadd)
    with undisturbed.session() as session:
        found = {p.place.object_id: p for p in positions_in_ancestors(session, coadd.object_id, 60, 70)}
    for regridded in undisturbed.all(RegriddedFrame):
        p = found[regridded.object_id]
        assert (p.x + regridded.x0, p.y + regridded.y0) == (60, 70)
        assert p.inside == (0 <= p.x < regridded.naxis1 and 0 <= p.y < regridded.naxis2)


def test_positions_of_a_source_list_are_those_of_its_frame(undisturbed) -> None:
    (coadd,), (listed,) = undisturbed.all(Coadd), undisturbed.all(SourceList)
    with undisturbed.session() as session:
        of_list = positions_in_ancestors(session, listed.object_id, 60, 70)
        of_frame = positions_in_ancestors(session, coadd.object_id, 60, 70)
    assert [(p.place.object_id, p.x, p.y) for p in of_list] == [(p.place.object_id, p.x, p.y) for p in of_frame]


def test_raw_frames_count_from_the_corner_of_the_file(made) -> None:
    raw, (reduced, *_) = made.all(RawScienceFrame)[0], made.all(ReducedFrame)
    assert reduced.raw_id == raw.object_id
    made.change(RawScienceFrame, raw.object_id, data_section="[33:288,5:260]")
    with made.session() as session:
        down = {p.place.class_name: p for p in positions_in_ancestors(session, reduced.object_id, 10, 20)}
        edge = {p.place.class_name: p for p in positions_in_ancestors(session, reduced.object_id, -0.6, 20)}
        own = positions_in_ancestors(session, raw.object_id, 20, 20)

    assert (down["RawScienceFrame"].x, down["RawScienceFrame"].y, down["RawScienceFrame"].inside) == (42, 24, True)
    assert (down["SaturatedPixelMap"].x, down["SaturatedPixelMap"].y) == (10, 20)
    assert not edge["RawScienceFrame"].inside
    assert [(p.x, p.y, p.inside) for p in own] == [(20, 20, False)]  # in the prescan


def test_the_exposure_an_astrometry_was_tied_to_is_found_over_the_sky(made) -> None:
    first, *_, last = made.all(AstrometricParameters)
    made.change(AstrometricParameters, last.object_id, reference_id=first.object_id)
    with made.session() as session:
        regridded = next(r for r in made.all(RegriddedFrame) if r.astrometry_id == last.object_id)
        found = {p.place.object_id: p for p in positions_in_ancestors(session, regridded.object_id, 100, 100)}
    mine, other = found[last.reduced_id], found[first.reduced_id]
    ra, dec = Wcs.from_header(last.wcs).to_sky(mine.x, mine.y)
    x, y = Wcs.from_header(first.wcs).to_pixel(ra, dec)

    assert (other.x, other.y) == (pytest.approx(float(x), abs=1e-3), pytest.approx(float(y), abs=1e-3))


def test_the_viewer_has_an_exposure_on_the_sky_where_its_astrometry_says(undisturbed, tmp_path) -> None:
    (coadd,) = undisturbed.all(Coadd)
    ra, dec = Wcs.from_header(coadd.wcs).to_sky(90, 80)
    images, compared = Images(Store("http://127.0.0.1:1", tmp_path)), 0
    with undisturbed.session() as session:
        for p in positions_in_ancestors(session, coadd.object_id, 90, 80):
            wcs = images.find(session, p.place.object_id).wcs if p.place.filename and p.inside else None
            if wcs is not None and p.place.class_name != "RegriddedFrame":
                there_x, there_y = wcs.to_pixel(ra, dec)
                assert (float(there_x), float(there_y)) == (pytest.approx(p.x, abs=1e-3), pytest.approx(p.y, abs=1e-3))
                compared += p.place.class_name in ("ReducedFrame", "RawScienceFrame", "WeightFrame")
    assert compared == 9


def test_a_frame_whose_place_is_not_known_has_no_position(made) -> None:
    regridded = made.all(RegriddedFrame)[0]
    made.change(AstrometricParameters, regridded.astrometry_id, wcs=None)
    with made.session() as session:
        found = {p.place.object_id: p for p in positions_in_ancestors(session, regridded.object_id, 50, 50)}

    lost = found[regridded.reduced_id]
    assert (lost.as_json()["x"], lost.as_json()["y"], lost.inside) == (None, None, False)


def test_the_number_of_statements_does_not_grow_with_the_lineage(undisturbed) -> None:
    (coadd,), sent = undisturbed.all(Coadd), []
    event.listen(undisturbed.engine, "before_cursor_execute", lambda *a: sent.append(a[2]))
    with undisturbed.session() as session:
        ancestry = load_ancestry(session, coadd.object_id)

    levels = 1 + max(ancestry.geometry.graph.levels.values())
    assert len(sent) <= levels + 12


def test_what_has_no_pixels_is_refused(undisturbed) -> None:
    with undisturbed.session() as session:
        (instrument,) = session.scalars(Instrument.select().statement).unique()
        with pytest.raises(BadRequest, match="has no pixels"):
            load_ancestry(session, instrument.object_id)
        with pytest.raises(NotFound, match="no object 999999"):
            load_ancestry(session, 999_999)
