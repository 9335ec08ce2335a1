"""The OpenAPI description of an application, made from the declarations of its views."""

import re
from typing import Any

from flask import Flask

from awe import __version__
from awe.services.operations import JSON, Body, Operation, Parameter, operation_of

_PLACE = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
_PATH_KINDS = {"number": "integer", "int": "integer", "float": "number"}
_ERRORS = {
    "400": "what was asked for can't be understood; the error names what is wrong",
    "404": "there is nothing of this name",
    "503": "a part of the system does not answer, or too much is being made at this moment",
}


_NOT_DONE = {
    "401": "who sends this is not known: sign in, or send a token",
    "403": "who sends this may not, or sent a form of another site",
}
_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "a token of `awe token add USER`"}}


def operations(app: Flask) -> dict[tuple[str, str], tuple[str, Operation]]:
    """Return {(method, rule): (endpoint, declaration)} of all addresses, in order; the method is get or post."""
    found = {}
    for rule in app.url_map.iter_rules():
        declared = operation_of(app.view_functions[rule.endpoint])
        if declared is not None:
            found["post" if declared.body else "get", rule.rule] = (rule.endpoint, declared)
    return dict(sorted(found.items(), key=lambda entry: entry[0][::-1]))


def openapi(app: Flask) -> dict[str, Any]:
    """Return the description as the OpenAPI specification 3.1 has it."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, rule), (endpoint, declared) in operations(app).items():
        paths.setdefault(_PLACE.sub(r"{\g<name>}", rule), {})[method] = _operation(rule, endpoint, declared)
    return {
        "openapi": "3.1.0",
        "info": {"title": "awe", "version": __version__, "description": "Pages and pictures of an awe database."},
        "components": {"securitySchemes": _SCHEMES},
        "paths": paths,
    }


def _operation(rule: str, endpoint: str, declared: Operation) -> dict[str, Any]:
    places = {p.name: p for p in declared.path}
    path = [
        _parameter(places.get(m["name"]) or _place(m["name"], m["kind"] or ""), "path") for m in _PLACE.finditer(rule)
    ]
    errors = {status: {"description": doc} for status, doc in _ERRORS.items()}
    done = {"description": declared.summary, "content": {kind: {} for kind in declared.answers}}
    described: dict[str, Any] = {
        "operationId": f"{endpoint}{'.json' if rule.endswith('.json') else ''}:{rule}",
        "summary": declared.summary,
        "parameters": [*path, *(_parameter(p, "query") for p in (*declared.parameters, *declared.shared))],
    }
    if declared.body is None:
        return described | {"responses": {"200": done, **errors}}
    refusals = {status: {"description": doc} for status, doc in _NOT_DONE.items()}
    leads = {"303": {"description": "it is done; leads to the page that shows it"}}
    described |= {"requestBody": _body(declared.body)}
    described |= {"security": [{"token": []}]} if declared.body.needs_token else {}
    return described | {"responses": {str(declared.body.done): done, **leads, **errors, **refusals}}


def _body(body: Body) -> dict[str, Any]:
    """Return what is sent, in each form that it may have."""
    content = {}
    for kind in body.media:
        fields = body.fields if kind == JSON else body.form_fields
        content[kind] = {
            "schema": {
                "type": "object",
                "properties": {f.name: _schema(f) | {"description": f.doc} for f in fields},
                "required": [f.name for f in fields if f.required],
                "additionalProperties": False,
            }
        }
    return {"required": any(f.required for f in body.fields), "content": content}


def _place(name: str, kind: str) -> Parameter:
    return Parameter(name, name.replace("_", " "), _PATH_KINDS.get(kind, "string"))


def _parameter(declared: Parameter, place: str) -> dict[str, Any]:
    doc = f"{declared.doc} ({declared.unit})" if declared.unit else declared.doc
    example = {} if declared.example is None else {"example": declared.example}
    return {
        "name": declared.name,
        "in": place,
        "required": place == "path",
        "description": doc,
        "schema": _schema(declared),
    } | example


def _schema(declared: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": declared.kind}
    if declared.kind == "boolean":
        schema = {"type": "string", "enum": ["0", "1"]}
    if declared.kind == "file":
        schema = {"type": "string", "format": "binary"}
    if declared.choices:
        schema["enum"] = list(declared.choices)
    schema |= {k: v for k, v in (("minimum", declared.low), ("maximum", declared.high)) if v is not None}
    if isinstance(declared.default, str | int | float) and declared.kind != "boolean":
        schema["default"] = declared.default
    return {"type": "array", "items": schema} if declared.many else schema
