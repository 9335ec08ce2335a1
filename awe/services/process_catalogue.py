"""The process catalogue with what each process has made."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.model.access import visible
from awe.model.persistent import Persistent, Process
from awe.services.groups import classes_in_order


@dataclass(frozen=True)
class ProcessEntry:
    """One version of one task."""

    process: Process
    parameters: list[dict[str, Any]]
    made: int

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON holds it."""
        row = self.process
        return {
            "process_id": row.process_id,
            "name": row.name,
            "product_class": row.product_class,
            "version": row.version,
            "summary": row.summary,
            "parameters": self.parameters,
            "code_hash": row.code_hash,
            "software_version": row.software_version,
            "registered": row.registered.isoformat(),
            "made": self.made,
        }


def list_processes(session: Session) -> list[ProcessEntry]:
    """Return all processes in processing order, the newest version of each first; two statements."""
    table = Persistent.__table__.c
    counts = select(table.process_id, func.count()).where(table.process_id.is_not(None)).group_by(table.process_id)
    made: dict[int, int] = {row[0]: row[1] for row in session.execute(visible(session, counts))}
    order = {cls.__name__: place for place, cls in enumerate(classes_in_order())}
    rows = sorted(
        session.scalars(select(Process)), key=lambda p: (order.get(p.product_class, len(order)), p.name, -p.version)
    )
    return [ProcessEntry(p, _parameters(p), made.get(p.process_id, 0)) for p in rows]


def _parameters(process: Process) -> list[dict[str, Any]]:
    return list(json.loads(process.parameters or "[]"))
