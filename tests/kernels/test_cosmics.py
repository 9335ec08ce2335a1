import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.defects import cold_pixels, hot_pixels
from awe.kernels.statistics import clipped_statistics

GAIN, READ_NOISE, SKY = 1.5, 4.0, 400.0
VARIANCE = SKY / GAIN + READ_NOISE**2


def moffat(shape, x, y, flux, fwhm, beta=3.5):
    """A star, averaged over 2 x 2 subpixels."""
    core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    fine_y, fine_x = (np.arange(2 * length) / 2 - 0.25 for length in shape)
    radius2 = (fine_x - x) ** 2 + (fine_y[:, np.newaxis] - y) ** 2
    profile = flux * (beta - 1) / (np.pi * core**2) * (1 + radius2 / core**2) ** -beta
    return profile.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))


def star_field(generator, shape, count, fwhm, brightest=1e6, margin=30):
    """Stars of 300 to `brightest` adu, the peak pixel of each, and their light without noise."""
    light, peaks = np.zeros(shape), []
    for _ in range(count):
        flux = 300 * (brightest / 300) ** (generator.random() ** 2)
        x, y = (generator.uniform(margin, length - margin) for length in shape[::-1])
        i, j = round(x), round(y)
        window = slice(j - margin, j + margin), slice(i - margin, i + margin)
        light[window] += moffat((2 * margin, 2 * margin), x - i + margin, y - j + margin, flux, fwhm)
        peaks.append((j, i))
    return light, tuple(np.transpose(peaks))


def cosmic_rays(generator, shape, count):
    """Charge of straight tracks of random length and direction."""
    charge = np.zeros(shape)
    for _ in range(count):
        steps = np.arange(0, min(1 + generator.exponential(5), 60), 0.5)
        angle, energy = generator.random() * np.pi, 250 + generator.exponential(900)
        x = (generator.random() * shape[1] + steps * np.cos(angle)).astype(int)
        y = (generator.random() * shape[0] + steps * np.sin(angle)).astype(int)
        inside = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        np.add.at(charge, (y[inside], x[inside]), energy / 2)
    return charge


def observed(generator, light):
    noise = generator.normal(0, READ_NOISE, light.shape)
    return (generator.poisson((light + SKY) * GAIN) / GAIN + noise).astype(np.float32)


@pytest.mark.parametrize("fwhm", [2.5, 3.2, 4.0])
def test_hits_are_found_among_stars_whose_cores_are_left_alone(fwhm):
    generator = np.random.default_rng(7)
    shape = (1000, 1000)
    light, peaks = star_field(generator, shape, 200, fwhm)
    charge = cosmic_rays(generator, shape, 100)
    image = observed(generator, light) + charge.astype(np.float32)
    found = flag_cosmic_rays(image, VARIANCE, GAIN, SKY, mask=image > 60_000)
    above = charge > 5 * np.sqrt(VARIANCE + light / GAIN)
    completeness = (found & above).sum() / above.sum()
    purity = (found & (charge > 0)).sum() / found.sum()
    assert completeness > 0.95
    assert purity > 0.9
    assert (found[peaks] & (charge[peaks] == 0)).sum() <= 1


@pytest.mark.parametrize("fwhm", [2.5, 4.0])
def test_saturated_stars_and_dead_pixels_make_no_cosmic_rays(fwhm):
    generator = np.random.default_rng(8)
    light, _ = star_field(generator, (600, 600), 60, fwhm, brightest=1e7)
    image = np.minimum(observed(generator, light), 60_000)
    bad = image >= 60_000
    image[300:340, 100:120] = 0
    image[:, 400] = 0
    image[:, 450] = 65_000
    bad[300:340, 100:120] = bad[:, [400, 450]] = True
    image[500:510, 200:260] = np.nan
    found = flag_cosmic_rays(image, VARIANCE, GAIN, SKY, mask=bad)
    assert found.sum() < 40
    assert not found[bad].any()
    assert not found[np.isnan(image)].any()


def test_flags_do_not_depend_on_whether_the_sky_is_subtracted():
    generator = np.random.default_rng(9)
    light, _ = star_field(generator, (300, 300), 20, 3.0)
    image = np.rint(observed(generator, light) + cosmic_rays(generator, light.shape, 30)).astype(np.float32)
    with_sky = flag_cosmic_rays(image, VARIANCE, GAIN, SKY)
    without = flag_cosmic_rays(image - np.float32(SKY), np.full(image.shape, VARIANCE), GAIN, np.zeros(image.shape))
    assert np.array_equal(with_sky, without)


def test_noise_alone_and_constant_images_have_hardly_a_flag():
    image = observed(np.random.default_rng(10), np.zeros((1000, 1000)))
    assert flag_cosmic_rays(image, VARIANCE, GAIN, SKY).sum() < 60
    assert not flag_cosmic_rays(np.full((50, 50), 100, np.float32), 1.0, 1.0).any()


def test_a_hit_at_the_very_corner_is_found():
    image = observed(np.random.default_rng(11), np.zeros((64, 64)))
    image[0, 0] += 2000
    image[63, 30:34] += 2000
    found = flag_cosmic_rays(image, VARIANCE, GAIN, SKY)
    assert found[0, 0]
    assert found[63, 30:34].all()


def test_a_thick_hit_is_eaten_from_its_rim_in_several_rounds():
    image = observed(np.random.default_rng(12), np.zeros((64, 64)))
    image[30:33, 30:36] += 20_000
    found = flag_cosmic_rays(image, VARIANCE, GAIN, SKY)
    assert found[30:33, 30:36].all()
    assert flag_cosmic_rays(image, VARIANCE, GAIN, SKY, iterations=1).sum() <= found.sum()


def test_pixels_of_no_known_variance_are_not_flagged():
    image = observed(np.random.default_rng(13), np.zeros((64, 64)))
    image[20, 20] = image[40, 40] = 5000
    variance = np.full(image.shape, VARIANCE, np.float32)
    variance[20, 20] = np.inf
    found = flag_cosmic_rays(image, variance, GAIN, SKY)
    assert not found[20, 20]
    assert found[40, 40]


def test_the_image_given_is_not_changed():
    image = observed(np.random.default_rng(14), np.zeros((64, 64)))
    image[20, 20] = 5000
    before = image.copy()
    assert flag_cosmic_rays(image, VARIANCE, GAIN, SKY)[20, 20]
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": 0}, "gain"),
        ({"sigma_clip": -1}, "sigma_clip"),
        ({"neighbour_fraction": 2}, "neighbour_fraction"),
        ({"mask": np.zeros((2, 2), bool)}, "mask has shape"),
        ({"variance": np.ones((2, 2))}, "variance has shape"),
        ({"image": np.ones(5)}, "two dimensions"),
    ],
)
def test_mistaken_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        flag_cosmic_rays(**({"image": np.ones((5, 5)), "variance": 1.0, "gain": 1.0} | arguments))


@pytest.mark.real
def test_efosc2_exposures_have_plausible_numbers_of_hits(real_data):
    """The same sky three times: what is flagged in one exposure must not be flagged at that place in the others."""
    biases = [fits.getdata(path).astype(np.float32) for path in sorted((real_data / "efosc2").glob("*2022-01-26*"))]
    flats = [fits.getdata(path).astype(np.float32) for path in sorted((real_data / "efosc2").glob("*2022-01-28T00*"))]
    bias, flat = np.median(biases, axis=0), np.median(flats, axis=0)
    bad = hot_pixels(bias) | cold_pixels(flat - bias)
    flags = []
    for path in sorted((real_data / "efosc2").glob("*2022-01-28T0[45]*")):
        image = fits.getdata(path) - bias
        found = clipped_statistics(image, mask=bad)
        flags.append(flag_cosmic_rays(image, found.sigma**2, 1.1, found.median, mask=bad))
    fractions = [found.mean() for found in flags]
    assert all(1e-4 < fraction < 5e-3 for fraction in fractions)
    assert (flags[0] & flags[1]).sum() < 0.1 * flags[0].sum()
