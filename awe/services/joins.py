"""The FROM of a table: its class, and by outer joins what the paths of its columns lead to."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from awe.errors import BadRequest
from awe.model.access import is_restricted, may_show
from awe.model.persistent import Persistent
from awe.services.columns import Column

MOST_JOINS = 50
"""SQLite joins 64 tables at most."""
Way = tuple[Any, ...]


class Joins:
    """Gives the SQL of columns, and notes the tables that have to be joined for it."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._aliases: dict[tuple[Way, str], Any] = {}
        self._steps: list[tuple[Any, ColumnElement[bool], bool]] = []
        self.positions: list[Any] = []
        """Order among the objects of links to many, along the way."""

    def element(self, column: Column) -> Any:
        """Return the SQL of a column; of a link, the number of what it leads to."""
        if column.kind == "list":
            return self._members(column.links, column.end).c.input_id
        if column.kind == "link":
            return self._at(column.links, column.end.local_remote_pairs[0][0], column.end.parent)
        return self._at(column.links, column.end.columns[0], column.end.parent)

    def join(self, statement: Select[Any], session: Session, outer: bool = True) -> Select[Any]:
        """Return the statement with all tables joined that its columns need, as far as the session may show them."""
        if len(self._steps) > MOST_JOINS:
            raise BadRequest(
                f"the columns need {len(self._steps)} further tables: at most {MOST_JOINS} are joined; choose fewer"
            )
        for alias, met, is_object in self._steps:
            hidden = is_object and is_restricted(session)
            condition = and_(met, may_show(session, _key(alias))) if hidden else met
            statement = statement.outerjoin(alias, condition) if outer else statement.join(alias, condition)
        return statement

    def _at(self, way: Way, column: Any, owner: Any) -> Any:
        if not way:
            attribute: InstrumentedAttribute[Any] = getattr(self._cls, owner.get_property_by_column(column).key)
            return attribute.__clause_element__() if hasattr(attribute, "__clause_element__") else attribute
        return self._alias(way, column.table).c[column.key]

    def _alias(self, way: Way, table: Any) -> Any:
        """Return the table as it is joined at the end of a way of links."""
        key = (way, table.name)
        if key not in self._aliases:
            *before, link = way
            alias = table.alias(f"t{len(self._aliases)}")
            self._aliases[key] = alias
            if link.secondary is not None:
                condition = self._members(tuple(before), link).c.input_id == _key(alias)
            else:
                condition = and_(*(self._met(tuple(before), link, a, b, alias) for a, b in link.local_remote_pairs))
            self._steps.append((alias, condition, issubclass(link.mapper.class_, Persistent)))
        return self._aliases[key]

    def _met(self, before: Way, link: Any, local: Any, remote: Any, alias: Any) -> ColumnElement[bool]:
        there = alias.c[remote.key] if remote.table.name == alias.element.name else _key(alias)
        met: ColumnElement[bool] = self._at(before, local, link.parent) == there
        return met

    def _members(self, way: Way, link: Any) -> Any:
        """Return the membership rows of a link to many, joined at the end of a way."""
        key = ((*way, link), link.secondary.name)
        if key not in self._aliases:
            own = link.local_remote_pairs[0][0]
            alias = link.secondary.alias(f"t{len(self._aliases)}")
            self._aliases[key] = alias
            self._steps.append((alias, self._at(way, own, link.parent) == alias.c.product_id, False))
            self.positions.append(alias.c.position)
        return self._aliases[key]


def _key(alias: Any) -> Any:
    (found,) = alias.primary_key
    return found


def values_of_many(session: Session, cls: Any, column: Column, numbers: list[int]) -> Select[Any]:
    """Return the statement that gives (number of the object, value) of a column through links to many, in order."""
    joins = Joins(cls)
    element = joins.element(column)
    statement = joins.join(select(cls.object_id, element).select_from(cls), session, outer=False)
    return statement.where(cls.object_id.in_(numbers)).order_by(cls.object_id, *joins.positions)
