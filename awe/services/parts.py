"""What the pages of one application share: settings, database, files, pictures."""

from dataclasses import dataclass
from typing import cast

from flask import Flask
from sqlalchemy import Engine

from awe.config import Settings
from awe.services.picture_shelf import PictureShelf
from awe.store import Store


@dataclass(frozen=True)
class Parts:
    """The long-lived objects behind the pages."""

    settings: Settings
    engine: Engine
    store: Store
    pictures: PictureShelf


def parts(app: Flask) -> Parts:
    """Return the shared objects of an application."""
    return cast(Parts, app.extensions["awe"])
