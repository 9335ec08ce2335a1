"""What somebody sends to judge an object or to comment on it: read, checked, written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.errors import BadRequest, NotFound
from awe.model.access import Person
from awe.model.judgement import Judgement, flags_named, judge
from awe.model.persistent import Persistent, Validity, persistent_class

_FIELDS = ("text", "is_valid", "quality_flags")


@dataclass(frozen=True)
class Verdict:
    """What somebody says of an object; None leaves a value as it is."""

    text: str
    is_valid: int | None = None
    quality_flags: int | None = None


def from_form(given: Mapping[str, str], flags: Sequence[str]) -> Verdict:
    """Return what a form says: `is_valid` empty or a name, `flags` the names of those that are checked."""
    validity = _validity_named(given["is_valid"]) if given.get("is_valid") else None
    return Verdict(given.get("text", ""), validity, flags_named(flags) if given.get("flags_shown") else None)


def from_json(given: Any) -> Verdict:
    """Return what a script says: {"text": ..., "is_valid": 0 or "invalid", "quality_flags": 3 or ["few inputs"]}."""
    if not isinstance(given, dict):
        raise BadRequest(f"a judgement is a JSON object with {', '.join(_FIELDS)}")
    unknown = [str(name)[:60] for name in given if name not in _FIELDS]
    if unknown:
        raise BadRequest(f"no field {unknown[0]!r} of a judgement; there are {', '.join(_FIELDS)}")
    text, validity, flags = (given.get(name) for name in _FIELDS)
    if not isinstance(text, str):
        raise BadRequest("text, the reason or comment, must be a string")
    return Verdict(text, _validity(validity), _flags(flags))


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


def _validity(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return _validity_named(value)
    raise BadRequest("is_valid must be 0, 1, 2, invalid, valid or proposed")


def _validity_named(name: str) -> int:
    try:
        return int(Validity[name.strip().upper()])
    except KeyError as error:
        raise BadRequest(f"is_valid must be invalid, valid or proposed, got {name[:60]!r}") from error


def _flags(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return flags_named(value)
    raise BadRequest('quality_flags must be a number, or a list of names such as ["few inputs"]')
