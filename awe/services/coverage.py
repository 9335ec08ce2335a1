"""Nights and what was made of them: counts by class, and gaps; a fixed number of grouped statements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session, aliased

from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Instrument
from awe.model.lineage import inputs
from awe.model.persistent import Persistent
from awe.model.rules import CalibrationFor
from awe.model.science import ReducedFrame
from awe.services.coverage_scope import FRAME, MEMBERS, Scope, science_kinds
from awe.services.groups import classes_in_order

NIGHTS = 40
"""Nights on one page."""
NOT_REDUCED = "not reduced"
NOT_COADDED = "not coadded"
_PERSISTENT: Any = Persistent.__table__.c
_Key = tuple[date, int]


@dataclass(frozen=True)
class Count:
    """How many objects of a class there are in a night, and how many of them are invalid."""

    total: int
    invalid: int = 0

    @property
    def shade(self) -> int:
        """How dark the cell is: 1 for a few, 2 from 10, 3 from 100, 4 from 1000."""
        return min(4, len(str(self.total)))


@dataclass
class NightRow:
    """One night of one instrument."""

    night: date
    instrument_id: int
    instrument: str
    counts: dict[str, Count] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the night as JSON holds it."""
        return {
            "night": self.night.isoformat(),
            "instrument": self.instrument,
            "counts": {name: count.total for name, count in self.counts.items()},
            "invalid": {name: count.invalid for name, count in self.counts.items() if count.invalid},
            "gaps": self.gaps,
        }


@dataclass(frozen=True)
class Matrix:
    """Nights by classes, the newest first."""

    scope: Scope
    rows: list[NightRow]
    classes: list[str]
    gaps: list[str]
    older: date | None = None
    """Night before which the next page begins; None if this is the last."""

    @property
    def totals(self) -> dict[str, int]:
        """Number of objects of each class in the nights that are shown."""
        return {name: sum(r.counts[name].total for r in self.rows if name in r.counts) for name in self.classes}

    def missing(self, gap: str) -> int:
        """Return how much of a kind is missing in the nights that are shown."""
        return sum(row.gaps.get(gap, 0) for row in self.rows)

    @property
    def all_gaps(self) -> dict[str, int]:
        """How much of each kind is missing in the nights that are shown."""
        return {gap: self.missing(gap) for gap in self.gaps}

    def as_json(self) -> dict[str, Any]:
        """Return the matrix as JSON holds it."""
        return {
            self.scope.kind or "scope": self.scope.name or "all",
            "classes": self.classes,
            "gaps": self.gaps,
            "nights": [row.as_json() for row in self.rows],
            "older": self.older.isoformat() if self.older else None,
        }


def night_matrix(session: Session, scope: Scope, before: date | None = None, nights: int = NIGHTS) -> Matrix:
    """Return a page of the nights of a scope: counts of each class, and what is missing."""
    listed = scope.restricted(session, select(FRAME.night).distinct())
    if before is not None:
        listed = listed.where(FRAME.night < before)
    found = list(session.scalars(listed.order_by(FRAME.night.desc()).limit(nights + 1)))
    shown = found[:nights]
    if not shown:
        return Matrix(scope, [], [], [])
    within = FRAME.night.between(shown[-1], shown[0])
    rows = _counted(session, scope, within)
    gaps = _gaps(session, scope, within, rows)
    order = [c.__name__ for c in classes_in_order()]
    classes = sorted({name for row in rows.values() for name in row.counts}, key=order.index)
    listed_rows = sorted(rows.values(), key=lambda r: (-r.night.toordinal(), r.instrument))
    return Matrix(scope, listed_rows, classes, gaps, shown[-1] if len(found) > nights else None)


def _counted(session: Session, scope: Scope, within: ColumnElement[bool]) -> dict[_Key, NightRow]:
    names = {row[0]: row[1] for row in session.execute(select(Instrument.object_id, Instrument.name))}
    invalid = func.sum(case((_PERSISTENT.is_valid == 0, 1), else_=0))
    query = select(FRAME.night, FRAME.instrument_id, _PERSISTENT.class_name, func.count(), invalid)
    query = query.join(Persistent.__table__, _PERSISTENT.object_id == FRAME.object_id).where(within)
    query = query.group_by(FRAME.night, FRAME.instrument_id, _PERSISTENT.class_name)
    rows: dict[_Key, NightRow] = {}
    for night, camera, name, total, bad in session.execute(scope.restricted(session, query)):
        row = rows.setdefault((night, camera), NightRow(night, camera, names.get(camera, "")))
        row.counts[name] = Count(total, bad)
    return rows


def _gaps(session: Session, scope: Scope, within: ColumnElement[bool], rows: dict[_Key, NightRow]) -> list[str]:
    """Note what is missing in each night, and return the kinds of gaps that there are."""
    kinds = []
    for name, query in gap_queries(session, scope.grids):
        grouped = query.with_only_columns(FRAME.night, FRAME.instrument_id, func.count()).where(within)
        grouped = scope.restricted(session, grouped.group_by(FRAME.night, FRAME.instrument_id))
        found = [(night, camera, count) for night, camera, count in session.execute(grouped)]
        for night, camera, count in found:
            if (night, camera) in rows:
                rows[night, camera].gaps[name] = count
        if found:
            kinds.append(name)
    return kinds


def gap_queries(session: Session, grids: Sequence[int] = ()) -> Iterable[tuple[str, Select[Any]]]:
    """Yield the kinds of gaps, each with a query of the frames that have it; of coadds on some grids only, if given."""
    yield NOT_REDUCED, _science().where(~_is_reduced())
    for role, query in _calibrations(session):
        yield f"no {role}", query
    yield NOT_COADDED, _reduced().where(~_is_coadded(grids))


def _science(with_standards: bool = True) -> Select[Any]:
    """Return the query of the valid raw science frames."""
    query = select(FRAME.object_id).join(Persistent.__table__, _PERSISTENT.object_id == FRAME.object_id)
    return query.where(_PERSISTENT.class_name.in_(science_kinds(with_standards)), _PERSISTENT.is_valid > 0)


def _reduced() -> Select[Any]:
    """Return the query of the valid reduced frames of targets: standard fields are not summed."""
    own, raw = ReducedFrame.__table__.c, aliased(Persistent.__table__)
    query = select(FRAME.object_id).join(Persistent.__table__, _PERSISTENT.object_id == FRAME.object_id)
    query = query.join(ReducedFrame.__table__, own.object_id == FRAME.object_id)
    query = query.outerjoin(raw, raw.c.object_id == own.raw_id).where(_PERSISTENT.is_valid > 0)
    of_targets = raw.c.class_name.in_(science_kinds(with_standards=False))
    return query.where(of_targets | own.raw_id.is_(None))


def _is_reduced() -> ColumnElement[bool]:
    own, product = ReducedFrame.__table__.c, aliased(Persistent.__table__).c
    query = select(own.object_id).join(product.object_id.table, product.object_id == own.object_id)
    return query.where(own.raw_id == FRAME.object_id, product.is_valid > 0).correlate(Frame.__table__).exists()


def _is_coadded(grids: Sequence[int]) -> ColumnElement[bool]:
    regridded, product = RegriddedFrame.__table__.c, aliased(Persistent.__table__).c
    query = select(regridded.object_id).join(MEMBERS.input_id.table, MEMBERS.input_id == regridded.object_id)
    query = query.join(product.object_id.table, product.object_id == MEMBERS.product_id)
    used = (regridded.reduced_id == FRAME.object_id, product.class_name == Coadd.__name__, product.is_valid > 0)
    on_these = (regridded.grid_target_id.in_(grids),) if grids else ()
    return query.where(*used, *on_these).correlate(Frame.__table__).exists()


def _calibrations(session: Session) -> Iterable[tuple[str, Select[Any]]]:
    """Yield the calibrations that a reduction needs, with the science frames that no valid one covers."""
    cameras = session.scalars(select(Instrument)).unique().all()
    for name, declared in inputs(ReducedFrame).items():
        rule = declared.rule
        if not isinstance(rule, CalibrationFor):
            continue
        needing = [c.object_id for c in cameras if not rule.needed_as or rule.needed_as in c.required_calibrations]
        if needing:
            query = _science().where(FRAME.instrument_id.in_(needing), ~_is_covered(declared.source, rule.same))
            yield name.replace("_", " "), query


def _is_covered(source: Any, same: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the condition that a valid calibration of a class covers a frame."""
    other: Any = aliased(source)
    matching = [getattr(other, f"{name}_id") == FRAME[f"{name}_id"] for name in ("chip", *same)]
    query = select(other.object_id).where(
        other.is_valid > 0, other.valid_from <= FRAME.date_obs, other.valid_to > FRAME.date_obs, *matching
    )
    return query.correlate(Frame.__table__).exists()
