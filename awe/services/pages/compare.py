"""Two objects side by side."""

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from awe.services.comparison import compare as compare_objects
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.sessions import session

compare = Blueprint("compare", __name__)

_NUMBERS = {"low": 1, "high": 2**31 - 1}
_ASKED = Operation(
    "Goes to two objects side by side.",
    (
        Parameter("left", "number of an object", "integer", example=812, **_NUMBERS),  # type: ignore[arg-type]
        Parameter("right", "number of another one", "integer", example=815, **_NUMBERS),  # type: ignore[arg-type]
    ),
    answers=("text/html",),
)
_COMPARED = Operation(
    "Two objects side by side: versions, judgement, inputs and values, with the differences marked.",
    (Parameter("all", "what is equal, too", "boolean", True),),
)


@compare.get("/compare")
@describe(_ASKED)
def ask() -> AnyResponse:
    """Go to the comparison that the form asks for, or show the form."""
    given = _ASKED.read(request.args.to_dict())
    if given["left"] and given["right"]:
        return redirect(url_for("compare.show", left=given["left"], right=given["right"]))
    return answer("compare_form.html", dict, given=given)


@compare.get("/compare/<number:left>/<number:right>")
@compare.get("/compare/<number:left>/<number:right>.json", endpoint="json")
@describe(_COMPARED)
def show(left: int, right: int) -> Response:
    """Show two objects side by side."""
    whole = _COMPARED.read(request.args)["all"] or "all" not in request.args
    compared = compare_objects(session(), left, right)
    return answer("compare.html", compared.as_json, c=compared, whole=whole)
