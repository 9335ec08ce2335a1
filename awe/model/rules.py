"""Rules by which the inputs of a product are chosen."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.errors import MissingInput
from awe.model.lineage import Wanted, is_external
from awe.model.lookup import Lookup
from awe.model.night import night_bounds, night_of
from awe.model.timelines import Calibrations

MAXIMUM_RAWS = 40
"""More raw calibration frames than this do not make a master better, only slower."""


def follow(product: Any, path: str) -> Any:
    """Return what a dotted path of attributes leads to; None as soon as one is None."""
    for name in path.split("."):
        if product is None:
            return None
        product = getattr(product, name)
    return product


def _of(same: tuple[str, ...]) -> str:
    return " and ".join(("the chip", *(f"the {name}" for name in same)))


def _newest(same: tuple[str, ...]) -> str:
    return f"the newest valid one of {_of(same)}"


class OfMany:
    """A rule that chooses with a lookup, which answers for many products by one statement.

    A rule need not be one: with `choose(session, source, product)` alone it costs its statements for each product.
    """

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return what `product` would use now, as `Rule.choose` does."""
        raise NotImplementedError

    def choose(self, session: Session, source: type, product: Any) -> Any:
        """Return what `product` would use now, for this product alone."""
        return self.choose_with(Lookup(session), source, product)


@dataclass(frozen=True)
class Of:
    """The product of the source class that has the same objects in the named roles of its key.

    `Of("reduced")` for a `CosmicMap` asks for the map whose `reduced` is the product's `reduced`.
    `Of(raw="reduced.raw")` fills the key `raw` by following a path. It gives None where the path does,
    or where `only` names a class that the object in the role does not have, or where the object was made elsewhere,
    unless `external` says that it can be made of such a one too.
    """

    roles: tuple[str, ...]
    paths: tuple[tuple[str, str], ...]
    only: str
    external: bool

    def __init__(self, *roles: str, only: str = "", external: bool = False, **paths: str) -> None:
        object.__setattr__(self, "roles", roles)
        object.__setattr__(self, "paths", tuple(paths.items()))
        object.__setattr__(self, "only", only)
        object.__setattr__(self, "external", external)

    def __str__(self) -> str:
        of = [f"the same `{role}`" for role in self.roles] + [f"`{name}` = `{path}`" for name, path in self.paths]
        return f"the one of {' and '.join(of)}" + (f", if that is a {self.only}" if self.only else "")

    def choose(self, session: Session, source: type, product: Any) -> Any:
        """Return the wanted product, found or still to be made."""
        key = {role: getattr(product, role) for role in self.roles}
        key |= {name: follow(product, path) for name, path in self.paths}
        if any(value is None or (is_external(value) and not self.external) for value in key.values()):
            return None  # what was made elsewhere brings along what there is of it
        if self.only and any(type(value).__name__ != self.only for value in key.values()):
            return None
        return Wanted(source, key)


@dataclass(frozen=True)
class Through:
    """The very object that one of the inputs was made with: `Through("reduced.flat")`."""

    path: str

    def __str__(self) -> str:
        return f"`{self.path}`: the very one that was used there"

    def choose(self, session: Session, source: type, product: Any) -> Any:
        """Return what the path leads to."""
        return follow(product, self.path)


@dataclass(frozen=True)
class CalibrationFor(OfMany):
    """The newest valid calibration that covers the exposure in a role; one for its night if there is none."""

    role: str
    same: tuple[str, ...] = ()
    needed_as: str = ""
    """Name under which the instrument may require it; if it does not, having none is no error. Empty: required."""

    def __str__(self) -> str:
        none = f"; none if there are no raws and the instrument does not require `{self.needed_as}`"
        needed = none if self.needed_as else ""
        return f"{_newest(self.same)} that covers `{self.role}`, else one made for its night{needed}"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the calibration to use, or the one to make for the night."""
        exposure = follow(product, self.role)
        peers = lookup.peers(exposure)
        found = lookup.part(Calibrations).newest(source, exposure, self.same, exposure.date_obs, peers)
        if found is not None:
            return found
        start, end = night_bounds(exposure.night, exposure.instrument.telescope.longitude)
        key = {"chip": exposure.chip, **{name: getattr(exposure, name) for name in self.same}}
        optional = bool(self.needed_as) and self.needed_as not in exposure.instrument.required_calibrations
        return Wanted(source, key | {"valid_from": start, "valid_to": end}, optional)


def newest_valid(session: Session, source: Any, exposure: Any, same: tuple[str, ...] = ()) -> Any:
    """Return the valid calibration of class `source` that covers an exposure and was made last; None if none does."""
    return Lookup(session).part(Calibrations).newest(source, exposure, same, exposure.date_obs)


@dataclass(frozen=True)
class SameInterval(OfMany):
    """The calibration of another class for the same chip (and filter) that covers the middle of the interval."""

    same: tuple[str, ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        none = "; none if there is nothing to make it of" if self.optional else ""
        return f"{_newest(self.same)} that covers the middle of the interval, else one made for the interval{none}"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the newest valid one, or the one to make for the same interval."""
        middle = product.valid_from + (product.valid_to - product.valid_from) / 2
        found = lookup.part(Calibrations).newest(source, product, self.same, middle)
        if found is not None:
            return found
        key = {name: getattr(product, name) for name in ("chip", *self.same)}
        interval = {"valid_from": product.valid_from, "valid_to": product.valid_to}
        return Wanted(source, key | interval, self.optional)


@dataclass(frozen=True)
class NearestRaws:
    """The valid raw frames of the chip (and filter) of the night nearest to the validity interval.

    Nights are tried by distance from the middle of the interval, the earlier of two first; the nearest
    with `minimum` frames is taken, else the nearest with the most. How far to look is the instrument's
    `calibration_days`.
    """

    kind: str
    minimum: int = 3
    same: tuple[str, ...] = ()
    default_days: float = 7.0

    def __str__(self) -> str:
        return (
            f"all valid ones of {_of(self.same)} of the nearest night with at least {self.minimum}, within "
            f"`calibration_days.{self.kind}` of the instrument ({self.default_days:g} d); at most {MAXIMUM_RAWS}"
        )

    def choose(self, session: Session, source: Any, product: Any) -> list[Any]:
        """Return the raw frames in order of observation; empty if there are none in reach."""
        days = float(product.chip.instrument.calibration_days.get(self.kind, self.default_days))
        reach = timedelta(days=days)
        conditions = [source.is_valid > 0, source.chip_id == product.chip.object_id]
        conditions += [getattr(source, f"{name}_id") == getattr(product, name).object_id for name in self.same]
        conditions += [source.date_obs >= product.valid_from - reach, source.date_obs < product.valid_to + reach]
        counted = select(source.night, func.count(source.object_id), func.min(source.date_obs))
        nights = session.execute(counted.where(*conditions).group_by(source.night)).all()
        if not nights:
            return []
        night = self._nearest([(n, count) for n, count, _ in nights], product)
        query = select(source).where(*conditions, source.night == night).order_by(source.date_obs, source.object_id)
        return list(session.scalars(query.limit(MAXIMUM_RAWS)).unique())

    def why_none(self, session: Session, source: Any, product: Any) -> str:
        """Return the sentence that says which raw frames were looked for, and the nearest there are."""
        days = float(product.chip.instrument.calibration_days.get(self.kind, self.default_days))
        names = [product.chip.name, *(getattr(product, name).name for name in self.same)]
        wanted = f"no {source.__name__} of {', '.join(names)} within {days:g} d of {product.valid_from:%Y-%m-%dT%H:%M}"
        conditions = [source.chip_id == product.chip.object_id]
        conditions += [getattr(source, f"{name}_id") == getattr(product, name).object_id for name in self.same]
        any_time = select(source.date_obs, source.is_valid).where(*conditions).order_by(source.date_obs)
        rows = session.execute(any_time).all()
        if not rows:
            return f"{wanted}; there is none at any time: ingest some"
        nearest = min(rows, key=lambda row: abs(row.date_obs - product.valid_from))
        judged = "" if nearest.is_valid else ", which is flagged invalid"
        return f"{wanted}; nearest: {nearest.date_obs:%Y-%m-%dT%H:%M}{judged}"

    def _nearest(self, nights: list[tuple[date, int]], product: Any) -> date:
        middle = product.valid_from + (product.valid_to - product.valid_from) / 2
        own = night_of(middle, product.chip.instrument.telescope.longitude)

        def distance(entry: tuple[date, int]) -> tuple[int, date]:
            return abs((entry[0] - own).days), entry[0]

        enough = [n for n in nights if n[1] >= self.minimum]
        if enough:
            return min(enough, key=distance)[0]
        return min(nights, key=lambda n: (-n[1], *distance(n)))[0]


def require(product: Any, role: str, what: str) -> None:
    """Raise MissingInput if the list of inputs in a role is empty."""
    if not getattr(product, role):
        raise MissingInput(f"no {what}")
