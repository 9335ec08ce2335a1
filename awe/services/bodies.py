"""What is sent to an address, by a form or as JSON: read and refused as it is declared."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request

from awe.errors import BadRequest
from awe.model.attributes import near_names
from awe.services.operations import JSON, Body, Operation, Parameter

_SHOWN = 60


def read_body(operation: Operation) -> dict[str, Any]:
    """Return the value of each field that this request sends: None if it is not there, a list if it may be repeated.

    Raises BadRequest for a field that is wrong, missing or unknown, and for parameters of the address.
    """
    operation.read(request.args)
    body = operation.body
    assert body is not None
    if request.mimetype and request.mimetype not in body.media:
        raise BadRequest(f"what is sent here must be {' or '.join(body.media)}, got {request.mimetype[:_SHOWN]}")
    given = _from_json(body) if request.mimetype == JSON else _from_form(body)
    read = {field.name: _read(field, given.get(field.name)) for field in body.fields if field.kind != "file"}
    return read | {field.name: _file(field) for field in body.fields if field.kind == "file"}


def _from_form(body: Body) -> Mapping[str, Sequence[str]]:
    files = [field.name for field in body.fields if field.kind == "file"]
    _check_names([*request.form, *request.files], [field.name for field in body.form_fields])
    wrong = [name for name in request.form if name in files] + [name for name in request.files if name not in files]
    if wrong:
        raise BadRequest(f"{wrong[0]} must be {'a file' if wrong[0] in files else 'no file'}")
    return {name: request.form.getlist(name) for name in request.form}


def _from_json(body: Body) -> Mapping[str, Sequence[str]]:
    sent = request.get_json()
    names = [field.name for field in body.fields]
    if not isinstance(sent, dict):
        raise BadRequest(f"what is sent must be a JSON object with {', '.join(names)}")
    _check_names(list(sent), names)
    return {field.name: _texts(field, sent[field.name]) for field in body.fields if sent.get(field.name) is not None}


def _check_names(given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        near = near_names(unknown[0][:_SHOWN], list(known)).replace("its attributes", "the fields")
        raise BadRequest(f"no field {unknown[0][:_SHOWN]!r} can be sent here; {near if known else 'there are none'}")


def _texts(field: Parameter, value: Any) -> list[str]:
    """Return a value of a JSON object as the texts that a form would send."""
    if isinstance(value, list) and field.many:
        return [text for part in value for text in _texts(_single(field), part)]
    is_plain_text = field.kind == "string" and field.parse is None and not field.choices
    if isinstance(value, bool):
        if field.kind == "boolean":
            return [str(int(value))]
    elif isinstance(value, str) or (isinstance(value, int | float) and not is_plain_text):
        return [str(value)]
    raise BadRequest(f"{field.name} must be {'a string' if is_plain_text else field.expected}")


def _single(field: Parameter) -> Parameter:
    return Parameter(**{**vars(field), "many": False})


def _read(field: Parameter, texts: Sequence[str] | None) -> Any:
    for text in texts or ():
        if any(c < " " and c not in "\t\r\n" for c in text):
            raise BadRequest(f"{field.name} contains control characters")
    stated = [text for text in texts or () if text.strip()]
    if field.required and not stated:
        raise BadRequest(f"{field.name} is missing: {field.doc}")
    if field.many:
        return None if texts is None else [field.read(text) for text in stated]
    if len(stated) > 1:
        raise BadRequest(f"{field.name} was given {len(stated)} times: give it once")
    return field.read(stated[0]) if stated else field.default


def _file(field: Parameter) -> Any:
    """Return the file that was sent; None: there is none."""
    found = request.files.get(field.name)
    if found is not None and found.filename:
        return found
    if field.required:
        raise BadRequest(f"{field.name} is missing: {field.doc}")
    return None
