"""Help: how to find things, how queries are written, what the keys do."""

from flask import Blueprint, Response, make_response, render_template, request

from awe.services.operations import Operation, describe

help_page = Blueprint("help", __name__)

_SHOW = Operation("How to find things, how queries are written, what the keys do.", answers=("text/html",))


@help_page.get("/help")
@describe(_SHOW)
def show() -> Response:
    """Show the help."""
    _SHOW.read(request.args)
    return make_response(render_template("help.html"))
