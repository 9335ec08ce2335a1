"""What a data server holds: name, size, checksum and date of each file, kept in SQLite beside the files.

The files are the truth: the inventory can be lost at any time and is rebuilt from them.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    name TEXT PRIMARY KEY, shard TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_shard ON file (shard);
"""


@dataclass(frozen=True)
class Entry:
    """One file: its size and date tell whether the checksum still belongs to it."""

    name: str
    shard: str
    size: int
    sha256: str
    mtime_ns: int


class Inventory:
    """Entries by name; one connection, shared by all threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = self._open(path)
        except sqlite3.DatabaseError:
            damaged = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
            log.warning("inventory %s is damaged: put aside as %s, rebuilt from the files", path, damaged.name)
            path.rename(damaged)
            self._connection = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        # A power cut may lose the last entries but harms no file: those are hashed anew.
        connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_SCHEMA}")
        return connection

    def find(self, name: str) -> Entry | None:
        """Return the entry of a name."""
        rows = self._rows("SELECT * FROM file WHERE name = ?", (name,))
        return rows[0] if rows else None

    def shard(self, shard: str) -> dict[str, Entry]:
        """Return the entries of one folder by name."""
        return {entry.name: entry for entry in self._rows("SELECT * FROM file WHERE shard = ?", (shard,))}

    def page(self, after: str, count: int) -> list[Entry]:
        """Return the first entries whose names come after one, by name."""
        return self._rows("SELECT * FROM file WHERE name > ? ORDER BY name LIMIT ?", (after, count))

    def totals(self) -> tuple[int, int]:
        """Return the number of files and of their bytes."""
        with self._lock:
            files, size = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM file").fetchone()
        return int(files), int(size)

    def add(self, entry: Entry) -> None:
        """Enter a file, in place of an older entry of its name."""
        with self._lock:
            self._connection.execute(
                "REPLACE INTO file VALUES (?, ?, ?, ?, ?)",
                (entry.name, entry.shard, entry.size, entry.sha256, entry.mtime_ns),
            )

    def remove(self, names: Iterable[str]) -> None:
        """Strike files out."""
        with self._lock:
            self._connection.executemany("DELETE FROM file WHERE name = ?", [(name,) for name in names])

    def close(self) -> None:
        """Write everything back and let go of the database."""
        with self._lock:
            self._connection.close()

    def _rows(self, statement: str, values: tuple[str | int, ...]) -> list[Entry]:
        with self._lock:
            return [Entry(*row) for row in self._connection.execute(statement, values)]
