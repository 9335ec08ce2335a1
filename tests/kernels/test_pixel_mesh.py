import numpy as np
import pytest

from awe.kernels.pixel_mesh import TOLERANCE, overlap_region, pixel_mesh
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tan

SHAPE = (460, 300)


def distorted(wcs, strength=0.05):
    terms = {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_2": 0.0, "PV1_4": 1e-3, "PV1_7": strength, "PV1_9": strength}
    terms |= {"PV2_0": 0.0, "PV2_1": 1.0, "PV2_2": 0.0, "PV2_7": strength, "PV2_9": strength}
    return Wcs.from_header({**wcs.cards, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **terms})


SOURCES = {
    "shifted": tan(150.01, 2.01, 0.5, 300, 460),
    "turned": tan(150.01, 2.01, 0.45, 300, 460, rotation=33),
    "distorted": distorted(tan(150.01, 2.01, 0.5, 300, 460, rotation=1)),
    "wide and distorted": distorted(tan(150.0, 2.0, 20.0, 300, 460, rotation=1), 0.05),
    "SIP": Wcs.from_header(
        {
            **tan(150, 2, 0.5, 300, 460).cards,
            "CTYPE1": "RA---TAN-SIP",
            "CTYPE2": "DEC--TAN-SIP",
            "A_ORDER": 2,
            "B_ORDER": 2,
        }
        | {"A_2_0": 1e-6, "A_1_1": 2e-6, "A_0_2": 1e-6, "B_2_0": 1e-6, "B_1_1": 1e-6, "B_0_2": 1e-6}
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_interpolated_positions_are_exact_within_the_tolerance(name):
    source = SOURCES[name]
    target = tan(150, 2, source.scale, 700, 700)
    region = overlap_region(source, SHAPE, target, (700, 700))

    mesh = pixel_mesh(source, target, region)

    y, x = (grid.ravel() for grid in np.mgrid[region.slices])
    exact = source.to_pixel(*target.to_sky(x, y))
    error = max(np.abs(a - b).max() for a, b in zip(mesh.positions(x, y), exact, strict=True))
    assert error <= TOLERANCE
    assert mesh.error <= TOLERANCE


def test_the_step_is_halved_until_the_tolerance_holds():
    source, target = SOURCES["wide and distorted"], tan(150, 2, 20.0, 700, 700)
    region = overlap_region(source, SHAPE, target, (700, 700))

    steps = [pixel_mesh(source, target, region, tolerance=tolerance).step for tolerance in (1.0, 1e-3, 1e-4)]

    assert steps[0] == 32
    assert steps[0] > steps[1] > steps[2]


@pytest.mark.parametrize("coarser", [0.2, 1.0, 5.0])
def test_the_tolerance_is_one_in_pixels_of_the_output(coarser):
    source, tolerance = SOURCES["wide and distorted"], 0.02
    side = int(700 / coarser)
    target = tan(150, 2, 20.0 * coarser, side, side)
    region = overlap_region(source, SHAPE, target, (side, side))

    mesh = pixel_mesh(source, target, region, tolerance=tolerance)
    coarse = pixel_mesh(source, target, region, step=2 * mesh.step, tolerance=1.0)

    # what is found halfway between nodes is the largest error there is, or that of a node beyond the region
    assert 0.95 < mesh.error / (_error(source, target, mesh) / coarser) < 1.25
    assert mesh.error <= tolerance < coarse.error


def _error(source, target, mesh):
    """Return the largest error of the positions on a mesh, in pixels of the input."""
    y, x = (grid.ravel() for grid in np.mgrid[mesh.region.slices])
    exact = source.to_pixel(*target.to_sky(x, y))
    return max(np.abs(a - b).max() for a, b in zip(mesh.positions(x, y), exact, strict=True))


def test_a_tolerance_that_no_mesh_meets_makes_every_pixel_exact():
    source, target = SOURCES["wide and distorted"], tan(150, 2, 20.0, 700, 700)

    mesh = pixel_mesh(source, target, Section(200, 300, 300, 400), tolerance=1e-9)

    assert (mesh.step, mesh.error) == (1, 0.0)


@pytest.mark.parametrize("step", [0, 24])
def test_a_step_that_can_not_be_halved_is_refused(step):
    with pytest.raises(ValueError, match=f"power of 2, not {step}"):
        pixel_mesh(SOURCES["shifted"], SOURCES["turned"], Section(0, 10, 0, 10), step=step)


@pytest.mark.parametrize("name", SOURCES)
def test_the_area_is_the_jacobian(name):
    source = SOURCES[name]
    target = tan(150, 2, source.scale * 1.3, 500, 500)
    region = overlap_region(source, SHAPE, target, (500, 500))
    mesh = pixel_mesh(source, target, region)
    y, x = np.mgrid[: mesh.x.shape[0], : mesh.x.shape[1]] * float(mesh.step)
    y, x = y + region.y0, x + region.x0

    east, west, north, south = (
        np.array(source.to_pixel(*target.to_sky(x + dx, y + dy)))
        for dx, dy in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
    )
    (xx, yx), (xy, yy) = east - west, north - south

    assert mesh.area == pytest.approx(np.abs(xx * yy - xy * yx), rel=1e-4)


def test_the_region_holds_every_pixel_of_the_image_and_little_more():
    source, target = SOURCES["turned"], tan(150, 2, 0.5, 2000, 2000)
    region = overlap_region(source, SHAPE, target, (2000, 2000))

    y, x = (grid.ravel() for grid in np.mgrid[: SHAPE[0], : SHAPE[1]])
    x, y = target.to_pixel(*source.to_sky(x, y))

    # centres of the outermost pixels, and half a pixel of theirs around
    assert region.x0 - 1 < x.min() < region.x0 + 1
    assert region.x1 - 2 < x.max() < region.x1
    assert region.y0 - 1 < y.min() < region.y0 + 1
    assert region.y1 - 2 < y.max() < region.y1


def test_the_region_is_cut_to_the_grid():
    assert overlap_region(SOURCES["turned"], SHAPE, tan(150, 2, 0.5, 60, 50), (50, 60)) == Section(0, 60, 0, 50)


@pytest.mark.parametrize("ra", [150.2, 240.0, 330.0])
def test_images_elsewhere_have_no_region(ra):
    assert overlap_region(tan(ra, 2, 0.5, 300, 460), SHAPE, tan(150, 2, 0.5, 300, 300), (300, 300)) is None
