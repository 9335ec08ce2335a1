"""Rules that choose by place on the sky: reference catalogues and reference exposures."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.model.frame import SkyCell
from awe.model.lineage import Wanted
from awe.model.lookup import Lookup
from awe.model.rules import OfMany, follow
from awe.model.sky_lookup import Coverage, FirstExposures


@dataclass(frozen=True)
class CatalogueFor(OfMany):
    """The newest valid catalogue with stars in the sky cells of a raw frame."""

    role: str
    photometric: bool = False

    def __str__(self) -> str:
        what = "with magnitudes in its band" if self.photometric else "good enough for astrometry"
        return f"the newest valid one with stars in the sky cells of `{self.role}`, {what}"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the catalogue; None if no catalogue covers the frame."""
        raw = follow(product, self.role)
        covering = lookup.part(Coverage).catalogues(raw)
        if self.photometric:
            return next((c for c in covering if raw.filter and raw.filter.band in c.bands), None)
        return next((c for c in covering if c.astrometric), None)


@dataclass(frozen=True)
class OfFirstExposure(OfMany):
    """The same kind of product of the first valid exposure of the target with this chip; None if it is that one.

    Frames without a reference catalogue are tied to it. `same` adds attributes that must agree, such as the
    filter; `standard` asks for the standard field of the night instead of the target.
    """

    role: str
    same: tuple[str, ...] = ()
    standard: bool = False
    unless: tuple[str, ...] = ()
    """Roles that make this input needless if there is something in one of them."""

    def __str__(self) -> str:
        of = " and ".join(("the same chip", *(f"the same {name}" for name in self.same)))
        spared = f", or if there is a {' or a '.join(self.unless)}" if self.unless else ""
        first = "standard exposure of the night" if self.standard else "exposure of the target"
        return f"that of the first valid {first} with {of} as `{self.role}`; none if it is that one{spared}"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the wanted product of the first exposure."""
        if any(getattr(product, name) is not None for name in self.unless):
            return None
        from awe.model.raw import RawScienceFrame, RawStandardFrame
        from awe.model.science import ReducedFrame

        raw = follow(product, self.role)
        kind: Any = RawStandardFrame if self.standard else RawScienceFrame
        if self.standard and isinstance(raw, RawStandardFrame):
            return None
        first = lookup.part(FirstExposures).first(kind, raw, "night" if self.standard else "object", self.same)
        if first is None or first.object_id == raw.object_id:
            return None
        return Wanted(source, {"reduced": Wanted(ReducedFrame, {"raw": first})})


@dataclass(frozen=True)
class FramesOnGrid:
    """The regridded frames of all valid science exposures of a grid target's object in the filter of the product.

    A grid target without object takes every exposure whose sky cells it shares.
    """

    def __str__(self) -> str:
        return "of all valid science exposures of the grid target's object, in the filter; without object, of all there"

    def choose(self, session: Session, source: Any, product: Any) -> list[Wanted]:
        """Return the wanted regridded frames, by time and chip."""
        from awe.model.science import ReducedFrame

        grid = product.grid_target
        return [
            Wanted(source, {"reduced": Wanted(ReducedFrame, {"raw": raw}), "grid_target": grid})
            for raw in exposures_on_grid(session, grid, product.filter)
        ]


def exposures_on_grid(session: Session, grid: Any, filter: Any) -> list[Any]:
    """Return the valid raw science frames of one filter that belong on a grid target."""
    from awe.kernels.wcs import Wcs
    from awe.model.raw import RawScienceFrame
    from awe.model.sky import cells_of

    query = select(RawScienceFrame).where(RawScienceFrame.is_valid > 0, RawScienceFrame.filter_id == filter.object_id)
    if grid.object:
        query = query.where(RawScienceFrame.object == grid.object)
    else:
        corners = Wcs.from_header(grid.wcs).footprint(grid.naxis1, grid.naxis2)
        sharing = select(SkyCell.object_id).where(SkyCell.cell.in_(cells_of(corners)))
        query = query.where(RawScienceFrame.object_id.in_(sharing))
    return list(session.scalars(query.order_by(RawScienceFrame.date_obs, RawScienceFrame.object_id)).unique())
