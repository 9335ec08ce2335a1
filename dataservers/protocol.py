"""HTTP of a data server: what each request means, and how it is answered."""

import base64
import binascii
import hmac
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from dataservers import __version__
from dataservers.folder import CHUNK, HANDED, Folder
from dataservers.inventory import Entry
from dataservers.refusal import Refused, checked_name
from dataservers.sections import cut, header_text

if TYPE_CHECKING:
    from dataservers.server import DataServer

log = logging.getLogger(__name__)
access = logging.getLogger("dataservers.access")

PATIENCE = 60  # seconds that a silent client is waited for
DRAINED = 64 << 20  # bytes of a refused upload that are read, so that the client sees the answer
PAGE = 1000
RECONCILED = 10  # seconds that a list waits for an inventory that is being brought in line with the files
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HANDED = re.compile(r"[0-9a-f]{32}" + re.escape(HANDED))


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server_version = f"awe-dataserver/{__version__}"
    sys_version = ""
    timeout = PATIENCE
    disable_nagle_algorithm = True
    wbufsize = 1 << 18
    # head and pixels of a small section leave in one piece: each further one may wake the client for nothing

    def do_GET(self) -> None:
        self._answered(self._get)

    def do_HEAD(self) -> None:
        self._answered(self._get)

    def do_PUT(self) -> None:
        self._answered(self._put)

    def do_DELETE(self) -> None:
        self._answered(self._delete)

    def handle_expect_100(self) -> bool:
        """Refuse an upload before its body is sent, if that can be told from the headers."""
        try:
            self._begin()
            if self.command == "PUT":
                self._admitted()
        except Refused:
            return True  # without "100 Continue" the client waits; do_PUT sends the refusal
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    @property
    def folder(self) -> Folder:
        """The files of this server."""
        return self._served.folder

    @property
    def _served(self) -> "DataServer":
        return cast("DataServer", self.server)

    def _begin(self) -> None:
        self.unread = int(length) if (length := self.headers.get("Content-Length", "0")).isdigit() else 0
        split = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(split.query, keep_blank_values=True).items()}
        try:
            self.name = unquote(split.path[1:], errors="strict")
        except UnicodeDecodeError as error:
            raise Refused(400, "the address is not UTF-8") from error

    def _answered(self, action: Callable[[], None]) -> None:
        self.started, self.status, self.sent = time.perf_counter(), 0, 0
        with self._served.working():
            try:
                self._begin()
                action()
                self.wfile.flush()
            except Refused as refused:
                self._refuse(refused)
            except (ConnectionError, TimeoutError) as error:
                self.close_connection = True
                log.info("%s %s was cut off by the client: %s", self.command, self.path, error or type(error).__name__)
            except Exception:
                log.exception("%s %s failed", self.command, self.path)
                self.close_connection = True
                if not self.status:
                    self._json(500, {"error": "the data server failed; its log tells why"})
        if self.unread:  # of a body that nobody asked for; it is not the next request
            self.close_connection = True
        self._log_access()

    def _get(self) -> None:
        if not self.name:
            self._json(200, self._about())
            return
        entry = self._found()
        if "header" in self.query:
            text = header_text(self.folder.file(entry.name), self.query.get("hdu"))
            self._respond(200, text.encode("ascii"), {"Content-Type": "text/plain; charset=us-ascii"})
        elif "section" in self.query:
            self._section(entry, self.query["section"])
        elif "pixels" in self.query:
            self._section(entry, self.query["pixels"], plain=True)
        else:
            self._file(entry)

    def _about(self) -> dict[str, Any]:
        """Return what is asked of the server itself: its files, where to hand files over, or its status."""
        if "list" in self.query:
            return self._listing()
        if "handover" in self.query:
            self._authorised()
            is_near = ip_address(self.client_address[0]).is_loopback
            return {"folder": str(self.folder.place_to_hand_over()) if is_near else None}
        return self._status()

    def _found(self) -> Entry:
        entry = self.folder.find(checked_name(self.name))
        if entry is None:
            raise Refused(404, f"no file {self.name}")
        return entry

    def _section(self, entry: Entry, asked: str, plain: bool = False) -> None:
        """Send a section as a FITS file; `plain`: its values alone, which is what programs want most often."""
        section = cut(self.folder.file(entry.name), asked, self.query.get("hdu"), self.query.get("bin"))
        x, y = (f"{section.x0 + 1}-{section.x1}", f"{section.y0 + 1}-{section.y1}")
        tag = f'"{entry.sha256}.{section.image.index}.{x}.{y}.{section.bin}{".plain" if plain else ""}"'
        if self._is_known(tag):
            return
        body: Iterable[bytes | memoryview]
        if plain:
            kind = {"Content-Type": "application/octet-stream", "X-Pixels": section.kind}
            size, body = section.value_bytes, section.values()
        else:
            kind = {"Content-Type": "application/fits"}
            size, body = section.size, section.whole()
        self._head(200, {**kind, "ETag": tag, "Content-Length": str(size)})
        if self.command != "HEAD":
            self._send(body)

    def _file(self, entry: Entry) -> None:
        tag = f'"{entry.sha256}"'
        if self._is_known(tag):
            return
        start, end = self._range(entry, tag)
        part = (start, end) != (0, entry.size)
        headers = {
            "Content-Type": "application/fits" if ".fits" in entry.name else "application/octet-stream",
            "Content-Length": str(end - start),
            "Accept-Ranges": "bytes",
            "ETag": tag,
            "X-Content-SHA256": entry.sha256,
        } | ({"Content-Range": f"bytes {start}-{end - 1}/{entry.size}"} if part else {})
        try:
            file = open(self.folder.file(entry.name), "rb")  # noqa: SIM115 - closed below, after the answer has begun
        except FileNotFoundError as error:
            raise Refused(404, f"no file {self.name}") from error
        with file:
            self._head(206 if part else 200, headers)
            if self.command != "HEAD" and end > start:
                self.wfile.flush()
                self.sent += self.connection.sendfile(file, start, end - start)

    def _is_known(self, tag: str) -> bool:
        known = self.headers.get("If-None-Match", "")
        if known.strip() != "*" and tag not in [t.strip().removeprefix("W/") for t in known.split(",")]:
            return False
        self._head(304, {"ETag": tag})
        return True

    def _range(self, entry: Entry, tag: str) -> tuple[int, int]:
        """Return the bytes asked for; the whole file if none, several ranges, or a range of another content."""
        match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", "").replace(" ", ""))
        if not match or not any(match.groups()) or self.headers.get("If-Range", tag) != tag:
            return 0, entry.size
        first, last = match.groups()
        start = int(first) if first else max(0, entry.size - int(last))
        end = min(int(last) + 1, entry.size) if first and last else entry.size
        if start >= entry.size or start >= end:
            message = f"range {self.headers['Range']} is outside {entry.name}, which has {entry.size} bytes"
            raise Refused(416, message, {"Content-Range": f"bytes */{entry.size}"})
        return start, end

    def _put(self) -> None:
        sha256 = self._admitted()
        known = self.folder.find(self.name)
        if known and sha256:
            entry, new = self.folder.known_is_same(known, sha256), False
            self._drain()
        elif "X-Handed-Over" in self.headers:
            entry, new = self.folder.take_over(self.name, self._handed(), sha256)
        else:
            entry, new = self.folder.receive(self.name, self._pieces(), sha256)
        headers = {"ETag": f'"{entry.sha256}"', "Location": self.path}
        self._json(201 if new else 200, _described(entry), headers)

    def _handed(self) -> str:
        """Return the name of a file that lies where files are handed over."""
        handed = self.headers["X-Handed-Over"]
        if self.unread or not _HANDED.fullmatch(handed):
            message = "X-Handed-Over names a file by 32 hexadecimal digits and .handed, and comes without content"
            raise Refused(400, f"{message}; got {handed[:80]!r} and {self.unread} bytes")
        return handed

    def _admitted(self) -> str | None:
        """Return the checksum that was announced for an upload, having checked all that its headers tell."""
        self._authorised()
        checked_name(self.name)
        if not self.headers.get("Content-Length", "").isdigit():
            raise Refused(411, f"the length of {self.name} must be sent as Content-Length")
        if self.unread > self.folder.free():
            raise Refused(507, f"no room for {self.name}: it has {self.unread} bytes, {self.folder.free()} are free")
        return self._announced_sha256()

    def _announced_sha256(self) -> str | None:
        plain = self.headers.get("X-Content-SHA256", "").strip().lower()
        structured = re.search(r"sha-256=:([^:]*):", self.headers.get("Content-Digest", ""))
        try:
            sha256 = base64.b64decode(structured[1], validate=True).hex() if structured else plain
        except binascii.Error as error:
            raise Refused(400, f"Content-Digest is not base64: {error}") from error
        if sha256 and not _SHA256.fullmatch(sha256):
            raise Refused(400, f"the sha256 of {self.name} must have 64 hexadecimal digits, got {sha256[:80]!r}")
        return sha256 or None

    def _authorised(self) -> None:
        token = self._served.token
        if token is None:
            return
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            challenge = {"WWW-Authenticate": "Bearer"}
            raise Refused(401, "to write, send the token of this server: Authorization: Bearer TOKEN", challenge)
        if not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise Refused(403, "the token is not that of this data server (see its --token-file)")

    def _pieces(self) -> Iterator[bytes]:
        while self.unread:
            piece = self.rfile.read(min(CHUNK, self.unread))
            if not piece:
                raise ConnectionAbortedError(f"{self.unread} bytes had not arrived")
            self.unread -= len(piece)
            yield piece

    def _delete(self) -> None:
        self._authorised()
        kept = self.folder.remove(checked_name(self.name))
        self._json(200, {"name": self.name, "kept_as": str(kept.relative_to(self.folder.path))})

    def _status(self) -> dict[str, Any]:
        files, size = self.folder.inventory.totals()
        free, name = self.folder.free(), self.folder.path.name
        return {"name": name, "version": __version__, "files": files, "bytes": size, "free": free}

    def _listing(self) -> dict[str, Any]:
        limit = self.query.get("limit", str(PAGE))
        if not limit.isdigit() or not 1 <= int(limit) <= PAGE:
            raise Refused(400, f"limit must be 1 to {PAGE}, got {limit!r}")
        if not self._served.reconciled.wait(RECONCILED):
            message = "the inventory is still being brought in line with the files: ask again later"
            raise Refused(503, message, {"Retry-After": "10"})
        files = self.folder.inventory.page(self.query.get("after", ""), int(limit) + 1)
        page = files[: int(limit)]
        there = (self.folder.checked(entry.name, entry) for entry in page)
        return {
            "files": [_described(entry) for entry in there if entry],
            "next": page[-1].name if len(files) > len(page) else None,
        }

    def _refuse(self, refused: Refused) -> None:
        expects = self.headers.get("Expect", "").lower() == "100-continue"
        if self.unread and (expects or self.unread > DRAINED):
            self.close_connection = True
        else:
            self._drain()
        self._json(refused.status, {"error": str(refused)}, refused.headers)

    def _drain(self) -> None:
        """Read what is left of an upload: a connection closed on unread data would take the answer with it."""
        for _ in self._pieces():
            pass

    def _json(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        body = (json.dumps(content) + "\n").encode()
        self._respond(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        if self.command != "HEAD":
            self._send([body])

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.send_response(status)
        for name, value in {"X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name, value)
        if self.close_connection or self._served.stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self.wfile.write(piece)
            self.sent += len(piece)

    def _log_access(self) -> None:
        milliseconds = 1000 * (time.perf_counter() - self.started)
        fields = {"client": self.client_address[0], "method": self.command, "path": self.path, "status": self.status}
        fields |= {"bytes": self.sent, "ms": round(milliseconds, 1)}
        access.info("%s", " ".join(str(value) for value in fields.values()), extra={"fields": fields})

    def log_message(self, format: str, *args: object) -> None:
        """Log what the base class remarks: requests that are not HTTP."""
        log.debug(format, *args)


def _described(entry: Entry) -> dict[str, str | int | float]:
    return {"name": entry.name, "size": entry.size, "sha256": entry.sha256, "mtime": entry.mtime_ns / 1e9}
