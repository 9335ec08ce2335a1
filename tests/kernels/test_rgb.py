"""Colour pictures: the same as astropy's, colours kept at any brightness, rows from the top."""

import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb

from awe.kernels.rgb import lupton_rgb, plain_rgb
from awe.kernels.stretch import Stretch, apply_stretch

BLACK, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.fixture
def bands():
    """Three images with noise and sources up to ten thousand times as bright."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:600, :257]
    images = [rng.normal(10, 2, x.shape) for _ in range(3)]
    for _ in range(40):
        x0, y0, flux = rng.uniform(0, 257), rng.uniform(0, 600), 10 ** rng.uniform(1, 5)
        for index in range(3):
            images[index] += flux * rng.uniform(0.3, 3) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 10)
    return tuple(image.astype(np.float32) for image in images)


@pytest.mark.parametrize(("stretch", "q"), [(5.0, 8.0), (30.0, 2.0), (0.5, 20.0), (12.0, 0.5), (3.0, 150.0)])
def test_it_is_what_astropy_draws(bands, stretch, q):
    shown = lupton_rgb(bands, (9.0, 9.0, 9.0), ONE, stretch, q)
    expected = make_lupton_rgb(*bands, minimum=9.0, stretch=stretch, Q=q)[::-1]

    # astropy cuts off what this rounds, and single precision moves a value over an edge now and then
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_scale_and_black_hold_for_each_band(bands):
    black, scale = (9.0, 10.0, 11.0), (2.0, 1.0, 0.5)
    prepared = tuple(((b - k) * s).astype(np.float32) for b, k, s in zip(bands, black, scale, strict=True))

    shown = lupton_rgb(bands, black, scale, 5.0, 8.0).astype(int)
    assert np.abs(shown - lupton_rgb(prepared, BLACK, ONE, 5.0, 8.0)).max() <= 1


def test_the_colour_does_not_depend_on_brightness():
    brightness = np.geomspace(10, 1e6, 400, dtype=np.float32)[None, :]
    shown = lupton_rgb((3 * brightness, 2 * brightness, brightness), BLACK, ONE, 50.0, 8.0)[0].astype(float)
    bright = shown[shown[:, 0] > 150]

    assert len(bright) > 200
    # rounding moves a level by half, of 150 or more
    assert np.allclose(bright[:, 1] / bright[:, 0], 2 / 3, atol=0.006)
    assert np.allclose(bright[:, 2] / bright[:, 0], 1 / 3, atol=0.006)


def test_q_0_is_linear():
    ramp = np.linspace(0, 50, 51, dtype=np.float32)[None, :]
    shown = lupton_rgb((ramp, ramp, ramp), BLACK, ONE, 10.0, 0.0)[0, :, 0]

    assert np.abs(shown - np.minimum(255 * ramp[0] / 10.0, 255)).max() <= 0.5 + 1e-3


def test_rows_are_from_the_top_down_whatever_the_number_of_threads(bands):
    alone = lupton_rgb(bands, BLACK, ONE, 5.0, 8.0, threads=1)

    assert np.array_equal(lupton_rgb(bands, BLACK, ONE, 5.0, 8.0, threads=3), alone)
    upside_down = tuple(b[::-1] for b in bands)
    assert np.array_equal(lupton_rgb(upside_down, BLACK, ONE, 5.0, 8.0)[::-1], alone)


def test_pixels_without_a_value_are_black_in_their_band(bands):
    red = bands[0].copy()
    red[10, 20], red[11, 20] = np.nan, np.inf
    shown = lupton_rgb((red, bands[1], bands[2]), BLACK, ONE, 5.0, 8.0)[::-1]

    assert (shown[10, 20, 0], shown[11, 20, 0]) == (0, 0)
    assert shown[10, 20, 1:].min() > 0
    nothing = np.full((3, 4), np.nan, np.float32)
    assert not lupton_rgb((nothing, nothing, nothing), BLACK, ONE, 5.0, 8.0).any()


def test_a_constant_image_is_of_one_colour():
    flat = np.full((5, 7), 3.0, np.float32)

    assert len(np.unique(lupton_rgb((flat, flat, flat), BLACK, ONE, 5.0, 8.0))) == 1


def test_any_number_type_and_byte_order_is_taken(bands):
    other = tuple(b.astype(">f4") for b in bands)

    assert np.array_equal(lupton_rgb(other, BLACK, ONE, 5.0, 8.0), lupton_rgb(bands, BLACK, ONE, 5.0, 8.0))


@pytest.mark.parametrize("curve", list(Stretch))
def test_plain_pictures_draw_each_band_by_itself(bands, curve):
    shown = plain_rgb(bands, (8.0, 9.0, 10.0), (50.0, 60.0, 70.0), curve)

    for i, (band, low, high) in enumerate(zip(bands, (8.0, 9.0, 10.0), (50.0, 60.0, 70.0), strict=True)):
        assert np.array_equal(shown[::-1, :, i], apply_stretch(band, low, high, curve))


@pytest.mark.parametrize(
    "change",
    [
        {"stretch": 0.0},
        {"stretch": np.nan},
        {"q": -1.0},
        {"black": (0.0, np.nan, 0.0)},
        {"scale": (1.0, 1.0)},
    ],
)
def test_absurd_levels_are_refused(bands, change):
    with pytest.raises(ValueError, match=r"stretch|finite"):
        lupton_rgb(bands, **({"black": BLACK, "scale": ONE, "stretch": 5.0, "q": 8.0} | change))


def test_images_of_several_shapes_are_refused(bands):
    with pytest.raises(ValueError, match="of one shape"):
        lupton_rgb((bands[0][:5], bands[1], bands[2]), BLACK, ONE, 5.0, 8.0)
    with pytest.raises(ValueError, match="rising order"):
        plain_rgb(bands, ONE, ONE)
