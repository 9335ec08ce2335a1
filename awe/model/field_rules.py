"""Rules of what binds all exposures of a target together, and of what is taken from it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from awe.model.lineage import Wanted, inputs
from awe.model.lookup import Lookup
from awe.model.rules import OfMany, follow
from awe.model.sky_lookup import Coverage


class Fields:
    """Knows the exposures of targets, and which targets have a solution of some class; each read once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._raws: dict[tuple[int, str, int | None], list[Any]] = {}
        self._solved: dict[type, set[tuple[Any, ...]]] = {}

    def raws(self, instrument: Any, target: str, filter: Any = None) -> list[Any]:
        """Return the valid science exposures of a target with an instrument (and a filter), by time and chip."""
        from awe.model.raw import RawScienceFrame

        key = instrument.object_id, target, None if filter is None else filter.object_id
        if key not in self._raws:
            query = select(RawScienceFrame).where(
                RawScienceFrame.is_valid > 0, RawScienceFrame.object == target, RawScienceFrame.instrument_id == key[0]
            )
            if filter is not None:
                query = query.where(RawScienceFrame.filter_id == key[2])
            ordered = query.order_by(RawScienceFrame.date_obs, RawScienceFrame.object_id)
            self._raws[key] = list(self._lookup.session.scalars(ordered).unique())
            self._lookup.know(self._raws[key])
        return self._raws[key]

    def has(self, source: Any, key: dict[str, Any]) -> bool:
        """Return whether there is a valid product with a key whose values are few: instruments, filters, names."""
        columns = [getattr(source, f"{n}_id" if hasattr(v, "object_id") else n) for n, v in key.items()]
        if source not in self._solved:
            rows = self._lookup.session.execute(select(*columns).where(source.is_valid > 0))
            self._solved[source] = {tuple(row) for row in rows}
        return tuple(getattr(v, "object_id", v) for v in key.values()) in self._solved[source]


def _of_raw(source: Any, raw: Any) -> Wanted:
    """Return a product of one exposure, by way of its reduced frame."""
    (role,) = source.__key__
    return Wanted(source, {role: raw if isinstance(raw, inputs(source)[role].source) else _of_raw(_reduced(), raw)})


def _reduced() -> Any:
    from awe.model.science import ReducedFrame

    return ReducedFrame


@dataclass(frozen=True)
class ExposuresOfField(OfMany):
    """The products of all valid science exposures of the target and instrument (and filter) of the product."""

    same: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " and ".join(("of all valid science exposures of the target and instrument", *self.same))

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the wanted products, by time and chip."""
        more = (getattr(product, name) for name in self.same)
        raws = lookup.part(Fields).raws(product.instrument, product.object, *more)
        return [_of_raw(source, raw) for raw in raws]


@dataclass(frozen=True)
class CatalogueForField(OfMany):
    """The newest valid catalogue with stars in the sky cells of one of the target's exposures."""

    photometric: bool = False

    def __str__(self) -> str:
        what = "with magnitudes in its band" if self.photometric else "good enough for astrometry"
        return f"the newest valid one, {what}, with stars in the sky cells of an exposure"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the catalogue; None if none covers the target."""
        covered = [
            lookup.part(Coverage).catalogues(raw)
            for raw in lookup.part(Fields).raws(product.instrument, product.object)
        ]
        found = {c.object_id: c for catalogues in covered for c in catalogues if self._suits(c, product)}
        return max(found.values(), key=lambda c: (c.creation_date, c.object_id), default=None)

    def _suits(self, catalogue: Any, product: Any) -> bool:
        return product.filter.band in catalogue.bands if self.photometric else bool(catalogue.astrometric)


@dataclass(frozen=True)
class OfField(OfMany):
    """The solution of all exposures of the target together; none if nobody asked for one, or it was judged invalid."""

    role: str
    same: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"of the target of `{self.role}`, if there is a valid one: then an up-to-date one"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the wanted solution, or None."""
        raw = follow(product, self.role)
        if raw is None or not raw.object:
            return None
        key = {name: getattr(raw, name) for name in ("instrument", "object", *self.same)}
        if any(value is None for value in key.values()) or not lookup.part(Fields).has(source, key):
            return None
        return Wanted(source, key, optional=True)
