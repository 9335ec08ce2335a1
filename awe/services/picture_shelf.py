"""Finished pictures on disk, by name, made once even if asked for many times at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from awe.file_cache import FileCache


class PictureShelf:
    """A size-bounded folder of pictures; equal simultaneous requests wait for one maker."""

    def __init__(self, folder: Path, size: int) -> None:
        self._files = FileCache(folder, size, keep_seconds=0.0)
        self._making: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return a picture from the folder; make it and keep it if it is not there."""
        return self._found(name) or self._made_once(name, make)

    def _found(self, name: str) -> bytes | None:
        path = self._files.find(name)
        try:
            return path.read_bytes() if path else None
        except FileNotFoundError:  # another process made room in between
            return None

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
            picture = self._found(name) or self._kept(name, make())
        except BaseException as error:  # noqa: BLE001 - all who wait must hear of it
            promised.set_exception(error)
        else:
            promised.set_result(picture)
        finally:
            with self._lock:
                del self._making[name]

    def _kept(self, name: str, picture: bytes) -> bytes:
        with self._files.part(name) as part:
            part.write_bytes(picture)
        return picture
