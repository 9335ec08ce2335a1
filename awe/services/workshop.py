"""What people look at, made on demand: once, however many ask; a few at a time; kept in memory and on disk."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cachetools import LRUCache

from awe.errors import Busy, StoreUnavailable
from awe.file_cache import FileCache

log = logging.getLogger(__name__)

LARGEST_IN_MEMORY = 1 << 22
"""Bytes of the largest thing that is kept in memory; what is larger is read from disk again."""


LARGE = 1 << 20
"""Bytes from which a thing is written to disk after it was sent: nobody waits for what is found in memory."""
MOST_UNWRITTEN = 16
"""Large things that may wait for being written; further ones are written before they are sent."""
QUICK = 500_000
"""Pixels up to which a picture is made again as fast as it is found on disk: it is kept in memory only."""


class Workshop:
    """Makes things by name and keeps them: equal requests wait for one maker, and too many are turned away.

    A name says all that the content depends on, so that what is kept is right for ever.
    """

    def __init__(self, folder: Path, disk_bytes: int, memory_bytes: int, makers: int, waiting: int) -> None:
        self._files = FileCache(folder, disk_bytes, keep_seconds=0.0)
        self._memory: LRUCache[str, bytes] = LRUCache(memory_bytes, getsizeof=len)
        self._making: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._free = threading.Semaphore(makers)
        self._admitted, self._most = 0, makers + waiting
        self._largest = min(LARGEST_IN_MEMORY, memory_bytes)
        self._writer = ThreadPoolExecutor(1, "workshop")
        self._unwritten = threading.Semaphore(MOST_UNWRITTEN)

    def get(self, name: str, make: Callable[[], bytes], on_disk: bool = True) -> bytes:
        """Return a thing; make it and keep it if it is not there. Raise Busy if too many others are being made.

        What is made as fast as it is read from disk, and can't be counted, is kept in memory only.
        """
        return self.find(name, on_disk) or self._made_once(
            name, lambda: self.find(name, on_disk) or self._kept(name, make(), on_disk)
        )

    def path(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return the path of a large thing; let `write` write it if it is not there. Open it at once.

        Not to be called by what is being made itself: who holds a place must not wait for another.
        """
        found = self._files.find(name)
        while found is None:
            self._made_once(name, lambda: self._written(name, write))
            found = self._files.find(name)
        return found

    def find(self, name: str, on_disk: bool = True) -> bytes | None:
        """Return a thing if it is there."""
        with self._lock:
            kept = self._memory.get(name)
        if kept is not None or not on_disk:
            return kept
        path = self._files.find(name)
        try:
            found = path.read_bytes() if path else None
        except FileNotFoundError:  # another process made room in between
            return None
        if found is not None:
            self._remember(name, found)
        return found

    @contextmanager
    def bench(self) -> Iterator[None]:
        """Hold a place to work at, for what is made but not kept, such as a stream; raise Busy if all are taken."""
        with self._lock:
            if self._admitted >= self._most:
                raise Busy(
                    f"{self._admitted} pictures are being made or waited for, which is the most at a time: "
                    "try again in a moment"
                )
            self._admitted += 1
        try:
            with self._free:
                yield
        finally:
            with self._lock:
                self._admitted -= 1

    def _made_once(self, name: str, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            promised = self._making.get(name)
            mine = promised is None
            if promised is None:
                promised = self._making[name] = Future()
        if mine:
            self._fulfil(name, promised, make)
        return promised.result()

    def _fulfil(self, name: str, promised: "Future[bytes]", make: Callable[[], bytes]) -> None:
        try:
            with self.bench():
                made = make()
        except BaseException as error:  # noqa: BLE001 - all who wait must hear of it
            promised.set_exception(error)
        else:
            promised.set_result(made)
        finally:
            with self._lock:
                del self._making[name]

    def _kept(self, name: str, made: bytes, on_disk: bool) -> bytes:
        self._remember(name, made)
        if on_disk and LARGE < len(made) <= self._largest and self._unwritten.acquire(blocking=False):
            self._writer.submit(self._write_later, name, made)
        elif on_disk:
            self._write(name, made)
        return made

    def settle(self) -> None:
        """Wait until all that is to be kept on disk is there."""
        self._writer.submit(lambda: None).result()

    def _write_later(self, name: str, made: bytes) -> None:
        try:
            self._write(name, made)
        except (OSError, StoreUnavailable) as error:
            log.warning("%s was sent, but is not kept on disk: %s", name, error)
        finally:
            self._unwritten.release()

    def _write(self, name: str, made: bytes) -> None:
        with self._files.part(name) as part:
            part.write_bytes(made)

    def _written(self, name: str, write: Callable[[Path], None]) -> bytes:
        if self._files.find(name) is None:
            with self._files.part(name) as part:
                write(part)
        return b""

    def _remember(self, name: str, made: bytes) -> None:
        if len(made) <= self._largest:
            with self._lock:
                self._memory[name] = made
