"""A process of its own for one measurement, so that its peak memory is its own: `python -m benchmarks.child`."""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any


@dataclass
class Work:
    """What is to be timed: the call, how much it does in one go, and what is to be told of its result."""

    call: Callable[[], Any]
    amount: float = 1.0
    unit: str = ""
    tell: Callable[[Any], dict[str, Any]] = field(default=lambda _: {})
    warm: bool = True
    """Whether calls are made before they are timed: to compile kernels, to fill caches of the system."""
    often: int = 1
    """Calls for each repeat, each timed by itself, and before the first: one short call alone would be a cold one."""
    part: Callable[[Any], float] | None = None
    """Seconds of the work, from what the call returns, of a program that can't do the work alone."""
    external: bool = False
    """Whether another program does the work, whose memory is asked for."""


def peak_megabytes(external: bool) -> float:
    """Return the largest resident memory of this process, or of the programs it ran.

    Of this process it is VmHWM: ru_maxrss would contain what the parent had when it forked.
    """
    if external:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    return _status("VmHWM")


def _status(name: str) -> float:
    """Return one of the sizes of this process, in Mbyte."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1]) * 1024 / 1e6


@contextmanager
def own_memory() -> Iterator[list[float]]:
    """Yield a list whose only entry is the largest memory (Mbyte) meanwhile, without files that are mapped.

    It is looked at every 2 ms: what is shorter is missed.
    """
    largest, end = [0.0], Event()

    def look() -> None:
        while not end.wait(0.002):
            largest[0] = max(largest[0], _status("RssAnon"))

    thread = Thread(target=look)
    thread.start()
    try:
        yield largest
    finally:
        end.set()
        thread.join()


def main() -> None:
    """Do the work that the arguments name, some times over, and print times and memory as JSON."""
    module, function, folder, repeats, options = sys.argv[1:]
    work: Work = getattr(import_module(module), function)(Path(folder), **json.loads(options))
    for _ in range(work.often if work.warm else 0):
        work.call()
    seconds, result = [], None
    for _ in range(int(repeats) * work.often):
        start = time.perf_counter()
        result = work.call()
        seconds.append(time.perf_counter() - start)
        if work.part is not None:
            seconds[-1] = work.part(result)
    found = {"seconds": seconds, "amount": work.amount, "unit": work.unit, "peak": peak_megabytes(work.external)}
    print(json.dumps(found | {"told": work.tell(result)}))


if __name__ == "__main__":
    main()
