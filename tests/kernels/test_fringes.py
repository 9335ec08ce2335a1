"""Fringes of known strength under stars: found, scaled and taken out."""

import numpy as np
import pytest

from awe.kernels.combine import Combine, combine
from awe.kernels.fringes import FringePattern, Ripples, fringe_pattern, fringe_scale, own_share, ripples

SHAPE, SKY, GAIN, STRENGTH = (384, 320), 2000.0, 1.5, 0.02
NOISE = np.sqrt(SKY / GAIN)


def true_pattern():
    """Return wavy bands of mean zero and rms 1, 25 to 40 pixels apart."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    waves = np.sin(x / 5 + 3 * np.sin(y / 40)) + 0.6 * np.sin(y / 6 + 2 * np.sin(x / 50) + 1)
    waves -= waves.mean()
    return waves / waves.std()


def a_frame(rng, strength, stars=60):
    """Return a sky with a gradient, fringes of a strength relative to it, stars at places of its own, and noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    sky = SKY * (1 + 0.03 * x / SHAPE[1] - 0.02 * y / SHAPE[0]) * (1 + strength * true_pattern())
    for x0, y0, flux in zip(
        rng.uniform(0, SHAPE[1], stars), rng.uniform(0, SHAPE[0], stars), 10 ** rng.uniform(3, 5.5, stars), strict=True
    ):
        sky += flux / (2 * np.pi * 4) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
    return (rng.poisson(sky * GAIN) / GAIN).astype(np.float32)


def pattern_of(frames):
    found = [ripples(frame, cell=96) for frame in frames]
    made = combine(
        lambda i, y0, y1: found[i].image[y0:y1], len(found), SHAPE, Combine.CLIPPED,
        scales=[1 / f.level for f in found],
    )  # fmt: skip
    return fringe_pattern(made.image, made.variance)


@pytest.fixture(scope="module")
def made() -> FringePattern:
    rng = np.random.default_rng(11)
    return pattern_of([a_frame(rng, STRENGTH) for _ in range(7)])


def test_the_pattern_that_frames_share_is_found(made):
    truth = STRENGTH * true_pattern()
    correlation = np.corrcoef(made.image.ravel(), truth.ravel())[0, 1]

    assert made.rms == pytest.approx(STRENGTH, rel=0.05)
    assert abs(made.image.mean()) < 1e-7
    assert correlation > 0.97


def test_the_noise_left_in_the_pattern_is_what_it_says(made):
    rng = np.random.default_rng(12)
    nothing = pattern_of([a_frame(rng, 0.0, stars=0) for _ in range(7)])

    assert nothing.image.std() == pytest.approx(nothing.noise, rel=0.15)
    assert nothing.rms < nothing.noise
    assert made.noise < 0.15 * STRENGTH


@pytest.mark.parametrize("strength", [0.005, 0.02, 0.05])
def test_fringes_of_another_strength_are_scaled_and_taken_out(made, strength):
    frame, twin = (a_frame(np.random.default_rng(int(1e4 * strength)), s) for s in (strength, 0.0))
    rest = ripples(frame, cell=96)
    scale = fringe_scale(rest, made.image, made.noise)
    truth = SKY * 1.005 * strength / made.rms  # in units of the pattern, whose bands smoothing makes 2 % weaker

    assert scale.value == pytest.approx(truth, rel=0.01, abs=4 * scale.error)
    assert scale.before == pytest.approx(np.hypot(NOISE, SKY * strength), rel=0.1)
    # the spread is that of a frame that never had fringes: what is left of them is below 15 % of what they were
    floor = ripples(twin, cell=96).sigma
    assert np.sqrt(max(scale.after**2 - floor**2, 0)) < np.hypot(0.15 * SKY * strength, 0.1 * NOISE)


def test_a_frame_without_fringes_gets_a_scale_of_zero_within_its_error_and_no_noise(made):
    pulls, added = [], []
    for seed in range(12):
        rest = ripples(a_frame(np.random.default_rng(300 + seed), 0.0), cell=96)
        scale = fringe_scale(rest, made.image, made.noise)
        pulls.append(scale.value / scale.error)
        added.append(abs(scale.value) * made.image.std())

    assert np.std(pulls) == pytest.approx(1, abs=0.6)  # 12 values: 1 +- 0.2
    assert abs(np.mean(pulls)) < 4 / np.sqrt(12)
    assert max(added) < 0.02 * NOISE


def test_a_frame_that_the_pattern_was_made_of_is_not_scaled_too_high():
    rng = np.random.default_rng(31)
    frames = [a_frame(rng, STRENGTH) / 10 for _ in range(5)]  # a tenth of the sky, with three times its noise
    frames = [f + rng.normal(0, 2 * NOISE / 10, SHAPE).astype(np.float32) for f in frames]
    pattern = pattern_of(frames)
    found = [ripples(f, cell=96) for f in frames]
    fair = [fringe_scale(f, pattern.image, pattern.noise, own_share(5, f.level, 1.0)) for f in found]
    naive = [fringe_scale(f, pattern.image, pattern.noise) for f in found]
    truth = SKY / 10 * 1.005 * STRENGTH / pattern.rms

    error = np.sqrt(np.mean([f.error**2 for f in fair]) / 5 + (0.02 * truth) ** 2)
    assert np.mean([f.value for f in fair]) == pytest.approx(truth, abs=3 * error)
    assert np.mean([f.value for f in naive]) > truth + 3 * error


def test_stars_hot_pixels_and_holes_do_not_enter_the_scale(made):
    frame = a_frame(np.random.default_rng(21), STRENGTH)
    plain = fringe_scale(ripples(frame, cell=96), made.image, made.noise)
    rng = np.random.default_rng(22)
    spoilt, mask = frame.copy(), np.zeros(SHAPE, bool)
    spoilt[rng.integers(0, SHAPE[0], 200), rng.integers(0, SHAPE[1], 200)] += 3000
    spoilt[100:120, 50:80] = np.nan
    spoilt[:, 200:203], mask[:, 200:203] = 0, True
    scale = fringe_scale(ripples(spoilt, mask, cell=96), made.image, made.noise)

    assert scale.value == pytest.approx(plain.value, abs=4 * scale.error)


def test_the_scale_is_exact_without_noise():
    pattern = (0.01 * true_pattern()).astype(np.float32)
    scale = fringe_scale(Ripples((150 * pattern).astype(np.float32), 100.0, 1.0), pattern)

    assert scale.value == pytest.approx(150, rel=1e-5)


def test_a_pattern_of_pure_noise_is_not_scaled():
    rng = np.random.default_rng(5)
    frame = Ripples(rng.normal(0, 10, SHAPE).astype(np.float32), 1000.0, 10.0)
    pattern = rng.normal(0, 1e-3, SHAPE).astype(np.float32)

    assert fringe_scale(frame, pattern, 1.01e-3).value == 0.0
    assert fringe_scale(frame, np.zeros_like(pattern)).error == np.inf


def test_pixels_that_no_frame_saw_take_the_pattern_of_their_surroundings():
    truth = 0.02 * true_pattern()
    seen = truth.copy()
    seen[100:102, 100:102] = np.nan
    pattern = fringe_pattern(seen, np.full(SHAPE, 1e-8), smoothing=1.0)

    assert np.abs(pattern.image - truth)[98:104, 98:104].max() < 0.006


def test_frames_without_pixels_and_of_another_size_are_refused():
    with pytest.raises(ValueError, match="none of the 6 cells"):
        ripples(np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(ValueError, match="no frame has a good pixel"):
        fringe_pattern(np.full(SHAPE, np.nan), np.full(SHAPE, np.inf))
    with pytest.raises(ValueError, match="the fringe pattern"):
        fringe_scale(Ripples(np.zeros(SHAPE, np.float32), 1.0, 1.0), np.zeros((3, 4), np.float32))
