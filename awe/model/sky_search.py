"""What lies within a cone or a box on the sky: sky cells choose candidates, spherical geometry in SQL decides.

Great circles are straight lines on the plane that touches the sphere at the centre of the region, so the overlap of
an image with a region is that of a polygon with a circle or a rectangle there. It is exact for images whose edges
are great circles between the corners of their footprint.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import cone_search, polygon_search
from sqlalchemy import ColumnElement, Select, and_, case, func, inspect, or_, select

from awe.model.frame import SKY_DEPTH, Frame, SkyCell
from awe.model.observation import GridTarget
from awe.model.sky import SOURCE_DEPTH

LARGEST_RADIUS = 20.0
"""Degrees."""
LARGEST_SIDE = 30.0
"""Degrees."""
_LEAST_COSINE = 0.05
"""Corners farther than 87 degrees from the centre have no place on its plane."""
_FINENESS = 8
"""Cells that a region is across, about."""
_LOOKED_UP = 0.15
"""Degrees: in regions of this reach, sources are looked up by their cells."""
Vector = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Cone:
    """A circle on the sky, in degrees."""

    ra: float
    dec: float
    radius: float

    @property
    def reach(self) -> float:
        """Largest distance from the centre, in degrees."""
        return self.radius


@dataclass(frozen=True)
class Box:
    """A rectangle on the plane that touches the sky at its centre, north up; width and height in degrees."""

    ra: float
    dec: float
    width: float
    height: float

    @property
    def half(self) -> tuple[float, float]:
        """Half width and half height on the plane."""
        return math.tan(math.radians(self.width / 2)), math.tan(math.radians(self.height / 2))

    @property
    def reach(self) -> float:
        """Largest distance from the centre, in degrees."""
        return math.degrees(math.atan(math.hypot(*self.half)))


Region = Cone | Box


def cell_ranges(region: Region, depth: int) -> list[tuple[int, int]]:
    """Return (first, last) of the HEALPix cells of a depth that a region touches; a few more may be among them."""
    coarse = _coarse_depth(region.reach, depth)
    if isinstance(region, Cone):
        radius = max(region.radius, 1e-6) * u.deg
        found = cone_search(Longitude(region.ra, u.deg), Latitude(region.dec, u.deg), radius, coarse, flat=True)
    else:
        ra, dec = np.array(_box_corners(region)).T
        found = polygon_search(Longitude(ra, u.deg), Latitude(dec, u.deg), coarse, flat=True)
    shift = 2 * (depth - coarse)
    cells = np.unique(found[0].astype(np.int64))
    breaks = np.flatnonzero(np.diff(cells) > 1) + 1
    return [(int(part[0]) << shift, (int(part[-1] + 1) << shift) - 1) for part in np.split(cells, breaks)]


def _coarse_depth(reach: float, depth: int) -> int:
    """Return the HEALPix order whose cells (58.6 degrees at order 0) are an eighth of a region across."""
    wanted = math.floor(math.log2(58.6 * _FINENESS / max(2 * reach, 1e-9)))
    return max(0, min(depth, wanted))


def _box_corners(box: Box) -> list[tuple[float, float]]:
    x, y = box.half
    centre, east, north = _axes(box)
    found = []
    for a, b in ((x, -y), (x, y), (-x, y), (-x, -y)):
        vx, vy, vz = (c + a * e + b * n for c, e, n in zip(centre, east, north, strict=True))
        found.append((math.degrees(math.atan2(vy, vx)) % 360, math.degrees(math.atan2(vz, math.hypot(vx, vy)))))
    return found


def _axes(region: Region) -> tuple[Vector, Vector, Vector]:
    """Return the directions of the centre, and of east and north there."""
    ra, dec = math.radians(region.ra), math.radians(region.dec)
    centre = (math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec))
    east = (-math.sin(ra), math.cos(ra), 0.0)
    return centre, east, (-math.sin(dec) * math.cos(ra), -math.sin(dec) * math.sin(ra), math.cos(dec))


def is_placed(cls: type) -> bool:
    """Return whether the objects of a class have a place on the sky."""
    return {"ra", "dec"} <= set(inspect(cls).columns.keys()) or _is_source(cls)


def _is_source(cls: type) -> bool:
    return "CELL" in inspect(cls).columns


def within(cls: type, region: Region) -> ColumnElement[bool]:
    """Return the condition that an object shares some of the sky with a region; of points, that it lies in it."""
    mapped: Any = cls
    if issubclass(cls, Frame):
        return _chosen(mapped.object_id, _frames_near(region), region)
    if issubclass(cls, GridTarget):
        return _chosen(mapped.object_id, _grids(), region)
    if _is_source(cls):
        return and_(_near_source(mapped.CELL, region), _point_in(mapped.RA, mapped.DEC, region))
    return _point_in(mapped.ra, mapped.dec, region)


def _in_cells(column: Any, region: Region, depth: int) -> ColumnElement[bool]:
    return or_(*(column.between(first, last) for first, last in cell_ranges(region, depth)))


def _near_source(column: Any, region: Region) -> ColumnElement[bool]:
    """Return the condition on the cells of sources.

    The span of all cells leads a database that knows no better to the index of list and cell. Of a larger region,
    most of a list would be looked up one by one, so there it is not given.
    """
    near = _in_cells(column, region, SOURCE_DEPTH)
    if region.reach > _LOOKED_UP:
        return near
    ranges = cell_ranges(region, SOURCE_DEPTH)
    return and_(column.between(ranges[0][0], ranges[-1][1]), near)


def _frames_near(region: Region) -> Select[Any]:
    """Return number and corners, as directions, of the frames that share sky cells with a region."""
    table: Any = Frame.__table__.c
    near = select(SkyCell.object_id).where(_in_cells(SkyCell.cell, region, SKY_DEPTH))
    corners = [_direction(*(table.footprint[(k, i)].as_float() for i in (0, 1))) for k in range(4)]
    return _with_corners(table.object_id, corners).where(table.object_id.in_(near))


def _grids() -> Select[Any]:
    """Return number and corners, as directions, of all grid targets: north is up on each."""
    table: Any = GridTarget.__table__.c
    ra, dec = func.radians(table.ra), func.radians(table.dec)
    half = table.pixel_scale * math.radians(1 / 3600) / 2
    x, y = table.naxis1 * half, table.naxis2 * half
    corners = []
    for a, b in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        inward, up = func.cos(dec) - b * y * func.sin(dec), func.sin(dec) + b * y * func.cos(dec)
        corners.append(
            (
                inward * func.cos(ra) - a * x * func.sin(ra),
                inward * func.sin(ra) + a * x * func.cos(ra),
                up,
            )
        )
    return _with_corners(table.object_id, corners)


def _direction(ra: Any, dec: Any) -> Vector:
    ra, dec = func.radians(ra), func.radians(dec)
    return func.cos(dec) * func.cos(ra), func.cos(dec) * func.sin(ra), func.sin(dec)


def _with_corners(number: Any, corners: Sequence[Vector]) -> Select[Any]:
    named = [part.label(f"{axis}{k}") for k, corner in enumerate(corners) for axis, part in zip("uvw", corner)]  # noqa: B905
    return select(number.label("number"), *named)


def _chosen(number: Any, candidates: Select[Any], region: Region) -> ColumnElement[bool]:
    """Return the condition that an object is one of the candidates whose polygon overlaps the region."""
    placed = candidates.cte("placed", nesting=True).prefix_with("MATERIALIZED")
    flat = _on_plane(placed, region).cte("flat", nesting=True).prefix_with("MATERIALIZED")
    points = [(flat.c[f"x{k}"], flat.c[f"y{k}"]) for k in range(4)]
    meets = _meets_circle(points, region) if isinstance(region, Cone) else _meets_rectangle(points, region)
    found: ColumnElement[bool] = number.in_(select(flat.c.number).where(meets).correlate(None))
    return found


def _on_plane(placed: Any, region: Region) -> Select[Any]:
    """Return number and corners, as x and y on the plane that touches the sky at the centre of the region."""
    centre, east, north = _axes(region)
    columns = []
    for k in range(4):
        corner = [placed.c[f"{axis}{k}"] for axis in "uvw"]
        columns += [
            _ratio(corner, east, centre).label(f"x{k}"),
            _ratio(corner, north, centre).label(f"y{k}"),
        ]
    return select(placed.c.number, *columns)


def _ratio(corner: Sequence[Any], axis: Vector, centre: Vector) -> Any:
    depth = _product(corner, centre)
    return case((depth > _LEAST_COSINE, _product(corner, axis) / depth))


def _product(a: Sequence[Any], b: Vector) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _edges(points: Sequence[tuple[Any, Any]]) -> list[tuple[tuple[Any, Any], tuple[Any, Any], Any]]:
    """Return, for each edge, its ends and twice the area of the triangle it makes with the origin."""
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return [(a, b, a[0] * b[1] - a[1] * b[0]) for a, b in pairs]


def _meets_circle(points: Sequence[tuple[Any, Any]], cone: Cone) -> ColumnElement[bool]:
    """Return whether the centre lies in the polygon, or an edge comes within the radius of it."""
    square = math.tan(math.radians(cone.radius)) ** 2
    edges = _edges(points)
    near = [x * x + y * y <= square for x, y in points]
    for (ax, ay), (bx, by), area in edges:
        ex, ey = bx - ax, by - ay
        foot = and_(ax * ex + ay * ey <= 0, bx * ex + by * ey >= 0)
        near.append(and_(foot, area * area <= square * (ex * ex + ey * ey)))
    areas = [area for _, _, area in edges]
    return or_(and_(*(a >= 0 for a in areas)), and_(*(a <= 0 for a in areas)), *near)


def _meets_rectangle(points: Sequence[tuple[Any, Any]], box: Box) -> ColumnElement[bool]:
    """Return whether no edge of polygon or rectangle parts the two (both are convex)."""
    width, height = box.half
    edges = _edges(points)
    whole = edges[0][2] + edges[1][2] + edges[2][2] + edges[3][2]
    turn = case((whole >= 0, 1.0), else_=-1.0)
    xs, ys = zip(*points, strict=True)
    conditions = [
        or_(*(x <= width for x in xs)),
        or_(*(x >= -width for x in xs)),
        or_(*(y <= height for y in ys)),
        or_(*(y >= -height for y in ys)),
    ]
    conditions += [
        func.abs(bx - ax) * height + func.abs(by - ay) * width + area * turn >= 0 for (ax, ay), (bx, by), area in edges
    ]
    return and_(*conditions)


def _point_in(ra: Any, dec: Any, region: Region) -> ColumnElement[bool]:
    if isinstance(region, Cone):
        return _near_point(ra, dec, region)
    centre, east, north = _axes(region)
    direction = _direction(ra, dec)
    depth, (width, height) = _product(direction, centre), region.half
    return and_(
        depth > _LEAST_COSINE,
        func.abs(_product(direction, east)) <= width * depth,
        func.abs(_product(direction, north)) <= height * depth,
    )


def _near_point(ra: Any, dec: Any, cone: Cone) -> ColumnElement[bool]:
    """Return whether the haversine of the distance is at most that of the radius: right for the smallest angles."""
    across = func.sin(func.radians(ra - cone.ra) / 2)
    along = func.sin(func.radians(dec - cone.dec) / 2)
    haversine = along * along + func.cos(func.radians(dec)) * math.cos(math.radians(cone.dec)) * across * across
    found: ColumnElement[bool] = haversine <= math.sin(math.radians(cone.radius) / 2) ** 2
    return found
