"""Grid targets: rectangles of pixels on the sky, laid out for frames or as the user says."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from awe.errors import BadRequest, MissingInput
from awe.kernels.sky_systems import AXES, from_icrs
from awe.kernels.wcs import Wcs, separation
from awe.model.lineage import is_external
from awe.model.observation import GridTarget
from awe.model.science import ReducedFrame

MARGIN = 16
"""Pixels around the frames on a grid target made for them."""
LARGEST_GRID = 1_600_000_000
"""Pixels of a grid target; of 40,000 x 40,000."""
PIXEL_BYTES = 9
"""Of each pixel of a coadd: image, weight, flags."""
SAME_PIXEL = 0.01
"""How far apart (pixel) pixels of the same number may be for two images to have the same pixels."""


def lay_out(
    name: str,
    raws: Sequence[Any] = (),
    projection: str = "TAN",
    system: str = "equatorial",
    centre: tuple[float, float] | None = None,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
) -> GridTarget:
    """Return a grid target, not yet stored; what is not given follows from the frames.

    Parameters
    ----------
    name : str
    raws : frames with a place on the sky
        The grid is for exposures of the target of the first of them; without any, for all that overlap with it.
    projection : str
        Code of FITS: TAN, ZEA, CAR, AIT ...
    system : str
        equatorial, galactic or ecliptic: north of which is up.
    centre : ra, dec (deg), optional
        By default the middle of the frames.
    scale : float, arcsec, optional
        By default that of the frames, to 0.001.
    size : nx, ny, optional
        By default all frames fit in.

    Raises
    ------
    BadRequest
        If the grid would be too large, there is no such projection or system, or something can't be derived.
    MissingInput
        If frames were given and none has a place on the sky.
    """
    placed = [raw for raw in raws if raw.footprint]
    if raws and not placed:
        raise MissingInput(f"none of the {len(raws)} frames of {name} has a place on the sky: no grid can be laid out")
    if not placed and (centre is None or scale is None or size is None):
        raise BadRequest(f"a grid {name} that is for no frames needs centre, scale and size")
    scale = scale or round(float(np.median([raw.pixel_scale for raw in placed])), 3)
    corners = np.concatenate([np.array(raw.footprint) for raw in placed]) if placed else np.zeros((0, 2))
    centre = centre or _middle(corners)
    if size is None:
        size = _size_for(name, corners, grid_wcs(projection, system, centre, scale, 1, 1), centre)
    check_size(name, *size)
    wcs = grid_wcs(projection, system, centre, scale, *size)
    return grid_target(name, raws[0].object if raws else "", wcs, *size, scale)


def grid_wcs(projection: str, system: str, centre: tuple[float, float], scale: float, nx: int, ny: int) -> Wcs:
    """Return the coordinate system of a grid around a centre (ra, dec), north of its system up.

    Raises
    ------
    BadRequest
        If there is no such projection or system.
    """
    if system not in AXES:
        raise BadRequest(f"no system {system!r}; there are {', '.join(AXES)}")
    lon, lat = (float(axis) for axis in from_icrs(system, np.array(centre[0]), np.array(centre[1])))
    cards: dict[str, Any] = {f"CTYPE{i + 1}": f"{start}{projection.upper()}" for i, start in enumerate(AXES[system])}
    step = scale / 3600
    x, y = (nx + 1) / 2, (ny + 1) / 2
    if projection.upper() in CYLINDRICAL:
        # their point of reference must lie on the equator, lest they be oblique: the grid's middle is away from it
        cards |= {"CRVAL1": lon, "CRVAL2": 0.0, "CRPIX1": x, "CRPIX2": y}
        cards |= {"CD1_1": -step, "CD2_2": step, "CD1_2": 0.0, "CD2_1": 0.0, "RADESYS": "ICRS"}
        plain = _wcs(projection, cards)
        away = plain.to_pixel(*centre)
        return plain.shifted((nx - 1) / 2 - float(away[0]), (ny - 1) / 2 - float(away[1]))
    cards |= {"CRVAL1": lon, "CRVAL2": lat, "CRPIX1": x, "CRPIX2": y}
    cards |= {"CD1_1": -step, "CD2_2": step, "CD1_2": 0.0, "CD2_1": 0.0, "RADESYS": "ICRS"}
    return _wcs(projection, cards)


CYLINDRICAL = ("CAR", "CEA", "MER", "CYP", "SFL", "PAR", "MOL", "AIT", "COE", "COD", "COO", "COP", "BON", "PCO")
"""Projections whose meridian of reference is straight but that are not zenithal."""


def _wcs(projection: str, cards: dict[str, Any]) -> Wcs:
    try:
        return Wcs.from_header(cards)
    except ValueError as error:
        raise BadRequest(f"no grid can be laid out in the projection {projection!r}: {error}") from error


def check_size(name: str, nx: int, ny: int) -> None:
    """Refuse a grid that is empty or too large.

    Raises
    ------
    BadRequest
    """
    if nx < 1 or ny < 1:
        raise BadRequest(f"a grid for {name} of {nx} x {ny} pixels is empty")
    if nx * ny > LARGEST_GRID:
        gigabytes = nx * ny * PIXEL_BYTES / 1e9
        raise BadRequest(
            f"a grid for {name} would be {nx} x {ny} pixels, and a coadd on it {gigabytes:,.0f} GB: more than "
            f"{LARGEST_GRID:,} pixels; use several, or larger pixels"
        )


def _size_for(name: str, corners: np.ndarray, plane: Wcs, centre: tuple[float, float]) -> tuple[int, int]:
    """Return the size around the centre that holds all corners."""
    away = separation(*centre, corners[:, 0], corners[:, 1])
    if away.max() > 20:
        raise BadRequest(
            f"the frames of {name} are spread over {2 * away.max():.0f} deg: make grid targets of your own"
        )
    x, y = plane.to_pixel(corners[:, 0], corners[:, 1])
    nx, ny = (math.ceil(2 * float(np.abs(v).max())) + 2 * MARGIN for v in (x, y))
    return nx, ny


def grid_target(name: str, target: str, wcs: Wcs, nx: int, ny: int, scale: float) -> GridTarget:
    """Return a grid target, not yet stored."""
    ra, dec = wcs.centre(nx, ny)
    return GridTarget(name=name, object=target, ra=ra, dec=dec, pixel_scale=scale, naxis1=nx, naxis2=ny, wcs=wcs.cards)


def _middle(corners: np.ndarray) -> tuple[float, float]:
    """Return the centre of the box of sky positions, to 0.1 arcsec; it may lie over RA 0."""
    ra0 = corners[0, 0]
    turn = (corners[:, 0] - ra0 + 180) % 360 - 180
    ra = (ra0 + (turn.min() + turn.max()) / 2) % 360
    dec = (corners[:, 1].min() + corners[:, 1].max()) / 2
    return round(float(ra), 5), round(float(dec), 5)


def other_pixels(one: Any, other: Any) -> str:
    """Return why the pixels of two frames, or of a frame and a grid target, are not the same; empty if they are."""
    sizes = [(thing.naxis1, thing.naxis2) for thing in (one, other)]
    if sizes[0] != sizes[1]:
        return "they have {} x {} and {} x {} pixels".format(*sizes[0], *sizes[1])
    for thing in (one, other):
        if not thing.wcs or (isinstance(thing, ReducedFrame) and not is_external(thing)):
            return f"{thing} is on no grid of the sky"
    nx, ny = sizes[0]
    x, y = np.array([0.0, nx - 1, 0, nx - 1, (nx - 1) / 2]), np.array([0.0, 0, ny - 1, ny - 1, (ny - 1) / 2])
    first, second = (Wcs.from_header(thing.wcs) for thing in (one, other))
    off = separation(*first.to_sky(x, y), *second.to_sky(x, y)).max() * 3600 / first.scale
    return f"their pixels are up to {off:.3g} pixels apart on the sky" if not off < SAME_PIXEL else ""
