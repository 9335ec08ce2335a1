"""The photometric bands in which the simulated telescope can observe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """Throughput, sky and colours of one band."""

    zeropoint: float  # magnitude of 1 adu/s above the atmosphere, on a chip of unit response
    sky: float  # dark sky, mag/arcsec2
    extinction: float  # mag/airmass
    star: tuple[float, float]  # colour (band - r) of the bluest and of the reddest stars
    galaxy: tuple[float, float]  # the same of galaxies


BANDS: dict[str, Band] = {
    "u": Band(23.6, 22.7, 0.48, (0.9, 3.9), (0.8, 2.6)),
    "g": Band(25.2, 22.0, 0.18, (0.2, 1.5), (0.2, 1.1)),
    "r": Band(25.3, 21.0, 0.10, (0.0, 0.0), (0.0, 0.0)),
    "i": Band(25.0, 20.2, 0.06, (-0.05, -1.3), (-0.1, -0.5)),
    "z": Band(24.3, 19.1, 0.05, (-0.05, -1.9), (-0.15, -0.8)),
}
"""Magnitudes are AB; the telescope has an aperture of about 2 m."""
