"""The lineage around one object, loaded level by level: what it was made from, or what was made from it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Subquery

from awe.errors import NotFound
from awe.model.lineage import edges, inputs
from awe.model.persistent import Persistent, persistent_class
from awe.services.summaries import CHUNK, Summary, summaries

LARGEST_GRAPH = 20_000
"""Most objects of one graph; more are cut off, and the page says so."""


@dataclass(frozen=True)
class Edge:
    """One object used another in a role."""

    product: int
    role: str
    source: int


@dataclass
class LineageGraph:
    """Objects, and who used whom; `levels` gives the distance of each object from the root."""

    root: int
    down: bool
    objects: dict[int, Summary]
    edges: list[Edge]
    levels: dict[int, int]
    truncated: bool = False
    _next: dict[int, list[Edge]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for edge in self.edges:
            self._next.setdefault(edge.source if self.down else edge.product, []).append(edge)

    def from_object(self, object_id: int) -> list[Edge]:
        """Return the edges that lead away from the root at an object."""
        return self._next.get(object_id, [])

    def far_end(self, edge: Edge) -> int:
        """Return the object of an edge that is further from the root."""
        return edge.product if self.down else edge.source

    def as_json(self) -> dict[str, Any]:
        """Return the graph as JSON holds it."""
        return {
            "root": self.root,
            "direction": "down" if self.down else "up",
            "truncated": self.truncated,
            "objects": {str(i): s.as_json() | {"level": self.levels[i]} for i, s in self.objects.items()},
            "edges": [{"product": e.product, "role": e.role, "input": e.source} for e in self.edges],
        }


@lru_cache
def all_edges() -> Subquery:
    """Return the SELECT of all (product_id, role, input_id), built once."""
    return edges(Persistent)


def load_graph(session: Session, root: int, down: bool = False) -> LineageGraph:
    """Return the lineage of an object; the number of statements grows with its depth, not with its size."""
    found: list[Edge] = []
    levels = {root: 0}
    level = [root]
    while level and len(levels) <= LARGEST_GRAPH:
        new = _edges_of(session, level, down)
        found += new
        ends = dict.fromkeys(e.product if down else e.source for e in new)
        level = [i for i in ends if i not in levels]
        levels |= dict.fromkeys(level, max(levels.values()) + 1)
    objects = summaries(session, levels)
    if root not in objects:
        raise NotFound(f"no object {root}")
    known = [e for e in found if e.product in objects and e.source in objects]
    return LineageGraph(root, down, objects, _in_order(known, objects), levels, truncated=bool(level))


def _edges_of(session: Session, ids: list[int], down: bool) -> list[Edge]:
    graph = all_edges().c
    here = graph.input_id if down else graph.product_id
    found: list[Edge] = []
    for start in range(0, len(ids), CHUNK):
        query = select(graph.product_id, graph.role, graph.input_id).where(here.in_(ids[start : start + CHUNK]))
        found += [Edge(*row) for row in session.execute(query).all()]
    return found


def _in_order(found: Iterable[Edge], objects: dict[int, Summary]) -> list[Edge]:
    """Sort by product, then role as declared, then number of the input."""

    def place(edge: Edge) -> tuple[int, int, int]:
        roles = _roles(objects[edge.product].class_name)
        return edge.product, roles.index(edge.role), edge.source

    return sorted(found, key=place)


@lru_cache
def _roles(class_name: str) -> list[str]:
    return list(inputs(persistent_class(class_name)))
