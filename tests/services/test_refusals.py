"""What can't be meant is refused in one look, for people and for programs, and nothing leaks."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from awe.config import Settings
from awe.services.app import create_app
from awe.store import Store

HOSTILE = [
    "'",
    '"',
    "<script>alert(1)</script>",
    "{{7*7}}",
    "../../etc/passwd",
    "1; drop table frame",
    "%00",
    "\u202e",
    "9" * 40,
]


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/nothing", 404, "no page /nothing"),
        ("/table/Coad", 404, "near ones: Coadd"),
        ("/table/Coadd?sort=zeropont", 400, "near ones: zeropoint"),
        ("/table/Coadd?sort=wcs", 400, "no single value"),
        ("/table/Coadd?sort=regridded_frames", 400, "no single value"),
        ("/table/Coadd?columns=wings", 400, "has no column 'wings'"),
        ("/table/Coadd?page=1", 400, "no table parameter 'page'"),
        ("/table/Coadd?after=x", 400, "no place in this table"),
        ("/table/Coadd?after=[1,2,3]", 400, "no place in this table"),
        ("/table/Coadd?after=[null]", 400, "no place in this table"),
        ("/table/Coadd?after=[1]&before=[2]", 400, "not both"),
        ("/table/Coadd?before=[1e400]&sort=exptime", 400, "no place in this table"),
        ("/table/Coadd?count=3", 400, "count must be quick or exact"),
        ("/table/Coadd?size=0", 400, "from 1 to 1000"),
        ("/table/Coadd?columns=zeropoint.x", 400, "zeropoint of Coadd is a value, not a link"),
        ("/table/Coadd?sort=regridded_frames.seeing", 400, "no single value"),
        ("/table/Coadd?where=cone(1,2,30)", 400, "at most 20 degrees"),
        ("/table/Coadd.csv?where=zeropont > 3", 400, "zeropoint"),
        ("/table/Coadd.vot?limit=3", 400, "no table parameter"),
        ("/query/Coad", 404, "near ones: Coadd"),
        ("/query/Coadd?unfold=zeropoint", 400, "only links unfold"),
        ("/query/Coadd?open=wings", 400, "no column 'wings'"),
        ("/query/Chip?near=1 2", 400, "no place on the sky"),
        ("/table/Coadd?size=1001", 400, "from 1 to 1000"),
        ("/table/Coadd?limit=3", 400, "no table parameter"),
        ("/table/Coadd?where=zeropont > 3", 400, "zeropoint"),
        ("/table/Coadd?where=)(", 400, ""),
        ("/table/Coadd?where=__import__('os')", 400, ""),
        ("/table/Coadd?q.exptime=long", 400, "compared with a number"),
        ("/table/Coadd?q.exptime=>", 400, "what?"),
        ("/table/Coadd?q.exptime=nan", 400, "finite number"),
        ("/table/Coadd?q.night=yesterday", 400, "compared with a date"),
        ("/table/Coadd?q.wcs=1", 400, "structure"),
        ("/table/Coadd?q.wings=1", 400, "no column"),
        ("/table/ReducedFrame?q.bias=x", 400, "number of an object"),
        ("/object/99999", 404, "no object 99999"),
        ("/object/99999999999999999999", 404, "no page"),
        ("/object/-1", 404, "no page"),
        ("/object/1?stretch=cubic", 400, "stretch must be"),
        ("/object/1/header", 404, "has no file"),
        ("/object/1/file", 404, "has no file"),
        ("/object/1/sources", 404, "neither a SourceList nor an AssociateList"),
        ("/object/99999/tree", 404, "no object 99999"),
        ("/object/1/tree?down=2", 400, "down must be 0 or 1"),
        ("/object/1/tree?up=1", 400, "no parameter"),
        ("/jobs?state=odd", 400, "state must be"),
        ("/jobs?page=x", 400, "page must be"),
        ("/find?q=nonesuch", 404, "nothing is called"),
    ],
)
def test_a_request_that_can_not_be_meant_is_refused(client: FlaskClient, address: str, status: int, said: str) -> None:
    machine = client.get(address, headers={"Accept": "application/json"})
    page = client.get(address)

    assert (machine.status_code, page.status_code) == (status, status), machine.text
    assert machine.json is not None
    assert machine.json["status"] == status
    assert said in machine.json["error"]
    assert "Traceback" not in page.text
    assert page.mimetype == "text/html"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "address",
    [
        "/table/{}",
        "/table/Coadd?where={}",
        "/table/Coadd?sort={}",
        "/table/Coadd?columns={}",
        "/table/Coadd?q.object={}",
        "/table/Coadd?q.exptime={}",
        "/table/Coadd?q.filter={}",
        "/table/Coadd?q.{}=1",
        "/table/Coadd?after={}",
        "/table/Coadd?before={}",
        "/table/Coadd?count={}",
        "/table/Coadd?project={}",
        "/table/Coadd.csv?where={}",
        "/table/Coadd.vot?q.object={}",
        "/table/Coadd.fits?project={}",
        "/query/Coadd?where={}",
        "/query/Coadd?q.object={}",
        "/query/Coadd?op.object={}",
        "/query/Coadd?unfold={}",
        "/query/Coadd?open={}",
        "/query/Coadd?near={}&within={}",
        "/object/56/sources?where={}",
        "/object/56/sources.vot?q.SID={}",
        "/?project={}",
        "/object/{}",
        "/object/55/tree?down={}",
        "/object/56/sources?sort={}",
        "/imageview/55.{}",
        "/imageview/55.png?cuts={}",
        "/imageview/55.png?plane={}",
        "/jobs?state={}",
        "/find?q={}",
    ],
)
def test_hostile_text_is_harmless_in_every_field(client: FlaskClient, address: str, text: str) -> None:
    answer = client.get(address.replace("{}", quote(text, safe="%")))

    assert answer.status_code in (200, 301, 302, 400, 404, 308), answer.text
    assert "<script>alert" not in answer.text or answer.mimetype == "application/fits"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "address", ["/", "/table/Coadd", "/object/55", "/imageview/55.png", "/nothing", "/healthz", "/static/awe.css"]
)
def test_every_answer_forbids_what_is_foreign(client: FlaskClient, address: str) -> None:
    headers = client.get(address, buffered=True).headers

    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["/", "/table/Coadd", "/object/55", "/object/55/tree", "/jobs", "/processes"])
def test_no_page_names_another_host_or_carries_script_or_style(client: FlaskClient, address: str) -> None:
    page = client.get(address).text

    page = re.sub(r'<script [^>]*src="/static/[^"]*"[^>]*></script>', "", page)
    for foreign in ("http://", "https://", "<script", "<style", " style=", " onclick="):
        assert foreign not in page, foreign


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_written(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)("/object/55", json={}, headers={"Accept": "application/json"})

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_an_unknown_failure_has_a_number_and_no_traceback(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    answer = app.test_client().get("/broken")

    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    number = caplog.records[-1].getMessage().split()[1]
    assert number in answer.text
    assert caplog.records[-1].exc_info is not None


def test_a_data_server_that_is_down_is_told(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("awe.store.PAUSE", 0.0)
    dead = Store("http://127.0.0.1:9", tmp_path / "none")
    client = create_app(Settings(home=tmp_path), world.engine, dead).test_client()

    assert "can&#39;t be used" in client.get("/").text
    assert client.get("/").status_code == 200
    assert client.get(f"/object/{world.ids['Coadd']}").status_code == 200
    picture = client.get(f"/imageview/{world.ids['Coadd']}.png")
    assert (picture.status_code, picture.headers["Retry-After"]) == (503, "5")
    health = client.get("/healthz")
    assert health.status_code == 503
    assert health.json is not None
    assert (health.json["database"], health.json["status"]) == ("ok", "degraded")
