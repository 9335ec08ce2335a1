"""Tasks that are given frames of which nothing can be made say which frame it is, and what is the matter with it."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from awe.fits import Planes
from awe.fits_layout import Scaling
from awe.kernels.flags import PixelFlag
from awe.kernels.mesh import SmoothImage
from awe.model import BiasFrame, DarkFrame, DomeFlatFrame, ReadNoise, ReducedFrame, WeightFrame
from awe.processing.bias import make_bias_frame, make_dark_frame
from awe.processing.flat import make_dome_flat_frame
from awe.processing.read_noise import make_read_noise
from awe.processing.reduce import make_reduced_frame
from awe.processing.sky import make_weight_frame

SHAPE = (40, 60)
NONE = np.zeros(SHAPE, np.uint8)
ALL = np.full(SHAPE, PixelFlag.HOT, np.uint8)


class Frame(SimpleNamespace):
    """A frame whose planes are in memory."""

    def __str__(self):
        return self.name


class Held:
    """Gives a task the planes of its frames, and keeps what it writes."""

    def __init__(self, folder):
        self.folder, self.written = folder, None

    def image(self, frame):
        return frame.planes["IMAGE"]

    def plane(self, frame, name):
        return frame.planes[name]

    def planes(self, frame):
        return Planes(self.folder, None, {name: (image, Scaling(1, 0, None)) for name, image in frame.planes.items()})

    def sky(self, background):
        image = background.planes["IMAGE"]
        return SmoothImage(image[:1, :1], image.shape)

    def write(self, product, planes, wcs=None):
        self.written = planes

    @contextmanager
    def scratch(self):
        yield self.folder


@pytest.fixture
def products(tmp_path):
    return Held(tmp_path)


def frame(name, image=0.0, shape=SHAPE, **values):
    planes = {"IMAGE": np.full(shape, image, np.float32), "WEIGHT": np.ones(shape, np.float32), "FLAGS": NONE}
    return Frame(name=name, object_id=5, planes=planes | values.pop("planes", {}), **values)


def raw(name, image=100.0, shape=SHAPE, exptime=10.0):
    ny, nx = shape
    return frame(
        name, image, shape, data_section=f"[1:{nx},1:{ny}]", overscan_sections="", amplifiers=[], gain=1.5,
        header_read_noise=5.0, exptime=exptime, saturation=None, wcs=None,
    )  # fmt: skip


def product(cls, **values):
    noise = Frame(name="noise", value=5.0)
    values = dict.fromkeys(("crosstalk", "linearity", "fringes")) | values
    return Frame(
        name="product", bunit=None, parameters=cls.Parameters(), read_noise=noise, flag=lambda _: None,
        note=lambda _: None, **values,
    )  # fmt: skip


def noisy(raw_frame, seed):
    raw_frame.planes["IMAGE"] += np.random.default_rng(seed).normal(0, 5, raw_frame.planes["IMAGE"].shape)
    return raw_frame


def test_a_flat_without_light_is_named(products):
    flats = [noisy(raw("flat 7", 20_000.0), 1), noisy(raw("flat 8", 0.0), 2), noisy(raw("flat 9", 20_000.0), 3)]
    flats[1].planes["IMAGE"] -= 3
    made = product(DomeFlatFrame, raw_flats=flats, bias=frame("bias"), hot_pixels=frame("hot"))

    with pytest.raises(ValueError, match=r"^flat 8: a flat exposure must have light, its level is -.*judge it invalid"):
        make_dome_flat_frame(made, products)


def test_flats_in_which_all_pixels_are_hot_are_refused(products):
    made = product(
        DomeFlatFrame, raw_flats=[raw("flat 7")], bias=frame("bias"), hot_pixels=frame("hot", planes={"FLAGS": ALL})
    )

    with pytest.raises(ValueError, match="flat 7: a flat exposure must have light"):
        make_dome_flat_frame(made, products)


@pytest.mark.parametrize("exptime", [0.0, None])
def test_a_dark_without_exposure_time_is_named(products, exptime):
    darks = [raw("dark 7"), raw("dark 8", exptime=exptime)]

    with pytest.raises(ValueError, match=f"dark 8 must have an exposure time above 0 s, it has {exptime} s"):
        make_dark_frame(product(DarkFrame, raw_darks=darks, bias=frame("bias")), products)


def test_calibrations_of_another_size_than_the_frame_are_named_with_both_sizes(products):
    darks = [raw("dark 7")]

    with pytest.raises(ValueError, match=r"dark 7: its bias has \(40, 60\) pixels \(y, x\), the exposure \(4, 6\)"):
        darks[0] = raw("dark 7", shape=(4, 6))
        make_dark_frame(product(DarkFrame, raw_darks=darks, bias=frame("bias")), products)


def test_biases_of_another_size_than_the_others_are_named(products):
    biases = [raw("bias 7"), raw("bias 8", shape=(4, 6)), raw("bias 9")]
    for cls, make in ((ReadNoise, make_read_noise), (BiasFrame, make_bias_frame)):
        with pytest.raises(ValueError, match="bias 8 has 6 x 4 pixels"):
            make(product(cls, raw_biases=biases), products)


def test_one_bias_is_a_master_with_the_noise_of_one(products):
    bias = noisy(raw("bias 7"), 4)
    made = product(BiasFrame, raw_biases=[bias])
    make_bias_frame(made, products)

    assert np.array_equal(products.written["IMAGE"], bias.planes["IMAGE"])
    # the gain counts the level above zero as light: there was no overscan to take it off
    assert products.written["WEIGHT"] == pytest.approx(1 / (25 + bias.planes["IMAGE"] / 1.5), rel=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 100.0])
def test_an_exposure_without_a_good_pixel_is_refused(products, value):
    calibrations = {"bias": frame("bias"), "dark": None, "flat": frame("flat", 1.0), "cold_pixels": None}
    flags = {"FLAGS": ALL if np.isfinite(value) else NONE}
    made = product(
        ReducedFrame, raw=raw("exposure 7", value), hot_pixels=frame("hot", planes=flags), saturated_pixels=None,
        **calibrations,
    )  # fmt: skip

    with pytest.raises(ValueError, match="all of its pixels are bad"):
        make_reduced_frame(made, products)


def test_a_frame_without_a_good_pixel_gets_no_weight(products):
    made = product(
        WeightFrame, reduced=frame("reduced", gain=1.5, noise=5.0, planes={"FLAGS": ALL}), flat=None, bias=None,
        cosmics=frame("cosmics"), satellites=None, background=frame("background"),
    )  # fmt: skip

    with pytest.raises(ValueError, match="all pixels of the frame are bad"):
        make_weight_frame(made, products)
