"""What goes into a global astrometric solution, and what comes out."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from awe.kernels.astrometry import proper_motion
from awe.kernels.choices import FocalPlane
from awe.kernels.plate_model import PlateModel
from awe.kernels.wcs import Wcs

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Detected:
    """The stars detected on one plate."""

    x: Array
    """pixel"""
    y: Array
    error: Array
    """Standard deviation of a coordinate, pixel."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Reference stars at the epoch of the catalogue."""

    ra: Array
    """deg"""
    dec: Array
    error: Array
    """Standard deviation of a coordinate, arcsec."""
    pmra: Array
    """mas/yr, with cos(dec); NaN = unknown, taken as 0."""
    pmdec: Array
    motion_error: Array
    """mas/yr; NaN = 0."""
    epoch: float
    """Julian year."""

    def at(self, epoch: float) -> tuple[Array, Array, Array]:
        """Return ra, dec (deg) and error (arcsec) at another epoch."""
        grown = np.nan_to_num(self.motion_error) * (epoch - self.epoch) / 1000
        return *proper_motion(self.ra, self.dec, self.pmra, self.pmdec, self.epoch, epoch), np.hypot(self.error, grown)


@dataclass(frozen=True)
class Choices:
    """What is solved for, and how."""

    degree: int = 3
    """Of the distortion of each chip."""
    exposure_degree: int = 1
    """Of the terms of each exposure."""
    focal_plane: FocalPlane = FocalPlane.FIXED
    reference_weight: float = 1.0
    """lambda: the weight of the catalogue beside that of overlaps; 1 = by the errors alone."""
    radii: tuple[float, ...] = (2.0, 0.7)
    """Distances (arcsec) within which detections are taken for the same star, one after the other."""
    threshold: float = 4.0
    """Standard errors beyond which a detection is an outlier."""
    looseness: float = 0.2
    """How far (arcsec, standard deviation) a corner of a chip may move in one exposure of a loose focal plane."""
    stiffness: float = 100.0
    """Standard deviation (arcsec) of all terms beforehand; it holds those that no star tells."""


@dataclass(frozen=True, eq=False)
class PlateSolution:
    """What was found for one plate."""

    wcs: Wcs
    reason: str
    """Why it could not be bound to the others: then the coordinates are those given; empty if it was."""
    error: float
    """Standard deviation (arcsec, per coordinate) of the coordinates at the middle."""
    count: int
    """Detections used."""
    rejected: int
    """Detections left out as outliers."""
    rms: float
    """Residuals of the detections used against their stars' mean positions, arcsec per coordinate."""
    rms_reference: float
    """... and against the catalogue; NaN without."""
    matched_reference: int
    """Detections of catalogue stars that were used."""

    @property
    def solved(self) -> bool:
        """Whether stars, or other chips, tell where it lies."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class GlobalSolution:
    """World coordinates of all plates, with the stars they rest on."""

    plates: list[PlateSolution]
    detections: NDArray[np.void]
    """Rows of all detections that were of a star seen twice or in the catalogue (see `DETECTIONS`)."""
    stars: NDArray[np.void]
    """Rows of these stars (see `STARS`)."""
    floors: Array
    """Standard deviation (arcsec) of positions in each exposure beyond their stated errors."""
    chi_square: float
    """Per degree of freedom, of the stars used; 1 if the errors, with the floors, are right."""
    freedom: int
    parameters: int
    """Number of parameters that were free."""
    rms_overlap: float
    """Residuals against the stars' mean positions, arcsec per coordinate."""
    rms_reference: float
    """Residuals against the catalogue, arcsec per coordinate."""
    iterations: int
    model: PlateModel = field(repr=False)


DETECTIONS = np.dtype(
    [
        *((name, "i4") for name in ("plate", "row", "star")),
        *((name, "f8") for name in ("x", "y", "ra", "dec")),
        *((name, "f4") for name in ("error", "dra", "ddec", "dra_reference", "ddec_reference", "pull")),
        ("used", "i2"),
    ]
)
"""Of a detection: plate, row in its list, star; pixel; position at its own epoch (deg); error, floor included, residual
against its star without it, and against the catalogue (arcsec, east and north at the middle of the field); residual in
units of its error; whether it was used."""

STARS = np.dtype(
    [
        *((name, "f8") for name in ("ra", "dec")),
        *((name, "f4") for name in ("error", "pmra", "pmdec", "motion_error")),
        ("reference", "i4"),
        ("count", "i2"),
    ]
)
"""Of a star: position at the mean epoch (deg) and its error (arcsec), proper motion from the detections (mas/yr; NaN
if they span no time), row in the catalogue or -1, detections used."""
