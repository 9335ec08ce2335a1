"""Series of cutouts: pages of thumbnails, what was made as a directory, archives, positions that people send."""

import json
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from flask import Blueprint, Response, current_app, redirect, request
from sqlalchemy import select

from awe.errors import BadRequest, NotFound
from awe.model.access import is_restricted
from awe.model.persistent import utc_now
from awe.model.rendering import Rendering
from awe.services.addresses import changed
from awe.services.cutout_archive import (
    Chosen,
    Line,
    archive_files,
    check_size,
    directory,
    manifest,
    manifest_csv,
    manifest_rows,
    parse_chosen,
)
from awe.services.cutout_request import MEDIA_TYPES, PARAMETERS
from awe.services.cutout_runs import SELECTIONS, Page, Run, load
from awe.services.journal import Journal
from awe.services.negotiation import answer
from awe.services.operations import Operation, Parameter, describe
from awe.services.parts import parts
from awe.services.renderings import earlier, record, seen_by
from awe.services.series_view import cutout_address, thumbnails
from awe.services.sessions import reading_session, session
from awe.services.visitors import visitor
from awe.services.zip_stream import zip_stream

cutout_series = Blueprint("cutout_series", __name__)


def _forms(text: str) -> list[str]:
    found = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if not set(found) <= set(MEDIA_TYPES):
        raise ValueError(text)
    return found


ROWS = 60
LARGEST_PAGE = 500
RUNS = 60
PAGE = Parameter("page", "page of the list", "integer", default=1, low=1, high=1_000_000)
PER_PAGE = Parameter("rows", "cutouts on a page", "integer", default=ROWS, low=1, high=LARGEST_PAGE)
FORMS = Parameter("form", "kinds of files, separated by commas", default="png", example="png,fits", parse=_forms)
SHOW = Parameter("show", "which files are listed and marked", choices=("png", "jpg", "zip", "fits", "all", "clear"))
KIND = Parameter("kind", "what the series is of", choices=tuple(SELECTIONS), example="sources")
WHICH = Parameter("which", "number of the list, or key of the positions", example="97")
_SELECTIONS = tuple(p for several in SELECTIONS.values() for p in several)
_LISTED = (*SELECTIONS["sources"], *SELECTIONS["associates"], *PARAMETERS)
PARTS = ("page", "rows", "form")


@cutout_series.get("/cutouts/<any(sources,associates,positions):kind>/<which>")
@cutout_series.get("/cutouts/<any(sources,associates,positions):kind>/<which>.json", endpoint="json")
@describe(
    Operation(
        "Cutouts of a series: the sources of a source list, the members of associates, or positions that were sent",
        (*_SELECTIONS, *PARAMETERS, PAGE, PER_PAGE),
        path=(KIND, WHICH),
    )
)
def show(kind: str, which: str) -> Response:
    """Show a page of thumbnails."""
    run, page_number, rows = _asked(kind, which)
    journal = Journal()
    with journal.step("database", "rows, frames and their coordinate systems, each by one statement"):
        page = load(session(), parts(current_app).store, run, rows, (page_number - 1) * rows)
    pages = max(1, -(-page.total // rows))
    number = _recorded(page)
    with journal.step("places", "what lies on the images"):
        shown = thumbnails(page)

    def as_json() -> dict[str, Any]:
        files = [t.as_json() for t in shown]
        paging = {"total": page.total, "page": page_number, "pages": pages}
        return {"address": run.address, **paging, "steps": journal.as_json(), "cutouts": files}

    given = {"run": run, "page": page, "shown": shown, "number": number, "journal": journal}
    paging = {"page_number": page_number, "pages": pages, "rows": rows, "given": request.args.to_dict()}
    return answer("cutout_series.html", as_json, parameters=PARAMETERS, texts=run.request.texts(), **given, **paging)


@cutout_series.get("/cutouts/<any(sources,associates,positions):kind>/<which>.zip")
@describe(
    Operation(
        "All cutouts of a series as a ZIP archive, with a manifest",
        (*_SELECTIONS, *PARAMETERS, FORMS),
        ("application/zip",),
        path=(KIND, WHICH),
    )
)
def archive(kind: str, which: str) -> Response:
    """Send the archive of a run while it is made."""
    run, _, _ = _asked(kind, which)
    return _zipped(run, _asked_forms(), [])


@cutout_series.get("/cutouts/<any(sources,associates,positions):kind>/<which>/manifest.<any(csv,json):suffix>")
@describe(
    Operation(
        "What a series consists of: file, object, numbers, sky position, pixels of each cutout",
        (*_SELECTIONS, *PARAMETERS, FORMS),
        ("text/csv", "application/json"),
        path=(KIND, WHICH),
    )
)
def listing(kind: str, which: str, suffix: str) -> Response:
    """Send the manifest of a run."""
    run, _, _ = _asked(kind, which)
    store, forms = parts(current_app).store, _asked_forms()
    check_size(load(session(), store, run, 1, 0).total)
    page = load(session(), store, run, None, 0)
    if suffix == "json":
        return Response(json.dumps(manifest(page, forms), indent=1), mimetype="application/json")
    return Response(manifest_csv(manifest_rows(page, forms), run), mimetype="text/csv")


LISTS = {"sources": ("slid", "sids"), "associates": ("alid", "aids")}


@cutout_series.get("/cutouts/<any(sources,associates):kind>")
@describe(
    Operation(
        "Leads to the cutouts of a list; for forms",
        (
            Parameter("slid", "number of the source list", "integer", low=1, high=2**31 - 1),
            Parameter("alid", "number of the associate list", "integer", low=1, high=2**31 - 1),
            *_LISTED,
        ),
        ("text/html",),
    )
)
def of_list(kind: str) -> Response:
    """Go to the cutouts of the list that a form names."""
    number, chosen = LISTS[kind]
    read = of_list.__operation__.read(request.args)  # type: ignore[attr-defined]
    if read[number] is None:
        raise BadRequest(f"{number} is missing: give the number of the list")
    run = Run.of(kind, str(read[number]), {n: v for n, v in request.args.items() if n not in ("slid", "alid")})
    return redirect(changed(run.path, {}, **{chosen: run.chosen.get(chosen)}, **run.request.query()))  # type: ignore[return-value]


_RUNS = Operation("Earlier series of cutouts, newest first", (PAGE,))


@cutout_series.get("/cutouts/runs")
@cutout_series.get("/cutouts/runs.json", endpoint="runs_json")
@describe(_RUNS)
def runs() -> Response:
    """Show what was made before."""
    number = _RUNS.read(request.args)["page"]
    found = _seen(earlier(session(), "cutouts", number, RUNS))

    def as_json() -> list[dict[str, Any]]:
        return [
            {"run": r.rendering_id, "title": r.title, "address": r.address, "created": r.created.isoformat()}
            for r in found
        ]

    return answer("cutout_runs.html", as_json, found=found, page_number=number, full=len(found) == RUNS)


@cutout_series.get("/cutouts/directory/<number:number>")
@cutout_series.get("/cutouts/directory/<number:number>.json", endpoint="directory_json")
@describe(Operation("The files of a series of cutouts that was made before", (SHOW, PAGE, PER_PAGE)))
def files(number: int) -> Response:
    """Show the files of a run."""
    read = files.__operation__.read(request.args)  # type: ignore[attr-defined]
    run, recorded = _run(number)
    rows, first = read["rows"], (read["page"] - 1) * read["rows"]
    page = load(session(), parts(current_app).store, run, rows, first)
    shown = read["show"] or "png"
    lines = directory(
        page, first, MEDIA_TYPES if shown in ("all", "clear") else [shown] if shown in MEDIA_TYPES else []
    )
    pages = max(1, -(-page.total // rows))

    def as_json() -> dict[str, Any]:
        named = [{"file": line.name, "address": _address(page, line)} for line in lines]
        return {"run": number, "address": run.address, "page": read["page"], "pages": pages, "files": named}

    given = {"run": run, "recorded": recorded, "lines": lines, "show": shown, "shows": SHOW.choices}
    paging = {"page_number": read["page"], "pages": pages, "total": page.total, "given": request.args.to_dict()}
    address = {line.name: _address(page, line) for line in lines}
    return answer("cutout_directory.html", as_json, address=address, **given, **paging)


@cutout_series.get("/cutouts/directory/<number:number>.zip")
@describe(
    Operation(
        "The chosen files of a series as a ZIP archive",
        (
            SHOW,
            FORMS,
            Parameter("file", "a file, by its place in the series and its kind; may be repeated", example="17.png"),
        ),
        ("application/zip",),
    )
)
def chosen(number: int) -> Response:
    """Send an archive of the chosen files of a run."""
    chosen.__operation__.read(request.args)  # type: ignore[attr-defined]
    run, _ = _run(number)
    picked = parse_chosen(request.args.getlist("file"))
    return _zipped(run, _asked_forms(), picked)


def _asked(kind: str, which: str) -> tuple[Run, int, int]:
    """Return the run of an address, its page and the rows of a page."""
    given = {name: value for name, value in request.args.items() if name not in PARTS}
    run = Run.of(kind, which, given)
    number, rows = (p.read(request.args.get(p.name)) for p in (PAGE, PER_PAGE))
    return run, number, rows


def _run(number: int) -> tuple[Run, Rendering]:
    query = select(Rendering).where(Rendering.rendering_id == number, Rendering.service == "cutouts")
    found = _seen([r for r in [session().scalar(query)] if r])
    if not found:
        raise NotFound(f"no run {number} of cutouts; /cutouts/runs lists those there are")
    return Run.of_address(found[0].address), found[0]


def _seen(found: Sequence[Rendering]) -> list[Rendering]:
    """Return the runs that the visitor may see: positions that somebody sent are theirs."""
    allowed = seen_by(session(), found)
    if not is_restricted(session()):
        return allowed
    user = visitor().user
    return [r for r in allowed if not r.address.startswith("/cutouts/positions/") or (user and r.creator == user)]


def _recorded(page: Page) -> int | None:
    """Enter a run among those made, and return its number."""
    run = page.run
    known = select(Rendering.rendering_id).where(Rendering.address == run.address)
    found = session().scalar(known)
    if found is None and page.members:
        objects = sorted(page.frames)[:1000]
        made = Rendering(
            service="cutouts", address=run.address, title=run.title, objects=objects, files=page.total,
            creator=visitor().user, project="",
        )  # fmt: skip
        record(parts(current_app).writing, made)
        session().rollback()  # so that the new row is seen
        found = session().scalar(known)
    return found


def _address(page: Page, line: Line) -> str:
    return cutout_address(page, line.member, line.form)


def _asked_forms() -> list[str]:
    return _forms(str(FORMS.default)) if not request.args.get("form") else FORMS.read(request.args["form"])


def _zipped(run: Run, forms: list[str], picked: list[Chosen]) -> Response:
    own = parts(current_app)
    check_size(load(session(), own.store, run, 1, 0).total)
    session().rollback()
    reading, name = reading_session(), run.title.replace(" ", "-").replace(",", "").replace(":", "-")

    def stream() -> Generator[bytes, None, None]:
        with reading, own.workshop.bench():
            yield from zip_stream(archive_files(reading, own.store, run, forms, picked), utc_now())

    first = stream()
    start = next(first)  # what can't be done is answered as an error, not by an archive that breaks off

    def whole() -> Iterator[bytes]:
        yield start
        yield from first

    response = Response(whole(), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="cutouts-{name[:80]}.zip"'
    response.headers["Cache-Control"] = "no-store"
    response.call_on_close(first.close)
    return response
