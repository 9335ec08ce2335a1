"""Lists of positions that people send: taken, listed for who sent them, and deleted."""

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from awe.errors import NotSignedIn
from awe.services.addresses import changed
from awe.services.bodies import read_body
from awe.services.cutout_request import PARAMETERS
from awe.services.cutout_runs import SELECTIONS, Run
from awe.services.negotiation import answer, wants_json
from awe.services.operations import UPLOAD, Body, Operation, Parameter, describe
from awe.services.parts import parts
from awe.services.position_lists import KEPT, delete_positions, keep_positions, lists_of, read_positions
from awe.services.sessions import session
from awe.services.visitors import check_form, visitor

sent_positions = Blueprint("sent_positions", __name__)

_LIST = Parameter("list", "a CSV file or VOTable with the columns ra and dec (deg)", "file", required=True)
_KEY = Parameter("key", "key of a list of positions", example="0123456789abcdef0123456789abcdef")
_SEND = Operation(
    "Takes a list of positions, and leads to the cutouts around them. A list is its sender's, who may delete it; one "
    f"that was sent by nobody who is known is forgotten after {KEPT.days} days",
    answers=("application/json",),
    body=Body((_LIST, *SELECTIONS["positions"], *PARAMETERS), (UPLOAD,), needs_token=False, done=201),
)
_DELETE = Operation(
    "Deletes a list of positions and the record of its cutouts; only who sent it may",
    answers=("application/json",),
    path=(_KEY,),
    body=Body(),
)
_LISTS = Operation("The lists of positions that you sent, newest first")


@sent_positions.post("/cutouts/positions")
@describe(_SEND)
def send() -> AnyResponse:
    """Take a list of positions, and go to its cutouts."""
    who = visitor()
    if who:  # only who is known has something to lose by the form of another site
        check_form()
    elif not parts(current_app).settings.open_reading:
        raise NotSignedIn("sign in, or send your token: this site is not open to everybody")
    file = read_body(_SEND)["list"]
    found = read_positions(file.read(), file.filename)
    run = Run.of("positions", "new", {n: v.strip() for n, v in request.form.items() if n != "form" and v.strip()})
    key = keep_positions(parts(current_app).writing, found, file.filename, who.user)
    address = changed(f"/cutouts/positions/{key}", {}, **run.chosen, **run.request.query())
    if wants_json():
        response = jsonify(address=address, key=key, positions=len(found))
        response.status_code, response.headers["Location"] = 201, address
        return response
    return redirect(address, 303)


@sent_positions.get("/cutouts/lists")
@sent_positions.get("/cutouts/lists.json", endpoint="json")
@describe(_LISTS)
def show() -> Response:
    """Show the lists of positions of this visitor."""
    _LISTS.read(request.args)
    found = lists_of(session(), visitor().user)

    def as_json() -> dict[str, Any]:
        lists = [
            {"key": one.key, "name": one.name, "positions": len(one.positions), "created": one.created.isoformat()}
            for one in found
        ]
        return {"lists": lists}

    return answer("sent_positions.html", as_json, found=found, days=KEPT.days)


@sent_positions.post("/cutouts/positions/<key>/delete")
@describe(_DELETE)
def delete(key: str) -> AnyResponse:
    """Delete a list of positions."""
    who = visitor()
    if who:
        check_form()
    read_body(_DELETE)
    delete_positions(parts(current_app).writing, key, who)
    return jsonify(deleted=key) if wants_json() else redirect(url_for("sent_positions.show"), 303)
