"""Runs of cutouts: an address says which sources or positions, on which frames, and how they are shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.frame import Frame, SkyCell
from awe.model.persistent import Persistent, persistent_class
from awe.model.ranges import count_of
from awe.model.sky import cells_at
from awe.services.addresses import changed
from awe.services.cutout import Spot, axes_of, plan
from awe.services.cutout_request import PARAMETERS, CutoutRequest
from awe.services.groups import classes_in_order
from awe.services.images import sized
from awe.services.operations import Operation, Parameter
from awe.services.position_lists import find_positions
from awe.services.ranges import parse_ranges
from awe.services.series import Member, associated, file_name, placed, sources
from awe.services.stored_frames import Solution, StoredFrame, frames_where, solutions, stored_frame, stored_frames
from awe.services.summaries import CHUNK
from awe.store import Store

LARGEST_SELECTION = 100_000
"""Numbers that a selection by ranges may span."""
NO_FRAME = 0
"""Number of the frame of a position that no frame shows."""
MOST = 10_000
"""Cutouts of a run of positions."""


def numbers_parameter(name: str, what: str) -> Parameter:
    """Return the parameter that chooses sources or associates by their numbers."""

    def checked(text: str) -> str:
        wide = count_of(parse_ranges(text, name))
        if wide > LARGEST_SELECTION:
            raise BadRequest(f"{name}: {wide:,} numbers, the limit is {LARGEST_SELECTION:,}; leave it out to get all")
        return text

    return Parameter(name, f"numbers of the {what}; none: all", example="1:6,20 or 31:34", parse=checked)


def _frame_class(text: str) -> str:
    if text not in frame_classes():
        raise ValueError(text)
    return text


def frame_classes() -> list[str]:
    """Return the names of the classes of frames that can lie on the sky."""
    return [cls.__name__ for cls in classes_in_order() if issubclass(cls, Frame)]


OF_LISTS: dict[str, tuple[Parameter, ...]] = {
    "sources": (numbers_parameter("sids", "sources"),),
    "associates": (numbers_parameter("aids", "associates"),),
}
"""The parameters that choose among a list, by the word in its address."""
SELECTIONS: dict[str, tuple[Parameter, ...]] = OF_LISTS | {
    "positions": (
        Parameter("frame", "the frame that is cut", "integer", low=1, high=2**31 - 1),
        Parameter(
            "cls", "cut all valid frames of this class that show a position", example="Coadd", parse=_frame_class
        ),
    ),
}
"""What a run is of, by the word in its address, and the parameters that choose among it."""
CHOSEN = {"sids": "SID", "aids": "AID", "cls": "on each", "frame": "on frame", "ra": "RA", "dec": "Dec"}
"""What titles call these parameters."""


def chosen_by(parameters: Iterable[Parameter], read: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given for the parameters that choose among what a run is of."""
    return {p.name: read[p.name] for p in parameters if read[p.name] is not None}


def chosen_words(chosen: Mapping[str, Any]) -> list[str]:
    """Return the choice as titles state it."""
    return [f"{CHOSEN.get(name, name)} {value}" for name, value in chosen.items()]


@dataclass(frozen=True)
class Run:
    """What an address of a run says."""

    kind: str
    which: str
    """Number of the list, or key of the positions."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    request: CutoutRequest = field(default_factory=CutoutRequest)

    @classmethod
    def of(cls, kind: str, which: str, given: Mapping[str, str]) -> Self:
        """Return the run that the parts of an address mean; raise BadRequest naming what is wrong."""
        read = operation(kind).read(given)
        chosen = chosen_by(SELECTIONS[kind], read)
        if kind == "positions" and len(chosen) != 1:
            raise BadRequest("positions are cut either from one frame (frame=) or from all of a class (cls=)")
        return cls(kind, which, chosen, CutoutRequest.of(read))

    @classmethod
    def of_address(cls, address: str) -> Self:
        """Return the run of an address that was recorded."""
        parts = urlsplit(address)
        _, _, kind, which = parts.path.split("/")
        return cls.of(kind, which, dict(parse_qsl(parts.query)))

    @property
    def path(self) -> str:
        """Address without parameters."""
        return f"/cutouts/{self.kind}/{self.which}"

    @property
    def address(self) -> str:
        """The address in its shortest form: equal runs have equal addresses."""
        return changed(self.path, {}, **self.chosen, **self.request.query())

    @property
    def title(self) -> str:
        """What it is of, in words."""
        of = {"sources": f"SourceList {self.which}", "associates": f"AssociateList {self.which}"}
        words = [of.get(self.kind, f"Positions {self.which[:8]}"), *chosen_words(self.chosen)]
        return ", ".join([*words, f"{self.request.size} px" if self.request.extent.in_pixels else self.request.size])


@dataclass(frozen=True)
class Page:
    """A part of the members of a run, with their frames."""

    run: Run
    members: tuple[Member, ...]
    total: int
    """Members of the whole run."""
    frames: Mapping[int, StoredFrame]
    solved: Mapping[int, Solution]

    def spot(self, member: Member) -> Spot | None:
        """Return the place of a member; None if its frame has no file, or nothing tells where it lies."""
        frame, solution = self.frames.get(member.frame_id), self.solved.get(member.frame_id)
        if frame is None or member.x is None or member.y is None:
            return None
        wcs = solution.wcs if solution else None
        axes = axes_of(wcs, member.x, member.y) if self.needs_axes else None
        numbers = {"SLID": member.slid, "SID": member.sid, "ALID": member.alid, "AID": member.aid}
        cards: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
        cards |= {name: value for name, value in (("SRC_RA", member.ra), ("SRC_DEC", member.dec)) if value is not None}
        return Spot(frame, member.x, member.y, axes, member.ellipse, wcs, cards)

    @property
    def needs_axes(self) -> bool:
        """Whether it matters how the pixels lie on the sky."""
        return self.run.request.north or not self.run.request.extent.in_pixels

    def is_inside(self, member: Member) -> bool:
        """Return whether there is anything to be shown of a member."""
        spot = self.spot(member)
        if spot is None or (self.needs_axes and spot.axes is None):
            return False
        return plan(spot, self.run.request).part is not None

    def name(self, member: Member, form: str) -> str:
        """Return the file name of a cutout."""
        frame = self.frames.get(member.frame_id)
        return file_name(member, frame, form) if frame else ""

    def reason(self, member: Member) -> str:
        """Return why there is no cutout of a member; empty: there is one."""
        if member.frame_id == NO_FRAME:
            return f"no {self.run.chosen['cls']} shows it"
        if member.frame_id not in self.frames:
            return "its frame has no file"
        if member.x is None:
            return "its place on the frame is not known"
        return "" if self.is_inside(member) else "outside the image"


def operation(kind: str) -> Operation:
    """Return what an address of a run takes."""
    return Operation(f"Cutouts of {kind}", (*SELECTIONS[kind], *PARAMETERS))


def load(session: Session, store: Store, run: Run, limit: int | None = None, offset: int = 0) -> Page:
    """Return a part of a run: `limit` members after `offset`.

    The number of statements grows neither with the members nor with the frames.
    """
    members, total, known = _members(session, run, limit, offset)
    frames = known or stored_frames(session, {m.frame_id for m in members})
    frames = {number: sized(store, frame) for number, frame in frames.items()}
    solved = solutions(session, frames.values())
    return Page(run, tuple(placed(members, frames, solved)), total, frames, solved)


def _members(
    session: Session, run: Run, limit: int | None, offset: int
) -> tuple[list[Member], int, dict[int, StoredFrame]]:
    if run.kind == "sources":
        return *sources(session, _number(run.which), run.chosen.get("sids", ""), limit, offset), {}
    if run.kind == "associates":
        return *associated(session, _number(run.which), run.chosen.get("aids", ""), limit, offset), {}
    listed = find_positions(session, run.which)
    end = None if limit is None else offset + limit
    shown = [(str(n), float(r), float(d)) for n, r, d in listed.positions]
    if "frame" in run.chosen:
        frame = stored_frame(session, run.chosen["frame"])
        return [_at(frame.object_id, p) for p in shown[offset:end]], len(shown), {frame.object_id: frame}
    members, frames = _on_class(session, shown, run.chosen["cls"])
    part = members[offset:end]
    used = {m.frame_id for m in part}
    return part, len(members), {number: frame for number, frame in frames.items() if number in used}


def _on_class(
    session: Session, shown: list[tuple[str, float, float]], cls: str
) -> tuple[list[Member], dict[int, StoredFrame]]:
    """Return each position on each valid frame of a class that shows it, by the cells of the sky that these cover.

    One that no frame shows is a member without a frame.
    """
    ra, dec = (np.array([p[i] for p in shown]) for i in (1, 2))
    cells = [int(c) for c in cells_at(ra, dec)] if shown else []
    names = [c.__name__ for c in classes_in_order() if issubclass(c, persistent_class(cls))]
    frames: dict[int, StoredFrame] = {}
    for start in range(0, len(set(cells)), CHUNK):
        covering = select(SkyCell.object_id).where(SkyCell.cell.in_(sorted(set(cells))[start : start + CHUNK]))
        table = Persistent.__table__.c
        valid = and_(table.class_name.in_(names), table.is_valid != 0)
        frames |= frames_where(session, and_(Frame.__table__.c.object_id.in_(covering), valid))
    known = solutions(session, frames.values())
    found: list[list[Member]] = [[] for _ in shown]
    for number, frame in sorted(frames.items(), key=lambda entry: entry[1].date_obs):
        if number not in known:
            continue
        x, y = known[number].wcs.to_pixel(ra, dec)
        inside = (x > -0.5) & (x < frame.nx - 0.5) & (y > -0.5) & (y < frame.ny - 0.5)
        for i in np.flatnonzero(inside):
            found[i].append(replace(_at(number, shown[i]), x=float(x[i]), y=float(y[i])))
    members = [m for several, p in zip(found, shown, strict=True) for m in several or [_at(NO_FRAME, p)]]
    if len(members) > MOST:
        raise BadRequest(f"these positions are on {len(members):,} frames in all, the limit is {MOST:,}: send fewer")
    return members, frames


def _at(frame_id: int, position: tuple[str, float, float]) -> Member:
    return Member(frame_id, None, None, position[1], position[2], name=position[0])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"the number of a list is a whole number, got {text[:40]!r}")
    return int(text)
