"""What covers exposures, and which exposure of a target was the first; asked for many exposures at once."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select

from awe.model.frame import SkyCell
from awe.model.lookup import Lookup, chunks
from awe.model.reference import ReferenceCatalogue


class Coverage:
    """Finds the reference catalogues with stars in the sky cells of an exposure."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._catalogues: list[Any] | None = None
        self._covering: dict[int, set[int]] = {}

    def catalogues(self, raw: Any) -> list[Any]:
        """Return the valid catalogues with stars in the sky cells of an exposure, the newest first."""
        if self._catalogues is None:
            query = select(ReferenceCatalogue).where(ReferenceCatalogue.is_valid > 0)
            newest = query.order_by(ReferenceCatalogue.creation_date.desc(), ReferenceCatalogue.object_id.desc())
            self._catalogues = list(self._lookup.session.scalars(newest))
        if raw.object_id not in self._covering:
            self._read([peer.object_id for peer in self._lookup.peers(raw) if peer.object_id not in self._covering])
        covering = self._covering[raw.object_id]
        return [catalogue for catalogue in self._catalogues if catalogue.object_id in covering]

    def _read(self, numbers: list[int]) -> None:
        assert self._catalogues is not None
        cells = self._cells(SkyCell.object_id, numbers)
        starry = self._cells(SkyCell.cell, {cell for _, cell in cells}, [c.object_id for c in self._catalogues])
        catalogues: dict[int, set[int]] = {}
        for number, cell in starry:
            catalogues.setdefault(cell, set()).add(number)
        self._covering |= {number: set() for number in numbers}
        for number, cell in cells:
            self._covering[number] |= catalogues.get(cell, set())

    def _cells(self, column: Any, values: Iterable[int], only: list[int] | None = None) -> list[tuple[int, int]]:
        """Return (object, cell) of all cells with some values in a column; `only` of some objects."""
        query = select(SkyCell.object_id, SkyCell.cell)
        query = query if only is None else query.where(SkyCell.object_id.in_(only))
        rows = (self._lookup.session.execute(query.where(column.in_(part))) for part in chunks(values))
        return [(number, cell) for found in rows for number, cell in found]


class FirstExposures:
    """Finds the first valid exposure with the chip of another one, of the same target or night."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._first: dict[Any, int | None] = {}

    def first(self, kind: Any, raw: Any, of: str, same: tuple[str, ...]) -> Any:
        """Return the first valid exposure of class `kind` like another one; None if there is none.

        Alike are those that agree in the chip, the attribute `of` (`object` or `night`) and what `same` links to.
        """
        names = ("chip_id", of, *(f"{name}_id" for name in same))
        if (kind, *_values(raw, names)) not in self._first:
            self._read(kind, names, [_values(peer, names) for peer in self._lookup.peers(raw)])
        number = self._first[(kind, *_values(raw, names))]
        return None if number is None else self._lookup.read(kind, [number])[number]

    def _read(self, kind: Any, names: tuple[str, ...], asked: list[tuple[Any, ...]]) -> None:
        self._first |= {(kind, *values): None for values in asked if (kind, *values) not in self._first}
        columns = [getattr(kind, name) for name in names]
        earlier = func.row_number().over(partition_by=columns, order_by=(kind.date_obs, kind.object_id)).label("place")
        query = select(kind.object_id.label("number"), *columns, earlier).where(kind.is_valid > 0)
        chips = {values[0] for values in asked}
        found: list[Any] = []
        for part in chunks({values[1] for values in asked}):
            ranked = query.where(columns[0].in_(chips), columns[1].in_(part)).subquery()
            found += self._lookup.session.execute(select(ranked).where(ranked.c.place == 1)).all()
        self._first |= {(kind, *values): number for number, *values, _ in found}
        self._lookup.read(kind, {number for number in self._first.values() if number is not None})


def _values(raw: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(raw, name) for name in names)
