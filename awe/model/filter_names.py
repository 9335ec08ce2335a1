"""What a dotted name in a filter leads to."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import RelationshipProperty

from awe.model.queries import Query


@dataclass(frozen=True)
class Narrowed:
    """The step from objects of a class to those among them that are of a special kind."""

    cls: Any
    kind: Any

    def has(self, condition: Any) -> ColumnElement[bool]:
        """Return the condition that an object is of the kind, and fulfils what is asked of that."""
        found: ColumnElement[bool] = self.cls.object_id.in_(select(self.kind.object_id).where(condition))
        return found


@dataclass(frozen=True)
class Named:
    """What a dotted name leads to: the links on the way, and the column or link at the end."""

    links: tuple[Any, ...]
    end: Any

    @property
    def is_link(self) -> bool:
        """Whether a link stands at the end."""
        return isinstance(self.end, Narrowed) or isinstance(self.end.property, RelationshipProperty)

    @property
    def target(self) -> Any:
        """What the link at the end leads to."""
        return self.end.kind if isinstance(self.end, Narrowed) else self.end.property.mapper.class_

    def where(self, condition: Any) -> ColumnElement[bool]:
        """Return the condition, seen from the class the name starts at."""
        found = plain(condition)
        for link in reversed(self.links):
            leads_to_many = not isinstance(link, Narrowed) and link.property.uselist
            found = plain(link.any(found) if leads_to_many else link.has(found))
        return found

    def below(self, name: str) -> "Named":
        """Return the attribute `name` of what the link at the end leads to."""
        return Named((*self.links, self.end), getattr(self.target, name))


def plain(condition: Any) -> ColumnElement[bool]:
    """Return the SQL of a condition, which may be a query."""
    found: ColumnElement[bool] = condition.__clause_element__() if isinstance(condition, Query) else condition
    return found
