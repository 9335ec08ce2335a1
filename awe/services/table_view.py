"""What the page of a table shows, and its page as JSON."""

from typing import Any

from sqlalchemy.orm import Session

from awe.services.counting import count_rows
from awe.services.declared import has_subclasses, scalar_fields, summary_of
from awe.services.export import MEDIA_TYPES
from awe.services.export_json import json_head, json_row
from awe.services.facets import Facets, count_facets
from awe.services.row_links import links_of
from awe.services.table_request import BOX, TableRequest, command_line, prompt_line
from awe.services.table_rows import Page, TableRows

SMALL = 5000
"""Rows up to which facets are counted without being asked for."""


def view_table(session: Session, request: TableRequest) -> dict[str, Any]:
    """Return what the template of a table of objects needs; a fixed number of statements."""
    page = TableRows(request).page(session)
    count = count_rows(session, request)
    wanted = request.facets or (count.is_exact and 1 < count.rows <= SMALL)
    facets = count_facets(session, request) if wanted else Facets([], [])
    cls: Any = request.cls
    return {
        "q": request,
        "page": page,
        "count": count,
        "facets": facets,
        "facets_offered": not wanted and count.rows > 1,
        "cls": cls,
        "doc": summary_of(cls),
        "box": BOX,
        "boxes": dict(request.boxes),
        "choices": scalar_fields(cls),
        "chosen": {c.path for c in request.columns},
        "with_class": has_subclasses(cls) and "class_name" not in {c.path for c in request.columns},
        "with_pictures": any(row.filename for row in page.rows),
        "row_links": {row.object_id: links_of(row) for row in page.rows},
        "forms": tuple(MEDIA_TYPES),
        "prompt_line": prompt_line(request),
        "command_line": command_line(request),
        **pager(request, page),
    }


def pager(request: TableRequest, page: Page) -> dict[str, Any]:
    """Return the addresses of the pages beside a page; empty where there is none."""
    start = request.address(after=None, before=None)
    return {
        "first": start if page.previous or (request.after and not page.rows) else "",
        "previous": request.address(before=page.previous, after=None) if page.previous else "",
        "next": request.address(after=page.next, before=None) if page.next else "",
        "last": request.address(before="end", after=None) if page.next else "",
    }


def page_json(session: Session, request: TableRequest) -> dict[str, Any]:
    """Return one page of a table as JSON holds it, with the addresses of its neighbours."""
    rows = TableRows(request)
    page = rows.page(session)
    count = count_rows(session, request)
    beside = pager(request, page)
    return json_head(request) | {
        "total": count.rows,
        "total_is": count.kind,
        "next": _machine(request, beside["next"]),
        "previous": _machine(request, beside["previous"]),
        "rows": [json_row(rows.columns, row, page.linked) for row in page.rows],
    }


def _machine(request: TableRequest, address: str) -> str | None:
    return address.replace(request.path, f"{request.path}.json", 1) if address else None
