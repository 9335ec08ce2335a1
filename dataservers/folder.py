"""The folder of a data server: files in 256 shards, which appear there only when they are whole and on disk."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dataservers.inventory import Entry, Inventory
from dataservers.refusal import Refused

log = logging.getLogger(__name__)

CHUNK = 1 << 20
HANDED = ".handed"
FORGOTTEN = 3600  # seconds after which a file that was put here, but not handed over, is left by a program that died
RESERVE = 16 << 20  # bytes of free disk that uploads leave, for the inventory
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderBusyError(Exception):
    """Another server works on this folder."""


class Folder:
    """Files by name below `files/`, unfinished uploads in `incoming/`, removed files in `deleted/`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._files, self._incoming, self._deleted = (self.path / n for n in ("files", "incoming", "deleted"))
        for folder in (self._files, self._incoming, self._deleted):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = self._locked()
        for part in self._incoming.iterdir():
            log.info("removed %s, left over from an upload that was cut off", part.name)
            part.unlink()
        self._commits = [threading.Lock() for _ in range(256)]
        self.inventory = Inventory(self.path / "inventory.db")

    def _locked(self) -> IO[str]:
        file = open(self.path / "server.json", "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the server lives
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = json.loads(file.read() or "{}")
            message = f"{self.path} is served already, by process {owner.get('pid')} at {owner.get('address')}"
            raise FolderBusyError(message) from error
        return file

    def announce(self, address: str) -> None:
        """Write into the folder where it is served, for those who find it locked."""
        self._lock_file.truncate(0)
        self._lock_file.write(json.dumps({"pid": os.getpid(), "address": address}))
        self._lock_file.flush()

    def file(self, name: str) -> Path:
        """Return where a file of this name lies, or would lie."""
        return self._files / _shard(name) / name

    def find(self, name: str) -> Entry | None:
        """Return the entry of a file, None if there is no such file; hash it if its checksum is not known."""
        return self.checked(name, self.inventory.find(name))

    def checked(self, name: str, entry: Entry | None) -> Entry | None:
        """Return the entry of a file as `find` does, where that of the inventory is at hand."""
        try:
            there = self.file(name).stat()
        except FileNotFoundError:
            return None
        if entry and (entry.size, entry.mtime_ns) == (there.st_size, there.st_mtime_ns):
            return entry
        return self._enter(name)

    def free(self) -> int:
        """Return the bytes that uploads may still take."""
        return max(0, shutil.disk_usage(self.path).free - RESERVE)

    def receive(self, name: str, pieces: Iterator[bytes], sha256: str | None) -> tuple[Entry, bool]:
        """Keep a file, and say whether it is new; nothing is kept unless all of it is right and on disk."""
        with self._part(name) as part:
            return self._committed(part, name, _written(part, pieces), sha256)

    def place_to_hand_over(self) -> Path:
        """Return where programs of this machine put files for `take_over`, and clear what was forgotten there."""
        for left in self._incoming.glob("*" + HANDED):
            with suppress(FileNotFoundError):
                if left.stat().st_ctime < time.time() - FORGOTTEN:
                    left.unlink()
        return self._incoming

    def take_over(self, name: str, handed: str, sha256: str | None) -> tuple[Entry, bool]:
        """Keep a file that lies where files are handed over, without a copy of it; else as `receive`.

        It gets read-only: who handed it over may still have it under another name.
        """
        offered = self._incoming / handed
        if offered.is_symlink() or not offered.is_file():
            raise Refused(422, f"no plain file {handed} was handed over for {name}: send it")
        with self._part(name) as part:
            offered.rename(part)
            return self._committed(part, name, _sealed(part), sha256)

    def _committed(self, part: Path, name: str, found: str, sha256: str | None) -> tuple[Entry, bool]:
        """Give a file that is on disk its name, unless that is taken; return its entry and whether it is new."""
        if sha256 not in (None, found):
            raise Refused(422, f"{name} arrived damaged: its sha256 is {found}, announced was {sha256}")
        with self._commits[int(_shard(name), 16)]:
            known = self.find(name)
            if known is None:
                self._rename(part, self.file(name))
                return self._enter(name, found), True
        return self.known_is_same(known, found), False

    def known_is_same(self, known: Entry, sha256: str) -> Entry:
        """Return the entry if its file has this checksum, and refuse otherwise: a name stands for one content."""
        if known.sha256 != sha256:
            raise Refused(
                409,
                f"{known.name} exists with other content (sha256 {known.sha256}, offered {sha256}): "
                "files are never overwritten, choose another name",
            )
        return known

    def remove(self, name: str) -> Path:
        """Move a file to `deleted/`, and return where it is now."""
        target = self._deleted / f"{name}.{time.time_ns()}"
        with self._commits[int(_shard(name), 16)]:
            try:
                self._rename(self.file(name), target)
            except FileNotFoundError as error:
                raise Refused(404, f"no file {name}") from error
            self.inventory.remove([name])
        return target

    def reconcile(self, stopped: threading.Event) -> None:
        """Bring the inventory in line with the files; files it does not know are hashed."""
        for shard in sorted(self._files.iterdir()):
            known = self.inventory.shard(shard.name)
            found = {file.name: file.stat() for file in os.scandir(shard)}
            for name, there in found.items():
                if stopped.is_set():
                    return
                entry = known.get(name)
                if entry is None or (entry.size, entry.mtime_ns) != (there.st_size, there.st_mtime_ns):
                    self.find(name)
            self.inventory.remove(name for name in known.keys() - found.keys() if not self.file(name).exists())

    def close(self) -> None:
        """Let go of the inventory and of the folder."""
        self.inventory.close()
        self._lock_file.truncate(0)
        self._lock_file.close()

    @contextmanager
    def _part(self, name: str) -> Iterator[Path]:
        part = self._incoming / f"{name}.{secrets.token_hex(4)}.part"
        try:
            yield part
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise Refused(507, f"no room for {name}: {error.strerror}; {self.free()} bytes are free") from error
        finally:
            part.unlink(missing_ok=True)

    @staticmethod
    def _rename(source: Path, target: Path) -> None:
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            _sync(target.parent.parent)
        source.rename(target)
        _sync(target.parent)

    def _enter(self, name: str, sha256: str | None = None) -> Entry:
        path = self.file(name)
        there = path.stat()
        entry = Entry(name, _shard(name), there.st_size, sha256 or file_sha256(path), there.st_mtime_ns)
        try:
            self.inventory.add(entry)
        except sqlite3.OperationalError as error:
            log.warning(
                "%s is kept, but could not be entered into the inventory (%s); it is hashed again later", name, error
            )
        return entry


def file_sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shard(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:2]


def _written(path: Path, pieces: Iterator[bytes]) -> str:
    """Write pieces to a new file, down to the disk, and return their checksum."""
    checksum: Any = hashlib.sha256()
    with open(path, "xb", buffering=0) as file:
        for piece in pieces:
            checksum.update(piece)
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return str(checksum.hexdigest())


def _sealed(path: Path) -> str:
    """Make a file read-only, see that it is on disk, and return its checksum; only one of our own will do."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file, ThreadPoolExecutor(1) as disk:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise Refused(422, "what was handed over belongs to another user than this data server: send it")
        os.fchmod(descriptor, 0o444)
        written = disk.submit(os.fsync, descriptor)
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        written.result()
        return checksum


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
