"""Global astrometric solution: all exposures and chips of a field at once, tied together and to a catalogue."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from awe.kernels.adjustment import Adjustment, Overlaps
from awe.kernels.astrometry import choose_degree
from awe.kernels.field_solution import (
    DETECTIONS,
    STARS,
    Catalogue,
    Choices,
    Detected,
    GlobalSolution,
    PlateSolution,
)
from awe.kernels.plate_model import Plate, PlateModel
from awe.kernels.star_groups import group_stars
from awe.kernels.tangent_planes import middle, onto
from awe.kernels.wcs import ARCSEC, from_tangent_plane, tangent_plane

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Indices = NDArray[np.int64]

LARGEST_FIELD = 5.0
"""Radius (deg) of a field beyond which its plane would stretch errors by more than 1 %."""
RAYLEIGH_MEDIAN = 2 * math.log(2)
"""Median of the squared length of a vector of two normal deviates."""
LEAST_FOR_FLOOR = 50
SETTLED, MOST_STEPS, CONVERGED = 6, 12, 1e-6
"""Steps in which outliers and floors are looked for, steps for one set of stars; the change (arcsec) that ends them."""


def solve(
    plates: Sequence[Plate],
    detected: Sequence[Detected],
    epochs: Sequence[float],
    catalogue: Catalogue | None,
    choices: Choices | None = None,
) -> GlobalSolution:
    """Find the world coordinates of many exposures of a field.

    The positions of stars that are seen in several exposures, and in the catalogue, are made to agree: the squared
    differences of all pairs, divided by their variances, are least (see `Adjustment`; Bertin 2006, ASPC 351, 112).
    Positions are compared at one epoch, by the catalogue's proper motions. Errors of detections are increased, by
    exposure, to what the brightest of them show. Detections that are further from the mean of the others of their star
    than `threshold` expected errors are left out, the worst first.

    Parameters
    ----------
    plates : sequence of Plate
        Exposures numbered from 0. Those that are trusted must be right to the first of `radii`.
    detected : sequence of Detected
        Of each plate.
    epochs : sequence of float
        Julian year of each exposure.
    catalogue : Catalogue, optional
        Without one the solution is relative to the coordinates given for the first exposure (of those with most chips).
    choices : Choices, optional

    Returns
    -------
    GlobalSolution

    Raises
    ------
    ValueError
        If there is no plate that is trusted, lists differ in length, or the field is larger than `LARGEST_FIELD`.
    """
    return _Solver(plates, detected, np.asarray(epochs, np.float64), catalogue, choices or Choices()).run()


class _Solver:
    """The state of a solution: model, stars, weights."""

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
        self.iterations = 0

    def _set_catalogue(self, catalogue: Catalogue | None) -> None:
        empty = np.zeros(0)
        given = catalogue or Catalogue(*(empty,) * 6, self.epoch)
        ra, dec, error = given.at(self.epoch)
        self.known_ra, self.known_dec = ra, dec
        self.known = np.column_stack(tangent_plane(*self.centre, ra, dec)) * ARCSEC
        later = np.column_stack(tangent_plane(*self.centre, *given.at(self.epoch + 1)[:2])) * ARCSEC
        self.known_motion = np.nan_to_num(later - self.known)
        self.known_weight = self.choices.reference_weight / np.maximum(error, 1e-6) ** 2

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

    def run(self) -> GlobalSolution:
        """Match and fit with smaller and smaller radii."""
        for number, radius in enumerate(self.choices.radii):
            if number:
                self.model = self._new_model(self.model.centred_poles(), self.model)
            self._match(radius)
            self._converge()
        return self._result()

    # stars

    def _positions(self) -> None:
        """Set the positions of all detections (arcsec) on the plane of the field, at the mean epoch."""
        self.place = np.full((len(self.x), 2), np.nan)
        self.jacobians: list[Array] = []
        for k in range(len(self.plates)):
            rows = slice(self.starts[k], self.starts[k + 1])
            plane, jacobian = self.model.evaluate(k, self.x[rows], self.y[rows])
            place, change = onto(self.model.poles[self.model.exposure[k]], self.centre, plane)
            if self.model.known[k]:
                self.place[rows] = place * ARCSEC
            self.jacobians.append(np.einsum("nij,njc->nic", change, jacobian) * ARCSEC)

    def _match(self, radius: float) -> None:
        self._positions()
        place = np.where(self.usable[:, None], self.place, np.nan)
        groups = group_stars(*place.T, self.exposure, *self.known.T, radius)
        self.star, self.stars = groups.star, groups.count
        self.is_known = np.zeros(self.stars, bool)
        self.is_known[: len(self.known)] = True
        count = np.bincount(self.star[self.usable & np.isfinite(self.place[:, 0])], minlength=self.stars)
        self.paired = self.usable & np.isfinite(self.place[:, 0]) & ((count + self.is_known)[self.star] > 1)
        lonely = np.where(self.paired, self.star, -1)
        self.overlaps = Overlaps.of(lonely, self.starts)
        motion = np.zeros((self.stars, 2))
        motion[: len(self.known)] = self.known_motion
        self.moved = motion[self.star] * (self.epochs[self.exposure] - self.epoch)[:, None]
        self.used = self.paired.copy()
        self.used_known = self.is_known.copy()

    def _weights(self) -> tuple[Array, Array]:
        """Return the weight of each detection and of each star's catalogue position."""
        weight = np.where(self.used, 1 / (self.error**2 + self.floors[self.exposure] ** 2), 0.0)
        known = np.zeros(self.stars)
        known[: len(self.known)] = self.known_weight
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

    # least squares

    def _converge(self) -> None:
        free = self._free()
        for step in range(MOST_STEPS):
            # both depend on each other and on the result: they settle first, then the parameters do
            if step < SETTLED:
                self._set_floors()
            if 0 < step < SETTLED:
                self._reject()
            weight, _, total, _, off = self._off()
            columns = [self.model.columns(k) for k in range(len(self.plates))]
            self.adjustment = Adjustment(
                self.jacobians, columns, self.starts, self.overlaps, self.star, weight, total, self._stiffness(), free
            )
            before = self.place
            self.model.values = self.model.values + self.adjustment.step(off)
            self._positions()
            self.iterations += 1
            moved = np.abs(self.place - before)[self.used]
            if step > 1 and (not moved.size or moved.max() < CONVERGED):
                break
        self.free = free

    def _stiffness(self) -> Array:
        found = np.full(self.model.size, (ARCSEC / self.choices.stiffness) ** 2)
        found[self.model.plate_terms.ravel()] = (ARCSEC / self.choices.looseness) ** 2
        return found

    def _free(self) -> Bool:
        """Return which parameters the stars can tell; the others are kept."""
        model, free = self.model, np.zeros(self.model.size, bool)
        informed = self.paired & np.isfinite(self.place[:, 0])
        for chip, numbers in enumerate(model.chip_terms):
            own = informed & (model.chip == chip)[self.plate]
            degree = choose_degree(len(np.unique(self.star[own])), self.choices.degree)
            free[numbers[:, : (degree + 1) * (degree + 2) // 2]] = True
        for exposure in range(model.exposures):
            if model.reference[exposure]:
                continue
            degree = choose_degree(int((informed & (self.exposure == exposure)).sum()), self.choices.exposure_degree)
            free[model.exposure_terms[exposure][:, slice(2, 3) if degree == 0 else slice(0, 3 * (degree > 0))]] = True
            if model.higher_terms.size and degree > 1:
                free[model.higher_terms[exposure]] = True
        for plate, numbers in enumerate(model.plate_terms):
            free[numbers] = choose_degree(int((informed & (self.plate == plate)).sum()), 1) == 1
        if not len(self.known):
            self._tie(free)
        return free

    def _tie(self, free: Bool) -> None:
        """Keep the affine part of the chips of the exposures that define the focal plane: nothing else ties it down."""
        for plate in np.flatnonzero(self.model.reference[self.model.exposure]):
            free[self.model.chip_terms[self.model.chip[plate]][:, :3]] = False

    def _set_floors(self) -> None:
        """Estimate by what the errors of the best detections of each exposure are too small."""
        weight, _, total, _, off = self._off()
        share = 1 - weight / np.maximum(total[self.star], 1e-300)
        rows = np.flatnonzero(self.used & (share > 0.05))
        square = (off[rows] ** 2).sum(axis=1) / share[rows] / RAYLEIGH_MEDIAN
        every = _excess(square, self.error[rows])
        for exposure in range(len(self.floors)):
            own = self.exposure[rows] == exposure
            enough = own.sum() >= 4 * LEAST_FOR_FLOOR
            self.floors[exposure] = _excess(square[own], self.error[rows][own]) if enough else every

    def _reject(self) -> None:
        """Choose anew which detections and catalogue positions are used."""
        self.used, self.used_known = self.paired.copy(), self.is_known.copy()
        for _ in range(4):
            weight, known, total, mean, off = self._off()
            pull = _pulls(off, weight, total[self.star])
            at = np.full((self.stars, 2), np.nan)
            at[: len(self.known)] = self.known - mean[: len(self.known)]
            pull_known = _pulls(at, known, total)
            worst = pull_known.copy()
            np.maximum.at(worst, self.star, pull)
            # of two that disagree either may be wrong: both are left out, whatever the rounding
            worst *= 1 - 1e-9
            bad = (pull > self.choices.threshold) & (pull >= worst[self.star])
            bad_known = (pull_known > self.choices.threshold) & (pull_known >= worst)
            if not bad.any() and not bad_known.any():
                return
            self.used &= ~bad
            self.used_known &= ~bad_known

    # result

    def _result(self) -> GlobalSolution:
        self._set_floors()
        weight, known, total, mean, off = self._off()
        share = np.maximum(1 - weight / np.maximum(total[self.star], 1e-300), 0.0)
        alone = off / np.maximum(share, 1e-9)[:, None]
        kept = self.used & (share > 1e-9)
        pull = _pulls(off, weight, total[self.star])
        square = float((weight[kept, None] * off[kept] ** 2).sum())
        square += float((known[: len(self.known), None] * (self.known - mean[: len(self.known)]) ** 2).sum())
        told = np.bincount(self.star[kept], minlength=self.stars) + (known > 0)
        freedom = 2 * int(np.maximum(told - 1, 0).sum()) - int(self.free.sum())
        to_known = np.full(off.shape, np.nan)
        catalogued = self.star < len(self.known)
        to_known[catalogued] = (self.place - self.moved)[catalogued] - self.known[self.star[catalogued]]
        rows = self._rows(alone, to_known, pull, kept)
        return GlobalSolution(
            [self._plate(k, kept, off, to_known) for k in range(len(self.plates))],
            rows[self.paired],
            self._stars(mean, total, weight, told),
            self.floors,
            square / freedom if freedom > 0 else math.nan,
            freedom,
            int(self.free.sum()),
            _rms(off[kept]),
            _rms(to_known[kept & catalogued]),
            self.iterations,
            self.model,
        )

    def _plate(self, k: int, kept: Bool, off: Array, to_known: Array) -> PlateSolution:
        own, p = self.plate == k, self.plates[k]
        solved = bool(self.model.known[k]) and bool((kept & (self.exposure == p.exposure)).any())
        used = own & kept
        on_known = used & np.isfinite(to_known[:, 0])
        error = math.nan
        if solved:
            middle = np.array([[(p.nx - 1) / 2], [(p.ny - 1) / 2]])
            plane, jacobian = self.model.evaluate(k, *middle)
            _, change = onto(self.model.poles[self.model.exposure[k]], self.centre, plane)
            variance = self.adjustment.variance((change @ jacobian)[0] * ARCSEC, self.model.columns(k))
            error = math.sqrt(float(np.trace(variance)) / 2)
        wcs = self.model.wcs(k) if solved else p.wcs
        rejected = int((own & self.paired & ~self.used).sum())
        known = int(on_known.sum())
        return PlateSolution(
            wcs, solved, error, int(used.sum()), rejected, _rms(off[used]), _rms(to_known[on_known]), known
        )

    def _rows(self, alone: Array, to_known: Array, pull: Array, kept: Bool) -> NDArray[np.void]:
        rows = np.zeros(len(self.x), DETECTIONS)
        rows["plate"], rows["star"] = self.plate, self.star
        rows["row"] = np.arange(len(self.x)) - self.starts[self.plate]
        rows["x"], rows["y"] = self.x, self.y
        rows["ra"], rows["dec"] = from_tangent_plane(*self.centre, *(self.place / ARCSEC).T)
        rows["error"] = np.hypot(self.error, self.floors[self.exposure])
        rows["dra"], rows["ddec"] = alone.T
        rows["dra_reference"], rows["ddec_reference"] = to_known.T
        rows["pull"], rows["used"] = pull, kept
        return rows

    def _stars(self, mean: Array, total: Array, weight: Array, told: Indices) -> NDArray[np.void]:
        rows = np.zeros(self.stars, STARS)
        rows["ra"], rows["dec"] = from_tangent_plane(*self.centre, *(mean / ARCSEC).T)
        rows["error"] = 1 / np.sqrt(np.where(told > 0, total, np.nan))
        rows["reference"] = np.where(self.is_known, np.arange(self.stars), -1)
        rows["count"] = np.bincount(self.star[weight > 0], minlength=self.stars)
        self._motions(rows, weight)
        for name in ("ra", "dec"):
            rows[name][told < 1] = np.nan
        return rows

    def _motions(self, rows: NDArray[np.void], weight: Array) -> None:
        """Set the proper motions that the detections alone tell."""
        time = self.epochs[self.exposure]
        total = np.maximum(np.bincount(self.star, weight, self.stars), 1e-300)
        since = time - (np.bincount(self.star, weight * time, self.stars) / total)[self.star]
        spread = np.bincount(self.star, weight * since**2, self.stars)
        told = (rows["count"] > 1) & (spread > 1e-12 * total)
        place = np.nan_to_num(self.place)
        for name, c in zip(("pmra", "pmdec"), place.T, strict=True):
            less = c - (np.bincount(self.star, weight * c, self.stars) / total)[self.star]
            slope = np.bincount(self.star, weight * since * less, self.stars) / np.where(told, spread, 1.0)
            rows[name] = np.where(told, slope * 1000, np.nan)
        rows["motion_error"] = np.where(told, 1000 / np.sqrt(np.where(told, spread, 1.0)), np.nan)


def _corners(plate: Plate) -> tuple[Array, Array]:
    nx, ny = plate.nx - 1.0, plate.ny - 1.0
    return np.array([0.0, nx, nx, 0.0]), np.array([0.0, 0.0, ny, ny])


def _pulls(off: Array, weight: Array, total: Array) -> Array:
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


def _rms(vectors: Array) -> float:
    return float(np.sqrt(np.mean(vectors**2))) if len(vectors) else math.nan
