"""The area of pixels after a flat of the sky: corrected once, not twice (docs/decisions/0006-fixed-pixel-area.md)."""

from dataclasses import replace

import numpy as np
import pytest

from awe.kernels.pixel_mesh import overlap_region, pixel_mesh
from awe.kernels.resample import resample
from awe.kernels.wcs import Wcs
from awe.simulation import NightPlan
from awe.simulation.camera import make_chip
from awe.simulation.projection import nominal_projection
from awe.simulation.rendering import Kind, Sources, moffat_psf, render

PLAN = NightPlan(chip_shape=(400, 300), chips=1, filters=("r",), distortion=0.02)
FLUX, RADIUS = 1e5, 14
X, Y = (axis.ravel().astype(float) for axis in np.meshgrid(np.linspace(30, 270, 5), np.linspace(30, 370, 6)))


@pytest.fixture(scope="module")
def chip():
    return make_chip(PLAN, 0)


@pytest.fixture(scope="module")
def reduced(chip):
    """Equal stars as the chip sees them, without noise, after division by the flat of an even sky."""
    sources = Sources(X, Y, np.full(X.size, FLUX), np.full(X.size, Kind.STAR, np.uint8), np.zeros((X.size, 2, 2)))
    sensitive = chip.flat["r"] > 0
    stars = render(PLAN.chip_shape, sources, moffat_psf(3.6)) * chip.throughput["r"]
    return np.divide(stars, chip.flat["r"], where=sensitive, out=np.zeros(PLAN.chip_shape, np.float32))


def fluxes(chip, reduced, fixed):
    """Return the fluxes of the stars on an undistorted grid, by one area ratio or the local one."""
    source = Wcs.from_header(chip.projection.pointed(PLAN.ra, PLAN.dec).cards())
    target = Wcs.from_header(nominal_projection(PLAN, 0).pointed(PLAN.ra, PLAN.dec).cards())
    shape = tuple(length + 40 for length in PLAN.chip_shape)
    target = target.shifted(20, 20)
    mesh = pixel_mesh(source, target, overlap_region(source, reduced.shape, target, shape))
    if fixed:
        mesh = replace(mesh, area=np.full_like(mesh.area, np.nanmedian(mesh.area)))
    found = resample(reduced, np.ones_like(reduced), None, mesh)
    x, y = target.to_pixel(*source.to_sky(X, Y))
    v, u = np.mgrid[found.region.slices]
    return np.array([found.image[np.hypot(u - a, v - b) < RADIUS].sum() for a, b in zip(x, y, strict=True)])


def test_one_area_ratio_for_a_frame_gives_equal_stars_equal_fluxes(chip, reduced):
    found = fluxes(chip, reduced, fixed=True)

    assert found / np.median(found) == pytest.approx(1, abs=1e-3)


def test_the_local_ratio_after_a_flat_of_the_sky_applies_the_area_twice(chip, reduced):
    found = fluxes(chip, reduced, fixed=False)
    area = chip.projection.pixel_area(PLAN.chip_shape)[Y.astype(int), X.astype(int)]

    assert np.ptp(area) > 0.03
    # an output pixel is worth fewer of the larger pixels
    assert found * area / np.median(found * area) == pytest.approx(1, abs=2e-3)
