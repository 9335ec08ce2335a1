import numpy as np
import pytest

from awe.kernels.coadd import coadd
from awe.kernels.correlated_noise import noise_scale
from awe.kernels.flags import PixelFlag
from awe.kernels.mesh import spread_mesh
from awe.kernels.pixel_mesh import overlap_region, pixel_mesh
from awe.kernels.resample import InMemory, Kernel, Regridder, oversampling_for, resample
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tan

NX, NY = 160, 140
GRID = tan(150, 2, 0.5, NX, NY)
LANCZOS = [Kernel.LANCZOS2, Kernel.LANCZOS3, Kernel.LANCZOS4]


def distorted(wcs, strength=40.0):
    terms = {"PV1_1": 1.0, "PV1_4": 0.01, "PV1_7": strength, "PV1_9": strength}
    terms |= {"PV2_1": 1.0, "PV2_7": strength, "PV2_9": strength}
    return Wcs.from_header({**wcs.cards, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **terms})


def star(x, y, flux=1000.0, sigma=1.8, shape=(NY, NX)):
    v, u = np.mgrid[: shape[0], : shape[1]]
    return flux / (2 * np.pi * sigma**2) * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2))


def flux_and_centroid(image, region, x, y, radius=16):
    v, u = np.mgrid[region.slices]
    near = np.where(np.hypot(u - x, v - y) < radius, image, 0)
    return np.array([near.sum(), (near * u).sum() / near.sum(), (near * v).sum() / near.sum()])


def regridded(
    image, source, target=GRID, grid_shape=(NY, NX), weight=None, flags=None, kernel=Kernel.LANCZOS3, scale=1.0
):
    region = overlap_region(source, image.shape, target, grid_shape)
    weight = np.ones(image.shape, np.float32) if weight is None else weight
    return resample(image.astype(np.float32), weight, flags, pixel_mesh(source, target, region), kernel, scale)


@pytest.mark.parametrize("kernel", Kernel)
def test_the_same_grid_gives_the_same_image_to_the_edges(kernel):
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (NY, NX)).astype(np.float32)
    weight = rng.uniform(0.5, 2, (NY, NX)).astype(np.float32)
    flags = rng.integers(0, 256, (NY, NX)).astype(np.uint8)

    found = regridded(image, GRID, weight=weight, flags=flags, kernel=kernel)

    assert found.region == Section(0, NX, 0, NY)
    assert found.image == pytest.approx(image, rel=1e-6)
    assert found.weight == pytest.approx(weight, rel=1e-6)
    assert np.array_equal(found.flags, flags)


@pytest.mark.parametrize("nx", [1, 2, 31, 32, 33, 64, 65])
def test_grids_of_any_width_are_covered_to_the_last_pixel(nx):
    grid = tan(150, 2, 0.5, nx, nx)
    image = np.random.default_rng(nx).normal(100, 20, (nx, nx)).astype(np.float32)

    found = regridded(image, grid, target=grid, grid_shape=(nx, nx))

    assert found.image == pytest.approx(image, rel=1e-6)
    assert found.weight == pytest.approx(np.ones_like(image), rel=1e-6)


@pytest.mark.parametrize("kernel", Kernel)
def test_a_whole_pixel_shift_moves_pixels(kernel):
    image = np.random.default_rng(0).normal(100, 20, (NY, NX)).astype(np.float32)

    found = regridded(image, GRID.shifted(-5, 7), kernel=kernel)

    assert found.region == Section(5, NX, 0, NY - 7)
    assert found.image == pytest.approx(image[7:, : NX - 5], rel=1e-6)


@pytest.mark.parametrize("kernel", LANCZOS[1:])
@pytest.mark.parametrize(("dx", "dy"), [(0.3, -0.45), (0.5, 0.5), (-0.11, 0.02)])
def test_a_fraction_of_a_pixel_moves_a_star_by_it_and_keeps_its_flux(kernel, dx, dy):
    found = regridded(star(80, 70), GRID.shifted(dx, dy), kernel=kernel)

    measured = flux_and_centroid(found.image.astype(float), found.region, 80 - dx, 70 - dy)

    assert measured[0] == pytest.approx(1000, rel=1e-4)
    assert measured[1:] == pytest.approx([80 - dx, 70 - dy], abs=2e-4)


def test_the_phase_of_the_kernel_is_fine_enough_for_the_centroid():
    shifts = np.linspace(-0.5, 0.5, 11)

    found = [regridded(star(80, 70), GRID.shifted(shift, 0)) for shift in shifts]

    error = [
        flux_and_centroid(each.image.astype(float), each.region, 80, 70)[1] - (80 - shift)
        for each, shift in zip(found, shifts, strict=True)
    ]
    assert np.abs(error).max() < 1e-4


@pytest.mark.parametrize(
    "source",
    [tan(150, 2, 0.5, NX, NY, rotation=r) for r in (5, 90, 180, 213)]
    + [tan(150.0, 2, 0.45, NX, NY), tan(150.001, 2, 0.55, NX, NY, rotation=17), distorted(GRID)],
    ids=["5", "90", "180", "213", "smaller", "larger", "TPV"],
)
@pytest.mark.parametrize("direction", ["in", "out"])
def test_stars_keep_flux_and_place_on_turned_scaled_and_distorted_grids(source, direction):
    target = GRID
    if direction == "out":
        source, target = target, source
    for x, y in ((80, 70), (55.3, 50.6), (98.1, 95.8)):
        found = regridded(star(x, y), source, target)
        there = [float(axis) for axis in target.to_pixel(*source.to_sky(x, y))]

        measured = flux_and_centroid(found.image.astype(float), found.region, *there)

        # what is left of moment 4 grows with the 4th power of the beat of the two grids: here 0.1 per pixel if scaled
        slack = 1 if source.scale == pytest.approx(target.scale, rel=0.01) else 5
        assert measured[0] == pytest.approx(1000, rel=slack * 6e-4)
        assert measured[1:] == pytest.approx(there, abs=slack * 1e-3)


@pytest.mark.parametrize("kernel", Kernel)
def test_a_constant_surface_becomes_the_area_of_the_pixels(kernel):
    source = distorted(tan(150, 2, 0.4, NX, NY, rotation=10))
    found = regridded(np.full((NY, NX), 100.0), source, kernel=kernel)
    y, x = np.mgrid[found.region.slices]
    inside = found.weight > 0

    # solid angles of output and input pixels at the same place
    ratio = GRID.pixel_area(x, y) / source.pixel_area(*source.to_pixel(*GRID.to_sky(x, y)))

    assert inside.mean() > 0.4
    assert found.image[inside] == pytest.approx(100 * ratio[inside], rel=2e-5)


def test_scaled_values_have_scaled_variances():
    image = np.random.default_rng(0).normal(100, 20, (NY, NX))

    plain, scaled = (regridded(image, GRID.shifted(0.3, 0.3), scale=scale) for scale in (1.0, 2.5))

    assert scaled.image == pytest.approx(2.5 * plain.image, rel=1e-6)
    assert scaled.weight == pytest.approx(plain.weight / 2.5**2, rel=1e-6)


@pytest.mark.parametrize("kernel", Kernel)
def test_the_weight_is_the_inverse_variance_of_each_pixel(kernel):
    rng = np.random.default_rng(4)
    sigma = 1 + np.arange(60) / 20 + np.zeros((60, 1))
    source = tan(150, 2, 0.45, 60, 60, rotation=12)
    trials, region = 600, Section(55, 105, 45, 95)
    mesh = pixel_mesh(source, GRID, region)

    weight = (sigma**-2).astype(np.float32)
    made = [resample(rng.normal(0, sigma).astype(np.float32), weight, None, mesh, kernel) for _ in range(trials)]

    good = made[0].weight > 0
    pull = np.array([(each.image * np.sqrt(each.weight))[good] for each in made])
    # variance of each pixel over the trials: relative error sqrt(2 / trials); of the mean much smaller
    assert good.sum() > 500
    assert pull.var(axis=0).mean() == pytest.approx(1, abs=0.01)
    assert pull.var(axis=0).max() < 1 + 6 * np.sqrt(2 / trials)


@pytest.mark.parametrize("kernel", Kernel)
@pytest.mark.parametrize("scale", [0.42, 0.5, 0.65])
def test_the_noise_scale_is_that_of_large_apertures(kernel, scale):
    rng = np.random.default_rng(8)
    source = tan(150, 2, scale, 400, 400, rotation=20)
    target = tan(150, 2, 0.5, 260, 260)
    mesh = pixel_mesh(source, target, Section(10, 250, 10, 250))
    weight = np.ones((400, 400), np.float32)
    pulls = []
    for _ in range(40):
        made = resample(rng.normal(0, 1, weight.shape).astype(np.float32), weight, None, mesh, kernel)
        boxes = [plane.reshape(6, 40, 6, 40).sum(axis=(1, 3)) for plane in (made.image, 1 / made.weight)]
        pulls.append(boxes[0] / np.sqrt(boxes[1]))

    # relative error of a sigma from 1440 boxes 2 %; the edge of a box of 40 pixels takes up to 3 % off
    assert noise_scale(mesh, kernel) == pytest.approx(np.std(pulls), rel=0.08)


def test_noise_is_not_correlated_if_pixels_fall_on_pixels():
    assert noise_scale(pixel_mesh(GRID, GRID, Section(0, NX, 0, NY))) == pytest.approx(1)


@pytest.mark.parametrize("kernel", [Kernel.BILINEAR, *LANCZOS])
def test_a_bad_pixel_spoils_only_what_it_matters_to(kernel):
    image, weight, flags = np.full((NY, NX), 100.0), np.ones((NY, NX), np.float32), np.zeros((NY, NX), np.uint8)
    image[70, 80], weight[70, 80], flags[70, 80] = 60000, 0, PixelFlag.COSMIC

    found = regridded(image, GRID.shifted(0.5, 0.5), weight=weight, flags=flags, kernel=kernel)

    spoiled = found.weight == 0
    bad = {Kernel.BILINEAR: 4, Kernel.LANCZOS4: 20}.get(kernel, 12)
    assert spoiled[5:-5, 5:-5].sum() == bad
    assert np.array_equal(found.flags[5:-5, 5:-5] == PixelFlag.COSMIC, spoiled[5:-5, 5:-5])
    # half a pixel away from the bad one are the four that it would have made most of
    assert spoiled[69:71, 79:81].all()
    assert found.image[5:-5, 5:-5] == pytest.approx(np.full((130, 150), 100.0), rel=1e-5)


def test_a_bad_column_under_a_star_leaves_the_rest_of_it_right():
    weight = np.ones((NY, NX), np.float32)
    truth = regridded(star(80.2, 70), GRID.shifted(0.5, 0))
    weight[:, 81] = 0
    spoiled_image = np.where(weight > 0, star(80.2, 70), np.nan)

    found = regridded(spoiled_image, GRID.shifted(0.5, 0), weight=weight)

    good = found.weight > 0
    assert (~good[70, 50:110]).sum() == 4
    # two taps of the kernel at 2.5 pixels have a share of 2.4 per cent, of the error of the mean of neighbours
    assert np.abs(found.image - truth.image)[good].max() < 0.01 * np.nanmax(truth.image)


def test_flags_without_weight_0_are_carried_along():
    flags = np.zeros((NY, NX), np.uint8)
    flags[70, 80], flags[70, 81] = PixelFlag.SATURATED, PixelFlag.HOT

    found = regridded(np.ones((NY, NX)), GRID.shifted(0.5, 0.5), flags=flags)

    assert found.flags[69, 80] == PixelFlag.SATURATED | PixelFlag.HOT
    assert found.weight[5:-5, 5:-5].min() > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_bad(value):
    image, weight = np.ones((NY, NX)), np.ones((NY, NX), np.float32)
    image[20, 20], weight[40, 40] = value, value

    found = regridded(image, GRID, weight=weight)

    assert found.weight[20, 20] == found.weight[40, 40] == 0
    assert np.count_nonzero(found.weight == 0) == 2
    assert np.isfinite(found.image).all()


def test_an_image_without_a_good_pixel_has_no_weight():
    found = regridded(np.full((NY, NX), np.nan), GRID.shifted(0.3, 0.2))

    assert not found.weight.any()
    assert np.isfinite(found.image).all()


@pytest.mark.parametrize("kernel", Kernel)
def test_beyond_the_image_there_is_no_data(kernel):
    small = np.ones((20, 30))
    mesh = pixel_mesh(tan(150, 2, 0.5, 30, 20, rotation=30), GRID, Section(0, NX, 0, NY))

    found = resample(small, small, None, mesh, kernel)

    assert found.flags[0, 0] == PixelFlag.NO_DATA
    assert np.array_equal(found.weight == 0, found.flags == PixelFlag.NO_DATA)
    assert np.isnan(found.image[0, 0])
    assert np.isfinite(found.image[found.weight > 0]).all()
    assert 0.6 * small.size < np.count_nonzero(found.weight) <= small.size * 1.1
    assert found.image[found.weight > 0] == pytest.approx(1, rel=1e-3)


def test_the_other_side_of_the_sky_gives_no_data():
    mesh = pixel_mesh(tan(330, -2, 0.5, 30, 20), GRID, Section(0, NX, 0, NY))

    found = resample(np.ones((20, 30)), np.ones((20, 30)), None, mesh)

    assert set(found.flags.ravel()) == {PixelFlag.NO_DATA}
    assert np.isnan(found.image).all()


def test_images_as_small_as_one_pixel_are_resampled():
    one = np.full((1, 1), 5.0)

    found = regridded(one, tan(150, 2, 0.5, 1, 1), target=tan(150, 2, 0.5, 3, 3), grid_shape=(3, 3))

    assert found.image[found.weight > 0] == pytest.approx([5.0])


def test_rows_read_alone_are_those_of_the_whole():
    source = tan(150, 2, 0.5, NX, NY, rotation=5)
    image = np.random.default_rng(0).normal(100, 20, (NY, NX)).astype(np.float32)
    mesh = pixel_mesh(source, GRID, Section(3, 150, 11, 130))
    whole = resample(image, np.ones_like(image), None, mesh)

    part = Section(20, 101, 37, 71)
    rows = Regridder(InMemory(image, np.ones_like(image)), mesh).read(part)

    place = slice(37 - 11, 71 - 11), slice(20 - 3, 101 - 3)
    assert np.array_equal(rows.image, whole.image[place])
    assert np.array_equal(rows.weight / rows.noise, whole.weight[place])
    assert np.array_equal(rows.flags, whole.flags[place])


def test_rows_beyond_the_region_are_refused():
    pixels = InMemory(np.ones((NY, NX)), np.ones((NY, NX)))
    regridder = Regridder(pixels, pixel_mesh(GRID, GRID, Section(0, 10, 5, 10)))

    with pytest.raises(ValueError, match=r"\[1:10,5:6\] is not within the region \[1:10,6:10\]"):
        regridder.read(Section(0, 10, 4, 6))


def test_dithered_exposures_add_up_without_files_between():
    rng = np.random.default_rng(2)
    inputs = []
    for shift in rng.uniform(-10, 10, (6, 2)):
        source = GRID.shifted(*shift)
        region = overlap_region(source, (NY, NX), GRID, (NY, NX))
        image = star(80 + shift[0], 70 + shift[1]) + rng.normal(0, 0.1, (NY, NX))
        mesh = pixel_mesh(source, GRID, region)
        inputs.append(Regridder(InMemory(image.astype(np.float32), np.full((NY, NX), 100, np.float32)), mesh))

    bands = list(coadd(inputs, (NY, NX), threads=2).bands())

    image = np.concatenate([band.image for band in bands]).astype(float)
    measured = flux_and_centroid(image, Section(0, NX, 0, NY), 80, 70)
    noise = 0.1 * np.sqrt(np.pi * 16**2 / 6)
    assert bands[0].count.max() == 6
    assert measured[0] == pytest.approx(1000, abs=4 * noise)
    assert measured[1:] == pytest.approx([80, 70], abs=4 * noise * 8 / 1000)


@pytest.mark.parametrize(
    ("image", "weight", "scale", "message"),
    [
        (np.ones((3, 4)), np.ones((4, 3)), 1.0, "shapes differ"),
        (np.ones(4), np.ones(4), 1.0, "two dimensions"),
        (np.ones((0, 4)), np.ones((0, 4)), 1.0, "some pixels"),
        (np.ones((3, 4)), np.ones((3, 4)), 0.0, "positive number, not 0"),
        (np.ones((3, 4)), np.ones((3, 4)), np.nan, "positive number, not nan"),
    ],
)
def test_wrong_inputs_are_refused(image, weight, scale, message):
    with pytest.raises(ValueError, match=message):
        resample(image, weight, None, pixel_mesh(GRID, GRID, Section(0, 4, 0, 3)), flux_scale=scale)


SYSTEMS = {
    "TAN": {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0},
    "ZEA": {"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA", "CRVAL1": 150.1, "CRVAL2": 2.1},
    "CAR": {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 150.0, "CRVAL2": 0.0},
    "AIT, galactic": {"CTYPE1": "GLON-AIT", "CTYPE2": "GLAT-AIT", "CRVAL1": 236.0, "CRVAL2": 0.0},
    "TAN, ecliptic": {"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN", "CRVAL1": 151.0, "CRVAL2": -9.0},
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_star_lands_where_any_projection_has_it_with_its_flux(name):
    step = 0.5 / 3600
    plain = Wcs.from_header(SYSTEMS[name] | {"CRPIX1": 1, "CRPIX2": 1, "CD1_1": -step, "CD2_2": step})
    x, y = (float(axis) for axis in plain.to_pixel(150.0, 2.0))
    target = plain.shifted(100 - round(x), 90 - round(y))
    there = [float(axis) for axis in target.to_pixel(*GRID.to_sky(80.3, 70.1))]

    found = regridded(star(80.3, 70.1), GRID, target, (220, 220))

    measured = flux_and_centroid(found.image.astype(float), found.region, *there)
    assert measured[0] == pytest.approx(1000, rel=6e-4)
    assert measured[1:] == pytest.approx(there, abs=1e-3)


@pytest.mark.parametrize("ratio", [1.6, 2.0, 3.3])
def test_coarser_pixels_average_over_several_positions(ratio):
    rng = np.random.default_rng(9)
    source, target = tan(150, 2, 0.5, 400, 400, rotation=7), tan(150, 2, 0.5 * ratio, 100, 100)
    mesh = pixel_mesh(source, target, Section(10, 90, 10, 90))
    times = oversampling_for(mesh)
    weight, pulls, boxes = np.ones((400, 400), np.float32), [], []

    # a source of three input pixels sigma keeps its flux
    found = resample(
        star(200, 190, sigma=3, shape=(400, 400)).astype(np.float32), weight, None, mesh, oversampling=times
    )
    assert found.image.sum(dtype=float) == pytest.approx(1000, rel=2e-3)

    for _ in range(60):
        made = resample(rng.normal(0, 1, weight.shape).astype(np.float32), weight, None, mesh, oversampling=times)
        good = made.weight > 0
        pulls.append((made.image * np.sqrt(np.where(good, made.weight, 0)))[good].var())
        sums = [plane[:80, :80].reshape(4, 20, 4, 20).sum(axis=(1, 3)) for plane in (made.image, 1 / made.weight)]
        boxes.append(sums[0] / np.sqrt(sums[1]))
    assert times == round(ratio)
    # 6,400 pixels of which some are correlated, 60 times
    assert np.mean(pulls) == pytest.approx(1, abs=0.01)
    # 960 boxes: 2.3 %, and some per cent for their edges
    assert noise_scale(mesh, oversampling=times) == pytest.approx(np.std(boxes), rel=0.1)


def test_the_noise_of_large_areas_is_told_for_more_positions_than_pixels_ask_for():
    # one frame on another, shifted by half a pixel: four positions in each output pixel
    rng = np.random.default_rng(19)
    wcs = tan(150, 2, 0.5, 200, 200)
    mesh = pixel_mesh(wcs, wcs.shifted(0.5, 0.3), Section(20, 180, 20, 180))
    weight, boxes = np.ones((200, 200), np.float32), []
    for _ in range(60):
        made = resample(rng.normal(0, 1, weight.shape).astype(np.float32), weight, None, mesh, oversampling=2)
        sums = [plane.reshape(4, 40, 4, 40).sum(axis=(1, 3)) for plane in (made.image, 1 / made.weight)]
        boxes.append(sums[0] / np.sqrt(sums[1]))

    # 960 boxes: 2.3 %, and 2 per cent for their edges
    assert noise_scale(mesh, oversampling=2) == pytest.approx(np.std(boxes), rel=0.07)
    assert noise_scale(mesh, oversampling=4) == pytest.approx(noise_scale(mesh, oversampling=32), rel=1e-6)


@pytest.mark.parametrize("kernel", [Kernel.BILINEAR, Kernel.LANCZOS3])
def test_detail_finer_than_coarser_pixels_does_not_come_back_as_a_pattern(kernel):
    # stripes of three input pixels on a grid of pixels three and a half times as large: they can't be seen
    x = np.mgrid[:400, :400][1]
    stripes = np.cos(2 * np.pi * x / 2.9).astype(np.float32)
    source, target = tan(150, 2, 0.5, 400, 400), tan(150, 2, 1.75, 110, 110)
    mesh = pixel_mesh(source, target, Section(10, 100, 10, 100))
    weight = np.ones_like(stripes)

    once, averaged = (
        resample(stripes, weight, None, mesh, kernel, oversampling=times).image / np.median(mesh.area)
        for times in (1, oversampling_for(mesh))
    )

    # the mean of four positions of a wave of 2.9 pixels that lie 0.875 apart: sin(4 a) / (4 sin a), a = 0.3017 pi
    a = np.pi * 0.875 / 2.9
    damping = abs(np.sin(4 * a) / (4 * np.sin(a)))
    assert damping < 0.21
    # a third more, as the kernels themselves damp by the place between pixels
    assert np.std(averaged) < 1.33 * damping * np.std(once)


@pytest.mark.parametrize("background", [np.full((3, 4), 70.0), np.arange(12.0).reshape(3, 4) ** 2])
def test_a_background_is_subtracted_as_if_it_had_been_before(background):
    source = tan(150, 2, 0.5, NX, NY, rotation=5)
    image = np.random.default_rng(0).normal(100, 20, (NY, NX)).astype(np.float32)
    mesh = pixel_mesh(source, GRID, Section(3, 150, 11, 130))
    plain = resample(image - spread_mesh(background, (NY, NX)), np.ones_like(image), None, mesh)

    found = resample(image, np.ones_like(image), None, mesh, background=background)

    assert found.image == pytest.approx(plain.image, abs=1e-4, nan_ok=True)


def test_bytes_in_reverse_order_make_no_difference():
    image, weight = np.random.default_rng(0).normal(100, 20, (2, NY, NX)).astype(np.float32)
    mesh = pixel_mesh(GRID.shifted(0.3, 0.2), GRID, Section(0, NX - 1, 0, NY - 1))
    plain = resample(image, weight, None, mesh)

    for planes in (
        (image.astype(">f4"), weight),
        (image, weight.astype(">f4")),
        (image.astype(">f4"), weight.astype(">f4")),
    ):
        assert np.array_equal(resample(*planes, None, mesh).image, plain.image)


def test_an_image_with_the_pole_on_it_covers_the_pole_of_any_grid():
    source = tan(30, 90, 60.0, 200, 160)
    grids = {
        "CAR": ({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 180.0, "CRVAL2": 0.0}, 360, 180, 1.0),
        "ZEA": ({"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA", "CRVAL1": 0.0, "CRVAL2": 90.0}, 300, 300, 1 / 60),
    }
    for cards, nx, ny, scale in grids.values():
        target = Wcs.from_header(cards | {"CRPIX1": nx / 2, "CRPIX2": ny / 2, "CD1_1": -scale, "CD2_2": scale})
        region = overlap_region(source, (160, 200), target, (ny, nx))
        mesh = pixel_mesh(source, target, region)
        found = resample(np.ones((160, 200), np.float32), np.ones((160, 200), np.float32), None, mesh, Kernel.BILINEAR)

        y, x = np.mgrid[:ny, :nx]
        there = np.array(source.to_pixel(*target.to_sky(x, y)))
        inside = (np.abs(there[0] - 99.5) < 99.4) & (np.abs(there[1] - 79.5) < 79.4)
        covered = np.zeros((ny, nx), bool)
        covered[region.slices] = found.weight > 0
        assert inside.sum() > 300
        assert (covered | ~inside).all()


def test_an_image_across_right_ascension_0_is_whole_on_a_grid_across_it():
    source, target = tan(0.0, 10, 0.5, NX, NY, rotation=3), tan(359.999, 10, 0.5, NX + 40, NY + 40)

    found = regridded(star(80, 70), source, target, (NY + 40, NX + 40))

    there = [float(axis) for axis in target.to_pixel(*source.to_sky(80, 70))]
    assert flux_and_centroid(found.image.astype(float), found.region, *there)[0] == pytest.approx(1000, rel=6e-4)
    assert (found.weight > 0).sum() > 0.95 * NX * NY
