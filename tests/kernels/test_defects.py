import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.combine import combine
from awe.kernels.defects import cold_pixels, hot_pixels, saturated_pixels
from awe.kernels.overscan import overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section


def bias(seed=1, shape=(512, 400)):
    """A combined bias with a gradient and rows brighter at the read-out edge; noise of 2 adu."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    level = 200 + 0.02 * x + 10 * np.exp(-y / 60)
    return (level + np.random.default_rng(seed).normal(0, 2, shape)).astype(np.float32)


def test_structured_noise_has_no_hot_pixel():
    assert hot_pixels(bias()).mean() < 1e-4


def test_hot_and_dead_pixels_and_columns_are_found_and_hardly_anything_else():
    image = bias(2)
    truth = np.zeros(image.shape, bool)
    generator = np.random.default_rng(3)
    truth[generator.integers(0, 512, 200), generator.integers(0, 400, 200)] = True
    image[truth] += np.where(generator.random(truth.sum()) < 0.5, 30, -30)
    image[:, 77] += 6  # three times the noise of a pixel: not one of them stands out
    image[200:, 300] -= 8
    image[:, 350] += 60_000
    truth[:, [77, 350]] = truth[200:, 300] = True
    found = hot_pixels(image)
    assert (found & truth).sum() / truth.sum() > 0.95
    assert found[:, [77, 350]].all()
    assert found[256:, 300].all()
    assert not found[:128, 300].all()
    assert (found & ~truth).sum() < 200


def test_offset_the_bias_frame_takes_out_does_not_make_a_column_hot():
    image = bias(4)
    image[:, 100] += 2
    assert not hot_pixels(image)[:, 100].any()
    assert hot_pixels(image, column_offset=0.5)[:, 100].all()


def test_blank_pixels_are_flagged_and_known_ones_are_not_flagged_again():
    image = bias(5)
    image[10, 10] = np.nan
    image[20, 20] += 500
    known = np.zeros(image.shape, bool)
    known[20, 20] = True
    found = hot_pixels(image, mask=known)
    assert found[10, 10]
    assert not found[20, 20]


def test_dust_is_cold_and_vignetting_is_not():
    y, x = np.mgrid[:512, :512] - 256
    flat = 20_000 * (1 - 0.5 * (x**2 + y**2) / (2 * 256**2)) + np.random.default_rng(6).normal(0, 100, x.shape)
    flat[100:103, 200:203] *= 0.5
    flat[300, 300] *= 1.5
    flat[10, 10] = np.nan
    flat[:, 511] = 0
    truth = np.zeros(flat.shape, bool)
    truth[100:103, 200:203] = truth[300, 300] = truth[10, 10] = truth[:, 511] = True
    assert np.array_equal(cold_pixels(flat), truth)


def test_unlit_part_of_a_chip_is_cold_however_even():
    flat = np.full((256, 256), 1000.0)
    flat[:, 192:] = 20
    found = cold_pixels(flat)
    assert found[:, 192:].all()
    assert not found[:, :128].any()


def test_saturated_star_its_bleeding_column_and_its_rim_are_flagged():
    image = np.zeros((40, 40))
    image[18:23, 18:23] = 50_000
    image[5:35, 20] = 62_000
    image[19:22, 19:22] = 65_535
    image[30:36, 5] = 62_000  # bright, but joined to nothing saturated
    found = saturated_pixels(image, level=65_000, grow=0)
    assert found.sum() == 9 + 30 - 3
    assert found[5:35, 20].all()
    assert not found[:, 5].any()
    grown = saturated_pixels(image, level=65_000)
    assert grown[4:36, 19:22].all()
    assert not grown[18:23, 17].any()


def test_image_without_saturation_or_values_has_no_flag():
    assert not saturated_pixels(np.full((3, 3), np.nan), 100).any()


def test_mistaken_limits_are_refused():
    with pytest.raises(ValueError, match="both sides"):
        cold_pixels(np.ones((64, 64)), low=1.1)
    with pytest.raises(ValueError, match="no light"):
        cold_pixels(np.zeros((64, 64)))
    with pytest.raises(ValueError, match="level"):
        saturated_pixels(np.ones((4, 4)), level=0)


@pytest.mark.real
def test_nickel_bad_columns_are_found_without_being_named(real_data):
    frames = [fits.getdata(real_data / "nickel" / f"d{number}.fits") for number in range(1001, 1006)]
    data, overscan = Section(0, 1024, 0, 1024), [Section(1028, 1056, 0, 1024)]
    frames = [calibrate(frame, data, overscan_level(frame, overscan))[0] for frame in frames]
    found = hot_pixels(combine(lambda index, y0, y1: frames[index][y0:y1], 5, data.shape).image)
    columns = np.flatnonzero(found.mean(axis=0) > 0.9)
    assert {256, 669, 1002, *range(1018, 1024)} <= set(columns.tolist())
    # Charge trails beside the saturated column and towards the edge; the rest of the chip is clean.
    elsewhere = np.setdiff1d(np.arange(1024), [*range(250, 257), 669, 1002, *range(1005, 1024)])
    assert found[:, elsewhere].mean() < 1e-4
