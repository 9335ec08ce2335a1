"""What a command works with: settings, database, files; each opened when it is first needed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.config import Settings, load_settings
from awe.database import open_checked
from awe.errors import NotFound
from awe.model.persistent import Persistent, persistent_class
from awe.model.queries import connect_queries

if TYPE_CHECKING:
    from awe.store import Store


@dataclass
class Workplace:
    """Settings, database and store of one command."""

    settings: Settings
    quiet: bool = False

    @cached_property
    def engine(self) -> Engine:
        """The database, whose schema has been checked."""
        return open_checked(self.settings.database)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session to read with; queries use it as well."""
        with Session(self.engine) as session, session.no_autoflush:
            connect_queries(lambda: session, self.settings.user, self.settings.project)
            yield session

    @contextmanager
    def connected(self) -> Iterator[tuple[Settings, "Store"]]:
        """Yield settings with the address of a data server that runs, and its store."""
        from awe.processing.engine import data_server  # what only looks into the database starts without files
        from awe.processing.worker import open_store

        self.settings.home.mkdir(parents=True, exist_ok=True)
        with data_server(self.settings) as settings:
            yield settings, open_store(settings)

    def say(self, text: str = "") -> None:
        """Print a line on standard error, unless the user wants quiet: remarks must not disturb a pipe."""
        if not self.quiet:
            click.echo(text, err=True)


def works(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its workplace as the first argument."""

    @click.pass_context
    @wraps(function)
    def command(context: click.Context, *args: Any, **kwargs: Any) -> Any:
        shared = context.find_root().obj or {"given": {}, "quiet": False}
        return function(Workplace(load_settings(**shared["given"]), shared["quiet"]), *args, **kwargs)

    return command


def with_workers(place: Workplace, workers: int | None) -> Workplace:
    """Return the same workplace with another number of workers, if one is given."""
    return Workplace(replace(place.settings, workers=workers), place.quiet) if workers else place


def object_with(session: Session, number: int) -> Any:
    """Return the object with a number, as its own class."""
    found = session.get(Persistent, number)
    if found is None:
        raise NotFound(f"no object {number}: `awe find CLASS` lists those there are")
    return session.get(persistent_class(found.class_name), number)
