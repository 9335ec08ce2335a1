"""Find what is damaged or left over in database, data server and caches, and repair what can be repaired."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, inspect, select, update
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import short_transaction
from awe.errors import BadFile, NotFound
from awe.model.lineage import inputs
from awe.model.persistent import Job, Persistent, concrete_classes, persistent_class, utc_now
from awe.processing.claims import bury, is_dead, process_started
from awe.processing.tasks import register_processes
from awe.store import Store, StoredFile

_UNKNOWN = "has no fingerprint, process or job"
AN_HOUR = 3600.0
"""Seconds for which a file without a row may be that of a product still being written."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    subject: str
    """jobs, scratch, files, rows, products or processes"""
    text: str
    repair: Callable[[], str] | None = None
    """Does the repair and says what it did; None: it needs a person."""


def dead_jobs(engine: Engine) -> Iterator[Finding]:
    """Yield the running jobs whose process is gone."""
    with Session(engine) as session:
        running = list(session.scalars(select(Job).where(Job.state == "running")))
    for job in running:
        if is_dead(job):
            text = f"{job.target} (job {job.job_id}) is said to run, but its process {job.pid} on {job.host} is gone"
            yield Finding("jobs", text, lambda job=job: _bury(engine, job))


def _bury(engine: Engine, job: Job) -> str:
    with short_transaction(engine) as session:
        bury(session, job)
    return "marked as lost"


def give_up(engine: Engine, pid: int, reason: str) -> int:
    """Mark the running jobs of a process of this machine as lost; return how many there were."""
    own = Job.state == "running", Job.pid == pid, Job.host == socket.gethostname()
    with short_transaction(engine) as session:
        values = {"state": "lost", "claim": None, "error": reason, "finished": utc_now()}
        return int(session.execute(update(Job).where(*own).values(**values)).rowcount)


def left_scratch(settings: Settings) -> Iterator[Finding]:
    """Yield the folders for unfinished files of processes that are gone."""
    folder = settings.cache_folder / "work"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.isdigit() and not process_started(int(path.name)):
            yield Finding("scratch", f"{path} was left by a process that is gone", lambda path=path: _remove(path))


def _remove(path: Path) -> str:
    shutil.rmtree(path)
    return "removed"


def file_findings(engine: Engine, store: Store, everything: bool = False) -> Iterator[Finding]:
    """Yield files that no row names (older than an hour, unless `everything`), and rows whose file is not as it was."""
    known = {file.filename: file for file in store.list()}
    rows = _rows_with_files(engine)
    for name in sorted(known.keys() - rows.keys()):
        if everything or time.time() - known[name].modified > AN_HOUR:
            said = f"{name} ({known[name].size} bytes) belongs to no object"
            yield Finding("files", said, lambda name=name: _delete(store, name))
    for name, (number, class_name, wanted) in rows.items():
        fact = _difference(wanted, known.get(name))
        if fact:
            yield _damaged(engine, number, class_name, f"{name} {fact}")


def _delete(store: Store, name: str) -> str:
    store.delete(name)
    return "put aside in `deleted` of the data server"


def _rows_with_files(engine: Engine) -> dict[str, tuple[int, str, StoredFile]]:
    """Return {name of a file: number and class of an object that has it, size and checksum}."""
    found = {}
    with Session(engine) as session:
        for cls in concrete_classes():
            table: Any = inspect(cls).local_table
            if "filename" not in table.c or "object_id" not in table.c:
                continue
            root: Any = Persistent.__table__
            joined = table.join(root, table.c.object_id == root.c.object_id)
            columns = (table.c.filename, table.c.object_id, root.c.class_name, table.c.size, table.c.sha256)
            query = select(*columns).select_from(joined).where(table.c.filename.isnot(None), root.c.is_valid > 0)
            for name, number, class_name, size, sha256 in session.execute(query):
                found[name] = number, class_name, StoredFile(name, size, sha256)
    return found


def _difference(wanted: StoredFile, known: StoredFile | None) -> str:
    if known is None:
        return "is not on the data server"
    if known.size != wanted.size:
        return f"has {known.size} bytes, the database remembers {wanted.size}"
    if known.sha256 != wanted.sha256:
        return f"has sha256 {known.sha256[:12]}..., the database remembers {wanted.sha256[:12]}..."
    return ""


def _damaged(engine: Engine, number: int, class_name: str, fact: str) -> Finding:
    text = f"{class_name} {number}: its file {fact}"
    if inputs(persistent_class(class_name)):
        return Finding("rows", text, lambda: _invalidate(engine, number, f"had a file that {fact}"))
    return Finding("rows", f"{text}; it can't be made again: put the file back from a copy")


def _invalidate(engine: Engine, number: int, fact: str) -> str:
    with short_transaction(engine) as session:
        values = {"is_valid": 0, "judgement": f"doctor: it {fact}"}
        session.execute(update(Persistent.__table__).where(Persistent.__table__.c.object_id == number).values(**values))
    return "judged invalid: `awe make` makes it again"


def deep_findings(engine: Engine, store: Store) -> Iterator[Finding]:
    """Yield the rows whose file, read in full from the data server, has not the checksum it had."""
    for name, (number, class_name, wanted) in _rows_with_files(engine).items():
        with TemporaryDirectory() as folder:
            try:
                Store(store.address, Path(folder)).retrieve(name, wanted.sha256)
            except (BadFile, NotFound) as error:
                yield _damaged(engine, number, class_name, f"{name} is damaged: {error}")


def half_made(engine: Engine) -> Iterator[Finding]:
    """Yield products without fingerprint, process or job; all is written in one transaction, so there is none."""
    made = [cls.__name__ for cls in concrete_classes() if inputs(cls)]
    missing = Persistent.fingerprint.is_(None) | Persistent.process_id.is_(None) | Persistent.job_id.is_(None)
    with Session(engine) as session:
        query = select(Persistent.object_id, Persistent.class_name).where(Persistent.class_name.in_(made), missing)
        for number, class_name in session.execute(query):
            text = f"{class_name} {number} {_UNKNOWN}: it was not made by awe"
            yield Finding("products", text, lambda number=number: _invalidate(engine, number, _UNKNOWN))


def catalogue_findings(engine: Engine) -> Iterator[Finding]:
    """Yield what differs between the process catalogue and the tasks of this program."""
    with Session(engine) as session:
        said = register_processes(session)
        session.rollback()
    for sentence in said:
        yield Finding("processes", sentence, lambda: _register(engine))


def _register(engine: Engine) -> str:
    with short_transaction(engine) as session:
        register_processes(session)
    return "noted in the process catalogue"
