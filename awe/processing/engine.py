"""Execute a plan on a pool of processes; what fails is reported at the end, the rest goes on."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from awe.config import Settings
from awe.database import short_transaction
from awe.local import start_data_server
from awe.model.lineage import inputs
from awe.model.observation import GridTarget
from awe.model.persistent import persistent_class
from awe.processing.claims import process_started
from awe.processing.orders import Order, filled, needs, orders
from awe.processing.plan import Plan
from awe.processing.tasks import check_processes
from awe.processing.worker import Result, begin, carry_out

Progress = Callable[[Order, Result | None, int, int], None]
"""Called with an order when it starts (result None) and when it ends, with the number done and in all."""


@dataclass
class Outcome:
    """What became of a plan."""

    made: dict[int, int] = field(default_factory=dict)
    """Object number of the product of each step."""
    failed: dict[int, str] = field(default_factory=dict)
    """Reason for each step that failed."""
    skipped: dict[int, str] = field(default_factory=dict)
    """For each step that could not start, the reason for the failed step it needs."""
    results: list[tuple[Order, Result]] = field(default_factory=list)


def execute(plan: Plan, engine: Engine, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Make all steps of a plan, each as soon as its inputs are there."""
    run = _Run({order.number: order for order in _prepared(plan, engine, settings)}, progress)
    if not run.waiting:
        return run.outcome
    with data_server(settings) as connected:
        if connected.workers == 1 or len(run.waiting) == 1:
            run.alone(connected)
        else:
            run.pooled(connected)
    return run.outcome


@contextmanager
def data_server(settings: Settings) -> Iterator[Settings]:
    """Yield settings with the address of a data server; one for the local folder is started if none is named."""
    if settings.data_server:
        yield settings
        return
    with start_data_server(settings.data_folder) as server:
        yield replace(settings, data_server=server.address)


def _prepared(plan: Plan, engine: Engine, settings: Settings) -> list[Order]:
    """Store the grid targets that the plan brings along, and return its orders."""
    with short_transaction(engine) as session:
        check_processes(session, {type(step.product).__name__ for step in plan.steps})
    for grid in plan.new_grids:
        grid.object_id = _stored(grid, engine, settings)
    return orders(plan)


def _stored(grid: GridTarget, engine: Engine, settings: Settings) -> int:
    """Return the number of a grid target, which another process may store at the same moment."""
    names = [c.key for c in GridTarget.__table__.columns if c.key != "object_id"]
    while True:
        with short_transaction(engine) as session:
            known = session.scalars(select(GridTarget.object_id).where(GridTarget.name == grid.name)).first()
        if known is not None:
            return int(known)
        added = GridTarget(**{name: getattr(grid, name) for name in names})
        added.creator, added.project = settings.user, settings.project
        with suppress(IntegrityError), short_transaction(engine) as session:
            session.add(added)


class _Run:
    """The state of one execution: what waits, what runs, what is done."""

    def __init__(self, waiting: dict[int, Order], progress: Progress | None) -> None:
        self.waiting = waiting
        self.total = len(waiting)
        self.outcome = Outcome()
        self._progress = progress
        self._missing = {number: len(needs(order)) for number, order in waiting.items()}
        self._needed_by: dict[int, list[int]] = {}
        for number, order in waiting.items():
            for step in needs(order):
                self._needed_by.setdefault(step, []).append(number)
        self._place = {number: place for place, number in enumerate(waiting)}
        self._startable = [(self._place[number], number) for number, missing in self._missing.items() if not missing]

    def alone(self, settings: Settings) -> None:
        """Carry out the orders in this process."""
        while (order := next(self._ready(), None)) is not None:
            self._end(order, carry_out(self._start(order), settings))

    def pooled(self, settings: Settings) -> None:
        """Carry out the orders on a pool of processes; a broken pool is made anew once for each order it lost."""
        running: dict[Future[Result], Order] = {}
        broken: set[int] = set()
        while self.waiting or running:
            with _pool(settings.workers) as pool:
                try:
                    self._feed(pool, running, settings)
                except BrokenProcessPool:
                    self._take_back(running, broken)
                except KeyboardInterrupt:
                    pool.shutdown(cancel_futures=True)  # what runs may end: its products are kept
                    raise

    def _feed(self, pool: ProcessPoolExecutor, running: dict[Future[Result], Order], settings: Settings) -> None:
        while True:
            for order in self._ready():
                started = self._start(order)
                try:
                    with _own_main():
                        running[pool.submit(carry_out, started, settings)] = order
                except BrokenProcessPool:
                    self._put_back(order)
                    raise
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                order = running[future]
                result = future.result()
                del running[future]
                self._end(order, result)

    def _take_back(self, running: dict[Future[Result], Order], broken: set[int]) -> None:
        """Put orders whose worker died back, or fail them if that happened before."""
        for order in running.values():
            if order.number in broken:
                reason = f"{order.target}: the worker process died twice (out of memory?)"
                self._end(order, Result(order.number, None, reason))
            else:
                broken.add(order.number)
                self._put_back(order)
        running.clear()

    def _put_back(self, order: Order) -> None:
        self.waiting[order.number] = order
        heappush(self._startable, (self._place[order.number], order.number))

    def _ready(self) -> Iterator[Order]:
        """Yield the orders that can start, in the order of the plan; fail those whose inputs failed."""
        while self._startable:
            order = self.waiting[heappop(self._startable)[1]]
            lost = self._lost(order)
            if lost is None:
                yield order
            else:
                del self.waiting[order.number]
                self.outcome.skipped[order.number] = lost
                self._end(order, Result(order.number, None, f"not started: {lost}"))

    def _lost(self, order: Order) -> str | None:
        """Return why an order can't start, some of its inputs having failed; None if it can do without them."""
        roles = inputs(persistent_class(order.class_name))
        tolerant = persistent_class(order.class_name).TOLERATES
        for role in roles:
            value: Any = order.inputs[role]
            steps = [v.step for v in (value if isinstance(value, list) else [value]) if hasattr(v, "step")]
            failed = [s for s in steps if s in self.outcome.failed or s in self.outcome.skipped]
            if failed and (role not in tolerant or len(failed) == len(value)):
                return self._why_lost(failed[0])
        return None

    def _why_lost(self, step: int) -> str:
        return self.outcome.failed.get(step) or self.outcome.skipped[step]

    def _start(self, order: Order) -> Order:
        self.waiting.pop(order.number, None)
        if self._progress:
            self._progress(order, None, len(self.outcome.results), self.total)
        return filled(order, self.outcome.made, self.outcome.failed | self.outcome.skipped)

    def _end(self, order: Order, result: Result) -> None:
        if result.object_id is not None:
            self.outcome.made[order.number] = result.object_id
        elif order.number not in self.outcome.skipped:
            self.outcome.failed[order.number] = result.error
        self.outcome.results.append((order, result))
        for number in self._needed_by.get(order.number, ()):
            self._missing[number] -= 1
            if not self._missing[number]:
                heappush(self._startable, (self._place[number], number))
        if self._progress:
            self._progress(order, result, len(self.outcome.results), self.total)


@contextmanager
def _own_main() -> Iterator[None]:
    """Let new processes know no main module: a user's script need not be importable, and is not run again."""
    users = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = users


def get_ready(settings: Settings) -> None:
    """Start the process that workers come from: it loads their modules while the plan is made."""
    if settings.workers > 1:
        _context()
        with _own_main():
            forkserver.ensure_running()


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["awe.processing.preload"])
    return context


def _pool(workers: int) -> ProcessPoolExecutor:
    own = os.getpid(), process_started(os.getpid())
    return ProcessPoolExecutor(workers, mp_context=_context(), initializer=begin, initargs=own)
