"""Tables: the objects of one class."""

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from awe.errors import BadRequest, NotFound
from awe.model.persistent import Persistent, persistent_class
from awe.services.addresses import changed
from awe.services.declared import field_named, has_subclasses, scalar_fields, summary_of
from awe.services.listing import BOX, ListingRequest, list_objects
from awe.services.negotiation import answer
from awe.services.sessions import session

tables = Blueprint("tables", __name__)


@tables.get("/table/<name>")
@tables.get("/table/<name>.json", endpoint="json")
def show(name: str) -> AnyResponse:
    """Show a page of the table of a class."""
    cls = _class(name)
    if cls.__name__ != name:
        suffix = ".json" if request.path.endswith(".json") else ""
        return redirect(changed(f"/table/{cls.__name__}{suffix}", request.args))
    return _table(cls)


def _table(cls: type[Persistent]) -> Response:
    given = request.args.to_dict()
    if "column" in request.args:
        given["columns"] = ",".join(request.args.getlist("column"))
        del given["column"]
    listing = list_objects(session(), ListingRequest.parse(cls, given))
    return answer(
        "table.html",
        listing.as_json,
        listing=listing,
        cls=cls,
        doc=summary_of(cls),
        given={n: v for n, v in given.items() if v},
        box=BOX,
        choices=scalar_fields(cls),
        with_class=has_subclasses(cls) and field_named(cls, "class_name") not in listing.request.fields,
    )


def _class(name: str) -> type[Persistent]:
    try:
        return persistent_class(name)
    except BadRequest as error:
        raise NotFound(str(error)) from error
