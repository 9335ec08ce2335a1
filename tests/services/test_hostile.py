"""Whatever is written into any parameter of any address: a good answer or a clear refusal, never a failure."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from flask.testing import FlaskClient

from awe.services.openapi import operations

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
GOOD = {200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 413, 414, 422}
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


def refused_or_answered(client: FlaskClient, address: str) -> str:
    """Return what is wrong with the answer of an address; empty: nothing."""
    answer = client.get(address)
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
    return f"{found}: {answer.status_code} at {address[:300]}" if found else ""


def every_value(app: Any) -> Iterator[tuple[str, str, str]]:
    """Return rule, name of a parameter and a value for it, so that all values come round."""
    turn: dict[str, itertools.cycle[str]] = {}
    for rule, (_endpoint, declared) in operations(app).items():
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
    for rule in operations(app):
        for match in PLACE.finditer(rule):
            for value in VALUES:
                wrong.append(refused_or_answered(client, path_of(rule, world, {match[3]: value})))
    assert "\n".join(filter(None, wrong)) == ""


def test_an_unknown_parameter_is_named_in_the_refusal(app: Any, client: FlaskClient, world: Any) -> None:
    silent = []
    for rule, (_endpoint, declared) in operations(app).items():
        if declared.open_ended:
            continue
        answer = client.get(path_of(rule, world) + "?no_such_thing=1", headers={"Accept": "application/json"})
        if answer.status_code != 400 or "no_such_thing" not in answer.text:
            silent.append(f"{answer.status_code} at {rule}: {answer.text[:100]}")
    assert "\n".join(silent) == ""
