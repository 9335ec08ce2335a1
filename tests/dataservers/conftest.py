"""Data servers as real processes, and a client that sends exactly what a test says."""

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from awe.local import RunningDataServer, start_data_server


@dataclass
class Answer:
    """What a data server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass
class Client:
    """Speaks HTTP to a data server, without mending what it is given."""

    server: RunningDataServer
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, int]:
        split = urlsplit(self.server.address)
        return str(split.hostname), int(split.port or 0)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(*self.place, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {**self.headers, **named})
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def put(self, name: str, content: bytes, **headers: str) -> Answer:
        return self.ask("PUT", f"/{name}", content, **headers)

    def begin_upload(self, name: str, content: bytes, sent: int) -> socket.socket:
        """Send the headers of an upload and a part of its body."""
        connection = socket.create_connection(self.place, timeout=20)
        digest = hashlib.sha256(content).hexdigest()
        head = (
            f"PUT /{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\nX-Content-SHA256: {digest}\r\n\r\n"
        )
        connection.sendall(head.encode() + content[:sent])
        return connection


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that the tests of a module share."""
    with start_data_server(tmp_path_factory.mktemp("files")) as server:
        yield Client(server)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Client]:
    """A client of a server that the test may stop, starve or kill."""
    with start_data_server(tmp_path / "files") as server:
        yield Client(server)
