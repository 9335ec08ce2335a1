"""What a page of nights is about: all, or the frames of one night, instrument, filter, run or grid target."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select, union_all
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.kernels.wcs import Wcs
from awe.model.access import visible_numbers
from awe.model.attributes import attribute_names, near_names
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame, SkyCell
from awe.model.instrument import Filter, Instrument
from awe.model.lineage import inputs
from awe.model.observation import GridTarget, Observation, ObservingBlock
from awe.model.persistent import Persistent, persistent_class
from awe.model.raw import RawFrame, RawScienceFrame
from awe.model.science import ReducedFrame
from awe.model.sky import cells_of

FRAME: Any = Frame.__table__.c
MEMBERS: Any = inputs(Coadd)["regridded_frames"].members.__table__.c  # type: ignore[union-attr]


@dataclass(frozen=True)
class Scope:
    """Which frames count, and how tables select them."""

    kind: str = ""
    name: str = ""
    condition: ColumnElement[bool] | None = None
    """On the columns of the table of frames; None: all."""
    where: dict[str, Any] = field(default_factory=dict)
    """Paths of attributes and the values that they must have, for links to tables."""
    objects: Sequence[Persistent] = ()
    """What the scope is of: instruments, filters, observing blocks, grid targets."""
    project: str = ""
    """Project whose frames count; empty: those of all."""

    @property
    def grids(self) -> list[int]:
        """Numbers of the grid targets that the scope is of; empty if it is of something else."""
        return [one.object_id for one in self.objects] if self.kind == "grid" else []

    def restricted(self, session: Session, query: Select[Any]) -> Select[Any]:
        """Return a query on the table of frames restricted to the scope, and to what may be seen."""
        if self.condition is not None:
            query = query.where(self.condition)
        query = of_project(query, self.project)
        return visible_numbers(session, query, FRAME.object_id)

    def table_condition(self, class_name: str, **more: Any) -> str | None:
        """Return the condition by which a table shows the same objects; None if its class can't tell them."""
        names = set(attribute_names(persistent_class(class_name)))
        wanted = self.where | more
        if not all(path.partition(".")[0] in names for path in wanted):
            return None
        return " and ".join(f"{path} == {json.dumps(value, ensure_ascii=False)}" for path, value in wanted.items())


def of_project(query: Select[Any], project: str) -> Select[Any]:
    """Return a query on the table of frames restricted to those of a project; empty: the same query."""
    if not project:
        return query
    columns = Persistent.__table__.c
    return query.where(FRAME.object_id.in_(select(columns.object_id).where(columns.project == project)))


def everything() -> Scope:
    """Return the scope of all frames."""
    return Scope()


def of_instrument(session: Session, name: str) -> Scope:
    """Return the scope of an instrument; raise NotFound if there is none of this name."""
    found = _named(session, Instrument, name)
    condition = FRAME.instrument_id.in_([one.object_id for one in found])
    return Scope("instrument", name, condition, {"instrument.name": name}, found)


def of_filter(session: Session, name: str) -> Scope:
    """Return the scope of the filters of a name, of whatever instruments."""
    found = _named(session, Filter, name)
    condition = FRAME.filter_id.in_([one.object_id for one in found])
    return Scope("filter", name, condition, {"filter.name": name}, found)


def of_night(session: Session, instrument: str, night: date) -> Scope:
    """Return the scope of a night of an instrument."""
    found = _named(session, Instrument, instrument)
    condition = FRAME.instrument_id.in_([one.object_id for one in found]) & (FRAME.night == night)
    where = {"night": night.isoformat(), "instrument.name": instrument}
    return Scope("night", f"{instrument} {night}", condition, where, found)


def of_run(session: Session, name: str) -> Scope:
    """Return the scope of the observing blocks of a name: their exposures, and what these were made to."""
    found = _named(session, ObservingBlock, name)
    raw, observation = RawFrame.__table__.c, Observation.__table__.c
    exposures = select(observation.object_id).where(
        observation.observing_block_id.in_([one.object_id for one in found])
    )
    raws = select(raw.object_id).where(raw.observation_id.in_(exposures))
    where = {"observation.observing_block.name": name}
    return Scope("run", name, FRAME.object_id.in_(_made_of(raws)), where, found)


def of_grid(session: Session, name: str) -> Scope:
    """Return the scope of a grid target: the exposures that belong on it, and what was made of them there."""
    found = _named(session, GridTarget, name)
    numbers = [one.object_id for one in found]
    raw = _exposures_on(found)
    reduced, regridded, coadd = (cls.__table__.c for cls in (ReducedFrame, RegriddedFrame, Coadd))
    chain = union_all(
        raw,
        select(reduced.object_id).where(reduced.raw_id.in_(raw)),
        select(regridded.object_id).where(regridded.grid_target_id.in_(numbers)),
        select(coadd.object_id).where(coadd.grid_target_id.in_(numbers)),
    ).subquery()
    return Scope("grid", name, FRAME.object_id.in_(select(chain.c[0])), {"grid_target.name": name}, found)


def _made_of(raws: Select[Any]) -> Select[Any]:
    """Return the numbers of raw frames, and of the reduced, regridded and summed frames that were made of them."""
    reduced, regridded = ReducedFrame.__table__.c, RegriddedFrame.__table__.c
    first = select(reduced.object_id).where(reduced.raw_id.in_(raws))
    second = select(regridded.object_id).where(regridded.reduced_id.in_(first))
    third = select(MEMBERS.product_id).where(MEMBERS.input_id.in_(second), MEMBERS.used)
    return select(union_all(raws, first, second, third).subquery().c[0])


def _exposures_on(grids: Sequence[Any]) -> Select[Any]:
    """Return the numbers of the science exposures that belong on grid targets, as the rule of coadds has it."""
    raw = select(FRAME.object_id).join(Persistent.__table__, Persistent.__table__.c.object_id == FRAME.object_id)
    raw = raw.where(Persistent.__table__.c.class_name.in_(_kinds(RawScienceFrame)))
    conditions: list[ColumnElement[bool]] = [FRAME.object.in_([g.object for g in grids if g.object])]
    for grid in (g for g in grids if not g.object):
        cells = cells_of(Wcs.from_header(grid.wcs).footprint(grid.naxis1, grid.naxis2))
        conditions.append(FRAME.object_id.in_(select(SkyCell.object_id).where(SkyCell.cell.in_(cells))))
    return raw.where(or_(false(), *conditions))


def _kinds(cls: type[Persistent]) -> list[str]:
    return [m.class_.__name__ for m in cls.__mapper__.self_and_descendants]


def science_kinds(with_standards: bool = True) -> list[str]:
    """Return the names of the classes of science exposures."""
    return _kinds(RawScienceFrame) if with_standards else [RawScienceFrame.__name__]


def _named(session: Session, cls: Any, name: str) -> Sequence[Any]:
    found = session.scalars(select(cls).where(cls.name == name).order_by(cls.object_id)).unique().all()
    if not found:
        known = session.scalars(select(cls.name).distinct().limit(1000)).all()
        near = near_names(name[:60], list(known)).replace("its attributes", "there are") if known else "there is none"
        raise NotFound(f"no {cls.__name__} {name[:60]!r}; {near}")
    return found


SCOPES: dict[str, Callable[[Session, str], Scope]] = {
    "instrument": of_instrument,
    "filter": of_filter,
    "run": of_run,
    "grid": of_grid,
}
