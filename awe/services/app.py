"""The web application: pages over the database, pictures over the data servers."""

import os
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event

from awe import __version__
from awe.config import Settings
from awe.database import open_checked, open_engine
from awe.model.persistent import utc_now
from awe.services import formatting, wording
from awe.services.address_groups import OWNERS
from awe.services.addresses import changed
from awe.services.failures import answer_errors
from awe.services.groups import grouped_classes
from awe.services.links import at, page_of, picture, viewer
from awe.services.object_number import ObjectNumber
from awe.services.pages.entrance import entrance
from awe.services.parts import Parts
from awe.services.projects import in_project, keep_project, known_projects, shown_project
from awe.services.registry import COMMON, chosen_services, parse_addresses, services_menu
from awe.services.security import refuse_control_characters, refuse_foreign_writes, secure
from awe.services.sessions import close_sessions
from awe.services.value_lines import value_lines
from awe.services.visitors import form_token, keep_private, shown_visitor
from awe.services.workshop import Workshop
from awe.store import Store

PICTURE_SHARE = 0.2
"""Part of the cache that finished pictures may take."""
MEMORY = 256 << 20
"""Bytes of finished pictures that are held in memory."""
WAITING = 6
"""Requests that may wait for something to be made; the threads beyond serve the light pages."""


def create_app(
    settings: Settings, engine: Engine | None = None, store: Store | None = None, services: tuple[str, ...] = ()
) -> Flask:
    """Return the application with these services, by default all.

    It reads the database and the data servers; what little it writes goes through `Parts.writing`.
    `engine` and `store` are opened from the settings unless they are given.
    """
    chosen = chosen_services(services)
    app = Flask("awe.services")
    app.url_map.strict_slashes = False
    app.url_map.converters["number"] = ObjectNumber
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    cache_bytes = int(settings.cache_gigabytes * 1e9)
    makers = max(2, os.cpu_count() or 1)
    app.extensions["awe"] = Parts(
        settings=settings,
        engine=engine or _reading_engine(settings.database),
        store=store or Store(settings.data_server, settings.cache_folder, int(cache_bytes * (1 - PICTURE_SHARE))),
        workshop=Workshop(
            settings.cache_folder / "pictures", int(cache_bytes * PICTURE_SHARE), MEMORY, makers, WAITING
        ),
        services=tuple(service.name for service in chosen),
        elsewhere=parse_addresses(settings.service_addresses),
        writing=engine or open_engine(settings.database),
    )
    for blueprint in (*COMMON, *(b for service in chosen for b in service.blueprints)):
        app.register_blueprint(blueprint)
    if all(service.entry != "/" for service in chosen):
        app.register_blueprint(entrance(chosen[0].entry))
    app.extensions[OWNERS] = {blueprint.name: service.name for service in chosen for blueprint in service.blueprints}
    _teach_templates(app)
    keep_project(app)
    refuse_control_characters(app)
    refuse_foreign_writes(app)
    secure(app, app.extensions["awe"].elsewhere.values())
    keep_private(app)
    answer_errors(app)
    close_sessions(app)
    return app


def _reading_engine(address: str) -> Engine:
    """Return an engine whose connections can't write."""
    engine = open_checked(address)
    if engine.dialect.name != "sqlite":
        return engine.execution_options(postgresql_readonly=True)

    @event.listens_for(engine, "connect")
    def _forbid_writing(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    engine.dispose()  # the connections that checked the schema can write
    return engine


def _teach_templates(app: Flask) -> None:
    for name in ("shown", "tabular", "uncertainty", "bytes_shown", "unit_shown", "sexagesimal", "plural"):
        app.jinja_env.filters[name] = getattr(formatting, name)
    app.jinja_env.filters["with_code"] = wording.with_code
    app.jinja_env.filters["value_lines"] = value_lines
    app.jinja_env.filters["ago"] = lambda moment: formatting.ago(moment, utc_now())
    app.jinja_env.globals |= {"changed": changed, "version": __version__, "menu": grouped_classes}
    app.jinja_env.globals |= {
        "at": at,
        "page_of": page_of,
        "picture": picture,
        "viewer": viewer,
        "visitor": shown_visitor,
        "form_token": form_token,
    }
    app.jinja_env.globals |= {"project": shown_project, "in_project": in_project, "known_projects": known_projects}
    app.jinja_env.globals["services_menu"] = services_menu
    for words in (wording.machine_path, wording.flag_names, wording.branch_words):
        app.jinja_env.globals[words.__name__] = words
