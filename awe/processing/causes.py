"""What stands at the beginning of the reasons why a product is stale, and how much would be made again."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from awe.model.lineage import Wanted, inputs, is_external
from awe.processing.choosing import key_of
from awe.processing.plan import plan
from awe.processing.sentences import only_follows, root

MOST = 5
"""Causes that are told."""


@dataclass(frozen=True)
class MakingAgain:
    """The causes that the reasons do not name themselves, and the number of steps that would be taken."""

    causes: tuple[str, ...] = ()
    steps: int = 0


def making_again(session: Session, product: Any, reasons: list[str]) -> MakingAgain:
    """Return why a product that is stale for these reasons would be made again, from the plan that does so."""
    if not reasons or is_external(product) or not inputs(type(product)):
        return MakingAgain()
    with session.no_autoflush:
        again = plan(session, [Wanted(type(product), key_of(product))], wish=getattr(product, "parameters", None))
    found = [root(reason) for step in again.steps for reason in step.reasons]
    told = set(map(root, reasons))
    causes = [cause for cause in dict.fromkeys(found) if not only_follows(cause) and cause not in told]
    return MakingAgain(tuple(causes[:MOST]), len(again.steps))
