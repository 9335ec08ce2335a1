"""Runs of dependency cutouts: an address says which sources, associates or place, and which classes are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.kernels.wcs import Wcs
from awe.services.addresses import changed
from awe.services.ancestor_positions import ancestry_within, load_ancestry
from awe.services.cutout_request import LOOKS, SHAPE, CutoutRequest
from awe.services.cutout_runs import OF_LISTS, chosen_by, chosen_words
from awe.services.cutout_spot import PLACE
from awe.services.depcut_matrix import Block, blocks_of, classes_of, offered_classes, usual_classes
from awe.services.images import sized
from awe.services.lineage_geometry import load_geometry
from awe.services.operations import Operation, Parameter
from awe.services.series import Member, associates, find_source_list, placed, sources
from awe.services.stored_frames import Solution, StoredFrame, solutions, stored_frame, stored_frames
from awe.store import Store

MOST_CELLS = 4000
"""Cutouts on one page."""
ALL = "all"


def _parse_classes(text: str) -> str:
    """Return names of classes in a fixed order; raise BadRequest naming one that is none."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    offered = offered_classes()
    if names == [ALL]:
        return ALL
    for name in names:
        if name not in offered:
            raise BadRequest(f"classes: no class of frames {name[:40]!r}; there are {', '.join(offered)}")
    if not names:
        raise ValueError(text)
    return ",".join(name for name in offered if name in names)


CLASSES = Parameter(
    "classes",
    "products that are shown, separated by commas, or all; none: all but the raw frames of calibrations",
    example="RawScienceFrame,ReducedFrame,BiasFrame",
    parse=_parse_classes,
)
_BARE = tuple(p for p in PLACE if p.name in ("x", "y", "ra", "dec"))
SELECTIONS: dict[str, tuple[Parameter, ...]] = OF_LISTS | {"at": _BARE}
LOOK = tuple(p for p in (*SHAPE, *LOOKS) if p.name not in ("plane", "where"))


@dataclass(frozen=True)
class DepcutRun:
    """What an address of dependency cutouts says."""

    kind: str
    number: int
    """Of the source list, associate list or frame."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    classes: str | None = None
    request: CutoutRequest = field(default_factory=CutoutRequest)

    @classmethod
    def of(cls, kind: str, number: int, given: Mapping[str, str]) -> Self:
        """Return the run that the parts of an address mean; raise BadRequest naming what is wrong."""
        read = operation(kind).read(given)
        chosen = chosen_by(SELECTIONS[kind], read)
        if kind == "at" and set(chosen) not in ({"x", "y"}, {"ra", "dec"}):
            raise BadRequest("the place on the frame is either x and y (pixels), or ra and dec (degrees)")
        usual = {p.name: p.default for p in (*SHAPE, *LOOKS)}
        return cls(kind, number, chosen, read["classes"], CutoutRequest.of(usual | read))

    @property
    def path(self) -> str:
        """Address without parameters."""
        return f"/depcuts/{self.kind}/{self.number}"

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of its address that differ from their defaults."""
        return {**self.chosen, **({"classes": self.classes} if self.classes else {}), **self.request.query()}

    @property
    def address(self) -> str:
        """The address in its shortest form: equal runs have equal addresses."""
        return changed(self.path, {}, **self.parameters())

    @property
    def title(self) -> str:
        """What it is of, in words."""
        words = {"sources": "SourceList", "associates": "AssociateList", "at": "Object"}[self.kind]
        return ", ".join([f"{words} {self.number}", *chosen_words(self.chosen)])


@dataclass(frozen=True)
class Matrix:
    """Blocks of a run, and the classes that are its columns."""

    run: DepcutRun
    blocks: tuple[Block, ...]
    present: tuple[str, ...]
    """Classes among the products."""
    columns: tuple[str, ...]
    total: int
    """Sources or associates of the whole run."""
    frames: Mapping[int, StoredFrame]

    @property
    def objects(self) -> list[int]:
        """Numbers of all products that are shown."""
        return sorted({c.place.object_id for block in self.blocks for c in block.cells(self.columns)})


def operation(kind: str) -> Operation:
    """Return what an address of a run takes."""
    return Operation(f"Dependency cutouts of {kind}", (*SELECTIONS[kind], CLASSES, *LOOK))


def load_matrix(session: Session, store: Store, run: DepcutRun, limit: int | None = None, offset: int = 0) -> Matrix:
    """Return the matrix of `limit` sources or associates after `offset`.

    The number of statements grows with the depth of the lineage, not with the sources, lists or exposures.
    """
    members, total, frames = _members(session, store, run, limit, offset)
    known = solutions(session, frames.values())
    members = placed(members, frames, known)
    blocks = _blocks(session, run, members, known)
    present = classes_of(blocks)
    chosen = (
        present if run.classes == ALL else (run.classes or "").split(",") if run.classes else usual_classes(present)
    )
    cells = sum(len(block.cells(chosen)) for block in blocks)
    if cells > MOST_CELLS:
        raise BadRequest(
            f"this page would have {cells:,} cutouts, the limit is {MOST_CELLS:,}: choose fewer rows or classes"
        )
    if run.kind == "associates":
        blocks.sort(key=lambda b: (b.member.aid or 0, frames[b.member.frame_id].date_obs))
    return Matrix(run, tuple(blocks), tuple(present), tuple(chosen), total, frames)


def _members(
    session: Session, store: Store, run: DepcutRun, limit: int | None, offset: int
) -> tuple[list[Member], int, dict[int, StoredFrame]]:
    if run.kind == "at":
        frame = sized(store, _frame_of(session, run.number))
        x, y = (run.chosen[n] - 1 if n in run.chosen else None for n in "xy")
        member = Member(frame.object_id, x, y, run.chosen.get("ra"), run.chosen.get("dec"))
        return [_with_sky(session, member, frame)], 1, {frame.object_id: frame}
    if run.kind == "sources":
        members, total = sources(session, run.number, run.chosen.get("sids", ""), limit, offset)
    else:
        members, total = associates(session, run.number, run.chosen.get("aids", ""), limit, offset)
    frames = stored_frames(session, {m.frame_id for m in members})
    members = [m for m in members if m.frame_id in frames]
    return members, total, {number: sized(store, frame) for number, frame in frames.items()}


def _frame_of(session: Session, number: int) -> StoredFrame:
    """Return a frame by its number, or that of a source list."""
    try:
        return stored_frame(session, number)
    except NotFound as error:
        if "SourceList" not in str(error):
            raise
        return stored_frame(session, find_source_list(session, number))


def _with_sky(session: Session, member: Member, frame: StoredFrame) -> Member:
    """Return a place that was given by its pixels with its position on the sky, if there is one."""
    if member.x is None or member.y is None:
        return member
    found = solutions(session, [frame]).get(frame.object_id)
    if found is None:
        return member
    ra, dec = found.wcs.to_sky(member.x, member.y)
    return replace(member, ra=float(ra), dec=float(dec))


def _blocks(session: Session, run: DepcutRun, members: list[Member], known: Mapping[int, Solution]) -> list[Block]:
    if not members:
        return []
    if run.kind != "associates":
        root = run.number if run.kind == "sources" else members[0].frame_id
        return blocks_of(load_ancestry(session, root), members, _wcs(known, members[0].frame_id))
    geometry = load_geometry(session, run.number)
    lists = dict.fromkeys(m.slid for m in members)
    of_list: dict[int | None, list[Block]] = {}
    for slid in lists:
        own = [m for m in members if m.slid == slid]
        assert slid is not None
        of_list[slid] = blocks_of(ancestry_within(geometry, slid), own, _wcs(known, own[0].frame_id))
    by_member = {(b.member.aid, b.member.slid, b.member.sid): b for found in of_list.values() for b in found}
    return [by_member[m.aid, m.slid, m.sid] for m in members]


def _wcs(known: Mapping[int, Solution], frame_id: int) -> Wcs | None:
    return known[frame_id].wcs if frame_id in known else None
