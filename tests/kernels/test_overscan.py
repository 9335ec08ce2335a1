import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.overscan import Overscan, overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.statistics import clipped_statistics

READ_NOISE = 11.0


def frame(columns, seed=1, rows=20_000, slope=20.0):
    """A frame of 50 dark data columns and an overscan, on a level that rises along y by `slope` in all."""
    level = 220 + slope * np.linspace(0, 1, rows)[:, np.newaxis]
    image = level + np.random.default_rng(seed).normal(0, READ_NOISE, (rows, 50 + columns))
    return image.astype(np.float32), Section(0, 50, 0, rows), Section(50, 50 + columns, 0, rows), level


@pytest.mark.parametrize("columns", [6, 32])
def test_level_per_row_adds_less_than_a_twentieth_of_the_read_noise(columns):
    image, _, overscan, level = frame(columns)
    error = (overscan_level(image, [overscan]) - level)[100:-100]
    assert error.std() < 0.05 * READ_NOISE
    assert error.mean() == pytest.approx(0, abs=4 * READ_NOISE / np.sqrt(columns * 19_800))


def test_rows_on_their_own_carry_the_noise_of_their_few_pixels():
    image, _, overscan, level = frame(6)
    error = overscan_level(image, [overscan], smooth_rows=1) - level
    assert error.std() == pytest.approx(READ_NOISE / np.sqrt(6), rel=0.1)


def test_subtraction_trims_and_leaves_no_level():
    image, section, overscan, _ = frame(32)
    data, _ = calibrate(image, section, overscan_level(image, [overscan]))
    assert data.shape == (20_000, 50)
    assert data.dtype == np.float32
    assert data.mean() == pytest.approx(0, abs=5 * READ_NOISE / np.sqrt(20_000 * 32))
    assert data.std() == pytest.approx(READ_NOISE, rel=0.02)


def test_constant_level_is_one_number():
    image, section, overscan, _ = frame(32, slope=0.0)
    assert overscan_level(image, [overscan], Overscan.CONSTANT) == pytest.approx(220, abs=5 * READ_NOISE / 253)
    level = overscan_level(image, [overscan], Overscan.CONSTANT)
    assert calibrate(image, section, level)[0].mean() == pytest.approx(0, abs=0.3)


def test_without_overscan_the_frame_is_only_trimmed():
    image, section, _, _ = frame(6)
    data, _ = calibrate(image.astype(np.uint16), section, overscan_level(image, [], Overscan.NONE))
    assert np.array_equal(data, image.astype(np.uint16)[:, :50])


def test_cosmic_rays_in_the_overscan_do_not_count():
    image, _, overscan, level = frame(32)
    image[::7, 60] += 20_000
    image[5] = np.nan
    error = overscan_level(image, [overscan]) - level
    assert np.abs(error).max() < 4 * 0.05 * READ_NOISE * np.sqrt(2)


def test_sections_at_both_sides_count_together():
    image, _, overscan, level = frame(6)
    halves = [Section(50, 53, 0, 20_000), Section(53, 56, 0, 20_000)]
    assert overscan_level(image, halves) == pytest.approx(overscan_level(image, [overscan]), abs=1e-4)
    assert level.shape == overscan_level(image, halves).shape


def test_rows_beyond_the_overscan_take_the_nearest_level():
    image, _, _, _ = frame(32)
    level = overscan_level(image, [Section(50, 82, 500, 1500)], smooth_rows=1)
    assert level[0, 0] == level[500, 0]
    assert level[-1, 0] == level[1499, 0]


def test_what_cannot_be_measured_is_refused():
    image, _, overscan, _ = frame(6)
    with pytest.raises(ValueError, match="at least one"):
        overscan_level(image, [], Overscan.PER_ROW)
    with pytest.raises(ValueError, match="beyond"):
        overscan_level(image, [Section(50, 60, 0, 20_000)])
    for method in (Overscan.PER_ROW, Overscan.CONSTANT):
        with pytest.raises(ValueError, match="finite"):
            overscan_level(np.full_like(image, np.nan), [overscan], method)


@pytest.mark.real
def test_nickel_biases_have_one_level_once_their_overscan_is_subtracted(real_data):
    raw, trimmed = [], []
    for number in range(1001, 1006):
        image = fits.getdata(real_data / "nickel" / f"d{number}.fits")
        raw.append(clipped_statistics(image).mean)
        level = overscan_level(image, [Section.parse("[1029:1056,1:1024]")])
        data, _ = calibrate(image, Section.parse("[1:1024,1:1024]"), level)
        trimmed.append(clipped_statistics(data).mean)
    assert np.ptp(raw) > 3
    assert np.ptp(trimmed) < 1.6
    assert np.mean(trimmed) == pytest.approx(14.5, abs=1)
