"""Signing in with a token, and out again."""

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from awe.errors import AweError, BadRequest, NotSignedIn, TooManyAttempts
from awe.services.bodies import read_body
from awe.services.negotiation import wants_json
from awe.services.operations import FORM, Body, Operation, Parameter, describe
from awe.services.visitors import check_form, enter, leave

signing = Blueprint("signing", __name__)


def _path_here(text: str) -> str:
    """Return a path of this site; raise BadRequest for what leads elsewhere."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        raise BadRequest("next must be a path of this site, such as /object/12")
    return text


_NEXT = Parameter("next", "path of this site to go to afterwards", default="/", example="/object/12", parse=_path_here)
_PAGE = Operation(
    "Form that takes a token (`awe token add USER`) and signs in for 12 hours.", (_NEXT,), answers=("text/html",)
)
_TOKEN = Parameter("token", "the token that `awe token add USER` gave", default="")
_ENTER = Operation(
    "Signs in by a token: sets a cookie",
    answers=("text/html",),
    body=Body((_TOKEN, _NEXT), (FORM,), has_form_token=False, needs_token=False),
)
_LEAVE = Operation("Signs out", answers=("text/html",), body=Body(media=(FORM,), needs_token=False))


@signing.get("/signin")
@describe(_PAGE)
def show() -> Response:
    """Show the form that takes a token."""
    return _form(_PAGE.read(request.args.to_dict())["next"])


@signing.post("/signin")
@describe(_ENTER)
def enter_page() -> AnyResponse:
    """Sign in by the token that the form sends."""
    sent = read_body(_ENTER)
    try:
        return enter(redirect(sent["next"], 303), sent["token"])  # type: ignore[arg-type]
    except (NotSignedIn, TooManyAttempts) as error:
        if wants_json():
            raise
        return _form(sent["next"], error)


@signing.post("/signout")
@describe(_LEAVE)
def leave_page() -> AnyResponse:
    """Sign out."""
    read_body(_LEAVE)
    check_form()
    return leave(redirect("/", 303))  # type: ignore[arg-type]


def _form(following: str, error: AweError | None = None) -> Response:
    page = make_response(render_template("signin.html", next=following, error=error), error.status if error else 200)
    page.headers["Cache-Control"] = "no-store"
    return page
