"""Directions on the sky in the systems in which a grid may be laid out: equatorial, galactic, ecliptic."""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_OBLIQUITY = math.radians(84381.406 / 3600)  # of the ecliptic at J2000 (IAU 2006)

AXES = {
    "equatorial": ("RA---", "DEC--"),
    "galactic": ("GLON-", "GLAT-"),
    "ecliptic": ("ELON-", "ELAT-"),
}
"""How the CTYPE cards of each begin."""

_FROM_ICRS: dict[str, Matrix] = {
    # ESA 1997, The Hipparcos and Tycho Catalogues, SP-1200, vol. 1, section 1.5.3
    "galactic": np.array([
        [-0.0548755604162154, -0.8734370902348850, -0.4838350155487132],
        [+0.4941094278755837, -0.4448296299600112, +0.7469822444972189],
        [-0.8676661490190047, -0.1980763734312015, +0.4559837761750669],
    ]),
    "ecliptic": np.array([
        [1.0, 0.0, 0.0],
        [0.0, math.cos(_OBLIQUITY), math.sin(_OBLIQUITY)],
        [0.0, -math.sin(_OBLIQUITY), math.cos(_OBLIQUITY)],
    ]),
}  # fmt: skip


def from_icrs(
    system: str, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude (0 to 360) and latitude of positions (deg); NaN stays."""
    return (ra, dec) if system == "equatorial" else _turned(_FROM_ICRS[system], ra, dec)


def to_icrs(
    system: str, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ra (0 to 360) and dec of positions (deg) in a system; NaN stays."""
    return (longitude, latitude) if system == "equatorial" else _turned(_FROM_ICRS[system].T, longitude, latitude)


def _turned(
    matrix: Matrix, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = np.radians(longitude), np.radians(latitude)
    x, y, z = np.tensordot(matrix, [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axes=1)
    return np.mod(np.degrees(np.arctan2(y, x)), 360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))
