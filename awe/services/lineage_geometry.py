"""How a position moves along the lineage: grids by their offset, the sky by astrometry, the detector pixel by pixel."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, separation
from awe.model.astrometric import AstrometricParameters
from awe.model.catalogue import SourceList
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.field_solution import GlobalAstrometry
from awe.model.frame import Frame
from awe.model.illumination import IlluminationCorrection
from awe.model.persistent import persistent_class
from awe.model.photometric import PhotometricParameters
from awe.model.photometric_solution import PhotometricSolution
from awe.model.raw import RawFrame, RawScienceFrame
from awe.model.science import ReducedFrame
from awe.services.lineage_graph import Edge, LineageGraph, load_graph
from awe.services.summaries import CHUNK

FloatArray = NDArray[np.float64]
Node = tuple[int, int | None]
"""An object, and the exposure (number of the reduced frame) through which it was reached."""
Row = Mapping[str, Any]

ROUND_TRIP = 0.1
"""Pixels by which a position that went to the sky and back may differ: more means that a distortion polynomial was
asked far outside of what it was fitted to."""
FAR = 1.5
"""Diagonals of an image beyond which a position is not looked for on it."""

_SOLUTIONS = (AstrometricParameters, PhotometricParameters)


@dataclass(frozen=True)
class Place:
    """A frame of a lineage, seen through one exposure."""

    object_id: int
    class_name: str
    label: str
    level: int
    """Steps from the object that was asked for, which has 0."""
    exposure: int | None
    """The reduced frame through which it was reached. The dithered exposures of a coadd share calibrations, and each
    sees the same place of the sky on another pixel of them: so a bias is there once for each exposure."""
    filename: str | None
    hdu: int
    sha256: str | None
    nx: int
    """Size of the image, 0 if it is not known."""
    ny: int
    exposed: tuple[int, int]
    """Columns and rows that a position can be inside of: of a raw frame, those exposed to the sky."""

    @property
    def node(self) -> Node:
        """What tells it from the other places of the lineage."""
        return self.object_id, self.exposure


@dataclass(frozen=True)
class Step:
    """From a product to one of its inputs."""

    start: Node
    to: Node
    shift: tuple[float, float] | None = (0.0, 0.0)
    """What is added to x and y; None: they go over the sky, `out` and then `back`."""
    out: Wcs | None = None
    back: Wcs | None = None
    diagonal: float = 0.0
    """Of the image that is reached over the sky, pixel."""

    def move(self, xy: FloatArray) -> FloatArray:
        """Return the positions [x or y, position] in the coordinates of the input; NaN where they are not known."""
        if self.shift is not None:
            shifted: FloatArray = xy + np.array(self.shift)[:, None]
            return shifted
        if self.out is None or self.back is None:
            return np.full_like(xy, np.nan)
        ra, dec = self.out.to_sky(*xy)
        found = np.stack(self.back.to_pixel(ra, dec))
        scale = self.back.scale / 3600.0
        lost = ~(separation(ra, dec, *self.back.to_sky(*found)) < ROUND_TRIP * scale)
        if self.diagonal:
            lost |= ~(np.hypot(*found) < FAR * self.diagonal)
        moved: FloatArray = np.where(lost, np.nan, found)
        return moved


@dataclass(frozen=True)
class Geometry:
    """A lineage with what places its pixels."""

    graph: LineageGraph
    frames: dict[int, Row]
    sections: dict[int, Section]
    """Exposed parts of the raw frames."""
    grids: dict[int, Row]
    """First column and row of regridded frames on their grid."""
    systems: dict[int, dict[str, Any]]
    """Coordinate systems of coadds, regridded frames and astrometric solutions."""

    def cls(self, object_id: int) -> type:
        """Return the class of an object."""
        return persistent_class(self.graph.objects[object_id].class_name)

    def origin(self, object_id: int) -> FloatArray:
        """Return where the pixels that count from the exposed part begin on the image, as [[x], [y]]."""
        section = self.sections.get(object_id)
        return np.array([[section.x0], [section.y0]] if section else [[0], [0]], np.float64)

    def has_pixels(self, object_id: int) -> bool:
        """Tell whether positions on an object mean something."""
        return object_id in self.frames or issubclass(self.cls(object_id), SourceList)

    def place(self, node: Node) -> Place | None:
        """Return what is at a node; None if it is no image."""
        row = self.frames.get(node[0])
        if row is None:
            return None
        summary, section = self.graph.objects[node[0]], self.sections.get(node[0])
        nx, ny = row["naxis1"] or 0, row["naxis2"] or 0
        file = {name: row[name] for name in ("filename", "hdu", "sha256")}
        exposed = section.shape[::-1] if section else (nx, ny)
        level = self.graph.levels[node[0]]
        return Place(node[0], summary.class_name, summary.label, level, node[1], **file, nx=nx, ny=ny, exposed=exposed)

    def system(self, object_id: int | None) -> Wcs | None:
        """Return the coordinate system of an object; None if it has none that can be used."""
        cards = self.systems.get(object_id) if object_id is not None else None
        return _wcs(tuple(sorted(cards.items()))) if cards else None

    def reduced_by(self, object_id: int) -> int | None:
        """Return the reduced frame that an object is, or was made of."""
        if issubclass(self.cls(object_id), ReducedFrame):
            return object_id
        return self.used(object_id, "reduced")

    def used(self, object_id: int, role: str) -> int | None:
        """Return what an object used in a role."""
        return next((e.source for e in self.graph.from_object(object_id) if e.role == role), None)

    def diagonal(self, object_id: int | None) -> float:
        """Return the diagonal of an image, 0 if its size is not known."""
        row = self.frames.get(object_id) if object_id is not None else None
        return float(np.hypot(row["naxis1"], row["naxis2"])) if row and row["naxis1"] and row["naxis2"] else 0.0


def load_geometry(session: Session, object_id: int) -> Geometry:
    """Return the lineage of an object with what places its pixels; some statements for each level, and six more."""
    graph = load_graph(session, object_id)
    ids: dict[type, list[int]] = {cls: [] for cls in (Frame, RawFrame, Coadd, RegriddedFrame, AstrometricParameters)}
    for number, summary in graph.objects.items():
        for cls, numbers in ids.items():
            if issubclass(persistent_class(summary.class_name), cls):
                numbers.append(number)
    stored = _rows(session, Frame, ids[Frame], ("filename", "hdu", "sha256", "naxis1", "naxis2"))
    raws = _rows(session, RawFrame, ids[RawFrame], ("data_section",))
    grids = _rows(session, RegriddedFrame, ids[RegriddedFrame], ("x0", "y0"))
    systems = _rows(session, Frame, ids[Coadd] + ids[RegriddedFrame], ("wcs",))
    systems |= _rows(session, AstrometricParameters, ids[AstrometricParameters], ("wcs",))
    return Geometry(
        graph,
        stored,
        {number: Section.parse(row["data_section"]) for number, row in raws.items()},
        grids,
        {number: row["wcs"] for number, row in systems.items() if row["wcs"]},
    )


def steps_through(geometry: Geometry, root: int) -> Iterator[Step]:
    """Yield the steps from the root to all places, each step after the one that leads to its start."""
    seen: set[Node] = {(root, None)}
    waiting: list[Node] = [(root, None)]
    while waiting:
        following: list[Node] = []
        for node in waiting:
            for edge in geometry.graph.from_object(node[0]):
                if edge.product != root and _binds_exposures(geometry, edge):
                    continue
                step = _step(geometry, node, edge)
                if step.to not in seen:
                    seen.add(step.to)
                    following.append(step.to)
                    yield step
        waiting = following


def _binds_exposures(geometry: Geometry, edge: Edge) -> bool:
    """Return whether an edge leads to what binds exposures together: no pixel of one leads to one of another.

    Such are global solutions, the stars of an illumination correction, and science exposures that a frame was
    corrected by: those of its fringes, and those of other chips.
    """
    product, source = geometry.cls(edge.product), geometry.cls(edge.source)
    if issubclass(source, GlobalAstrometry | PhotometricSolution) or issubclass(product, IlluminationCorrection):
        return True
    return issubclass(source, RawScienceFrame) and edge.role in ("raws", "aggressors")


def _step(geometry: Geometry, node: Node, edge: Edge) -> Step:
    product, source = geometry.cls(edge.product), geometry.cls(edge.source)
    if issubclass(product, Coadd):
        return _on_grid(geometry, node, edge.source)
    if issubclass(product, RegriddedFrame):
        solution = geometry.used(edge.product, "astrometry")
        return _over_sky(geometry, node, edge, geometry.system(edge.product), geometry.system(solution))
    if issubclass(product, _SOLUTIONS) and product is source:
        return _to_other_exposure(geometry, node, edge)
    exposure = geometry.reduced_by(edge.source) or node[1] or geometry.reduced_by(edge.product)
    return Step(node, (edge.source, exposure))


def _on_grid(geometry: Geometry, node: Node, regridded: int) -> Step:
    """Lead from a coadd to a frame on the same grid."""
    corner = geometry.grids.get(regridded, {})
    if corner.get("x0") is not None and corner.get("y0") is not None:
        return Step(node, (regridded, None), (-corner["x0"], -corner["y0"]))
    out, back = geometry.system(node[0]), geometry.system(regridded)
    return Step(node, (regridded, None), None, out, back, geometry.diagonal(regridded))


def _over_sky(geometry: Geometry, node: Node, edge: Edge, out: Wcs | None, back: Wcs | None) -> Step:
    exposure = geometry.reduced_by(edge.source) or geometry.reduced_by(edge.product)
    return Step(node, (edge.source, exposure), None, out, back, geometry.diagonal(exposure))


def _to_other_exposure(geometry: Geometry, node: Node, edge: Edge) -> Step:
    """Lead from the solution of an exposure to that of another one, which it was tied to."""
    out, back = (geometry.system(_solution(geometry, number)) for number in (edge.product, edge.source))
    return _over_sky(geometry, node, edge, out, back)


def _solution(geometry: Geometry, object_id: int) -> int | None:
    is_astrometry = issubclass(geometry.cls(object_id), AstrometricParameters)
    return object_id if is_astrometry else geometry.used(object_id, "astrometry")


def _rows(session: Session, cls: Any, ids: Iterable[int], names: tuple[str, ...]) -> dict[int, Row]:
    """Return columns of many objects of a class by number."""
    table: Table = cls.__table__
    wanted = list(ids)
    found: dict[int, Row] = {}
    for start in range(0, len(wanted), CHUNK):
        query = select(table.c.object_id, *(table.c[name] for name in names))
        rows = session.execute(query.where(table.c.object_id.in_(wanted[start : start + CHUNK])))
        found |= {row["object_id"]: dict(row) for row in rows.mappings()}
    return found


@lru_cache(maxsize=4096)
def _wcs(cards: tuple[tuple[str, Any], ...]) -> Wcs | None:
    try:
        return Wcs.from_header(dict(cards))
    except ValueError:  # the file is shown all the same; only its place on the sky is not known
        return None
