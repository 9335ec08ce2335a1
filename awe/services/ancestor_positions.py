"""From a pixel of any product to the same place in everything it was made from, down to the raw frames."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.services.lineage_geometry import Geometry, Node, Place, Step, load_geometry, steps_through

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AncestorPosition:
    """Where a position lies on one frame."""

    place: Place
    x: float
    """Pixels, 0 is the centre of the first; NaN if nothing tells where the position lies on the frame."""
    y: float
    inside: bool
    """Whether it lies on the image; on raw frames, on the part that is exposed to the sky."""

    def as_json(self) -> dict[str, Any]:
        """Return the position as JSON holds it; x and y as FITS counts them: the first pixel is 1."""
        known = math.isfinite(self.x) and math.isfinite(self.y)
        return {
            "object_id": self.place.object_id,
            "class": self.place.class_name,
            "label": self.place.label,
            "level": self.place.level,
            "exposure": self.place.exposure,
            "x": round(self.x + 1, 3) if known else None,
            "y": round(self.y + 1, 3) if known else None,
            "inside": self.inside,
        }


@dataclass(frozen=True)
class Ancestry:
    """The frames of a lineage, and how a position moves between them; products never change, so it can be kept."""

    root: int
    places: tuple[Place, ...]
    geometry: Geometry = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)

    def at(self, x: float, y: float) -> list[AncestorPosition]:
        """Return where one position of the root lies on each place."""
        xs, ys, inside = self.positions([x], [y])
        found = zip(self.places, xs[:, 0], ys[:, 0], inside[:, 0], strict=True)
        return [AncestorPosition(place, float(a), float(b), bool(c)) for place, a, b, c in found]

    def positions(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Return x, y and whether they are inside, as arrays [place, position], for positions of the root."""
        start: Node = (self.root, None)
        given = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
        found = {start: given - self.geometry.origin(self.root)}
        for step in self.steps:
            found[step.to] = step.move(found[step.start])
        xy = np.stack([found[p.node] + self.geometry.origin(p.object_id) for p in self.places])
        low = np.stack([self.geometry.origin(p.object_id) for p in self.places]) - 0.5
        high = low + np.array([p.exposed for p in self.places], np.float64)[:, :, None]
        with np.errstate(invalid="ignore"):
            inside: NDArray[np.bool_] = np.all((low <= xy) & (xy < high), axis=1)
        return xy[:, 0], xy[:, 1], inside


def positions_in_ancestors(session: Session, object_id: int, x: float, y: float) -> list[AncestorPosition]:
    """Return where the pixel (x, y) of an object lies on it (first) and on every frame it was made from.

    `x`, `y`: pixels of the object, 0 is the centre of the first; of a SourceList, those of its frame. The result is
    ordered by level, then class and number; a calibration that several exposures share appears once for each of them
    (see `Place.exposure`). For many positions of one object call `load_ancestry(session, object_id)` once, then
    `Ancestry.at(x, y)` for each, or `Ancestry.positions(xs, ys)` for all. The number of SQL statements grows with the
    depth of the lineage, not with its size.

    Coadds lead to regridded frames by their place on the common grid, these to the detector by the astrometry that
    they were regridded with, and images of the detector to each other pixel by pixel; raw frames count from the corner
    of the file, their data section from where it begins. Raises NotFound if there is no such object, BadRequest for
    one that has no pixels, such as an AssociateList.
    """
    return load_ancestry(session, object_id).at(x, y)


def load_ancestry(session: Session, object_id: int) -> Ancestry:
    """Return the frames that an object was made from, ready to be asked for positions."""
    return ancestry_within(load_geometry(session, object_id), object_id)


def ancestry_within(geometry: Geometry, object_id: int) -> Ancestry:
    """Return the frames that an object of a lineage that was loaded was made from."""
    if not geometry.has_pixels(object_id):
        label = geometry.graph.objects[object_id].label
        raise BadRequest(f"{label} has no pixels; ask for a position on one of the frames it was made from")
    steps = tuple(steps_through(geometry, object_id))
    places = [geometry.place(node) for node in ((object_id, None), *(step.to for step in steps))]
    return Ancestry(object_id, tuple(sorted((p for p in places if p), key=_order)), geometry, steps)


def _order(place: Place) -> tuple[int, str, int, int]:
    return place.level, place.class_name, place.object_id, place.exposure or 0
