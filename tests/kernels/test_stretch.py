import numpy as np
import pytest
from astropy.visualization import ZScaleInterval

from awe.kernels.stretch import Cuts, Stretch, apply_stretch, cuts, minmax_cuts, percentile_cuts, zscale


def sky_with_stars(shape=(90, 100), seed=1):
    rng = np.random.default_rng(seed)
    image = rng.normal(1000, 10, shape)
    image.ravel()[:: shape[1] * 3 + 7] += 5000
    return image.astype(np.float32)


def test_zscale_agrees_with_the_other_implementation_on_the_same_sample():
    image = sky_with_stars()

    expected = ZScaleInterval(n_samples=image.size, max_iterations=5).get_limits(image)

    assert zscale(image) == pytest.approx(expected, rel=1e-4)


def test_zscale_of_a_large_image_is_that_of_its_sky():
    low, high = zscale(sky_with_stars((1500, 1000)))

    # of a Gaussian, the fitted line of ranks spans about +-1.7 sigma within the rejection, and the contrast is 4
    assert low == pytest.approx(1000 - 4 * 17, abs=35)
    assert high == pytest.approx(1000 + 4 * 17, abs=35)


def test_the_sample_does_not_fall_on_one_column():
    image = np.zeros((2000, 2000), np.float32)
    image[:, 0] = 1e6

    assert percentile_cuts(image, 99, samples=10_000)[1] < 1e6


def test_percentile_cuts_hold_the_central_part():
    assert percentile_cuts(np.arange(101.0).reshape(1, 101), 90) == pytest.approx((5, 95))


def test_minmax_cuts_leave_out_what_is_not_finite():
    assert minmax_cuts(np.array([[np.nan, 3.0], [np.inf, -2.0]])) == (-2.0, 3.0)


@pytest.mark.parametrize("kind", Cuts)
@pytest.mark.parametrize(
    "image", [np.full((5, 5), 7.0), np.full((5, 5), np.nan), np.zeros((0, 4)), np.array([[1.0]]), np.full((9, 9), 1e9)]
)
def test_cuts_of_any_image_are_a_range_that_can_be_shown(kind, image):
    low, high = cuts(image.astype(np.float32), kind)

    assert low < high
    assert apply_stretch(image, low, high).shape == image.shape


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Stretch.LINEAR, lambda t: t),
        (Stretch.SQRT, np.sqrt),
        (Stretch.LOG, lambda t: np.log(1 + 1000 * t) / np.log(1001)),
        (Stretch.ASINH, lambda t: np.arcsinh(t / 0.05) / np.arcsinh(20)),
    ],
)
def test_each_stretch_follows_its_formula_to_one_level(kind, expected):
    t = np.linspace(0, 1, 5001)

    gray = apply_stretch((100 + 50 * t)[None, :], 100, 150, kind)[0]

    assert np.abs(gray - 255 * expected(t)).max() <= 1.0
    assert (gray[0], gray[-1]) == (0, 255)


def test_values_beyond_the_cuts_are_held_and_nan_is_black():
    gray = apply_stretch(np.array([[-np.inf, -5.0, 0.5, 99.0, np.inf, np.nan]]), 0, 1)

    assert gray.tolist() == [[0, 0, 128, 255, 255, 0]]


def test_inverted_is_the_complement():
    image = sky_with_stars()

    assert np.array_equal(apply_stretch(image, 900, 1100, invert=True), 255 - apply_stretch(image, 900, 1100))


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (np.nan, 1), (0, np.inf)])
def test_cuts_that_are_no_range_are_refused(low, high):
    with pytest.raises(ValueError, match="cuts must be two finite values in rising order"):
        apply_stretch(np.zeros((2, 2)), low, high)


def test_a_percentile_beyond_100_is_refused():
    with pytest.raises(ValueError, match="not 101"):
        percentile_cuts(np.zeros((2, 2)), 101)
