"""A small map of a lineage: a box for each class, in columns from raw frames to science, and who was made from whom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from awe.model.persistent import persistent_class
from awe.services.groups import classes_in_order, heading_of
from awe.services.lineage_graph import LineageGraph

BOX = (200, 36)
GAP = (80, 10)
MARGIN = 6
HEAD = 26


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
    def middle(self) -> int:
        """Height of the lines that start or end here."""
        return self.y + BOX[1] // 2

    @property
    def right(self) -> int:
        """Where the box ends."""
        return self.x + BOX[0]


@dataclass(frozen=True)
class LineageMap:
    """Headings of the columns (text, x), boxes, and the curves between them (SVG path data)."""

    headings: list[tuple[str, int]]
    boxes: list[Box]
    curves: list[str]
    width: int
    height: int
    box_width: int = BOX[0]
    box_height: int = BOX[1]


def draw_map(graph: LineageGraph) -> LineageMap:
    """Return the map of a graph: columns in processing order, inputs left of or above what was made from them."""
    classes = {i: s.class_name for i, s in graph.objects.items()}
    counts = Counter(classes.values())
    first = {name: i for i, name in reversed(classes.items())}
    columns = _columns(counts)
    boxes = {}
    for x, names in enumerate(columns.values()):
        for y, name in enumerate(names):
            place = MARGIN + x * (BOX[0] + GAP[0]), HEAD + y * (BOX[1] + GAP[1])
            boxes[name] = Box(name, counts[name], first[name], *place, is_root=name == classes[graph.root])
    pairs = reduced({(classes[e.source], classes[e.product]) for e in graph.edges})
    return LineageMap(
        [(heading, MARGIN + x * (BOX[0] + GAP[0])) for x, heading in enumerate(columns)],
        list(boxes.values()),
        [_curve(boxes[source], boxes[product]) for source, product in sorted(pairs)],
        2 * MARGIN + len(columns) * (BOX[0] + GAP[0]) - GAP[0] // 3,
        MARGIN + HEAD + max(map(len, columns.values())) * (BOX[1] + GAP[1]) - GAP[1],
    )


def reduced(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the pairs (input, product) that no chain of others implies."""
    direct = {(a, b) for a, b in pairs if a != b}
    after: dict[str, set[str]] = {}
    for source, product in direct:
        after.setdefault(source, set()).add(product)

    @lru_cache(None)
    def reach(name: str) -> frozenset[str]:
        return frozenset().union(*({n} | reach(n) for n in after.get(name, ())))

    return {(a, b) for a, b in direct if not any(b in reach(n) for n in after[a] - {b})}


def _columns(names: Iterable[str]) -> dict[str, list[str]]:
    order = [cls.__name__ for cls in classes_in_order()]
    columns: dict[str, list[str]] = {}
    for name in sorted(names, key=order.index):
        columns.setdefault(heading_of(persistent_class(name)), []).append(name)
    return columns


def _curve(source: Box, product: Box) -> str:
    """Return a curve to the next column, or around the right side within a column."""
    x0, y0, y1 = source.right, source.middle, product.middle
    if source.x == product.x:
        bulge = min(GAP[0] - 8, 14 + abs(y1 - y0) * 0.22)
        return f"M{x0} {y0 + 5}C{x0 + bulge:.0f} {y0 + 5} {x0 + bulge:.0f} {y1 - 5} {x0} {y1 - 5}"
    bend = (product.x - x0) * 0.5
    return f"M{x0} {y0}C{x0 + bend:.0f} {y0} {product.x - bend:.0f} {y1} {product.x} {y1}"
