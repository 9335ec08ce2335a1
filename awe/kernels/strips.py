"""Work on strips of an image, side by side on all processors."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

Made = TypeVar("Made")


def strips_of(rows: int, size: int, most: int) -> list[tuple[int, int]]:
    """Return the first row and the row after the last of strips of about `most` of `size` bytes or pixels.

    >>> strips_of(10, 1000, 400)
    [(0, 5), (5, 10)]
    """
    count = max(1, min(rows, round(size / most)))
    return list(pairwise(rows * i // count for i in range(count + 1)))


def side_by_side(work: Callable[[int, int], Made], strips: Iterable[tuple[int, int]]) -> Iterator[Made]:
    """Yield what `work` makes of each strip (first row, row after the last), in their order.

    The strips must not depend on each other, and the work must let others run while it computes: numba functions with
    `nogil`, numpy, compression. One that is itself such a strip must not ask for others.
    """
    return _workers(os.getpid()).map(lambda strip: work(*strip), strips)


@cache
def _workers(_process: int) -> ThreadPoolExecutor:
    """Return the threads of this process; those of its parent did not come along."""
    return ThreadPoolExecutor(os.cpu_count() or 1, "strips")
