"""Many cutouts at once: neighbours from one read, several reads at a time, memory bounded."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from awe.kernels.sections import Section
from awe.services.cutout import Plan, finished, read
from awe.services.stored_frames import Plane
from awe.store import Store

TILE = 512
"""Side of the squares of a frame whose cutouts are read together, pixel."""
WASTE = 8.0
"""Pixels that may be read for each one that is needed: a read costs as much as some hundred thousand pixels more."""
READERS = 4
AHEAD = 6
"""Groups that are read before they are wanted."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Group:
    """Cutouts that are made from one read."""

    plans: tuple[tuple[int, Plan], ...]
    box: Section


def cut_many(
    store: Store, plans: Sequence[Plan], finish: Callable[[Plan, np.ndarray], Made]
) -> Iterator[tuple[int, Made | None]]:
    """Yield (index, what `finish` makes of the plan and its image) for each plan; None for those wholly outside.

    They come in the order of their frames and places there, not in that of the plans.
    """
    yield from ((i, None) for i, plan in enumerate(plans) if plan.part is None)

    def made(group: Group) -> list[tuple[int, Made | None]]:
        first = group.plans[0][1]
        pixels = read(store, first, group.box)
        corner = group.box.x0, group.box.y0
        return [(i, finish(plan, finished(plan, pixels, corner))) for i, plan in group.plans]

    for results in _ahead(groups(plans), made):
        yield from results


def groups(plans: Sequence[Plan]) -> list[Group]:
    """Return the plans in groups: neighbours on the same image, unless much would be read between them."""
    tiles: dict[tuple[str, Plane, int, int], list[tuple[int, Plan]]] = {}
    for i, plan in enumerate(plans):
        if plan.part is not None:
            frame, part = plan.spot.frame, plan.part
            key = (frame.filename, plan.plane, (part.y0 + part.y1) // (2 * TILE), (part.x0 + part.x1) // (2 * TILE))
            tiles.setdefault(key, []).append((i, plan))
    found: list[Group] = []
    for _, members in sorted(tiles.items(), key=lambda entry: entry[0]):
        found += _joined(members)
    return found


def _joined(members: list[tuple[int, Plan]]) -> list[Group]:
    boxes = [plan.part for _, plan in members if plan.part is not None]
    around = Section(
        min(b.x0 for b in boxes), max(b.x1 for b in boxes), min(b.y0 for b in boxes), max(b.y1 for b in boxes)
    )
    if around.size <= WASTE * sum(box.size for box in boxes) + TILE * TILE // 8:
        return [Group(tuple(members), around)]
    return [Group((member,), box) for member, box in zip(members, boxes, strict=True)]


def _ahead(work: Iterable[Group], make: Callable[[Group], Made]) -> Iterator[Made]:
    """Yield the results in order; a few are made ahead, by some threads."""
    stopped = threading.Event()

    def unless_stopped(group: Group) -> Made | None:
        return None if stopped.is_set() else make(group)

    waiting: deque[Future[Made | None]] = deque()
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="cutouts")
    try:
        for group in work:
            waiting.append(pool.submit(unless_stopped, group))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()  # type: ignore[misc]
        while waiting:
            yield waiting.popleft().result()  # type: ignore[misc]
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
