"""Addresses of one service as the pages of another need them: here, or where that service runs alone."""

from flask import current_app

from awe.services.addresses import changed
from awe.services.parts import parts


def at(service: str, path: str) -> str:
    """Return the address of a path of a service, here or where it runs alone; empty if it runs nowhere."""
    own = parts(current_app)
    if service in own.services:
        return path
    return own.elsewhere[service] + path if service in own.elsewhere else ""


def picture(object_id: int, form: str = "png", **given: object) -> str:
    """Return the address of a picture of a frame; empty if no service makes pictures."""
    path = at("imageview", f"/picture/{object_id}.{form}")
    return changed(path, {}, **given) if path else ""
