"""The history of judgements and comments: who said what of an object, when, and what changed by it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from awe.errors import BadRequest
from awe.model.access import Person, require_comment, require_judge
from awe.model.attributes import near_names
from awe.model.lineage import described
from awe.model.persistent import Base, Persistent, QualityFlag, Validity, utc_now

LONGEST = 4000
"""Most characters of a reason or comment."""
_ALL_FLAGS = int(reduce(or_, QualityFlag))


class Judgement(Base):
    """One change of the judgement of an object, or one comment on it."""

    __tablename__ = "judgement"

    judgement_id: Mapped[int] = mapped_column(primary_key=True)
    object_id: Mapped[int] = mapped_column(
        ForeignKey("persistent.object_id", ondelete="CASCADE"), index=True, comment="object that was judged"
    )
    moment: Mapped[datetime] = described("when (UTC)", default=utc_now)
    creator: Mapped[str] = described("who", index=True)
    subject: Mapped[str] = described("what changed: is_valid, quality_flags; or comment")
    before: Mapped[int | None] = described("what it was")
    after: Mapped[int | None] = described("what it is since")
    text: Mapped[str] = described("the reason, or the comment")

    @property
    def change(self) -> str:
        """What changed, in words."""
        if self.before is None or self.after is None:
            return ""
        words = validity_words if self.subject == "is_valid" else flag_words
        if self.before == self.after:
            return f"{words(self.after)}, again"
        return f"{words(self.before)} → {words(self.after)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON holds it."""
        return {
            "moment": self.moment.isoformat(),
            "creator": self.creator,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "text": self.text,
        }


def judge(
    session: Session,
    thing: Persistent,
    person: Person,
    text: str,
    is_valid: int | None = None,
    quality_flags: int | None = None,
) -> list[Judgement]:
    """Change the judgement of an object, or comment on it, and keep who did so; raise NotAllowed if they may not.

    `is_valid` and `quality_flags` are what they are to be; None leaves them. With neither, the text is a comment.
    """
    (require_comment if is_valid is None and quality_flags is None else require_judge)(person, thing)
    text = _checked(text)
    columns = Persistent.__table__.c
    locked = select(columns.is_valid, columns.quality_flags).where(columns.object_id == thing.object_id)
    now = session.execute(locked.with_for_update()).one()
    wanted = {"is_valid": _validity(is_valid), "quality_flags": _flags(quality_flags)}
    if wanted["quality_flags"] == now.quality_flags:
        wanted["quality_flags"] = None
    given = [(name, value) for name, value in wanted.items() if value is not None]
    changes: list[tuple[str, Any, Any]] = [(name, getattr(now, name), value) for name, value in given]
    for name, _, value in changes:
        setattr(thing, name, value)
    if is_valid is not None:
        thing.judgement = text
    said = [
        Judgement(object_id=thing.object_id, creator=person.user, subject=name, before=old, after=new, text=text)
        for name, old, new in changes or [("comment", None, None)]
    ]
    session.add_all(said)
    session.flush()
    return said


def history(session: Session, object_id: int) -> Sequence[Judgement]:
    """Return the judgements of an object and the comments on it, the newest first."""
    query = select(Judgement).where(Judgement.object_id == object_id)
    return session.scalars(query.order_by(Judgement.judgement_id.desc())).all()


def flags_named(names: Iterable[str]) -> int:
    """Return the quality flags with these names as a number; raise BadRequest for a wrong name."""
    known = {str(f.name).lower(): f for f in QualityFlag}
    found = QualityFlag(0)
    for name in names:
        flag = known.get(name.strip().lower().replace(" ", "_"))
        if flag is None:
            near = near_names(name[:60], list(known)).replace("its attributes", "the flags")
            raise BadRequest(f"no quality flag {name[:60]!r}; {near}")
        found |= flag
    return int(found)


def validity_words(value: int) -> str:
    """Return the name of a judgement."""
    return Validity(value).name.lower()


def flag_words(flags: int) -> str:
    """Return the names of quality flags."""
    return ", ".join(str(f.name).replace("_", " ").lower() for f in QualityFlag(flags)) or "none"


def _checked(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise BadRequest("a judgement needs its reason, and a comment some words")
    if len(text) > LONGEST:
        raise BadRequest(f"a reason or comment has at most {LONGEST} characters, this one has {len(text)}")
    if any(c < " " and c not in "\n\t" for c in text) or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadRequest("a reason or comment holds no control characters")
    return text


def _validity(value: int | None) -> int | None:
    if value is not None and value not in set(Validity):
        raise BadRequest(f"is_valid must be 0 (invalid), 1 (valid) or 2 (proposed), got {value!r}")
    return value


def _flags(value: int | None) -> int | None:
    if value is not None and (value < 0 or value & ~_ALL_FLAGS):
        raise BadRequest(f"quality_flags must be made of {', '.join(f'{f.value} {f.name}' for f in QualityFlag)}")
    return value
