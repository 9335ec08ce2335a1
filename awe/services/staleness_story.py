"""Whether an object is stale and why, told within the time that a page can wait."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import AweError, DatabaseUnavailable
from awe.model.access import is_restricted
from awe.model.persistent import Persistent
from awe.processing.causes import MakingAgain, making_again
from awe.processing.sentences import in_short
from awe.processing.staleness import why_stale
from awe.services.lineage_graph import all_edges
from awe.services.sessions import TookTooLong, deadline
from awe.services.summaries import summaries

UNSEEN = "it has to do with something that you may not see"
_NAMED = re.compile(r"\b[A-Z]\w+ (\d{1,9})\b")
"""Objects as sentences name them: class and number."""

LOOKED_AT = 30
"""Ancestors up to which the page of an object says at once whether it is stale: each costs some milliseconds."""

PATIENCE = 0.1
"""Seconds that the page of an object waits for this."""

LONG_PATIENCE = 20.0
"""Seconds that the page waits which tells nothing else."""


def short_story(session: Session, thing: Persistent) -> list[str] | None:
    """Return why an object is stale, one sentence each; None if that takes longer than its page waits."""
    return None if _has_many_ancestors(session, thing.object_id) else _story(session, thing, PATIENCE)


@dataclass(frozen=True)
class FullStory:
    """Why an object is stale, what stands at the beginning of that, and how many steps it takes to make it again."""

    reasons: list[str]
    causes: list[str]
    steps: int

    def as_json(self) -> dict[str, Any]:
        """Return the story as JSON holds it."""
        return {"stale": self.reasons, "causes": self.causes, "steps": self.steps}


def full_story(session: Session, thing: Persistent) -> FullStory:
    """Return why an object is stale, looking at all it was made from; give up when a page can't wait any longer."""
    with Session(session.get_bind(), autoflush=False) as seeing_all:
        whole = seeing_all.get(type(thing), thing.object_id)
        try:
            with deadline(seeing_all, LONG_PATIENCE):
                reasons = why_stale(seeing_all, whole)
                again = making_again(seeing_all, whole, reasons)
        except TookTooLong as error:
            waited = f"whether {thing} is stale is not known after {LONG_PATIENCE:g} s"
            raise DatabaseUnavailable(f"{waited}: ask `awe why {thing.object_id}`") from error
        except AweError as error:  # that it can't be judged is an answer, too
            reasons, again = [str(error)], MakingAgain()
    return FullStory(told(session, in_short(reasons)), told(session, list(again.causes)), again.steps)


def _story(session: Session, thing: Persistent, patience: float) -> list[str] | None:
    """Return why an object is stale, one sentence each; None if that takes longer than `patience` seconds to tell."""
    if is_restricted(session):
        return _retold(session, thing, patience)
    try:
        with deadline(session, patience):
            return in_short(why_stale(session, thing))
    except TookTooLong:
        return None
    except AweError as error:  # that it can't be judged is an answer, too
        return [str(error)]


def _retold(session: Session, thing: Persistent, patience: float) -> list[str] | None:
    """Return the story as somebody may hear it who may not see all: it is true, but names nothing that is hidden."""
    with Session(session.get_bind(), autoflush=False) as seeing_all:
        whole = seeing_all.get(type(thing), thing.object_id)
        reasons = _story(seeing_all, whole, patience) if whole is not None else None
    return reasons if reasons is None else told(session, reasons)


def told(session: Session, sentences: list[str]) -> list[str]:
    """Return sentences, with another one in place of those that name objects which the session may not show."""
    if not is_restricted(session):
        return sentences
    named = [{int(number) for number in _NAMED.findall(sentence)} for sentence in sentences]
    known = summaries(session, set().union(*named))
    kept = [s if numbers <= set(known) else UNSEEN for s, numbers in zip(sentences, named, strict=True)]
    return list(dict.fromkeys(kept))


def _has_many_ancestors(session: Session, object_id: int) -> bool:
    """Return whether an object has more ancestors than its page looks at; stops as soon as it is known."""
    graph = all_edges().c
    found: set[int] = set()
    level = {object_id}
    while level and len(found) <= LOOKED_AT:
        level = set(session.scalars(select(graph.input_id).where(graph.product_id.in_(level)))) - found
        found |= level
    return len(found) > LOOKED_AT
