"""Claims: that each product is made once, even if asked for by several at the same time, and after any crash."""

import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from awe.database import short_transaction
from awe.model.persistent import Job, Persistent, utc_now

HEARTBEAT = 10.0
"""Seconds between signs of life of a running job."""
SILENCE = timedelta(seconds=120)
"""A job of another machine that was silent for longer is taken for dead."""


def process_started(pid: int) -> float:
    """Return when a process of this machine started, in clock ticks since boot; 0 if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    state, *numbers = text.rpartition(")")[2].split()
    return 0.0 if state == "Z" else float(numbers[18])


def is_dead(job: Job) -> bool:
    """Tell whether the process of a running job is gone."""
    if job.host != socket.gethostname():
        return utc_now() - job.heartbeat > SILENCE
    return process_started(job.pid) != job.process_started


def claim(engine: Engine, job: Job, patience: float = 3600.0) -> Job | Persistent:
    """Return the job, entered as running, or the product that another job finished meanwhile.

    Waits while another live process makes the same; takes over from a dead one.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with short_transaction(engine) as session:
            made = finished(session, job.fingerprint)
            if made is not None:
                return made
            holder = session.scalars(select(Job).where(Job.claim == job.fingerprint)).first()
            if holder is not None and is_dead(holder):
                bury(session, holder)
                holder = None
        if holder is None:
            try:
                return _entered(engine, job)
            except IntegrityError:
                job = _copy(job)
        time.sleep(0.2)
    raise TimeoutError(f"{job.target}: another process has been making it for {patience:g} s")


def _entered(engine: Engine, job: Job) -> Job | Persistent:
    """Enter a job as running; if its product was finished since it was looked for, return that instead."""
    with short_transaction(engine) as session:
        session.add(job)
        session.flush()  # from here on none other can hold the claim, hence none can finish unseen
        made = finished(session, job.fingerprint)
        if made is not None:
            session.delete(job)
        return made or job


def finished(session: Any, fingerprint: str) -> Persistent | None:
    """Return the newest valid product with a fingerprint."""
    query = select(Persistent).where(Persistent.fingerprint == fingerprint, Persistent.is_valid > 0)
    found: Persistent | None = session.scalars(query.order_by(Persistent.object_id.desc()).limit(1)).unique().first()
    return found


def bury(session: Any, job: Job) -> None:
    """Mark the job of a dead process as lost, so that its target can be claimed again."""
    session.execute(
        update(Job)
        .where(Job.job_id == job.job_id, Job.state == "running")
        .values(state="lost", claim=None, error="its process ended without a word", finished=utc_now())
    )


def _copy(job: Job) -> Job:
    names = [c.key for c in Job.__table__.columns if c.key != "job_id"]
    return Job(**{name: getattr(job, name) for name in names})


class Heartbeat:
    """Writes signs of life of a job while its product is made."""

    def __init__(self, engine: Engine, job_id: int) -> None:
        self._engine, self._job_id = engine, job_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with short_transaction(self._engine) as session:
                session.execute(update(Job).where(Job.job_id == self._job_id).values(heartbeat=utc_now()))


def new_job(**described: Any) -> Job:
    """Return a running job of this process, not yet entered."""
    fingerprint = described["fingerprint"]
    own = {"host": socket.gethostname(), "pid": os.getpid(), "process_started": process_started(os.getpid())}
    return Job(state="running", claim=fingerprint, **own, **described)
