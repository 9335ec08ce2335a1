"""The start page: what is in the database, what is new, what failed."""

from flask import Blueprint, Response, current_app, request

from awe.services.holdings import holdings
from awe.services.negotiation import answer
from awe.services.operations import Operation, describe
from awe.services.parts import parts
from awe.services.projects import shown_project
from awe.services.sessions import session

start = Blueprint("start", __name__)

_SHOW = Operation("What is in the database: how many objects of each class, what is new, what failed.")


@start.get("/")
@start.get("/index.json", endpoint="json")
@describe(_SHOW)
def show() -> Response:
    """Show what there is."""
    _SHOW.read(request.args)
    found = holdings(session(), parts(current_app).store, shown_project())
    return answer("start.html", found.as_json, held=found)
