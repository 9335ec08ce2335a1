"""Errors as answers: one page for people, {"error", "status"} for programs, never a traceback."""

import logging
import secrets
from http import HTTPStatus

from flask import Flask, Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import HTTPException

from awe.errors import AweError
from awe.services.negotiation import wants_json

log = logging.getLogger(__name__)

_WAYS_OUT = {
    400: "Something in the address can't be understood. Correct it, or go back a step.",
    401: "Sign in with a token of yours, then try again.",
    403: "You may not do this. Go back a step, or ask who may.",
    404: "There is nothing at this address.",
    405: "Nothing can be sent to this address.",
    409: "It can't be done as things are; the message says what is missing.",
    413: "What was sent is larger than this address takes.",
    422: "A file on the data server is damaged, or is not what it should be.",
    429: "Too much failed from where you are. Wait, then try again.",
    500: "The program failed. What happened is in its log, under the number above.",
    503: "A part of the system does not answer. Try again in a moment.",
}


RETRY_SECONDS = 5
"""After how long to ask again where a part of the system did not answer, or too much was being made."""


def answer_errors(app: Flask) -> None:
    """Let `app` answer every error in one look."""
    app.register_error_handler(AweError, _awe_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DataError, _value_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(Exception, _unknown_error)


def _awe_error(error: AweError) -> Response:
    return _answered(error.status, str(error))


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    message = f"no page {request.path}" if status == 404 else error.description or error.name
    response = _answered(status, message)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _value_error(error: DataError) -> Response:
    return _answered(400, f"a value can't be compared in the database: {str(error.orig).splitlines()[0]}")


def _database_error(error: DBAPIError) -> Response:
    log.exception("database, at %s", request.path)
    return _answered(503, f"the database does not answer: {type(error.orig).__name__}; the server's log tells why")


def _unknown_error(error: Exception) -> Response:
    number = secrets.token_hex(4)
    log.error("error %s at %s", number, request.full_path, exc_info=error)
    return _answered(500, f"the program failed (error {number})")


def _answered(status: int, message: str) -> Response:
    if wants_json():
        response = jsonify(error=message, status=status)
    else:
        response = make_response(
            render_template("error.html", status=status, message=message, way_out=_WAYS_OUT.get(status, ""))
        )
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    response.vary.add("Accept")
    return response
