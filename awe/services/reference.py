"""The reference of all web addresses, made from what views declare: `python -m awe.services.reference FILE`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask
from sqlalchemy import create_engine
from werkzeug.routing import Rule

from awe.config import Settings
from awe.services.app import create_app
from awe.services.operations import PROJECT, Operation, Parameter, operation_of
from awe.services.registry import SERVICES
from awe.store import Store

_MADE = "<!-- Made from the code by `make docs`; changes here are lost. -->"
_ABOUT = """All that a page shows is in its address, so an address can be kept, sent and read by a program. Most pages
have a JSON form: the same address with `.json`, or the header `Accept: application/json`. `/api` shows this list at a
running site, and `/openapi.json` is the same for programs.

A wrong or unknown parameter, and a value beyond its limits, is answered with status 400 and a sentence that names what
is expected; nothing is cut down in silence. 404: there is nothing of that name, or it is not for you. 503: a part of
the system does not answer, or too much is being made at this moment; try again.

What is sent by `POST`, as a form or (where JSON is given) as a JSON object, is read in the same way. Who judges or
deletes must have signed in, or send the header `Authorization: Bearer TOKEN`; a page of another site can't send
anything in their name."""


_COMMON = "All services"
_HEAD = "| parameter | what | values | default |\n| --- | --- | --- | --- |"


def pages_page() -> str:
    """Return the page of all addresses of all services, with their parameters."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        app = create_app(Settings(home=home), create_engine("sqlite://"), Store("http://127.0.0.1:1", home))
        parts = ["# Addresses of the web pages", _MADE, *(" ".join(p.split("\n")) for p in _ABOUT.split("\n\n"))]
        shared = f"Every page also takes `{PROJECT.name}`: {PROJECT.doc}."
        parts.append(shared)
        for title, rules in _by_service(app):
            about = [f"{SERVICES[title].doc[0].upper()}{SERVICES[title].doc[1:]}."] if title in SERVICES else []
            parts += [f"## {title}", *about, *_section(app, rules)]
    return "\n\n".join(parts) + "\n"


def _by_service(app: Flask) -> Iterator[tuple[str, list[Rule]]]:
    """Yield (title, rules in order) of each service, and of what they have in common."""
    owners = {b.name: s.name for s in SERVICES.values() for b in s.blueprints}
    found: dict[str, list[Rule]] = {}
    for title in (*owners.values(), _COMMON):
        found[title] = []
    for rule in sorted(app.url_map.iter_rules(), key=lambda r: r.rule):
        found[owners.get(rule.endpoint.partition(".")[0], _COMMON)].append(rule)
    yield from found.items()


def _section(app: Flask, rules: list[Rule]) -> Iterator[str]:
    """Yield the table of addresses and, for each set of parameters, those that take it."""
    shown = {("POST " if _declared(app, rule).body else "") + shown_rule(rule): rule for rule in rules}
    lines = ["| address | what | gives |", "| --- | --- | --- |"]
    takers: dict[tuple[Parameter, ...], list[str]] = {}
    for address, rule in shown.items():
        declared = _declared(app, rule)
        twin = address.removesuffix(".json")
        if twin != address and twin in shown and _declared(app, shown[twin]) == declared:
            continue
        json_form = f", JSON: `{address}.json`" if f"{address}.json" in shown else ""
        gives = ", ".join(k for k in declared.answers or ("text/html",) if not (json_form and k == "application/json"))
        lines.append(f"| `{address}` | {_cell(declared.summary.rstrip('.'))} | {gives}{json_form} |")
        sent = declared.body.form_fields if declared.body else ()
        parameters = (*declared.path, *declared.parameters, *sent)
        if parameters:
            takers.setdefault(parameters, []).append(f"`{address}`")
    yield "\n".join(lines)
    for parameters, addresses in takers.items():
        yield f"Parameters of {', '.join(addresses)}:"
        yield "\n".join([_HEAD, *map(_row, parameters)])


def shown_rule(rule: Rule) -> str:
    """Return the pattern of an address without the kinds of its places."""
    return re.sub(r"<\w+(?:\([^)]*\))?:", "<", rule.rule)


def _declared(app: Flask, rule: Rule) -> Operation:
    view = app.view_functions[rule.endpoint]
    first = (view.__doc__ or "").strip().partition("\n")[0]
    return operation_of(view) or Operation(first or "Style, scripts and icon", answers=())


def _row(parameter: Parameter) -> str:
    doc = f"{parameter.doc} ({parameter.unit})" if parameter.unit else parameter.doc
    default = "" if parameter.default is None or parameter.default == "" else f"`{parameter.default}`"
    if parameter.kind == "boolean":
        default = str(int(bool(parameter.default)))
    elif not isinstance(parameter.default, str | int | float | None):
        default = ""
    return f"| `{parameter.name}` | {_cell(doc)} | {_cell(_values(parameter))} | {default} |"


def _values(parameter: Parameter) -> str:
    again = "; may be given several times" if parameter.many else ""
    if parameter.kind == "string" and not parameter.choices:
        return ("text" if parameter.example is None else f"like {parameter.example}") + again
    return parameter.expected + again


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"pages.md": pages_page}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(PAGES[Path(name).name](), encoding="utf-8")
