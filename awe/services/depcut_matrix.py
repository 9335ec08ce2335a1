"""Dependency cutouts: each source in every product that its image was made from, exposure by exposure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.cutout import Axes
from awe.kernels.wcs import Wcs, tangent_wcs
from awe.model.catalogue import AssociateList, SourceList
from awe.model.frame import Frame
from awe.model.lineage import inputs
from awe.model.persistent import persistent_class
from awe.model.raw import RawFrame
from awe.model.science import ReducedFrame
from awe.services.ancestor_positions import Ancestry
from awe.services.cutout import Spot, axes_of
from awe.services.groups import classes_in_order
from awe.services.lineage_geometry import Geometry, Place
from awe.services.series import Member
from awe.services.stored_frames import StoredFrame

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One place of the sky on one product."""

    place: Place
    date_obs: datetime
    x: float
    """Pixels, 0 is the centre of the first; NaN if nothing tells."""
    y: float
    inside: bool
    axes: Axes | None

    @property
    def reason(self) -> str:
        """Why there is nothing to show; empty: there is."""
        if self.place.filename is None:
            return "no file"
        return "" if self.inside else "beyond its edge" if np.isfinite(self.x) else "position not known"

    def spot(self, ra: float | None = None, dec: float | None = None) -> Spot:
        """Return what a cutout is made of; with the place on the sky, it gets a coordinate system."""
        p = self.place
        content = p.sha256 or p.filename or ""
        words = p.label.removeprefix(f"{p.class_name} {p.object_id}").strip()
        place = (p.filename or "", content, p.hdu, p.nx, p.ny, self.date_obs)
        frame = StoredFrame(p.object_id, p.class_name, *place, object=words)
        wcs = None if None in (ra, dec) or self.axes is None else local_wcs(self, ra, dec)  # type: ignore[arg-type]
        return Spot(frame, self.x, self.y, self.axes, None, wcs)

    def query(self, north: bool) -> dict[str, str]:
        """Return the place as parameters of the address of its cutout."""
        found = {"x": f"{self.x + 1:.3f}", "y": f"{self.y + 1:.3f}"}
        if north and self.axes is not None:
            a = self.axes
            found |= {"axes": ",".join(f"{v:.6g}" for v in (a.east_x, a.east_y, a.north_x, a.north_y)), "north": "1"}
        return found


@dataclass(frozen=True)
class Line:
    """The products of one exposure, or those that belong to none, by class."""

    exposure: int | None
    words: str
    date_obs: datetime | None
    cells: Mapping[str, tuple[Cell, ...]]


@dataclass(frozen=True)
class Block:
    """One source, and where it lies on all that its image was made from."""

    member: Member
    frame: str
    """Label of the image."""
    shared: Mapping[str, tuple[Cell, ...]]
    """Products that belong to no single exposure, such as the coadd; by class."""
    lines: tuple[Line, ...]

    @property
    def seen(self) -> tuple[Line, ...]:
        """The exposures that show the place."""
        return tuple(line for line in self.lines if _shows(line))

    @property
    def unseen(self) -> tuple[Line, ...]:
        """The other exposures, such as those of the other chips of a camera."""
        return tuple(line for line in self.lines if not _shows(line))

    def spans(self, name: str) -> bool:
        """Return whether all products of a class belong to no single exposure."""
        return name in self.shared and not any(name in line.cells for line in self.lines)

    def cells(self, classes: Iterable[str]) -> list[Cell]:
        """Return the cells of some classes: of each the shared ones, then by exposure."""
        groups = (self.shared, *(line.cells for line in self.lines))
        return [cell for name in classes for group in groups for cell in group.get(name, ())]


def _shows(line: Line) -> bool:
    """Return whether the place is on the exposure itself, not just within the empty border of its regridded frame."""
    every = [cell for cells in line.cells.values() for cell in cells]
    own = [cell for cell in every if cell.place.object_id == line.exposure]
    return any(cell.inside for cell in own or every)


def local_wcs(cell: Cell, ra: float, dec: float) -> Wcs:
    """Return the coordinate system of a product around the position: a plane that touches the sky there."""
    assert cell.axes is not None
    (ex, nx), (ey, ny) = cell.axes.offsets(1.0, 0.0), cell.axes.offsets(0.0, 1.0)
    return tangent_wcs(ra, dec, cell.x, cell.y, np.array([[ex, ey], [nx, ny]]) / 3600.0)


def blocks_of(ancestry: Ancestry, members: Sequence[Member], root_wcs: Wcs | None) -> list[Block]:
    """Return a block for each source of one list, or position on one frame, from its lineage; no statements.

    `root_wcs` tells how the image that the positions are on lies on the sky.
    """
    if not members:
        return []
    x, y = (np.array([getattr(m, name) if getattr(m, name) is not None else np.nan for m in members]) for name in "xy")
    xs, ys, inside = ancestry.positions(x, y)
    turned = _jacobians(ancestry, x, y)
    geometry = ancestry.geometry
    wanted = exposures_on_chain(geometry, ancestry.root)
    keys = [_key(geometry, place) for place in ancestry.places]
    rows = [i for i, key in enumerate(keys) if key is None or not wanted or key in wanted]
    found = []
    for j, member in enumerate(members):
        axes = axes_of(root_wcs, float(x[j]), float(y[j]))
        by_key: dict[int | None, dict[str, list[Cell]]] = {}
        for i in rows:
            place = ancestry.places[i]
            cell = Cell(
                place,
                geometry.graph.objects[place.object_id].date_obs or datetime.min,
                float(xs[i, j]),
                float(ys[i, j]),
                bool(inside[i, j]),
                _turned(axes, turned[i, j]),
            )
            by_key.setdefault(keys[i], {}).setdefault(place.class_name, []).append(cell)
        found.append(_block(geometry, ancestry.root, member, by_key))
    return found


def classes_of(blocks: Iterable[Block]) -> list[str]:
    """Return the classes that the products of some blocks have: those of the exposure first, then calibrations."""
    present = {
        name for block in blocks for group in (block.shared, *(line.cells for line in block.lines)) for name in group
    }
    return ordered(present)


def ordered(names: Iterable[str]) -> list[str]:
    """Return classes with the way from the raw frame to the coadd first, then the others, in processing order."""
    order = [cls.__name__ for cls in classes_in_order()]
    main = main_classes()
    return sorted(names, key=lambda name: (name not in main, order.index(name)))


def main_classes() -> set[str]:
    """Return the classes of frames on the way from a raw frame to a source list, as their declarations tell."""
    found: set[type] = set()
    waiting: list[Any] = [cls for cls in classes_in_order() if issubclass(cls, Frame) and _reaches_sky(cls)]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            waiting += [inputs(cls)[role].source for role in _chain_roles(cls)]
    return {cls.__name__ for cls in classes_in_order() if issubclass(cls, tuple(found))}


def usual_classes(names: Iterable[str]) -> list[str]:
    """Return the classes that are shown unless others are chosen: all but the raw frames of calibrations."""
    main = main_classes()
    return [n for n in ordered(names) if n in main or not issubclass(persistent_class(n), RawFrame)]


def offered_classes() -> list[str]:
    """Return all classes that can be among the products of a lineage: the frames, as the model declares them."""
    concrete = (cls for cls in classes_in_order() if issubclass(cls, Frame) and cls not in (Frame, RawFrame))
    return ordered(cls.__name__ for cls in concrete)


def exposures_on_chain(geometry: Geometry, root: int) -> set[int]:
    """Return the reduced frames that an object is made of, without those that only solutions refer to."""
    seen, waiting = {root}, [root]
    while waiting:
        here = waiting.pop()
        roles = _chain_roles(geometry.cls(here))
        ahead = [e.source for e in geometry.graph.from_object(here) if e.role in roles and e.source not in seen]
        seen.update(ahead)
        waiting += ahead
    return {i for i in seen if issubclass(geometry.cls(i), ReducedFrame)}


def _reaches_sky(cls: type) -> bool:
    """Return whether frames of a class are made of several exposures of the sky: where the way begins."""
    own = inputs(cls).values()
    return any(i.many and issubclass(i.source, Frame) and not issubclass(i.source, RawFrame) for i in own)


def _chain_roles(cls: Any) -> list[str]:
    """Return the roles of a class that lead to what its pixels were, rather than to what corrected them."""
    if not issubclass(cls, Frame | SourceList | AssociateList):
        return []
    declared = inputs(cls)
    return [
        role
        for role, d in declared.items()
        if issubclass(d.source, Frame | SourceList) and (d.many or role in getattr(cls, "__key__", ()))
    ]


def _key(geometry: Geometry, place: Place) -> int | None:
    """Return the exposure that a product is shown with."""
    return place.exposure or geometry.reduced_by(place.object_id)


def _block(
    geometry: Geometry, root: int, member: Member, by_key: Mapping[int | None, Mapping[str, list[Cell]]]
) -> Block:
    objects = geometry.graph.objects
    lines = []
    for key, cells in by_key.items():
        if key is not None:
            summary = objects[key]
            lines.append(Line(key, summary.words, summary.date_obs, {n: tuple(c) for n, c in cells.items()}))
    lines.sort(key=lambda line: (line.date_obs or datetime.min, line.exposure or 0))
    shared = {name: tuple(cells) for name, cells in by_key.get(None, {}).items()}
    frame = objects[member.frame_id].label if member.frame_id in objects else objects[root].label
    return Block(member, frame, shared, tuple(lines))


def _jacobians(ancestry: Ancestry, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return how each place moves with the root, [place, position, x or y, by x or by y], by central differences."""
    count = len(x)
    steps_x = np.concatenate([x + 0.5, x - 0.5, x, x])
    steps_y = np.concatenate([y, y, y + 0.5, y - 0.5])
    xs, ys, _ = ancestry.positions(steps_x, steps_y)
    both = np.stack([a.reshape(len(ancestry.places), 4, count) for a in (xs, ys)], axis=-1)
    return np.stack([both[:, 0] - both[:, 1], both[:, 2] - both[:, 3]], axis=-1)


def _turned(axes: Axes | None, jacobian: FloatArray) -> Axes | None:
    """Return the axes of a product from those of the root and how the one moves with the other."""
    if axes is None or not np.isfinite(jacobian).all():
        return None
    (east_x, north_x), (east_y, north_y) = jacobian @ np.array(
        [[axes.east_x, axes.north_x], [axes.east_y, axes.north_y]]
    )
    try:
        return Axes(float(east_x), float(east_y), float(north_x), float(north_y))
    except ValueError:  # the product does not resolve the sky there
        return None
