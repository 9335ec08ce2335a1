"""The search box: a number, a class, a name, a file or a position."""

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from awe.services.addresses import changed
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.projects import in_project, shown_project
from awe.services.search import search
from awe.services.sessions import session

find = Blueprint("find", __name__)

_SHOW = Operation(
    "What a text names: goes there, or lists what there is to choose from.",
    (Parameter("q", "number, class, name, file name, or position with a radius", example="10:10:24 -01:00:30 5'"),),
)


@find.get("/find")
@describe(_SHOW)
def show() -> Response:
    """Go to what the search text names."""
    text = _SHOW.read(request.args)["q"] or ""
    if not text:
        return redirect(url_for("start.show"))
    project = shown_project()
    found = search(session(), text, project)
    if found.address:
        return redirect(found.address if "?" in found.address else changed(found.address, in_project()))
    hits = [{"class": h.class_name, "by": h.words, "count": h.count.rows, "address": h.address} for h in found.hits]
    return answer("find.html", lambda: {"q": text, "found": hits}, found=found, text=text)
