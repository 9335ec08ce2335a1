"""Matching of lists of positions: nearest neighbours, and patterns whose place, scale and orientation are unknown."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from awe.kernels.pattern_search import candidates
from awe.kernels.shift_search import BEYOND_DOUBT, log_chance, shifts

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LIST_LENGTHS = (20, 40, 80)
"""Numbers of brightest sources tried in turn: few are fast, many forgive lists that differ in depth."""
SIGNIFICANT = -3.0
"""A match is believed if the logarithm (base 10) of its probability to be chance is below this."""


@dataclass(frozen=True, eq=False)
class Affine:
    """A linear map of the plane: (x, y) -> matrix (x, y) + offset."""

    matrix: Array
    offset: Array

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Return the image of the points x, y."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        (a, b), (c, d) = self.matrix
        return a * x + b * y + self.offset[0], c * x + d * y + self.offset[1]

    @property
    def inverse(self) -> "Affine":
        """The map back."""
        matrix = np.linalg.inv(self.matrix)
        return Affine(matrix, -matrix @ self.offset)

    @property
    def scale(self) -> float:
        """Mean magnification: square root of the ratio of areas."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))

    @property
    def flipped(self) -> bool:
        """True if it changes the sense of rotation."""
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def rotation(self) -> float:
        """Angle (deg) of the image of the y axis, from the y axis towards +x (east of north if x is xi)."""
        return math.degrees(math.atan2(self.matrix[0, 1], self.matrix[1, 1]))


@dataclass(frozen=True, eq=False)
class Pattern:
    """Two lists recognised as the same field."""

    affine: Affine
    """From the first list to the second."""
    first: Indices
    """Rows of the first list that were matched ..."""
    second: Indices
    """... and their counterparts in the second."""
    rms: float
    """Root mean square of the residuals per coordinate, in units of the second list."""
    chance: float
    """Logarithm (base 10) of the expected number of matches as good as this between unrelated lists."""

    @property
    def count(self) -> int:
        """Number of matched pairs."""
        return len(self.first)


def match_positions(
    x1: ArrayLike, y1: ArrayLike, x2: ArrayLike, y2: ArrayLike, radius: float
) -> tuple[Indices, Indices]:
    """Pair the points of two lists that are each other's nearest, within a radius.

    Parameters
    ----------
    x1, y1, x2, y2 : arrays
        Coordinates in one unit; points with NaN match nothing.
    radius : float, same unit

    Returns
    -------
    i1, i2 : arrays of int
        Rows of the pairs, i1 ascending.
    """
    first, second = _points(x1, y1), _points(x2, y2)
    i1, i2, _ = _mutual(first, second, radius)
    return i1, i2


def match_sky(
    ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius_arcsec: float
) -> tuple[Indices, Indices, Array]:
    """Pair the sky positions (deg) of two lists that are each other's nearest, within a radius; poles and RA 0 too.

    Returns
    -------
    i1, i2 : arrays of int
        Rows of the pairs, i1 ascending.
    separation : array, arcsec
    """
    chord = 2 * math.sin(math.radians(radius_arcsec / 3600) / 2)
    i1, i2, distance = _mutual(_unit_vectors(ra1, dec1), _unit_vectors(ra2, dec2), chord)
    return i1, i2, np.degrees(2 * np.arcsin(np.clip(distance / 2, 0, 1))) * 3600


def fit_affine(x: Array, y: Array, u: Array, v: Array, kind: str = "affine") -> Affine:
    """Fit the map from (x, y) to (u, v) by least squares.

    Parameters
    ----------
    x, y, u, v : arrays of n
    kind : {"shift", "affine"}
        Shift needs one pair, affine three that aren't in line.
    """
    if kind == "shift":
        return Affine(np.eye(2), np.array([np.mean(u - x), np.mean(v - y)]))
    x0, y0 = x.mean(), y.mean()
    design = np.column_stack([x - x0, y - y0, np.ones(len(x))])
    solution, *_ = np.linalg.lstsq(design, np.column_stack([u, v]), rcond=None)
    matrix = solution[:2].T
    return Affine(matrix, solution[2] - matrix @ [x0, y0])


def match_shift(
    x: ArrayLike,
    y: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    max_shift: float,
    tolerance: float = 3.0,
    centre: tuple[float, float] = (0.0, 0.0),
) -> Pattern | None:
    """Find the shift that lays one list of positions on another of the same scale and orientation.

    Each pair of points votes for its difference; the shift with most votes within the tolerance wins. This works with
    few points in one of the lists (three standard stars), where nothing but a shift can be determined.

    Parameters
    ----------
    x, y, u, v : arrays, in one unit
        The lists; both may hold points that the other lacks.
    max_shift : float
        Largest shift looked for, round `centre`.
    tolerance : float
        How far apart the counterparts may lie.
    centre : pair of float
        Expected shift.

    Returns
    -------
    Pattern or None
        None if no shift stands out of the coincidences expected between unrelated lists.
    """
    points = _points(x, y), _points(u, v)
    rows = [np.flatnonzero(np.isfinite(each).all(axis=1)) for each in points]
    first, second = (each[own] for each, own in zip(points, rows, strict=True))
    found, votes = shifts(first, second, centre, max_shift, tolerance)
    best: Pattern | None = None
    for chance, _, *shift in found:
        if chance >= SIGNIFICANT or (best is not None and best.chance < BEYOND_DOUBT):
            break
        pattern = _settled(first, second, Affine(np.eye(2), np.array(shift)), tolerance, "shift", votes)
        if pattern is not None and (best is None or _better(pattern, best)):
            best = pattern
    if best is None or best.chance >= SIGNIFICANT:
        return None
    return replace(best, first=rows[0][best.first], second=rows[1][best.second])


def match_pattern(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    magnitude: ArrayLike,
    *,
    scale: tuple[float, float],
    max_offset: float,
    tolerance: float = 3.0,
    flip: bool | None = None,
    rotation: float | None = None,
    rotation_tolerance: float = 180.0,
    centre: tuple[float, float] | None = None,
) -> Pattern | None:
    """Find the map that lays a list of detections on a reference list: any shift, rotation, flip, a range of scales.

    Every pair of bright detections is laid on every pair of bright references of the right length; the map this
    defines is judged by the number of other detections that fall on a reference. The best are refined to affine maps,
    and the one that is least likely to be chance is returned, if it is credible at all.

    Parameters
    ----------
    x, y : arrays of n, pixel
    flux : array of n
        Only its order is used: the brightest 20, then 40, then 80 are tried.
    u, v : arrays of m, any unit
        References, `magnitude` their brightness; a list deeper or wider than the detections does no harm.
    scale : pair of float
        Least and greatest size of a pixel in the unit of u, v.
    max_offset : float, unit of u, v
        Greatest distance of the image of `centre` from (0, 0).
    tolerance : float, pixel
        Search radius; residuals of the final match are the smaller of this and thrice their own scatter.
    flip : bool, optional
        Whether the map changes the sense of rotation; None = try both.
    rotation, rotation_tolerance : float, deg
        Expected `Affine.rotation`, and how far off it may be.
    centre : pair of float, pixel
        Point expected near u = v = 0; by default the middle of the detections' extent.

    Returns
    -------
    Pattern or None
        None if nothing stands out of chance.
    """
    first, second = _points(x, y), _points(u, v)
    bright, reference = _order(-np.asarray(flux, np.float64), first), _order(np.asarray(magnitude, np.float64), second)
    if min(len(bright), len(reference)) < 4:
        return None
    middle = np.array(centre) if centre is not None else (np.nanmin(first, axis=0) + np.nanmax(first, axis=0)) / 2
    limits = np.array([scale[0], scale[1], max_offset, math.radians(rotation or 0.0), math.radians(rotation_tolerance)])
    if rotation is None:
        limits[4] = math.pi
    # lists the same depth per area: a reference list wider than the image needs more of its stars
    extent = np.ptp(first[bright], axis=0).prod() * (scale[0] * scale[1])
    width = max(float(np.ptp(second[reference], axis=0).prod()) / max(extent, 1e-300), 1.0)
    for length in LIST_LENGTHS:
        some = first[bright[:length]]
        others = second[reference[: min(int(length * min(width, 4.0)), 2 * LIST_LENGTHS[-1])]]
        best: Pattern | None = None
        for matrix, offset, trials in candidates(some, others, limits, middle, tolerance, flip):
            affine = Affine(matrix, offset)
            reach = tolerance * affine.scale
            pattern = _settled(first[bright[: 3 * length]], second[reference], affine, reach, "affine", trials)
            if pattern is not None and (best is None or _better(pattern, best)):
                best = pattern
        if best is not None and best.chance < SIGNIFICANT:
            return replace(best, first=bright[best.first], second=reference[best.second])
        if length >= len(bright) and length >= len(reference):
            break
    return None


def _better(one: Pattern, other: Pattern) -> bool:
    return (one.chance, one.rms) < (other.chance, other.rms)


def _points(x: ArrayLike, y: ArrayLike) -> Array:
    return np.column_stack([np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()])


def _unit_vectors(ra: ArrayLike, dec: ArrayLike) -> Array:
    alpha, delta = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.column_stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])


def _order(key: Array, points: Array) -> Indices:
    """Return the rows with finite coordinates, in ascending order of the key."""
    order = np.argsort(key, kind="stable")
    return order[np.isfinite(points[order]).all(axis=1) & np.isfinite(key[order])]


def _mutual(first: Array, second: Array, radius: float) -> tuple[Indices, Indices, Array]:
    rows1, rows2 = (np.flatnonzero(np.isfinite(points).all(axis=1)) for points in (first, second))
    if not rows1.size or not rows2.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    tree1, tree2 = cKDTree(first[rows1]), cKDTree(second[rows2])
    distance, there = tree2.query(first[rows1], distance_upper_bound=radius * (1 + 1e-12))
    found = np.flatnonzero(np.isfinite(distance))
    _, back = tree1.query(second[rows2][there[found]])
    found = found[back == found]
    return rows1[found], rows2[there[found]], distance[found]


def _settled(first: Array, second: Array, affine: Affine, reach: float, kind: str, trials: float) -> Pattern | None:
    """Refine a map by matching and fitting in turn, and judge the result."""
    least = 1 if kind == "shift" else 3
    radius = reach
    for step in range(8):
        u, v = affine.apply(first[:, 0], first[:, 1])
        i, j = match_positions(u, v, second[:, 0], second[:, 1], radius)
        if len(i) <= least:
            return None
        affine = fit_affine(*first[i].T, *second[j].T, kind)
        residuals = np.hypot(*(np.array(affine.apply(*first[i].T)) - second[j].T))
        if step >= 2:
            radius = min(reach, max(3 * 1.2 * float(np.median(residuals)), reach / 10))
    u, v = affine.apply(first[:, 0], first[:, 1])
    i, j = match_positions(u, v, second[:, 0], second[:, 1], radius)
    if len(i) <= least or not _plausible(affine):
        return None
    residuals = np.array(affine.apply(*first[i].T)) - second[j].T
    rms = math.sqrt(float(np.mean(residuals**2)) * len(i) / max(len(i) - least, 1))
    return Pattern(affine, i, j, rms, _chance(np.column_stack([u, v]), second, len(i) - least, radius, trials))


def _plausible(affine: Affine) -> bool:
    """Say whether the map nearly keeps shapes: chance fits to few stars don't."""
    large, small = np.linalg.svd(affine.matrix, compute_uv=False)
    return bool(large < 1.05 * small)


def _chance(mapped: Array, second: Array, count: int, radius: float, trials: float) -> float:
    """Return log10 of the number of maps, among those tried, expected to match this many stars by coincidence."""
    mapped, second = mapped[np.isfinite(mapped).all(axis=1)], second[np.isfinite(second).all(axis=1)]
    # both lists where they overlap: references outside the image, or detections off the catalogue, can't match
    low = np.maximum(mapped.min(axis=0), second.min(axis=0)) - 2 * radius
    high = np.minimum(mapped.max(axis=0), second.max(axis=0)) + 2 * radius
    sides = np.maximum(high - low, 2 * radius)
    here, there = (((points >= low) & (points <= high)).all(axis=1).sum() for points in (mapped, second))
    few, many = min(here, there), max(here, there)
    expected = max(few * min(many * math.pi * radius**2 / sides.prod(), 1.0), 1e-12)
    return float(log_chance(count, expected)) + math.log10(max(trials, 1))
