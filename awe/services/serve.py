"""Serve the pages with waitress."""

import logging
from collections.abc import Callable

import waitress  # type: ignore[import-untyped]
from flask import Flask

from awe.config import Settings

THREADS = 8
log = logging.getLogger(__name__)


def address_of(settings: Settings) -> str:
    """Return the address at which people find the pages."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0") else settings.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def serve(settings: Settings, app: Flask, ready: Callable[[str], None] = log.info) -> None:
    """Serve the pages until interrupted; `ready` is told the address as soon as it answers."""
    server = waitress.create_server(
        app, host=settings.host, port=settings.port, threads=THREADS, ident=None, asyncore_use_poll=True
    )
    ready(address_of(settings))
    server.run()
