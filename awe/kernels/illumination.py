"""Illumination correction: what a flat field makes of light that did not come by way of the star."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander

from awe.kernels.statistics import robust_sigma

_PASSES = 10
_CONVERGED = 1e-5
"""mag"""


@dataclass(frozen=True)
class StarResiduals:
    """Stars of known magnitude in one frame."""

    x: np.ndarray
    y: np.ndarray
    """pixel, from 0"""
    residual: np.ndarray
    """Known magnitude less the magnitude that the flux and one zeropoint give; mag."""
    error: np.ndarray
    """Of the flux; mag."""
    known_error: np.ndarray
    """Of the known magnitude, which a star has in common in all frames; mag."""
    star: np.ndarray
    """Number of the star, from 0: the same in all frames."""


@dataclass(frozen=True, eq=False)
class Illumination:
    """The zeropoint over a chip, relative to its mean: a sum of products of Legendre polynomials, without constant.

    A star at x, y is brighter by the map (mag) than its flux says where the map is negative:
    magnitude = zeropoint + map(x, y) - 2.5 log10(flux). Pixels, less their sky, are multiplied by 10^(-0.4 map).
    """

    degree: int
    coefficients: np.ndarray
    """mag, one for each pair of degrees of `terms`."""
    covariance: np.ndarray
    shape: tuple[int, int]
    scatter: float
    """Robust spread of the residuals of the stars used, mag."""
    count: int
    rejected: int
    offsets: tuple[float, ...]
    """By what the zeropoint of each frame changes, mag."""

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the map (mag) at pixels."""
        return _design(x, y, self.shape, self.degree) @ self.coefficients

    def error_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the standard error of the map (mag) at pixels."""
        design = _design(x, y, self.shape, self.degree)
        return np.sqrt(np.einsum("ij,jk,ik->i", design, self.covariance, design))

    def image(self) -> np.ndarray:
        """Return what pixels are multiplied by: float32, shape (ny, nx)."""
        ny, nx = self.shape
        across, along = (legvander(_unit(np.arange(n), n), self.degree) for n in (nx, ny))
        table = np.zeros((self.degree + 1, self.degree + 1))
        for (i, j), c in zip(terms(self.degree), self.coefficients, strict=True):
            table[j, i] = c
        return (10 ** (-0.4 * (along @ table @ across.T))).astype(np.float32)


def terms(degree: int) -> list[tuple[int, int]]:
    """Return the degrees in x and y of the terms up to a total degree, without the constant.

    >>> terms(2)
    [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    """
    return [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j]


def fit_illumination(
    frames: Sequence[StarResiduals], shape: tuple[int, int], degree: int = 2, threshold: float = 3.5
) -> Illumination:
    """Fit the zeropoint as a function of the place on a chip to stars of known magnitude in one or more frames.

    Each frame has a zeropoint of its own, the map is common. The map has mean zero over the chip. Each star has an
    offset of its own, which the error of its known magnitude bounds: stars that were seen at several places tell the
    map better than their known magnitudes do. What scatter the errors do not explain (variable stars, colours) is added
    to that error. Stars further than `threshold` sigma off are rejected and looked at again in each pass. With fewer
    than 5 of them for each term the degree is lowered.

    Parameters
    ----------
    frames : sequence of StarResiduals
        Values that are not finite are left out.
    shape : tuple of int
        (ny, nx) of the chip.
    degree : int
        Highest total degree in x and y.
    threshold : float, sigma

    Returns
    -------
    Illumination
        Of degree 0, that is no correction, if there are fewer than 15 measurements of stars.
    """
    if degree < 0:
        raise ValueError(f"degree must not be negative, got {degree}")
    columns = [np.concatenate([np.asarray(getattr(f, n), np.float64) for f in frames] or [np.zeros(0)]) for n in _NAMES]
    number = np.repeat(np.arange(len(frames)), [len(f.x) for f in frames])
    good = np.all(np.isfinite(columns), axis=0) & (columns[3] > 0) & (columns[4] >= 0)
    x, y, residual, error, known, star = (c[good] for c in columns)
    number = number[good]
    degree = _affordable(degree, good.sum())
    if degree == 0:
        none = np.zeros(0)
        return Illumination(0, none, np.zeros((0, 0)), shape, np.nan, int(good.sum()), 0, (0.0,) * len(frames))
    own = np.equal.outer(number, np.arange(len(frames))).astype(np.float64)
    design = np.hstack([own, _design(x, y, shape, degree)])
    stars = _Stars(np.unique(star, return_inverse=True)[1], known)
    solution, covariance, used, scatter = _robust(design, residual, error, stars, threshold)
    count = len(frames)
    return Illumination(
        degree, solution[count:], covariance[count:, count:], shape, scatter, int(used.sum()), int((~used).sum()),
        tuple(solution[:count].tolist()),
    )  # fmt: skip


_NAMES = ("x", "y", "residual", "error", "known_error", "star")
_STARS_FOR_A_TERM = 5


def _affordable(degree: int, stars: int) -> int:
    while degree and stars < _STARS_FOR_A_TERM * (len(terms(degree)) + 1):
        degree -= 1
    return degree


def _unit(pixel: np.ndarray, size: int) -> np.ndarray:
    """Return a coordinate that runs from -1 to 1 over the outer edges of the pixels."""
    return (2 * np.asarray(pixel, np.float64) + 1) / size - 1


def _design(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], degree: int) -> np.ndarray:
    across, along = legvander(_unit(x, shape[1]), degree), legvander(_unit(y, shape[0]), degree)
    columns = [across[..., i] * along[..., j] for i, j in terms(degree)]
    return np.stack(columns, axis=-1) if columns else np.zeros((*np.shape(x), 0))


@dataclass(frozen=True, eq=False)
class _Stars:
    """Which star each measurement is of, and the error (mag) of its known magnitude."""

    index: np.ndarray
    known_error: np.ndarray

    def solved(
        self, design: np.ndarray, values: np.ndarray, weight: np.ndarray, excess: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return solution and covariance of the other unknowns, with the offsets of the stars eliminated."""
        count = self.index.max() + 1
        prior = np.full(count, 1e-12 + excess**2)
        prior[self.index] += self.known_error**2
        freedom = np.bincount(self.index, weight, count) + 1 / prior
        share = np.zeros((count, design.shape[1]))
        np.add.at(share, self.index, design * weight[:, None])
        told = np.bincount(self.index, weight * values, count)
        normal = (design * weight[:, None]).T @ design - (share / freedom[:, None]).T @ share
        # a pseudo-inverse: a frame of which no star is left has no offset of its own
        covariance = np.linalg.pinv(normal, hermitian=True)
        return covariance @ (design.T @ (weight * values) - share.T @ (told / freedom)), covariance


def _excess(rest: np.ndarray, error: np.ndarray) -> float:
    """Return the scatter (mag) that must be added to the errors for the residuals to be of their size."""
    low, high = 0.0, 2 * robust_sigma(rest)
    if robust_sigma(rest / error) <= 1:
        return 0.0
    while high - low > _CONVERGED:
        middle = (low + high) / 2
        enough = robust_sigma(rest / np.hypot(error, middle)) <= 1
        low, high = (low, middle) if enough else (middle, high)
    return high


def _robust(
    design: np.ndarray, values: np.ndarray, error: np.ndarray, stars: _Stars, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return solution, covariance, which values were used, and the spread of those about the solution."""
    used, excess = np.ones(values.size, bool), robust_sigma(values)
    total = np.hypot(error, stars.known_error)
    solution = np.zeros(design.shape[1])
    for _ in range(_PASSES):
        before = solution
        solution, covariance = stars.solved(design, values, np.where(used, error**-2.0, 0.0), excess)
        rest = values - design @ solution
        sigma = robust_sigma(rest[used])
        excess = _excess(rest[used], total[used])
        used = np.abs(rest) <= threshold * np.hypot(total, excess)
        if np.abs(solution - before).max() < _CONVERGED:
            break
    return solution, covariance, used, float(sigma)
