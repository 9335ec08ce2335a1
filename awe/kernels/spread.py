"""SPREAD_MODEL: whether a source is wider than the PSF (Desai et al. 2012, ApJ 757, 83).

With p the pixels, f the local PSF and g the same convolved with a small exponential disc (scale length FWHM / 16), at
the fitted place, it is (g p) / (f p) - (g f) / (f f): 0 for stars, positive for galaxies, negative for cosmic rays.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from awe.kernels.photometry import Plane
from awe.kernels.psf import Psf
from awe.kernels.psf_photometry import draw_sources, local_picture, star_at

Array = NDArray[np.float64]

SCALE_LENGTH = 1 / 16
"""Of the disc, in units of the FWHM."""
RADIUS = 2.0
"""Of the pixels that are used, in units of the FWHM."""
STAR_SPREAD = 0.003
"""Sources below this, and 3 errors of it, may be stars (Desai et al. 2012)."""


def spread_model(plane: Plane, psf: Psf, fitted: NDArray[Any], threads: int = 1) -> tuple[Array, Array]:
    """Return SPREAD_MODEL of sources, and its error.

    Parameters
    ----------
    plane : Plane
        Bad pixels are left out.
    psf : Psf
    fitted : array of n `awe.kernels.psf_photometry.PSF_ROWS`
        The light of all others is subtracted from each.
    threads : int

    Returns
    -------
    spread, error : arrays of n
        NaN where no flux could be fitted, or it is not positive.
    """
    wide = np.array([spline_filter(picture, 3) for picture in widened(psf)])
    model = draw_sources(plane.image.shape, psf, fitted)
    terms = np.ascontiguousarray(psf.terms(fitted["x"], fitted["y"]))
    out = np.full((len(fitted), 2), np.nan)
    edges = np.linspace(0, len(fitted), 8 * threads + 1).astype(int)

    def measure(first: int, last: int) -> None:
        pictures = psf.coefficients, wide, 1 / psf.sampling, terms
        arrays = plane.image, plane.variance, plane.bad, model
        _spreads(*arrays, *pictures, first, last, RADIUS * psf.fwhm, 1 / plane.gain, fitted, out)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(measure, edges[:-1].tolist(), edges[1:].tolist()))
    return out[:, 0], out[:, 1]


def widened(psf: Psf) -> Array:
    """Return the pictures of the model convolved with the disc, whose Fourier transform is (1 + (2 pi k h)^2)^-1.5."""
    side = psf.basis.shape[1]
    padded = 2 * side
    k2 = np.fft.fftfreq(padded)[:, None] ** 2 + np.fft.rfftfreq(padded) ** 2
    length = SCALE_LENGTH * psf.fwhm / psf.sampling
    disc = (1 + (2 * np.pi * length) ** 2 * k2) ** -1.5
    spectrum = np.fft.rfft2(psf.basis, s=(padded, padded)) * disc
    return np.fft.irfft2(spectrum, s=(padded, padded))[:, :side, :side]


@njit(cache=True, nogil=True)
def _spreads(
    image, variance, bad, model, pictures, wide, fine, terms, first, last, radius, per_electron, fitted, out
):  # fmt: skip
    ny, nx = image.shape
    wx, wy, sx, sy = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    for s in range(first, last):
        x, y, flux = fitted[s].x, fitted[s].y, fitted[s].flux
        if not flux > 0:
            continue
        narrow, other = local_picture(pictures, terms[s]), local_picture(wide, terms[s])
        fp = gp = ff = gf = fvf = gvg = gvf = 0.0
        for j in range(max(0, int(y - radius)), min(ny, int(y + radius) + 2)):
            for i in range(max(0, int(x - radius)), min(nx, int(x + radius) + 2)):
                dx, dy = i - x, j - y
                if bad[j, i] or dx * dx + dy * dy > radius * radius:
                    continue
                f, _, _ = star_at(narrow, fine, dx, dy, wx, wy, sx, sy)
                g, _, _ = star_at(other, fine, dx, dy, wx, wy, sx, sy)
                p = image[j, i] - model[j, i] + flux * f
                v = variance[j, i] + max(flux * f, 0.0) * per_electron
                fp += f * p
                gp += g * p
                ff += f * f
                gf += g * f
                fvf += f * v * f
                gvg += g * v * g
                gvf += g * v * f
        if fp > 0 and ff > 0:
            out[s, 0] = gp / fp - gf / ff
            out[s, 1] = np.sqrt(max(gvg * fp * fp + fvf * gp * gp - 2 * gvf * gp * fp, 0.0)) / fp**2
