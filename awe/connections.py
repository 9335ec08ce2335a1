"""The connections of a thread to data servers, kept open from one request to the next."""

import os
import threading
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import requests

CHUNK = 1 << 20
CONNECT_SECONDS, READ_SECONDS = 5.0, 120.0
_local = threading.local()


class _LargeBlocks(requests.adapters.HTTPAdapter):
    """Sends files in pieces of a megabyte, not of 16 kilobytes."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pool of connections."""
        super().init_poolmanager(*arguments, **options, blocksize=CHUNK)


def session() -> requests.Session:
    """Return the connections of this thread; those of a parent process must not be shared."""
    if getattr(_local, "process", None) != os.getpid():
        _local.process, _local.session = os.getpid(), requests.Session()
        _local.session.trust_env = False  # a proxy of the user is not meant for the data server
        for scheme in ("http://", "https://"):
            _local.session.mount(scheme, _LargeBlocks())
    found: requests.Session = _local.session
    return found


class _Connections(dict[str, HTTPConnection]):
    """Connections of a thread by address, closed when the thread ends."""

    def __del__(self) -> None:
        for connection in self.values():
            connection.close()


def connection_to(address: str) -> tuple[HTTPConnection, bool]:
    """Return this thread's connection to a server, open, and whether it is new."""
    if getattr(_local, "plain_process", None) != os.getpid():
        _local.plain_process, _local.plain = os.getpid(), _Connections()
    known: _Connections = _local.plain
    connection = known.get(address)
    if connection is not None and connection.sock is not None:
        return connection, False
    parts = urlsplit(address)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = known[address] = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(READ_SECONDS)
    except OSError:
        pass  # the request will try again, and tell why
    return connection, True
