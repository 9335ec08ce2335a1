"""Places on the sky in the database: HEALPix cells of footprints and positions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from awe.model.frame import SKY_DEPTH

SOURCE_DEPTH = 16
"""HEALPix order of the cells of single sources: 3.2 arcsec."""


def cells_of(corners: Sequence[Sequence[float]] | NDArray[np.float64]) -> list[int]:
    """Return the HEALPix cells (order 9) that touch a polygon, given by its corners [ra, dec] in degrees."""
    from astropy import units as u  # half a second, which most who ask the database need not pay
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import polygon_search

    ra, dec = np.asarray(corners, dtype=float).T
    cells, _, _ = polygon_search(Longitude(ra, u.deg), Latitude(dec, u.deg), depth=SKY_DEPTH, flat=True)
    return sorted(int(c) for c in cells)


def cells_at(ra: NDArray[np.float64], dec: NDArray[np.float64], depth: int = SKY_DEPTH) -> NDArray[np.int64]:
    """Return the HEALPix cell of each position, in degrees ICRS."""
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    found = lonlat_to_healpix(Longitude(ra, u.deg), Latitude(dec, u.deg), depth=np.uint8(depth))
    return np.asarray(found, dtype=np.int64)
