"""The rows of source lists and associate lists: a page at a time, or all of them as a file."""

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from awe.services.addresses import changed
from awe.services.declared import summary_of
from awe.services.export import MEDIA_TYPES
from awe.services.list_view import CUTOUTS, parse_list_request, view_list
from awe.services.negotiation import wants_json
from awe.services.objectview import find_object
from awe.services.operations import Operation, Parameter, describe
from awe.services.sessions import session
from awe.services.streaming import as_file
from awe.services.table_request import OPEN_ENDED, PARAMETERS, clean

sources = Blueprint("sources", __name__)

_PAGE = Operation(
    "The rows of a source list or associate list, a page at a time.", (*PARAMETERS, CUTOUTS), open_ended=OPEN_ENDED
)
_FILE = Operation(
    "All rows of a source list or associate list that a condition selects, as a file; as JSON with `size`, `after` or "
    "`before`, a page.",
    PARAMETERS,
    tuple(MEDIA_TYPES.values()),
    OPEN_ENDED,
    (Parameter("form", "format of the file", choices=tuple(MEDIA_TYPES)),),
)


@sources.get("/object/<number:object_id>/sources")
@describe(_PAGE)
def show(object_id: int) -> Response:
    """Show a page of the rows of a list."""
    given = request.args.to_dict()
    if "column" in request.args:
        given["columns"] = ",".join(request.args.getlist("column"))
        del given["column"]
    if clean(given) != request.args.to_dict():
        return redirect(changed(request.path, clean(given)))
    thing = find_object(session(), object_id)
    wanted = parse_list_request(thing, given)
    if wants_json():
        return as_file(wanted, "json", summary_of(wanted.cls))
    response = make_response(render_template("sources.html", **view_list(session(), thing, wanted)))
    response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-cache"
    return response


@sources.get("/object/<number:object_id>/sources.<any(html,json,csv,vot,fits):form>")
@describe(_FILE)
def file(object_id: int, form: str) -> Response:
    """Send all rows of a list."""
    thing = find_object(session(), object_id)
    return as_file(parse_list_request(thing, request.args.to_dict()), form, str(thing))
