"""The state of a global astrometric solution: model, stars, weights, and which detections are used."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from awe.kernels.adjustment import Derivatives
from awe.kernels.field_solution import Catalogue, Choices, Detected
from awe.kernels.plate_model import Plate, PlateModel
from awe.kernels.star_groups import group_stars
from awe.kernels.tangent_planes import middle, onto
from awe.kernels.wcs import ARCSEC, tangent_plane

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Indices = NDArray[np.int64]

LARGEST_FIELD = 5.0
"""Radius (deg) of a field beyond which its plane would stretch errors by more than 1 %."""
RAYLEIGH_MEDIAN = 2 * math.log(2)
"""Median of the squared length of a vector of two normal deviates."""
LEAST_FOR_FLOOR, LEAST_KNOWN = 50, 6


class FieldState:
    """Plates with their detections, the stars these are of, and what they weigh."""

    def __init__(
        self,
        plates: Sequence[Plate],
        detected: Sequence[Detected],
        epochs: Array,
        catalogue: Catalogue | None,
        choices: Choices,
    ) -> None:
        if len(plates) != len(detected):
            raise ValueError(f"{len(plates)} plates have {len(detected)} lists of detections")
        if not any(p.trusted for p in plates):
            raise ValueError("no plate has coordinates to start from")
        if max(p.exposure for p in plates) >= len(epochs):
            raise ValueError(f"exposure {max(p.exposure for p in plates)} has no epoch: {len(epochs)} are given")
        self.plates, self.choices, self.epochs = plates, choices, epochs
        self.starts = np.concatenate([[0], np.cumsum([len(d.x) for d in detected])]).astype(np.int64)
        self.x, self.y = (np.concatenate([getattr(d, n) for d in detected]).astype(np.float64) for n in ("x", "y"))
        scales = [p.wcs.scale for p in plates]
        self.error = np.concatenate([d.error * scale for d, scale in zip(detected, scales, strict=True)])
        self.plate = np.repeat(np.arange(len(plates)), np.diff(self.starts))
        self.exposure = np.array([p.exposure for p in plates])[self.plate]
        self.epoch = float(np.mean(epochs))
        self.centre = middle([p.wcs.centre(p.nx, p.ny) for p in plates if p.trusted])
        self._set_catalogue(catalogue)
        self.usable = np.isfinite(self.x + self.y + self.error) & (self.error > 0)
        self.model = self._new_model(self._first_poles())
        self.floors = np.zeros(len(epochs))
        self.known_floor = 0.0
        self.iterations = 0

    def _set_catalogue(self, catalogue: Catalogue | None) -> None:
        empty = np.zeros(0)
        given = catalogue or Catalogue(*(empty,) * 6, self.epoch)
        ra, dec, error = given.at(self.epoch)
        self.known_ra, self.known_dec = ra, dec
        self.known = np.column_stack(tangent_plane(*self.centre, ra, dec)) * ARCSEC
        later = np.column_stack(tangent_plane(*self.centre, *given.at(self.epoch + 1)[:2])) * ARCSEC
        self.known_motion = np.nan_to_num(later - self.known)
        self.known_error = np.maximum(error, 1e-6)

    def _first_poles(self) -> Array:
        poles = np.zeros((len(self.epochs), 2))
        for exposure in range(len(poles)):
            own = [p for p in self.plates if p.exposure == exposure]
            # that of the header, which the chips of a mosaic have in common, or the middle if each has its own
            points = [(float(p.wcs.cards["CRVAL1"]), float(p.wcs.cards["CRVAL2"])) for p in own if p.trusted]
            poles[exposure] = middle(points or [p.wcs.centre(p.nx, p.ny) for p in own] or [self.centre])
        return poles

    def _new_model(self, poles: Array, before: PlateModel | None = None) -> PlateModel:
        c, plates = self.choices, self.plates
        model = PlateModel(plates, poles, c.degree, c.exposure_degree, c.focal_plane, before)
        corners = [model.plane(k, *_corners(p)) for k, p in enumerate(plates) if model.known[k]]
        if max(float(np.abs(corner).max()) for corner in corners) > LARGEST_FIELD:
            raise ValueError(f"a plate reaches further than {LARGEST_FIELD:g} deg from its tangent point")
        return model

    def _positions(self) -> None:
        """Set the positions of all detections (arcsec) on the plane of the field, at the mean epoch."""
        self.place = np.full((len(self.x), 2), np.nan)
        self.turn, self.matrix = np.zeros((len(self.x), 2, 2)), np.zeros((len(self.plates), 2, 2))
        for k, p in enumerate(self.plates):
            rows = slice(self.starts[k], self.starts[k + 1])
            plane = self.model.plane(k, np.nan_to_num(self.x[rows]), np.nan_to_num(self.y[rows]))
            place, turn = onto(self.model.poles[self.model.exposure[k]], self.centre, plane)
            self.turn[rows] = turn * ARCSEC
            if self.model.known[k]:
                self.place[rows] = np.where(self.usable[rows, None], place * ARCSEC, np.nan)
            # arcsec per pixel, at the middle
            cross = (p.nx - 1) / 2 + np.array([0.5, -0.5, 0, 0]), (p.ny - 1) / 2 + np.array([0, 0, 0.5, -0.5])
            plane = self.model.plane(k, *cross) * ARCSEC
            self.matrix[k] = np.column_stack([plane[:, 0] - plane[:, 1], plane[:, 2] - plane[:, 3]])

    def _derivatives(self, off: Array) -> Derivatives:
        """Return how positions change with the parameters, at the places where the stars should be on the plates.

        At the detections themselves noise would have a part in it: a smaller scale makes all differences smaller, and
        where the catalogue is weak beside the overlaps the field would shrink.
        """
        terms, count = [], len(self.plates)
        for k in range(count):
            rows = slice(self.starts[k], self.starts[k + 1])
            aside = off[rows] @ np.linalg.pinv(self.matrix[k]).T
            where = np.nan_to_num(np.column_stack([self.x[rows], self.y[rows]])) - aside * self.used[rows, None]
            terms.append(self.model.evaluate(k, *where.T)[1])
        mixing, columns = ([each(k) for k in range(count)] for each in (self.model.mixing, self.model.columns))
        return Derivatives(self.starts, np.concatenate(terms), self.turn, np.array(mixing), np.array(columns))

    def _match(self, radius: float) -> None:
        self._positions()
        groups = group_stars(*self.place.T, self.exposure, *self.known.T, radius)
        self.star, self.stars = groups.star, groups.count
        self.is_known = np.zeros(self.stars, bool)
        self.is_known[: len(self.known)] = True
        placed = np.isfinite(self.place[:, 0])
        count = np.bincount(self.star[placed], minlength=self.stars)
        self.paired = placed & ((count + self.is_known)[self.star] > 1)
        motion = np.zeros((self.stars, 2))
        motion[: len(self.known)] = self.known_motion
        self.moved = motion[self.star] * (self.epochs[self.exposure] - self.epoch)[:, None]
        self.used = self.paired.copy()
        self.used_known = self.is_known.copy()

    def _weights(self) -> tuple[Array, Array]:
        """Return the weight of each detection and of each star's catalogue position."""
        weight = np.where(self.used, 1 / (self.error**2 + self.floors[self.exposure] ** 2), 0.0)
        known = np.zeros(self.stars)
        error = self.known_error**2 + self.known_floor**2
        known[: len(self.known)] = self.choices.reference_weight / error
        return np.nan_to_num(weight), known * self.used_known

    def _means(self, weight: Array, known: Array) -> tuple[Array, Array]:
        """Return the mean position of each star and its weight."""
        total = np.bincount(self.star, weight, self.stars) + known
        place = np.nan_to_num(self.place - self.moved)
        sums = np.column_stack([np.bincount(self.star, weight * c, self.stars) for c in place.T])
        sums[: len(self.known)] += known[: len(self.known), None] * self.known
        return sums / np.maximum(total, 1e-300)[:, None], total

    def _off(self) -> tuple[Array, Array, Array, Array, Array]:
        """Return weights, total weights, means, and the vectors from a star's mean to its detections."""
        weight, known = self._weights()
        mean, total = self._means(weight, known)
        return weight, known, total, mean, np.nan_to_num(self.place - self.moved) - mean[self.star]

    def _set_floors(self) -> None:
        """Estimate by what the errors of the best detections of each exposure are too small."""
        weight, _, total, _, off = self._off()
        share = 1 - weight / np.maximum(total[self.star], 1e-300)
        rows = np.flatnonzero(self.used & (share > 0.05))
        rows = rows[np.argsort(self.exposure[rows], kind="stable")]
        square, error = (off[rows] ** 2).sum(axis=1) / share[rows] / RAYLEIGH_MEDIAN, self.error[rows]
        every = _excess(square, error)
        cuts = np.searchsorted(self.exposure[rows], np.arange(len(self.floors) + 1))
        for exposure, own in enumerate(slice(*pair) for pair in pairwise(cuts)):
            enough = own.stop - own.start >= 4 * LEAST_FOR_FLOOR
            self.floors[exposure] = _excess(square[own], error[own]) if enough else every
        self._set_known_floor()

    def _set_known_floor(self) -> None:
        """Estimate by what the differences from the catalogue exceed their errors.

        What displaces a star in all exposures alike (a neighbour, bleeding, its colour) is not made smaller by their
        number, and is no error of the catalogue either.
        """
        weight, known, total, _, _ = self._off()
        count = len(self.known)
        own = np.maximum(total - known, 0.0)[:count]
        rows = np.flatnonzero((own > 0) & self.is_known[:count])
        if len(rows) < LEAST_KNOWN:
            return
        place = np.nan_to_num(self.place - self.moved)
        sums = np.column_stack([np.bincount(self.star, weight * c, self.stars)[rows] for c in place.T])
        square = ((sums / own[rows, None] - self.known[rows]) ** 2).sum(axis=1) / RAYLEIGH_MEDIAN
        excess = float(np.median(square - 1 / own[rows] - self.known_error[rows] ** 2))
        self.known_floor = math.sqrt(max(excess, 0.0))

    def _reject(self, gently: bool) -> None:
        """Choose anew which detections and catalogue positions are used.

        Gently: a plate most of whose detections are off is not yet where it belongs, and keeps them.
        """
        self.used, self.used_known = self.paired.copy(), self.is_known.copy()
        for _ in range(4):
            weight, known, total, mean, off = self._off()
            pull = pulls(off, weight, total[self.star])
            at = np.full((self.stars, 2), np.nan)
            at[: len(self.known)] = self.known - mean[: len(self.known)]
            pull_known = pulls(at, known, total)
            worst = pull_known.copy()
            np.maximum.at(worst, self.star, pull)
            # of two that disagree either may be wrong: both are left out, whatever the rounding
            worst *= 1 - 1e-9
            limit = self._typical(pull) if gently else 1.0
            bad = (pull > self.choices.threshold * limit) & (pull >= worst[self.star])
            bad_known = (pull_known > self.choices.threshold) & (pull_known >= worst)
            if not bad.any() and not bad_known.any():
                return
            self.used &= ~bad
            self.used_known &= ~bad_known

    def _typical(self, pull: Array) -> Array:
        """Return the median of what is used of a plate, over what errors lead to expect, for each detection; >= 1."""
        found = np.ones(len(self.plates))
        for k in range(len(self.plates)):
            rows = slice(self.starts[k], self.starts[k + 1])
            own = pull[rows][self.used[rows]]
            if len(own):
                found[k] = max(float(np.median(own)) / math.sqrt(RAYLEIGH_MEDIAN), 1.0)
        return found[self.plate]


def _corners(plate: Plate) -> tuple[Array, Array]:
    nx, ny = plate.nx - 1.0, plate.ny - 1.0
    return np.array([0.0, nx, nx, 0.0]), np.array([0.0, 0.0, ny, ny])


def pulls(off: Array, weight: Array, total: Array) -> Array:
    """Return the distance from the mean of the others, in units of its expected error of one coordinate."""
    share = 1 - weight / np.maximum(total, 1e-300)
    sound = (weight > 0) & (share > 1e-9)
    square = weight * (off**2).sum(axis=1) / np.where(sound, share, 1.0)
    return np.where(sound, np.sqrt(np.where(sound, square, 0.0)), 0.0)


def _excess(square: Array, error: Array) -> float:
    """Return the error (arcsec) beyond the stated one, of the quarter of detections that should be best."""
    if len(square) < LEAST_FOR_FLOOR:
        return 0.0
    best = np.argsort(error, kind="stable")[: max(LEAST_FOR_FLOOR, len(error) // 4)]
    return math.sqrt(max(float(np.median(square[best] - error[best] ** 2)), 0.0))
