"""A lineage graph unfolded into a tree: each object in full where it is nearest to the root, elsewhere a reference."""

from collections import deque
from dataclasses import dataclass, field

from awe.services.lineage_graph import LineageGraph
from awe.services.summaries import Summary

LARGEST_TREE = 600
"""Objects that one page unfolds; what lies beyond is reached by the trees of the objects at its end."""

OPEN_LEVELS = 3
"""Levels that are shown at once; deeper ones open by a click."""

LONG_LIST = 20
"""Lists with more members are shown closed."""


@dataclass
class Node:
    """An object in the tree."""

    summary: Summary
    level: int
    branches: list["Branch"] = field(default_factory=list)
    is_repeated: bool = False
    """It is shown in full elsewhere on the page."""
    is_cut: bool = False
    """It has a lineage that this page does not unfold."""
    is_first: bool = True
    """It is the first of its list; the others are shown closed."""

    @property
    def is_leaf(self) -> bool:
        """Whether nothing lies beyond."""
        return not self.branches and not self.is_repeated and not self.is_cut

    @property
    def new(self) -> list["Branch"]:
        """The branches with objects that are shown here."""
        return [b for b in self.branches if not b.is_repeated]

    @property
    def known(self) -> list["Branch"]:
        """The branches all of whose objects are shown elsewhere."""
        return [b for b in self.branches if b.is_repeated]

    @property
    def is_open(self) -> bool:
        """Whether what lies below is shown at once."""
        return self.level == 0 or (self.level < OPEN_LEVELS and self.is_first)


@dataclass
class Branch:
    """The objects of one class in one role."""

    role: str
    class_name: str
    nodes: list[Node] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether the list is shown at once."""
        return len(self.nodes) <= LONG_LIST

    @property
    def is_repeated(self) -> bool:
        """Whether all its objects are shown elsewhere."""
        return all(n.is_repeated for n in self.nodes)

    @property
    def is_sheet(self) -> bool:
        """Whether it is best shown as a sheet of pictures: nothing lies beyond its members."""
        return all(n.is_leaf or n.is_repeated for n in self.nodes)


@dataclass(frozen=True)
class LineageTree:
    """The tree, and how many of the objects of the graph it shows."""

    root: Node
    placed: int
    total: int


def unfold(graph: LineageGraph) -> LineageTree:
    """Return the graph as a tree, breadth first, so that each object stands as near to the root as it can."""
    root = Node(graph.objects[graph.root], 0)
    placed = {graph.root}
    waiting = deque([root])
    while waiting:
        node = waiting.popleft()
        away = graph.from_object(node.summary.object_id)
        if away and len(placed) >= LARGEST_TREE:
            node.is_cut = True
            continue
        branches: dict[tuple[str, str], Branch] = {}
        for edge in away:
            end = graph.far_end(edge)
            child = Node(graph.objects[end], node.level + 1, is_repeated=end in placed)
            key = (edge.role, child.summary.class_name)
            branch = branches.setdefault(key, Branch(*key))
            child.is_first = not branch.nodes
            branch.nodes.append(child)
            if not child.is_repeated:
                placed.add(end)
                waiting.append(child)
        node.branches = list(branches.values())
    return LineageTree(root, len(placed), len(graph.objects))
