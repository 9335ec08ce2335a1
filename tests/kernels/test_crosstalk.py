"""Ghosts of bright stars of one chip in another, put in with known coefficients and taken out again."""

import numpy as np
import pytest

from awe.kernels.crosstalk import Aggressor, remove_crosstalk

NOISE, BIAS, FULL = 5.0, 1000.0, 60000.0
SHAPE = (80, 120)


def a_scene(seed=1, coefficient=2e-3, flip=False):
    """Return victim with ghosts, victim without, and the aggressor."""
    rng = np.random.default_rng(seed)
    aggressor = BIAS + 1000 + rng.normal(0, NOISE, SHAPE)
    aggressor[20:30, 40:50] += 30000
    aggressor[60:64, 100:104] = FULL + BIAS
    clean = BIAS + 200 + rng.normal(0, NOISE, SHAPE)
    seen = aggressor[:, ::-1] if flip else aggressor
    return (clean + coefficient * (seen - BIAS)).astype(np.float32), clean, aggressor.astype(np.float32)


@pytest.mark.parametrize("flip", [False, True])
def test_what_an_aggressor_adds_is_taken_out_far_below_the_noise(flip):
    victim, clean, aggressor = a_scene(flip=flip)
    image, _ = remove_crosstalk(victim, [Aggressor(aggressor, BIAS, 2e-3, flip_x=flip)])

    assert np.abs(victim - clean).max() > 50
    assert np.abs(image - clean).max() < 0.02 * NOISE  # float32 of 60000 adu is good to 0.004


def test_a_bias_level_for_each_row_is_taken_off_the_aggressor():
    victim, clean, aggressor = a_scene()
    drift = np.linspace(-500, 500, SHAPE[0], dtype=np.float32)[:, None]
    image, _ = remove_crosstalk(victim, [Aggressor(aggressor + drift, BIAS + drift, 2e-3)])

    assert np.abs(image - clean).max() < 0.02 * NOISE


def test_pixels_whose_aggressor_is_full_are_marked_where_that_matters():
    victim, _, aggressor = a_scene()
    strong, weak = (
        remove_crosstalk(victim, [Aggressor(aggressor, BIAS, c, saturation=FULL + BIAS - 1)], tolerance=NOISE)[1]
        for c in (2e-3, 2e-5)
    )

    assert np.array_equal(np.argwhere(strong).min(axis=0), [60, 100])
    assert strong.sum() == 16
    assert not weak.any()


def test_the_mark_of_a_mirrored_aggressor_lies_at_the_mirrored_place():
    victim, _, aggressor = a_scene(flip=True)
    _, unknown = remove_crosstalk(victim, [Aggressor(aggressor, BIAS, 2e-3, saturation=FULL, flip_x=True)])

    assert np.array_equal(np.argwhere(unknown).min(axis=0), [60, SHAPE[1] - 104])


def test_several_aggressors_add_up_and_negative_coefficients_are_allowed():
    rng = np.random.default_rng(4)
    clean = rng.normal(500, NOISE, SHAPE)
    others = [rng.uniform(1000, 40000, SHAPE).astype(np.float32) for _ in range(3)]
    coefficients = (1e-3, -4e-4, 2e-5)
    seen = clean + sum(c * (o - BIAS) for c, o in zip(coefficients, others, strict=True))
    image, _ = remove_crosstalk(
        seen.astype(np.float32), [Aggressor(o, BIAS, c) for c, o in zip(coefficients, others, strict=True)]
    )

    assert np.abs(image - clean).max() < 0.02 * NOISE


def test_a_bad_pixel_of_an_aggressor_adds_nothing():
    image = np.full((2, 2), 100, np.float32)
    other = np.float32([[np.nan, 1000], [1000, 1000]])

    assert remove_crosstalk(image, [Aggressor(other, 0.0, 1e-2)])[0].tolist() == [[100, 90], [90, 90]]


def test_an_aggressor_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"the aggressor has \(3, 4\) pixels \(y, x\), the image \(3, 5\)"):
        remove_crosstalk(np.zeros((3, 5)), [Aggressor(np.zeros((3, 4)), 0.0, 1e-3)])
