"""What the pages of one application share: settings, database, files, pictures."""

from dataclasses import dataclass, field
from typing import cast

from flask import Flask
from sqlalchemy import Engine

from awe.config import Settings
from awe.services.attempts import Attempts
from awe.services.images import Images
from awe.services.workshop import Workshop
from awe.store import Store


@dataclass(frozen=True)
class Parts:
    """The long-lived objects behind the pages."""

    settings: Settings
    engine: Engine
    store: Store
    workshop: Workshop
    """Makes and keeps pictures and all else that is made on demand."""
    services: tuple[str, ...]
    """Names of the services that this application offers."""
    elsewhere: dict[str, str]
    """Addresses of services that run alone, by name."""
    writing: Engine
    """For the few pages that write: judgements, comments, and what was made on demand."""
    attempts: Attempts = field(default_factory=Attempts)
    """Failed attempts to sign in."""
    images: Images = field(init=False)
    """Finds frames."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", Images(self.store))


def parts(app: Flask) -> Parts:
    """Return the shared objects of an application."""
    return cast(Parts, app.extensions["awe"])
