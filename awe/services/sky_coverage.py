"""A grid target filter by filter: its exposures, how far they have come, and its coadds."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import case, distinct, func, select
from sqlalchemy.orm import Session, aliased

from awe.model.access import visible_numbers
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Filter, Instrument
from awe.model.persistent import Persistent
from awe.model.science import ReducedFrame
from awe.services.coverage_scope import FRAME, MEMBERS, Scope, of_project, science_kinds
from awe.services.summaries import Summary, summaries

MOST_COADDS = 12
_PERSISTENT: Any = Persistent.__table__.c


@dataclass
class FilterOnGrid:
    """One filter: raw science frames that belong on the grid, and how many of them went how far."""

    filter: str
    exposed: int
    reduced: int
    regridded: int
    coadded: int
    coadds: list[Summary] = field(default_factory=list)

    @property
    def gap(self) -> str:
        """What has not been done, in words; empty if it is complete."""
        steps = (("reduced", self.exposed, self.reduced), ("regridded", self.reduced, self.regridded))
        said = [f"{before - after} not {name}" for name, before, after in steps if after < before]
        if self.coadded < self.regridded:
            said.append(f"{self.regridded - self.coadded} not coadded")
        return ", ".join(said)

    def as_json(self) -> dict[str, Any]:
        """Return the filter as JSON holds it."""
        return vars(self) | {"coadds": [s.as_json() for s in self.coadds], "gap": self.gap or None}


def on_grid(session: Session, scope: Scope) -> list[FilterOnGrid]:
    """Return the filters of the exposures of a grid target; a fixed number of statements."""
    numbers = scope.grids
    names = {row[0]: f"{row[1]} {row[2]}" for row in session.execute(_filters())}
    rows = session.execute(scope.restricted(session, _counted(numbers)))
    found = {row[0]: FilterOnGrid(names.get(row[0], "no filter"), *row[1:]) for row in rows}
    coadd = Coadd.__table__.c
    query = select(FRAME.object_id, FRAME.filter_id).join(Coadd.__table__, coadd.object_id == FRAME.object_id)
    query = of_project(query.where(coadd.grid_target_id.in_(numbers)), scope.project)
    query = visible_numbers(session, query, FRAME.object_id)
    made = session.execute(query.order_by(FRAME.object_id.desc()).limit(MOST_COADDS * max(1, len(found)))).all()
    known = summaries(session, (row[0] for row in made))
    for number, passband in made:
        own = found.setdefault(passband, FilterOnGrid(names.get(passband, "no filter"), 0, 0, 0, 0))
        if number in known and len(own.coadds) < MOST_COADDS:
            own.coadds.append(known[number])
    return sorted(found.values(), key=lambda f: f.filter)


def _filters() -> Any:
    passband, camera = Filter.__table__.c, Instrument.__table__.c
    joined = Filter.__table__.join(Instrument.__table__, passband.instrument_id == camera.object_id)
    return select(passband.object_id, camera.name, passband.name).select_from(joined)


def _counted(grids: list[int]) -> Any:
    """Return the query of (filter, frames, reduced, regridded, coadded) of the exposures of a scope."""
    reduced, regridded = ReducedFrame.__table__.c, RegriddedFrame.__table__.c
    valid, placed, summed = (aliased(Persistent.__table__) for _ in range(3))
    tables = (
        Frame.__table__.join(Persistent.__table__, _PERSISTENT.object_id == FRAME.object_id)
        .outerjoin(ReducedFrame.__table__, reduced.raw_id == FRAME.object_id)
        .outerjoin(valid, (valid.c.object_id == reduced.object_id) & (valid.c.is_valid > 0))
        .outerjoin(
            RegriddedFrame.__table__,
            (regridded.reduced_id == valid.c.object_id) & regridded.grid_target_id.in_(grids),
        )
        .outerjoin(placed, (placed.c.object_id == regridded.object_id) & (placed.c.is_valid > 0))
        .outerjoin(MEMBERS.input_id.table, MEMBERS.input_id == placed.c.object_id)
        .outerjoin(summed, (summed.c.object_id == MEMBERS.product_id) & (summed.c.is_valid > 0))
    )
    ends = (_PERSISTENT.object_id, valid.c.object_id, placed.c.object_id, summed.c.object_id)
    counts = [func.count(distinct(case((end.is_not(None), FRAME.object_id)))) for end in ends]
    query = select(FRAME.filter_id, *counts).select_from(tables).group_by(FRAME.filter_id)
    return query.where(_PERSISTENT.class_name.in_(science_kinds(with_standards=False)), _PERSISTENT.is_valid > 0)
