import itertools
from dataclasses import dataclass, field
from threading import Barrier

import numpy as np
import pytest

from awe.kernels.choices import FlagRule
from awe.kernels.coadd import Method, coadd
from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section

TRIALS = 40_000


@dataclass
class Rows:
    """An input in memory that notes what is read of it."""

    image: np.ndarray
    weight: np.ndarray
    flags: np.ndarray | None = None
    x0: int = 0
    y0: int = 0
    asked: list = field(default_factory=list)
    noise: np.ndarray | None = None

    @property
    def region(self):
        ny, nx = self.image.shape
        return Section(self.x0, self.x0 + nx, self.y0, self.y0 + ny)

    def fill(self, section, rows):
        self.asked.append((section.y0, section.y1))
        part = slice(section.y0 - self.y0, section.y1 - self.y0), slice(section.x0 - self.x0, section.x1 - self.x0)
        planes = self.image, self.weight, self.noise, self.flags
        for out, plane, absent in zip(rows, planes, (0, 0, 1, 0), strict=True):
            out[...] = absent if plane is None else plane[part]


def pixels(*values, weights=None, flags=None):
    """Inputs of one pixel each."""
    weights = [1.0] * len(values) if weights is None else weights
    flags = [0] * len(values) if flags is None else flags
    one = [np.full((1, 1), x, np.float32) for x in values]
    return [
        Rows(v, np.full((1, 1), w, np.float32), np.full((1, 1), f, np.uint8))
        for v, w, f in zip(one, weights, flags, strict=True)
    ]


def noise(sigmas, shape=(200, 200), level=50.0, seed=5):
    rng = np.random.default_rng(seed)
    return [Rows(rng.normal(level, s, shape).astype(np.float32), np.full(shape, s**-2.0, np.float32)) for s in sigmas]


def whole(inputs, shape, *args, **kwargs):
    addition = coadd(inputs, shape, *args, **kwargs)
    bands = list(addition.bands())
    planes = (np.concatenate([getattr(band, name) for band in bands]) for name in ("image", "weight", "flags", "count"))
    return *planes, addition.statistics


@pytest.mark.parametrize("method", [Method.WEIGHTED, Method.AVERAGE, Method.MEDIAN, Method.CLIPPED])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 30])
def test_the_weight_is_the_inverse_variance_for_equal_inputs(method, count):
    image, weight, _, used, _ = whole(noise([3.0] * count), (200, 200), method)

    # relative error of a variance from N values: sqrt(2 / N); four of these
    assert image.var(dtype=float) * weight.mean(dtype=float) == pytest.approx(1, abs=4 * np.sqrt(2 / TRIALS))
    assert image.mean(dtype=float) == pytest.approx(50, abs=4 * 3 / np.sqrt(count * TRIALS / 1.6))
    assert used.max() == count


@pytest.mark.parametrize(
    ("method", "slack"), [(Method.WEIGHTED, 0), (Method.AVERAGE, 0), (Method.CLIPPED, 0.005), (Method.MEDIAN, 0.01)]
)
@pytest.mark.parametrize(
    "sigmas", [[1, 3], [2, 3, 4], [2, 2, 3, 3, 4], [2, 3] * 8, [1, 5, 5, 5, 5], [1, 2, 3, 4], [1] * 4 + [4] * 66]
)
def test_the_weight_is_the_inverse_variance_for_unequal_inputs(method, slack, sigmas):
    image, weight, *_ = whole(noise(sigmas), (200, 200), method)

    assert image.var(dtype=float) * weight.mean(dtype=float) == pytest.approx(1, abs=slack + 4 * np.sqrt(2 / TRIALS))


@pytest.mark.parametrize("sigmas", [[3, 3], [3, 3, 3], [3] * 8, [1, 5, 5, 5, 5]])
def test_clipping_loses_hardly_any_good_pixel(sigmas):
    *_, statistics = whole(noise(sigmas), (200, 200), Method.CLIPPED, amplitude=0.0)

    assert all(each.clipped_fraction < 0.004 for each in statistics)


def test_scaled_inputs_are_as_if_given_so():
    first, second = noise([2, 3])
    scaled = Rows(first.image / 4, first.weight * 16)

    expected = whole([first, second], (200, 200))
    found = whole([scaled, second], (200, 200), scales=[4, 1])

    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found[1] == pytest.approx(expected[1], rel=1e-6)


@pytest.mark.parametrize("method", Method)
def test_the_order_of_the_inputs_does_not_matter(method):
    rng = np.random.default_rng(1)
    inputs = noise([1, 2, 3, 4, 5], (30, 40))
    for each in inputs:
        each.weight[rng.random(each.weight.shape) < 0.2] = 0
        each.image[rng.random(each.image.shape) < 0.1] += 500
        each.flags = rng.integers(0, 256, each.image.shape).astype(np.uint8)

    forward, backward = whole(inputs, (30, 40), method), whole(inputs[::-1], (30, 40), method)

    for found, expected in zip(backward[:2], forward[:2], strict=True):
        assert found == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(backward[2], forward[2])
    assert np.array_equal(backward[3], forward[3])
    assert backward[4] == forward[4][::-1]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("method", Method)
def test_bands_and_threads_give_the_same_as_one_piece(method, threads):
    rng = np.random.default_rng(7)
    inputs = []
    for each in noise([1, 2, 3, 4], (60, 40)):
        y0, x0 = rng.integers(0, 30, 2)
        inputs.append(Rows(each.image[y0:], each.weight[y0:], None, int(x0), int(y0)))
    expected = whole(inputs, (60, 80), method)

    found = whole(inputs, (60, 80), method, memory_limit=20_000, threads=threads)

    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found[:4], expected[:4], strict=True))
    assert found[4] == expected[4]


def test_memory_is_bounded_for_any_number_of_inputs():
    inputs = [Rows(each.image, each.weight) for each in noise([1.0] * 4, (100, 50))] * 50
    for each in inputs:
        each.asked.clear()
    limit = 13 * 50 * 200 * 8 + 4 * 11 * 50 * 8  # of eight rows

    bands = list(coadd(inputs, (100, 50), memory_limit=limit).bands())

    assert max(len(band.image) for band in bands) <= 8
    assert sum(len(band.image) for band in bands) == 100
    assert all(y1 - y0 <= 8 for y0, y1 in inputs[0].asked)
    assert len(set(inputs[0].asked)) == len(inputs[0].asked) / 50  # each row of each input once


def test_a_limit_below_one_row_still_makes_progress():
    image, *_ = whole(noise([1.0], (5, 50)), (5, 50), memory_limit=1)

    assert image.mean() == pytest.approx(50, abs=1)


def test_a_satellite_is_clipped_and_counted():
    inputs = noise([3.0] * 3, (50, 50), level=10)
    inputs[1].image[20, :] += 400

    image, weight, _, count, statistics = whole(inputs, (50, 50), Method.CLIPPED)

    assert image[20].mean() == pytest.approx(10, abs=4 * 3 / np.sqrt(2 * 50))
    assert weight[20] == pytest.approx(2 / 9, rel=1e-6)
    assert set(count[20]) == {2}
    assert statistics[1].clipped == pytest.approx(50, abs=2)
    assert (statistics[1].offered, statistics[1].used) == (2500, 2500 - statistics[1].clipped)
    assert statistics[0].clipped_fraction < 0.001


@pytest.mark.parametrize("values", [(10, 900), (900, 10), (10, 12, 900, 905), (11, 11, 800, 900)])
def test_where_half_of_the_inputs_disagree_the_fainter_ones_are_kept(values):
    image, _, _, count, _ = whole(pixels(*values), (1, 1), Method.CLIPPED, amplitude=0.0)

    assert image[0, 0] == pytest.approx(np.mean([value for value in values if value < 100]))
    assert count[0, 0] == len(values) // 2


def test_a_change_of_seeing_does_not_clip_the_core_of_a_star():
    _, _, _, count, _ = whole(pixels(1000, 1200, 850), (1, 1), Method.CLIPPED)

    assert count[0, 0] == 3


def test_nothing_contributes_where_all_is_bad_or_nothing_lies():
    flags = [np.full((4, 4), bit, np.uint8) for bit in (PixelFlag.COSMIC, PixelFlag.SATURATED)]
    inputs = [Rows(np.full((4, 4), np.nan, np.float32), np.ones((4, 4), np.float32), flags[0])]
    inputs += [Rows(np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32), flags[1])]

    for method in Method:
        image, weight, found, count, statistics = whole(inputs, (6, 6), method)

        assert np.isnan(image).all()
        assert not weight.any()
        assert not count.any()
        assert set(found[:4, :4].ravel()) == {PixelFlag.NO_DATA | PixelFlag.COSMIC | PixelFlag.SATURATED}
        assert set(found[4:].ravel()) == {PixelFlag.NO_DATA}
        assert statistics[0].clipped_fraction == 0


def test_flags_are_those_of_the_inputs_that_were_used():
    cosmic, hot, cold, saturated = 8, 1, 2, 4
    inputs = pixels(10, 11, 12, 900, weights=[1, 1, 0, 1], flags=[hot, saturated, cosmic, cold])

    assert whole(inputs, (1, 1), Method.CLIPPED)[2].item() == hot | saturated
    assert whole(inputs, (1, 1), Method.AVERAGE)[2].item() == hot | saturated | cold


def test_no_inputs_make_an_empty_coadd():
    image, _, flags, *_ = whole([], (3, 4))

    assert image.shape == (3, 4)
    assert set(flags.ravel()) == {PixelFlag.NO_DATA}


def test_a_region_beyond_the_grid_is_refused():
    with pytest.raises(ValueError, match="reaches beyond the grid"):
        coadd(noise([1.0], (5, 5)), (4, 4))


@pytest.mark.parametrize("scales", [[1, 2], [0], [np.nan]])
def test_wrong_scales_are_refused(scales):
    with pytest.raises(ValueError, match="1 inputs need as many positive scales"):
        coadd(noise([1.0], (5, 5)), (5, 5), scales=scales)


@pytest.mark.parametrize(
    ("method", "value", "weight"),
    [
        # two Gaussian numbers: variance of the extreme 1 - 1/pi (Nagaraja & David 2003), times the mean variance 2
        (Method.MINIMUM, 3, 1 / (2 * (1 - 1 / np.pi))),
        (Method.MAXIMUM, 7, 1 / (2 * (1 - 1 / np.pi))),
        (Method.SUM, 10, 1 / 4),
        (Method.CHI_SQUARED, 9 + 49 / 3, 1 / 4),
    ],
)
def test_other_ways_to_combine_give_value_and_weight_by_their_formula(method, value, weight):
    found = whole(pixels(3, 7, 100, weights=[1, 1 / 3, 0]), (1, 1), method)

    assert found[0].item() == pytest.approx(value, rel=1e-6)
    assert found[1].item() == pytest.approx(weight, rel=1e-4)
    assert found[3].item() == 2


def test_chi_squared_of_noise_is_the_number_of_inputs():
    image, weight, *_ = whole(noise([1, 2, 3, 4, 5], level=0.0), (200, 200), Method.CHI_SQUARED)

    assert image.mean(dtype=float) == pytest.approx(5, abs=4 * np.sqrt(10 / TRIALS))
    assert weight == pytest.approx(np.full((200, 200), 0.1))


def test_the_noise_of_smoothed_inputs_enters_the_weight_but_not_the_average():
    """The weights say which input is better; how far interpolation smoothed it says how noisy the result is."""
    rng, sigmas, smoothed = np.random.default_rng(3), (2.0, 3.0), (0.5, 0.8)
    inputs = []
    for sigma, share in zip(sigmas, smoothed, strict=True):
        each = Rows(
            rng.normal(50, sigma * np.sqrt(share), (200, 200)).astype(np.float32), np.full((200, 200), sigma**-2)
        )
        each.noise = np.full((200, 200), share, np.float32)
        inputs.append(each)

    for method in (Method.WEIGHTED, Method.CLIPPED, Method.AVERAGE, Method.MEDIAN):
        image, weight, *_ = whole(inputs, (200, 200), method)
        assert image.var(dtype=float) * weight.mean(dtype=float) == pytest.approx(1, abs=4 * np.sqrt(2 / TRIALS))
    weights = np.array(sigmas) ** -2
    assert whole(inputs, (200, 200))[0] == pytest.approx(
        np.average([each.image for each in inputs], axis=0, weights=weights), rel=1e-5
    )


@pytest.mark.parametrize("method", [Method.WEIGHTED, Method.MEDIAN])
@pytest.mark.parametrize(
    ("rule", "expected"), [(FlagRule.OR, 0b0111), (FlagRule.AND, 0b0010), (FlagRule.NOR, 0b1111_1000)]
)
def test_flags_are_joined_as_is_wanted(method, rule, expected):
    inputs = pixels(10, 11, 12, weights=[1, 1, 0], flags=[0b0011, 0b0110, 0b1000])

    assert whole(inputs, (1, 1), method, flags=rule)[2].item() == expected


def test_what_is_held_does_not_grow_with_the_inputs():
    inputs = [Rows(each.image, each.weight) for each in noise([1.0] * 2, (400, 60))]
    depths = []
    for count in (2, 8, 32, 128):
        limit = 13 * 60 * 2 * 128 + 4 * 11 * 60 * 128  # of 128 rows of two inputs
        many = (inputs * count)[:count]
        depths.append(max(len(band.image) for band in coadd(many, (400, 60), memory_limit=limit).bands()))

    assert depths[0] == 128
    assert all(
        deep * (13 * 60 * count + 4 * 11 * 60) <= limit for deep, count in zip(depths, (2, 8, 32, 128), strict=True)
    )


@pytest.mark.parametrize("nx", [100, 2500])
def test_each_of_many_threads_has_a_tile_to_work_on(nx):
    threads, shape = 6, (1600, nx)
    together = Barrier(threads, timeout=60)

    class Waiting:
        region, calls = Section.whole(shape), itertools.count()

        def fill(self, section, rows):
            if next(self.calls) < threads:  # goes on only when all threads are here
                together.wait()
            for plane, value in zip(rows, (2, 1, 1, 0), strict=True):
                plane[...] = value

    found = whole([Waiting()], shape, threads=threads)

    assert (found[0] == 2).all()
