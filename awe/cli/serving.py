"""`awe serve`: the web pages, or a data server."""

import errno
import socket
import time
from dataclasses import replace

import click

from awe.cli.workplace import Workplace, works
from awe.config import Settings
from awe.errors import BadRequest
from awe.local import start_data_server
from awe.services.app import create_app
from awe.services.registry import chosen_services
from awe.services.serve import serve as serve_with_waitress
from awe.services.warming import load_kernels_aside


@click.command()
@click.argument("what", nargs=-1, metavar="[SERVICE...]")
@click.option("--port", type=int, help="port, instead of that of the settings (of a data server: 8001)")
@click.option("--host", help="address to bind to, instead of that of the settings")
@works
def serve(place: Workplace, what: tuple[str, ...], port: int | None, host: str | None) -> None:
    """Serve all web pages, some of their services, or a data server.

    The services are dbview, imageview, cutouts, rgb and depcuts. Those that run elsewhere are found by the setting
    service_addresses. They need a data server: without one in the settings, that of the home folder is started.
    Ctrl-C ends it.

    \b
    Example: awe serve
             awe serve dbview --port 8000
             awe serve imageview cutouts --port 8002
             awe serve dataserver --port 8001
    """
    if what == ("dataserver",):
        _serve_files(place.settings, 8001 if port is None else port)
        return
    chosen_services(what)
    wanted = replace(place.settings, port=port or place.settings.port, host=host or place.settings.host)
    check_port(wanted)
    _ = place.engine
    with Workplace(wanted, place.quiet).connected() as (settings, _store):
        serve_pages(settings, what)


def serve_pages(settings: Settings, services: tuple[str, ...] = ()) -> None:
    """Serve the pages of these services (by default all) until Ctrl-C, and print their address."""
    app = create_app(settings, services=services)
    load_kernels_aside()
    try:
        serve_with_waitress(settings, app, lambda at: click.echo(f"\nthe pages are at {at}   (Ctrl-C ends)"))
    except KeyboardInterrupt:
        click.echo("stopped")


def _serve_files(settings: Settings, port: int) -> None:
    token = settings.token_file if settings.token_file.is_file() else None
    with start_data_server(settings.data_folder, port, settings.host, token) as server:
        if server.process is None:
            raise BadRequest(f"{settings.data_folder} is being served already, at {server.address}")
        click.echo(f"the files of {settings.data_folder} are at {server.address}   (Ctrl-C ends)")
        try:
            while server.process.poll() is None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            click.echo("stopped")


def check_port(settings: Settings) -> None:
    """Raise BadRequest if the port of the pages can't be had."""
    try:
        with socket.create_server((settings.host, settings.port)):
            pass
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"can't be had ({error.strerror})"
        raise BadRequest(f"port {settings.port} of {settings.host} {why}: choose another with --port") from error


def free_port(settings: Settings) -> int:
    """Return the port of the settings, or any free one if it is taken."""
    try:
        check_port(settings)
    except BadRequest:
        with socket.create_server((settings.host, 0)) as free:
            return int(free.getsockname()[1])
    return settings.port
