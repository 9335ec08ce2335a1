"""Global photometric solution: zeropoints of many exposures from overlaps and standards; who was photometric."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_matrix

from awe.kernels.clear_skies import LEAST_FOR_EXTINCTION, PhotometricModel, clear_exposures, lost_to_extinction

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Indices = NDArray[np.int64]

ROUNDS = 12
LOOSE = 1.0
"""Standard deviation (mag) of a zeropoint beforehand, about those given."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Stars measured on frames, in rows."""

    star: Indices
    """Number of the star, from 0."""
    frame: Indices
    """Number of the frame (a chip of an exposure), from 0."""
    magnitude: Array
    """-2.5 log10(adu/s)"""
    error: Array
    """mag"""


@dataclass(frozen=True, eq=False)
class Standards:
    """Known magnitudes of some of the stars."""

    star: Indices
    magnitude: Array
    error: Array


@dataclass(frozen=True, eq=False)
class PhotometricFit:
    """Zeropoints of all frames, and how they come about."""

    zeropoint: Array
    """Of each frame: the magnitude of 1 adu/s; NaN if nothing ties it to a standard."""
    error: Array
    """Standard deviation of each, mag."""
    chip_zeropoint: Array
    """Of each chip, above the atmosphere, on a photometric night."""
    extinction: Array
    """Of each night, mag for one airmass."""
    extinction_error: Array
    extinction_solved: Bool
    """False: it is the one given."""
    absorbed: Array
    """Magnitudes that each exposure lost beyond extinction: to clouds; 0 within the errors if it was photometric."""
    absorbed_error: Array
    photometric: Bool
    """Of each exposure."""
    residual: Array
    """Of each measurement against the mean of its star, mag."""
    standard_residual: Array
    """Of each measurement against the known magnitude, mag; NaN if there is none."""
    used: Bool
    scatter: float
    """rms of the residuals of overlaps, mag."""
    chi_square: float
    """Per degree of freedom."""
    floor: float
    """Error (mag) of a magnitude beyond the stated one."""


def solve_photometry(
    measured: Measured,
    standards: Standards,
    model: PhotometricModel,
    threshold: float = 4.0,
    photometric: float = 0.02,
) -> PhotometricFit:
    """Find the zeropoints of many frames from the stars that they have in common and those of known magnitude.

    The magnitude of a star is m + z[chip] - k[night] airmass + a[exposure], a being 0 in photometric exposures
    (Padmanabhan et al. 2008, ApJ 674, 1217). First every exposure has its own a, tied by overlaps and standards,
    less what an extinction with which most exposures of its night agree makes of it. The exposures with the least
    absorption agree with each other if the sky was clear: those within `photometric` (or three times their error)
    of the clearest ones are photometric. They then define the zeropoints of the chips, and the extinction where
    their airmasses differ enough; the others keep an a of their own, from their stars. Stars' true magnitudes are
    eliminated, outliers left out the worst first, and a floor of the errors is found from the scatter.

    Parameters
    ----------
    measured : Measured
        Unsaturated stars; NaN is not used.
    standards : Standards
        May be empty: then zeropoints are relative, with a mean of 25 for the chips.
    model : PhotometricModel
    threshold : float
        Standard errors beyond which a measurement is an outlier.
    photometric : float, mag
        Absorption that a photometric exposure may have.

    Raises
    ------
    ValueError
        If lists differ in length.
    """
    if len({len(a) for a in (measured.star, measured.frame, measured.magnitude, measured.error)}) > 1:
        raise ValueError("the lists of measurements differ in length")
    solver = _Solver(measured, standards, model, threshold)
    clear = np.zeros(solver.exposures, bool)
    solver.fit(clear)
    steeper = lost_to_extinction(
        solver.absorbed(), solver.absorbed_errors(), solver.told(), solver.mass, model, photometric
    )
    for number in range(5):
        absorbed = solver.absorbed() - (steeper if number == 0 else 0.0)
        before, clear = clear, clear_exposures(absorbed, solver.absorbed_errors(), solver.told(), photometric)
        if (before == clear).all():
            break
        solver.fit(clear)
    return solver.result(clear)


class _Solver:
    """Parameters are chips' zeropoints, nights' extinctions, and the absorption of each exposure, in this order."""

    def __init__(self, measured: Measured, standards: Standards, model: PhotometricModel, threshold: float) -> None:
        self.m, self.model, self.threshold = measured, model, threshold
        self.chips, self.exposures = int(model.chip.max()) + 1, len(model.airmass)
        self.nights = int(model.night.max()) + 1
        self.base = self.chips + self.nights
        self.size = self.base + self.exposures
        self.stars = int(max(measured.star.max(initial=-1), standards.star.max(initial=-1))) + 1
        self.known, self.known_weight = np.full(self.stars, np.nan), np.zeros(self.stars)
        sound = np.isfinite(standards.magnitude) & np.isfinite(standards.error)
        rows = standards.star[sound]
        self.known[rows] = standards.magnitude[sound]
        self.known_weight[rows] = 1 / np.maximum(standards.error[sound], 1e-4) ** 2
        self.usable = np.isfinite(measured.magnitude) & np.isfinite(measured.error) & (measured.error > 0)
        seen = np.bincount(measured.star[self.usable], minlength=self.stars) + (self.known_weight > 0)
        self.usable &= seen[measured.star] > 1
        self.used, self.used_known, self.floor = self.usable.copy(), self.known_weight > 0, 0.0
        self.mass = np.nan_to_num(
            model.airmass, nan=float(np.nanmean(model.airmass)) if np.isfinite(model.airmass).any() else 1.0
        )
        self.values = np.zeros(self.size)
        self.values[self.chips : self.base] = model.extinction
        self.first = self._first_zeropoint()
        self.values[: self.chips] = self.first
        self.linked = self._linked()

    def _first_zeropoint(self) -> float:
        rows = self.usable & np.isfinite(self.known[self.m.star])
        if not rows.any():
            return 25.0
        mass = self.mass[self.model.exposure[self.m.frame[rows]]]
        single = self.known[self.m.star[rows]] - self.m.magnitude[rows] + self.model.extinction * mass
        return float(np.median(single))

    def _linked(self) -> Bool:
        """Return the exposures that a chain of common stars ties to a standard, or if there is none, to each other."""
        exposure = self.model.exposure[self.m.frame]
        tied = self.known_weight > 0 if (self.known_weight > 0).any() else np.zeros(self.stars, bool)
        if not tied.any() and self.usable.any():
            tied[self.m.star[self.usable][0]] = True
        linked = np.zeros(self.exposures, bool)
        while True:
            before = linked.sum()
            linked[exposure[self.usable & tied[self.m.star]]] = True
            tied[self.m.star[self.usable & linked[exposure]]] = True
            if linked.sum() == before:
                return linked

    def design(self) -> tuple[Array, Array]:
        """Return the columns of each measurement and their factors: (n, 3)."""
        exposure = self.model.exposure[self.m.frame]
        return self._columns(self.model.chip[self.m.frame], exposure)

    def _columns(self, chip: Indices, exposure: Indices) -> tuple[Array, Array]:
        columns = np.column_stack([chip, self.chips + self.model.night[exposure], self.base + exposure])
        factors = np.column_stack([np.ones(len(exposure)), -self.mass[exposure], np.ones(len(exposure))])
        return columns, factors

    def fit(self, clear: Bool) -> None:
        """Solve with the absorption of clear exposures fixed to 0."""
        self.free = np.ones(self.size, bool)
        self.free[self.base :] = ~clear & self.linked
        if not clear.any() and self.linked.any():
            # what all exposures lost is no loss but a zeropoint: one of them sets the scale
            self.free[self.base + np.flatnonzero(self.linked)[0]] = False
        self.values[self.base :][clear] = 0.0
        masses = [self.mass[clear & (self.model.night == night)] for night in range(self.nights)]
        told = [len(mass) > 1 and np.ptp(mass) > LEAST_FOR_EXTINCTION for mass in masses]
        self.solved = np.array(told) & bool((self.known_weight > 0).any())
        self.free[self.chips : self.base] = self.solved
        self.values[self.chips : self.base][~self.solved] = self.model.extinction
        for _ in range(ROUNDS):
            self._step()
            before = self.used.copy()
            self._weigh()
            if (before == self.used).all() and self.steady:
                break

    def _step(self) -> None:
        columns, factors = self.design()
        weight, total, off = self._off()
        prior = self._prior()
        matrix, right = np.diag(prior), -prior * (self.values - self._expected())
        rows = np.flatnonzero(weight)
        for a in range(3):
            np.add.at(right, columns[rows, a], -weight[rows] * factors[rows, a] * off[rows])
            for b in range(3):
                at = columns[rows, a], columns[rows, b]
                np.add.at(matrix, at, weight[rows] * factors[rows, a] * factors[rows, b])
        matrix -= self._of_stars(columns[rows], factors[rows], weight[rows], self.m.star[rows], total)
        free = self.free
        self.scale = 1 / np.sqrt(np.diag(matrix)[free])
        self.factor = cho_factor(matrix[np.ix_(free, free)] * np.outer(self.scale, self.scale), lower=True)
        change = self.scale * cho_solve(self.factor, self.scale * right[free])
        self.values[free] += change
        self.steady = bool(np.abs(change).max(initial=0.0) < 1e-7)

    def _of_stars(self, columns: Indices, factors: Array, weight: Array, star: Indices, total: Array) -> Array:
        """Return what the unknown magnitudes of the stars take from the normal equations."""
        values = (weight / np.sqrt(np.maximum(total[star], 1e-300)))[:, None] * factors
        place = np.repeat(star, 3), columns.ravel()
        sums = coo_matrix((values.ravel(), place), shape=(self.stars, self.size)).tocsr()
        return np.asarray((sums.T @ sums).toarray())

    def _expected(self) -> Array:
        expected = np.zeros(self.size)
        expected[: self.chips] = self.first
        expected[self.chips : self.base] = self.model.extinction
        return expected

    def _prior(self) -> Array:
        """Return 1 / variance of each parameter beforehand; weak, but enough for what nothing tells."""
        found = np.full(self.size, 1 / LOOSE**2)
        found[self.chips : self.base] = 1 / max(self.model.extinction_error, 1e-6) ** 2
        return found

    def _calibrated(self) -> Array:
        columns, factors = self.design()
        return np.asarray(self.m.magnitude + (self.values[columns] * factors).sum(axis=1))

    def _off(self) -> tuple[Array, Array, Array]:
        """Return weights, total weights of stars, and the differences from the stars' means."""
        weight = np.where(self.used, 1 / (np.where(self.usable, self.m.error, 1.0) ** 2 + self.floor**2), 0.0)
        known = np.where(self.used_known, self.known_weight, 0.0)
        total = np.bincount(self.m.star, weight, self.stars) + known
        value = np.where(self.usable, self._calibrated(), 0.0)
        sums = np.bincount(self.m.star, weight * value, self.stars) + known * np.nan_to_num(self.known)
        mean = sums / np.maximum(total, 1e-300)
        self.mean = mean
        return weight, total, np.where(self.usable, value - mean[self.m.star], 0.0)

    def _weigh(self) -> None:
        """Choose the outliers and the floor anew."""
        self.used, self.used_known = self.usable.copy(), self.known_weight > 0
        for _ in range(5):
            weight, total, off = self._off()
            share = 1 - weight / np.maximum(total[self.m.star], 1e-300)
            sound = self.used & (share > 1e-9)
            pull = np.where(sound, np.abs(off) * np.sqrt(weight / np.where(sound, share, 1.0)), 0.0)
            self._set_floor(off, share, sound)
            rest = 1 - self.known_weight / np.maximum(total, 1e-300)
            sound_known = self.used_known & (rest > 1e-9)
            away = np.abs(np.nan_to_num(self.known) - self.mean)
            pull_known = np.where(
                sound_known, away * np.sqrt(self.known_weight / np.where(sound_known, rest, 1.0)), 0.0
            )
            worst = pull_known.copy()
            np.maximum.at(worst, self.m.star, pull)
            worst *= 1 - 1e-9
            bad = (pull > self.threshold) & (pull >= worst[self.m.star])
            bad_known = (pull_known > self.threshold) & (pull_known >= worst)
            if not bad.any() and not bad_known.any():
                return
            self.used &= ~bad
            self.used_known &= ~bad_known

    def _set_floor(self, off: Array, share: Array, sound: Bool) -> None:
        rows = np.flatnonzero(sound & (share > 0.05))
        if len(rows) < 50:
            return
        best = rows[np.argsort(self.m.error[rows], kind="stable")[: max(50, len(rows) // 4)]]
        # the median of the square of a normal deviate
        square = off[best] ** 2 / share[best] / 0.4549 - self.m.error[best] ** 2
        self.floor = math.sqrt(max(float(np.median(square)), 0.0))

    def absorbed(self) -> Array:
        """Return the magnitudes that each exposure lost: by so much its zeropoint is smaller."""
        return -self.values[self.base :]

    def told(self) -> Bool:
        """Return the exposures that the stars tell something of."""
        exposure = self.model.exposure[self.m.frame[self.used]]
        return self.linked & (np.bincount(exposure, minlength=self.exposures) > 0)

    def absorbed_errors(self) -> Array:
        """Return the errors of the absorption relative to each other: that common to all is left out."""
        covariance = self._covariance()[self.base :, self.base :]
        told = self.told()
        if told.sum() < 2:
            return np.sqrt(np.maximum(np.diag(covariance), 0.0))
        rest = np.eye(self.exposures) - np.outer(np.ones(self.exposures), told / told.sum())
        return np.sqrt(np.maximum(np.diag(rest @ covariance @ rest.T), 0.0))

    def _covariance(self) -> Array:
        found = np.zeros((self.size, self.size))
        inverse = cho_solve(self.factor, np.diag(self.scale))
        found[np.ix_(self.free, self.free)] = self.scale[:, None] * inverse
        return found

    def result(self, clear: Bool) -> PhotometricFit:
        """Gather what was found."""
        weight, total, off = self._off()
        columns, factors = self._columns(self.model.chip, self.model.exposure)
        covariance = self._covariance()
        variance = np.einsum("na,nab,nb->n", factors, covariance[columns[:, :, None], columns[:, None, :]], factors)
        linked = self.told()[self.model.exposure]
        known = (self.known_weight > 0).any()
        kept = self.used & (weight < total[self.m.star])
        against = self._calibrated() - self.known[self.m.star]
        square = float((weight[kept] * off[kept] ** 2).sum())
        rows = self.used_known & (total > self.known_weight)
        square += float((self.known_weight[rows] * (self.known - self.mean)[rows] ** 2).sum())
        count = np.bincount(self.m.star[kept], minlength=self.stars) + rows
        freedom = int(np.maximum(count - 1, 0).sum()) - int(self.free.sum())
        return PhotometricFit(
            zeropoint=np.where(linked, (self.values[columns] * factors).sum(axis=1), np.nan),
            error=np.where(linked & bool(known), np.sqrt(np.maximum(variance, 0.0)), np.nan),
            chip_zeropoint=self.values[: self.chips].copy(),
            extinction=self.values[self.chips : self.base].copy(),
            extinction_error=np.where(
                self.solved, np.sqrt(np.diag(covariance))[self.chips : self.base], self.model.extinction_error
            ),
            extinction_solved=self.solved,
            absorbed=np.where(self.told(), self.absorbed(), np.nan),
            absorbed_error=np.where(self.told(), np.sqrt(np.diag(covariance))[self.base :], np.nan),
            photometric=clear & self.told(),
            residual=np.where(self.usable, off, np.nan),
            standard_residual=against,
            used=kept,
            scatter=float(np.sqrt(np.mean(off[kept] ** 2))) if kept.any() else math.nan,
            chi_square=square / freedom if freedom > 0 else math.nan,
            floor=self.floor,
        )
