"""The exposures of a night or run, and how far each has come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, and_, case, distinct, func, select
from sqlalchemy.orm import Session, aliased

from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Filter
from awe.model.observation import Observation
from awe.model.persistent import Persistent
from awe.model.raw import RawFrame
from awe.model.science import ReducedFrame
from awe.services.coverage_scope import FRAME, MEMBERS, Scope, science_kinds

MOST = 1000
"""Exposures that one page lists."""


@dataclass(frozen=True)
class Exposure:
    """One exposure with all its chips."""

    observation_id: int
    class_name: str
    object: str
    filter: str | None
    date_obs: datetime
    night: date
    exptime: float
    airmass: float | None
    first: int
    """Number of one of its raw frames."""
    chips: int
    reduced: int
    regridded: int
    coadded: int

    @property
    def gap(self) -> str:
        """What has not been done; empty if it is complete, or no science exposure."""
        if self.class_name not in science_kinds():
            return ""
        if self.reduced < self.chips:
            return "not reduced" if not self.reduced else f"{self.chips - self.reduced} chips not reduced"
        if self.class_name in science_kinds(with_standards=False) and self.coadded < self.reduced:
            return "not coadded" if not self.coadded else f"{self.reduced - self.coadded} chips not coadded"
        return ""

    @property
    def is_science(self) -> bool:
        """Whether it is of the sky, and to be reduced."""
        return self.class_name in science_kinds()

    def as_json(self) -> dict[str, Any]:
        """Return the exposure as JSON holds it."""
        return vars(self) | {
            "date_obs": self.date_obs.isoformat(),
            "night": self.night.isoformat(),
            "gap": self.gap or None,
        }


@dataclass(frozen=True)
class Exposures:
    """The exposures of a scope by time, of which `total` may be more than are listed."""

    listed: list[Exposure]
    total: int


def exposures(session: Session, scope: Scope) -> Exposures:
    """Return the exposures of a scope in order of time; two statements."""
    raw = RawFrame.__table__.c
    counted = select(func.count(distinct(raw.observation_id))).select_from(
        Frame.__table__.join(RawFrame.__table__, raw.object_id == FRAME.object_id)
    )
    total = session.scalar(scope.restricted(session, counted)) or 0
    rows: Iterable[Any] = session.execute(scope.restricted(session, _query(scope.grids)).limit(MOST)) if total else ()
    return Exposures([Exposure(*row) for row in rows], total)


def _query(grids: Sequence[int]) -> Select[Any]:
    """Return the query of exposures and how far each has come, on any grid or on some only."""
    raw, observation, passband = (cls.__table__.c for cls in (RawFrame, Observation, Filter))
    kind = Persistent.__table__.c
    reduced, regridded = ReducedFrame.__table__.c, RegriddedFrame.__table__.c
    made, summed = aliased(Persistent.__table__), aliased(Persistent.__table__)
    placed = aliased(Persistent.__table__)
    on_these = (regridded.grid_target_id.in_(grids),) if grids else ()
    tables = (
        Frame.__table__.join(RawFrame.__table__, raw.object_id == FRAME.object_id)
        .join(Persistent.__table__, kind.object_id == FRAME.object_id)
        .join(Observation.__table__, observation.object_id == raw.observation_id)
        .outerjoin(Filter.__table__, passband.object_id == FRAME.filter_id)
        .outerjoin(ReducedFrame.__table__, reduced.raw_id == raw.object_id)
        .outerjoin(made, (made.c.object_id == reduced.object_id) & (made.c.is_valid > 0))
        .outerjoin(RegriddedFrame.__table__, and_(regridded.reduced_id == made.c.object_id, *on_these))
        .outerjoin(placed, (placed.c.object_id == regridded.object_id) & (placed.c.is_valid > 0))
        .outerjoin(MEMBERS.input_id.table, MEMBERS.input_id == placed.c.object_id)
        .outerjoin(
            summed,
            (summed.c.object_id == MEMBERS.product_id)
            & (summed.c.is_valid > 0)
            & (summed.c.class_name == Coadd.__name__),
        )
    )
    own = (observation.object_id, kind.class_name, FRAME.object, passband.name)
    when = (observation.date_obs, observation.night, observation.exptime, observation.airmass)
    raws_coadded = _number_if(summed.c.object_id, raw.object_id)
    return (
        select(
            *own,
            *when,
            func.min(raw.object_id),
            func.count(distinct(raw.object_id)),
            func.count(distinct(_number_if(made.c.object_id, raw.object_id))),
            func.count(distinct(_number_if(placed.c.object_id, raw.object_id))),
            func.count(distinct(raws_coadded)),
        )
        .select_from(tables)
        .group_by(*own, *when)
        .order_by(observation.date_obs, observation.object_id)
    )


def _number_if(there: Any, number: Any) -> Any:
    """Return a number if something is there, else null."""
    return case((there.is_not(None), number))
