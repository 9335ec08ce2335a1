"""HTML for people, JSON for programs: by the suffix `.json`, or by what the request accepts."""

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, make_response, render_template, request


def wants_json() -> bool:
    """Return whether this request asks for JSON."""
    if request.path.endswith(".json") or request.is_json:
        return True
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]


def answer(template: str, machine: Callable[[], Any], **shown: Any) -> Response:
    """Return a page, or what `machine` gives as JSON; the same address serves both."""
    response = jsonify(machine()) if wants_json() else make_response(render_template(template, **shown))
    response.vary.add("Accept")
    response.headers.setdefault("Cache-Control", "no-cache")
    return response
