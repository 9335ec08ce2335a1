"""What somebody sends to judge an object or to comment on it: read, checked, written."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Self

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.errors import NotFound
from awe.model.access import Person
from awe.model.judgement import Judgement, flags_named, judge
from awe.model.persistent import Persistent, QualityFlag, Validity, persistent_class
from awe.services.operations import Parameter

NUMBERS = tuple(str(int(v)) for v in Validity)
FLAGS = tuple(str(f.name).lower() for f in QualityFlag)


def _flag(text: str) -> int:
    """Return the number of a quality flag, given by its name, or of several, given as a number."""
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() else flags_named([text])


FIELDS = (
    Parameter("text", "the comment, or the reason of the judgement", required=True, example="stripes"),
    Parameter(
        "is_valid",
        "what the object is to be judged, by name or number; not given: it stays as it is",
        choices=(*(v.name.lower() for v in Validity), *NUMBERS),
    ),
    Parameter(
        "quality_flags",
        "the quality flags that are to be set, all of them; not given: they stay as they are",
        choices=FLAGS,
        parse=_flag,
        many=True,
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What somebody says of an object; None leaves a value as it is."""

    text: str
    is_valid: int | None = None
    quality_flags: int | None = None

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> Self:
        """Return what is said by the fields that were read."""
        named, flags = read["is_valid"], read["quality_flags"]
        validity = None if named is None else int(named) if named in NUMBERS else int(Validity[named.upper()])
        return cls(read["text"], validity, None if flags is None else reduce(or_, flags, 0))


def pronounce(engine: Engine, object_id: int, person: Person, verdict: Verdict) -> list[Judgement]:
    """Write what a person says of an object; raise NotAllowed if they may not say it."""
    with short_transaction(engine) as session:
        thing = _object(session, object_id)
        return judge(session, thing, person, verdict.text, verdict.is_valid, verdict.quality_flags)


def _object(session: Session, object_id: int) -> Persistent:
    found = session.get(Persistent, object_id)
    if found is None:
        raise NotFound(f"no object {object_id}")
    special = session.get(persistent_class(found.class_name), object_id)
    assert special is not None
    return special
