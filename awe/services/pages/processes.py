"""The process catalogue: each version of each task, and what it has made."""

from flask import Blueprint, Response, request

from awe.services.negotiation import answer
from awe.services.operations import Operation, describe
from awe.services.process_catalogue import list_processes
from awe.services.sessions import session

processes = Blueprint("processes", __name__)

_SHOW = Operation("The process catalogue: each version of each task, its parameters, and how much it has made.")


@processes.get("/processes")
@processes.get("/processes.json", endpoint="json")
@describe(_SHOW)
def show() -> Response:
    """Show the process catalogue."""
    _SHOW.read(request.args)
    listed = list_processes(session())
    return answer("processes.html", lambda: [p.as_json() for p in listed], processes=listed)
