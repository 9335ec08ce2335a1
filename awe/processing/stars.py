"""Stars of one reduced frame: detected, measured, and matched to stars of known position."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.kernels.astrometry import proper_motion
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_sky
from awe.kernels.segments import Segments, segments_of
from awe.kernels.wcs import Wcs, separation
from awe.processing.products import Products
from awe.processing.scenes import scene_of_reduced

YEAR = 365.25
MJD_2000 = 51544.5
LEAST_ERROR, SPOILED = 0.01, 0.5


@dataclass(frozen=True)
class Detections:
    """Sources of a frame and its seeing."""

    rows: np.ndarray
    """Structured array as `awe.kernels.detection.detect` returns."""
    seeing: float
    """FWHM of stars, pixel; NaN if there are none."""
    segments: Segments
    """The pixels that belong to each."""

    @property
    def x(self) -> np.ndarray:
        """Windowed positions, pixel."""
        return np.asarray(self.rows["XWIN_IMAGE"])

    @property
    def y(self) -> np.ndarray:
        """Windowed positions, pixel."""
        return np.asarray(self.rows["YWIN_IMAGE"])

    @property
    def single(self) -> np.ndarray:
        """True for unblended, unsaturated sources without bad pixels."""
        return single(self.rows["FLAGS"], self.rows["IMAFLAGS"])

    @property
    def clean(self) -> np.ndarray:
        """True for single sources that are point-like."""
        return np.asarray(self.single & (self.rows["STELLARITY"] > 0.5))

    @property
    def position_error(self) -> np.ndarray:
        """Standard deviation of a coordinate, pixel.

        At least 0.01, which no noise model tells; larger by 0.5 for sources that neighbours or bad pixels may shift.
        """
        error = np.hypot(self.rows["ERRXWIN_IMAGE"], self.rows["ERRYWIN_IMAGE"]) / np.sqrt(2)
        return np.hypot(np.maximum(np.nan_to_num(error, nan=1.0), LEAST_ERROR), np.where(self.single, 0.0, SPOILED))


def single(flags: np.ndarray, imaflags: np.ndarray) -> np.ndarray:
    """Say which sources are unblended, unsaturated and without bad pixels, by their FLAGS and IMAFLAGS."""
    bad = int(PixelFlag.HOT | PixelFlag.COLD | PixelFlag.SATURATED | PixelFlag.COSMIC | PixelFlag.NO_DATA)
    return np.asarray((flags == 0) & (imaflags & bad == 0))


def detections(product: Any, products: Products, threshold: float) -> Detections:
    """Detect the sources of `product.reduced`, with its weight and background."""
    scene = scene_of_reduced(product, products)
    found = find(scene, threshold=threshold)
    rows = catalogue_of(scene, found, apertures=())
    return Detections(rows, stars(rows).seeing, segments_of(found))


def epoch_of(mjd: float) -> float:
    """Return the Julian year of a modified Julian date."""
    return 2000.0 + (mjd - MJD_2000) / YEAR


def reference_stars(
    products: Products, catalogue: Any, wcs: Wcs, shape: tuple[int, int], margin: float, epoch: float
) -> np.ndarray:
    """Return the catalogue stars on an image, moved to an epoch.

    Parameters
    ----------
    wcs, shape
        Of the image; (ny, nx).
    margin : float, arcsec
        How far around the image to take stars too.
    epoch : float, Julian year

    Returns
    -------
    structured array
        The columns of the catalogue; ra, dec (deg) at the epoch.
    """
    table = products.table(catalogue)
    ra0, dec0 = wcs.centre(shape[1], shape[0])
    corners = wcs.footprint(shape[1], shape[0])
    reach = float(separation(ra0, dec0, corners[:, 0], corners[:, 1]).max()) + margin / 3600
    near = table[separation(ra0, dec0, table["ra"], table["dec"]) < reach].copy()
    if len(near):
        near["ra"], near["dec"] = _moved(near, epoch)
    return near


def _moved(rows: np.ndarray, epoch: float) -> tuple[np.ndarray, np.ndarray]:
    ra, dec = rows["ra"].copy(), rows["dec"].copy()
    for start in np.unique(rows["epoch"][np.isfinite(rows["epoch"])]):
        of_epoch = rows["epoch"] == start
        columns = (rows[name][of_epoch] for name in ("ra", "dec", "pmra", "pmdec"))
        ra[of_epoch], dec[of_epoch] = proper_motion(*columns, float(start), epoch)
    return ra, dec


def matched(
    wcs: Wcs, found: Detections, ra: np.ndarray, dec: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of detections and of catalogue stars that lie within `radius` (arcsec) of each other."""
    own_ra, own_dec = wcs.to_sky(found.x, found.y)
    i, j, _ = match_sky(own_ra, own_dec, ra, dec, radius)
    return i, j
