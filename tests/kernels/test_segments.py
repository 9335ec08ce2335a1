"""Pixels of sources in short, and apertures laid on them, beside the detection that found the sources."""

import numpy as np
import pytest

from awe.kernels.detection import catalogue_of, find
from awe.kernels.flags import PixelFlag
from awe.kernels.planes import Rows, scene
from awe.kernels.segments import RUNS, Segments, circles_at, segments_of

SHAPE, NOISE, GAIN = (220, 180), 5.0, 1.7


@pytest.fixture(scope="module")
def field():
    """A crowded field with bad and saturated pixels: blends, neighbours, stars on the border."""
    rng = np.random.default_rng(41)
    y, x = np.indices(SHAPE)
    image = rng.normal(0, NOISE, SHAPE)
    for _ in range(90):
        a, b, flux = rng.uniform(-2, SHAPE[1] + 2), rng.uniform(-2, SHAPE[0] + 2), 10 ** rng.uniform(2.5, 5)
        image += flux / (2 * np.pi * 4) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8)
    flags = np.where(image > 2500, PixelFlag.SATURATED, 0).astype(np.uint8)
    weight = np.full(SHAPE, 1 / NOISE**2, np.float32)
    flags[:, 77] |= np.uint8(PixelFlag.HOT)
    weight[flags > 0] = 0
    return scene(Rows(image.astype(np.float32), weight, flags), GAIN)


@pytest.fixture(scope="module")
def found(field):
    return find(field, threshold=5.0)


@pytest.mark.parametrize(("y0", "y1"), [(0, 220), (31, 32), (100, 100), (57, 203)])
def test_segments_give_the_segmentation_back(found, y0, y1):
    assert np.array_equal(segments_of(found).segmentation(y0, y1), found.segmentation(y0, y1))


def test_segments_are_far_fewer_than_pixels(found):
    runs = segments_of(found).runs

    assert runs["length"].sum() == (found.segmentation(0, SHAPE[0]) > 0).sum()
    assert len(runs) < runs["length"].sum() / 3


def test_circles_hold_what_the_detection_found_in_them(field, found):
    rows = catalogue_of(field, found, apertures=(4.0, 19.0))
    sums = circles_at(field, segments_of(found), rows["XWIN_IMAGE"], rows["YWIN_IMAGE"], (2.0, 9.5))
    plain = circles_at(field, Segments(np.zeros(0, RUNS), SHAPE), rows["XWIN_IMAGE"], rows["YWIN_IMAGE"], (2.0, 9.5))

    assert len(rows) > 40
    assert sums.flux == pytest.approx(rows["FLUX_APER"], rel=1e-6)
    assert sums.error == pytest.approx(rows["FLUXERR_APER"], rel=1e-6)
    assert (sums.outside[:, 1] > 0).any()
    # the neighbours matter here
    assert (plain.flux[:, 1] > 1.01 * sums.flux[:, 1]).mean() > 0.2


def test_a_frame_too_large_for_one_piece_gives_the_same():
    shape = (4200, 4100)
    image = np.zeros(shape, np.float32)
    places = np.array([[510.0, 511.0], [508.2, 514.6], [3000.3, 4000.7], [20.5, 4199.0]])
    for x, y in places:
        j, i = np.mgrid[max(0, int(y) - 12) : min(shape[0], int(y) + 13), int(x) - 12 : int(x) + 13]
        image[j, i] += 1e4 * np.exp(-((i - x) ** 2 + (j - y) ** 2) / 4)
    runs = np.array([(1, 509, 510, 3), (1, 509, 511, 3), (2, 507, 515, 4)], RUNS)
    large = circles_at(scene(Rows(image, rms=1.0)), Segments(runs, shape), *places.T, (3.0, 8.0), threads=2)

    for k, (x, y) in enumerate(places):
        y0, y1 = max(0, int(y) - 50), min(shape[0], int(y) + 50)
        part = runs.copy()
        part["y"] -= y0
        part = part[(part["y"] >= 0) & (part["y"] < y1 - y0)]
        alone = scene(Rows(image[y0:y1], rms=1.0))
        every = np.array([[x, y - y0]] * len(places))
        cut = circles_at(alone, Segments(part, (y1 - y0, shape[1])), *every.T, (3.0, 8.0))
        assert large.flux[k] == pytest.approx(cut.flux[k], rel=1e-6)


def test_a_frame_without_sources_has_no_sums(field):
    assert circles_at(field, Segments(np.zeros(0, RUNS), SHAPE), [], [], (2.0, 9.5)).flux.shape == (0, 2)
