"""The lineage around an object as its page unfolds it: level by level, only what was asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.access import visible
from awe.model.lineage import inputs
from awe.model.persistent import Persistent, persistent_class
from awe.services.declared import Field
from awe.services.lineage_graph import all_edges
from awe.services.node_values import NodeValue, brief_columns, brief_rows, node_values
from awe.services.summaries import Summary, summaries

MOST_OPEN = 100
"""Objects that one page unfolds."""
DEEPEST = 9
"""Levels that a page unfolds at once; by `expand` it goes as deep as the lineage."""
NONE: frozenset[int] = frozenset()
LONGEST_LIST = 1000
"""Members of a list that a page shows at most; the table of the class has them all."""
SHORT_LIST = 50
"""Members that it shows unless more are asked for."""


@dataclass
class Place:
    """An object in the tree, and how far it is from the root."""

    summary: Summary
    level: int
    is_open: bool = False
    is_above: bool = False
    """It is open elsewhere on the page."""
    used: bool = True
    weight: float | None = None
    reason: str | None = None
    values: list[NodeValue] = field(default_factory=list)
    brief: tuple[Any, ...] = ()
    branches: list["Branch"] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the place, and what is unfolded below it, as JSON holds it."""
        more = {"used": self.used, "weight": self.weight, "reason": self.reason}
        below = {"branches": [b.as_json() for b in self.branches]} if self.is_open else {}
        return {**self.summary.as_json(), "level": self.level, "open": self.is_open, **more, **below}


@dataclass
class Branch:
    """The objects in one role."""

    role: str
    doc: str
    class_name: str
    many: bool
    places: list[Place] = field(default_factory=list)
    total: int = 0
    columns: tuple[Field, ...] = ()

    @property
    def is_judged(self) -> bool:
        """Whether members carry weights or reasons."""
        return any(p.weight is not None or p.reason or not p.used for p in self.places)

    def as_json(self) -> dict[str, Any]:
        """Return the branch as JSON holds it."""
        return {
            "role": self.role,
            "class": self.class_name,
            "total": self.total,
            "objects": [p.as_json() for p in self.places],
        }


@dataclass
class Unfolding:
    """What a page unfolds of a lineage."""

    root: Place
    down: bool
    opened: set[int]
    left_closed: int = 0
    """Objects within the depth that was asked for, but more than one page unfolds."""

    def opens(self, place: Place, expand: frozenset[int], depth: int) -> bool:
        """Note whether a place is open, and return whether it is."""
        number = place.summary.object_id
        place.is_above = number in self.opened
        if place.is_above or not (number in expand or place.level <= depth):
            return False
        if len(self.opened) > MOST_OPEN:
            self.left_closed += 1
            return False
        self.opened.add(number)
        place.is_open = True
        return True


def parse_numbers(text: str) -> frozenset[int]:
    """Return the numbers of objects in `812,815`; raise BadRequest for anything else."""
    parts = text.split(",")
    if not all(p.strip().isascii() and p.strip().isdigit() and len(p.strip()) < 10 for p in parts):
        raise BadRequest(f"expand must be numbers of objects such as 812,815, got {text[:60]!r}")
    found = frozenset(map(int, parts))
    if len(found) > MOST_OPEN:
        raise BadRequest(f"expand names {len(found)} objects: one page unfolds at most {MOST_OPEN}")
    return found


def unfold_around(
    session: Session,
    root: Summary,
    expand: frozenset[int] = NONE,
    depth: int = 1,
    down: bool = False,
    level: int = 1,
    rows: int = SHORT_LIST,
    with_root: bool = True,
) -> Unfolding:
    """Return the lineage of an object, with these objects unfolded, and all down to a level; the root is at `level`.

    Without the root, its own values are left out: the page of an object has them already.

    The number of statements grows with the levels and the classes that are shown, not with the objects.
    """
    top = Place(root, level, is_open=True)
    found = Unfolding(top, down, {root.object_id})
    everyone, growing = [top], [top]
    while growing:
        new = list(_grown(session, growing, down, rows))
        everyone += new
        growing = [place for place in new if found.opens(place, expand, depth)]
    _fill(session, everyone if with_root else everyone[1:], [b for place in everyone for b in place.branches if b.many])
    return found


def _grown(session: Session, level: list[Place], down: bool, most: int) -> Iterator[Place]:
    """Give each object of a level its branches, and yield what is at their ends."""
    rows = _ranked(session, [p.summary.object_id for p in level], down, most)
    known = summaries(session, (r.there for r in rows))
    by_number = {p.summary.object_id: p for p in level}
    branches: dict[tuple[int, str, str], Branch] = {}
    for row in rows:
        if row.there not in known:
            continue
        near = by_number[row.here]
        product = row.class_name if down else near.summary.class_name
        key = (row.here, product if down else "", row.role)
        if key not in branches:
            declared = inputs(persistent_class(product))[row.role]
            shown = product if down else declared.source.__name__
            branches[key] = Branch(row.role, declared.doc, shown, down or declared.many, total=row.total)
            near.branches.append(branches[key])
        branches[key].places.append(Place(known[row.there], near.level + 1))
    if not down:
        for place in level:
            _complete(place)
        _note_members(session, level)
    yield from (p for place in level for b in place.branches for p in b.places)


def _ranked(session: Session, numbers: list[int], down: bool, most: int) -> list[Any]:
    """Return (here, role, there, class of there, total) of each edge, up to so many for each role."""
    graph, table = all_edges().c, Persistent.__table__.c
    here, there = (graph.input_id, graph.product_id) if down else (graph.product_id, graph.input_id)
    own = (here, graph.role, table.class_name) if down else (here, graph.role)
    order = there.desc() if down else there
    query = (
        select(
            here.label("here"),
            graph.role,
            there.label("there"),
            table.class_name,
            func.row_number().over(partition_by=own, order_by=order).label("rank"),
            func.count().over(partition_by=own).label("total"),
        )
        .join(Persistent.__table__, table.object_id == there)
        .where(here.in_(numbers))
    )
    ranked = visible(session, query).subquery()
    chosen = select(ranked).where(ranked.c.rank <= most)
    return list(session.execute(chosen.order_by(ranked.c.class_name if down else ranked.c.here, ranked.c.rank)))


def _complete(place: Place) -> None:
    """Put the roles of an object in the order of declaration; those that are empty, too."""
    declared = inputs(persistent_class(place.summary.class_name))
    found = {b.role: b for b in place.branches}
    place.branches = [found.get(name) or Branch(name, d.doc, d.source.__name__, d.many) for name, d in declared.items()]


def _note_members(session: Session, level: list[Place]) -> None:
    """Note what became of the members of lists; one statement for each class and role with a list."""
    lists: dict[tuple[str, str], dict[int, Branch]] = {}
    for place in level:
        for branch in (b for b in place.branches if b.many and b.places):
            key = (place.summary.class_name, branch.role)
            lists.setdefault(key, {})[place.summary.object_id] = branch
    for (class_name, role), branches in lists.items():
        members: Any = inputs(persistent_class(class_name))[role].members
        rows = members.__table__.c
        query = select(rows.product_id, rows.input_id, rows.used, rows.weight, rows.reason)
        noted = {(r.product_id, r.input_id): r for r in session.execute(query.where(rows.product_id.in_(branches)))}
        for product, branch in branches.items():
            for member in branch.places:
                row = noted[product, member.summary.object_id]
                member.used, member.weight, member.reason = row.used, row.weight, row.reason


def _fill(session: Session, places: Iterable[Place], lists: Sequence[Branch]) -> None:
    """Give open objects all their values, and members of lists those that tell them apart."""
    opened = [place for place in places if place.is_open]
    full = node_values(session, [p.summary for p in opened])
    for place in opened:
        place.values = full.get(place.summary.object_id, [])
    rows = brief_rows(session, [p.summary for b in lists for p in b.places])
    for branch in lists:
        for place in branch.places:
            place.brief = rows.get(place.summary.object_id, ())
        classes = {p.summary.class_name for p in branch.places}
        if len(classes) == 1:
            branch.columns = brief_columns(persistent_class(classes.pop()))
            _drop_empty(branch)


def _drop_empty(branch: Branch) -> None:
    """Leave out the columns that have no value in any row."""
    kept = [i for i in range(len(branch.columns)) if any(p.brief and p.brief[i] is not None for p in branch.places)]
    branch.columns = tuple(branch.columns[i] for i in kept)
    for place in branch.places:
        place.brief = tuple(place.brief[i] for i in kept) if place.brief else ()
