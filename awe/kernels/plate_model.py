"""Where the pixels of many exposures lie on the sky, by parameters that chips and exposures share; with derivatives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awe.kernels.adjustment import Block
from awe.kernels.choices import FocalPlane
from awe.kernels.tpv import grid, polynomial_wcs
from awe.kernels.wcs import Wcs, from_tangent_plane, tangent_plane

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

RADIUS = 1.0
"""Unit (deg) of focal-plane coordinates in the terms of an exposure."""


@dataclass(frozen=True)
class Plate:
    """One chip in one exposure."""

    exposure: int
    chip: int
    """Number of the chip; different instruments (or filters) have different numbers."""
    wcs: Wcs
    """Coordinates from which the solution starts."""
    nx: int
    ny: int
    trusted: bool = True
    """Whether these coordinates are known to some pixels; others follow from other chips of the exposure."""


def monomials(u: Array, v: Array, degree: int, least: int = 0) -> Array:
    """Return u^p v^q for all least <= p + q <= degree, by growing degree, as columns."""
    return np.column_stack([u ** (n - q) * v**q for n in range(least, degree + 1) for q in range(n + 1)])


def terms(degree: int, least: int = 0) -> int:
    """Return the number of these monomials."""
    return sum(n + 1 for n in range(least, degree + 1))


class PlateModel:
    """The plane coordinates of each plate: an exposure's affine map of the chip's polynomial, and small terms.

    With x, y the pixels of a chip, scaled to -1 ... 1, s = (u, v) its place in the focal plane and w = (xi, eta) the
    tangent plane at the exposure's pole (all in deg)::

        s = sum_m a[chip, m] x^p y^q                               p + q <= degree
        w = s + E[exposure] (u, v, 1) + Q[exposure] (x', y')^2... + B[plate] (x, y, 1)

    Q are the terms of degree 2 to `exposure_degree` in the focal-plane coordinates that the chips had at the start, so
    that all is a polynomial of the pixels; B is there in a loose focal plane only. One exposure of those that are
    linked by common chips has E = 0: it defines the focal plane.
    """

    def __init__(
        self,
        plates: Sequence[Plate],
        poles: Array,
        degree: int = 3,
        exposure_degree: int = 1,
        focal_plane: FocalPlane = FocalPlane.FIXED,
        before: "PlateModel | None" = None,
    ) -> None:
        """Start from the coordinates of the trusted plates, or from those that a model had `before`."""
        self.plates, self._before = plates, before
        self.poles = poles
        """Tangent point (ra, dec; deg) of each exposure."""
        self.degree, self.exposure_degree, self.focal_plane = degree, exposure_degree, focal_plane
        shared = focal_plane is not FocalPlane.FREE
        _, chip = np.unique([p.chip for p in plates], return_inverse=True)
        self.chip: Indices = chip if shared else np.arange(len(plates))
        self.exposure: Indices = np.array([p.exposure for p in plates])
        self.chips, self.exposures = int(self.chip.max()) + 1, len(poles)
        self._layout()
        self.values: Array = np.zeros(self.size)
        self.known = np.zeros(len(plates), bool)
        """Whether a plate has coordinates: its chip and its exposure are linked to a trusted plate."""
        self.reference = np.zeros(self.exposures, bool)
        """Exposures that define the focal plane."""
        self._nominal = np.zeros((len(plates), 2, 3))
        self._start()
        self._before = None

    def _layout(self) -> None:
        """Lay the parameters out: chips, exposures, exposures' higher terms, plates."""
        chip, affine = terms(self.degree), 3
        higher = terms(self.exposure_degree, 2) if self.exposure_degree > 1 else 0
        loose = 3 if self.focal_plane is FocalPlane.LOOSE else 0
        blocks = [(self.chips, chip), (self.exposures, affine), (self.exposures, higher), (len(self.plates), loose)]
        starts = np.concatenate([[0], np.cumsum([2 * count * length for count, length in blocks])])
        self.size = int(starts[-1])
        self._blocks = [
            np.arange(start, stop).reshape(count, 2, length)
            for (count, length), start, stop in zip(blocks, starts[:-1], starts[1:], strict=True)
        ]
        """Numbers of the parameters of each kind, by owner, axis and term."""

    @property
    def chip_terms(self) -> Indices:
        """Numbers of the polynomials' parameters: chip, axis, term."""
        return self._blocks[0]

    @property
    def exposure_terms(self) -> Indices:
        """Numbers of the exposures' parameters: exposure, axis, (u, v, 1)."""
        return self._blocks[1]

    @property
    def higher_terms(self) -> Indices:
        """Numbers of the exposures' parameters of degree 2 and more: exposure, axis, term."""
        return self._blocks[2]

    @property
    def plate_terms(self) -> Indices:
        """Numbers of the plates' own parameters: plate, axis, (x, y, 1)."""
        return self._blocks[3]

    def columns(self, plate: int) -> Indices:
        """Return the numbers of the parameters on which a plate depends."""
        owners = self.chip[plate], self.exposure[plate], self.exposure[plate], plate
        return np.concatenate([block[o].ravel() for block, o in zip(self._blocks, owners, strict=True) if block.size])

    def basis(self, plate: int, x: Array, y: Array) -> Array:
        """Return the monomials of a plate's scaled pixels."""
        p = self.plates[plate]
        return monomials(2 * x / (p.nx - 1) - 1, 2 * y / (p.ny - 1) - 1, self.degree)

    def focal(self, plate: int, basis: Array) -> Array:
        """Return the focal-plane coordinates (2, n) of pixels, deg."""
        return self.values[self.chip_terms[self.chip[plate]]] @ basis.T

    def plane(self, plate: int, x: Array, y: Array) -> Array:
        """Return xi, eta (2, n; deg) of pixels on the tangent plane of the exposure."""
        return self.evaluate(plate, x, y)[0]

    def evaluate(self, plate: int, x: Array, y: Array) -> tuple[Array, Array]:
        """Return xi, eta (2, n; deg) and the terms (n, m) whose coefficients `mixing` makes of changed parameters."""
        basis = self.basis(plate, x, y)
        uv = self.focal(plate, basis)
        e = self.exposure[plate]
        local = np.column_stack([*(uv / RADIUS), np.ones(len(x))])
        parts = [(self.values[self.exposure_terms[e]], local)]
        if self.higher_terms.size:
            nominal = self._nominal[plate] @ [basis[:, 1], basis[:, 2], np.ones(len(x))]
            parts.append((self.values[self.higher_terms[e]], monomials(*nominal, self.exposure_degree, 2)))
        if self.plate_terms.size:
            parts.append((self.values[self.plate_terms[plate]], basis[:, [1, 2, 0]]))
        found = uv + sum(coefficients @ design.T for coefficients, design in parts)
        return found, np.column_stack([basis, *(design for _, design in parts)])

    def mixing(self, plate: int) -> Array:
        """Return the matrix (2 m, 2 m) from the parameters in the order of `columns` to coefficients of the terms.

        The first m are those of xi, the others those of eta.
        """
        lengths = [block.shape[2] for block in self._blocks if block.size]
        found, start, count = np.zeros((2 * sum(lengths),) * 2), 0, sum(lengths)
        for number, length in enumerate(lengths):
            # the exposure's affine map turns what moves in the focal plane
            affine = self.values[self.exposure_terms[self.exposure[plate]]][:, :2] / RADIUS
            matrix = np.eye(2) + affine if number == 0 else np.eye(2)
            for a in (0, 1):
                for b in (0, 1):
                    rows, columns = a * count + start, 2 * start + b * length
                    found[rows : rows + length, columns : columns + length] = matrix[a, b] * np.eye(length)
            start += length
        return found

    def blocks(self) -> list[Block]:
        """Return which columns belong to chips, to exposures and, in a loose focal plane, to plates alone."""
        chip, own = 2 * self.chip_terms.shape[2], 2 * self.plate_terms.shape[2]
        size = chip + 2 * (self.exposure_terms.shape[2] + self.higher_terms.shape[2])
        found = [Block(self.chip, slice(0, chip)), Block(self.exposure, slice(chip, size))]
        return [*found, Block(np.arange(len(self.plates)), slice(size, size + own))] if own else found

    def sky(self, plate: int, x: Array, y: Array) -> tuple[Array, Array]:
        """Return ra, dec (deg) of pixels."""
        return from_tangent_plane(*self.poles[self.exposure[plate]], *self.plane(plate, x, y))

    def wcs(self, plate: int) -> Wcs:
        """Return the world coordinates of a plate, a TPV of the highest degree there is."""
        p, degree = self.plates[plate], max(self.degree, self.exposure_degree, 1)
        x, y = grid(p.nx, p.ny, degree)
        return polynomial_wcs(tuple(self.poles[self.exposure[plate]]), x, y, *self.plane(plate, x, y), degree)

    def centred_poles(self) -> Array:
        """Return tangent points at which the focal plane has its origin in every exposure.

        The projections of two exposures agree about the same point of the focal plane only; elsewhere their
        difference is a distortion, of 6 mas at half a degree for 2 arcmin.
        """
        poles = self.poles.copy()
        for exposure in {int(self.exposure[plate]) for plate in np.flatnonzero(self.known)}:
            poles[exposure] = from_tangent_plane(*poles[exposure], *self.values[self.exposure_terms[exposure]][:, 2])
        return poles

    def _start(self) -> None:
        """Find parameters by which the trusted plates have their own coordinates, from one exposure to the next."""
        targets = {
            k: (grid(p.nx, p.ny, self.degree), self._on_plane(k))
            for k, p in enumerate(self.plates)
            if (p.trusted if self._before is None else self._before.known[k])
        }
        chips, exposures = np.zeros(self.chips, bool), np.zeros(self.exposures, bool)
        plates: dict[int, list[int]] = {}
        for k in targets:
            plates.setdefault(int(self.exposure[k]), []).append(k)
        left = set(plates)
        while left:
            # next the exposure that shares most chips with those before; one without any defines a focal plane
            linked = {e: [k for k in plates[e] if chips[self.chip[k]]] for e in left}
            exposure = max(sorted(left), key=lambda e: (len(linked[e]), len(plates[e])))
            if linked[exposure]:
                self._place(exposure, [(k, *targets[k]) for k in linked[exposure]])
            else:
                self.reference[exposure] = True
            exposures[exposure] = True
            for k in plates[exposure]:
                if not chips[self.chip[k]]:
                    self._shape(k, *targets[k])
                    chips[self.chip[k]] = True
            left.discard(exposure)
        for k in range(len(self.plates)):
            self.known[k] = bool(chips[self.chip[k]] and exposures[self.exposure[k]])
            # the affine part of the polynomial: terms 1, x, y
            self._nominal[k] = self.values[self.chip_terms[self.chip[k]]][:, [1, 2, 0]]

    def _place(self, exposure: int, placed: Sequence[tuple[int, tuple[Array, Array], Array]]) -> None:
        """Fit the affine map of an exposure to plates whose chips are known."""
        uv = np.column_stack([self.focal(k, self.basis(k, *pixels)) for k, pixels, _ in placed])
        target = np.column_stack([plane for _, _, plane in placed])
        design = np.column_stack([*(uv / RADIUS), np.ones(uv.shape[1])])
        found, *_ = np.linalg.lstsq(design, (target - uv).T, rcond=None)
        self.values[self.exposure_terms[exposure]] = found.T

    def _shape(self, k: int, pixels: tuple[Array, Array], target: Array) -> None:
        """Fit the polynomial of a plate's chip, its exposure being known."""
        affine = self.values[self.exposure_terms[self.exposure[k]]]
        uv = np.linalg.solve(np.eye(2) + affine[:, :2] / RADIUS, target - affine[:, 2:])
        found, *_ = np.linalg.lstsq(self.basis(k, *pixels), uv.T, rcond=None)
        self.values[self.chip_terms[self.chip[k]]] = found.T

    def _on_plane(self, k: int) -> Array:
        p = self.plates[k]
        pixels = grid(p.nx, p.ny, self.degree)
        sky = p.wcs.to_sky(*pixels) if self._before is None else self._before.sky(k, *pixels)
        return np.array(tangent_plane(*self.poles[p.exposure], *sky))
