"""Cones and boxes find what lies there: compared with geometry on the sphere, done without planes or cells."""

from datetime import date, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from awe import model
from awe.kernels.wcs import tan
from awe.model.catalogue import SOURCES
from awe.model.filters import filter_condition, parse_filter
from awe.model.frame import SkyCell
from awe.model.rows import Source
from awe.model.sky import SOURCE_DEPTH, cells_at, cells_of
from awe.model.sky_search import Box, Cone, cell_ranges

RNG = np.random.default_rng(4)
CENTRES = [(152.6, -1.0), (0.05, 45.0), (359.97, -30.0), (200.0, 88.9), (80.0, -89.5)]


def direction(ra: Any, dec: Any) -> np.ndarray:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec) + 0 * ra], axis=-1)


def samples(corners: Any) -> np.ndarray:
    """Return directions all over a quadrangle whose sides are great circles, edges and corners included."""
    a, b, c, d = (direction(*corner) for corner in corners)
    s, t = np.meshgrid(np.linspace(0, 1, 120), np.linspace(0, 1, 120))
    s, t = s[..., None], t[..., None]
    inside = (1 - s) * (1 - t) * a + s * (1 - t) * b + s * t * c + (1 - s) * t * d
    return inside / np.linalg.norm(inside, axis=-1, keepdims=True)


def least_distance(corners: Any, ra: float, dec: float) -> float:
    """Return the least distance of a quadrangle from a position, in degrees."""
    return float(np.degrees(np.arccos(np.clip(samples(corners) @ direction(ra, dec), -1, 1)).min()))


@pytest.fixture
def frames(archive: Any, session: Session) -> list[Any]:
    """Frames around several places, one of them across 0 h, two at the poles."""
    found = []
    for ra, dec in CENTRES:
        for _ in range(6):
            x, y = RNG.uniform(-0.6, 0.6, 2)
            shifted = ((ra + x / max(np.cos(np.radians(dec)), 0.05)) % 360, float(np.clip(dec + y, -90, 90)))
            wcs = tan(*shifted, 1.0, 1200, 800, rotation=float(RNG.uniform(0, 360)))
            frame = archive.science(20 + len(found), object="sky")
            frame.footprint = [[float(a), float(d)] for a, d in wcs.footprint(1200, 800)]
            frame.ra, frame.dec = shifted
            frame.cells = [SkyCell(cell=cell) for cell in cells_of(frame.footprint)]
            found.append(frame)
    session.flush()
    return found


def found_by(session: Session, text: str, cls: Any = model.RawScienceFrame) -> set[int]:
    return set(session.scalars(select(cls.object_id).where(filter_condition(cls, text))))


@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3, 1.0])
def test_a_cone_finds_the_frames_that_come_so_near(session: Session, frames: list[Any], radius: float) -> None:
    grain = 0.4 / 120
    for ra, dec in CENTRES:
        got = found_by(session, f"cone({ra}, {dec}, {radius})")
        distances = {f.object_id: least_distance(f.footprint, ra, dec) for f in frames}
        assert {i for i, d in distances.items() if d <= radius} <= got
        assert got <= {i for i, d in distances.items() if d <= radius + grain}


@pytest.mark.parametrize(("width", "height"), [(0.01, 0.01), (0.4, 0.1), (0.05, 2.0)])
def test_a_box_finds_the_frames_that_share_sky_with_it(
    session: Session, frames: list[Any], width: float, height: float
) -> None:
    for ra, dec in CENTRES:
        got = found_by(session, f"box({ra}, {dec}, {width}, {height})")
        sure = {f.object_id for f in frames if shares(f.footprint, Box(ra, dec, width, height))}
        near = {f.object_id for f in frames if shares(f.footprint, Box(ra, dec, width + 0.01, height + 0.01))}
        assert sure <= got <= near


def shares(corners: Any, box: Box) -> bool:
    """Return whether one of the points all over a frame lies in a box, or one all over the box in the frame."""
    points = samples(corners)
    ra = np.radians(box.ra)
    centre = direction(box.ra, box.dec)
    east = np.array([-np.sin(ra), np.cos(ra), 0])
    north = np.cross(centre, east)
    depth, (half_width, half_height) = points @ centre, box.half
    if ((abs(points @ east) <= half_width * depth) & (abs(points @ north) <= half_height * depth)).any():
        return True
    u, v = np.meshgrid(np.linspace(-half_width, half_width, 60), np.linspace(-half_height, half_height, 60))
    over = centre + u[..., None] * east + v[..., None] * north
    edges = [direction(*corner) for corner in corners]
    if points[60, 60] @ centre < 0:
        return False  # the sides of a frame are great circles, which meet again on the other side of the sky
    sides = [over @ np.cross(a, b) for a, b in zip(edges, [*edges[1:], edges[0]], strict=True)]
    return bool((np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)).any())


def test_a_link_leads_to_what_lies_there(archive: Any, asking: Session, frames: list[Any]) -> None:
    reduced = archive.reduced(frames[0])
    ra, dec = frames[0].ra, frames[0].dec

    assert [r.object_id for r in parse_filter(model.ReducedFrame, f"raw.cone({ra}, {dec}, 0)")] == [reduced.object_id]
    assert list(parse_filter(model.ReducedFrame, f"raw.cone({ra}, {-dec}, 0)")) == []
    assert list(parse_filter(model.ReducedFrame, f"not raw.cone({ra}, {dec}, 0)")) == []


def test_positions_are_texts_too(session: Session, frames: list[Any]) -> None:
    there = found_by(session, "cone(152.6, -1.0, 0.5)")

    assert there
    assert found_by(session, 'cone("10:10:24", "-01:00:00", "30 arcmin")') == there
    assert found_by(session, 'cone("10 10 24 -01 00 00", "1800 arcsec")') == there
    assert found_by(session, 'ra between "10:08:00" and "10:13:00" and dec > "-2:0:0"') >= there


def test_grid_targets_and_pointings_are_found(archive: Any, session: Session) -> None:
    grid = archive.add(
        model.GridTarget, name="g", ra=359.9, dec=60.0, pixel_scale=1.0, naxis1=3600, naxis2=1800, wcs={}
    )
    exposure = archive.add(
        model.Observation, instrument=archive.camera, object="x", date_obs=datetime(2026, 1, 1), night=date(2026, 1, 1),
        exptime=1.0, ra=0.1, dec=60.0,
    )  # fmt: skip
    corners = tan(359.9, 60.0, 1.0, 3600, 1800).footprint(3600, 1800)

    for ra, dec in ((0.0, 60.0), (1.0, 60.0), (0.89, 60.24), (0.95, 60.24), (359.9, 60.28)):
        hit = least_distance(corners, ra, dec) < 1e-2
        assert (grid.object_id in found_by(session, f"cone({ra}, {dec}, 0)", model.GridTarget)) == hit
    assert found_by(session, "cone(0, 60, 0.06)", model.Observation) == {exposure.object_id}
    assert found_by(session, "cone(0, 60, 0.04)", model.Observation) == set()
    assert found_by(session, "box(0, 60, 0.12, 0.01)", model.Observation) == {exposure.object_id}
    assert found_by(session, "box(0, 60, 0.08, 0.01)", model.Observation) == set()


@pytest.mark.parametrize("radius", [1e-5, 0.01, 1.0, 20.0])
@pytest.mark.parametrize("place", CENTRES)
def test_the_cells_of_a_cone_are_few_and_leave_nothing_out(place: tuple[float, float], radius: float) -> None:
    from awe.model.sky import cells_at

    ranges = cell_ranges(Cone(*place, radius), 16)
    turn, distance = RNG.uniform(0, 2 * np.pi, 500), np.radians(radius) * np.sqrt(RNG.uniform(0, 1, 500))
    centre = direction(*place)
    ra = np.radians(place[0])
    east = np.array([-np.sin(ra), np.cos(ra), 0])
    north = np.cross(centre, east)
    aside = np.outer(np.cos(turn), east) + np.outer(np.sin(turn), north)
    points = centre * np.cos(distance)[:, None] + aside * np.sin(distance)[:, None]
    cells = cells_at(np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360, np.degrees(np.arcsin(points[:, 2])), 16)

    assert len(ranges) < 100
    assert all(any(first <= cell <= last for first, last in ranges) for cell in cells)


SIZES = (0.003, 0.05, 0.14, 0.16, 0.6)
"""Radii of cones (deg), on both sides of where sources are no longer looked up by their cells."""


@pytest.fixture
def many_sources(archive: Any, session: Session) -> tuple[int, np.ndarray, np.ndarray]:
    """The number of a list, and the positions of its sources around all centres; another list has the same."""
    lists = [archive.product(model.SourceList, frame=archive.science(), name="many") for _ in range(2)]
    session.flush()
    around = [
        (ra + RNG.uniform(-1, 1, 400) / np.cos(np.radians(dec)), dec + RNG.uniform(-1, 1, 400)) for ra, dec in CENTRES
    ]
    ra, dec = (np.concatenate(part) for part in zip(*around, strict=True))
    ra, dec = ra % 360, np.clip(dec, -90, 90)
    cells = cells_at(ra, dec, SOURCE_DEPTH)
    others = {c.name: 0 for c in SOURCES.columns if not c.nullable}
    session.execute(
        insert(SOURCES),
        [
            others | {"SLID": slid, "SID": i, "RA": float(ra[i]), "DEC": float(dec[i]), "CELL": int(cells[i])}
            for slid in (listed.object_id for listed in lists)
            for i in range(len(ra))
        ],
    )
    return lists[0].object_id, ra, dec


@pytest.mark.parametrize("radius", SIZES)
def test_a_cone_finds_the_sources_of_a_list_that_lie_in_it(
    session: Session, many_sources: tuple[int, np.ndarray, np.ndarray], radius: float
) -> None:
    slid, *positions = many_sources
    places = direction(*positions)
    for ra, dec in CENTRES:
        away = np.degrees(2 * np.arcsin(np.linalg.norm(places - direction(ra, dec), axis=-1) / 2))
        condition = filter_condition(Source, f"SLID = {slid} and cone({ra}, {dec}, {radius})")
        found = set(session.scalars(select(SOURCES.c.SID).where(condition)))

        assert found == set(np.flatnonzero(away <= radius).tolist())


def test_sources_in_a_small_region_are_looked_up_by_list_and_cell() -> None:
    """Else each of a million rows of a list would be read: SQLite holds `SLID = 7` to be nearly unique."""
    engine = create_engine("sqlite://")
    model.Base.metadata.create_all(engine)
    with engine.connect() as connection:
        for region in ("cone(152.6, -1, 0.01)", "box(152.6, -1, 0.1, 0.1)"):
            condition = filter_condition(Source, f"SLID = 7 and {region}")
            asked = select(SOURCES.c.SID).where(condition).order_by(SOURCES.c.SID).limit(51)
            text = str(asked.compile(engine, compile_kwargs={"literal_binds": True}))
            plan = [row[3] for row in connection.execute(sql(f"EXPLAIN QUERY PLAN {text}".replace(":", r"\:")))]

            assert plan[0] == "SEARCH source USING INDEX ix_source_SLID_CELL (SLID=? AND CELL>? AND CELL<?)"
    engine.dispose()
