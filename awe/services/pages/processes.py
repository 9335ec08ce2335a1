"""The process catalogue: each version of each task, and what it has made."""

from flask import Blueprint, Response

from awe.services.negotiation import answer
from awe.services.process_catalogue import list_processes
from awe.services.sessions import session

processes = Blueprint("processes", __name__)


@processes.get("/processes")
@processes.get("/processes.json", endpoint="json")
def show() -> Response:
    """Show the process catalogue."""
    listed = list_processes(session())
    return answer("processes.html", lambda: [p.as_json() for p in listed], processes=listed)
