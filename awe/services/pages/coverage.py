"""Nights, runs, instruments, filters and grid targets: what was observed, and what was made of it."""

from dataclasses import replace
from datetime import date

from flask import Blueprint, Response, redirect, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from awe.errors import BadRequest, NotFound
from awe.model.access import visible_numbers
from awe.model.instrument import Instrument
from awe.services.coverage import night_matrix
from awe.services.coverage_index import index_of
from awe.services.coverage_scope import FRAME, SCOPES, Scope, everything, of_night
from awe.services.negotiation import answer
from awe.services.observed import exposures
from awe.services.operations import Operation, Parameter, describe
from awe.services.projects import in_project
from awe.services.sessions import session
from awe.services.sky_coverage import on_grid

coverage = Blueprint("coverage", __name__)


def _day(text: str) -> date:
    if len(text) != len("2026-01-27"):
        raise ValueError(text)
    return date.fromisoformat(text)


_BEFORE = Parameter("before", "night before which the list begins", example="2026-01-27", parse=_day)
_ALL = Operation("All nights: counts of each class, and what is missing.", (_BEFORE,))
_INDEX = Operation("The instruments, filters, runs or grid targets, and how much there is of each.")
_SCOPE = Operation("The nights of an instrument, filter, run or grid target.", (_BEFORE,))
_ANY_NIGHT = Operation("Goes to a night, of its only instrument; else to the list of nights.", answers=("text/html",))
_NIGHT = Operation("A night: what was observed, what was made of it, and what is missing.")


@coverage.get("/nights")
@coverage.get("/nights.json", endpoint="nights_json")
@describe(_ALL)
def nights() -> Response:
    """Show all nights by classes."""
    before = _ALL.read(request.args.to_dict())["before"]
    matrix = night_matrix(session(), _here(everything()), before)
    return answer("nights.html", matrix.as_json, matrix=matrix, before=before)


@coverage.get("/<any(instruments, filters, runs, grids):kinds>")
@coverage.get("/<any(instruments, filters, runs, grids):kinds>.json", endpoint="index_json")
@describe(_INDEX)
def index(kinds: str) -> Response:
    """Show all that there is of a kind."""
    _INDEX.read(request.args.to_dict())
    found = index_of(session(), kinds.removesuffix("s"), _project())
    return answer("coverage_index.html", lambda: [e.as_json() for e in found.entries], index=found)


@coverage.get("/<any(instrument, filter, run, grid):kind>/<path:name>")
@coverage.get("/<any(instrument, filter, run, grid):kind>/<path:name>.json", endpoint="scope_json")
@describe(_SCOPE)
def scope(kind: str, name: str) -> Response:
    """Show the nights of an instrument, filter, run or grid target."""
    before = _SCOPE.read(request.args.to_dict())["before"]
    found = _here(SCOPES[kind](session(), name))
    matrix = night_matrix(session(), found, before)
    observed = exposures(session(), found) if kind in ("run", "grid") else None
    grid = on_grid(session(), found) if kind == "grid" else None
    more = {"exposures": observed, "grid": grid}
    return answer(
        "scope.html",
        lambda: (
            matrix.as_json()
            | ({"exposures": [e.as_json() for e in observed.listed], "total": observed.total} if observed else {})
            | ({"filters": [f.as_json() for f in grid]} if grid is not None else {})
        ),
        scope=found,
        matrix=matrix,
        before=before,
        **more,
    )


@coverage.get("/night/<night>")
@describe(_ANY_NIGHT)
def any_night(night: str) -> AnyResponse:
    """Go to a night of which the instrument is not said."""
    _ANY_NIGHT.read(request.args)
    day = _read_day(night)
    query = select(Instrument.name).where(
        Instrument.object_id.in_(
            visible_numbers(session(), select(FRAME.instrument_id).where(FRAME.night == day), FRAME.object_id)
        )
    )
    names = list(session().scalars(query.order_by(Instrument.name)))
    if not names:
        raise NotFound(f"nothing was observed in the night {day}{_of_project()}: /nights lists those there are")
    if len(names) == 1:
        return redirect(url_for("coverage.night", instrument=names[0], night=day))
    return redirect(url_for("coverage.nights", before=date.fromordinal(day.toordinal() + 1)))


@coverage.get("/night/<instrument>/<night>")
@coverage.get("/night/<instrument>/<night>.json", endpoint="night_json")
@describe(_NIGHT)
def night(instrument: str, night: str) -> Response:
    """Show a night of an instrument."""
    _NIGHT.read(request.args.to_dict())
    day = _read_day(night)
    found = _here(of_night(session(), instrument, day))
    matrix = night_matrix(session(), found)
    if not matrix.rows:
        raise NotFound(
            f"nothing was observed with {instrument} in the night {day}{_of_project()}: /nights lists those there are"
        )
    observed = exposures(session(), found)
    return answer(
        "night.html",
        lambda: (
            matrix.rows[0].as_json() | {"exposures": [e.as_json() for e in observed.listed], "total": observed.total}
        ),
        scope=found,
        row=matrix.rows[0],
        matrix=matrix,
        exposures=observed,
        day=day,
        instrument=instrument,
    )


def _project() -> str:
    return in_project().get("project", "")


def _of_project() -> str:
    return f" of project {_project()}" if _project() else ""


def _here(scope: Scope) -> Scope:
    """Return a scope in the project context of this page."""
    return replace(scope, project=_project())


def _read_day(text: str) -> date:
    try:
        return _day(text)
    except ValueError as error:
        raise BadRequest(f"a night is a date such as 2026-01-27, got {text[:60]!r}") from error
