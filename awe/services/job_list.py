"""The attempts to make products, page by page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.model.access import own_jobs, visible
from awe.model.persistent import Job, Persistent
from awe.services.declared import plain
from awe.services.summaries import Summary, summaries

PAGE = 50
STATES = ("running", "done", "failed", "lost")


@dataclass(frozen=True)
class JobList:
    """One page of jobs, the number of jobs in each state, and what they made."""

    jobs: list[Job]
    counts: dict[str, int]
    made: dict[int, list[Summary]]
    state: str
    page: int

    @property
    def total(self) -> int:
        """Number of jobs in the state that is shown."""
        return self.counts.get(self.state, 0) if self.state else sum(self.counts.values())

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // PAGE))

    def as_json(self) -> dict[str, Any]:
        """Return the page as JSON holds it."""
        jobs = [job_json(j) | {"made": [s.as_json() for s in self.made.get(j.job_id, [])]} for j in self.jobs]
        return {"counts": self.counts, "total": self.total, "page": self.page, "pages": self.pages, "jobs": jobs}


def list_jobs(session: Session, state: str = "", page: int = 1) -> JobList:
    """Return a page of the jobs in a state, or of all, the newest first."""
    counted: Any = select(Job.state, func.count()).group_by(Job.state)
    counts = {row[0]: row[1] for row in session.execute(own_jobs(session, counted))}
    query = own_jobs(session, select(Job)).order_by(Job.job_id.desc()).limit(PAGE).offset((page - 1) * PAGE)
    jobs = list(session.scalars(query.where(Job.state == state) if state else query))
    return JobList(jobs, counts, _made(session, [j.job_id for j in jobs]), state, page)


def _made(session: Session, job_ids: list[int]) -> dict[int, list[Summary]]:
    table = Persistent.__table__.c
    rows = session.execute(
        visible(session, select(table.job_id, table.object_id).where(table.job_id.in_(job_ids)))
    ).all()
    known = summaries(session, (r.object_id for r in rows))
    found: dict[int, list[Summary]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append(known[row.object_id])
    return found


def job_json(job: Job) -> dict[str, Any]:
    """Return a job as JSON holds it."""
    names = (
        "job_id",
        "state",
        "product_class",
        "target",
        "reason",
        "error",
        "error_class",
        "creator",
        "project",
        "host",
    )
    times = ("started", "heartbeat", "finished", "wall_time", "peak_memory")
    return {name: plain(getattr(job, name)) for name in (*names, *times)}
