"""The project context of the pages: kept in the address, handed on by every link to a page of this site."""

from typing import Any

from cachetools import TTLCache
from flask import Flask, current_app, has_request_context, request
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from awe.errors import AweError
from awe.model.access import visible
from awe.model.persistent import Persistent
from awe.services.operations import PROJECT, operation_of
from awe.services.sessions import session
from awe.services.visitors import shown_visitor

_SECONDS = 30.0


def shown_project() -> str:
    """Return the project context of this page; ALL where the address states none, or a wrong one."""
    try:
        return str(PROJECT.read(request.args.get("project")))
    except AweError:
        return str(PROJECT.default)


def in_project() -> dict[str, str]:
    """Return the parameter that hands on the project context; empty for all projects."""
    project = shown_project()
    return {} if project == PROJECT.default else {"project": project}


def keep_project(app: Flask) -> None:
    """Let the links between pages of `app` hand on the project context."""
    app.extensions["awe projects"] = TTLCache(64, ttl=_SECONDS)

    @app.url_defaults
    def _add(endpoint: str, values: dict[str, Any]) -> None:
        view = app.view_functions.get(endpoint)
        operation = operation_of(view) if view else None
        if operation is None or not has_request_context() or "text/html" not in operation.answers:
            return
        if shown_project() != PROJECT.default:
            values.setdefault("project", shown_project())


def known_projects() -> list[tuple[str, int]]:
    """Return the projects and how many objects each has, as the visitor may know; none if they can't be read."""
    kept: TTLCache[Any, list[tuple[str, int]]] = current_app.extensions["awe projects"]
    person = shown_visitor()
    if person not in kept:
        table: Any = Persistent.__table__.c
        query = select(table.project, func.count()).group_by(table.project).order_by(table.project)
        try:
            kept[person] = [(row[0], row[1]) for row in session().execute(visible(session(), query))]
        except (DBAPIError, AweError):  # the head of an error page must not fail
            return []
    return kept[person]
