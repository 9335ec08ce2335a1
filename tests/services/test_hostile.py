"""Whatever is written into any parameter of any address: a good answer or a clear refusal, never a failure."""

import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.model.access import issue_token
from awe.services.app import create_app
from awe.services.openapi import operations
from awe.services.operations import JSON, UPLOAD, Operation, Parameter

MARK = "<script>alert(7)</script>"
VALUES = (
    MARK,
    f"\"'>{MARK}",
    "..",
    "../../../../etc/passwd",
    "'; DROP TABLE persistent; --",
    "1 OR 1=1",
    '" UNION SELECT sha256 FROM frame --',
    "{{7*7}}",
    "${7*7}{% raw %}",
    "%s%n%x",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "0",
    "99999999999999999999999999",
    "-0.0000001",
    "20:3",
    "1:10^9",
    "1:1000000000",
    "1,,2",
    ":",
    "١٢٣",
    "²",
    "a\x00b",
    "\r\nSet-Cookie: a=b",
    "null",
    "[]",
    '{"a": [1]}',
    "((((((((((((((((((((",
    "not not not",
    "\u200bé😀",
    "x" * 3000,
    "",
    " ",
)
EACH = 9
"""Values that one parameter of one address gets; the values come round over all addresses that have it."""
GOOD = {200, 201, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 429}
PLACE = re.compile(r"<(?:(\w+)(?:\(([^)]*)\))?:)?(\w+)>")


def places(world: Any) -> dict[str, str]:
    """Return a value for each variable part of a path."""
    ids = {name: str(number) for name, number in world.ids.items()}
    return {
        "name": "Coadd",
        "form": "json",
        "suffix": "json",
        "which": ids["SourceList"],
        "ids": ",".join([ids["Coadd"]] * 3),
        "night": "2026-01-27",
        "instrument": "EFOSC2",
        "number": "1",
        "key": "0" * 32,
        "object_id": ids["Coadd"],
        "left": ids["Coadd"],
        "right": ids["RegriddedFrame"],
        "level": "0",
        "column": "0",
        "row": "0",
    }


def path_of(rule: str, world: Any, changed: dict[str, str] | None = None) -> str:
    """Return the path of a rule with its places filled."""
    known = places(world)

    def fill(match: re.Match[str]) -> str:
        kind, choices, name = match.groups()
        if name in (changed or {}):
            return quote(changed[name], safe="")  # type: ignore[index]
        if kind == "any":
            options = [c.strip().strip("'\"") for c in choices.split(",")]
            return known["form"] if known["form"] in options else options[0]
        return known.get(name, "1")

    return PLACE.sub(fill, rule)


def refused_or_answered(client: FlaskClient, address: str, **sent: Any) -> str:
    """Return what is wrong with the answer of an address, to which something may be sent; empty: nothing."""
    answer = client.post(address, **sent) if sent else client.get(address)
    is_text = answer.mimetype in ("text/html", "application/json", "text/csv", "image/svg+xml")
    text = answer.get_data(as_text=True) if is_text else ""
    is_json = answer.mimetype == "application/json"
    refusal = json.loads(text) if is_json and answer.status_code >= 400 else {"status": answer.status_code}
    faults = {
        "failed": answer.status_code not in GOOD,
        "header split": any(c in value for _, value in answer.headers for c in "\r\n"),
        "leads elsewhere": not re.match(r"/(?!/)|http://localhost/|$", answer.headers.get("Location", "")),
        "traceback": "Traceback (most" in text or "site-packages" in text,
        "a file of the machine": "root:x:0" in text,
        "not escaped": not is_json and answer.mimetype != "text/csv" and MARK in text,
        "no status in the refusal": refusal["status"] != answer.status_code,
    }
    found = ", ".join(fault for fault, holds in faults.items() if holds)
    return f"{found}: {answer.status_code} at {address[:300]} {str(sent)[:300] if sent else ''}" if found else ""


def of_method(app: Any, method: str) -> Iterator[tuple[str, Operation]]:
    """Return rule and declaration of the addresses that are read (get) or written to (post)."""
    yield from ((rule, declared) for (asked, rule), (_, declared) in operations(app).items() if asked == method)


def every_value(app: Any) -> Iterator[tuple[str, str, str]]:
    """Return rule, name of a parameter and a value for it, so that all values come round."""
    turn: dict[str, itertools.cycle[str]] = {}
    for rule, declared in of_method(app, "get"):
        names = [p.name for p in (*declared.parameters, *declared.shared)]
        if declared.open_ended:
            names += ["q.object_id", "q.exptime", "op.exptime", "q.raw.filter.name"]
            yield from ((rule, f"q.{value}", "1") for value in VALUES)
        for name in names:
            values = turn.setdefault(name, itertools.cycle(VALUES))
            yield from ((rule, name, value) for value in itertools.islice(values, EACH))


def test_no_value_of_a_parameter_makes_an_address_fail(app: Any, client: FlaskClient, world: Any) -> None:
    wrong = []
    for rule, name, value in every_value(app):
        wrong.append(refused_or_answered(client, f"{path_of(rule, world)}?{urlencode({name: value})}"))
    assert "\n".join(filter(None, wrong)) == ""


def test_no_part_of_a_path_makes_an_address_fail(app: Any, client: FlaskClient, world: Any) -> None:
    wrong = []
    for rule, _ in of_method(app, "get"):
        for match in PLACE.finditer(rule):
            for value in VALUES:
                wrong.append(refused_or_answered(client, path_of(rule, world, {match[3]: value})))
    assert "\n".join(filter(None, wrong)) == ""


def test_an_unknown_parameter_is_named_in_the_refusal(app: Any, client: FlaskClient, world: Any) -> None:
    silent = []
    for rule, declared in of_method(app, "get"):
        if declared.open_ended:
            continue
        answer = client.get(path_of(rule, world) + "?no_such_thing=1", headers={"Accept": "application/json"})
        if answer.status_code != 400 or "no_such_thing" not in answer.text:
            silent.append(f"{answer.status_code} at {rule}: {answer.text[:100]}")
    assert "\n".join(silent) == ""


WORDS: dict[str, Any] = {"text": "looked at", "cls": "Coadd", "token": "awe_none"}
"""What is sent in the fields that are not the hostile one, where they can't be left out."""


@pytest.fixture
def known(world: Any, engine: Engine, tmp_path: Path) -> FlaskClient:
    """Somebody with a token, at pages over a copy of the database."""
    with Session(engine) as session:
        text = issue_token(session, "ann", "default")[1]
        session.commit()
    client = create_app(Settings(home=tmp_path), engine, world.store).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    return client


def sent_as(kind: str, fields: tuple[Parameter, ...], changed: dict[str, Any]) -> dict[str, Any]:
    """Return how fields are sent by a form or as JSON, some of them changed."""
    own = {p.name: WORDS[p.name] for p in fields if p.name in WORDS} | changed
    if kind == JSON:
        return {"json": own}
    files = {p.name: (io.BytesIO(b"ra,dec\n152.6,-1.0\n"), "a.csv") for p in fields if p.kind == "file"}
    return {"data": files | own, "content_type": kind}


ODD: tuple[Any, ...] = (None, True, -1, 1.5, 1e300, 10**30, [], {}, [[]], [1, "x", None], {"a": {"b": []}})
"""Values of a JSON object that are no text."""


def test_no_value_that_is_sent_makes_an_address_fail(app: Any, known: FlaskClient, world: Any) -> None:
    wrong = []
    asked = 0
    for rule, declared in of_method(app, "post"):
        assert declared.body is not None
        for kind in declared.body.media:
            fields = declared.body.fields if kind == JSON else declared.body.form_fields
            for field in fields:
                for value in (*VALUES, *(ODD if kind == JSON else ())):
                    sent = sent_as(kind, fields, {field.name: value})
                    wrong.append(refused_or_answered(known, path_of(rule, world), **sent))
                    asked += 1
    assert "\n".join(filter(None, wrong)) == ""
    assert asked > 500


def test_no_file_that_is_sent_makes_an_address_fail(known: FlaskClient) -> None:
    wrong = []
    for content in (*(v.encode() for v in VALUES), *(f"ra,dec\n{v},{v}".encode() for v in VALUES), bytes(range(256))):
        for name in ("a.csv", "a.vot", f"{MARK}.csv", "../../a.csv"):
            data = {"list": (io.BytesIO(content), name), "cls": "Coadd"}
            wrong.append(refused_or_answered(known, "/cutouts/positions", data=data, content_type=UPLOAD))
    assert "\n".join(filter(None, wrong)) == ""


def test_what_was_sent_is_shown_as_text(known: FlaskClient, world: Any) -> None:
    address = f"/object/{world.ids['Coadd']}"
    for value in VALUES:
        known.post(f"{address}/judge", json={"text": value})
    data = {"list": (io.BytesIO(f"name,ra,dec\n{MARK},152.6,-1.0".encode()), f"{MARK}.csv"), "cls": "Coadd"}
    sent = known.post("/cutouts/positions", data=data, content_type=UPLOAD)

    for shown in (address, f"{address}/tree", "/cutouts/lists", sent.headers["Location"], "/cutouts/runs"):
        page = known.get(shown)
        assert page.status_code == 200, shown
        assert MARK not in page.text, shown
    assert "alert(7)" in known.get(address).text


def test_fields_that_are_unknown_are_named_in_the_refusal(app: Any, known: FlaskClient, world: Any) -> None:
    silent = []
    for rule, declared in of_method(app, "post"):
        assert declared.body is not None
        for kind in declared.body.media:
            fields = declared.body.fields if kind == JSON else declared.body.form_fields
            sent = sent_as(kind, fields, {"no_such_field": "1"})
            in_body = known.post(path_of(rule, world), **sent, headers={"Accept": "application/json"})
            sent = sent_as(kind, fields, {})
            in_address = known.post(f"{path_of(rule, world)}?odd=1", **sent, headers={"Accept": "application/json"})
            for answer, name in ((in_body, "no_such_field"), (in_address, "odd")):
                if answer.status_code != 400 or name not in answer.text:
                    silent.append(f"{answer.status_code} at {rule} as {kind}: {answer.text[:200]}")
    assert "\n".join(silent) == ""


def test_what_needs_a_token_is_not_done_without_one(app: Any, client: FlaskClient, world: Any) -> None:
    needing = [(rule, declared) for rule, declared in of_method(app, "post") if declared.body.needs_token]  # type: ignore[union-attr]
    for rule, declared in needing:
        assert declared.body is not None
        for kind in declared.body.media:
            sent = sent_as(kind, declared.body.fields, {})
            answer = client.post(path_of(rule, world), **sent)
            assert answer.status_code in (401, 404), rule
    assert len(needing) >= 2


def test_nothing_is_taken_from_a_page_of_another_site(app: Any, known: FlaskClient, world: Any) -> None:
    for rule, declared in of_method(app, "post"):
        assert declared.body is not None
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            for kind in declared.body.media:
                sent = sent_as(kind, declared.body.fields, {})
                assert known.post(path_of(rule, world), **sent, headers=headers).status_code == 403, rule


def test_every_address_that_can_be_written_to_is_declared(app: Any) -> None:
    written = {rule.rule for rule in app.url_map.iter_rules() if set(rule.methods or ()) - {"GET", "HEAD", "OPTIONS"}}

    assert {rule for rule, _ in of_method(app, "post")} == written
