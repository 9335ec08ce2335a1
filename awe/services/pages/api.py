"""What the addresses of this site take and give: a page for people, OpenAPI for programs."""

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template, request

from awe.services.address_groups import address_groups
from awe.services.openapi import openapi
from awe.services.operations import Operation, describe

api = Blueprint("api", __name__)


_SHOW = Operation("Every address of this site, what it takes and what it gives.", answers=("text/html",))
_DOCUMENT = Operation("The same as OpenAPI 3.1, for programs.", answers=("application/json",))


@api.get("/api")
@describe(_SHOW)
def show() -> Response:
    """Show all addresses."""
    _SHOW.read(request.args)
    return make_response(render_template("api.html", groups=address_groups(current_app)))


@api.get("/openapi.json")
@describe(_DOCUMENT)
def document() -> Response:
    """Send the OpenAPI description."""
    _DOCUMENT.read(request.args)
    return jsonify(openapi(current_app))
