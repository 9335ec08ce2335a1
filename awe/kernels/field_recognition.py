"""Recognise the stars of all frames of a field: the first by their pattern, the others with the help of these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awe.kernels.recognition import find_shifted, recognise
from awe.kernels.wcs import Wcs, from_tangent_plane, tangent_plane

Array = NDArray[np.float64]

BESIDE = 20.0
"""Distance (pixel) within which a chip is looked for if another chip of its exposure was found."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """The sources of one chip in one exposure."""

    exposure: int
    chip: int
    """Chips of one number have the same place in the camera, through whatever filter."""
    prior: Wcs
    """Coordinates of the header."""
    nx: int
    ny: int
    x: Array
    """pixel"""
    y: Array
    flux: Array


@dataclass(frozen=True, eq=False)
class StarList:
    """Stars of known places."""

    ra: Array
    """deg, at the epoch of the exposures"""
    dec: Array
    magnitude: Array


def recognise_field(
    sightings: Iterable[Sighting],
    known: StarList | None,
    reaches: Sequence[float],
    tolerance: float = 3.0,
) -> list[Wcs | None]:
    """Return world coordinates of all frames by the stars that are recognised on them.

    Of each chip one frame is recognised by `recognise`. The camera is the same in the others: they are looked for
    at the place that pointing and the last frame's solution lead to expect, and where another chip of the exposure is
    known, next to the place that this one tells. Only where that leaves doubt they are recognised as the first was. So
    time grows with the number of frames, and little is spent on each.

    Parameters
    ----------
    sightings : iterable of Sighting
        In the order of time, if the telescope drifts.
    known : StarList, optional
        Catalogue. Without one the first frame of each chip, with its prior coordinates, takes its place.
    reaches : sequence of float, arcsec
        Largest pointing errors, tried one after the other.
    tolerance : float, pixel
        How far stars may be off the coordinates of the header after a shift, by distortion and errors.

    Returns
    -------
    list of Wcs or None
        None where the stars were not recognised.
    """
    camera, lists, found = _Camera(), dict[int, StarList](), list[Wcs | None]()
    for s in sightings:
        stars = known or lists.get(s.chip)
        if stars is None:
            ra, dec = s.prior.to_sky(s.x, s.y)
            lists[s.chip] = StarList(ra, dec, -2.5 * np.log10(np.maximum(s.flux, 1e-3)))
            wcs: Wcs | None = s.prior
        else:
            wcs = _by_guess(s, stars, camera, reaches, tolerance)
            wcs = wcs or _by_pattern(s, stars, reaches, tolerance, any_orientation=known is not None)
        if wcs is not None:
            camera.learn(s, wcs)
        found.append(wcs)
    return found


def _by_guess(
    s: Sighting, stars: StarList, camera: "_Camera", reaches: Sequence[float], tolerance: float
) -> Wcs | None:
    guess = camera.expected(s)
    if guess is None:
        return None
    near = [BESIDE * guess.scale] if s.exposure in camera.corrections else []
    for reach in (*near, *reaches):
        found = find_shifted(
            *(s.x, s.y, s.flux, stars.ra, stars.dec, stars.magnitude, guess, s.nx, s.ny),
            max_offset=reach,
            tolerance=tolerance,
        )
        if found is not None:
            return found
    return None


def _by_pattern(
    s: Sighting, stars: StarList, reaches: Sequence[float], tolerance: float, any_orientation: bool
) -> Wcs | None:
    for reach in reaches:
        found = recognise(
            *(s.x, s.y, s.flux, stars.ra, stars.dec, stars.magnitude, s.prior, s.nx, s.ny),
            max_offset=reach,
            tolerance=tolerance,
            any_orientation=any_orientation,
        )
        if found is not None:
            return found.wcs
    return None


class _Camera:
    """What the frames that were recognised tell about the others."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[Sighting, Wcs]] = {}
        self.corrections: dict[int, Array] = {}
        """How far (xi, eta; deg) an exposure lies from where the last one of the same chip leads to expect it."""

    def expected(self, s: Sighting) -> Wcs | None:
        """Return the coordinates of the last frame of a chip, moved as the pointing was; None if there is none."""
        if s.chip not in self._last:
            return None
        before, wcs = self._last[s.chip]
        if not str(wcs.cards["CTYPE1"]).startswith("RA--"):
            return None
        step = self.corrections.get(s.exposure, np.zeros(2))
        here, there = before.prior.centre(before.nx, before.ny), s.prior.centre(s.nx, s.ny)
        place = np.array(tangent_plane(*here, *_pole(wcs))) + step
        return _moved(wcs, there, place)

    def learn(self, s: Sighting, wcs: Wcs) -> None:
        """Take a recognised frame into account."""
        guess = self.expected(s) if s.exposure not in self.corrections else None
        if guess is not None:
            middle = guess.centre(s.nx, s.ny)
            self.corrections[s.exposure] = np.ravel(tangent_plane(*middle, *wcs.centre(s.nx, s.ny)))
        self._last[s.chip] = (s, wcs)


def _pole(wcs: Wcs) -> tuple[float, float]:
    return float(wcs.cards["CRVAL1"]), float(wcs.cards["CRVAL2"])


def _moved(wcs: Wcs, centre: tuple[float, float], place: Array) -> Wcs:
    """Return coordinates whose reference point lies at a place (deg) on the plane that touches the sky at `centre`."""
    ra, dec = from_tangent_plane(*centre, *place)
    return Wcs.from_header(wcs.cards | {"CRVAL1": float(ra), "CRVAL2": float(dec)})
