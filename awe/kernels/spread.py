"""SPREAD_MODEL: whether a source is wider than the PSF (Desai et al. 2012, ApJ 757, 83).

With p the pixels, f the local PSF and g the same convolved with a small exponential disc (scale length FWHM / 16), at
the fitted place, it is (g p) / (f p) - (g f) / (f f): 0 for stars, positive for galaxies, negative for cosmic rays.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from awe.kernels.psf import Psf
from awe.kernels.psf_crowd import Crowd, Stamps, neighbours_of
from awe.kernels.psf_light import add_star
from awe.kernels.psf_photometry import in_slices, subtract_stars

Array = NDArray[np.float64]

SCALE_LENGTH = 1 / 16
"""Of the disc, in units of the FWHM."""
RADIUS = 2.0
"""Of the pixels that are used, in units of the FWHM."""
STAR_SPREAD = 0.003
"""Sources below this, and 3 errors of it, may be stars (Desai et al. 2012)."""


def spread_model(
    crowd: Crowd, stamps: Stamps, psf: Psf, gain: float, fitted: NDArray[Any], threads: int = 1
) -> tuple[Array, Array]:
    """Return SPREAD_MODEL of sources, and its error.

    Parameters
    ----------
    crowd, stamps, psf, gain
        As for `awe.kernels.psf_photometry.fit_crowd`.
    fitted : array of n `awe.kernels.psf_photometry.PSF_ROWS`
        What that returned; the light of all others is subtracted from each source.
    threads : int

    Returns
    -------
    spread, error : arrays of n
        NaN where no flux could be fitted, or it is not positive.
    """
    wide = np.array([spline_filter(picture, 3) for picture in widened(psf)])
    terms = np.ascontiguousarray(psf.terms(crowd.x, crowd.y))
    out = np.full((len(fitted), 2), np.nan)
    layout = crowd.order, crowd.starts, crowd.boxes, crowd.group, crowd.cells, crowd.reach
    pixels = stamps.groups, stamps.starts, stamps.light, stamps.variance
    pictures = psf.coefficients, wide, 1 / psf.sampling, terms, RADIUS * psf.fwhm, 1 / gain

    def measure(first: int, last: int) -> None:
        _spreads(first, last, *layout, *pixels, *pictures, fitted, out)

    in_slices(measure, len(stamps.groups), threads)
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
    first, last, order, starts, boxes, group, cells, reach, groups, begin, light, variance, pictures, wide, fine,
    terms, radius, per_electron, fitted, out,
):  # fmt: skip
    for k in range(first, last):
        g = groups[k]
        own, box = order[starts[g] : starts[g + 1]], boxes[g]
        if box[2] * box[3] == 0:
            continue
        rest = light[begin[k] : begin[k + 1]].reshape((box[3], box[2])).astype(np.float64)
        noise = variance[begin[k] : begin[k + 1]].reshape((box[3], box[2]))
        near = neighbours_of(box, cells, fitted.x, fitted.y, reach, g, group)
        subtract_stars(near, box, pictures, fine, terms, fitted, rest)
        subtract_stars(own, box, pictures, fine, terms, fitted, rest)
        for s in own:
            if fitted[s].flux > 0:
                x, y = fitted[s].x - box[0], fitted[s].y - box[1]
                _spread(rest, noise, x, y, fitted[s].flux, pictures, wide, fine, terms[s], radius, per_electron, out[s])


@njit(cache=True, nogil=True)
def _spread(rest, noise, x, y, flux, pictures, wide, fine, terms, radius, per_electron, out):
    """Fill in the measure of one source, and its error; `rest` is what is left without all sources."""
    ny, nx = rest.shape
    i0, i1 = max(0, int(x - radius)), min(nx, int(x + radius) + 2)
    j0, j1 = max(0, int(y - radius)), min(ny, int(y + radius) + 2)
    if i1 <= i0 or j1 <= j0:
        return
    star, disc = np.zeros((j1 - j0, i1 - i0)), np.zeros((j1 - j0, i1 - i0))
    add_star(pictures, terms, fine, x - i0, y - j0, 1.0, star)
    add_star(wide, terms, fine, x - i0, y - j0, 1.0, disc)
    fp = gp = ff = gf = fvf = gvg = gvf = 0.0
    for j in range(j1 - j0):
        for i in range(i1 - i0):
            dx, dy = i0 + i - x, j0 + j - y
            spread = noise[j0 + j, i0 + i]
            if not np.isfinite(spread) or dx * dx + dy * dy > radius * radius:
                continue
            f, g = star[j, i], disc[j, i]
            p = rest[j0 + j, i0 + i] + flux * f
            v = spread + max(flux * f, 0.0) * per_electron
            fp += f * p
            gp += g * p
            ff += f * f
            gf += g * f
            fvf += f * v * f
            gvg += g * v * g
            gvf += g * v * f
    if fp > 0 and ff > 0:
        out[0] = gp / fp - gf / ff
        out[1] = np.sqrt(max(gvg * fp * fp + fvf * gp * gp - 2 * gvf * gp * fp, 0.0)) / fp**2
