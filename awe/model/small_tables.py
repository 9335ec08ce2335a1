"""Tables that describe the cameras: so small that a session reads each of them once, whole.

Nearly every object links to a chip, a filter, a camera. To join these, and what they link to in turn, into each
statement costs more than all the rest of it; to look them up one by one costs a statement for each.
"""

from functools import cache
from typing import Any

from sqlalchemy import event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.attributes import set_committed_value

_HELD = "awe small tables"


def is_small(cls: type) -> bool:
    """Return whether the table of a class is one that is read whole."""
    return bool(getattr(cls, "__small__", False))


@cache
def _links(cls: Any) -> tuple[tuple[str, str], ...]:
    """Return (link, name of its column) for each link of a class to a small table."""
    relations: Any = inspect(cls).relationships
    return tuple((r.key, f"{r.key}_id") for r in relations if is_small(r.mapper.class_))


def find_small(thing: Any, session: Session) -> None:
    """Set the links of an object that was just loaded to objects of small tables, as far as these are known.

    An object that was loaded as one of a base class has not got the columns of its links: these stay as they are.
    """
    values, root = vars(thing), inspect(type(thing)).base_mapper.class_
    kind: Any = type(thing)
    for link, column in _links(kind):
        if link in values or column not in values:
            continue
        number = values[column]
        target = None if number is None else session.identity_map.get((root, (number,), None))
        if number is None or target is not None:
            set_committed_value(thing, link, target)


@cache
def _small_classes(root: Any) -> tuple[Any, ...]:
    found = [mapper.class_ for mapper in inspect(root).base_mapper.self_and_descendants if is_small(mapper.class_)]
    return tuple(sorted(found, key=lambda cls: cls.__definition__))


def _is_known(session: Session) -> bool:
    """Return whether the tables were read, and their objects neither left the session nor expired since."""
    held = session.info.get(_HELD)
    return held is not None and (not held or (held[0] in session and not inspect(held[0]).expired))


@event.listens_for(Session, "do_orm_execute")
def _read_first(state: ORMExecuteState) -> None:
    """Read the small tables before the first objects that link to them."""
    if not state.is_select or state.is_column_load or _is_known(state.session):
        return
    for described in getattr(state.statement, "column_descriptions", ()):
        cls = described["expr"]
        if isinstance(cls, type) and _links(cls):
            _read(state.session, cls)
            return


def _read(session: Session, root: Any) -> None:
    session.info[_HELD] = []
    held = [thing for cls in _small_classes(root) for thing in session.scalars(select(cls))]
    session.info[_HELD] = held  # the session itself holds its objects only as long as someone else does
