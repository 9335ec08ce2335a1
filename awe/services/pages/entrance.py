"""The entrance of a service that runs alone: its root leads to where people begin."""

from flask import Blueprint, redirect
from werkzeug.wrappers import Response

from awe.services.operations import Operation, describe

_SHOW = Operation("Leads to where people begin.", answers=("text/html",))


def entrance(entry: str) -> Blueprint:
    """Return the page at the root of an application without tables, which leads to the entry of its first service."""
    blueprint = Blueprint("entrance", __name__)

    @blueprint.get("/")
    @describe(_SHOW)
    def show() -> Response:
        return redirect(entry)

    return blueprint
