"""The query page of a class: a form made from its declaration, and the query as address, prompt line and command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from awe.model.rows import Source
from awe.model.sky_search import is_placed
from awe.services.addresses import changed
from awe.services.column_conditions import OPERATORS
from awe.services.columns import Column
from awe.services.declared import summary_of
from awe.services.list_view import parse_list_request, usual_list_columns
from awe.services.objectview import find_object
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.tables import class_named
from awe.services.query_form import chosen_columns, form_parameters, parse_unfold, query_form, sky_condition, sortable
from awe.services.sessions import session
from awe.services.table_request import (
    BOX,
    OPEN_ENDED,
    OPERATOR,
    PARAMETERS,
    TableRequest,
    clean,
    command_line,
    parse_request,
    prompt_line,
    usual_columns,
)

query = Blueprint("query", __name__)

_OWN = (
    Parameter("unfold", "links whose attributes are shown, separated by commas", example="raw,raw.filter"),
    Parameter("open", "one more link to unfold", example="bias"),
    Parameter("close", "a link to fold", example="bias"),
    Parameter("near", "position on the sky to search around", example="10:10:24 -01:00:30"),
    Parameter("within", "radius of the search, or width x height", example="5 arcmin"),
    Parameter("order", "columns whose order is kept, where they are chosen again", example="object_id,object"),
    Parameter("show", "rows: go to the table", choices=("rows",)),
)
_SHOW = Operation(
    "The form that a class can be queried by, and the query as address, prompt line and command.",
    (*PARAMETERS, *_OWN),
    ("text/html",),
    OPEN_ENDED,
    (Parameter("name", "class to query", example="ReducedFrame"),),
)
_LIST = Operation(
    "The form that the rows of a source list or associate list can be queried by, and the query as address, prompt "
    "line and command.",
    (*PARAMETERS, *_OWN),
    ("text/html",),
    OPEN_ENDED,
)
_NAMES = {p.name for p in _OWN}


@dataclass(frozen=True)
class _Asked:
    """What is queried: a class, or the rows of a list."""

    cls: Any
    title: str
    path: str
    usual: tuple[Column, ...]
    parse: Callable[[dict[str, str]], TableRequest]


@query.get("/query/<name>")
@describe(_SHOW)
def show(name: str) -> Response:
    """Show the form of a class."""
    cls: Any = class_named(name)
    path = f"/table/{cls.__name__}"
    asked = _Asked(
        cls, cls.__name__, f"/query/{cls.__name__}", usual_columns(cls), lambda given: parse_request(cls, given, path)
    )
    return _page(asked)


@query.get("/object/<number:object_id>/query")
@describe(_LIST)
def of_list(object_id: int) -> Response:
    """Show the form of the rows of a list."""
    thing: Any = find_object(session(), object_id)
    cls = parse_list_request(thing, {}).cls
    what = "sources" if cls is Source else "associates"
    title = f"{what} of {type(thing).__name__} {object_id}"
    asked = _Asked(
        cls,
        title,
        f"/object/{object_id}/query",
        usual_list_columns(cls),
        lambda given: parse_list_request(thing, given),
    )
    return _page(asked)


def _page(asked: _Asked) -> Response:
    cls, given = asked.cls, request.args.to_dict()
    if "column" in request.args:
        given["columns"] = chosen_columns(asked.usual, request.args.getlist("column"), given.pop("order", ""))
        del given["column"]
    own = {p.name: p.read(given.get(p.name)) for p in _OWN}
    unfolded = parse_unfold(cls, given)
    wanted = {n: v for n, v in clean(given).items() if n not in _NAMES}
    region = sky_condition(cls, own["near"] or "", own["within"] or "")
    if region:
        wanted["where"] = f"({wanted['where']}) and {region}" if wanted.get("where") else region
    rows = asked.parse(wanted)
    if own["show"]:
        return redirect(rows.address())
    kept = form_parameters(clean(given) | wanted, unfolded)
    if asked.path != request.path or kept != request.args.to_dict():
        return redirect(changed(asked.path, kept))
    page = render_template(
        "query.html",
        q=rows,
        title=asked.title,
        action=asked.path,
        doc=summary_of(cls),
        form=query_form(rows, unfolded),
        sortable=sortable(rows),
        unfolded=",".join(unfolded),
        operators=OPERATORS,
        placed=is_placed(cls),
        box=BOX,
        op=OPERATOR,
        lines=[
            ("Address", request.host_url.rstrip("/") + rows.address()),
            ("Prompt", prompt_line(rows)),
            ("Command", command_line(rows)),
        ],
    )
    response = make_response(page)
    response.headers["Cache-Control"] = "no-cache"
    return response
