"""`awe tree`: the lineage of an object."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import click

from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, object_with, works
from awe.services.lineage_graph import Edge, LineageGraph, load_graph

FEW, SHOWN = 3, 12
"""More inputs of one role that have no inputs themselves are put on one line, with so many numbers."""


@click.command()
@click.argument("number", metavar="ID", type=int)
@click.option("--down", is_flag=True, help="what was made from it, instead of what it was made from")
@click.option("--depth", type=click.IntRange(1), metavar="N", help="most levels that are shown")
@click.option("--lines", type=click.IntRange(1), default=500, show_default=True, help="most lines that are printed")
@click.option("--json", "as_json", is_flag=True, help="all objects and edges as JSON")
@works
def tree(place: Workplace, number: int, down: bool, depth: int | None, lines: int, as_json: bool) -> None:
    """Show what an object was made from, or what was made from it.

    Each object is unfolded once; where it is met again, that is marked by (above).

    \b
    Example: awe tree 812
             awe tree 12 --down --depth 2
    """
    with place.session() as session:
        object_with(session, number)
        graph = load_graph(session, number, down)
    if as_json:
        print_json(graph.as_json())
        return
    printer = Printer(graph, depth)
    printed = list(printer.lines())
    for line in printed[:lines]:
        click.echo(line)
    left = len(printed) - lines
    if left > 0:
        place.say(f"... {plural(left, 'line')} more: use --depth or --lines")
    others = plural(len(graph.objects) - 1, "object")
    said = f"made from it: {others}" if down else f"made from {others}"
    place.say(f"{said}{'; the graph is cut off there' if graph.truncated else ''}")


@dataclass
class Printer:
    """Unfolds a graph into lines."""

    graph: LineageGraph
    depth: int | None
    seen: set[int] = field(default_factory=set)

    def lines(self) -> Iterator[str]:
        """Yield the root, and below it what lies further away."""
        yield self._label(self.graph.root)
        yield from self._below(self.graph.root, "", 1)

    def _below(self, number: int, margin: str, level: int) -> Iterator[str]:
        self.seen.add(number)
        if self.depth is not None and level > self.depth:
            return
        groups = self._groups(self.graph.from_object(number))
        for i, (role, ends) in enumerate(groups):
            last = i == len(groups) - 1
            begin = f"{margin}{'└─' if last else '├─'} {role}: "
            if len(ends) > 1:
                yield begin + self._several(ends)
                continue
            again = ends[0] in self.seen and bool(self.graph.from_object(ends[0]))
            yield f"{begin}{self._label(ends[0])}{' (above)' if again else ''}"
            if not again:
                yield from self._below(ends[0], margin + ("   " if last else "│  "), level + 1)

    def _groups(self, edges: list[Edge]) -> list[tuple[str, list[int]]]:
        """Return (role, objects) for each line: many inputs that were made of nothing share one."""
        if self.graph.down:
            return [(edge.role, [edge.product]) for edge in sorted(edges, key=lambda e: (e.product, e.role))]
        found = []
        for role, members in groupby(edges, key=lambda edge: edge.role):
            ends = [edge.source for edge in members]
            alike = len(ends) > FEW and not any(self.graph.from_object(end) for end in ends)
            found += [(role, ends)] if alike else [(role, [end]) for end in ends]
        return found

    def _several(self, ends: list[int]) -> str:
        numbers = " ".join(map(str, ends[:SHOWN])) + (f" ... {ends[-1]}" if len(ends) > SHOWN else "")
        invalid = [str(end) for end in ends if self.graph.objects[end].is_valid == 0]
        bad = f"  INVALID: {' '.join(invalid)}" if invalid else ""
        return f"{len(ends)} {self.graph.objects[ends[0]].class_name} {numbers}{bad}"

    def _label(self, number: int) -> str:
        summary = self.graph.objects[number]
        invalid = "  INVALID" if summary.is_valid == 0 else ""
        moment = f"  {summary.date_obs:%Y-%m-%dT%H:%M}" if summary.date_obs else ""
        return f"{summary.label}{moment}{invalid}"
