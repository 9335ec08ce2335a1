"""Judging objects and commenting on them, by a form or by a script."""

from flask import Blueprint, current_app, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response

from awe.services.bodies import read_body
from awe.services.judging import FIELDS, Verdict, pronounce
from awe.services.operations import Body, Operation, describe
from awe.services.parts import parts
from awe.services.sessions import session
from awe.services.summaries import summary_with
from awe.services.visitors import check_form, visitor

judgements = Blueprint("judgements", __name__)

_JUDGE = Operation(
    "Judges an object, sets its quality flags or comments on it, in the name of who sends it",
    answers=("application/json",),
    body=Body(FIELDS),
)


@judgements.post("/object/<number:object_id>/judge")
@describe(_JUDGE)
def judge(object_id: int) -> Response:
    """Change the judgement of an object, or comment on it."""
    who = visitor()
    if who:  # who is not known is told so, whatever the form says
        check_form()
    summary_with(session(), object_id)
    session().rollback()
    said = pronounce(parts(current_app).writing, object_id, who, Verdict.of(read_body(_JUDGE)))
    if request.is_json:
        return jsonify({"recorded": [entry.as_dict() for entry in said]})
    return redirect(url_for("objects.show", object_id=object_id) + "#judgements", 303)
