"""Combining calibrations holds no more in memory for many frames than for few."""

import gc
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from awe.kernels.choices import Combine
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


def test_frames_of_other_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="different sizes"):
        combined(scratch_in(tmp_path), [2, 3], lambda n: np.zeros((n, 4), np.float32), Combine.MEAN, 3.0)
