import numpy as np
import pytest
import sep
from scipy.interpolate import CubicSpline
from scipy.ndimage import binary_dilation, maximum_filter, uniform_filter

from awe.kernels.background import background_map
from awe.kernels.mesh import cell_edges, fill_and_filter, spread_mesh
from awe.kernels.source_mask import mask_of_sources

NOISE = 20.0


def sky(shape=(1024, 1024)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 1000 + 60 * np.sin(x / 900) + 40 * (y / 1024) ** 2


def stars(generator, shape, count):
    """Gaussian stars of 50 to 100,000 adu with a halo that holds a tenth of their light."""
    light = np.zeros(shape)
    offsets = np.arange(-25, 26)
    for _ in range(count):
        x, y = generator.integers(25, shape[1] - 26), generator.integers(25, shape[0] - 26)
        radius2 = offsets**2 + offsets[:, np.newaxis] ** 2
        flux = 50 * 2000 ** (generator.random() ** 2)
        profile = 0.9 * np.exp(-radius2 / 4.5) / (4.5 * np.pi) + 0.1 * np.exp(-radius2 / 98) / (98 * np.pi)
        light[y - 25 : y + 26, x - 25 : x + 26] += flux * profile
    return light


def crowded(seed=1, count=400):
    generator = np.random.default_rng(seed)
    truth = sky()
    image = truth + stars(generator, truth.shape, count) + generator.normal(0, NOISE, truth.shape)
    return image.astype(np.float32), truth


@pytest.mark.parametrize("cell", [64, 128])
def test_background_among_stars_agrees_with_truth_and_with_sep(cell):
    image, truth = crowded()
    found = background_map(image, cell=cell)
    # The mode of a cell is about twice as noisy as its mean; stars add a positive bias of a few hundredths of sigma.
    assert (found.level - truth).std() < 3 * NOISE / cell
    assert (found.level - truth).mean() == pytest.approx(0, abs=0.03 * NOISE)
    assert found.rms.mean() == pytest.approx(NOISE, rel=0.03)
    reference = sep.Background(image, bw=cell, bh=cell)
    assert np.abs(found.level - reference.back()).max() < 0.05 * NOISE
    assert np.abs(found.rms / reference.rms() - 1).max() < 0.05


def test_second_pass_takes_out_part_of_the_bias_of_stars():
    image, truth = crowded(count=1500)
    once = (background_map(image, cell=64).level - truth).mean()
    twice = (background_map(image, cell=64, mask_sources=5.0).level - truth).mean()
    assert once > 0
    assert abs(twice) < 0.75 * once


def test_second_pass_survives_thousands_of_hot_pixels():
    generator = np.random.default_rng(2)
    image = generator.normal(500, NOISE, (512, 512)).astype(np.float32)
    image.flat[generator.choice(image.size, 3000, replace=False)] += 1000

    found = background_map(image, cell=64, mask_sources=5.0)

    # of each cell some 1800 pixels are left: 2.5 median - 1.5 mean of them is known to 1.6, a corner of the mesh (the
    # median of 4 cells) to 0.9
    assert found.mesh == pytest.approx(500, abs=4 * 0.9)
    assert found.level.mean() == pytest.approx(500, abs=0.6)


def test_constant_image_has_its_level_and_no_noise():
    found = background_map(np.full((300, 200), 123.25, np.float32))
    assert found.level == pytest.approx(123.25)
    assert np.array_equal(found.rms, np.zeros((300, 200), np.float32))
    assert found.level.dtype == found.rms.dtype == np.float32


def test_inclined_plane_is_followed_to_the_borders():
    y, x = np.mgrid[:640, :640]
    plane = 100 + 0.05 * x + 0.02 * y
    image = plane + np.random.default_rng(2).normal(0, 1, plane.shape)
    error = background_map(image, cell=64).level - plane
    assert np.abs(error[:32]).max() < 0.5
    assert np.abs(error[:, -32:]).max() < 0.5


def test_masked_blank_and_weightless_pixels_do_not_count():
    image = np.random.default_rng(3).normal(50, 2, (256, 256)).astype(np.float32)
    mask, weight = np.zeros(image.shape, bool), np.ones(image.shape, np.float32)
    image[:100, :100], mask[:100, :100] = 5000, True
    image[200:, 200:], weight[200:, 200:] = -5000, 0
    image[:, 150] = np.nan
    found = background_map(image, mask, weight, cell=64)
    assert np.abs(found.level - 50).max() < 0.5
    assert found.rms.mean() == pytest.approx(2, rel=0.03)


def test_brightest_star_does_not_hide_the_sky_of_its_cell():
    image = np.random.default_rng(4).normal(300, 5, (128, 128)).astype(np.float32)
    image[60:75, 60:75] = 60_000
    found = background_map(image, cell=128, filter_size=1)
    assert found.level.mean() == pytest.approx(300, abs=0.5)
    assert found.rms.mean() == pytest.approx(5, rel=0.05)


def test_whole_numbers_with_little_noise_have_the_level_of_their_mean():
    image = np.rint(np.random.default_rng(5).normal(7.3, 0.9, (256, 256)))
    assert background_map(image).level.mean() == pytest.approx(7.3, abs=0.15)


def test_image_smaller_than_a_cell_has_one_cell():
    found = background_map(np.random.default_rng(6).normal(10, 1, (41, 30)))
    assert found.mesh.shape == (1, 1)
    assert found.level.shape == (41, 30)
    assert found.level.mean() == pytest.approx(10, abs=0.3)


def test_image_without_good_pixels_is_refused():
    with pytest.raises(ValueError, match="enough good pixels"):
        background_map(np.full((100, 100), np.nan))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": 1}, "cell"),
        ({"filter_size": 2}, "filter_size"),
        ({"mask": np.zeros((3, 3), bool)}, "mask has shape"),
        ({"mask_sources": 0.0}, "mask_sources"),
        ({"cell": 16, "every": 5}, "every"),
        ({"every": 0}, "every"),
    ],
)
def test_mistaken_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        background_map(np.ones((64, 64)), **arguments)


def test_spread_mesh_is_the_natural_spline_continued_by_straight_lines():
    mesh = np.random.default_rng(7).normal(size=(7, 9))
    x, y = (np.arange(270) + 0.5) / 30 - 0.5, (np.arange(210) + 0.5) / 30 - 0.5
    rows = CubicSpline(np.arange(7), mesh, bc_type="natural")(y)
    truth = CubicSpline(np.arange(9), rows, axis=1, bc_type="natural")(x)
    found = spread_mesh(mesh, (210, 270))
    assert found[15:-15, 15:-15] == pytest.approx(truth[15:-15, 15:-15], abs=2e-6)
    assert np.abs(np.diff(found[100, :15], n=2)).max() < 1e-5
    inside = spread_mesh(mesh, (210, 270), overshoot=False)
    assert inside.min() >= np.float32(mesh.min())
    assert inside.max() <= np.float32(mesh.max())


def test_empty_cells_take_the_nearest_value():
    mesh = np.array([[1.0, np.nan, np.nan], [2.0, np.nan, 7.0]])
    assert fill_and_filter(mesh, 1).tolist() == [[1, 1, 7], [2, 2, 7]]


def test_filter_leaves_a_plane_and_removes_one_outlying_cell():
    plane = np.add.outer(np.arange(6.0), 10 * np.arange(5.0))
    assert np.array_equal(fill_and_filter(plane, 3), plane)
    spoiled = plane.copy()
    spoiled[3, 2] += 1000
    assert np.abs(fill_and_filter(spoiled, 3) - plane).max() <= 10


def test_cells_are_equal_and_tile_the_axis():
    edges = cell_edges(1030, 128)
    assert (edges[0], edges[-1]) == (0, 1030)
    assert set(np.diff(edges).tolist()) <= {128, 129}


def test_threads_change_nothing():
    image = np.random.default_rng(7).normal(100, 5, (300, 210)).astype(np.float32)
    one, three = (background_map(image, cell=32, mask_sources=5.0, threads=threads) for threads in (1, 3))

    np.testing.assert_array_equal(one.level, three.level)
    np.testing.assert_array_equal(one.rms, three.rms)


@pytest.mark.parametrize("sources", [0, 1, 2000])
def test_pixels_near_peaks_of_the_mean_of_nine_are_masked(sources):
    rng = np.random.default_rng(sources)
    image = rng.normal(0, 1, (140, 170)).astype(np.float32)
    image[rng.integers(0, 140, sources), rng.integers(0, 170, sources)] += 40
    image[3, 4] = np.nan
    found = background_map(image, cell=32)
    mean = uniform_filter(np.nan_to_num(image - found.level), 3)
    peaks = mean > 5 * found.rms / 3
    expected = maximum_filter(peaks, 17)
    if expected.mean() >= 0.5:
        expected = binary_dilation(peaks, iterations=3)
    np.testing.assert_array_equal(mask_of_sources(image, found.mesh, found.mesh_rms, 5.0), expected)


@pytest.mark.parametrize("every", [3, 5])
def test_a_sample_of_the_rows_tells_level_and_rms_within_its_error(every):
    cells, cell = 24, 64
    image = np.random.default_rng(every).normal(500, NOISE, (cells * cell, cells * cell)).astype(np.float32)
    full, part = (background_map(image, cell=cell, filter_size=1, every=n) for n in (1, every))
    # of n normal values, 2.5 median - 1.5 mean has the variance (6.25 pi / 2 + 2.25 - 7.5) / n, and sigma 1 / 2n; what
    # a sample differs by from the whole is the difference of the two variances
    fewer = cell * -(-cell // every)
    share = 1 / fewer - 1 / cell**2
    expected = NOISE * np.sqrt(4.567 * share), NOISE * np.sqrt(share / 2)
    found = (part.mesh - full.mesh).std(), (part.mesh_rms - full.mesh_rms).std()

    # clipping at 3 sigma, and the histogram, make both somewhat noisier; 576 cells tell a width to 3 per cent
    assert found[0] == pytest.approx(expected[0], rel=0.15)
    assert found[1] == pytest.approx(expected[1], rel=0.25)
    assert abs((part.mesh - full.mesh).mean()) < 4 * found[0] / cells
    assert abs((part.mesh_rms - full.mesh_rms).mean()) < 4 * found[1] / cells


def test_a_sample_among_stars_is_near_the_whole():
    image, _ = crowded(count=800)
    full, part = (background_map(image, cell=64, every=n) for n in (1, 5))

    # the median of 9 cells is 0.41 times as noisy as a cell, here 0.075 rms; stars add to it
    assert (part.level - full.level).std() < 2 * 0.41 * 0.075 * NOISE
    assert abs((part.level - full.level).mean()) < 0.01 * NOISE
    assert part.rms.mean() == pytest.approx(full.rms.mean(), rel=0.01)


def test_sources_are_masked_by_a_first_background_of_fewer_rows():
    image, truth = crowded(count=1500)
    found = background_map(image, cell=64, mask_sources=5.0)
    first = background_map(image, cell=64)
    mask = mask_of_sources(image, first.mesh, first.mesh_rms, 5.0)
    thorough = background_map(image, mask, cell=64)

    assert (found.level - thorough.level).std() < 0.01 * NOISE
    assert (found.level - truth).mean() == pytest.approx((thorough.level - truth).mean(), abs=0.01 * NOISE)
