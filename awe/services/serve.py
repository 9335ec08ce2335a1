"""Serve the pages with waitress."""

import logging

import waitress  # type: ignore[import-untyped]
from flask import Flask

from awe.config import Settings
from awe.services.app import create_app

THREADS = 8
log = logging.getLogger(__name__)


def address_of(settings: Settings) -> str:
    """Return the address at which people find the pages."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0") else settings.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def serve(settings: Settings, app: Flask | None = None) -> None:
    """Serve the pages until interrupted."""
    app = app or create_app(settings)
    log.info("serving pages at %s", address_of(settings))
    waitress.serve(app, host=settings.host, port=settings.port, threads=THREADS, ident=None, asyncore_use_poll=True)
