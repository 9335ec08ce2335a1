"""A track across an exposure gets a map of its own, whose pixels have no weight."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from awe.fits import Planes
from awe.fits_layout import Scaling
from awe.kernels.flags import PixelFlag
from awe.kernels.mesh import SmoothImage
from awe.model import SatelliteMap, WeightFrame
from awe.processing.sky import make_satellite_map, make_weight_frame

SHAPE, SKY, NOISE = (300, 400), 100.0, 5.0


class Held:
    """Planes of frames in memory, by name of the frame; what is written is kept."""

    def __init__(self, **planes):
        self.held, self.written = planes, {}

    def plane(self, frame, name):
        return self.held[frame.name][name]

    def planes(self, frame):
        held = self.held[frame.name].items()
        return Planes(Path(), None, {name: (image, Scaling(1, 0, None)) for name, image in held})

    def sky(self, background):
        return SmoothImage(self.held[background.name]["MESH"], SHAPE)

    def write(self, product, planes, wcs=None):
        self.written = planes


def frame(name, **values):
    return SimpleNamespace(name=name, **values)


def exposed(track):
    generator = np.random.default_rng(51)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across = (y - 40 - 0.5 * x) / np.hypot(1, 0.5)
    light = track * np.exp(-4 * np.log(2) * (across / 4) ** 2)
    return (SKY + light + generator.normal(0, NOISE, SHAPE)).astype(np.float32), light


def searched(image):
    """Return the map that is made of an image, and its flags."""
    none = np.zeros(SHAPE, np.uint8)
    products = Held(reduced={"IMAGE": image, "FLAGS": none}, cosmics={"FLAGS": none})
    made = SimpleNamespace(
        reduced=frame("reduced"), cosmics=frame("cosmics"), parameters=SatelliteMap.Parameters(), bunit=None
    )
    make_satellite_map(made, products)
    return made, products.written["FLAGS"]


def test_the_pixels_of_a_track_are_flagged_and_have_no_weight():
    image, light = exposed(30.0)
    found, flags = searched(image)

    assert found.n_tracks == len(found.tracks) == 1
    assert found.count == (flags > 0).sum() > 0
    assert set(np.unique(flags)) == {0, PixelFlag.SATELLITE}
    assert (flags[light > 0.5 * NOISE] == PixelFlag.SATELLITE).all()

    none = np.zeros(SHAPE, np.uint8)
    products = Held(
        reduced={"IMAGE": image, "FLAGS": none},
        cosmics={"FLAGS": none},
        satellites={"FLAGS": flags},
        background={"MESH": np.full((2, 2), SKY, np.float32)},
    )
    names = {name: frame(name) for name in ("cosmics", "satellites", "background")}
    weighed = SimpleNamespace(
        reduced=frame("reduced", gain=SKY / NOISE**2, noise=0.0), flat=None, bias=None, **names,
        parameters=WeightFrame.Parameters(), bunit=None,
    )  # fmt: skip
    make_weight_frame(weighed, products)

    assert np.array_equal(products.written["WEIGHT"] == 0, flags > 0)
    assert np.array_equal(products.written["FLAGS"], flags)


def test_a_sky_without_tracks_has_an_empty_map():
    found, flags = searched(exposed(0.0)[0])

    assert (found.n_tracks, found.tracks, found.count) == (0, [], 0)
    assert not flags.any()
