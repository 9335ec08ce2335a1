"""A folder of files fetched from elsewhere, kept to a size; shared by threads and processes, and safe to delete."""

import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awe.errors import BadRequest, StoreUnavailable

LOCKS = 256
ABANDONED = 86400  # seconds after which an unfinished download is left by a process that died


class FileCache:
    """Files by name; those that were not used for longest are removed when the folder outgrows its size.

    A file that was used within the last `keep_seconds` is never removed, so that a path just handed out can be opened:
    the size is kept to by what is older. An open file outlives its removal.
    """

    def __init__(self, folder: Path, size: int, keep_seconds: float = 600.0) -> None:
        self.folder, self.size, self.keep_seconds = folder, size, keep_seconds
        self._added = size  # so that the first addition looks at what others have left

    def find(self, filename: str) -> Path | None:
        """Return the path of a cached file and mark it as used now; None if it is not cached."""
        path = self.place(filename)
        try:
            # the date of the content stays: by it, readers know a file whose header they remember
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return None
        return path

    def place(self, filename: str) -> Path:
        """Return where a file lies, or would lie."""
        if not filename or filename.startswith(".") or "/" in filename:
            raise BadRequest(f"{filename!r} is no filename: it must not be empty, start with a dot or contain /")
        return self.folder / "files" / _shard(filename) / filename

    @contextmanager
    def part(self, filename: str) -> Iterator[Path]:
        """Give a path to write to; the file appears under its name when the block ends without an error."""
        path = self.place(filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.folder / "incoming" / f"{filename}.{secrets.token_hex(4)}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            size = part.stat().st_size
            os.replace(part, path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StoreUnavailable(f"no room for {filename} in the cache {self.folder}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        self._make_room(size, path)

    @contextmanager
    def fetching(self, filename: str) -> Iterator[None]:
        """Hold others off who want to fetch the same file, in this process and in others."""
        with self._locked(_shard(filename)):
            yield

    def forget(self, filename: str) -> None:
        """Remove a file."""
        self.place(filename).unlink(missing_ok=True)

    def _make_room(self, added: int, newest: Path) -> None:
        self._added += added
        if self._added * 50 < self.size:
            return  # looking at all files for each addition would cost more than 2 % of the size is worth
        self._added = 0
        with self._locked("evict"):
            self._evict(newest)

    def _evict(self, newest: Path) -> None:
        files = sorted(file for folder in (self.folder / "files").iterdir() for file in _files(folder))
        excess = sum(size for _, size, _ in files) - self.size
        for used, size, path in files:
            if excess <= 0 or used > time.time() - self.keep_seconds:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                excess -= size
        for written, _, path in _files(self.folder / "incoming"):
            if written < time.time() - ABANDONED:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        path = self.folder / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield date of last use, size and path of each file."""
    for file in os.scandir(folder):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue  # removed by another process since
        yield stat.st_atime, stat.st_size, Path(file.path)


def _shard(filename: str) -> str:
    return f"{int(hashlib.sha256(filename.encode()).hexdigest()[:4], 16) % LOCKS:02x}"
