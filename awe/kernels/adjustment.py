"""Least squares for many plates that see the same stars, whose unknown positions are eliminated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, lsmr

from awe.kernels.star_groups import pairs_of

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LARGEST_DENSE = 5000
"""Most parameters for which the normal equations (200 MB) are written down and inverted."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Which detections are of the same star: pairs of rows for each pair of plates (first <= second)."""

    blocks: list[tuple[int, int, Indices, Indices]]
    """first plate, second plate, rows in the first, rows in the second (within the plate's own list)."""

    @classmethod
    def of(cls, star: Indices, starts: Indices) -> "Overlaps":
        """Return the pairs of detections that lie in lists one behind the other.

        Parameters
        ----------
        star : array of n
            Number of the star of each detection.
        starts : array of plates + 1
            Where the detections of each plate begin; the last is n.
        """
        first, second = pairs_of(star)
        plates = len(starts) - 1
        one, other = (np.searchsorted(starts, rows, side="right") - 1 for rows in (first, second))
        key = one * plates + other
        order = np.argsort(key, kind="stable")
        cuts = np.flatnonzero(np.diff(key[order])) + 1
        blocks = []
        for rows in np.split(order, cuts) if len(order) else []:
            g, h = int(one[rows[0]]), int(other[rows[0]])
            blocks.append((g, h, first[rows] - starts[g], second[rows] - starts[h]))
        return cls(blocks)


class Adjustment:
    """One linear step of the parameters.

    Minimised is the sum, over all stars, of w_i (d_i - X)^2 of its detections and of w_0 (x_0 - X)^2 of its catalogue
    position, with the star's X free. With X eliminated that is the sum of w_i w_j / W (d_i - d_j)^2 over all pairs of
    its detections, and of w_i w_0 / W (d_i - x_0)^2 over the pairs with the catalogue, where W = w_0 + sum w_i.

    Up to `LARGEST_DENSE` free parameters the normal equations are summed up pair of plates by pair of plates, and
    solved by Cholesky's method; more are found without writing these down, by LSMR (Fong & Saunders 2011, SIAM J. Sci.
    Comput. 33, 2950).
    """

    def __init__(
        self,
        jacobians: Sequence[Array],
        columns: Sequence[Indices],
        starts: Indices,
        overlaps: Overlaps,
        star: Indices,
        weight: Array,
        star_weight: Array,
        stiffness: Array,
        free: NDArray[np.bool_],
    ) -> None:
        """Take the derivatives of all detections.

        Parameters
        ----------
        jacobians : sequence of arrays (n, 2, c)
            Of each plate.
        columns : sequence of arrays (c)
            Numbers of the parameters of each plate.
        starts, overlaps, star
            See `Overlaps`.
        weight : array of n
            1 / variance of each coordinate of a detection; 0 = not used.
        star_weight : array of stars
            W: sum of the weights of all that tells a star's position.
        stiffness : array of parameters
            1 / variance of each parameter about its present value, known beforehand.
        free : array of parameters
            False = kept as it is.
        """
        self._jacobians, self._columns, self._starts, self._overlaps = jacobians, columns, starts, overlaps
        self._star, self._weight, self._star_weight = star, weight, np.maximum(star_weight, 1e-300)
        self._known_weight = np.maximum(star_weight - np.bincount(star, weight, len(star_weight)), 0.0)
        self._known_weight[self._known_weight < 1e-9 * star_weight] = 0.0
        self._stiffness, self._free = stiffness, free
        self.dense = int(free.sum()) <= LARGEST_DENSE
        if self.dense:
            matrix = self._normal_matrix() + np.diag(stiffness)
            self._scale = 1 / np.sqrt(np.diag(matrix)[free])
            self._factor = cho_factor(matrix[np.ix_(free, free)] * np.outer(self._scale, self._scale), lower=True)

    def step(self, pull: Array) -> Array:
        """Return the change of the parameters; `pull` are the detections' d_i - X (n, 2) at the present ones."""
        change = np.zeros(len(self._free))
        right = -self._transposed(self._weight[:, None] * pull)
        if self.dense:
            change[self._free] = self._scale * cho_solve(self._factor, self._scale * right[self._free])
            return change
        change[self._free] = self._iterated(-pull)
        return change

    def variance(self, jacobian: Array, columns: Indices) -> Array:
        """Return the covariance (2, 2) of a position with these derivatives (2, c), by the errors of the parameters.

        With more than `LARGEST_DENSE` parameters it is a lower limit: that which the plate's own stars would give, were
        all parameters of other plates known.
        """
        if not self.dense:
            own = self._free[columns]
            plate = next(k for k, c in enumerate(self._columns) if np.array_equal(c, columns))
            weight, part = self._rows(plate)[1], self._jacobians[plate][:, :, own]
            normal = np.einsum("nic,n,nid->cd", part, weight, part) + np.diag(self._stiffness[columns][own])
            return np.asarray(jacobian[:, own] @ np.linalg.solve(normal, jacobian[:, own].T))
        wide = np.zeros((len(self._free), 2))
        np.add.at(wide, columns, jacobian.T)
        part = self._scale[:, None] * wide[self._free]
        return np.asarray(part.T @ cho_solve(self._factor, part))

    def _rows(self, plate: int) -> tuple[slice, Array]:
        """Return the rows of a plate and their weights against the other detections of their stars."""
        rows = slice(self._starts[plate], self._starts[plate + 1])
        weight = self._weight[rows]
        return rows, weight - weight**2 / self._star_weight[self._star[rows]]

    def _normal_matrix(self) -> Array:
        matrix = np.zeros((len(self._free), len(self._free)))
        for plate, (jacobian, columns) in enumerate(zip(self._jacobians, self._columns, strict=True)):
            every = np.arange(len(jacobian))
            matrix[np.ix_(columns, columns)] += _product(jacobian, jacobian, every, every, self._rows(plate)[1])
        for g, h, i, j in self._overlaps.blocks:
            one, other = self._weight[self._starts[g] + i], self._weight[self._starts[h] + j]
            weight = one * other / self._star_weight[self._star[self._starts[g] + i]]
            block = _product(self._jacobians[g], self._jacobians[h], i, j, weight)
            matrix[np.ix_(self._columns[g], self._columns[h])] -= block
            matrix[np.ix_(self._columns[h], self._columns[g])] -= block.T
        return matrix

    def _transposed(self, vectors: Array) -> Array:
        """Return the sum of the derivatives times vectors (n, 2) of the detections."""
        found = np.zeros(len(self._free))
        for plate, (jacobian, columns) in enumerate(zip(self._jacobians, self._columns, strict=True)):
            rows = slice(self._starts[plate], self._starts[plate + 1])
            found[columns] += np.einsum("ni,nic->c", vectors[rows], jacobian)
        return found

    def _less_star(self, whitened: Array, known: Array) -> tuple[Array, Array]:
        """Return whitened vectors of detections (n, 2) and catalogue (stars, 2) less what a free star takes up."""
        root, root_known = np.sqrt(self._weight)[:, None], np.sqrt(self._known_weight)[:, None]
        total = root_known * known
        total += np.column_stack([np.bincount(self._star, v, len(total)) for v in (root * whitened).T])
        mean = total / self._star_weight[:, None]
        return whitened - root * mean[self._star], known - root_known * mean

    def _iterated(self, wanted: Array) -> Array:
        free, root = self._free, np.sqrt(self._weight)[:, None]
        diagonal, tight = self._stiffness.copy(), np.sqrt(self._stiffness[self._free])
        for plate, (jacobian, columns) in enumerate(zip(self._jacobians, self._columns, strict=True)):
            diagonal[columns] += np.einsum("nic,n->c", jacobian**2, self._rows(plate)[1])
        scale = 1 / np.sqrt(diagonal[free])
        ends = np.cumsum([2 * len(root), 2 * len(self._star_weight)])

        def forward(vector: Array) -> Array:
            change = np.zeros(len(free))
            change[free] = scale * vector
            moved = [j @ change[c] for j, c in zip(self._jacobians, self._columns, strict=True)]
            rows = self._less_star(root * np.concatenate(moved), np.zeros((len(self._star_weight), 2)))
            return np.concatenate([rows[0].ravel(), rows[1].ravel(), tight * scale * vector])

        def backward(vector: Array) -> Array:
            rows, known, stiff = np.split(vector, ends)
            own, _ = self._less_star(rows.reshape(-1, 2), known.reshape(-1, 2))
            return np.asarray(scale * (self._transposed(root * own)[free] + tight * stiff))

        shape = int(ends[-1]) + int(free.sum()), int(free.sum())
        operator = LinearOperator(shape, matvec=forward, rmatvec=backward, dtype=np.float64)
        # what the detections are off their stars, and the catalogue, on the other side of each star's position
        other = np.column_stack([np.bincount(self._star, v, len(self._star_weight)) for v in (root**2 * wanted).T])
        known = -other / np.sqrt(np.maximum(self._known_weight, 1e-300))[:, None] * (self._known_weight > 0)[:, None]
        right = np.concatenate([(root * wanted).ravel(), known.ravel(), np.zeros(shape[1])])
        return np.asarray(scale * lsmr(operator, right, atol=1e-13, btol=1e-13, maxiter=4 * shape[1])[0])


@njit(cache=True, nogil=True)
def _product(left, right, i, j, weight):
    """Return the sum of the derivatives in rows i of one plate times those in rows j of another, weighted.

    Matrix products of a library would be spread over threads that wait for each other: the blocks are too small.
    """
    found = np.zeros((left.shape[2], right.shape[2]))
    for n in range(len(i)):
        if weight[n] == 0:
            continue
        for axis in range(2):
            for a in range(left.shape[2]):
                factor = weight[n] * left[i[n], axis, a]
                if factor != 0:
                    for b in range(right.shape[2]):
                        found[a, b] += factor * right[j[n], axis, b]
    return found
