"""Plans and their outcomes as text and as JSON."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from awe.cli.printing import plural, seconds_shown, table
from awe.cli.progress import not_started
from awe.processing.engine import Outcome
from awe.processing.orders import Order
from awe.processing.plan import Plan, Step
from awe.processing.sentences import NONE, shortest_ways
from awe.processing.worker import Result

LONGEST = 60
"""Plans with more steps are shown by class, unless every step is asked for."""
_SHOWN = 10
_FIRST = re.compile(rf"^({NONE}\w+) .*")
"""A reason that tells products of one class apart."""


def plan_text(cls: type, plan: Plan, every_step: bool = False) -> str:
    """Return a plan as a table of steps, what is there already, and what can't be made."""
    blocks = [_headline(cls, plan)]
    if plan.steps:
        listed = every_step or len(plan.steps) <= LONGEST
        blocks.append(_steps(plan.steps) if listed else _by_class(plan.steps))
    left = list(dict.fromkeys(reason for step in plan.steps for reason in step.left_out))
    blocks += _listed(f"left out of what needs them ({len(left)}):", left)
    blocks += _listed("up to date:", [str(t) for t in plan.up_to_date])
    blocks += _listed("can't be made:", plan.impossible)
    return "\n\n".join(blocks)


def _headline(cls: type, plan: Plan) -> str:
    if not plan.steps:
        return f"nothing to make: {plural(len(plan.up_to_date), cls.__name__)} up to date"
    pixels = sum(step.pixels for step in plan.steps) / 1e6
    asked = sum(1 for t in plan.targets if t.object_id is None)
    grids = f"; {plural(len(plan.new_grids), 'new grid target')}" if plan.new_grids else ""
    return f"{plural(len(plan.steps), 'step')} for {plural(asked, cls.__name__)}, {pixels:.1f} Mpixel to read{grids}"


def _steps(steps: Iterable[Step]) -> str:
    rows = [
        (s.number + 1, type(s.product).__name__, s.subject, f"{s.pixels / 1e6:.1f}", _needs(s), brief(s.reasons))
        for s in steps
    ]
    return table(("step", "makes", "of", "Mpixel", "after", "because"), rows)


def brief(reasons: list[str]) -> str:
    """Return reasons as one sentence, each only by the shortest way that it comes.

    >>> brief(["flat: bias: sigma_clip was 3, now 5", "bias: sigma_clip was 3, now 5"])
    'bias: sigma_clip was 3, now 5'
    """
    return "; ".join(reason for reason, _ in shortest_ways(reasons))


def _needs(step: Step) -> str:
    numbers = sorted({n + 1 for n in step.needs})
    shown = " ".join(map(str, numbers[:6]))
    return f"{shown} ..." if len(numbers) > 6 else shown or "-"


def _by_class(steps: list[Step]) -> str:
    names = dict.fromkeys(type(s.product).__name__ for s in steps)
    rows = []
    for name in names:
        members = [s for s in steps if type(s.product).__name__ == name]
        reasons = Counter(_FIRST.sub(r"\1", brief(s.reasons)) for s in members).most_common(2)
        said = ", ".join(f"{reason} ({count})" for reason, count in reasons)
        rows.append((name, len(members), f"{sum(s.pixels for s in members) / 1e6:.1f}", said))
    return table(("makes", "number", "Mpixel", "because"), rows) + "\n(--every-step lists each)"


def _listed(title: str, sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    more = [f"  and {len(sentences) - _SHOWN} more (--json lists all)"] if len(sentences) > _SHOWN else []
    return ["\n".join([title, *(f"  {s}" for s in sentences[:_SHOWN]), *more])]


def plan_json(cls: type, plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON holds it."""
    return {
        "class": cls.__name__,
        "steps": [
            {
                "number": s.number,
                "class": type(s.product).__name__,
                "subject": s.subject,
                "reasons": s.reasons,
                "needs": s.needs,
                "pixels": s.pixels,
                "left_out": s.left_out,
            }
            for s in plan.steps
        ],
        "up_to_date": [{"object_id": t.object_id, "label": str(t)} for t in plan.up_to_date],
        "impossible": plan.impossible,
    }


def outcome_text(
    cls: type, impossible: list[str], there: list[tuple[int, str]], outcome: Outcome, seconds: float
) -> str:
    """Return what became of a plan: a table by class, the failures with their reasons, and the targets."""
    made = [(o, r) for o, r in outcome.results if r.object_id is not None]
    blocks = []
    if outcome.results:
        blocks.append(by_class(outcome.results))
    blocks += _listed(f"failed ({len(outcome.failed)}):", [_first_line(reason) for reason in outcome.failed.values()])
    blocks += _listed("can't be made:", impossible)
    blocks.append(_last_line(cls, [(o, r) for o, r in made if o.class_name == cls.__name__], there, len(made), seconds))
    return "\n\n".join(blocks)


def by_class(results: list[tuple[Order, Result]]) -> str:
    """Return the table of classes: how many were made, found or failed, and the time it took."""
    rows = []
    for name in dict.fromkeys(order.class_name for order, _ in results):
        own = [result for order, result in results if order.class_name == name]
        found = sum(r.found for r in own)
        waiting = sum(not_started(r) for r in own)
        failed = sum(r.object_id is None for r in own) - waiting
        made = len(own) - found - failed - waiting
        rows.append((name, made, found, failed, waiting, f"{sum(r.seconds for r in own):.1f}"))
    headers = ["class", "made", "found", "failed", "not started", "task time (s)"]
    keep = [i for i in range(6) if i in (0, 1, 5) or any(row[i] for row in rows)]
    return table([headers[i] for i in keep], [[row[i] for i in keep] for row in rows])


def _last_line(
    cls: type, made: list[tuple[Order, Result]], there: list[tuple[int, str]], count: int, seconds: float
) -> str:
    ids = [r.object_id for _, r in made] + [number for number, _ in there]
    shown = ", ".join(map(str, ids[:_SHOWN])) + (" ..." if len(ids) > _SHOWN else "")
    what = f"; {cls.__name__} {shown}" if ids else ""
    if not count and there:
        return f"nothing to make, all is up to date{what}"
    return f"made {plural(count, 'object')} in {seconds_shown(seconds)}{what}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no reason given"


def outcome_json(
    cls: type, impossible: list[str], there: list[tuple[int, str]], outcome: Outcome, seconds: float
) -> dict[str, Any]:
    """Return what became of a plan as JSON holds it."""
    entries = [
        {
            "class": order.class_name,
            "subject": order.subject,
            "object_id": result.object_id,
            "seconds": round(result.seconds, 3),
            "found": result.found,
            "error": result.error or None,
        }
        for order, result in outcome.results
    ]
    return {
        "class": cls.__name__,
        "seconds": round(seconds, 3),
        "made": [e for e in entries if e["object_id"] is not None],
        "failed": [e for e in entries if e["object_id"] is None],
        "up_to_date": [{"object_id": number, "label": label} for number, label in there],
        "impossible": impossible,
    }
