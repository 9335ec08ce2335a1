"""Two objects side by side: what they have in common, and where they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from awe.services.declared import Field, fields_of, plain
from awe.services.objectview import Member, ObjectView, Value, view_object
from awe.services.summaries import Summary

_OF_ITSELF = ("object_id", "fingerprint", "filename", "sha256", "creation_date", "wall_time", "peak_memory", "host")
"""Values in which any two objects differ; they are shown, but are no difference."""


@dataclass(frozen=True)
class Line:
    """One thing that both objects may have: `left` and `right` are what each has."""

    name: str
    left: Any
    right: Any
    differs: bool
    field: Field | None = None
    change: float | None = None
    """Right minus left, of numbers that differ."""

    def as_json(self) -> dict[str, Any]:
        """Return the line as JSON holds it."""
        return {"name": self.name, "left": _json(self.left), "right": _json(self.right), "differs": self.differs}


@dataclass(frozen=True)
class Comparison:
    """Two objects and, under headings, the lines in which they are compared."""

    left: ObjectView
    right: ObjectView
    groups: dict[str, list[Line]]

    @property
    def differences(self) -> int:
        """Number of lines in which the objects differ."""
        return sum(line.differs for lines in self.groups.values() for line in lines)

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON holds it."""
        return {
            "left": self.left.summary.as_json(),
            "right": self.right.summary.as_json(),
            "differences": self.differences,
            "groups": {name: [line.as_json() for line in lines] for name, lines in self.groups.items()},
        }


def compare(session: Session, left: int, right: int) -> Comparison:
    """Return two objects side by side; raise NotFound if there is none of one of the numbers."""
    views = view_object(session, left), view_object(session, right)
    groups = {
        "Versions": list(_versions(*views)),
        "Judgement": list(_judgements(*views)),
        "Inputs": list(_inputs(*views)),
        **_values(*views),
        "Belongs to": list(_links(*views)),
    }
    return Comparison(*views, {heading: lines for heading, lines in groups.items() if lines})


def _line(name: str, left: Any, right: Any, field: Field | None = None) -> Line:
    differs = left != right and name not in _OF_ITSELF
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (left, right))
    change = right - left if differs and numbers and field is not None and field.kind == "number" else None
    return Line(name, left, right, differs, field, change)


def _versions(left: ObjectView, right: ObjectView) -> Iterator[Line]:
    yield _line("class", left.summary.class_name, right.summary.class_name)
    yield _line("process", str(left.process or ""), str(right.process or ""))
    first, second = (v.process.code_hash[:12] if v.process else "" for v in (left, right))
    yield _line("code of the process", first, second)
    yield _line("version of awe", left.thing.software_version, right.thing.software_version)
    yield _line("creator", left.thing.creator, right.thing.creator)
    yield _line("project", left.thing.project, right.thing.project)


def _judgements(left: ObjectView, right: ObjectView) -> Iterator[Line]:
    yield _line("judgement", left.judgement, right.judgement)
    yield _line("reason", left.reason_invalid or "", right.reason_invalid or "")
    yield _line("quality flags", ", ".join(left.flags), ", ".join(right.flags))
    known = left.stale is not None and right.stale is not None
    told = _staleness(left), _staleness(right)
    yield Line("up to date", *told, differs=known and told[0] != told[1])
    yield _line("remark", left.remark or "", right.remark or "")


def _staleness(view: ObjectView) -> str:
    if view.stale is None:
        return "takes longer to find out" if view.is_long_story else ""
    return "; ".join(view.stale) if view.stale else "yes"


def _inputs(left: ObjectView, right: ObjectView) -> Iterator[Line]:
    """Yield a line for each single input, and for each list one line for each object that only one of them used."""
    roles = [{role.name: role for role in view.inputs} for view in (left, right)]
    for name in dict.fromkeys([*roles[0], *roles[1]]):
        sides = [own[name].members if name in own else [] for own in roles]
        many = any(own[name].many for own in roles if name in own)
        yield from _list_lines(name, *sides) if many else [_single_line(name, *sides)]


def _single_line(name: str, left: list[Member], right: list[Member]) -> Line:
    first, second = (side[0].summary if side else None for side in (left, right))
    return _line(name, first, second)


def _list_lines(name: str, left: list[Member], right: list[Member]) -> Iterator[Line]:
    first, second = ({m.summary.object_id: m for m in side} for side in (left, right))
    same = [number for number in first if number in second and first[number].used == second[number].used]
    yield Line(f"{name}: in both", len(same), len(same), False)
    for number in [*first, *(n for n in second if n not in first)]:
        if number not in same:
            yield Line(name, first.get(number), second.get(number), True)


def _values(left: ObjectView, right: ObjectView) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    sides: list[dict[tuple[str, str], Value]] = [
        {(heading, v.field.name): v for heading, values in view.values.items() for v in values}
        for view in (left, right)
    ]
    order = {f.name: i for i, f in enumerate((*fields_of(left.cls), *fields_of(right.cls)))}
    for heading, name in sorted(sides[0].keys() | sides[1].keys(), key=lambda key: order.get(key[1], 0)):
        here, there = (side.get((heading, name)) for side in sides)
        declared = next(v.field for v in (here, there) if v is not None)
        line = _line(name, here.value if here else None, there.value if there else None, declared)
        groups.setdefault(heading, []).append(line)
    headings = [*left.values, *(h for h in right.values if h not in left.values)]
    return {heading: groups[heading] for heading in headings if heading in groups}


def _links(left: ObjectView, right: ObjectView) -> Iterator[Line]:
    sides: list[dict[str, Summary]] = [{f.name: s for f, s in view.links if f.role == "link"} for view in (left, right)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        yield _line(name, sides[0].get(name), sides[1].get(name))


def _json(value: Any) -> Any:
    if isinstance(value, Summary):
        return value.as_json()
    if isinstance(value, Member):
        return value.summary.as_json() | {"used": value.used, "weight": value.weight, "reason": value.reason}
    return plain(value)
