"""Frames without a good pixel, with infinities, of one pixel or of three axes: a right result or a clear error."""

import numpy as np
import pytest

from awe.kernels.background import background_map
from awe.kernels.combine import Combine, combine
from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.defects import cold_pixels, hot_pixels, saturated_pixels
from awe.kernels.flags import PixelFlag
from awe.kernels.flatfield import Flat, flat_level, master_flat
from awe.kernels.noise import DetectorNoise, read_noise
from awe.kernels.overscan import Overscan, overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.tracks import find_tracks
from awe.kernels.weight import inverse_variance

SHAPE = (96, 128)
NOISE = 5.0
BLANKS = [np.nan, np.inf, -np.inf]


def blank(value):
    return np.full(SHAPE, value, np.float32)


def half_bad(seed=61, level=100.0):
    """Noise around a level, half of whose pixels are NaN or an infinity; and which are good."""
    generator = np.random.default_rng(seed)
    image = generator.normal(level, NOISE, SHAPE).astype(np.float32)
    bad = generator.random(SHAPE) < 0.5
    image[bad] = generator.choice(BLANKS, bad.sum())
    return image, ~bad


def rows_of(*images):
    return lambda index, y0, y1: images[index][y0:y1]


@pytest.mark.parametrize("value", BLANKS)
def test_frames_without_a_value_are_flagged_weighed_and_combined_as_nothing(value):
    image = blank(value)
    reduced, flags = calibrate(image, Section.whole(SHAPE), flat=np.ones(SHAPE))
    none = combine(rows_of(image, image, image), 3, SHAPE)

    assert (reduced == 0).all()
    assert (flags == PixelFlag.NO_DATA).all()
    assert not inverse_variance(image, image, 1.5, NOISE).any()
    assert (np.isnan(none.image).all(), np.isposinf(none.variance).all(), none.used.any()) == (True, True, False)
    assert not flag_cosmic_rays(image, NOISE**2, 1.5, 100.0).any()
    assert find_tracks(image, 100.0, NOISE) == []


@pytest.mark.parametrize("value", BLANKS)
def test_what_cannot_be_measured_on_frames_without_a_value_is_refused(value):
    image = blank(value)
    for call, message in (
        (lambda: background_map(image, cell=32), "enough good pixels"),
        (lambda: hot_pixels(image), "enough good pixels"),
        (lambda: cold_pixels(image), "no light"),
        (lambda: flat_level(image), "must have light"),
        (lambda: read_noise([image, image]), "no block"),
        (lambda: overscan_level(image, [Section(0, 10, 0, 96)]), "no overscan pixel"),
        (lambda: overscan_level(image, [Section(0, 10, 0, 96)], Overscan.CONSTANT), "no overscan pixel"),
        (lambda: master_flat(Flat(image, image), Flat(image, image)), "no pixel that has light in both"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_masks_over_all_pixels_leave_nothing_to_measure_or_to_find():
    image, mask = half_bad()[0], np.ones(SHAPE, bool)

    with pytest.raises(ValueError, match="enough good pixels"):
        background_map(image, mask, cell=32)
    with pytest.raises(ValueError, match="no block"):
        read_noise([image, image], mask)
    with pytest.raises(ValueError, match="must have light"):
        flat_level(image, mask)
    assert not flag_cosmic_rays(image, NOISE**2, 1.5, 100.0, mask).any()
    assert find_tracks(image, 100.0, NOISE, mask) == []
    assert not inverse_variance(100.0, 1.0, 1.5, NOISE, mask=mask).any()


def test_half_of_the_pixels_without_a_value_change_no_measurement():
    image, good = half_bad()
    error = NOISE / np.sqrt(good.sum())
    reduced, flags = calibrate(image, Section.whole(SHAPE), flat=np.ones(SHAPE))

    assert reduced[good] == pytest.approx(image[good])
    assert np.array_equal(flags == 0, good)
    assert flat_level(image) == pytest.approx(100, abs=5 * 1.25 * error)
    # the mode is 2.5 medians - 1.5 means: some 3 times the error of a mean, in each cell
    assert np.median(background_map(image, cell=32).level) == pytest.approx(100, abs=5 * 3 * error)
    assert overscan_level(image, [Section(0, 128, 0, 96)]) == pytest.approx(np.full((96, 1), 100), abs=5 * 0.04 * NOISE)
    assert np.array_equal(hot_pixels(image), ~good)
    assert flag_cosmic_rays(image, NOISE**2, 1.5, 100.0).sum() == 0
    # a pair has a quarter of its pixels; the error is that of a standard deviation of so many
    assert read_noise([image, half_bad(62)[0]]).value == pytest.approx(
        NOISE, rel=4 / np.sqrt(2 * SHAPE[0] * SHAPE[1] / 4)
    )


def test_values_that_are_missing_in_one_frame_are_those_of_the_others():
    first, good = half_bad()
    second = np.full(SHAPE, 100, np.float32)
    found = combine(rows_of(first, second), 2, SHAPE, Combine.MEAN, noise=DetectorNoise(1e6, NOISE))

    assert np.array_equal(found.used, 1 + good)
    assert (found.image[~good] == 100).all()
    assert found.image[good] == pytest.approx((first[good] + 100) / 2, rel=1e-6)
    assert found.variance[~good] == pytest.approx(NOISE**2, rel=1e-3)


@pytest.mark.parametrize("method", list(Combine))
def test_one_frame_is_its_own_combination(method):
    image, good = half_bad()
    weights = [2.0] if method is Combine.WEIGHTED else None
    found = combine(rows_of(image), 1, SHAPE, method, weights=weights, noise=DetectorNoise(1e6, NOISE))

    assert found.image[good] == pytest.approx(image[good], rel=1e-6)
    assert np.isnan(found.image[~good]).all()
    assert found.variance[good] == pytest.approx(np.full(good.sum(), NOISE**2), rel=1e-3)


def test_frames_of_one_pixel_and_of_one_row_are_frames():
    for shape in ((1, 1), (1, 50)):
        image = np.full(shape, 5, np.float32)
        assert calibrate(image, Section.whole(shape), 1.0)[0].tolist() == np.full(shape, 4).tolist()
        assert combine(rows_of(image, image), 2, shape).image.tolist() == image.tolist()
        assert background_map(image, cell=32).level == pytest.approx(image)
        assert not (hot_pixels(image) | cold_pixels(image) | saturated_pixels(image, 100.0)).any()
        assert find_tracks(image, 0.0, 1.0) == []


def test_arrays_of_other_shapes_are_refused():
    cube, image = np.zeros((2, 3, 4), np.float32), np.zeros(SHAPE, np.float32)
    for call in (
        lambda: calibrate(cube, Section.whole((2, 3))),
        lambda: combine(rows_of(cube), 1, (2, 3)),
        lambda: combine(rows_of(image, image[:, :9]), 2, SHAPE),
        lambda: read_noise([cube, cube]),
        lambda: find_tracks(cube, 0.0, 1.0),
        lambda: flag_cosmic_rays(cube, 1.0, 1.0, 0.0),
        lambda: background_map(cube),
        lambda: inverse_variance(image, image[1:], 1.0, 1.0),
        lambda: master_flat(Flat(image, image), Flat(image[1:], image[1:])),
    ):
        with pytest.raises(ValueError, match="shape"):
            call()
