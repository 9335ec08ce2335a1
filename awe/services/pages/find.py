"""The search box: a number, a class, the name of a target or of a file."""

from flask import Blueprint, redirect, request, url_for
from sqlalchemy import or_, select
from werkzeug.wrappers import Response

from awe.errors import NotFound
from awe.model.frame import Frame
from awe.model.raw import RawFrame
from awe.services.addresses import changed
from awe.services.groups import classes_in_order
from awe.services.sessions import session

find = Blueprint("find", __name__)


@find.get("/find")
def show() -> Response:
    """Go to what the search text names."""
    text = request.args.get("q", "").strip()
    if not text:
        return redirect(url_for("start.show"))
    if text.isascii() and text.isdigit() and len(text) < 10:
        return redirect(url_for("objects.show", object_id=int(text)))
    for cls in classes_in_order():
        if cls.__name__.lower() == text.lower():
            return redirect(url_for("tables.show", name=cls.__name__))
    return _named(text)


def _named(text: str) -> Response:
    """Go to the frame with this file name, or to the table of the frames of this target."""
    frame, raw = Frame.__table__.c, RawFrame.__table__.c
    joined = Frame.__table__.outerjoin(RawFrame.__table__, frame.object_id == raw.object_id)
    query = select(frame.object_id).select_from(joined).where(or_(frame.filename == text, raw.original_name == text))
    found = session().scalar(query.order_by(frame.object_id).limit(1))
    if found is not None:
        return redirect(url_for("objects.show", object_id=found))
    if session().scalar(select(frame.object_id).where(frame.object == text).limit(1)) is not None:
        return redirect(changed("/table/Frame", {"q.object": text}))
    raise NotFound(f"nothing is called {text[:100]!r}: search for a number, a class, a target or a file name")
