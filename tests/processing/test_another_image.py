"""Sources that are detected on one image and measured on another: the same rows, true colours, lineage of both."""

import os
import time

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from awe.errors import BadRequest
from awe.instruments import load_definitions
from awe.kernels.wcs import tan
from awe.model import Coadd, Persistent, SourceList
from awe.model.catalogue import SOURCES
from awe.model.lineage import ancestors, parameters_of
from awe.processing.external import ExternalIngester
from awe.processing.staleness import why_stale

SIZE, SCALE, ZEROPOINT, NOISE, SIGMA = 600, 0.3, 27.0, 2.0, 2.0
COLOURS = {"red": 1.5, "flat": 0.0, "blue": -1.0}
"""Magnitude in g less that in r."""


def sky(kinds, seed):
    """Return places, fluxes in r (adu) and colours of stars far from each other; the faint ones are absent in g."""
    rng = np.random.default_rng(seed)
    place = np.arange(60, SIZE - 40, 60)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, place.size**2) for axis in np.meshgrid(place, place))
    return x, y, 10 ** rng.uniform(3.3, 4.8, x.size), rng.choice(list(kinds.values()), x.size)


def picture(x, y, flux, seed, shape=(SIZE, SIZE)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.random.default_rng(seed).normal(0, NOISE, shape)
    for at_x, at_y, total in zip(x, y, flux, strict=True):
        image += total / (2 * np.pi * SIGMA**2) * np.exp(-((columns - at_x) ** 2 + (rows - at_y) ** 2) / 2 / SIGMA**2)
    return image.astype(np.float32)


@pytest.fixture
def take_in(ingested, tmp_path):
    """A function that ingests an image as a coadd, and returns its number."""

    def ingest(name, image, ra=40.0):
        header = fits.Header()
        header.update(tan(ra, -1.5, SCALE, image.shape[1], image.shape[0]).cards)
        header.update({"OBJECT": "A370", "INSTRUME": "WFX", "TELESCOP": "Tel", "FILTER": name, "EXPTIME": 100.0})
        header.update({"BUNIT": "adu", "MAGZERO": ZEROPOINT, "DATE-OBS": "2024-03-01T02:03:04.5"})
        path, weight = tmp_path / f"stack_{name}.fits", tmp_path / f"stack_{name}.weight.fits"
        fits.writeto(path, image, header)
        fits.writeto(weight, np.full(image.shape, 1 / NOISE**2, np.float32))
        for each in (path, weight):
            os.utime(each, (time.time() - 3600,) * 2)
        worker = ExternalIngester(ingested.engine, ingested.store, ingested.settings, load_definitions(), False)
        (report,) = worker.ingest([path])
        assert report.frames, report.reason
        return report.frames[0]

    return ingest


def sources(site, source_list):
    columns = ("SID", "X_IMAGE", "KRON_RADIUS", "ISOAREA_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "MAG_AUTO", "MAGERR_AUTO")
    columns += ("FLUX_APER_2", "FLUXERR_APER_2", "FLAGS", "FLAGS_WEIGHT")
    wanted = select(*(SOURCES.c[name] for name in columns)).order_by(SOURCES.c.SID)
    with site.session() as session:
        rows = session.execute(wanted.filter_by(SLID=source_list.object_id)).all()
    return {name: np.array([row[k] for row in rows], float) for k, name in enumerate(columns)}


def made(site, **named):
    outcome = site.make(SourceList, **named)
    assert outcome.failed == outcome.skipped == {}
    return site.all(SourceList)[-1]


def test_lists_detected_on_one_image_have_the_same_sources_and_true_colours(ingested, take_in):
    x, y, flux, colour = sky(COLOURS, 1)
    red = take_in("r", picture(x, y, flux, 2))
    green = take_in("g", picture(x, y, flux * 10 ** (-0.4 * colour), 3))
    in_red, in_green = made(ingested, frame=red), made(ingested, frame=green, detect_on=red)
    one, other = sources(ingested, in_red), sources(ingested, in_green)

    assert (in_green.frame_id, in_green.detection_id, in_red.detection_id) == (green, red, None)
    assert in_red.n_sources == in_green.n_sources == len(x)
    for name in ("SID", "X_IMAGE", "KRON_RADIUS", "ISOAREA_IMAGE"):
        np.testing.assert_array_equal(other[name], one[name], err_msg=name)
    nearest = np.hypot(one["XWIN_IMAGE"][:, None] - x, one["YWIN_IMAGE"][:, None] - y).argmin(axis=1)
    # equal apertures on equal profiles: what they miss of the light is the same part in both
    found = other["MAG_AUTO"] - one["MAG_AUTO"]
    pull = (found - colour[nearest]) / np.hypot(one["MAGERR_AUTO"], other["MAGERR_AUTO"])
    assert pull.mean() == pytest.approx(0, abs=4 / np.sqrt(len(x)))
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * len(x)))
    aperture = -2.5 * np.log10(other["FLUX_APER_2"] / one["FLUX_APER_2"])
    assert np.median(aperture - colour[nearest]) == pytest.approx(0, abs=0.01)


def test_a_source_that_is_not_there_in_the_other_image_has_a_row_without_light(ingested, take_in):
    x, y, flux, _ = sky(COLOURS, 4)
    red, green = take_in("r", picture(x, y, flux, 5)), take_in("g", picture(x, y, 0 * flux, 6))
    rows = sources(ingested, made(ingested, frame=green, detect_on=red))

    assert len(rows["SID"]) == len(x)
    pull = rows["FLUX_APER_2"] / rows["FLUXERR_APER_2"]
    assert pull.mean() == pytest.approx(0, abs=4 / np.sqrt(len(x)))
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * len(x)))


def test_both_images_are_in_the_lineage_and_one_that_is_judged_invalid_makes_the_list_stale(ingested, take_in):
    x, y, flux, _ = sky(COLOURS, 7)
    red, green = take_in("r", picture(x, y, flux, 8)), take_in("g", picture(x, y, flux, 9))
    wish = parameters_of(SourceList, detect_thresh=3)
    plan = ingested.plan(SourceList, wish, frame=green, detect_on=red)
    assert [type(step.product).__name__ for step in plan.steps] == ["PsfModel", "SourceList"]
    assert "there is no SourceList" in plan.steps[-1].reasons[0]
    outcome = ingested.make(SourceList, wish, frame=green, detect_on=red)
    assert outcome.failed == {}
    dual = ingested.all(SourceList)[-1]

    assert dual.parameters.detect_thresh == 3
    with ingested.session() as session:
        assert {red, green} <= ancestors(session, Persistent, [dual.object_id])
    assert ingested.plan(SourceList, wish, frame=green, detect_on=red).steps == []
    # that of the image itself is another one
    assert ingested.plan(SourceList, wish, frame=green).steps
    ingested.change(Coadd, red, is_valid=0)
    with ingested.session() as session:
        (reason,) = why_stale(session, session.get(SourceList, dual.object_id))
    assert reason.startswith("detection: ")


def test_an_image_detected_on_itself_is_no_other(ingested, take_in):
    x, y, flux, _ = sky(COLOURS, 10)
    red = take_in("r", picture(x, y, flux, 11))

    assert made(ingested, frame=red, detect_on=red).detection_id is None
    assert ingested.plan(SourceList, frame=red).steps == []


def test_images_of_other_pixels_are_refused(ingested, take_in):
    x, y, flux, _ = sky(COLOURS, 12)
    red = take_in("r", picture(x, y, flux, 13))
    small = take_in("g", picture([], [], [], 14, (400, 400)))
    shifted = take_in("i", picture(x, y, flux, 15), ra=40.0 + 0.5 * SCALE / 3600)

    with pytest.raises(BadRequest, match=r"can't be detected on .*400 x 400"):
        ingested.plan(SourceList, frame=red, detect_on=small)
    with pytest.raises(BadRequest, match=r"0\.5 pixels apart on the sky"):
        ingested.plan(SourceList, frame=red, detect_on=shifted)
    with pytest.raises(BadRequest, match="only sources of a SourceList"):
        ingested.plan(Coadd, object="SIM-A", detect_on=red)


def test_lists_of_a_target_are_detected_on_one_of_its_coadds(made_night):
    (coadd,) = made_night.all(Coadd)

    # of the same filter it is the list that is there already
    assert made_night.plan(SourceList, object="SIM-A", detect_on=coadd.object_id).steps == []


@pytest.fixture
def made_night(copied):
    return copied("made")
