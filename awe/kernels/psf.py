"""The model of a point source over the field: a super-resolved picture whose pixels are polynomials of the place.

The picture is the effective PSF: what a pixel collects of a star, by the distance of its centre from the star. Its
files are those of PSFEx (Bertin 2011, ASPC 442, 435).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import spline_filter

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Psf:
    """A PSF model."""

    basis: Array
    """(terms, n, n): one picture per term of the polynomial, per area of a pixel of the image; n is odd."""
    sampling: float
    """Side of a pixel of the picture, in pixels of the image."""
    degree: int
    zero: tuple[float, float]
    """x and y (pixel, from 0) that the polynomial counts from."""
    scale: tuple[float, float]
    """Its units, pixel."""
    fwhm: float
    """Pixel, in the middle of the field."""
    chi2: float = 1.0
    """Mean square of the residuals of the stars in units of their errors."""
    loaded: int = 0
    """Stars that were tried."""
    accepted: int = 0
    """Stars that were used."""
    stars: NDArray[Any] | None = None
    """What was found of each star (`awe.kernels.psf_residuals.PSF_STARS`), if the model was just made."""
    residuals: NDArray[Any] | None = None
    """What the stars of each part of the field have left in common (`awe.kernels.psf_residuals.mean_residuals`)."""

    @property
    def radius(self) -> float:
        """Half the side of the picture, in pixels of the image."""
        return (self.basis.shape[1] - 1) / 2 * self.sampling

    @cached_property
    def coefficients(self) -> Array:
        """Coefficients of the cubic B-splines that interpolate the pictures."""
        return np.array([spline_filter(plane, 3) for plane in self.basis])

    def terms(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return the terms of the polynomial at places: array (n, terms)."""
        u, v = ((np.asarray(p, np.float64) - z) / s for p, z, s in zip((x, y), self.zero, self.scale, strict=True))
        return polynomial(np.atleast_1d(u), np.atleast_1d(v), self.degree)

    def shifted(self, dx: float, dy: float) -> "Psf":
        """Return the model for a part of the image whose first pixel is (dx, dy)."""
        other = replace(self, zero=(self.zero[0] - dx, self.zero[1] - dy))
        other.__dict__["coefficients"] = self.coefficients
        return other

    def picture(self, x: float, y: float) -> Array:
        """Return the picture at a place of the field."""
        return np.asarray(np.tensordot(self.terms(x, y)[0], self.basis, 1))

    def stamp(self, x: float, y: float, side: int) -> tuple[Array, int, int]:
        """Return a star of unit flux at (x, y), on side x side pixels, and the column and row of the first of them."""
        i0, j0 = round(x) - side // 2, round(y) - side // 2
        local = np.tensordot(self.terms(x, y)[0], self.coefficients, 1)
        out = np.zeros((side, side))
        draw(local, 1 / self.sampling, x - i0, y - j0, out)
        return out, i0, j0


def polynomial(u: Array, v: Array, degree: int) -> Array:
    """Return u^i v^j for i + j <= degree, in the order of PSFEx: 1, u, u^2, v, u v, v^2. Array (n, terms)."""
    return np.stack([u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)], axis=-1)


def terms_of(degree: int) -> int:
    """Return the number of terms of a polynomial in two variables."""
    return (degree + 1) * (degree + 2) // 2


def psf_table(psf: Psf) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the row and the header cards of a PSFEx file; its places count from 1."""
    terms, side, _ = psf.basis.shape
    row = np.zeros(1, [("PSF_MASK", "f4", psf.basis.shape)])
    row["PSF_MASK"][0] = psf.basis
    cards: dict[str, Any] = {"LOADED": psf.loaded, "ACCEPTED": psf.accepted, "CHI2": psf.chi2, "POLNAXIS": 2}
    for axis, name in enumerate(("X_IMAGE", "Y_IMAGE")):
        cards |= {f"POLGRP{axis + 1}": 1, f"POLNAME{axis + 1}": name}
        cards |= {f"POLZERO{axis + 1}": psf.zero[axis] + 1, f"POLSCAL{axis + 1}": psf.scale[axis]}
    cards |= {"POLNGRP": 1, "POLDEG1": psf.degree, "PSF_FWHM": psf.fwhm, "PSF_SAMP": psf.sampling}
    return row, cards | {"PSFNAXIS": 3, "PSFAXIS1": side, "PSFAXIS2": side, "PSFAXIS3": terms}


def psf_of_table(picture: ArrayLike, cards: Mapping[str, Any]) -> Psf:
    """Return the model in a PSFEx file.

    Parameters
    ----------
    picture : array (terms, n, n)
        Its PSF_MASK.
    cards : mapping
        Its header.

    Raises
    ------
    ValueError
        If the PSF varies with anything but one polynomial of X_IMAGE and Y_IMAGE, or the file contradicts itself.
    """
    basis = np.asarray(picture, np.float64)
    axes = int(cards.get("POLNAXIS", 0))
    names = [str(cards.get(f"POLNAME{axis + 1}", "")).strip() for axis in range(axes)]
    if names not in ([], ["X_IMAGE", "Y_IMAGE"]) or int(cards.get("POLNGRP", 0)) > 1:
        raise ValueError(f"the PSF varies with {', '.join(names)}; expected one polynomial of X_IMAGE and Y_IMAGE")
    degree = int(cards["POLDEG1"]) if axes else 0
    if basis.ndim == 2:
        basis = basis[None]
    if basis.ndim != 3 or len(basis) != terms_of(degree) or basis.shape[1] != basis.shape[2] or basis.shape[1] % 2 == 0:
        raise ValueError(f"the PSF has shape {basis.shape}, expected ({terms_of(degree)}, n, n) with n odd")
    zero, scale = (tuple(float(cards[f"{word}{axis + 1}"]) for axis in range(axes)) for word in ("POLZERO", "POLSCAL"))
    facts = {"chi2": float(cards.get("CHI2", 1.0)), "loaded": int(cards.get("LOADED", 0))}
    return Psf(
        basis,
        float(cards["PSF_SAMP"]),
        degree,
        (zero[0] - 1, zero[1] - 1) if axes else (0.0, 0.0),
        (scale[0], scale[1]) if axes else (1.0, 1.0),
        float(cards["PSF_FWHM"]),
        accepted=int(cards.get("ACCEPTED", 0)),
        chi2=facts["chi2"],
        loaded=int(facts["loaded"]),
    )


@njit(cache=True, nogil=True)
def spline_weights(t, weights):
    """Fill in the weights of the four cubic B-splines around a place, t (0 to 1) beyond the second of them."""
    s = 1 - t
    weights[0] = s * s * s / 6
    weights[1] = 2 / 3 - t * t * (2 - t) / 2
    weights[2] = 2 / 3 - s * s * (2 - s) / 2
    weights[3] = t * t * t / 6


@njit(cache=True, nogil=True)
def spline_slopes(t, slopes):
    """Fill in the derivatives of these weights."""
    s = 1 - t
    slopes[0] = -s * s / 2
    slopes[1] = t * (1.5 * t - 2)
    slopes[2] = s * (2 - 1.5 * s)
    slopes[3] = t * t / 2


@njit(cache=True, nogil=True)
def spline_axis(size, side, fine, centre):
    """Prepare the interpolation along one axis: `size` pixels of the image, from a picture of `side` pixels.

    Parameters
    ----------
    fine : float
        Pixels of the picture per pixel of the image.
    centre : float
        Place of the star on the axis of the image.

    Returns
    -------
    first : array of size int, weights, slopes : arrays (size, 4)
        The first of the four pixels of the picture (-1 = beyond it), and what they are multiplied by.
    """
    first, weights, slopes = np.empty(size, np.int64), np.zeros((size, 4)), np.zeros((size, 4))
    for i in range(size):
        place = (i - centre) * fine + (side - 1) / 2
        k = int(np.floor(place))
        if k < 1 or k > side - 3:
            first[i] = -1
            continue
        first[i] = k - 1
        spline_weights(place - k, weights[i])
        spline_slopes(place - k, slopes[i])
    return first, weights, slopes


@njit(cache=True, nogil=True)
def draw(local, fine, x, y, out):
    """Add a star of unit flux at (x, y) to an image.

    Parameters
    ----------
    local : array (n, n)
        Spline coefficients of the picture at the place of the star.
    fine : float
        Pixels of the picture per pixel of the image.
    out : array (ny, nx)
        Added to.
    """
    side = local.shape[0]
    ny, nx = out.shape
    columns, along, _ = spline_axis(nx, side, fine, x)
    rows, across, _ = spline_axis(ny, side, fine, y)
    for j in range(ny):
        if rows[j] < 0:
            continue
        for i in range(nx):
            if columns[i] < 0:
                continue
            total = 0.0
            for m in range(4):
                line = 0.0
                for n in range(4):
                    line += along[i, n] * local[rows[j] + m, columns[i] + n]
                total += across[j, m] * line
            out[j, i] += total
