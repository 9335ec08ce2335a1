"""The instruments, filters, runs and grid targets that there are, and how much there is of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.model.access import visible_numbers
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.instrument import Filter, Instrument
from awe.model.observation import GridTarget, Observation, ObservingBlock
from awe.model.persistent import Persistent
from awe.model.raw import RawFrame
from awe.services.coverage_scope import FRAME, of_project
from awe.services.groups import classes_in_order

_PERSISTENT: Any = Persistent.__table__.c
_FRAMES = Frame.__table__.join(Persistent.__table__, _PERSISTENT.object_id == FRAME.object_id)
KINDS: dict[str, Any] = {"instrument": Instrument, "filter": Filter, "run": ObservingBlock, "grid": GridTarget}


@dataclass
class Entry:
    """One name, and the frames that belong to it."""

    name: str
    words: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    first: date | None = None
    last: date | None = None

    def add(self, class_name: str, count: int, first: date, last: date) -> None:
        """Count frames of a class."""
        self.counts[class_name] = self.counts.get(class_name, 0) + count
        self.first = min(self.first or first, first)
        self.last = max(self.last or last, last)

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON holds it."""
        nights = [n.isoformat() if n else None for n in (self.first, self.last)]
        return {"name": self.name, "about": self.words, "counts": self.counts, "nights": nights}


@dataclass(frozen=True)
class Index:
    """All entries of a kind by name, and the classes that are counted."""

    kind: str
    entries: list[Entry]
    classes: list[str]


def index_of(session: Session, kind: str, project: str = "") -> Index:
    """Return the instruments, filters, runs or grid targets, and what there is of each; a fixed number of statements.

    `project` is that whose frames count; empty: those of all.
    """
    cls = KINDS[kind]
    named = {thing.object_id: thing for thing in session.scalars(select(cls).order_by(cls.name)).unique()}
    entries: dict[str, Entry] = {}
    for thing in named.values():
        entry = entries.setdefault(thing.name, Entry(thing.name))
        entry.words = "; ".join(filter(None, (entry.words, _words(thing))))
    for number, class_name, count, first, last in _counts(session, kind, project):
        if number in named:
            entries[named[number].name].add(class_name, count, first, last)
    order = [c.__name__ for c in classes_in_order()]
    classes = sorted({name for e in entries.values() for name in e.counts}, key=order.index)
    return Index(kind, list(entries.values()), classes)


def _counts(session: Session, kind: str, project: str) -> Iterable[tuple[int, str, int, date, date]]:
    """Yield (number of what they belong to, class, count, first night, last night) of frames."""
    raw, observation = RawFrame.__table__.c, Observation.__table__.c
    regridded, coadd = RegriddedFrame.__table__.c, Coadd.__table__.c
    of_run = _FRAMES.join(RawFrame.__table__, raw.object_id == FRAME.object_id)
    of_run = of_run.join(Observation.__table__, observation.object_id == raw.observation_id)
    sources = {
        "instrument": [(FRAME.instrument_id, _FRAMES)],
        "filter": [(FRAME.filter_id, _FRAMES)],
        "run": [(observation.observing_block_id, of_run)],
        "grid": [
            (table.grid_target_id, _FRAMES.join(cls.__table__, table.object_id == FRAME.object_id))
            for cls, table in ((RegriddedFrame, regridded), (Coadd, coadd))
        ],
    }
    for key, tables in sources[kind]:
        query = select(key, _PERSISTENT.class_name, func.count(), func.min(FRAME.night), func.max(FRAME.night))
        query = query.select_from(tables).where(key.is_not(None)).group_by(key, _PERSISTENT.class_name)
        query = visible_numbers(session, of_project(query, project), FRAME.object_id)
        yield from (tuple(row) for row in session.execute(query))


def _words(thing: Any) -> str:
    if isinstance(thing, Instrument):
        return f"at {thing.telescope.name}" if thing.telescope else "of frames made elsewhere"
    if isinstance(thing, Filter):
        return f"{thing.instrument.name}{f', band {thing.band}' if thing.band else ''}"
    if isinstance(thing, ObservingBlock):
        return f"{thing.instrument.name}, from {thing.start:%Y-%m-%d %H:%M}"
    of_what = f", for {thing.object}" if thing.object else ""
    return f"{thing.naxis1} x {thing.naxis2} pixels of {thing.pixel_scale:g} arcsec{of_what}"
