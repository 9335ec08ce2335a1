"""Tables sent as files: read and written while they are sent, a few at a time."""

from collections.abc import Generator
from itertools import chain
from threading import BoundedSemaphore

from flask import Response, jsonify, request
from sqlalchemy.orm import Session

from awe.errors import Busy
from awe.services.export import MEDIA_TYPES, exported
from awe.services.export_csv import csv_parts
from awe.services.export_fits import fits_parts
from awe.services.export_html import html_parts
from awe.services.export_json import json_parts
from awe.services.export_votable import votable_parts
from awe.services.sessions import reading_session, session
from awe.services.table_request import TableRequest
from awe.services.table_view import page_json

MOST = 4
"""Files that are sent at a time; pages are answered by the other threads."""
_PAGED = ("size", "after", "before")
_WRITERS = {"html": html_parts, "csv": csv_parts, "vot": votable_parts, "fits": fits_parts}
_free = BoundedSemaphore(MOST)


def as_file(wanted: TableRequest, form: str, description: str) -> Response:
    """Return all rows as a file; as JSON, if the address asks for a page, that page."""
    if form == "json" and any(name in request.args for name in _PAGED):
        response = jsonify(page_json(session(), wanted))
    else:
        parts = _parts(reading_session(), wanted, form, description)
        response = Response(chain([next(parts)], parts), mimetype=MEDIA_TYPES[form])
        response.call_on_close(parts.close)
    response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-cache"
    if form not in ("json", "html"):
        response.headers["Content-Disposition"] = f'attachment; filename="{wanted.cls.__name__}.{form}"'
    return response


def _parts(opened: Session, wanted: TableRequest, form: str, description: str) -> Generator[bytes, None, None]:
    """Yield a file; what is wrong with the request is raised before its first part."""
    if not _free.acquire(blocking=False):
        opened.close()
        raise Busy(f"{MOST} tables are being sent, which is the most at a time: try again in a moment")
    try:
        with opened:
            _hold_still(opened)
            if form == "json":
                yield from json_parts(opened, wanted)
            else:
                yield from _WRITERS[form](exported(opened, wanted, description))
    finally:
        _free.release()


def _hold_still(opened: Session) -> None:
    """Let all statements of a session see the same state of the database."""
    if opened.get_bind().dialect.name == "postgresql":
        opened.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    else:
        opened.connection().exec_driver_sql("BEGIN")
