"""Association of the same sources in several source lists, by position on the sky."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from awe.kernels.choices import Association
from awe.kernels.matching import match_sky

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Associates:
    """One row per source of every list; those with equal AID are the same object."""

    aid: Indices
    """Number of the associate, from 1, in the order of first appearance."""
    list_number: Indices
    """Which of the lists given, from 0."""
    row: Indices
    """Row in that list."""

    @property
    def count(self) -> int:
        """Number of associates."""
        return int(self.aid.max(initial=0))

    @property
    def sizes(self) -> Indices:
        """Number of sources of each associate: that of AID n at [n - 1]."""
        return np.bincount(self.aid, minlength=self.count + 1)[1:]


def associate(
    lists: Sequence[tuple[ArrayLike, ArrayLike]], radius_arcsec: float, kind: Association = Association.CHAIN
) -> Associates:
    """Join the sources of several lists that lie within a radius of each other.

    Parameters
    ----------
    lists : sequence of (ra, dec) arrays, deg
        Sources with NaN stay alone. Empty lists are allowed.
    radius_arcsec : float
    kind : Association

    Returns
    -------
    Associates
        Every source has a row, matched or not, ordered by AID, list and row. A chain may hold several sources of one
        list; the other kinds hold at most one.
    """
    if not radius_arcsec > 0:
        raise ValueError(f"the search radius is {radius_arcsec} arcsec, expected a positive number")
    places = [(np.asarray(ra, np.float64).ravel(), np.asarray(dec, np.float64).ravel()) for ra, dec in lists]
    if any(ra.shape != dec.shape for ra, dec in places):
        raise ValueError("ra and dec of a list differ in length")
    join = {Association.CHAIN: _chain, Association.MASTER: _master, Association.MATCHED: _matched}[kind]
    labels = join(places, radius_arcsec) if places else np.zeros(0, np.int64)
    list_number = np.repeat(np.arange(len(places)), [len(ra) for ra, _ in places])
    row = np.concatenate([np.arange(len(ra)) for ra, _ in places]) if places else labels
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(first) + 1)
    aid = rank[inverse] if len(first) else labels
    order = np.lexsort([row, list_number, aid])
    return Associates(aid[order].astype(np.int64), list_number[order].astype(np.int64), row[order].astype(np.int64))


def _chain(places: Sequence[tuple[Array, Array]], radius: float) -> Indices:
    ra, dec = (np.concatenate([place[axis] for place in places]) for axis in (0, 1))
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    alpha, delta = np.radians(ra[known]), np.radians(dec[known])
    vectors = np.column_stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])
    pairs = np.zeros((0, 2), np.int64)
    if known.size:
        chord = 2 * math.sin(math.radians(radius / 3600) / 2)
        pairs = known[cKDTree(vectors).query_pairs(chord, output_type="ndarray")]
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(ra), len(ra)))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _master(places: Sequence[tuple[Array, Array]], radius: float) -> Indices:
    ra, dec = places[0]
    labels = [np.arange(len(ra))]
    free = len(ra)
    for other_ra, other_dec in places[1:]:
        label = free + np.arange(len(other_ra))
        i, j, _ = match_sky(ra, dec, other_ra, other_dec, radius)
        label[j] = i
        labels.append(label)
        free += len(other_ra)
    return np.concatenate(labels)


def _matched(places: Sequence[tuple[Array, Array]], radius: float) -> Indices:
    ra, dec = (np.array(angle) for angle in places[0])
    seen = np.ones(len(ra))
    labels = [np.arange(len(ra))]
    for other_ra, other_dec in places[1:]:
        i, j, _ = match_sky(ra, dec, other_ra, other_dec, radius)
        ra[i], dec[i] = _mean_position(ra[i], dec[i], other_ra[j], other_dec[j], seen[i])
        seen[i] += 1
        label = np.full(len(other_ra), -1)
        label[j] = i
        new = np.flatnonzero(label < 0)
        label[new] = len(ra) + np.arange(len(new))
        ra, dec = np.concatenate([ra, other_ra[new]]), np.concatenate([dec, other_dec[new]])
        seen = np.concatenate([seen, np.ones(len(new))])
        labels.append(label)
    return np.concatenate(labels)


def _mean_position(ra: Array, dec: Array, other_ra: Array, other_dec: Array, seen: Array) -> tuple[Array, Array]:
    """Return the place on the way from one position to the other, at 1 / (seen + 1) of it; RA 0 and poles too."""
    vectors = [
        np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
        for a, d in ((np.radians(ra), np.radians(dec)), (np.radians(other_ra), np.radians(other_dec)))
    ]
    x, y, z = vectors[0] * seen + vectors[1]
    return np.mod(np.degrees(np.arctan2(y, x)), 360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))
