import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.noise import DetectorNoise, read_noise


def biases(count, sigma, seed, shape=(512, 512)):
    generator = np.random.default_rng(seed)
    pattern = 300 + generator.normal(0, 40, shape)
    return [np.rint(pattern + 3 * k + generator.normal(0, sigma, shape)) for k in range(count)]


def test_fixed_pattern_and_drifting_level_do_not_count_as_noise():
    found = read_noise(biases(5, 8.0, seed=1))
    digitised = np.hypot(8.0, np.sqrt(1 / 12))
    assert found.value == pytest.approx(digitised, abs=4 * found.error)
    assert found.error < 0.02
    assert len(found.per_pair) == 4


def test_two_frames_suffice():
    found = read_noise(biases(2, 5.0, seed=2))
    assert found.value == pytest.approx(5.0, rel=0.01)
    assert 0 < found.error < 0.05


def test_cosmic_rays_and_hot_columns_do_not_raise_the_noise():
    frames = biases(3, 5.0, seed=3)
    for k, frame in enumerate(frames):
        frame[k::50, k::50] += 5000
        frame[:, 100] += 3000 * k
    assert read_noise(frames).value == pytest.approx(5.0, rel=0.01)


def test_masked_pixels_are_left_out():
    frames = biases(2, 5.0, seed=4)
    frames[1][:, :300] += np.random.default_rng(5).normal(0, 50, (512, 300))
    mask = np.zeros((512, 512), bool)
    mask[:, :300] = True
    assert read_noise(frames, mask).value == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([np.zeros((4, 4))], "at least 2"),
        ([np.zeros((4, 4)), np.zeros((4, 5))], "different shapes"),
        ([np.full((64, 64), np.nan)] * 2, "no block"),
    ],
)
def test_what_cannot_be_measured_is_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        read_noise(frames)


def test_noise_model_adds_photons_to_read_noise():
    noise = DetectorNoise(gain=2.0, read_noise=3.0)
    assert noise.variance(100.0) == pytest.approx(59.0)
    assert noise.variance(np.array([-5.0, 0.0])).tolist() == [9.0, 9.0]
    with pytest.raises(ValueError, match="gain"):
        DetectorNoise(gain=0, read_noise=1)


@pytest.mark.real
def test_efosc2_read_noise_from_its_biases_is_ten_adu(real_data):
    """The plain scatter of pairs with the first bias is 11.4 adu; without 1 % of outliers it is 10.2 for every pair."""
    frames = [fits.getdata(path).astype(np.float32) for path in sorted((real_data / "efosc2").glob("*2022-01-26*"))]
    found = read_noise(frames)
    plain = [np.std(frames[0] - other) / np.sqrt(2) for other in frames[1:]]
    assert np.mean(plain) == pytest.approx(11.4, abs=0.3)
    assert found.value == pytest.approx(10.2, abs=0.1)
    assert max(found.per_pair) - min(found.per_pair) < 0.1
    # Quantiles of the differences do not depend on any clipping.
    low, high = np.percentile(frames[3] - frames[2], [2.275, 97.725])
    assert (high - low) / 4 / np.sqrt(2) == pytest.approx(found.value, abs=0.25)


@pytest.mark.real
def test_nickel_read_noise_from_its_biases_agrees_with_the_known_one(real_data):
    frames = [fits.getdata(real_data / "nickel" / f"d{k}.fits")[:, :1024].astype(np.float32) for k in range(1001, 1006)]
    found = read_noise(frames)
    assert found.value == pytest.approx(5.5, abs=0.2)
    assert found.error < 0.1
