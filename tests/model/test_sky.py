"""Places on the sky as HEALPix cells."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.units import deg

from awe.model import RawScienceFrame
from awe.model.frame import SKY_DEPTH, SkyCell
from awe.model.sky import SOURCE_DEPTH, cells_at, cells_of

SIDE = 0.25


def square(ra: float, dec: float, side: float = SIDE) -> list[list[float]]:
    """Return the corners of a square on the sky."""
    stretch = side / 2 / np.cos(np.radians(dec))
    return [[(ra + sx * stretch) % 360, dec + sy * side / 2] for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


@pytest.mark.parametrize("centre", [(150.0, 2.2), (0.01, -45.0), (359.99, 0.0), (200.0, 70.0), (10.0, -88.0)])
def test_every_position_inside_a_footprint_lies_in_one_of_its_cells(centre):
    rng = np.random.default_rng(9)
    ra, dec = centre
    inner = rng.uniform(-0.49, 0.49, (2, 2000)) * SIDE
    positions = SkyCoord(ra * deg, dec * deg).spherical_offsets_by(inner[0] * 0.9 * deg, inner[1] * 0.9 * deg)
    cells = set(cells_of(square(ra, dec)))

    assert set(cells_at(positions.ra.deg, positions.dec.deg).tolist()) <= cells


def test_the_cells_of_a_footprint_are_about_as_many_as_its_area_asks_for():
    cell_area = 41252.96 / (12 * 4**SKY_DEPTH)
    cells = cells_of(square(150.0, 2.2, 2.0))

    # those on the rim are counted too: at most a ring of them
    assert 4.0 / cell_area < len(cells) < (2.0 + 2 * np.sqrt(2 * cell_area)) ** 2 / cell_area
    assert cells == sorted(set(cells))


def test_footprints_far_apart_share_no_cell():
    assert set(cells_of(square(150.0, 2.2))).isdisjoint(cells_of(square(151.0, 2.2)))


def test_a_footprint_over_the_start_of_right_ascension_is_small():
    assert len(cells_of(square(0.0, 0.0))) == pytest.approx(len(cells_of(square(90.0, 0.0))), abs=12)


def test_the_cells_of_sources_lie_in_those_of_frames():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))

    assert np.array_equal(cells_at(ra, dec, SOURCE_DEPTH) >> 2 * (SOURCE_DEPTH - SKY_DEPTH), cells_at(ra, dec))


def test_the_cells_of_a_frame_are_stored_and_go_with_it(session, archive):
    frame = archive.science()
    frame.cells = [SkyCell(cell=c) for c in cells_of(square(150.0, 2.2))]
    session.flush()
    number, count = frame.object_id, len(frame.cells)

    assert session.query(SkyCell).filter_by(object_id=number).count() == count > 0
    session.delete(frame)
    session.flush()
    assert session.query(SkyCell).filter_by(object_id=number).count() == 0
    assert session.get(RawScienceFrame, number) is None
