"""Combining calibrations holds no more in memory for many frames than for few."""

import gc
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from awe.kernels.choices import Combine
from awe.kernels.combine import combine
from awe.kernels.noise import DetectorNoise, read_noise
from awe.processing.exposures import combined

SHAPE = (512, 2048)
LIMIT = 256 * 2**20
"""What `combine` may hold of its inputs at once; 80 frames would take 336 MB."""


def scratch_in(folder: Path) -> SimpleNamespace:
    @contextmanager
    def scratch():
        yield folder

    return SimpleNamespace(scratch=scratch)


def peak(count: int, folder: Path) -> int:
    """Return the largest memory (bytes) while frames are combined; each is made when it is asked for."""
    folder.mkdir()
    gc.collect()
    tracemalloc.start()
    made = combined(
        scratch_in(folder), list(range(count)), lambda number: np.full(SHAPE, number, np.float32), Combine.MEDIAN, 3.0
    )
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.image[0, 0] == pytest.approx((count - 1) / 2)
    return found


def test_the_memory_to_combine_frames_does_not_grow_with_their_number(tmp_path):
    few, many = peak(80, tmp_path / "few"), peak(120, tmp_path / "many")
    frame = 4 * SHAPE[0] * SHAPE[1]

    assert many < few + 2 * frame
    assert many < LIMIT + 5 * frame


@pytest.mark.parametrize("method", list(Combine))
def test_as_much_memory_is_held_for_24_frames_as_for_4(method):
    shape = (1024, 512)
    frame, limit = 4 * shape[0] * shape[1], 2**21
    peaks = []
    for count in (4, 24):
        weights = [1.0] * count if method is Combine.WEIGHTED else None
        tracemalloc.start()
        combine(
            lambda number, y0, y1: np.full((y1 - y0, shape[1]), number, np.float32), count, shape, method,
            weights=weights, noise=DetectorNoise(1.0, 5.0), memory_limit=limit,
        )  # fmt: skip
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    # one row of tiles is always held: of 24 frames 3.1 MB, of 4 the 2 MB that they may take
    rows = 4 * 64 * shape[1]
    assert peaks[1] - peaks[0] < 24 * rows - limit + rows
    # image, variance, number as 16 bit; the rows of all frames and those of one, read and scaled
    assert peaks[1] < 2.5 * frame + 28 * rows


def test_as_much_memory_is_held_for_the_read_noise_of_24_frames_as_of_4():
    frame, peaks = 4 * SHAPE[0] * SHAPE[1], []
    for count in (4, 24):
        generator = np.random.default_rng(count)
        tracemalloc.start()
        found = read_noise(generator.normal(0, 5, SHAPE).astype(np.float32) for _ in range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.value == pytest.approx(5, rel=0.01)

    assert peaks[1] < peaks[0] + frame / 2


def test_frames_of_other_sizes_are_named_with_what_to_do(tmp_path):
    raws = ["RawBiasFrame 7", "RawBiasFrame 8", "RawBiasFrame 9"]
    said = r"RawBiasFrame 8 has 4 x 3 pixels \(x, y\), 2 of 3 have 4 x 2; judge the 1 others invalid"
    with pytest.raises(ValueError, match=said):
        combined(
            scratch_in(tmp_path), raws, lambda raw: np.zeros((3 if "8" in raw else 2, 4), np.float32), Combine.MEAN, 3.0
        )
