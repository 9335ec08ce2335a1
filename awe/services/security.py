"""Headers that keep a page from loading, or being loaded by, anything foreign."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from flask import Flask, Response, request

from awe.errors import BadRequest, NotAllowed, NotFound

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def secure(app: Flask, others: Iterable[str] = ()) -> None:
    """Let `app` send the headers with every answer; `others` are services that run alone, whose pictures it shows."""
    addresses = " ".join(others)
    headers = _HEADERS | {
        "Content-Security-Policy": (
            f"default-src 'self'; img-src 'self' {addresses} data:; connect-src 'self' {addresses}; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
        "Cross-Origin-Resource-Policy": "cross-origin" if addresses else "same-origin",
    }

    @app.after_request
    def _add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


def refuse_control_characters(app: Flask) -> None:
    """Let `app` refuse addresses with characters that no name or value has, before they reach anything."""

    @app.before_request
    def _check() -> None:
        if any(c < " " for c in request.path):
            raise NotFound(f"no page {request.path[:60]!r}: it contains control characters")
        for name, value in request.args.items(multi=True):
            if any(c < " " and c not in "\t\r\n" for c in name + value):
                raise BadRequest(f"parameter {name[:60]!r} contains control characters")


def refuse_foreign_writes(app: Flask) -> None:
    """Let `app` refuse what another site makes a browser send here, before it reaches anything."""

    @app.before_request
    def _check() -> None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        foreign = site not in (None, "same-origin", "none")
        if foreign or (origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()):
            raise NotAllowed("only pages of this site can send anything here")
