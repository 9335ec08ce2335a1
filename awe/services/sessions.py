"""One short reading session for each request."""

from typing import cast

from flask import Flask, current_app, g
from sqlalchemy.orm import Session

from awe.services.parts import parts


def session() -> Session:
    """Return the session of this request, opened when it is first asked for."""
    if "session" not in g:
        g.session = Session(parts(current_app).engine, autoflush=False)
    return cast(Session, g.session)


def close_sessions(app: Flask) -> None:
    """Let `app` close the session of each request when it ends."""

    @app.teardown_appcontext
    def _close(_error: BaseException | None) -> None:
        opened: Session | None = g.pop("session", None)
        if opened is not None:
            opened.close()
