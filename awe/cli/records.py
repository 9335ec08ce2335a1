"""`awe processes` and `awe jobs`: what the system keeps of its own work."""

import json
from typing import Any

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.cli.printing import plural, print_json, table
from awe.cli.workplace import Workplace, works
from awe.model.description import plain
from awe.model.persistent import Job, Persistent, Process


@click.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON, with the parameters")
@works
def processes(place: Workplace, as_json: bool) -> None:
    """List the tasks and their versions, and what each has made.

    \b
    Example: awe processes
    """
    with place.session() as session:
        count = func.count(Persistent.object_id)
        joined = select(Process, count).outerjoin(Persistent, Persistent.process_id == Process.process_id)
        rows = session.execute(joined.group_by(Process).order_by(Process.process_id)).all()
        if as_json:
            print_json([_columns(process) | {"made": made} for process, made in rows])
            return
        headers = ("class", "task", "version", "made", "since", "what it does")
        shown = [(p.product_class, p.name, p.version, made, f"{p.registered:%Y-%m-%d}", p.summary) for p, made in rows]
        click.echo(table(headers, shown))


def _columns(row: Any) -> dict[str, Any]:
    found = {c.key: plain(getattr(row, c.key)) for c in row.__table__.columns}
    if "parameters" in found:
        found["parameters"] = json.loads(found["parameters"])
    return found


@click.command()
@click.option("--failed", is_flag=True, help="only those that failed, with the whole reason")
@click.option("--state", type=click.Choice(["running", "done", "failed", "lost"]), help="only those in this state")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="the newest; 0: all")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def jobs(place: Workplace, failed: bool, state: str | None, limit: int, as_json: bool) -> None:
    """List the attempts to make something, the newest first; failed ones too.

    \b
    Example: awe jobs --failed
    """
    state = "failed" if failed else state
    with place.session() as session:
        found, total = _newest(session, state, limit)
        if as_json:
            print_json({"total": total, "truncated": len(found) < total, "jobs": [_columns(job) for job in found]})
            return
        click.echo(_told(found) if failed else _listed(found))
        if len(found) < total:
            place.say(f"{len(found)} of {plural(total, 'job')} shown: --limit 0 shows all")


def _newest(session: Session, state: str | None, limit: int) -> tuple[list[Job], int]:
    query, count = select(Job).order_by(Job.job_id.desc()), select(func.count(Job.job_id))
    if state:
        query, count = query.where(Job.state == state), count.where(Job.state == state)
    return list(session.scalars(query.limit(limit or None))), session.scalar(count) or 0


def _listed(found: list[Job]) -> str:
    headers = ("job", "state", "started", "s", "target", "because")
    rows = [
        (j.job_id, j.state, j.started, "-" if j.wall_time is None else f"{j.wall_time:.1f}", j.target, _why(j))
        for j in found
    ]
    return table(headers, rows) if rows else "no job"


def _why(job: Job) -> str:
    return (job.error or "").split("\n")[0] if job.state in ("failed", "lost") else job.reason


def _told(found: list[Job]) -> str:
    entries = [f"job {j.job_id}  {plain(j.started)[:19]}  {j.target}\n  {j.error}" for j in found]
    return "\n\n".join(entries) or "no job has failed"
