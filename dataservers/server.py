"""The command `awe-dataserver`: serve the files of one folder by HTTP."""

import argparse
import json
import logging
import os
import secrets
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dataservers import __version__
from dataservers.folder import Folder, FolderBusyError
from dataservers.protocol import Handler

log = logging.getLogger("dataservers")

CONNECTIONS = 512
FOLDER_BUSY = 3  # exit code if another server works on the folder
GRACE = 10  # seconds that running requests get to end when the server is stopped
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LOCAL = ("127.0.0.1", "::1", "localhost")
_EPILOG = """examples:
  awe-dataserver --folder /data/awe                      on http://127.0.0.1:8001, for this machine only
  awe-dataserver --folder /data/awe --port 0             any free port; the address is printed
  awe-dataserver --folder /data/awe --host 0.0.0.0 --token-file /etc/awe/token
                                                         for other machines; who writes must know the token
  curl -T frame.fits http://127.0.0.1:8001/frame.fits    store a file
  curl 'http://127.0.0.1:8001/frame.fits?section=1:100,1:100' -o part.fits
  curl 'http://127.0.0.1:8001/frame.fits?pixels=1:100,1:100' -o part.raw
                                                         the values alone: float32, little-endian, row by row
"""


class DataServer(ThreadingHTTPServer):
    """A thread for each connection, up to a limit."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Folder, token: str | None) -> None:
        self.folder, self.token, self.stopping = folder, token, threading.Event()
        self.reconciled = threading.Event()
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self._idle = threading.Condition()
        self._running = 0
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service who we are, as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where clients reach this server."""
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a request as running."""
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or say that there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection outside its requests; that a client went away is no event."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("connection of %s failed", client_address)

    def serve_until_stopped(self) -> None:
        """Serve until `stop`, then let running requests end."""
        threading.Thread(target=self._reconcile, daemon=True).start()
        self.serve_forever(poll_interval=0.2)
        self.server_close()
        with self._idle:
            if not self._idle.wait_for(lambda: self._running == 0, GRACE):
                log.warning("%d requests were cut off after %d s", self._running, GRACE)
        self.folder.close()

    def stop(self) -> None:
        """Take no more connections."""
        if not self.stopping.is_set():
            self.stopping.set()
            threading.Thread(target=self.shutdown, daemon=True).start()

    def _reconcile(self) -> None:
        started = time.perf_counter()
        self.folder.reconcile(self.stopping)
        if self.stopping.is_set():
            return
        self.reconciled.set()
        log.info("inventory agrees with the files (%.1f s)", time.perf_counter() - started)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields | getattr(record, "fields", {}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a folder until SIGTERM or Ctrl-C; returns the exit code."""
    options = _parser().parse_args(arguments)
    _start_log(options.json_log)
    try:
        token = _token(options)
        server = DataServer((options.host, options.port), Folder(options.folder), token)
    except (FolderBusyError, OSError, ValueError) as error:
        print(f"awe-dataserver: {error}", file=sys.stderr)
        return FOLDER_BUSY if isinstance(error, FolderBusyError) else 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    if options.until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_input, args=[server], daemon=True).start()
    server.folder.announce(server.address)
    print(server.address, flush=True)
    log.info(
        "serving %s at %s%s", server.folder.path, server.address, "" if token else ", whoever reaches it may write"
    )
    server.serve_until_stopped()
    log.info("stopped")
    return 0


def _stop_at_end_of_input(server: DataServer) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="awe-dataserver",
        description="Serve the files of one folder by HTTP: PUT, GET, HEAD, DELETE, ?header, ?section, ?pixels, ?list.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the files are kept; made if it does not exist"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="port; 0 takes a free one (default %(default)s)")
    parser.add_argument("--token-file", type=Path, help="file with the token that writers must send; made if absent")
    parser.add_argument("--json-log", action="store_true", help="log as JSON, one object per line, on standard error")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input ends")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _token(options: argparse.Namespace) -> str | None:
    path: Path | None = options.token_file
    if path is None:
        if options.host not in _LOCAL:
            raise ValueError(f"listening on {options.host}, any machine could write: give a --token-file")
        return None
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    if path.stat().st_mode & 0o077:
        raise ValueError(f"token file {path} can be read by others: chmod 600 {path}")
    token = path.read_text(encoding="ascii").strip()
    if not token:
        raise ValueError(f"token file {path} is empty: remove it, and a token is made")
    return token


def _start_log(as_json: bool) -> None:
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JsonFormatter() if as_json else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
