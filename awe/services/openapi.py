"""The OpenAPI description of an application, made from the declarations of its views."""

import re
from typing import Any

from flask import Flask

from awe import __version__
from awe.services.operations import Operation, Parameter, operation_of

_PLACE = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
_PATH_KINDS = {"number": "integer", "int": "integer", "float": "number"}
_ERRORS = {
    "400": "what was asked for can't be understood; the error names what is wrong",
    "404": "there is nothing of this name",
    "503": "a part of the system does not answer, or too much is being made at this moment",
}


def operations(app: Flask) -> dict[str, tuple[str, Operation]]:
    """Return {path: (endpoint, declaration)} of the addresses that are read, in order of path."""
    found = {}
    for rule in app.url_map.iter_rules():
        declared = operation_of(app.view_functions[rule.endpoint])
        if declared is not None and "GET" in (rule.methods or ()):
            found[rule.rule] = (rule.endpoint, declared)
    return dict(sorted(found.items()))


def openapi(app: Flask) -> dict[str, Any]:
    """Return the description as the OpenAPI specification 3.1 has it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "awe", "version": __version__, "description": "Pages and pictures of an awe database."},
        "paths": {
            _PLACE.sub(r"{\g<name>}", rule): {"get": _operation(rule, endpoint, declared)}
            for rule, (endpoint, declared) in operations(app).items()
        },
    }


def _operation(rule: str, endpoint: str, declared: Operation) -> dict[str, Any]:
    places = {p.name: p for p in declared.path}
    path = [
        _parameter(places.get(m["name"]) or _place(m["name"], m["kind"] or ""), "path") for m in _PLACE.finditer(rule)
    ]
    return {
        "operationId": f"{endpoint}{'.json' if rule.endswith('.json') else ''}:{rule}",
        "summary": declared.summary,
        "parameters": [*path, *(_parameter(p, "query") for p in (*declared.parameters, *declared.shared))],
        "responses": {
            "200": {"description": declared.summary, "content": {kind: {} for kind in declared.answers}},
            **{status: {"description": doc} for status, doc in _ERRORS.items()},
        },
    }


def _place(name: str, kind: str) -> Parameter:
    return Parameter(name, name.replace("_", " "), _PATH_KINDS.get(kind, "string"))


def _parameter(declared: Parameter, place: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": declared.kind}
    if declared.kind == "boolean":
        schema = {"type": "string", "enum": ["0", "1"]}
    if declared.choices:
        schema["enum"] = list(declared.choices)
    schema |= {k: v for k, v in (("minimum", declared.low), ("maximum", declared.high)) if v is not None}
    if isinstance(declared.default, str | int | float) and declared.kind != "boolean":
        schema["default"] = declared.default
    doc = f"{declared.doc} ({declared.unit})" if declared.unit else declared.doc
    example = {} if declared.example is None else {"example": declared.example}
    return {
        "name": declared.name,
        "in": place,
        "required": place == "path",
        "description": doc,
        "schema": schema,
    } | example
