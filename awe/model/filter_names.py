"""What a dotted name in a filter leads to."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import RelationshipProperty

from awe.model.queries import Query


@dataclass(frozen=True)
class Named:
    """What a dotted name leads to: the links on the way, and the column or link at the end."""

    links: tuple[Any, ...]
    end: Any

    @property
    def is_link(self) -> bool:
        """Whether a link stands at the end."""
        return isinstance(self.end.property, RelationshipProperty)

    def where(self, condition: Any) -> ColumnElement[bool]:
        """Return the condition, seen from the class the name starts at."""
        found = plain(condition)
        for link in reversed(self.links):
            found = plain(link.any(found) if link.property.uselist else link.has(found))
        return found

    def below(self, name: str) -> "Named":
        """Return the attribute `name` of what the link at the end leads to."""
        return Named((*self.links, self.end), getattr(self.end.property.mapper.class_, name))


def plain(condition: Any) -> ColumnElement[bool]:
    """Return the SQL of a condition, which may be a query."""
    found: ColumnElement[bool] = condition.__clause_element__() if isinstance(condition, Query) else condition
    return found
