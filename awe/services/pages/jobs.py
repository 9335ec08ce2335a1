"""Jobs: each attempt to make something, and how it ended."""

from flask import Blueprint, Response, request

from awe.services.job_list import list_jobs
from awe.services.negotiation import answer
from awe.services.sessions import session

jobs = Blueprint("jobs", __name__)


@jobs.get("/jobs")
@jobs.get("/jobs.json", endpoint="json")
def show() -> Response:
    """Show the jobs, the newest first."""
    given = request.args.to_dict()
    listed = list_jobs(session(), given)
    return answer("jobs.html", listed.as_json, listed=listed, given=given)
