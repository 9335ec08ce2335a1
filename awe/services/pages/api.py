"""What the addresses of this site take and give: a page for people, OpenAPI for programs."""

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template

from awe.services.address_groups import address_groups
from awe.services.openapi import openapi
from awe.services.operations import Operation, describe

api = Blueprint("api", __name__)


@api.get("/api")
@describe(Operation("Every address of this site, what it takes and what it gives.", answers=("text/html",)))
def show() -> Response:
    """Show all addresses."""
    return make_response(render_template("api.html", groups=address_groups(current_app)))


@api.get("/openapi.json")
@describe(Operation("The same as OpenAPI 3.1, for programs.", answers=("application/json",)))
def document() -> Response:
    """Send the OpenAPI description."""
    return jsonify(openapi(current_app))
