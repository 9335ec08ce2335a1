import itertools

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.combine import Combine, combine, median_variances, spread_corrections
from awe.kernels.noise import DetectorNoise
from awe.kernels.statistics import clipped_statistics

SHAPE = (256, 256)


def reader(images):
    return lambda index, y0, y1: images[index][y0:y1]


def noise_frames(count, seed, level=100.0, sigma=10.0, shape=SHAPE):
    return np.random.default_rng(seed).normal(level, sigma, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize("method", [Combine.MEAN, Combine.MEDIAN, Combine.CLIPPED])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 30])
def test_result_is_unbiased_and_its_variance_is_that_of_a_monte_carlo(method, count):
    frames = noise_frames(count, seed=count)
    model = DetectorNoise(gain=1e6, read_noise=10.0)
    for noise in (model, None) if count > 1 else (model,):
        found = combine(reader(frames), count, SHAPE, method, noise=noise)
        scatter = found.image.std(dtype=np.float64)
        assert found.image.mean(dtype=np.float64) == pytest.approx(100, abs=5 * scatter / 256)
        # 1.6 % is three sigma of a variance from 256^2 pixels; the rest is the documented error of CLIPPED at n = 3.
        assert scatter**2 / found.variance.mean() == pytest.approx(1, abs=0.045)


@pytest.mark.parametrize("count", [3, 4, 5, 10])
@pytest.mark.parametrize("noise", [DetectorNoise(1e6, 10.0), None])
def test_cosmic_rays_are_rejected_from_three_images_on(count, noise):
    frames = noise_frames(count, seed=20 + count)
    hit = np.random.default_rng(4).random((count, *SHAPE)) < 0.01
    hit &= hit.sum(axis=0) == 1
    frames[hit] += 2000
    found = combine(reader(frames), count, SHAPE, noise=noise)
    any_hit = hit.any(axis=0)
    scatter = 10 / np.sqrt(count - 1)
    assert found.image[any_hit].mean() == pytest.approx(100, abs=5 * scatter / np.sqrt(any_hit.sum()))
    assert found.image.max() < 100 + 6 * 10
    assert (found.used[any_hit] < count).all()


def test_half_of_four_images_may_be_hit():
    frames = np.full((4, 64, 64), 100, np.float32) + noise_frames(4, 5, 0, 3, (64, 64))
    frames[:2, 10, 10] += [500, 900]
    found = combine(reader(frames), 4, (64, 64))
    assert found.image[10, 10] == pytest.approx(100, abs=9)
    assert found.used[10, 10] == 2


def test_two_images_that_disagree_are_kept_and_the_variance_says_so():
    frames = noise_frames(2, seed=6)
    frames[1, 7, 7] = frames[0, 7, 7] + 1000
    found = combine(reader(frames), 2, SHAPE)
    assert found.used[7, 7] == 2
    assert found.variance[7, 7] == pytest.approx(500**2, rel=1e-3)
    assert np.median(found.variance) == pytest.approx(50, rel=0.05)


def test_noise_model_follows_the_light():
    generator = np.random.default_rng(7)
    light = np.linspace(10, 20_000, SHAPE[1])[np.newaxis, :]
    frames = generator.poisson(2 * light, (5, *SHAPE)) / 2 + generator.normal(0, 4, (5, *SHAPE))
    found = combine(reader(frames.astype(np.float32)), 5, SHAPE, noise=DetectorNoise(2.0, 4.0))
    residual = found.image - light
    assert (residual**2 / found.variance).mean() == pytest.approx(1, abs=0.03)
    assert residual.mean() == pytest.approx(0, abs=5 * float(np.sqrt(found.variance.mean())) / 256)
    assert found.used.mean() > 4.95


def test_scales_bring_exposures_to_one_level_and_their_noise_with_it():
    generator = np.random.default_rng(8)
    levels = np.array([10_000.0, 20_000.0, 40_000.0])
    frames = [generator.poisson(level, SHAPE).astype(np.float32) for level in levels]
    found = combine(reader(frames), 3, SHAPE, scales=1 / levels, noise=DetectorNoise(1.0, 0.0))
    assert found.image.mean() == pytest.approx(1, abs=1e-4)
    assert found.image.var(dtype=np.float64) / found.variance.mean() == pytest.approx(1, abs=0.06)


def test_weights_give_the_least_variance():
    generator = np.random.default_rng(9)
    sigmas = np.array([5.0, 10.0, 20.0])
    frames = [generator.normal(50, sigma, SHAPE).astype(np.float32) for sigma in sigmas]
    weighted = combine(reader(frames), 3, SHAPE, Combine.WEIGHTED, weights=sigmas**-2)
    best = 1 / (sigmas**-2).sum()
    assert weighted.image.var(dtype=np.float64) == pytest.approx(best, rel=0.03)
    assert weighted.variance.mean() == pytest.approx(best, rel=0.03)
    clipped = combine(reader(frames), 3, SHAPE, Combine.CLIPPED, weights=sigmas**-2)
    assert clipped.image.var(dtype=np.float64) / clipped.variance.mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("method", [Combine.MEAN, Combine.MEDIAN, Combine.CLIPPED])
def test_result_does_not_depend_on_the_order_of_images(method):
    frames = noise_frames(4, seed=10, shape=(70, 70))
    frames[2, ::5, ::5] += 300
    first = combine(reader(frames), 4, (70, 70), method)
    for order in itertools.islice(itertools.permutations(range(4)), 1, None, 5):
        other = combine(reader(frames[list(order)]), 4, (70, 70), method)
        assert other.image == pytest.approx(first.image, rel=1e-6)
        assert np.array_equal(other.used, first.used)
        assert other.variance == pytest.approx(first.variance, rel=1e-6)


def test_result_does_not_depend_on_the_size_of_bands():
    frames = noise_frames(3, seed=11, shape=(300, 50))
    asked = []

    def read(index, y0, y1):
        asked.append(y1 - y0)
        return frames[index][y0:y1]

    whole = combine(read, 3, (300, 50), band_rows=300)
    bands = combine(read, 3, (300, 50), memory_limit=1)
    assert max(asked[3:]) == 64
    for name in ("image", "variance", "used"):
        assert np.array_equal(getattr(whole, name), getattr(bands, name))


def test_memory_held_stays_below_the_limit():
    held = []
    frame = np.zeros((2048, 100), np.float32)

    def read(index, y0, y1):
        held.append(frame[y0:y1].nbytes)
        return frame[y0:y1]

    combine(read, 20, frame.shape, memory_limit=20 * 300 * 100 * 4)
    assert 20 * max(held) <= 20 * 300 * 100 * 4


def test_nan_is_left_out_and_no_value_is_marked():
    frames = np.ones((3, 4, 4), np.float32)
    frames[0, 1, 1] = np.nan
    frames[:, 2, 2] = np.nan
    for method in (Combine.MEAN, Combine.MEDIAN, Combine.CLIPPED):
        found = combine(reader(frames), 3, (4, 4), method, noise=DetectorNoise(1.0, 1.0))
        assert (found.image[1, 1], found.used[1, 1]) == (1, 2)
        assert np.isnan(found.image[2, 2])
        assert found.variance[2, 2] == np.inf
        assert found.used[2, 2] == 0


def test_constant_images_come_back_unchanged():
    frames = np.full((5, 30, 30), 12345.678, np.float32)
    found = combine(reader(frames), 5, (30, 30))
    assert np.array_equal(found.image, frames[0])
    assert (found.used == 5).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "1 to 65535"),
        ({"method": "mode"}, "mode"),
        ({"threshold": -1.0}, "threshold"),
        ({"scales": [1.0]}, "expected 3"),
        ({"scales": [1.0, 0.0, 1.0]}, "positive"),
        ({"method": Combine.WEIGHTED}, "needs weights"),
        ({"method": Combine.MEAN, "weights": [1.0, 1.0, 1.0]}, "no meaning"),
        ({"shape": (5, 4)}, "rows 0..5"),
    ],
)
def test_mistaken_arguments_are_refused(arguments, message):
    frames = np.ones((3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=message):
        combine(reader(frames), **({"count": 3, "shape": (4, 4)} | arguments))


@pytest.mark.parametrize("count", [2, 3, 8, 9, 25])
def test_pooled_spread_is_the_sigma_of_normal_noise(count):
    values = np.random.default_rng(12).normal(0, 1, (200_000, count))
    if count <= 8:
        spread = values.std(axis=1, ddof=1)
    else:
        spread = np.median(np.abs(values - np.median(values, axis=1, keepdims=True)), axis=1)
    assert np.median(spread) * spread_corrections(count)[count] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 11, 12, 40])
def test_variance_of_a_median_is_known_for_any_number_of_values(count):
    medians = np.median(np.random.default_rng(13).normal(0, 1, (200_000, count)), axis=1)
    assert median_variances(count)[count] == pytest.approx(medians.var(), rel=0.015)


@pytest.mark.real
def test_efosc2_combined_bias_has_the_known_level(real_data):
    frames = [fits.getdata(path).astype(np.float32) for path in sorted((real_data / "efosc2").glob("*2022-01-26*"))]
    found = combine(reader(frames), 5, frames[0].shape)
    assert clipped_statistics(found.image).median == pytest.approx(222, abs=1)
    assert np.median(found.variance) == pytest.approx(10.2**2 / 5, rel=0.1)
