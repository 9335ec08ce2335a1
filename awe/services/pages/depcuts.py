"""Dependency cutouts: a source in every product that its image was made from."""

import csv
import io
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, current_app, redirect, request
from markupsafe import Markup
from sqlalchemy import select

from awe.errors import BadRequest, NotFound
from awe.model.rendering import Rendering
from awe.services import links
from awe.services.addresses import changed
from awe.services.cutout import VERSION
from awe.services.cutout_request import CutoutRequest
from awe.services.depcut_files import DELAY, MEDIA_TYPES, bundle, film
from awe.services.depcut_matrix import Block, Cell, offered_classes, usual_classes
from awe.services.depcut_runs import CLASSES, LOOK, SELECTIONS, DepcutRun, Matrix, load_matrix
from awe.services.journal import Journal
from awe.services.light_curve import COLUMNS, light_curve, points_of
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.cutouts import FRAME, frame
from awe.services.parts import parts
from awe.services.renderings import earlier, record, seen_by
from awe.services.series import associates
from awe.services.series_view import ENLARGED, magnification
from awe.services.sessions import session
from awe.services.stored_frames import stored_frames
from awe.services.visitors import visitor

depcuts = Blueprint("depcuts", __name__)

ROWS = 6
THUMBNAIL = 112
RUNS = 60
PAGE = Parameter("page", "page of the list", "integer", default=1, low=1, high=1_000_000)
PER_PAGE = Parameter("rows", "sources or associates on a page", "integer", default=ROWS, low=1, high=100)
KIND = Parameter("kind", "what is looked at", choices=tuple(SELECTIONS), example="sources")
_ALL_SELECTIONS = tuple({p.name: p for several in SELECTIONS.values() for p in several}.values())
START = Operation(
    "Where dependency cutouts begin: sources, associates, or a place on a frame, and the products to show"
)
TO = Operation(
    "Leads to dependency cutouts; for forms",
    (
        Parameter("slid", "number of the source list", "integer", low=1, high=2**31 - 1),
        Parameter("alid", "number of the associate list", "integer", low=1, high=2**31 - 1),
        Parameter("frame", "number of the frame", "integer", low=1, high=2**31 - 1),
        *_ALL_SELECTIONS,
        Parameter("class", "a product that is shown, once for each", example="ReducedFrame"),
        *LOOK,
    ),
    ("text/html",),
)
SHOW = Operation(
    "Sources, associates or a place on a frame, in every product that the images were made from",
    (*_ALL_SELECTIONS, CLASSES, *LOOK, PAGE, PER_PAGE),
    path=(KIND,),
)
ONE = Operation(
    "One source or place in all products: a film (gif, or png: an animated PNG) or one FITS file with an HDU for each",
    (*_ALL_SELECTIONS, CLASSES, *LOOK, DELAY),
    tuple(MEDIA_TYPES.values()),
    path=(KIND, Parameter("form", "kind of file", choices=tuple(MEDIA_TYPES), example="gif")),
)
CURVE = Operation(
    "The measurements of associates by date",
    (*SELECTIONS["associates"],),
    ("text/csv", "application/json"),
)
_WORD = re.compile(r"[A-Z][a-z0-9]*")
_FIELDS = {"sources": "slid", "associates": "alid", "at": "frame"}


@dataclass(frozen=True)
class Shown:
    """A cell as the page shows it."""

    cell: Cell
    picture: str
    enlarged: str
    object: str
    words: str


depcuts.add_url_rule("/depcuts/cell/<number:object_id>.<form>", "cell", describe(FRAME)(frame))


@depcuts.get("/depcuts")
@depcuts.get("/depcuts.json", endpoint="start_json")
@describe(START)
def start() -> Response:
    """Show the forms that ask for dependency cutouts."""
    START.read(request.args)
    offered = offered_classes()
    shown = {"classes": offered, "usual": usual_classes(offered), "parameters": LOOK}
    return answer("depcuts.html", lambda: {"classes": offered, "usual": shown["usual"]}, **shown)


@depcuts.get("/depcuts/<any(sources,associates,at):kind>")
@describe(TO)
def to(kind: str) -> Response:
    """Go to the page that a form asks for."""
    read = TO.read(request.args)
    number = read[_FIELDS[kind]]
    if number is None:
        raise BadRequest(f"{_FIELDS[kind]} is missing: give the number of the {'frame' if kind == 'at' else 'list'}")
    wanted = {p.name for p in (*SELECTIONS[kind], *LOOK)}
    given = {name: value for name, value in request.args.items() if name in wanted and value.strip()}
    picked = request.args.getlist("class")
    if picked and set(picked) != set(usual_classes(offered_classes())):
        given["classes"] = ",".join(picked)
    return redirect(DepcutRun.of(kind, number, given).address)  # type: ignore[return-value]


@depcuts.get("/depcuts/<any(sources,associates,at):kind>/<number:number>")
@depcuts.get("/depcuts/<any(sources,associates,at):kind>/<number:number>.json", endpoint="json")
@describe(SHOW)
def show(kind: str, number: int) -> Response:
    """Show the matrix of sources and products."""
    journal = Journal()
    page, rows = (p.read(request.args.get(p.name)) for p in (PAGE, PER_PAGE))
    run = _run(kind, number, (PAGE, PER_PAGE))
    with journal.step("database", "sources, their lineage and the places in it"):
        matrix = load_matrix(session(), parts(current_app).store, run, rows, (page - 1) * rows)
    _record(matrix)
    pages = max(1, -(-matrix.total // rows))

    def as_json() -> dict[str, Any]:
        paging = {"total": matrix.total, "page": page, "pages": pages, "steps": journal.as_json()}
        found = [_block_json(matrix, block) for block in matrix.blocks]
        return {"address": run.address, "classes": matrix.columns, **paging, "sources": found}

    groups = [(aid, list(found)) for aid, found in groupby(matrix.blocks, key=lambda b: b.member.aid)]
    curves = {aid: _curve(matrix, found) for aid, found in groups if aid is not None}
    given = {"run": run, "matrix": matrix, "groups": groups, "curves": curves, "journal": journal}
    paging = {"page_number": page, "pages": pages, "given": request.args.to_dict()}
    looks: dict[str, Any] = {"parameters": LOOK, "texts": run.request.texts(), "number_name": _FIELDS[kind]}
    looks |= {"offered": offered_classes(), "ticked": _ticked(matrix), "breakable": _breakable}
    tools = {"shown": lambda cell: _shown(matrix, cell), "file": lambda block, form: _file(matrix, block, form)}
    return answer("depcuts_matrix.html", as_json, **looks, **given, **paging, **tools)


@depcuts.get("/depcuts/<any(sources,associates,at):kind>/<number:number>.<any(gif,png,fits):form>")
@describe(ONE)
def one(kind: str, number: int, form: str) -> Response:
    """Send a film or FITS file of one source in all products."""
    delay = DELAY.read(request.args.get("delay"))
    run, own = _run(kind, number, (DELAY,)), parts(current_app)
    matrix = load_matrix(session(), own.store, run, 2, 0)
    session().rollback()  # hold no transaction while pixels are computed
    if not matrix.blocks:
        raise NotFound(f"{run.title}: there is no such source")
    if matrix.total > 1:
        raise BadRequest(f"a {form} file is of one source: {matrix.total} were asked for, choose one by its number")
    cells = [cell for block in matrix.blocks for cell in block.cells(matrix.columns)]
    name = f"depcut-{_digest(matrix, cells, delay)}.{form}"
    response = Response(mimetype=MEDIA_TYPES[form])
    if form == "fits":
        made = own.workshop.get(name, lambda: bundle(own.store, matrix.blocks[0], cells, run.request))
        response.headers["Content-Disposition"] = f'attachment; filename="depcuts-{kind}-{number}.fits"'
    else:
        look = _magnified(run.request)
        made = own.workshop.get(name, lambda: film(own.store, cells, look, form, delay))
    response.set_data(made)
    response.headers["Cache-Control"] = "no-cache"  # what is made of an object can grow; its cutouts never change
    response.set_etag(name[7:31])
    return response.make_conditional(request)  # type: ignore[return-value]


@depcuts.get("/depcuts/associates/<number:number>/lightcurve.<any(csv,json):suffix>")
@describe(CURVE)
def curve(number: int, suffix: str) -> Response:
    """Send the measurements of associates."""
    members, _ = associates(session(), number, CURVE.read(request.args)["aids"] or "")
    frames = stored_frames(session(), {m.frame_id for m in members})
    rows = sorted((p.as_row() for p in points_of(members, frames)), key=lambda row: int(row["aid"]))
    if suffix == "json":
        return current_app.json.response(rows)  # type: ignore[return-value]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Response(buffer.getvalue(), mimetype="text/csv")


_RUNS = Operation("Earlier dependency cutouts, newest first", (PAGE,))


@depcuts.get("/depcuts/runs")
@depcuts.get("/depcuts/runs.json", endpoint="runs_json")
@describe(_RUNS)
def runs() -> Response:
    """Show what was looked at before."""
    page = _RUNS.read(request.args)["page"]
    found = seen_by(session(), earlier(session(), "depcuts", page, RUNS))

    def as_json() -> list[dict[str, Any]]:
        return [{"title": r.title, "address": r.address, "created": r.created.isoformat()} for r in found]

    return answer("depcuts_runs.html", as_json, found=found, page_number=page, full=len(found) == RUNS)


def _ticked(matrix: Matrix) -> set[str]:
    """Return the classes that the form of a page has marked: those that are shown, or all that would be."""
    return set(matrix.columns) if matrix.run.classes else set(usual_classes(offered_classes()))


def _breakable(name: str) -> Markup:
    """Return the name of a class that may be broken between its words."""
    return Markup("<wbr>").join(_WORD.findall(name))


def _run(kind: str, number: int, own: tuple[Parameter, ...]) -> DepcutRun:
    """Return the run of an address; `own`: parameters that do not belong to the run."""
    names = {p.name for p in own}
    given = {n: v for n, v in request.args.items() if n not in names}
    return DepcutRun.of(kind, number, given)


def _record(matrix: Matrix) -> None:
    """Enter a run among those made."""
    run = matrix.run
    if not matrix.blocks or session().scalar(select(Rendering.rendering_id).where(Rendering.address == run.address)):
        return
    objects = sorted({run.number, *(b.member.frame_id for b in matrix.blocks)})[:1000]
    made = Rendering(
        service="depcuts", address=run.address, title=run.title, objects=objects, files=matrix.total,
        creator=visitor().user, project="",
    )  # fmt: skip
    record(parts(current_app).writing, made)


def _shown(matrix: Matrix, cell: Cell) -> Shown:
    place, request_ = cell.place, matrix.run.request
    words = f"{place.label}, {cell.date_obs:%Y-%m-%d %H:%M:%S}"
    words += f", x={cell.x + 1:.1f} y={cell.y + 1:.1f}" if not cell.reason else f": {cell.reason}"
    address = links.at("dbview", f"/object/{place.object_id}")
    if cell.reason:
        return Shown(cell, "", "", address, words)
    small, large = (_cell_address(cell, request_, least) for least in (THUMBNAIL, ENLARGED))
    return Shown(cell, small, large, address, words)


def _cell_address(cell: Cell, wanted: CutoutRequest, least: int) -> str:
    query = {k: v for k, v in wanted.query().items() if k != "north"} | cell.query(wanted.north)
    if not wanted.extent.in_pixels:
        query |= {k: v for k, v in cell.query(True).items() if k == "axes"}
    if (zoom := magnification(wanted, least)) > 1:
        query["zoom"] = str(zoom)
    path = f"/{{}}/{cell.place.object_id}.png"
    there = links.at("cutouts", path.format("cutouts/frame")) or links.at("depcuts", path.format("depcuts/cell"))
    return changed(there, query)


def _file(matrix: Matrix, block: Block, form: str) -> str:
    """Return the address of a file of one block."""
    run, m = matrix.run, block.member
    rest = {name: value for name, value in run.parameters().items() if name not in ("sids", "aids")}
    if run.kind == "sources":
        rest["sids"] = m.sid
    elif run.kind == "associates":
        rest["aids"] = m.aid
    return changed(f"{run.path}.{form}", {}, **rest)


def _magnified(wanted: CutoutRequest) -> CutoutRequest:
    return replace(wanted, zoom=magnification(wanted, 240))


def _digest(matrix: Matrix, cells: list[Cell], delay: int) -> str:
    places = [(c.place.node, c.place.sha256, c.place.hdu, c.x, c.y, c.axes, c.inside) for c in cells]
    return sha256(repr((VERSION, matrix.run, places, delay)).encode()).hexdigest()[:40]


def _curve(matrix: Matrix, blocks: list[Block]) -> Markup:
    members = [block.member for block in blocks]
    return Markup(light_curve(points_of(members, matrix.frames), f"AID {members[0].aid}"))  # noqa: S704 - escaped there


def _block_json(matrix: Matrix, block: Block) -> dict[str, Any]:
    m = block.member
    sky = {"ra": m.ra, "dec": m.dec, "x": _fits(m.x), "y": _fits(m.y)}
    cells = []
    for cell in block.cells(matrix.columns):
        found = _shown(matrix, cell)
        of = {"class": cell.place.class_name, "object_id": cell.place.object_id, "exposure": cell.place.exposure}
        place = {"x": _fits(cell.x), "y": _fits(cell.y), "inside": cell.inside}
        cells.append({**of, **place, "picture": found.picture or None, "reason": cell.reason or None})
    return {"aid": m.aid, "slid": m.slid, "sid": m.sid, **sky, "frame": block.frame, "cells": cells}


def _fits(value: float | None) -> float | None:
    return None if value is None or value != value else round(value + 1, 3)  # noqa: PLR0124 - NaN
