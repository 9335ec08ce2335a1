"""Least squares for many plates that see the same stars, whose unknown positions are eliminated."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

ROUGH, FINE, SPREAD = 1e-5, 1e-4, 1e-3
"""Relative accuracy of a step, which later steps improve; of a known vector's variance; of a random solution."""
PROBES = 32
"""Most solutions by which errors are told: beyond that many they are those of random ones, good to 9 %."""
THREADS = 2
"""Solutions for errors that are found at the same time."""
MOST_ROUNDS = 2000


@dataclass(frozen=True, eq=False)
class Derivatives:
    """How the positions of all detections change with the parameters; detections lie plate behind plate.

    The change of a detection on its plate's plane is (T p) d, where p are the parameters of its plate, T (a matrix)
    makes of them the 2 x m coefficients of m terms, and d are the values of the terms at the detection.
    """

    starts: Indices
    """Where the detections of each plate begin; the last is n."""
    terms: Array
    """(n, m): d."""
    turn: Array
    """(n, 2, 2): from the plane of the plate to that on which positions are compared."""
    mixing: Array
    """(plates, 2 m, 2 m): T."""
    columns: Indices
    """(plates, 2 m): numbers of the parameters of each plate."""


@dataclass(frozen=True, eq=False)
class Block:
    """Parameters that depend on each other most: those of one chip, or of one exposure."""

    owner: Indices
    """Of each plate."""
    part: slice
    """Which columns of a plate they are."""


class Adjustment:
    """One linear step of the parameters.

    Minimised is the sum, over all stars, of w_i (d_i - X)^2 of its detections and of w_0 (x_0 - X)^2 of its catalogue
    position, with the star's X free, and of the squared parameters (less their expected values) over their variances
    beforehand. With X eliminated, X = (w_0 x_0 + sum w_i d_i) / W, the first is the sum of w_i w_j / W (d_i - d_j)^2
    over all pairs of its detections, and of w_i w_0 / W (d_i - x_0)^2 over the pairs with the catalogue, where
    W = w_0 + sum w_i. No pair is ever visited: the normal equations are applied by way of the mean of each star, so
    that time and memory grow as the number of detections. They are solved by conjugate gradients, preconditioned with
    the blocks of chips and exposures (Hestenes & Stiefel 1952, J. Res. NBS 49, 409).
    """

    def __init__(
        self,
        derivatives: Derivatives,
        blocks: Sequence[Block],
        star: Indices,
        weight: Array,
        known_weight: Array,
        stiffness: Array,
        free: NDArray[np.bool_],
    ) -> None:
        """Take the derivatives of all detections.

        Parameters
        ----------
        derivatives : Derivatives
        blocks : sequence of Block
            Each column is in one of them.
        star : array of n
            Number of the star of each detection.
        weight : array of n
            1 / variance of each coordinate of a detection; 0 = not used.
        known_weight : array of stars
            1 / variance of the catalogue's positions; 0 = none.
        stiffness : array of parameters
            1 / variance of each parameter about its expected value.
        free : array of parameters
            False = kept as it is.
        """
        self._d, self._star, self._weight, self._known = derivatives, star, weight, known_weight
        self._total = np.maximum(np.bincount(star, weight, len(known_weight)) + known_weight, 1e-300)
        self._stiffness, self._free = stiffness, free
        self._inverses = [self._inverse(block) for block in blocks]

    def step(self, off: Array, strain: Array) -> Array:
        """Return the change of the parameters.

        `off` are the detections' d_i - X (n, 2), `strain` the parameters less their expected values, at present.
        """
        return self._solved(-self._gradient(off) - self._stiffness * strain, ROUGH)

    def variances(self, terms: Array, turn: Array) -> Array:
        """Return the variance of a position on each plate, the mean of both coordinates, by the parameters' errors.

        As many solutions are needed as there are positions times 2. Beyond `PROBES` the scatter of that many solutions
        of random detections tells them; their seed is fixed.

        Parameters
        ----------
        terms : array (plates, m)
        turn : array (plates, 2, 2)
        """
        plates = len(terms)
        with ThreadPoolExecutor(THREADS) as pool:
            if 2 * plates <= PROBES:
                wanted = [self._unit(k, axis, terms, turn) for k in range(plates) for axis in (0, 1)]
                found = list(pool.map(lambda vector: float(vector @ self._solved(vector, FINE)), wanted))
                return np.array(found).reshape(plates, 2).mean(axis=1)
            rngs = [np.random.default_rng(seed) for seed in np.random.SeedSequence(plates).spawn(PROBES)]
            squares = pool.map(lambda rng: self._squares(self._solved(self._random(rng), SPREAD), terms, turn), rngs)
            return np.sum(list(squares), axis=0) / PROBES

    def _squares(self, values: Array, terms: Array, turn: Array) -> Array:
        """Return how far (mean square of both coordinates) parameters move a position on each plate."""
        local = np.einsum("kij,kj->ki", self._d.mixing, values[self._d.columns]).reshape(len(terms), 2, -1)
        return np.asarray((np.einsum("kab,kbm,km->ka", turn, local, terms) ** 2).mean(axis=1))

    def _unit(self, plate: int, axis: int, terms: Array, turn: Array) -> Array:
        """Return by which factors the parameters change one coordinate of a position."""
        vector = np.zeros(len(self._free))
        np.add.at(vector, self._d.columns[plate], np.kron(turn[plate, axis], terms[plate]) @ self._d.mixing[plate])
        return vector * self._free

    def _random(self, rng: np.random.Generator) -> Array:
        """Return the right side for detections and catalogue positions that scatter about zero as their errors say."""
        root = np.sqrt(self._weight)
        scattered = rng.standard_normal((len(root), 2)) / np.where(root > 0, root, np.inf)[:, None]
        known = rng.standard_normal((len(self._known), 2)) * np.sqrt(self._known)[:, None]
        sums = np.column_stack([np.bincount(self._star, self._weight * v, len(known)) for v in scattered.T]) + known
        off = scattered - (sums / self._total[:, None])[self._star]
        return self._gradient(off) + np.sqrt(self._stiffness) * rng.standard_normal(len(self._free))

    def _gradient(self, off: Array) -> Array:
        return _transposed(*self._parts(), off, self._weight, len(self._free))

    def _parts(self) -> tuple[Indices, Array, Array, Array, Indices]:
        d = self._d
        return d.starts, d.terms, d.turn, d.mixing, d.columns

    def _normal(self, vector: Array) -> Array:
        """Return the normal matrix times a vector of the free parameters."""
        off = _moved(*self._parts(), vector)
        _less_mean(off, self._star, self._weight, self._total)
        return (self._gradient(off) + self._stiffness * vector) * self._free

    def _solved(self, right: Array, accuracy: float) -> Array:
        """Return the solution of the normal equations by preconditioned conjugate gradients."""
        left = right * self._free
        found = np.zeros(len(left))
        search = self._preconditioned(left)
        size = first = float(left @ search)
        along = search.copy()
        for _ in range(MOST_ROUNDS):
            if size <= accuracy**2 * first:
                break
            image = self._normal(along)
            length = size / float(along @ image)
            found += length * along
            left -= length * image
            search = self._preconditioned(left)
            size, before = float(left @ search), size
            along = search + size / before * along
        return found

    def _inverse(self, block: Block) -> tuple[Indices, Array]:
        """Return the columns of a kind of block (owners, m), and the inverse of its part of the normal matrix."""
        d, part = self._d, block.part
        owners = int(block.owner.max()) + 1
        columns = np.zeros((owners, part.stop - part.start), np.int64)
        columns[block.owner] = d.columns[:, part]
        owner = np.repeat(block.owner, np.diff(d.starts))
        # detections of a star that belong to the same owner lie behind each other
        rows = np.flatnonzero(self._weight)
        rows = rows[np.lexsort((self._star[rows], owner[rows]))]
        plate = np.repeat(np.arange(len(block.owner)), np.diff(d.starts))
        matrix = _block(
            rows,
            owner,
            plate,
            d.terms,
            d.turn,
            d.mixing[:, :, part].copy(),
            self._star,
            self._weight,
            self._total,
            owners,
        )
        free, stiffness = self._free[columns], self._stiffness[columns]
        matrix *= free[:, :, None] & free[:, None, :]
        diagonal = np.arange(columns.shape[1])
        matrix[:, diagonal, diagonal] += np.where(free, stiffness, 1.0)
        scale = 1 / np.sqrt(matrix[:, diagonal, diagonal])
        inverse = np.linalg.inv(matrix * scale[:, :, None] * scale[:, None, :])
        return columns, inverse * scale[:, :, None] * scale[:, None, :]

    def _preconditioned(self, vector: Array) -> Array:
        found = np.zeros(len(vector))
        for columns, inverse in self._inverses:
            found[columns.ravel()] = np.einsum("kij,kj->ki", inverse, vector[columns]).ravel()
        return found * self._free


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _moved(starts, terms, turn, mixing, columns, vector):
    """Return by how much (n, 2) a change of the parameters moves each detection."""
    m = terms.shape[1]
    found, local = np.zeros((len(terms), 2)), np.zeros(2 * m)
    for plate in range(len(columns)):
        for a in range(2 * m):
            local[a] = 0.0
            for b in range(2 * m):
                local[a] += mixing[plate, a, b] * vector[columns[plate, b]]
        for i in range(starts[plate], starts[plate + 1]):
            xi = eta = 0.0
            for j in range(m):
                xi += local[j] * terms[i, j]
                eta += local[m + j] * terms[i, j]
            found[i, 0] = turn[i, 0, 0] * xi + turn[i, 0, 1] * eta
            found[i, 1] = turn[i, 1, 0] * xi + turn[i, 1, 1] * eta
    return found


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _transposed(starts, terms, turn, mixing, columns, off, weight, size):
    """Return the derivatives of all detections times their weighted vectors, summed up for each parameter."""
    m = terms.shape[1]
    found, local = np.zeros(size), np.zeros(2 * m)
    for plate in range(len(columns)):
        local[:] = 0.0
        for i in range(starts[plate], starts[plate + 1]):
            if weight[i] == 0:
                continue
            xi = weight[i] * (turn[i, 0, 0] * off[i, 0] + turn[i, 1, 0] * off[i, 1])
            eta = weight[i] * (turn[i, 0, 1] * off[i, 0] + turn[i, 1, 1] * off[i, 1])
            for j in range(m):
                local[j] += xi * terms[i, j]
                local[m + j] += eta * terms[i, j]
        for b in range(2 * m):
            total = 0.0
            for a in range(2 * m):
                total += mixing[plate, a, b] * local[a]
            found[columns[plate, b]] += total
    return found


@njit(cache=True, nogil=True)
def _less_mean(off, star, weight, total):
    """Take the weighted mean of each star from its detections' vectors; the catalogue's position does not move."""
    sums = np.zeros((len(total), 2))
    for i in range(len(off)):
        sums[star[i], 0] += weight[i] * off[i, 0]
        sums[star[i], 1] += weight[i] * off[i, 1]
    for i in range(len(off)):
        off[i, 0] -= sums[star[i], 0] / total[star[i]]
        off[i, 1] -= sums[star[i], 1] / total[star[i]]


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _block(rows, owner, plate, terms, turn, mixing, star, weight, total, owners):
    """Return the blocks (owners, m, m) of the normal matrix; `rows` are in the order of owner and star."""
    count, size = terms.shape[1], mixing.shape[2]
    found, sums, own = np.zeros((owners, size, size)), np.zeros((2, size)), np.zeros((2, size))
    for n in range(len(rows)):
        i = rows[n]
        k = plate[i]
        for axis in range(2):
            for c in range(size):
                xi = eta = 0.0
                for j in range(count):
                    xi += mixing[k, j, c] * terms[i, j]
                    eta += mixing[k, count + j, c] * terms[i, j]
                own[axis, c] = turn[i, axis, 0] * xi + turn[i, axis, 1] * eta
                sums[axis, c] += weight[i] * own[axis, c]
        matrix = found[owner[i]]
        for axis in range(2):
            for a in range(size):
                factor = weight[i] * own[axis, a]
                for b in range(size):
                    matrix[a, b] += factor * own[axis, b]
        if n + 1 == len(rows) or star[rows[n + 1]] != star[i] or owner[rows[n + 1]] != owner[i]:
            for axis in range(2):
                for a in range(size):
                    factor = sums[axis, a] / total[star[i]]
                    for b in range(size):
                        matrix[a, b] -= factor * sums[axis, b]
            sums[:] = 0.0
    return found
