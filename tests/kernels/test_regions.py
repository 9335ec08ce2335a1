"""The parts of an image on which sources are measured: each source once, with all it needs, and no more in memory."""

import numpy as np
import pytest

from awe.kernels import planes, regions
from awe.kernels.planes import Rows, scene
from awe.kernels.regions import Regions

SHAPE = (4000, 700)


@pytest.fixture(scope="module")
def image():
    """An image whose pixels tell where they are."""
    return np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)


@pytest.fixture(autouse=True)
def small_images_are_large(monkeypatch):
    monkeypatch.setattr(planes, "WHOLE_PIXELS", 1 << 21)


def visited(image, x, y, reach, threads=1):
    """Return for each source the regions (rows, columns) that it was seen in, and the most pixels of a region."""
    seen, largest = [[] for _ in x], [0]

    def measure(plane, x0, y0, chosen):
        largest[0] = max(largest[0], plane.image.size)
        ny, nx = plane.image.shape
        np.testing.assert_array_equal(plane.image, image[y0 : y0 + ny, x0 : x0 + nx])
        for k in chosen:
            seen[k].append((y0, y0 + ny, x0, x0 + nx))

    Regions(scene(Rows(image, rms=1.0)), None, x, y, threads).visit(measure, reach)
    return seen, largest[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_source_is_seen_once_with_all_pixels_within_its_reach(image, threads):
    rng = np.random.default_rng(6)
    x, y, reach = rng.uniform(0, 699, 500), rng.uniform(0, 3999, 500), rng.uniform(3, 60, 500)
    reach[::100] = 400
    seen, _ = visited(image, x, y, reach, threads)

    for k, boxes in enumerate(seen):
        ((low, high, left, right),) = boxes
        assert low <= max(0, y[k] - reach[k])
        assert high >= min(SHAPE[0], y[k] + reach[k])
        assert left <= max(0, x[k] - reach[k])
        assert right >= min(SHAPE[1], x[k] + reach[k])


def test_memory_is_that_of_a_band_and_of_what_its_sources_need(image):
    rng = np.random.default_rng(7)
    x, y = rng.uniform(0, 699, 300), rng.uniform(0, 3999, 300)
    _, largest = visited(image, x, y, 40)

    assert SHAPE[0] * SHAPE[1] > planes.WHOLE_PIXELS
    assert largest <= SHAPE[1] * (regions.BAND_ROWS + 2 * 41)


def test_a_small_image_is_one_region(image):
    small = image[:300]
    seen, largest = visited(small, np.array([3.0, 600.0]), np.array([299.0, 5.0]), 500)

    assert seen == [[(0, 300, 0, 700)]] * 2
    assert largest == small.size
