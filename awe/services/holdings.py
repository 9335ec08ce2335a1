"""What is in the database and on the data server, at a glance."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.errors import AweError
from awe.model.access import own_jobs, visible, visible_numbers
from awe.model.frame import Frame
from awe.model.persistent import Job, Persistent, utc_now
from awe.services.declared import summary_of
from awe.services.groups import grouped_classes
from awe.services.job_list import job_json
from awe.services.summaries import Summary, summaries
from awe.store import Store

NEWEST = 12
FAILED = 5
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class ClassCount:
    """A class, what it is, and how many objects are of it or of a more special class."""

    name: str
    doc: str
    count: int
    is_special: bool
    """It is a kind of the class above it in the list."""


@dataclass(frozen=True)
class Holdings:
    """What the start page shows."""

    groups: dict[str, list[ClassCount]]
    total: int
    newest: list[Summary]
    failed: list[Job]
    running: int
    server: dict[str, Any] | None
    """What the data server says of itself; None if it does not answer."""
    server_problem: str

    def as_json(self) -> dict[str, Any]:
        """Return the holdings as JSON holds them."""
        return {
            "total": self.total,
            "classes": {c.name: c.count for group in self.groups.values() for c in group},
            "newest": [s.as_json() for s in self.newest],
            "failed_jobs": [job_json(j) for j in self.failed],
            "running_jobs": self.running,
            "data_server": self.server or {"error": self.server_problem},
        }


def holdings(session: Session, store: Store, project: str = "ALL") -> Holdings:
    """Return what there is of a project, or of all; a fixed number of statements."""
    table = Persistent.__table__.c
    counted = select(table.class_name, func.count()).group_by(table.class_name)
    counted = counted if project == "ALL" else counted.where(table.project == project)
    rows = session.execute(visible(session, counted))
    counts = {row[0]: row[1] for row in rows}
    server, problem = _server(store)
    return Holdings(
        groups={
            heading: [_counted(c, classes, counts) for c in classes] for heading, classes in grouped_classes().items()
        },
        total=sum(counts.values()),
        newest=_newest(session, project),
        failed=_failed(session),
        running=session.scalar(own_jobs(session, select(func.count()).select_from(Job).where(Job.state == "running")))
        or 0,
        server=server,
        server_problem=problem,
    )


def _counted(cls: type[Persistent], group: list[type[Persistent]], counts: dict[str, int]) -> ClassCount:
    kinds = [m.class_.__name__ for m in cls.__mapper__.self_and_descendants]
    is_special = any(issubclass(cls, other) and other is not cls for other in group)
    return ClassCount(cls.__name__, summary_of(cls), sum(counts.get(k, 0) for k in kinds), is_special)


def _newest(session: Session, project: str) -> list[Summary]:
    frame = Frame.__table__.c
    query = visible_numbers(session, select(frame.object_id).where(frame.filename.is_not(None)), frame.object_id)
    if project != "ALL":
        query = query.where(frame.object_id.in_(select(Persistent.object_id).where(Persistent.project == project)))
    ids = session.scalars(query.order_by(frame.object_id.desc()).limit(NEWEST)).all()
    known = summaries(session, ids)
    return [known[i] for i in ids]


def _failed(session: Session) -> list[Job]:
    query = own_jobs(session, select(Job).where(Job.state.in_(("failed", "lost")), Job.started > utc_now() - RECENT))
    return list(session.scalars(query.order_by(Job.job_id.desc()).limit(FAILED)))


def _running(session: Session) -> int:
    query = select(func.count()).select_from(Job).where(Job.state == "running")
    return session.scalar(own_jobs(session, query)) or 0


def _server(store: Store) -> tuple[dict[str, Any] | None, str]:
    try:
        return store.status(), ""
    except AweError as error:
        return None, str(error)
