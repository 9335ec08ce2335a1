"""World coordinates: from pixels of a frame to the sky and back."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import get_ident
from typing import Any, Self, cast

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from awe.kernels.iraf_wcs import standard_cards
from awe.kernels.sky_systems import AXES, from_icrs, to_icrs

Card = float | int | str
Coordinates = tuple[NDArray[np.float64], NDArray[np.float64]]

ARCSEC = 3600.0
SMALLEST_SCALE, LARGEST_SCALE = 1e-4, 3600.0
"""Pixel scales outside this range (arcsec) are no optical image's."""

_LINEAR = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|LONPOLE|LATPOLE|EQUINOX")
_DISTORTION = re.compile(r"PV[12]_\d{1,2}|(A|B|AP|BP)_(\d_\d)")
_ORDERS = re.compile(r"(A|B|AP|BP)_ORDER")
_PLAIN = re.compile(r"C(TYPE|RVAL|RPIX)[12]|CD[12]_[12]|PV[12]_\d{1,2}|LONPOLE|LATPOLE|RADESYS")
_TEXTS = ("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "RADESYS", "RADECSYS")


@dataclass(frozen=True)
class Wcs:
    """A mapping between the pixels of an image and the sky: an immutable value, made by `from_header` or `tan`.

    Pixel coordinates have (0, 0) at the centre of the first pixel; sky coordinates are degrees, ICRS, whatever the
    axes of the projection are: right ascension and declination, or galactic or ecliptic longitude and latitude. FK5 at
    equinox J2000 is taken as ICRS (they differ by less than 0.02 arcsec); other systems are refused.
    """

    items: tuple[tuple[str, Card], ...]

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Self:
        """Take the celestial cards out of a FITS header or a dictionary.

        Parameters
        ----------
        header : mapping of keyword to value
            CTYPE, CRVAL and CRPIX are needed, with CD, PC + CDELT or CDELT + CROTA2; TPV (PVi_m) and SIP (A_i_j ...)
            distortions are kept, TNX and ZPX of IRAF become TPV and ZPN. Other cards are ignored.

        Raises
        ------
        ValueError
            Names the card at fault: one that is missing, NaN or not a number, a singular or absurd matrix, a
            projection that is not of the sky, an equinox other than J2000.
        """
        cards = _celestial_cards(header) | standard_cards(header)
        _check_types(cards)
        _check_reference(cards)
        cards = _with_cd_matrix(_with_tpv(cards))
        _check_matrix(cards)
        value = cls(tuple(sorted(cards.items())))
        try:
            _astropy_wcs(value.items, get_ident())
        except Exception as cause:
            # astropy raises a dozen classes of its own, all meaning that wcslib refuses these cards
            raise ValueError(f"the WCS cards are refused by wcslib: {str(cause).strip()}") from cause
        if not SMALLEST_SCALE < value.scale < LARGEST_SCALE:
            raise ValueError(f"the pixel scale at the reference pixel, {value.scale:g} arcsec, is absurd")
        return value

    @property
    def cards(self) -> dict[str, Card]:
        """All header cards of this WCS, complete (`from_header(wcs.cards) == wcs`) and fit for JSON."""
        return dict(self.items)

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> Coordinates:
        """Return ra (0 to 360) and dec of pixel positions.

        Parameters
        ----------
        x, y : array, any shape (broadcast together), pixel
            NaN, and positions without a point on the sky, give NaN.
        """
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        ra, dec = to_icrs(self.system, *self._projection.all_pix2world(x.ravel(), y.ravel(), 0))
        return np.mod(ra, 360.0).reshape(x.shape), np.asarray(dec).reshape(x.shape)

    def to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> Coordinates:
        """Return x and y of sky positions, on or off the image.

        Parameters
        ----------
        ra, dec : array, any shape (broadcast together), deg
            NaN, and positions that the projection can't show (the other half of the sky, for TAN), give NaN. Far
            outside the image a distortion polynomial is an extrapolation: select by distance from `centre` first.
        """
        ra, dec = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
        if self._projection.sip is None:
            x, y = self._projection.wcs_world2pix(*from_icrs(self.system, ra.ravel(), dec.ravel()), 0)
        else:
            x, y = self._invert_sip(ra.ravel(), dec.ravel())
        return np.asarray(x).reshape(ra.shape), np.asarray(y).reshape(ra.shape)

    def pixel_area(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the solid angle of pixels (arcsec^2) at x, y, distortion included; NaN off the sky."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        corners = [self.to_sky(x + dx, y + dy) for dx, dy in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))]
        left, right, low, high = (_unit_vector(ra, dec) for ra, dec in corners)
        area = np.linalg.norm(np.cross(right - left, high - low, axis=0), axis=0)
        return np.asarray(area * math.degrees(1.0) ** 2 * ARCSEC**2)

    @cached_property
    def system(self) -> str:
        """The system of the projection: equatorial, galactic or ecliptic; positions are ICRS all the same."""
        start = str(self.cards["CTYPE1"])[:5]
        return next(name for name, (first, _) in AXES.items() if first == start)

    @property
    def scale(self) -> float:
        """Pixel scale at the reference pixel, arcsec/pixel (square root of the pixel's area)."""
        cards = self.cards
        return math.sqrt(float(self.pixel_area(float(cards["CRPIX1"]) - 1, float(cards["CRPIX2"]) - 1)))

    def shifted(self, dx: float, dy: float) -> Self:
        """Return the WCS of the same sky when every source moves by (dx, dy) pixels, as (-x0, -y0) by a cutout."""
        cards = self.cards
        cards["CRPIX1"] = float(cards["CRPIX1"]) + dx
        cards["CRPIX2"] = float(cards["CRPIX2"]) + dy
        return type(self)(tuple(sorted(cards.items())))

    def footprint(self, nx: int, ny: int) -> NDArray[np.float64]:
        """Return the outer corners of an image of nx x ny pixels as a 4 x 2 array of (ra, dec), deg.

        They run round the image: from the first pixel along x, then along y, and back.
        """
        ra, dec = self.to_sky([-0.5, nx - 0.5, nx - 0.5, -0.5], [-0.5, -0.5, ny - 0.5, ny - 0.5])
        return np.column_stack([ra, dec])

    def centre(self, nx: int, ny: int) -> tuple[float, float]:
        """Return ra, dec (deg) of the middle of an image of nx x ny pixels."""
        ra, dec = self.to_sky((nx - 1) / 2, (ny - 1) / 2)
        return float(ra), float(dec)

    @property
    def _projection(self) -> WCS:
        # one per thread: astropy rewrites the wcslib structure in place during a call
        return _astropy_wcs(self.items, get_ident())

    def _invert_sip(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> Coordinates:
        axes = from_icrs(self.system, ra, dec)
        x, y = self._projection.all_world2pix(*axes, 0, tolerance=1e-6, maxiter=50, quiet=True)
        back_ra, back_dec = self.to_sky(x, y)
        # an iteration that did not converge leaves a wrong position behind, without a word
        wrong = ~(separation(ra, dec, back_ra, back_dec) < 1e-2 * self.scale / ARCSEC)
        return np.where(wrong, np.nan, x), np.where(wrong, np.nan, y)


def tan(ra: float, dec: float, scale_arcsec: float, nx: int, ny: int, rotation: float = 0.0) -> Wcs:
    """Return a tangent-plane WCS centred on an image of nx x ny pixels, north up and east left.

    Parameters
    ----------
    ra, dec : float, deg
        Position of the middle of the image.
    scale_arcsec : float, arcsec/pixel
    rotation : float, deg
        Position angle of the y axis, from north through east.
    """
    scale, angle = scale_arcsec / ARCSEC, math.radians(rotation)
    matrix = [[-scale * math.cos(angle), scale * math.sin(angle)], [scale * math.sin(angle), scale * math.cos(angle)]]
    return tangent_wcs(ra, dec, (nx - 1) / 2, (ny - 1) / 2, matrix)


def tangent_wcs(ra: float, dec: float, x: float, y: float, matrix: ArrayLike) -> Wcs:
    """Return the TAN WCS with (ra, dec) at pixel (x, y) and the 2 x 2 matrix CD (deg/pixel)."""
    return Wcs.from_header(tangent_cards(ra, dec, x, y, matrix))


def tangent_cards(ra: float, dec: float, x: float, y: float, matrix: ArrayLike) -> dict[str, Card]:
    """Return the cards of that WCS."""
    cd = np.asarray(matrix, np.float64)
    cards: dict[str, Card] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS"}
    cards |= {"CRVAL1": float(ra) % 360.0, "CRVAL2": float(dec), "CRPIX1": float(x) + 1, "CRPIX2": float(y) + 1}
    return cards | {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in range(2) for j in range(2)}


def tangent_plane(ra0: float, dec0: float, ra: ArrayLike, dec: ArrayLike) -> Coordinates:
    """Project sky positions on the plane that touches the sky at (ra0, dec0).

    Parameters
    ----------
    ra0, dec0 : float, deg
    ra, dec : array, deg
        Positions 90 degrees or more away have no image: NaN.

    Returns
    -------
    xi, eta : arrays, deg
        Gnomonic coordinates; xi grows to the east, eta to the north.
    """
    alpha = np.radians(np.asarray(ra, np.float64) - ra0)
    delta, delta0 = np.radians(np.asarray(dec, np.float64)), math.radians(dec0)
    depth = math.sin(delta0) * np.sin(delta) + math.cos(delta0) * np.cos(delta) * np.cos(alpha)
    depth = np.where(depth > 1e-9, depth, np.nan)
    xi = np.cos(delta) * np.sin(alpha) / depth
    eta = (math.cos(delta0) * np.sin(delta) - math.sin(delta0) * np.cos(delta) * np.cos(alpha)) / depth
    return np.degrees(xi), np.degrees(eta)


def from_tangent_plane(ra0: float, dec0: float, xi: ArrayLike, eta: ArrayLike) -> Coordinates:
    """Return ra (0 to 360) and dec (deg) of points of the plane that touches the sky at (ra0, dec0); see above."""
    xi, eta = np.radians(np.asarray(xi, np.float64)), np.radians(np.asarray(eta, np.float64))
    delta0 = math.radians(dec0)
    depth = math.cos(delta0) - eta * math.sin(delta0)
    alpha = np.arctan2(xi, depth)
    delta = np.arctan2(math.sin(delta0) + eta * math.cos(delta0), np.hypot(xi, depth))
    return np.mod(ra0 + np.degrees(alpha), 360.0), np.degrees(delta)


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> NDArray[np.float64]:
    """Return the angle (deg) between sky positions (deg), accurate for small angles and at the poles."""
    ra1, dec1, ra2, dec2 = np.broadcast_arrays(ra1, dec1, ra2, dec2)
    chord = np.linalg.norm(_unit_vector(ra1, dec1) - _unit_vector(ra2, dec2), axis=0)
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1))))


def _unit_vector(ra: ArrayLike, dec: ArrayLike) -> NDArray[np.float64]:
    ra, dec = np.broadcast_arrays(np.radians(ra), np.radians(dec))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


@lru_cache(maxsize=512)
def _astropy_wcs(items: tuple[tuple[str, Card], ...], thread: int) -> WCS:
    cards = dict(items)
    if all(_PLAIN.fullmatch(key) for key in cards):
        wcs = _without_header(cards)
    else:
        header = Header()
        header["WCSAXES"] = 2
        for key, value in items:
            header[key] = value
        wcs = WCS(header, relax=True)
    wcs.wcs.set()
    return wcs


def _without_header(cards: dict[str, Any]) -> WCS:
    """Return the WCS of cards that have no SIP terms; by way of a header it would take ten times as long."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [cards["CTYPE1"], cards["CTYPE2"]]
    wcs.wcs.crval = [cards["CRVAL1"], cards["CRVAL2"]]
    wcs.wcs.crpix = [cards["CRPIX1"], cards["CRPIX2"]]
    wcs.wcs.cd = [[cards[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)]
    for name in ("LONPOLE", "LATPOLE"):
        if name in cards:
            setattr(wcs.wcs, name.lower(), cards[name])
    wcs.wcs.set_pv([(int(key[2]), int(key[4:]), value) for key, value in cards.items() if key.startswith("PV")])
    return wcs


def _celestial_cards(header: Mapping[str, Any]) -> dict[str, Card]:
    cards: dict[str, Card] = {}
    for key in cast(Iterable[str], header):
        if _LINEAR.fullmatch(key) or _DISTORTION.fullmatch(key):
            _take(cards, key, header[key], _number)
        elif _ORDERS.fullmatch(key):
            _take(cards, key, header[key], lambda key, value: int(_number(key, value)))
        elif key in _TEXTS:
            _take(cards, key, header[key], lambda key, value: str(value).strip())
    cards.setdefault("RADESYS", cards.pop("RADECSYS", "ICRS"))
    cards.pop("RADECSYS", None)
    return cards


def _take(cards: dict[str, Card], key: str, value: Any, convert: Any) -> None:
    if isinstance(value, float | int | str | np.number):  # else a card without a value
        cards[key] = convert(key, value)


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{key} is {value!r}, not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{key} is {number}")
    return number


def _check_types(cards: dict[str, Card]) -> None:
    types = [str(cards.get(f"CTYPE{i}", "")) for i in (1, 2)]
    known = next((pair for pair in AXES.values() if types[0].startswith(pair[0])), AXES["equatorial"])
    for i, (ctype, start) in enumerate(zip(types, known, strict=True), start=1):
        if not ctype:
            raise ValueError(f"CTYPE{i} is missing: no celestial WCS")
        if not ctype.startswith(start):
            raise ValueError(f"CTYPE{i} is {ctype!r}, expected {start}TAN, {start}TPV or another of that form")
    if types[0][5:] != types[1][5:]:
        raise ValueError(f"CTYPE1 {types[0]!r} and CTYPE2 {types[1]!r} are two different projections")
    for i in (1, 2):
        if str(cards.pop(f"CUNIT{i}", "deg")) not in ("deg", "degree", "degrees", ""):
            raise ValueError(f"CUNIT{i} is not deg")
    system, equinox = str(cards["RADESYS"]).upper(), float(cards.pop("EQUINOX", 2000.0))
    if system not in ("ICRS", "FK5") or (system == "FK5" and equinox != 2000.0):
        raise ValueError(f"RADESYS {system} with EQUINOX {equinox} is neither ICRS nor FK5 at J2000")
    cards["RADESYS"] = system


def _check_reference(cards: dict[str, Card]) -> None:
    for key in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"):
        if key not in cards:
            raise ValueError(f"{key} is missing")
        if key.startswith("CRPIX") and abs(float(cards[key])) > 1e7:
            raise ValueError(f"{key} is {cards[key]}: further from the image than any telescope looks")
    if abs(float(cards["CRVAL2"])) > 90:
        raise ValueError(f"CRVAL2 is {cards['CRVAL2']}, not a declination")
    if abs(float(cards["CRVAL1"])) > 360:
        raise ValueError(f"CRVAL1 is {cards['CRVAL1']}, not a right ascension")


def _with_tpv(cards: dict[str, Card]) -> dict[str, Card]:
    """Name TAN with distortion terms (as SCAMP once wrote it) by its later name, TPV."""
    terms = [key for key in cards if key.startswith("PV")]
    if cards["CTYPE1"] == "RA---TAN" and any(key.startswith("PV2_") or int(key[4:]) > 4 for key in terms):
        cards = cards | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    if cards["CTYPE1"] == "RA---TPV":
        # the convention's defaults, which wcslib forgets as soon as an axis has any other term
        cards = {"PV1_1": 1.0, "PV2_1": 1.0} | cards
    return cards


def _with_cd_matrix(cards: dict[str, Card]) -> dict[str, Card]:
    """Replace the three ways to write the linear part by one, the CD matrix."""
    keys = [(i, j) for i in (1, 2) for j in (1, 2)]
    if any(f"CD{i}_{j}" in cards for i, j in keys):
        cd = {(i, j): float(cards.get(f"CD{i}_{j}", 0.0)) for i, j in keys}
    elif "CDELT1" in cards and "CDELT2" in cards:
        angle = math.radians(float(cards.get("CROTA2", 0.0)))
        turn = {(1, 1): math.cos(angle), (1, 2): -math.sin(angle), (2, 1): math.sin(angle), (2, 2): math.cos(angle)}
        if any(f"PC{i}_{j}" in cards for i, j in keys):
            turn = {(i, j): float(cards.get(f"PC{i}_{j}", float(i == j))) for i, j in keys}
            cd = {(i, j): float(cards[f"CDELT{i}"]) * turn[i, j] for i, j in keys}
        else:
            # the AIPS convention (Calabretta & Greisen 2002, section 6.1): the rotation acts on CDELT from the left
            cd = {(i, j): float(cards[f"CDELT{j}"]) * turn[i, j] for i, j in keys}
    else:
        raise ValueError("CD1_1 (or CDELT1 and CDELT2) is missing: the pixel scale is unknown")
    rest = {key: value for key, value in cards.items() if not re.match(r"CD|PC|CROTA", key)}
    return rest | {f"CD{i}_{j}": value for (i, j), value in cd.items()}


def _check_matrix(cards: dict[str, Card]) -> None:
    cd = np.array([[float(cards[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    large, small = np.linalg.svd(cd, compute_uv=False)
    if small <= 1e-3 * large:
        raise ValueError(f"the CD matrix {cd.tolist()} is singular")
