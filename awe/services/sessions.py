"""One short reading session for each request, and work that ends in time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask, current_app, g
from sqlalchemy import event
from sqlalchemy.orm import Session

from awe.model.access import restrict
from awe.services.parts import parts
from awe.services.visitors import visitor


def session() -> Session:
    """Return the session of this request, opened when it is first asked for; it finds what the visitor may see."""
    if "session" not in g:
        g.session = reading_session()
    return cast(Session, g.session)


def reading_session() -> Session:
    """Return a session of its own that finds what the visitor may see, for what outlives the request: a stream."""
    own = parts(current_app)
    opened = Session(own.engine, autoflush=False)
    if not own.settings.open_reading:
        restrict(opened, visitor())
    return opened


def close_sessions(app: Flask) -> None:
    """Let `app` close the session of each request when it ends."""

    @app.teardown_appcontext
    def _close(_error: BaseException | None) -> None:
        opened: Session | None = g.pop("session", None)
        if opened is not None:
            opened.close()


class TookTooLong(Exception):
    """Something was given up, since it took longer than the page waits."""


@contextmanager
def deadline(session: Session, seconds: float) -> Iterator[None]:
    """Raise TookTooLong at the first statement of the session that begins after so many seconds."""
    end = time.monotonic() + seconds

    def check(_state: Any) -> None:
        if time.monotonic() > end:
            raise TookTooLong

    event.listen(session, "do_orm_execute", check)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", check)
