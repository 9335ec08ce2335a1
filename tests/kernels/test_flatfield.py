import numpy as np
import pytest

from awe.kernels.combine import combine
from awe.kernels.flatfield import Flat, flat_level, master_flat, normalise
from awe.kernels.noise import DetectorNoise

SHAPE = (512, 512)


def response(seed=1):
    return 1 + np.random.default_rng(seed).normal(0, 0.01, SHAPE)


def illumination():
    y, x = (np.mgrid[: SHAPE[0], : SHAPE[1]] - 256) / 256
    return 1 - 0.2 * (x**2 + y**2) + 0.05 * x


def exposure(light, photons, seed):
    return (np.random.default_rng(seed).poisson(light * photons)).astype(np.float32)


def test_normalised_exposure_has_median_one():
    image, level = normalise(np.full((10, 10), 5000, np.uint16))
    assert level == 5000
    assert (image == 1).all()
    assert image.dtype == np.float32


def test_masked_and_blank_pixels_do_not_set_the_level():
    image = np.full((10, 10), 100.0)
    image[:6] = 900
    image[9, 9] = np.nan
    mask = image == 900
    assert flat_level(image, mask) == 100
    assert np.isnan(normalise(image, mask)[0][9, 9])


def test_exposure_without_light_is_refused():
    with pytest.raises(ValueError, match="must have light"):
        normalise(np.zeros((4, 4)))


def test_combined_exposures_of_different_level_give_the_response_within_their_variance():
    truth = response()
    levels = (20_000, 30_000, 40_000)
    frames = [exposure(truth, level, seed) for seed, level in enumerate(levels)]
    scales = [1 / flat_level(frame) for frame in frames]
    found = combine(lambda i, a, b: frames[i][a:b], 3, SHAPE, scales=scales, noise=DetectorNoise(1.0, 0.0))
    pulls = (found.image - truth) / np.sqrt(found.variance)
    assert pulls.std() == pytest.approx(1, abs=0.03)
    assert (found.image - truth).mean() == pytest.approx(0, abs=3e-4)


def test_master_flat_has_small_scales_of_the_dome_and_large_ones_of_the_twilight():
    truth = response() * illumination()
    wrong_light = 1 + 0.1 * np.linspace(-1, 1, 512)[np.newaxis, :]
    dome = exposure(truth * wrong_light, 60_000, seed=2)
    twilight = exposure(truth, 5_000, seed=3)
    found = master_flat(Flat(dome, dome.copy()), Flat(twilight, twilight.copy()))
    ratio = found.image / truth
    error = ratio / np.median(ratio) - 1
    assert error.std() < 1.3 / np.sqrt(60_000 * 0.55)
    assert abs(error[:64, :64].mean()) < 0.002
    assert (error**2 / found.variance).mean() == pytest.approx(1, abs=0.15)
    assert np.median(found.image) == pytest.approx(1, abs=0.002)


def test_one_flat_alone_is_normalised_and_its_bad_pixels_are_blank():
    image = np.full((64, 64), 2000.0)
    image[3, 3], image[4, 4] = 0, np.nan
    for found in (master_flat(dome=Flat(image, image)), master_flat(twilight=Flat(image, image))):
        assert np.isnan(found.image[[3, 4], [3, 4]]).all()
        assert found.image[0, 0] == 1
        assert found.variance[0, 0] == pytest.approx(2000 / 2000**2)


def test_mistaken_flats_are_refused():
    with pytest.raises(ValueError, match="needs a dome"):
        master_flat()
    with pytest.raises(ValueError, match="shape"):
        master_flat(Flat(np.ones((64, 64)), np.ones((64, 64))), Flat(np.ones((64, 32)), np.ones((64, 32))))
