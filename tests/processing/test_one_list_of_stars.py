"""Stars of a frame are detected once: photometry measures those of the astrometry, as a detection would."""

import numpy as np
import pytest

from awe.kernels.detection import detect
from awe.model import AstrometricParameters, PhotometricParameters
from awe.processing.photometry import CORE, measured_stars
from awe.processing.products import Products


@pytest.fixture
def products(made, tmp_path):
    return Products(made.store, tmp_path, "default", lambda *_: {})


def test_photometry_lists_the_stars_of_the_astrometry(made, products):
    for photometry in made.all(PhotometricParameters):
        with made.session() as session:
            astrometry = session.get(AstrometricParameters, photometry.astrometry_id)
        stars, measured = products.table(astrometry, "STARS"), products.table(photometry)

        assert len(stars) > 20
        assert all(np.array_equal(stars[name], measured[name]) for name in ("x", "y", "ra", "dec"))


def test_fluxes_are_those_of_a_detection_on_the_frame(made, products):
    with made.session() as session:
        photometry = session.get(PhotometricParameters, made.all(PhotometricParameters)[0].object_id)
        found = measured_stars(photometry, products, photometry.parameters.aperture)
        reduced, scale = photometry.reduced, photometry.astrometry.pixel_scale
        diameters = 2 * CORE * photometry.astrometry.seeing / scale, 2 * found.aperture / scale
        rows = detect(
            products.plane(reduced, "IMAGE"),
            products.plane(photometry.weight, "WEIGHT"),
            products.plane(photometry.weight, "FLAGS"),
            background=products.sky(photometry.background).rows(),
            threshold=photometry.astrometry.parameters.detect_thresh,
            gain=reduced.gain,
            apertures=diameters,
        )
        exptime = reduced.exptime
    growth = exptime * found.rows["rate"] / rows["FLUX_APER"][:, 0]

    # one factor for all: what the aperture holds beyond the core
    assert growth == pytest.approx(np.full(len(rows), np.median(growth)), rel=1e-5)
    assert 1 < np.median(growth) < 2
    assert found.rows["rate_error"] * exptime == pytest.approx(np.median(growth) * rows["FLUXERR_APER"][:, 0], rel=1e-5)
