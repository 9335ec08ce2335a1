"""`awe tree`: the lineage of an object."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import click

from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, object_with, works
from awe.services.lineage_graph import Edge, LineageGraph, load_graph

FEW = 6
"""More inputs of one role that have no inputs themselves are put on one line."""


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
    verb = "was made from it" if down else "it was made from"
    place.say(f"{plural(len(graph.objects) - 1, 'object')} {verb}{', the graph is cut off' if graph.truncated else ''}")


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
        edges = self.graph.from_object(number)
        if self.depth is not None and level > self.depth:
            return
        groups = [(role, list(members)) for role, members in groupby(edges, key=lambda edge: edge.role)]
        if self.graph.down:
            groups = [(edge.role, [edge]) for edge in sorted(edges, key=lambda e: (e.product, e.role))]
        entries = [entry for role, members in groups for entry in self._entries(role, members)]
        for i, (text, target) in enumerate(entries):
            last = i == len(entries) - 1
            yield f"{margin}{'└─' if last else '├─'} {text}"
            if target is not None:
                yield from self._below(target, margin + ("   " if last else "│  "), level + 1)

    def _entries(self, role: str, members: list[Edge]) -> list[tuple[str, int | None]]:
        """Return (text, object to unfold below it) for the objects in one role."""
        ends = [self.graph.far_end(edge) for edge in members]
        if len(ends) > FEW and all(not self.graph.from_object(end) for end in ends):
            numbers = " ".join(map(str, ends[:FEW]))
            kind = self.graph.objects[ends[0]].class_name
            return [(f"{role}: {len(ends)} {kind} {numbers} ... {ends[-1]}", None)]
        found: list[tuple[str, int | None]] = []
        for end in ends:
            again = end in self.seen and bool(self.graph.from_object(end))
            found.append((f"{role}: {self._label(end)}{' (above)' if again else ''}", None if again else end))
            self.seen.add(end)
        return found

    def _label(self, number: int) -> str:
        summary = self.graph.objects[number]
        invalid = "  INVALID" if summary.is_valid == 0 else ""
        moment = f"  {summary.date_obs:%Y-%m-%dT%H:%M}" if summary.date_obs else ""
        return f"{summary.label}{moment}{invalid}"
