"""Addresses of this site with some of their parameters changed."""

from collections.abc import Mapping
from urllib.parse import urlencode

from awe.errors import BadRequest


def changed(path: str, given: Mapping[str, str], **new: object) -> str:
    """Return an address with parameters replaced; None or empty removes one."""
    kept = {name: value for name, value in given.items() if name not in new and value}
    kept |= {name: str(value) for name, value in new.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


def page_number(text: str | None) -> int:
    """Return the page that a parameter asks for, from 1."""
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and 1 <= len(text) < 9 and int(text) >= 1):
        raise BadRequest(f"page must be a whole number from 1, got {text[:60]!r}")
    return int(text)
