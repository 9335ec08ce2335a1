"""Whether the parts of the system answer, for whoever watches over it."""

from flask import Blueprint, Response, current_app, jsonify, request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from awe import __version__
from awe.errors import AweError
from awe.services.operations import Operation, describe
from awe.services.parts import parts
from awe.services.sessions import session
from awe.services.site import site_name

health = Blueprint("health", __name__)


_SHOW = Operation("Whether database and data server answer: 200, or 503.", answers=("application/json",))


@health.get("/healthz")
@describe(_SHOW)
def show() -> Response:
    """Answer 200 if database and data server do, else 503, and say which does not."""
    _SHOW.read(request.args)
    state = {"database": _database(), "data_server": _data_server()}
    well = all(answer == "ok" for answer in state.values())
    response = jsonify({"status": "ok" if well else "degraded", "version": __version__} | state | {"site": _site()})
    response.status_code = 200 if well else 503
    response.headers["Cache-Control"] = "no-store"
    return response


def _site() -> str:
    return site_name(parts(current_app).engine.url)


def _database() -> str:
    try:
        session().execute(text("select 1"))
    except DBAPIError as error:
        return type(error.orig).__name__
    return "ok"


def _data_server() -> str:
    try:
        parts(current_app).store.status()
    except AweError as error:
        return str(error)
    return "ok"
