"""Coadds on grids of any projection and system, across right ascension 0, and by every method."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.fits import open_planes
from awe.kernels.choices import Method
from awe.kernels.matching import match_sky
from awe.kernels.sky_systems import from_icrs
from awe.kernels.wcs import Wcs
from awe.local import RunningDataServer
from awe.model import Coadd, RawScienceFrame, SourceList
from awe.model.catalogue import SOURCES
from awe.processing.catalogues import add_catalogue
from awe.processing.grids import lay_out
from awe.processing.tasks import register_processes
from awe.simulation import PRESETS, Night, simulate_night
from tests.processing.conftest import Site


def rows_of(site: Site, found: SourceList) -> dict[str, np.ndarray]:
    with site.session() as session:
        rows = session.execute(SOURCES.select().where(found.object_id == SOURCES.c.SLID)).mappings().all()
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def off_the_truth(site: Site, night: Night, found: SourceList) -> tuple[np.ndarray, np.ndarray]:
    """Return distance (arcsec) and magnitude less the true one of sources with small errors."""
    rows, objects = rows_of(site, found), night.truth.objects
    bright = (rows["MAGERR_AUTO"] < 0.03) & (rows["FLAGS"] == 0)
    i, j, away = match_sky(rows["RA"][bright], rows["DEC"][bright], objects["ra"], objects["dec"], 1.0)
    return away, rows["MAG_AUTO"][bright][i] - objects["mag_r"][j]


def made_on(site: Site, projection: str, system: str) -> tuple[Coadd, SourceList]:
    """Lay out a grid for all exposures, and make their coadd and its source list on it."""
    with short_transaction(site.engine) as session:
        grid = lay_out("another", list(session.scalars(select(RawScienceFrame)).unique()), projection, system)
        grid.creator, grid.project = "ann", "default"
        session.add(grid)
    outcome = site.make(SourceList, object="SIM-A", grid="another")
    assert (outcome.failed, outcome.skipped) == ({}, {})
    return site.all(Coadd)[-1], site.all(SourceList)[-1]


@pytest.mark.parametrize(("projection", "system"), [("ZEA", "galactic"), ("CAR", "equatorial"), ("AIT", "ecliptic")])
def test_sources_are_where_and_as_bright_as_they_are_on_a_grid_of_any_projection_and_system(
    copied: Callable[..., Site], night: Night, projection: str, system: str
) -> None:
    site = copied("made")
    (plain,) = site.all(SourceList)
    expected = off_the_truth(site, night, plain)

    coadd, found = made_on(site, projection, system)

    wcs = Wcs.from_header(coadd.wcs)
    assert (wcs.system, str(wcs.cards["CTYPE1"])[5:]) == (system, projection)
    _, lat = from_icrs(system, *wcs.to_sky(np.full(2, 90.0), np.array([100.0, 101.0])))
    assert np.diff(lat) * 3600 == pytest.approx(coadd.pixel_scale, rel=1e-2)  # north of the system is up
    away, off = off_the_truth(site, night, found)
    assert len(away) > 0.9 * len(expected[0]) > 15
    # the same exposures with other pixels: what is found is as far off as before, but for a tenth of a pixel's noise
    assert np.median(away) < np.median(expected[0]) + 0.02
    assert np.median(off) == pytest.approx(np.median(expected[1]), abs=0.02)


@pytest.fixture(scope="module", params=[2.2, -79.9])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, files: RunningDataServer, make_tables: Any
) -> Iterator[tuple[Site, Night]]:
    """A tiny night that observes a field across right ascension 0, ingested."""
    home: Path = tmp_path_factory.mktemp("elsewhere")
    night = simulate_night(home / "night", replace(PRESETS["tiny"], ra=0.0, dec=request.param))
    settings = Settings(
        home=home, database=f"sqlite:///{home}/awe.db", data_server=files.address, user="ann", workers=1
    )
    engine = open_engine(settings.database)
    make_tables(engine)
    with short_transaction(engine) as session:
        register_processes(session)
    site = Site(settings, engine)
    assert {report.verdict for report in site.ingest(*night.files)} == {"ingested"}
    add_catalogue(engine, site.store, settings, night.reference_catalogue, "simulated", "plain")
    yield site, night
    engine.dispose()


def test_a_field_across_right_ascension_0_is_whole(elsewhere: tuple[Site, Night]) -> None:
    site, night = elsewhere

    coadd, found = made_on(site, "TAN", "equatorial")

    x, y = Wcs.from_header(coadd.wcs).to_pixel(night.truth.plan.ra, night.truth.plan.dec)
    assert (x, y) == (pytest.approx(coadd.naxis1 / 2, abs=60), pytest.approx(coadd.naxis2 / 2, abs=60))
    assert coadd.naxis1 * coadd.naxis2 < 4 * 2 * 256**2
    away, off = off_the_truth(site, night, found)
    assert len(away) > 15
    assert np.ptp(rows_of(site, found)["RA"]) > 359  # on both sides of it
    assert np.median(away) < 0.05  # a fifth of a pixel
    assert -0.02 < np.median(off) < 0.06  # a Kron ellipse holds 94 % of the light or more


METHODS = (Method.AVERAGE, Method.MEDIAN, Method.MINIMUM, Method.MAXIMUM, Method.SUM, Method.CHI_SQUARED)


def test_each_method_makes_its_coadd_with_the_facts_that_belong_to_it(made: Site) -> None:
    coadds, images = {}, {}
    for method in METHODS:
        outcome = made.make(Coadd, object="SIM-A", wish=Coadd.Parameters(combine=method, count_map=True))
        assert (outcome.failed, outcome.skipped) == ({}, {})
        coadds[method] = made.all(Coadd)[-1]
        planes = open_planes(made.store.retrieve(coadds[method].filename))
        images[method], count = planes.rows("IMAGE"), planes.rows("COUNT")

    here = count > 0
    image = {method: image[here] for method, image in images.items()}
    assert (image[Method.MINIMUM] <= image[Method.MEDIAN]).all()
    assert (image[Method.MEDIAN] <= image[Method.MAXIMUM]).all()
    np.testing.assert_allclose(image[Method.SUM], image[Method.AVERAGE] * count[here], rtol=1e-4, atol=1e-3)
    # the median of chi-squared with three degrees of freedom; stars cover a part of the field, and add to it
    assert 2.37 < np.median(image[Method.CHI_SQUARED][count[here] == 3]) < 1.3 * 2.37
    for method, coadd in coadds.items():
        measures = method not in (Method.SUM, Method.CHI_SQUARED)
        assert (coadd.zeropoint == 30) is (coadd.limiting_magnitude is not None) is measures
        assert bool(coadd.remark) is not measures
        assert coadd.bunit == ("" if method is Method.CHI_SQUARED else "adu")
    gain = {method: coadd.gain for method, coadd in coadds.items()}
    assert gain[Method.SUM] == gain[Method.MINIMUM] == gain[Method.MAXIMUM] < gain[Method.AVERAGE]
    assert gain[Method.CHI_SQUARED] is None


def test_sources_are_detected_on_a_chi_squared_coadd_and_measured_on_another(made: Site) -> None:
    (measured,), (plain,) = made.all(Coadd), made.all(SourceList)
    assert made.make(Coadd, object="SIM-A", wish=Coadd.Parameters(combine=Method.CHI_SQUARED)).failed == {}
    seen = made.all(Coadd)[-1]

    outcome = made.make(SourceList, frame=measured.object_id, detection=seen.object_id)

    assert (outcome.failed, outcome.skipped) == ({}, {})
    found, known = rows_of(made, made.all(SourceList)[-1]), rows_of(made, plain)
    bright = (known["MAGERR_AUTO"] < 0.03) & (known["FLAGS"] == 0)
    i, j, _ = match_sky(known["RA"][bright], known["DEC"][bright], found["RA"], found["DEC"], 0.5)
    assert len(i) > 0.9 * bright.sum() > 15
    assert np.median(found["MAG_AUTO"][j] - known["MAG_AUTO"][bright][i]) == pytest.approx(0, abs=0.02)
    assert 0.5 < len(found["RA"]) / len(known["RA"]) < 2
