"""The start page: what is in the database, what is new, what failed."""

from flask import Blueprint, Response, current_app

from awe.services.holdings import holdings
from awe.services.negotiation import answer
from awe.services.parts import parts
from awe.services.sessions import session

start = Blueprint("start", __name__)


@start.get("/")
@start.get("/index.json", endpoint="json")
def show() -> Response:
    """Show what there is."""
    found = holdings(session(), parts(current_app).store)
    return answer("start.html", found.as_json, held=found)
