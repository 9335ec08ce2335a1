"""The value at the end of a path of links, as SQL: what objects are sorted by."""

from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import RelationshipProperty

from awe.errors import BadRequest
from awe.model.attributes import attribute, kinds_of


def value_at(cls: type, path: str) -> Any:
    """Return the SQL of the value at the end of a path of attributes; of a link at its end, the number."""
    first, _, rest = path.partition(".")
    column, link = _column(cls, first, rest)
    own = getattr(cls, inspect(cls).get_property_by_column(column).key)
    return own if not rest else _behind(link, own.__clause_element__(), rest)


def _column(cls: type, name: str, rest: str) -> tuple[Any, Any]:
    """Return the column of a value, or the foreign key of a link and the link."""
    found = attribute(cls, name).property
    if not isinstance(found, RelationshipProperty):
        if rest:
            raise BadRequest(f"{name} of {cls.__name__} is a value, not a link: there is no {rest[:60]!r} of it")
        return found.columns[0], None
    if found.uselist:
        raise BadRequest(f"{name} of {cls.__name__} leads to many: there is no single value to sort by")
    return found.local_remote_pairs[0][0], found


def _behind(link: Any, number: Any, path: str) -> Any:
    """Return the value at the end of a path from the object that a link leads to, by its number."""
    first, _, rest = path.partition(".")
    kind = kinds_of(link.mapper.class_).get(first)
    if kind is not None and rest:
        first, _, rest = rest.partition(".")
    column, further = _column(kind or link.mapper.class_, first, rest)
    table = column.table.alias()
    (key,) = table.primary_key
    value = table.c[column.key]
    wanted = value if not rest else _behind(further, value, rest)
    return select(wanted).select_from(table).where(key == number).scalar_subquery()
