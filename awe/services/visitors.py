"""Who sends a request: the cookie of somebody who signed in, or the token of a script."""

import hmac
from hashlib import sha256
from typing import cast

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.errors import AweError, NotAllowed, NotSignedIn
from awe.model.access import ANYBODY, SIGNED_IN_FOR, Person, sign_in, sign_out, token_with, who_signed_in
from awe.services.parts import parts

COOKIE = "awe_signed_in"
_BEARER = "bearer "
_LONGEST = 200
"""Characters of the longest secret that is looked at."""


def visitor() -> Person:
    """Return who sends this request; raise NotSignedIn for a token that does not hold."""
    if "visitor" not in g:
        g.visitor = _who()
    return cast(Person, g.visitor)


def _who() -> Person:
    header = request.headers.get("Authorization", "")
    if header[: len(_BEARER)].lower() == _BEARER:
        with Session(parts(current_app).engine) as session:
            return _with_token(session, header[len(_BEARER) :].strip())[0]
    secret = request.cookies.get(COOKIE, "")
    if not secret or len(secret) > _LONGEST:
        return ANYBODY
    with Session(parts(current_app).engine) as session:
        return who_signed_in(session, secret)


def _with_token(session: Session, text: str, signing_in: bool = False) -> tuple[Person, str]:
    """Return who has a token, and the secret for the browser if they sign in by it."""
    attempts, address = parts(current_app).attempts, request.remote_addr or ""
    attempts.check(address)
    token = token_with(session, text[:_LONGEST])
    if token is None:
        attempts.failed(address)
        raise NotSignedIn("this token does not hold: it is mistyped or revoked (`awe token add USER` issues a new one)")
    attempts.forget(address)
    return Person(token.user, token.project), sign_in(session, token) if signing_in else ""


def enter(response: Response, text: str) -> Response:
    """Sign somebody in by a token, and let their browser keep it; raise NotSignedIn if the token does not hold."""
    with short_transaction(parts(current_app).writing) as session:
        g.visitor, secret = _with_token(session, text.strip(), signing_in=True)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SIGNED_IN_FOR.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return response


def leave(response: Response) -> Response:
    """Sign out who sends this request."""
    with short_transaction(parts(current_app).writing) as session:
        sign_out(session, request.cookies.get(COOKIE, "")[:_LONGEST])
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return response


def form_token() -> str:
    """Return what a form of this visitor must send along: no other site can know it."""
    secret = request.cookies.get(COOKIE, "")
    return hmac.new(secret.encode(), b"awe form", sha256).hexdigest() if secret else ""


def check_form() -> None:
    """Raise NotAllowed unless the form that is sent came from a page of this visitor, or a script sends its token."""
    if request.headers.get("Authorization"):
        return  # no browser adds it by itself
    expected, given = form_token(), request.form.get("form", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise NotAllowed("this form is not from a page of yours, or you signed in again since: load the page anew")


def shown_visitor() -> Person:
    """Return who the head of a page names; anybody if that can't be found out, for error pages have heads, too."""
    if "visitor" in g or request.headers.get("Authorization") or not request.cookies.get(COOKIE):
        return cast(Person, g.get("visitor", ANYBODY))
    try:
        return visitor()
    except (AweError, DBAPIError):
        return ANYBODY


def keep_private(app: Flask) -> None:
    """Let `app` tell caches between here and the browser not to keep what is for one visitor only."""

    @app.after_request
    def _mark(response: Response) -> Response:
        known = COOKIE in request.cookies or "Authorization" in request.headers
        if request.endpoint != "static" and (known or not parts(app).settings.open_reading):
            response.cache_control.private = True
            response.vary.update(("Cookie", "Authorization"))
        return response
