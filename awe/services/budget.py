"""Statements that may take only so long: the database is told to give up."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from awe.services.sessions import TookTooLong

_STEPS = 2000
"""Instructions of SQLite between two looks at the clock."""


@contextmanager
def within_seconds(session: Session, seconds: float) -> Iterator[None]:
    """Raise TookTooLong if the statements of the block take longer; the session can be used further."""
    if seconds <= 0:
        raise TookTooLong
    limit = _sqlite if session.get_bind().dialect.name == "sqlite" else _postgresql
    with limit(session, seconds):
        yield


@contextmanager
def _sqlite(session: Session, seconds: float) -> Iterator[None]:
    connection: Any = session.connection().connection.driver_connection
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    except DBAPIError as error:
        if "interrupted" not in str(error.orig):
            raise
        raise TookTooLong from error
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def _postgresql(session: Session, seconds: float) -> Iterator[None]:
    point = session.begin_nested()
    session.execute(text(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"))
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", "") != "57014":
            raise
        raise TookTooLong from error
    finally:
        point.rollback()  # which takes the limit back, too
