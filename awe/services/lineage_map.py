"""A small map of a lineage: one box for each class, in columns from raw frames to the product."""

from collections import Counter
from dataclasses import dataclass

from awe.services.lineage_graph import LineageGraph

BOX = (152, 40)
GAP = (46, 14)
MARGIN = 4


@dataclass(frozen=True)
class Box:
    """A class, how many of its objects are in the lineage, and where its box stands."""

    class_name: str
    count: int
    first: int
    """Number of one of the objects."""
    x: int
    y: int
    is_root: bool

    @property
    def left(self) -> tuple[int, int]:
        """Where the line to its inputs starts."""
        return self.x, self.y + BOX[1] // 2

    @property
    def right(self) -> tuple[int, int]:
        """Where lines from its products end."""
        return self.x + BOX[0], self.y + BOX[1] // 2


@dataclass(frozen=True)
class LineageMap:
    """Boxes and the curves between them (SVG path data)."""

    boxes: list[Box]
    curves: list[str]
    width: int
    height: int


def draw_map(graph: LineageGraph) -> LineageMap:
    """Return the map of a graph: inputs left of what was made from them."""
    classes = {i: s.class_name for i, s in graph.objects.items()}
    counts = Counter(classes.values())
    first = {name: i for i, name in reversed(classes.items())}
    pairs = {(classes[e.source], classes[e.product]) for e in graph.edges} - {(c, c) for c in counts}
    columns = _columns(set(counts), pairs)
    tallest = max(len(names) for names in columns)
    boxes = {}
    for x, names in enumerate(columns):
        top = (tallest - len(names)) * (BOX[1] + GAP[1]) // 2
        for y, name in enumerate(names):
            place = MARGIN + x * (BOX[0] + GAP[0]), MARGIN + top + y * (BOX[1] + GAP[1])
            boxes[name] = Box(name, counts[name], first[name], *place, is_root=name == classes[graph.root])
    width = 2 * MARGIN + len(columns) * (BOX[0] + GAP[0]) - GAP[0]
    height = 2 * MARGIN + tallest * (BOX[1] + GAP[1]) - GAP[1]
    curves = [_curve(boxes[source], boxes[product]) for source, product in sorted(pairs)]
    return LineageMap(list(boxes.values()), curves, width, height)


def _columns(names: set[str], pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Return the classes by column: each right of all its inputs, and as near to its products as that allows."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for source, product in pairs:
            depth[product] = max(depth[product], depth[source] + 1)
    last = max(depth.values())
    late = dict.fromkeys(names, last)
    for _ in names:
        for source, product in pairs:
            late[source] = min(late[source], late[product] - 1)
    place = {n: late[n] if any(n == s for s, _ in pairs) else depth[n] for n in names}
    return [column for c in range(last + 1) if (column := _ordered(c, place, pairs))]


def _ordered(column: int, place: dict[str, int], pairs: set[tuple[str, str]]) -> list[str]:
    """Return the classes of a column, those with many connections in the middle rows."""
    names = sorted(n for n in place if place[n] == column)
    degree = Counter(n for pair in pairs for n in pair)
    ranked = sorted(names, key=lambda n: degree[n])
    return ranked[::2] + ranked[1::2][::-1]


def _curve(source: Box, product: Box) -> str:
    (x0, y0), (x1, y1) = source.right, product.left
    bend = max(GAP[0] * 0.6, (x1 - x0) * 0.4)
    return f"M{x0} {y0}C{x0 + bend:.0f} {y0} {x1 - bend:.0f} {y1} {x1} {y1}"
