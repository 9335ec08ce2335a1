"""What was done to answer a request, and how long each step took: shown to the user."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One step."""

    step: str
    words: str
    milliseconds: float


@dataclass
class Journal:
    """The steps of one request, in order."""

    entries: list[Entry] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, words: str) -> Iterator[None]:
        """Note what is done within, and how long it takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.entries.append(Entry(name, words, (time.perf_counter() - start) * 1e3))

    def coming(self, name: str, words: str, things: Iterable[T]) -> Iterator[T]:
        """Yield things, and note as a step how long they took to come; not how long who takes them needs."""
        spent, start = 0.0, time.perf_counter()
        for thing in things:
            spent += time.perf_counter() - start
            yield thing
            start = time.perf_counter()
        self.entries.append(Entry(name, words, (spent + time.perf_counter() - start) * 1e3))

    @property
    def total(self) -> float:
        """Milliseconds of all steps."""
        return sum(entry.milliseconds for entry in self.entries)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the steps as JSON holds them."""
        return [{"step": e.step, "what": e.words, "ms": round(e.milliseconds, 3)} for e in self.entries]

    def server_timing(self) -> str:
        """Return the steps as the header Server-Timing has them, which browsers show beside each request."""
        return ", ".join(f"{entry.step};dur={entry.milliseconds:.2f}" for entry in self.entries)
