"""The names that can be queried on a class, and what a wrong one may have meant."""

import difflib
from typing import Any

from sqlalchemy import inspect

from awe.errors import BadRequest


def near_names(name: str, known: list[str]) -> str:
    """Return a half sentence with the names that are most like `name`, or all if none is."""
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    return f"near ones: {', '.join(near)}" if near else f"its attributes: {', '.join(sorted(known))}"


def attribute_names(cls: type) -> list[str]:
    """Return the names that can be queried on a class."""
    found: Any = inspect(cls).all_orm_descriptors.keys()
    return [str(n) for n in found if not str(n).startswith("_") and not str(n).endswith("_members")]


def kinds_of(cls: type) -> dict[str, type]:
    """Return the special kinds of a class that have attributes of their own, by name."""
    mapper: Any = inspect(cls)
    below = [m for m in mapper.self_and_descendants if m is not mapper]
    return {m.class_.__name__: m.class_ for m in below if m.local_table is not m.inherits.local_table}


def attribute(cls: type, name: str) -> Any:
    """Return the queryable attribute `name` of a class; a wrong name is answered by the near ones."""
    if name not in attribute_names(cls):
        raise BadRequest(f"{cls.__name__} has no attribute {name!r}; {near_names(name, attribute_names(cls))}")
    return getattr(cls, name)
