"""Detector physics: gain, read noise, defects, bleeding, cosmic rays."""

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.flags import PixelFlag
from awe.simulation import PRESETS, Night
from awe.simulation.camera import FULL_WELL, OVERSCAN, SATURATION, Chip, bleed, make_chip, read_out
from awe.simulation.cosmics import CHARGE, cosmic_rays
from awe.simulation.night import light
from awe.simulation.projection import true_projection
from awe.simulation.schedule import Exposure, schedule

PLAN = PRESETS["tiny"]
SHAPE = PLAN.chip_shape


@pytest.fixture(scope="module")
def chip() -> Chip:
    """The first chip."""
    return make_chip(PLAN, 0)


def _frame(chip: Chip, electrons: float, seed: int, exptime: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    light = np.full(SHAPE, electrons, np.float32)
    return read_out(chip, light, exptime, cosmic_rays(SHAPE, 0, rng), rng).image.astype(float)


def test_variance_against_level_gives_the_gain(chip: Chip) -> None:
    level = 30000.0
    first, second = (_frame(chip, level, seed)[:, : SHAPE[1]] for seed in (1, 2))
    # each frame's own row drift leaves with the row medians
    difference = first - second
    difference -= np.median(difference, axis=1, keepdims=True)
    signal = (first + second) / 2 - chip.bias - chip.bias_level

    variance = np.var(difference[chip.flags == 0]) / 2 - (chip.read_noise / chip.gain) ** 2

    # relative error of a variance of 65,000 values: 0.6 %; of the rows' medians: 0.4 %
    assert np.median(signal) / variance == pytest.approx(chip.gain, rel=0.02)


def test_scatter_of_the_overscan_is_the_read_noise(chip: Chip) -> None:
    overscan = _frame(chip, 0, 3)[:, SHAPE[1] :]

    scatter = np.std(overscan - overscan.mean(axis=1, keepdims=True)) * np.sqrt(OVERSCAN / (OVERSCAN - 1))

    # 8000 values: 0.8 %; rounding adds 1/12 adu^2
    assert scatter == pytest.approx(np.sqrt((chip.read_noise / chip.gain) ** 2 + 1 / 12), rel=0.03)


def test_overscan_follows_the_bias_from_row_to_row_and_frame_to_frame(chip: Chip) -> None:
    frames = [_frame(chip, 0, seed) for seed in (4, 5)]
    below = [np.median(frame[:, : SHAPE[1]] - chip.bias, axis=1) for frame in frames]
    overscan = [np.mean(frame[:, SHAPE[1] :], axis=1) for frame in frames]

    assert abs(np.mean(overscan[0] - overscan[1])) > 0.3
    for level, scanned in zip(below, overscan, strict=True):
        noise = chip.read_noise / chip.gain / np.sqrt(OVERSCAN)
        assert np.std(level - scanned) < 1.3 * noise
        assert np.std(level) > noise


def test_defects_are_flagged_and_nothing_else_is(chip: Chip) -> None:
    bias, flat = _frame(chip, 0, 6)[:, : SHAPE[1]], chip.flat["r"]
    hot, cold = (chip.flags & flag > 0 for flag in (PixelFlag.HOT, PixelFlag.COLD))
    noise = chip.read_noise / chip.gain

    assert (bias[hot] > np.median(bias) + 15).all()
    assert (bias[~hot] < np.median(bias) + 10 + 7 * noise).all()
    assert (flat[cold] < 0.7).all()
    assert (flat[~cold] > 0.7).all()
    assert hot.sum() > 100
    assert cold.sum() > 300


def test_median_of_the_flat_is_one_and_the_chip_is_vignetted(chip: Chip) -> None:
    flat = chip.flat["r"]

    assert np.median(flat) == pytest.approx(1, abs=1e-5)
    # the first chip of two lies to the left of the axis: its left corners are darkest
    assert np.median(flat[:40, :40]) < np.median(flat[108:148, -40:]) - 0.03


def test_throughput_is_the_flat_but_for_the_area_of_pixels(chip: Chip) -> None:
    area = true_projection(PLAN, 0).pixel_area(SHAPE)

    assert chip.throughput["r"] * area == pytest.approx(chip.flat["r"], rel=1e-5)
    assert 1.001 < area.max() < 1.02


def test_bleeding_keeps_the_charge_and_fills_pixels_up_and_down() -> None:
    image = np.full((100, 3), 10.0, np.float32)
    image[50, 1] = 1000.0

    full = bleed(image, 100.0)

    assert image.sum() == pytest.approx(299 * 10 + 1000)
    assert image.max() == 100.0
    assert np.flatnonzero(full[:, 1]).tolist() == list(range(45, 56))
    assert not full[:, (0, 2)].any()


def test_charge_that_reaches_the_edge_is_lost() -> None:
    image = np.zeros((10, 1), np.float32)
    image[2] = 5000.0

    assert bleed(image, 100.0).all()
    assert image.max() == 100.0


def test_saturated_pixels_read_above_the_saturation_of_the_header(chip: Chip) -> None:
    rng = np.random.default_rng(7)
    light = np.zeros(SHAPE, np.float32)
    light[100:104, 60:64] = 3 * FULL_WELL * chip.gain

    readout = read_out(chip, light, 1.0, cosmic_rays(SHAPE, 0, rng), rng)

    full = readout.spilt > 0.999 * FULL_WELL
    assert full.sum() > 40
    assert readout.image[:, : SHAPE[1]][full].min() > SATURATION


def test_cosmic_rays_are_as_many_and_as_bright_as_expected() -> None:
    hits = cosmic_rays((2000, 2000), 2000, np.random.default_rng(8))

    sharp = hits.electrons > 0.1 * CHARGE
    assert 2 * 2000 < sharp.sum() < 12 * 2000
    assert np.unique(hits.y * 2000 + hits.x).size == hits.x.size
    # the silicon is 3 px thick: no straight ray leaves less than three pixels' worth
    assert hits.electrons.sum() / 2000 > 2 * CHARGE
    assert hits.electrons.min() >= 0


def test_no_cosmic_rays_where_none_are_expected() -> None:
    assert cosmic_rays(SHAPE, 0, np.random.default_rng(9)).x.size == 0


def test_residual_of_a_raw_frame_from_the_truth_is_pure_noise(tiny_night: Night) -> None:
    truth, file = tiny_night.truth, tiny_night.of_type("OBJECT")[0]
    name = truth.chips[1]
    level = next(e for e in schedule(truth.plan) if e.filename == file.name)
    expected = _expected_adu(tiny_night, level, 1)
    facts = truth.summary["chips"][name]
    raw = fits.getdata(file, name).astype(float)
    row_level = raw[:, SHAPE[1] :].mean(axis=1, keepdims=True)
    good = (truth.defects(name) == 0) & ~truth.pixels(file.name, name, PixelFlag.COSMIC)
    good &= ~truth.pixels(file.name, name, PixelFlag.SATURATED)

    residual = raw[:, : SHAPE[1]] - row_level - truth.bias(name) - expected
    noise = np.sqrt(expected / facts["gain"] + (facts["read_noise"] / facts["gain"]) ** 2 * (1 + 1 / OVERSCAN) + 1 / 12)
    pull = (residual / noise)[good]

    # 65,000 pixels: mean to 0.004 (and the common noise of the overscan), scatter to 0.3 %
    assert pull.mean() == pytest.approx(0, abs=0.03)
    assert pull.std() == pytest.approx(1, abs=0.02)


def _expected_adu(night: Night, exposure: Exposure, number: int) -> np.ndarray:
    chip = make_chip(night.truth.plan, number)
    return (light(night.truth.plan, exposure, chip, night.truth.objects) + chip.dark * exposure.exptime) / chip.gain
