"""The files of the system, by unique name: a client of the data server, with a local cache."""

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
import requests
from astropy.io.fits import Header

from awe.connections import CHUNK, CONNECT_SECONDS, READ_SECONDS, connection_to, session
from awe.errors import AweError, BadFile, BadRequest, NotAllowed, NotFound, StoreUnavailable
from awe.file_cache import FileCache
from awe.fits import section as cut

ATTEMPTS = 5
PAUSE = 0.2  # seconds before the second attempt; doubled for each one after
_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_ERRORS: dict[int, type[AweError]] = {
    400: BadRequest,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: BadFile,
    416: BadRequest,
    422: BadFile,
}
_places: dict[str, Path | None] = {}
"""Where the data servers at some addresses take files over."""


@dataclass(frozen=True)
class StoredFile:
    """A file on the data server, as its row in the database remembers it."""

    filename: str
    size: int
    sha256: str
    modified: float = field(default=0.0, compare=False)
    """When it was stored (seconds since 1970), where the data server was asked for a list."""


class Store:
    """Put files on the data server and get them, or parts of them, back.

    Threads and processes can share it; it can be pickled. Files never change: what is cached stays right.
    """

    def __init__(
        self,
        address: str,
        cache_folder: Path,
        cache_bytes: int = 10_000_000_000,
        token: str | None = None,
        keep_seconds: float = 600.0,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadRequest(f"a data server has an address such as http://127.0.0.1:8001, got {address[:80]!r}")
        self.address = address.rstrip("/")
        self.cache = FileCache(Path(cache_folder), cache_bytes, keep_seconds)
        self._token = token

    def put(
        self, path: Path, filename: str | None = None, consume: bool = False, sha256: str | None = None
    ) -> StoredFile:
        """Store a file under a name (its own, if none is given); the same content again is no error.

        It stays in the cache: as a copy, or moved there if `consume` says that the file is not needed any more; then
        `sha256` may give its checksum, where it is known. The data server refuses what arrives with another one.
        """
        path = Path(path)
        filename = filename or path.name
        if consume:
            known = _size_and_sha256(path) if sha256 is None else (path.stat().st_size, sha256)
            stored = self._upload(path, filename, known)
            with self.cache.part(filename) as part:
                shutil.move(path, part)
            return stored
        with self.cache.part(filename) as part:
            # What is sent is the copy: the file could change between its checksum and its transfer.
            return self._upload(part, filename, _size_and_sha256(path, part))

    def retrieve(self, filename: str, sha256: str | None = None) -> Path:
        """Return the path of a local copy, fetched unless it is cached; its checksum was compared on arrival.

        With `sha256`, what the database remembers, a file that came back with another content is refused as well.
        """
        cached = self.cache.find(filename)
        if cached is None:
            with self.cache.fetching(filename):
                cached = self.cache.find(filename) or self._download(filename, sha256)
        return cached

    def section(
        self,
        filename: str,
        hdu: int | str | None,
        x0: int,
        x1: int,
        y0: int,
        y1: int,
        binning: int = 1,
        local: bool = True,
    ) -> np.ndarray:
        """Return the pixels x0 to x1, y0 to y1 (from 0, half-open): float32, or uint8 if so stored and not binned.

        Cut out, and averaged over binning x binning pixels, by the data server; taken from the cache if it is there,
        unless `local` is false.
        """
        cached = self.cache.find(filename) if binning == 1 and local else None
        if cached is not None:
            return cut(cached, hdu, x0, x1, y0, y1)
        query = {"pixels": f"{x0 + 1}:{x1},{y0 + 1}:{y1}", "bin": str(binning)} | _hdu(hdu)
        return self._pixels(filename, query, (-(-(y1 - y0) // binning), -(-(x1 - x0) // binning)))

    def header(self, filename: str, hdu: int | str | None = None) -> Header:
        """Return the header of an HDU (None: the first one with an image) without fetching the file."""
        text = self._request("GET", filename, {"header": ""} | _hdu(hdu)).text
        return Header.fromstring(text, sep="\n")

    def exists(self, filename: str) -> bool:
        """Tell whether the data server has a file of this name."""
        return self.find(filename) is not None

    def find(self, filename: str) -> StoredFile | None:
        """Return size and checksum of a file on the data server; None if there is none of this name."""
        try:
            headers = self._request("HEAD", filename).headers
        except NotFound:
            return None
        return StoredFile(filename, int(headers["Content-Length"]), headers["X-Content-SHA256"])

    def delete(self, filename: str) -> None:
        """Remove a file; the data server keeps it aside, in its folder `deleted`."""
        self._request("DELETE", filename)
        self.cache.forget(filename)

    def list(self) -> Iterator[StoredFile]:
        """Yield all files of the data server by name."""
        after: str | None = ""
        while after is not None:
            page = self._request("GET", "", {"list": "", "after": after}).json()
            yield from (StoredFile(f["name"], f["size"], f["sha256"], f["mtime"]) for f in page["files"])
            after = page["next"]

    def status(self) -> dict[str, Any]:
        """Return name and version of the data server, its number of files, their bytes, and the bytes still free."""
        return dict(self._request("GET", "").json())

    def _upload(self, path: Path, filename: str, size_and_sha256: tuple[int, str]) -> StoredFile:
        size, sha256 = size_and_sha256
        known = self.find(filename)
        if known is not None and known.sha256 != sha256:
            raise BadFile(
                f"{filename} exists at {self.address} with other content (sha256 {known.sha256[:12]}..., "
                f"this one has {sha256[:12]}...): files never change, choose another name"
            )
        if known is None and not self._handed_over(path, filename, sha256):
            with open(path, "rb") as file:
                # An empty file object would be sent in chunks, which the server does not take.
                self._request("PUT", filename, headers={"X-Content-SHA256": sha256}, body=file if size else b"")
        return StoredFile(filename, size, sha256)

    def _handed_over(self, path: Path, filename: str, sha256: str) -> bool:
        """Give the data server a file under a second name, if it is on this disk and takes it: nothing is copied."""
        folder = self._place_to_hand_over()
        if folder is None:
            return False
        handed = folder / f"{secrets.token_hex(16)}.handed"
        try:
            os.link(path, handed)
        except OSError:  # on another disk, or of another user
            return False
        try:
            self._request("PUT", filename, headers={"X-Content-SHA256": sha256, "X-Handed-Over": handed.name}, body=b"")
        except BadFile:  # it sees another folder, for instance; if something else is wrong, sending will tell
            _places.pop(self.address, None)
            return False
        finally:
            handed.unlink(missing_ok=True)
        return True

    def _place_to_hand_over(self) -> Path | None:
        """Return the folder where a data server on this machine takes files over; None if it is on another."""
        if self.address not in _places:
            try:
                named = self._request("GET", "", {"handover": ""}, self._authorisation).json().get("folder")
            except NotAllowed:
                return None
            _places[self.address] = Path(named) if named else None
        return _places[self.address]

    @property
    def _authorisation(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _download(self, filename: str, sha256: str | None) -> Path:
        for attempt in range(ATTEMPTS):
            response = self._request("GET", filename, stream=True)
            announced = response.headers["X-Content-SHA256"]
            if sha256 not in (None, announced):
                response.close()
                raise BadFile(f"{filename} at {self.address} has sha256 {announced}, the database remembers {sha256}")
            try:
                with response, self.cache.part(filename) as part:
                    found = _written(part, response)
                    if found != announced:
                        raise BadFile(
                            f"{filename} arrived damaged from {self.address}: sha256 {found}, not {announced}"
                        )
                return self.cache.place(filename)
            except _TRANSIENT as error:
                _pause(attempt, self._unavailable(f"{filename} was cut off", error), error)
        raise AssertionError("the last attempt raises")

    def _pixels(self, filename: str, query: Mapping[str, str], shape: tuple[int, int]) -> np.ndarray:
        """Return the values that an answer consists of, received where they stay.

        What is asked most often goes by the plain client of the standard library, which takes a quarter of the time.
        """
        path = f"{urlsplit(self.address).path}/{quote(filename, safe='')}?{urlencode(query)}"
        for attempt in range(ATTEMPTS):
            connection, is_new = connection_to(self.address)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status == 200:
                    if "X-Pixels" not in answer.headers:
                        connection.close()
                        raise StoreUnavailable(f"data server {self.address} can't send plain pixels: it is too old")
                    return _received(answer, shape)
                answer.read()
            except (HTTPException, OSError) as error:
                connection.close()
                if is_new:
                    _pause(attempt, self._unavailable(f"{filename} was cut off", error), error)
                continue  # at once, where the server had closed a connection that was kept
            if answer.status != 503:
                self._request("GET", filename, query)  # raises what the answer means
            _pause(attempt, self._unavailable("busy"), None)
        raise StoreUnavailable(f"data server {self.address} can't be used: it closes every connection")

    def _request(
        self,
        method: str,
        filename: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: IO[bytes] | bytes | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Ask the data server, again if it does not answer or is busy; refusals become errors."""
        address = f"{self.address}/{quote(filename, safe='')}"
        known = self._authorisation if method in ("PUT", "DELETE") else {}
        for attempt in range(ATTEMPTS):
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            try:
                response = session().request(
                    method,
                    address,
                    params=query,
                    headers={**known, **(headers or {})},
                    data=body,
                    stream=stream,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
            except _TRANSIENT as error:
                _pause(attempt, self._unavailable("no answer", error), error)
                continue
            if response.status_code != 503:
                return self._granted(response, method, filename)
            _pause(attempt, self._unavailable(_reason(response) or "busy"), None)
        raise AssertionError("the last attempt raises")

    def _granted(self, response: requests.Response, method: str, filename: str) -> requests.Response:
        if response.ok:
            return response
        message = f"data server {self.address}: {_reason(response) or f'no file {filename}'}"
        error = _ERRORS.get(response.status_code, StoreUnavailable)
        if error is NotAllowed:
            message += f" ({method} {filename}; the token is read from the file in the setting token_file)"
        raise error(message)

    def _unavailable(self, what: str, error: Exception | None = None) -> StoreUnavailable:
        cause = f" ({_root(error)})" if error else ""
        return StoreUnavailable(
            f"data server {self.address} can't be used: {what} after {ATTEMPTS} attempts{cause}; "
            "start it with `awe serve`, or set AWE_DATA_SERVER to the one that runs"
        )


def _received(answer: HTTPResponse, shape: tuple[int, int]) -> np.ndarray:
    """Return the values of an answer, which are little-endian; raise ConnectionError if they are cut off."""
    image = np.empty(shape, np.dtype(answer.headers["X-Pixels"]).newbyteorder("<"))
    if answer.length != image.nbytes:
        raise ConnectionError(f"{answer.length} bytes were announced, {image.nbytes} were asked for")
    missing = image.data.cast("B")
    while missing:
        count = answer.readinto(missing)
        if not count:
            raise ConnectionError(f"{missing.nbytes} of {image.nbytes} bytes are missing")
        missing = missing[count:]
    answer.read()
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _pause(attempt: int, last: StoreUnavailable, cause: Exception | None) -> None:
    """Wait before the next attempt, raise after the last one."""
    if attempt + 1 == ATTEMPTS:
        raise last from cause
    time.sleep(PAUSE * 2**attempt)


def _size_and_sha256(path: Path, copy: Path | None = None) -> tuple[int, str]:
    """Return size and checksum of a file, and copy it on the way if asked."""
    checksum: Any = hashlib.sha256()
    size = 0
    try:
        with open(path, "rb") as source, open(copy or os.devnull, "wb", buffering=0) as target:
            while piece := source.read(CHUNK):
                checksum.update(piece)
                size += target.write(piece) or 0
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise NotFound(f"file {path} can't be read: {error.strerror}") from error
    return size, str(checksum.hexdigest())


def _written(part: Path, response: requests.Response) -> str:
    checksum: Any = hashlib.sha256()
    with open(part, "wb") as file:
        for piece in response.iter_content(CHUNK):
            checksum.update(piece)
            file.write(piece)
        if file.tell() != int(response.headers["Content-Length"]):
            raise requests.ConnectionError(f"{file.tell()} of {response.headers['Content-Length']} bytes arrived")
    return str(checksum.hexdigest())


def _hdu(hdu: int | str | None) -> dict[str, str]:
    return {} if hdu is None else {"hdu": str(hdu)}


def _reason(response: requests.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:200] or (response.reason if response.status_code != 404 else "")


def _root(error: BaseException) -> str:
    """Return the innermost cause: the layers above repeat it with their own names."""
    while error.__context__ or error.__cause__:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
