"""PSF models and source lists of coadds of which little or nothing can be used: the reason, or what is right."""

from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import select

from awe.fits_writing import write_image
from awe.kernels.flags import PixelFlag
from awe.kernels.wcs import tan
from awe.model import Coadd, PsfModel, SourceList
from awe.model.catalogue import SOURCES
from awe.model.persistent import QualityFlag
from tests.processing.test_external import NOISE, SCALE, SIZE, STARS, stack, take_in  # noqa: F401 - fixtures

WEIGHT = np.full((SIZE, SIZE), 1 / NOISE**2, np.float32)
FLAGS = np.zeros((SIZE, SIZE), np.uint8)


def sky(*stars):
    """Return an image without background, with stars of sigma 2 pixel."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.random.default_rng(5).normal(0, NOISE, (SIZE, SIZE))
    for x0, y0, flux in stars:
        image += flux / (8 * np.pi) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
    return image.astype(np.float32)


def with_holes(image):
    rng = np.random.default_rng(9)
    for value in (np.nan, np.inf, -np.inf):
        image[rng.random(image.shape) < 0.01] = value
    return image


@pytest.fixture(params=["of awe", "made elsewhere"])
def lists_of(request, ingested, take_in, stack, tmp_path):  # noqa: F811
    """A function that makes PSF model and source list of a coadd with these planes: both, the rows, and what failed."""

    def make(image, weight=WEIGHT, flags=FLAGS):
        number = take_in(stack())[0].frames[0]
        path = tmp_path / f"{uuid4()}.fits"
        write_image(path, {"IMAGE": image, "WEIGHT": weight, "FLAGS": flags}, tan(40.0, -1.5, SCALE, SIZE, SIZE).cards)
        stored = ingested.store.put(path)
        elsewhere = request.param == "made elsewhere"
        named = {"filename": stored.filename, "sha256": stored.sha256, "size": stored.size}
        ingested.change(Coadd, number, external=elsewhere, **named)
        outcome = ingested.make(SourceList, frame=number)
        psf, found = ([*ingested.all(cls), None][0] for cls in (PsfModel, SourceList))
        with ingested.session() as session:
            rows = session.execute(select(SOURCES).order_by(SOURCES.c.FLUX_AUTO)).all()
        return psf, found, rows, " ".join(outcome.failed.values())

    return make


@pytest.mark.parametrize(
    "planes",
    [
        (sky(*STARS), 0 * WEIGHT),
        (np.full((SIZE, SIZE), np.nan, np.float32), WEIGHT),
        (np.full((SIZE, SIZE), np.inf, np.float32), WEIGHT),
        (np.full((SIZE, SIZE), np.nan, np.float32), WEIGHT, FLAGS + np.uint8(PixelFlag.SATURATED)),
    ],
    ids=["masked", "NaN", "infinite", "saturated NaN"],
)
def test_a_coadd_without_a_pixel_has_no_source_or_says_why(lists_of, planes):
    psf, found, rows, failed = lists_of(*planes)

    assert rows == []
    if failed:  # nobody knows whether the sky of what was made elsewhere is subtracted: it must be measured
        assert "PsfModel A370 r.2" in failed
        assert "has no sky to be measured" in failed
        assert "none of the 4 cells of the mesh has enough good pixels" in failed
        return
    assert psf.filename is None
    assert psf.remark == "there is no model: no unsaturated single star stands out of the noise"
    assert found.n_sources == 0
    assert found.quality_flags == QualityFlag.NO_SOURCES
    assert "no source stands out of the noise" in found.remark


def test_a_coadd_of_nothing_but_noise_has_an_empty_list(lists_of):
    psf, found, rows, failed = lists_of(sky())

    assert failed == ""
    assert (psf.filename, psf.n_stars, found.n_sources, rows) == (None, 0, 0, [])
    assert found.quality_flags == QualityFlag.NO_SOURCES


def test_one_star_is_a_model_and_has_its_true_flux(lists_of):
    psf, found, rows, failed = lists_of(sky(STARS[1]))

    assert failed == ""
    assert (psf.n_stars, psf.degree, found.n_sources) == (1, 0, 1)
    assert psf.quality_flags == QualityFlag.FEW_INPUTS
    assert psf.remark == "only 1 stars tell it"
    assert psf.fwhm == pytest.approx(2.3548 * 2, rel=0.02)
    # the model is found from the same pixels: its flux is within the noise of five FWHM
    assert pytest.approx(STARS[1][2], rel=0.02) == rows[0].FLUX_PSF
    assert pytest.approx(STARS[1][0], abs=0.05) == rows[0].XPSF_IMAGE


def test_of_saturated_stars_only_there_is_a_list_that_says_so_and_no_model(lists_of):
    image = sky(*((x, y, 100 * flux) for x, y, flux in STARS))
    full = image > 5000
    image[full] = 5000
    psf, found, rows, failed = lists_of(
        image, np.where(full, np.float32(0), WEIGHT), np.where(full, np.uint8(PixelFlag.SATURATED), FLAGS)
    )

    assert failed == ""
    assert psf.filename is None
    assert "no unsaturated single star" in psf.remark
    assert "without PSF photometry" in found.remark
    brightest = [row for row in rows if row.ISOAREA_IMAGE > 100]
    assert len(brightest) == len(STARS)
    assert all(row.FLAGS & 4 for row in brightest)
    assert all(row.FLUX_PSF is None for row in rows)


def test_nan_and_infinities_are_left_out(lists_of):
    _, found, rows, failed = lists_of(with_holes(sky(*STARS)))

    assert failed == ""
    assert found.n_sources == len(STARS)
    for row, (x, y, flux) in zip(rows, sorted(STARS, key=lambda star: star[2]), strict=True):
        assert pytest.approx((x, y), abs=0.15) == (row.XWIN_IMAGE, row.YWIN_IMAGE)
        # 3 % of the pixels are replaced by their mirror images
        assert pytest.approx(flux, rel=0.1) == row.FLUX_AUTO
        assert np.isfinite(row.FLUXERR_AUTO)
