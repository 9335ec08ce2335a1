"""Judging objects and commenting on them, by a form or by a script."""

from flask import Blueprint, Response, current_app, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from awe.services.judging import Verdict, from_form, from_json, pronounce
from awe.services.parts import parts
from awe.services.sessions import session
from awe.services.summaries import summary_with
from awe.services.visitors import check_form, visitor

judgements = Blueprint("judgements", __name__)


@judgements.post("/object/<number:object_id>/judge")
def judge(object_id: int) -> AnyResponse:
    """Change the judgement of an object, or comment on it."""
    who = visitor()
    if who:  # who is not known is told so, whatever the form says
        check_form()
    summary_with(session(), object_id)
    session().rollback()
    said = pronounce(parts(current_app).writing, object_id, who, _verdict())
    if request.is_json:
        return _recorded([entry.as_dict() for entry in said])
    return redirect(url_for("objects.show", object_id=object_id) + "#judgements", 303)


def _verdict() -> Verdict:
    if request.is_json:
        return from_json(request.get_json())
    return from_form(request.form.to_dict(), request.form.getlist("flag"))


def _recorded(entries: list[dict[str, object]]) -> Response:
    return jsonify({"recorded": entries})
