"""Jobs: each attempt to make something, and how it ended."""

from flask import Blueprint, Response, request

from awe.services.job_list import STATES, list_jobs
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.sessions import session

jobs = Blueprint("jobs", __name__)

_SHOW = Operation(
    "Attempts to make something, the newest first; failed ones with their reason.",
    (
        Parameter("state", "only jobs in this state", choices=STATES),
        Parameter("page", "page, from 1", "integer", 1, low=1, high=10**8 - 1),
    ),
)


@jobs.get("/jobs")
@jobs.get("/jobs.json", endpoint="json")
@describe(_SHOW)
def show() -> Response:
    """Show the jobs, the newest first."""
    given = request.args.to_dict()
    wanted = _SHOW.read(given)
    listed = list_jobs(session(), wanted["state"] or "", wanted["page"])
    return answer("jobs.html", listed.as_json, listed=listed, given=given)
