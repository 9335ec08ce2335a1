"""Tables: the objects of one class, a page at a time, or all of them as a file."""

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from awe.errors import BadRequest, NotFound
from awe.model.persistent import Persistent, persistent_class
from awe.services.addresses import changed
from awe.services.declared import summary_of
from awe.services.export import MEDIA_TYPES
from awe.services.negotiation import wants_json
from awe.services.operations import Operation, Parameter, describe
from awe.services.sessions import session
from awe.services.streaming import as_file
from awe.services.table_request import OPEN_ENDED, PARAMETERS, TableRequest, clean, parse_request
from awe.services.table_view import view_table

tables = Blueprint("tables", __name__)

_NAME = Parameter("name", "class of the objects", example="Coadd")
_PAGE = Operation("The objects of a class, a page at a time.", PARAMETERS, open_ended=OPEN_ENDED, path=(_NAME,))
_FILE = Operation(
    "All objects of a class that a condition selects, as a file; as JSON with `size`, `after` or `before`, a page.",
    PARAMETERS,
    tuple(MEDIA_TYPES.values()),
    OPEN_ENDED,
    (_NAME, Parameter("form", "format of the file", choices=tuple(MEDIA_TYPES))),
)


@tables.get("/table/<name>")
@describe(_PAGE)
def show(name: str) -> AnyResponse:
    """Show a page of the table of a class."""
    found = request_of(name, "")
    if not isinstance(found, TableRequest):
        return found
    if wants_json():
        return as_file(found, "json", summary_of(found.cls))  # the same address, for a program
    response = make_response(render_template("table.html", **view_table(session(), found)))
    response.vary.add("Accept")
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


@tables.get("/table/<name>.<any(html,json,csv,vot,fits):form>")
@describe(_FILE)
def file(name: str, form: str) -> AnyResponse:
    """Send all rows that an address selects."""
    found = request_of(name, f".{form}")
    return as_file(found, form, summary_of(found.cls)) if isinstance(found, TableRequest) else found


def request_of(name: str, suffix: str) -> TableRequest | AnyResponse:
    """Return what this address asks for, or the way to the address that is to be kept instead of it."""
    cls = class_named(name)
    given = request.args.to_dict()
    if "column" in request.args:
        given["columns"] = ",".join(request.args.getlist("column"))
        del given["column"]
    path = f"/table/{cls.__name__}"
    if cls.__name__ != name or (not suffix and clean(given) != request.args.to_dict()):
        return redirect(changed(path + suffix, clean(given)))
    return parse_request(cls, given, path)


def class_named(name: str) -> type[Persistent]:
    """Return the class with a name; raise NotFound, with the near ones, if there is none."""
    try:
        return persistent_class(name)
    except BadRequest as error:
        raise NotFound(str(error)) from error
