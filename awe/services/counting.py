"""How many rows there are: exactly if that is quickly found out, else an estimate that is said to be one."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Executable, Select, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session

from awe.model.access import visible
from awe.model.persistent import Persistent
from awe.services.table_request import TableRequest
from awe.services.table_rows import restricted

QUICK = 20_000
"""Rows that are counted one by one; beyond, the number is an estimate until somebody asks for it."""


@dataclass(frozen=True)
class Count:
    """A number of rows: exact, about so many, or at least so many."""

    rows: int
    kind: str = "exact"
    """exact, estimate or least."""

    @property
    def is_exact(self) -> bool:
        """Whether it is the number, not an estimate."""
        return self.kind == "exact"

    @property
    def words(self) -> str:
        """The number as people read it."""
        before = {"exact": "", "estimate": "about ", "least": "more than "}[self.kind]
        return f"{before}{self.rows:,}"


def count_rows(session: Session, request: TableRequest) -> Count:
    """Return the number of rows of a request; exact on demand, and where that is quick."""
    if request.is_persistent and not request.filter:
        return Count(session.scalar(_all_of_class(session, request)) or 0)
    counted = _numbers(session, request)
    if request.count_exactly:
        return Count(session.scalar(select(func.count()).select_from(counted.subquery())) or 0)
    found = session.scalar(select(func.count()).select_from(counted.limit(QUICK + 1).subquery())) or 0
    if found <= QUICK:
        return Count(found)
    estimate = estimated_rows(session, request)
    return Count(QUICK, "least") if estimate is None else Count(max(estimate, QUICK), "estimate")


def _all_of_class(session: Session, request: TableRequest) -> Select[Any]:
    """Return the statement that counts the objects of a class by its index of class names alone."""
    table: Any = Persistent.__table__.c
    names = [m.class_.__name__ for m in request.cls.__mapper__.self_and_descendants]  # type: ignore[attr-defined]
    return visible(session, select(func.count()).select_from(Persistent.__table__).where(table.class_name.in_(names)))


def _numbers(session: Session, request: TableRequest) -> Select[Any]:
    found: Select[Any] = select(literal_column("1")).select_from(request.cls)
    found = found.where(*(c for c in (request.fixed, request.condition) if c is not None))
    return restricted(found, session, request.cls)


class _Explain(Executable, ClauseElement):
    """The plan of a statement, instead of its rows."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain, "postgresql")
def _explained(element: _Explain, compiler: Any, **more: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **more)}"


def estimated_rows(session: Session, request: TableRequest) -> int | None:
    """Return the number of rows that the planner of PostgreSQL expects; None for other databases."""
    if session.get_bind().dialect.name != "postgresql":
        return None
    plan: Any = session.execute(_Explain(_numbers(session, request))).scalar()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return int(found[0]["Plan"]["Plan Rows"]) if found else None
