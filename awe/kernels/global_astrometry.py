"""Global astrometric solution: all exposures and chips of a field at once, tied together and to a catalogue."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from awe.kernels.adjustment import Adjustment
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
from awe.kernels.field_state import FieldState, pulls
from awe.kernels.plate_model import Plate
from awe.kernels.tangent_planes import onto
from awe.kernels.wcs import ARCSEC, from_tangent_plane

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Indices = NDArray[np.int64]

SETTLED, MOST_STEPS, CONVERGED = 6, 12, 1e-6
"""Steps in which outliers and floors are looked for, steps for one set of stars; the change (arcsec) that ends them."""
MOST_HALVINGS = 6
TELLING = 1e-6
"""Least weight, of that of its star, that the other detections and the catalogue have for a detection to tell."""
LEAST_TO_BIND = 3
"""Stars of an exposure that others, or the catalogue, must have: of one or two, either may be a wrong pair."""


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


class _Solver(FieldState):
    """Fits the model in steps, and tells the result."""

    def run(self) -> GlobalSolution:
        """Match and fit with smaller and smaller radii."""
        for number, radius in enumerate(self.choices.radii):
            if number:
                self.model = self._new_model(self.model.centred_poles(), self.model)
            self._match(radius)
            self._converge()
        return self._result()

    # least squares

    def _converge(self) -> None:
        self.start = self.model.values.copy()
        self.area = np.maximum(np.abs(np.linalg.det(self.matrix)), 1e-12)
        for step in range(MOST_STEPS):
            # these depend on each other and on the result: they settle first, then the parameters do
            if step < SETTLED:
                self._set_floors()
                if step:
                    self._reject(gently=step < SETTLED - 1)
                self._set_free()
            weight, known, _, _, off = self._off()
            self.adjustment = Adjustment(
                self._derivatives(off), self.model.blocks(), self.star, weight, known, self.stiffness, self.free
            )
            before = self.place
            self._advance(self.adjustment.step(off, self.model.values - self.start))
            self.iterations += 1
            moved = np.abs(self.place - before)[self.used]
            if step > 1 and (not moved.size or moved.max() < CONVERGED):
                break

    def _advance(self, change: Array) -> None:
        """Change the parameters, by less if the whole change would not make the differences smaller."""
        values, before = self.model.values, self._cost()
        for halving in range(MOST_HALVINGS + 1):
            self.model.values = values + change / 2**halving
            self._positions()
            # rounding may let the sum grow where nothing is left to be gained
            if self._cost() <= before * (1 + 1e-9):
                return
        self.model.values = values
        self._positions()

    def _cost(self) -> float:
        """Return the sum that is minimised, for the detections used; those are as far off as they are in pixels."""
        weight, known, _, mean, off = self._off()
        growth = np.sqrt(np.abs(np.linalg.det(self.matrix)) / self.area)[self.plate, None]
        off = off / np.where(growth > 0, growth, 1.0)
        count, strain = len(self.known), self.model.values - self.start
        stars = (known[:count, None] * (self.known - mean[:count]) ** 2).sum()
        return float((weight[:, None] * off**2).sum() + stars + (self.stiffness * strain**2).sum())

    @property
    def stiffness(self) -> Array:
        """1 / variance of each parameter about its value at the start."""
        found = np.full(self.model.size, (ARCSEC / self.choices.stiffness) ** 2)
        found[self.model.plate_terms.ravel()] = (ARCSEC / self.choices.looseness) ** 2
        return found

    def _set_free(self) -> None:
        """Say which parameters the detections used can tell; the others have the values of the start."""
        model, free = self.model, np.zeros(self.model.size, bool)
        weight, _, total, _, _ = self._off()
        telling = self.used & (weight < (1 - TELLING) * total[self.star])
        on_plate = np.bincount(self.plate, telling, len(self.plates))
        on_exposure = np.bincount(model.exposure, on_plate, model.exposures).astype(int)
        seen = np.unique(np.column_stack([model.chip[self.plate], self.star])[telling], axis=0)
        for numbers, count in zip(model.chip_terms, np.bincount(seen[:, 0], minlength=model.chips), strict=True):
            degree = choose_degree(int(count), self.choices.degree)
            free[numbers[:, : (degree + 1) * (degree + 2) // 2]] = True
        for exposure in np.flatnonzero(~model.reference):
            degree = choose_degree(int(on_exposure[exposure]), self.choices.exposure_degree)
            free[model.exposure_terms[exposure][:, slice(2, 3) if degree == 0 else slice(0, 3 * (degree > 0))]] = True
            if model.higher_terms.size and degree > 1:
                free[model.higher_terms[exposure]] = True
        for numbers, count in zip(model.plate_terms, on_plate, strict=True):
            free[numbers] = choose_degree(int(count), 1) == 1
        if not len(self.known):
            self._tie(free)
        self.free, self.telling = free, on_exposure
        if (model.values[~free] != self.start[~free]).any():
            model.values = np.where(free, model.values, self.start)
            self._positions()

    def _tie(self, free: Bool) -> None:
        """Keep the affine part of the chips of the exposures that define the focal plane: nothing else ties it down."""
        for plate in np.flatnonzero(self.model.reference[self.model.exposure]):
            free[self.model.chip_terms[self.model.chip[plate]][:, :3]] = False

    # result

    def _result(self) -> GlobalSolution:
        self._set_floors()
        weight, known, total, mean, off = self._off()
        share = np.maximum(1 - weight / np.maximum(total[self.star], 1e-300), 0.0)
        alone = off / np.maximum(share, 1e-9)[:, None]
        kept = self.used & (share > 1e-9)
        pull = pulls(off, weight, total[self.star])
        square = float((weight[kept, None] * off[kept] ** 2).sum())
        square += float((known[: len(self.known), None] * (self.known - mean[: len(self.known)]) ** 2).sum())
        told = np.bincount(self.star[kept], minlength=self.stars) + (known > 0)
        freedom = 2 * int(np.maximum(told - 1, 0).sum()) - int(self.free.sum())
        to_known = np.full(off.shape, np.nan)
        catalogued = self.star < len(self.known)
        to_known[catalogued] = (self.place - self.moved)[catalogued] - self.known[self.star[catalogued]]
        rows = self._rows(alone, to_known, pull, kept)
        return GlobalSolution(
            [self._plate(k, error, kept, off, to_known) for k, error in enumerate(self._errors())],
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

    def _errors(self) -> Array:
        """Return the standard deviation (arcsec) of the coordinates at the middle of each plate."""
        terms, turns = [], []
        for k, p in enumerate(self.plates):
            plane, own = self.model.evaluate(k, *np.array([[(p.nx - 1) / 2], [(p.ny - 1) / 2]]))
            terms.append(own[0])
            turns.append(onto(self.model.poles[p.exposure], self.centre, plane)[1][0] * ARCSEC)
        return np.sqrt(self.adjustment.variances(np.array(terms), np.array(turns)))

    def _plate(self, k: int, error: float, kept: Bool, off: Array, to_known: Array) -> PlateSolution:
        p, rows = self.plates[k], slice(self.starts[k], self.starts[k + 1])
        reason = self._why_not(k, error)
        used = kept[rows]
        on_known = used & np.isfinite(to_known[rows, 0])
        wcs = p.wcs if reason else self.model.wcs(k)
        rejected = int((self.paired[rows] & ~self.used[rows]).sum())
        return PlateSolution(
            wcs, reason, math.nan if reason else float(error), int(used.sum()), rejected,
            _rms(off[rows][used]), _rms(to_known[rows][on_known]), int(on_known.sum()),
        )  # fmt: skip

    def _why_not(self, k: int, error: float) -> str:
        """Return why a plate could not be bound to the others; empty if it was."""
        found = int(self.telling[self.plates[k].exposure])
        if not self.model.known[k]:
            return "its stars were not recognised, nor those of another chip of its exposure that other exposures have"
        if found < LEAST_TO_BIND:
            return f"{found} stars bind its exposure to the others and the catalogue: {LEAST_TO_BIND} are needed"
        if not error < self.choices.radii[0]:
            return f"its stars leave {error:.3g} arcsec open, more than the {self.choices.radii[0]:g} of the search"
        return ""

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


def _rms(vectors: Array) -> float:
    return float(np.sqrt(np.mean(vectors**2))) if len(vectors) else math.nan
