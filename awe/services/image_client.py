"""The image client: pictures at the prompt and in notebooks, by the same addresses as the web services."""

import atexit
import io
import json
import re
import time
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import requests
from flask import Flask
from sqlalchemy import make_url

from awe import errors
from awe.config import Settings
from awe.errors import AweError, BadRequest, StoreUnavailable
from awe.processing.engine import data_server
from awe.services.app import create_app
from awe.services.pictures_by_address import Picture, Pictures
from awe.services.registry import parse_addresses
from awe.services.site import site_name

CONNECT_SECONDS, READ_SECONDS = 0.5, 120.0
BUSY_ATTEMPTS, BUSY_PAUSE = 4, 0.5
_TIMING = re.compile(r"([\w-]+);dur=([\d.]+)")
_STATUS = {
    cls.status: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, AweError) and cls is not AweError
} | {503: StoreUnavailable, 409: errors.MissingInput}


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    media_type: str
    headers: dict[str, str]
    content: bytes
    milliseconds: float
    address: str

    @property
    def log(self) -> str:
        """One line on it."""
        took = f"{self.milliseconds:.1f} ms, {len(self.content):,} bytes"
        timing = self.headers.get("server-timing", "")
        return f"GET {self.address} {self.status}, {took}{'; ' if timing else ''}{timing}"

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds of the steps on the server, and of the request."""
        steps = _TIMING.findall(self.headers.get("server-timing", ""))
        return {step: float(duration) for step, duration in steps} | {"request": self.milliseconds}


class ImageClient:
    """Asks the services where they run, or this process itself where none runs.

    A service is asked at its address in the setting `service_addresses`; else the site at `host` and `port` of the
    settings, if there is one and it shows the same database; else an application within this process, which reads the
    pixels by the data server of the settings, or by one that is started for it and ends with this process. Whoever is
    at the prompt reads the database itself, so that application hides nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._elsewhere = parse_addresses(settings.service_addresses)
        self._site: str | None = None
        self._app: Flask | None = None
        self._closing = ExitStack()
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, service: str, path: str, token: str | None = None) -> Answer:
        """Return the answer of a service, for whom a token belongs to; refusals become errors."""
        for attempt in range(BUSY_ATTEMPTS):
            answer = self._asked(self._where(service), path, token)
            if answer.status != 503 or attempt + 1 == BUSY_ATTEMPTS:
                break
            time.sleep(BUSY_PAUSE * 2**attempt)
        if answer.status >= 400:
            raise _STATUS.get(answer.status, AweError)(_reason(answer))
        return answer

    def picture(self, service: str, path: str, given: dict[str, Any], token: str | None = None) -> Picture:
        """Return a picture of a service."""
        answer = self.ask(service, _address(path, given), token)
        names = {"x-binning": "binning", "x-section": "section", "x-balance": "balance"}
        facts = {word: answer.headers[name] for name, word in names.items() if name in answer.headers}
        return Picture(answer.content, answer.media_type, answer.address, answer.timings, (answer.log,), facts)

    def cutouts(self, kind: str, which: int, form: str, given: dict[str, Any], token: str | None = None) -> Pictures:
        """Return the cutouts of a series, fetched as one archive."""
        answer = self.ask("cutouts", _address(f"/cutouts/{kind}/{which}.zip", given | {"form": form}), token)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            rows = [row for row in manifest["files"] if row["file"]]
            media_type = {"png": "image/png", "jpg": "image/jpeg", "fits": "application/fits"}[form]
            made = [Picture(archive.read(row["file"]), media_type, answer.address, {}, (), row) for row in rows]
        missing = [row for row in manifest["files"] if not row["file"]]
        steps = manifest.get("steps", [])
        timings: dict[str, float] = {}
        for step in steps:
            timings[step["step"]] = timings.get(step["step"], 0.0) + step["ms"]
        log = (answer.log, *(f"{step['step']}: {step['what']}, {step['ms']:.1f} ms" for step in steps))
        return Pictures(made, answer.address, missing, timings | answer.timings, log)

    def close(self) -> None:
        """Stop the data server that was started for this client, if one was."""
        self._closing.close()
        self._session.close()
        self._app = None

    def _where(self, service: str) -> str:
        """Return the address of the site that offers a service; empty for the application of this process."""
        if service in self._elsewhere:
            return self._elsewhere[service]
        if self._site is None:
            self._site = self._own_site()
        return self._site

    def _own_site(self) -> str:
        """Return the address of the site of the settings if it runs and shows the same database; empty if not."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.settings.host, self.settings.host)  # noqa: S104
        address = f"http://{host}:{self.settings.port}"
        try:
            health = self._session.get(f"{address}/healthz", timeout=(CONNECT_SECONDS, 5.0)).json()
        except (requests.RequestException, ValueError):
            return ""
        own = site_name(make_url(self.settings.database))
        return address if isinstance(health, dict) and health.get("site") == own else ""

    def _asked(self, site: str, path: str, token: str | None) -> Answer:
        headers = {"Accept": "application/json, */*;q=0.5"} | ({"Authorization": f"Bearer {token}"} if token else {})
        start = time.perf_counter()
        if not site:
            response = self._application().test_client().get(path, headers=headers, follow_redirects=True)
            found = {name.lower(): value for name, value in response.headers.items()}
            taken = (time.perf_counter() - start) * 1e3
            return Answer(response.status_code, response.mimetype or "", found, response.data, taken, path)
        try:
            reply = self._session.get(site + path, headers=headers, timeout=(5.0, READ_SECONDS))
        except requests.RequestException as error:
            raise StoreUnavailable(
                f"{site} does not answer ({type(error).__name__}): is `awe serve` running?"
            ) from error
        found = {name.lower(): value for name, value in reply.headers.items()}
        media_type = found.get("content-type", "").partition(";")[0]
        taken = (time.perf_counter() - start) * 1e3
        return Answer(reply.status_code, media_type, found, reply.content, taken, site + path)

    def _application(self) -> Flask:
        """Return the application of this process, made when it is first needed."""
        if self._app is None:
            settings = self._closing.enter_context(data_server(self.settings))
            atexit.register(self.close)
            self._app = create_app(replace(settings, service_addresses="", open_reading=True))
        return self._app


def _address(path: str, given: dict[str, Any]) -> str:
    plain = {name: _text(value) for name, value in given.items() if value is not None}
    return f"{path}?{urlencode(plain, safe=',:')}" if plain else path


def _text(value: Any) -> str:
    """Return a value as addresses have it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | tuple | range):
        return ",".join(_text(v) for v in value)
    return str(value)


def _reason(answer: Answer) -> str:
    try:
        return str(json.loads(answer.content)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.address} answered {answer.status}"


def form_of(form: str, known: tuple[str, ...]) -> str:
    """Return a kind of file in its short form; raise BadRequest for what there is not."""
    short = {"jpeg": "jpg", "tiff": "tif"}.get(form.lower(), form.lower())
    if short not in known:
        raise BadRequest(f"form must be {' or '.join(known)}, got {form[:40]!r}")
    return short
