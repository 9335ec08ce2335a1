"""Pictures of stars and galaxies with exact flux: sums of Gaussians, convolved with the PSF and the pixel.

All profiles are mixtures of Gaussians. Each is drawn convolved with a narrow Gaussian of known width, wide
enough to be well sampled; the rest of the PSF and the square of the pixel follow by one multiplication in
Fourier space, so that each pixel holds the integral of the light over its area.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

REACH = 4.5  # Gaussians are drawn up to this many sigma: 1.4e-5 of the flux is left out
MARGIN = 64  # px; sources this far outside still send light in
MOFFAT_BETA = 3.0


class Kind(IntEnum):
    """The radial profile of an object."""

    STAR = 0
    EXPONENTIAL = 1
    DE_VAUCOULEURS = 2


# Hogg & Lang 2013, PASP 125, 719: share of the flux, and variance in units of the half-light radius squared
PROFILES: dict[Kind, tuple[FloatArray, FloatArray]] = {
    Kind.STAR: (np.array([1.0]), np.array([0.0])),
    Kind.EXPONENTIAL: (
        np.array([2.34853813e-03, 3.07995260e-02, 2.23364214e-01, 1.17949102, 4.33873750, 5.99820770]),
        np.array([1.20078965e-03, 8.84526493e-03, 3.91463084e-02, 1.39976817e-01, 4.60962500e-01, 1.50159566]),
    ),
    Kind.DE_VAUCOULEURS: (
        np.array([
            4.26347652e-02, 2.40127183e-01, 6.85907632e-01, 1.51937350,
            2.83627243, 4.46467501, 5.72440830, 5.60989349,
        ]),
        np.array([
            2.23759216e-04, 1.00220099e-03, 4.18731126e-03, 1.69432589e-02,
            6.84850479e-02, 2.87207080e-01, 1.33320254, 8.40215071,
        ]),
    ),
}  # fmt: skip
PROFILES = {kind: (share / share.sum(), variance) for kind, (share, variance) in PROFILES.items()}


@dataclass(frozen=True)
class Psf:
    """A round PSF: a sum of Gaussians, before the pixels sample it."""

    shares: tuple[float, ...]
    variances: tuple[float, ...]  # px^2

    @property
    def drawn_variance(self) -> float:
        """Variance (px^2) of the narrow Gaussian with which sources are drawn.

        Wider ones are cut off at the Nyquist frequency less, but the rest of a narrow PSF must then be sharpened
        more: this compromise leaves errors per pixel of 2e-4 of the peak at a FWHM of 3 px, 2e-3 at 2 px.
        """
        return min(1.2, 0.3 * _fwhm(self))

    def profile(self, radius: float) -> float:
        """Return the surface brightness (px^-2) at a radius (px), for unit flux."""
        return float(sum(
            share / (2 * np.pi * variance) * np.exp(-(radius**2) / (2 * variance))
            for share, variance in zip(self.shares, self.variances, strict=True)
        ))  # fmt: skip

    def enclosed(self, radius: float) -> float:
        """Return the share of the flux within a radius (px)."""
        pairs = zip(self.shares, self.variances, strict=True)
        return float(sum(share * (1 - np.exp(-(radius**2) / (2 * variance))) for share, variance in pairs))


def moffat_psf(fwhm: float) -> Psf:
    """Return a PSF of this FWHM (px) with the wings of a Moffat function of beta = 3, out to about 3 FWHM.

    A Moffat function is a mixture of Gaussians of variance alpha^2 / 2t, where t follows a Gamma distribution
    of shape beta - 1; Gauss-Laguerre quadrature picks four of them.
    """
    order, alpha = np.arange(4), MOFFAT_BETA - 2
    side = np.sqrt(order[1:] * (order[1:] + alpha))
    nodes, vectors = np.linalg.eigh(np.diag(2 * order + 1 + alpha) + np.diag(side, 1) + np.diag(side, -1))
    unit = Psf(tuple((vectors[0] ** 2).tolist()), tuple((0.5 / nodes).tolist()))
    scale = (fwhm / _fwhm(unit)) ** 2
    return Psf(unit.shares, tuple(variance * scale for variance in unit.variances))


def _fwhm(psf: Psf) -> float:
    low, high = 0.0, 10 * max(psf.variances) ** 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if psf.profile(middle) > psf.profile(0) / 2 else (low, middle)
    return 2 * low


@dataclass(frozen=True)
class Sources:
    """What is to be drawn: arrays of equal length."""

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    kind: NDArray[np.uint8]
    shape: FloatArray  # (n, 2, 2): px^2 of the half-light ellipse, [[xx, xy], [xy, yy]]

    def near(self, shape: tuple[int, int]) -> "Sources":
        """Return those that send light into an image of this shape."""
        ny, nx = shape
        near = (self.x > -MARGIN) & (self.x < nx + MARGIN) & (self.y > -MARGIN) & (self.y < ny + MARGIN)
        return Sources(self.x[near], self.y[near], self.flux[near], self.kind[near], self.shape[near])


def render(shape: tuple[int, int], sources: Sources, psf: Psf) -> NDArray[np.float32]:
    """Return the image [y, x] of the sources, in units of their flux per pixel."""
    ny, nx = shape
    canvas = np.zeros((_fast_size(ny + 2 * MARGIN), _fast_size(nx + 2 * MARGIN)))
    near, drawn_variance = sources.near(shape), psf.drawn_variance
    for x, y, flux, kind, ellipse in zip(near.x, near.y, near.flux, near.kind, near.shape, strict=True):
        _draw(canvas, x + MARGIN, y + MARGIN, flux, *PROFILES[Kind(kind)], ellipse, drawn_variance)
    image = np.fft.irfft2(np.fft.rfft2(canvas) * _transfer(canvas.shape, psf), s=canvas.shape)
    return image[MARGIN : MARGIN + ny, MARGIN : MARGIN + nx].astype(np.float32)


def _draw(
    canvas: FloatArray,
    x: float,
    y: float,
    flux: float,
    shares: FloatArray,
    variances: FloatArray,
    ellipse: FloatArray,
    drawn_variance: float,
) -> None:
    xx, xy, yy = ellipse[0, 0] * variances, ellipse[0, 1] * variances, ellipse[1, 1] * variances
    xx, yy = xx + drawn_variance, yy + drawn_variance
    rows, columns = _window(y, yy.max(), canvas.shape[0]), _window(x, xx.max(), canvas.shape[1])
    dy, dx = np.arange(rows.start, rows.stop) - y, np.arange(columns.start, columns.stop) - x
    det = xx * yy - xy**2
    amplitude = flux * shares / (2 * np.pi * np.sqrt(det))
    across, along = -0.5 * np.outer(yy / det, dx**2), -0.5 * np.outer(xx / det, dy**2)
    if not xy.any():
        canvas[rows, columns] += (np.exp(along) * amplitude[:, None]).T @ np.exp(across)
        return
    exponent = np.multiply.outer(xy / det, np.outer(dy, dx)) + across[:, None, :] + along[:, :, None]
    canvas[rows, columns] += np.tensordot(amplitude, np.exp(exponent), axes=1)


def _window(centre: float, variance: float, size: int) -> slice:
    reach = REACH * np.sqrt(variance)
    return slice(max(0, int(np.ceil(centre - reach))), max(0, min(size, int(np.floor(centre + reach)) + 1)))


def _transfer(shape: tuple[int, ...], psf: Psf) -> FloatArray:
    """Return the factor in Fourier space that turns the drawn Gaussians into the PSF integrated over pixels."""
    ky, kx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    factor = np.zeros((ky.size, kx.size))
    for share, variance in zip(psf.shares, psf.variances, strict=True):
        rest = -2 * np.pi**2 * (variance - psf.drawn_variance)
        factor += np.outer(share * np.exp(rest * ky**2) * np.sinc(ky), np.exp(rest * kx**2) * np.sinc(kx))
    return factor


def _fast_size(least: int) -> int:
    """Return the smallest even number of only factors 2, 3 and 5 that is not below `least`."""
    sizes = (int(2 * 2**a * 3**b * 5**c) for a in range(14) for b in range(9) for c in range(6))
    return min(size for size in sizes if size >= least)
