"""Who may see, judge and comment: tokens of people, and the rules that pages, commands and prompt share."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Select, and_, delete, event, false, or_, select
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, relationship, with_loader_criteria

from awe.errors import BadRequest, NotAllowed, NotFound, NotSignedIn
from awe.model.lineage import described
from awe.model.persistent import Base, Job, Persistent, Privileges, utc_now

OPEN_TO_ALL = ("Telescope", "Instrument", "Chip", "Filter", "GridTarget", "ReferenceCatalogue")
"""Classes that describe cameras, sky grids and catalogues: who may see a frame must see what describes it."""
SIGNED_IN_FOR = timedelta(hours=12)
LONGEST_NAME = 64
_READER = "awe reader"


class AccessToken(Base):
    """The right of a person to write, and to see what is not for all; the token itself is never kept."""

    __tablename__ = "access_token"

    token_id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str] = described("whose token it is", index=True)
    project: Mapped[str] = described("project whose objects it opens; empty: only those the user made", default="")
    digest: Mapped[str] = described("SHA-256 of the token", unique=True)
    created: Mapped[datetime] = described("when it was issued (UTC)", default=utc_now)
    revoked: Mapped[datetime | None] = described("when it was revoked (UTC)")

    def __str__(self) -> str:
        return f"token {self.token_id} of {self.user}{f', project {self.project}' if self.project else ''}"


class SignedIn(Base):
    """Somebody who signed in at the pages; the number that the browser keeps is stored as its hash."""

    __tablename__ = "signed_in"

    signed_in_id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = described("SHA-256 of the number that the browser keeps", unique=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("access_token.token_id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = described("when (UTC)", default=utc_now)
    expires: Mapped[datetime] = described("until when it holds (UTC)", index=True)
    token: Mapped[AccessToken] = relationship()


@dataclass(frozen=True)
class Person:
    """Somebody at the pages or at a prompt; without a name, it is anybody."""

    user: str = ""
    project: str = ""

    def __bool__(self) -> bool:
        return bool(self.user)

    def __str__(self) -> str:
        return self.user or "anybody"


ANYBODY = Person()


def may_judge(person: Person, thing: Persistent) -> bool:
    """Return whether a person may change the judgement of an object: who made it, or is of its project."""
    if not person:
        return False
    in_project = person.project == thing.project and thing.privileges != Privileges.USER
    return thing.creator == person.user or in_project


def require_judge(person: Person, thing: Persistent) -> None:
    """Raise NotSignedIn or NotAllowed if a person may not judge an object."""
    require_comment(person, thing)
    if not may_judge(person, thing):
        whose = f"{thing.creator} made it" + (
            " for own use" if thing.privileges == Privileges.USER else f" in project {thing.project}"
        )
        own = f"project {person.project}" if person.project else "no project"
        raise NotAllowed(
            f"{person} ({own}) may not judge {thing}: {whose}; only its creator and members of its project may"
        )


def require_comment(person: Person, thing: Persistent) -> None:
    """Raise NotSignedIn if a person may not comment on an object: who is known may."""
    if not person:
        raise NotSignedIn(f"who judges or comments on {thing} must be known: sign in with a token (awe token add USER)")


def readable(person: Person, of: Any) -> ColumnElement[bool]:
    """Return the SQL condition that a person may see an object; `of` is its class, or the columns of `persistent`."""
    known = [of.privileges >= Privileges.ALL_USERS, of.creator == person.user] if person else []
    if person.project:
        known.append(and_(of.privileges == Privileges.PROJECT, of.project == person.project))
    return or_(of.privileges >= Privileges.WORLD, of.class_name.in_(OPEN_TO_ALL), *known)


def restrict(session: Session, person: Person) -> None:
    """Let a session find only what a person may see.

    Queries of classes are restricted without further ado, those of tables by `visible`. What an object that may
    be seen leads to is loaded: only pages ask for it, by number, which is a query again.
    """
    session.info[_READER] = person
    event.listen(session, "do_orm_execute", _only_readable)


def is_restricted(session: Session) -> bool:
    """Return whether a session finds only what somebody may see."""
    return _READER in session.info


def _only_readable(state: ORMExecuteState) -> None:
    if state.is_select and not state.is_column_load and not state.is_relationship_load:
        condition = readable(state.session.info[_READER], Persistent)
        rule = with_loader_criteria(Persistent, condition, include_aliases=True, propagate_to_loaders=False)
        state.statement = state.statement.options(rule)


def visible(session: Session, query: Select[Any], of: Any = None) -> Select[Any]:
    """Return a query of tables restricted to what the session may show; the same query where all may be seen.

    `of` are the columns of `persistent` in the query, or an alias of the class; by default the table itself.
    """
    person = session.info.get(_READER)
    return query if person is None else query.where(readable(person, Persistent.__table__.c if of is None else of))


def visible_numbers(session: Session, query: Select[Any], number: Any) -> Select[Any]:
    """Return a query restricted to the objects whose number is in a column, and that the session may show."""
    return query.where(may_show(session, number)) if is_restricted(session) else query


def may_show(session: Session, number: Any) -> ColumnElement[bool]:
    """Return the condition that a restricted session may show the object whose number is in a column."""
    columns = Persistent.__table__.c
    known = select(columns.object_id).where(readable(session.info[_READER], columns))
    condition: ColumnElement[bool] = number.in_(known)
    return condition


def own_jobs(session: Session, query: Select[Any]) -> Select[Any]:
    """Return a query of jobs restricted to those of the person's project, and their own; all where all may be seen."""
    person = session.info.get(_READER)
    if person is None:
        return query
    return query.where(or_(Job.creator == person.user, Job.project == person.project) if person else false())


def issue_token(session: Session, user: str, project: str = "") -> tuple[AccessToken, str]:
    """Add a token and return it with its text, which is not kept and can't be had again."""
    for what, name in (("user", user), ("project", project)):
        if len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable() or (what == "user" and not name):
            raise BadRequest(f"{what} must be a name of 1 to {LONGEST_NAME} printable characters, got {name[:80]!r}")
    text = f"awe_{secrets.token_urlsafe(32)}"
    token = AccessToken(user=user, project=project, digest=digest_of(text))
    session.add(token)
    session.flush()
    return token, text


def revoke_token(session: Session, token_id: int) -> AccessToken:
    """Take back a token; who signed in with it is signed out."""
    token = session.get(AccessToken, token_id)
    if token is None:
        raise NotFound(f"no token {token_id}: `awe token list` shows those there are")
    token.revoked = token.revoked or utc_now()
    session.execute(delete(SignedIn).where(SignedIn.token_id == token_id))
    return token


def token_with(session: Session, text: str) -> AccessToken | None:
    """Return the token with this text, unless it was revoked."""
    wanted = digest_of(text)
    found = session.scalar(select(AccessToken).where(AccessToken.digest == wanted))
    held = found.digest if found is not None and found.revoked is None else "0" * len(wanted)
    return found if hmac.compare_digest(held, wanted) else None


def sign_in(session: Session, token: AccessToken) -> str:
    """Note that somebody signed in with a token; return the secret number that the browser keeps."""
    now, text = utc_now(), secrets.token_urlsafe(32)
    session.execute(delete(SignedIn).where(SignedIn.expires <= now))
    session.add(SignedIn(digest=digest_of(text), token_id=token.token_id, created=now, expires=now + SIGNED_IN_FOR))
    return text


def sign_out(session: Session, text: str) -> None:
    """Forget that somebody signed in."""
    session.execute(delete(SignedIn).where(SignedIn.digest == digest_of(text)))


def who_signed_in(session: Session, text: str) -> Person:
    """Return who signed in with the number that a browser keeps; anybody if that does not hold, or holds no longer."""
    query = select(AccessToken.user, AccessToken.project).join(SignedIn).where(SignedIn.digest == digest_of(text))
    row = session.execute(query.where(SignedIn.expires > utc_now(), AccessToken.revoked.is_(None))).one_or_none()
    return Person(*row) if row else ANYBODY


def digest_of(text: str) -> str:
    """Return what is kept of a secret."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()
