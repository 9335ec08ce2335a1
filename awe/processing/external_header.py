"""What the header of a frame made elsewhere says of it: unit, zeropoint, date, filter; conventions differ by origin."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from awe.errors import BadFile, BadRequest

UNKNOWN = "unknown"
"""What is given where not even the user knows."""

PER_PIXEL_UNIT = ("ZEROPNT", "MAGZERO", "MAGZPT", "MAGZP", "PHOTZP", "PHOT_ZP", "MZP_AB", "ABZP", "ZP_AB", "ZPT", "ZP")
"""Keywords of the magnitude of 1 unit of the pixels as they are stored (ESO's Phase 3 PHOTZP means this)."""

PER_SECOND = ("PHOT_C", "ZP_SEC", "MAGZPSEC")
"""Keywords of the magnitude of 1 adu/s, whatever the unit of the pixels (CFHT's Elixir means this by PHOT_C)."""

FLUX_OF_MAGNITUDE_0 = ("FLUXMAG0",)
"""Keywords of the pixel value of a source of magnitude 0."""

JANSKY = 8.90
"""AB magnitude of 1 Jy."""

UNITS = {
    "adu": ("adu", None),
    "count": ("adu", None),
    "counts": ("adu", None),
    "dn": ("adu", None),
    "adu/s": ("adu/s", None),
    "adu s-1": ("adu/s", None),
    "count/s": ("adu/s", None),
    "counts/s": ("adu/s", None),
    "dn/s": ("adu/s", None),
    "electron": ("electron", None),
    "electrons": ("electron", None),
    "e-": ("electron", None),
    "electron/s": ("electron/s", None),
    "electrons/s": ("electron/s", None),
    "e-/s": ("electron/s", None),
    "jy": ("Jy", JANSKY),
    "mjy": ("mJy", JANSKY + 7.5),
    "ujy": ("uJy", JANSKY + 15),
    "njy": ("nJy", JANSKY + 22.5),
    "nmgy": ("nmgy", 22.5),
    "nanomaggy": ("nmgy", 22.5),
    "nanomaggies": ("nmgy", 22.5),
    "maggy": ("mgy", 0.0),
    "maggies": ("mgy", 0.0),
}
"""Units that headers write, in small letters: as awe writes them, and the AB magnitude of 1 of them if that follows."""

RATES = ("adu/s", "electron/s")
LARGEST_ZEROPOINT = 80.0
_DATES = ("DATE-OBS", "DATE-BEG", "OBS_STRT", "MJD-OBS", "MJD-BEG")
_FILE_DATES = ("DATE", "CREADATE", "DATE-FIL")
_FILTERS = ("FILTER", "FILT_ID", "FILTER1", "FILTNAM", "FILTERS", "BAND")
_BANDS = "ugrizyUBVRIJHK"
_CAPITALS = ("HSC", "DES", "PS1")
"""Cameras whose filter I is what others call i."""


class Unsaid(BadFile):
    """The header does not tell something that must be known; it can be said by an option."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True)
class Said:
    """A value, and where it comes from in words."""

    value: Any
    source: str


def unit_of(header: Mapping[str, Any], given: str | None) -> Said:
    """Return the unit of the pixels as a VOUnit; raise BadFile if neither the header nor the user tells it."""
    text = given if given is not None else header.get("BUNIT")
    source = "--unit" if given is not None else "BUNIT"
    if text is None or not str(text).strip():
        raise Unsaid("unit", "the header has no BUNIT: say the unit of the pixels by --unit, such as adu, adu/s or nJy")
    known = UNITS.get(" ".join(str(text).lower().split()))
    if known is None:
        names = ", ".join(dict.fromkeys(name for name, _ in UNITS.values()))
        error = BadRequest if given is not None else BadFile
        raise error(f"{source} is {str(text)[:40]!r}: the pixels must be in one of {names}; say which by --unit")
    return Said(known[0], source)


def zeropoint_of(
    header: Mapping[str, Any], unit: str, exptime: float, given: str | None, per_second: bool = False
) -> Said:
    """Return the magnitude of 1 unit of the pixels as they are stored; None as value if it is said to be unknown.

    What is given wins; then the unit, if it is one of flux density; then the keywords, in the order above.
    """
    if given is not None:
        return _given_zeropoint(given, unit, exptime, per_second)
    physical = next((zeropoint for name, zeropoint in UNITS.values() if name == unit and zeropoint is not None), None)
    if physical is not None:
        return Said(physical, f"the unit {unit} (AB)")
    for keyword in PER_PIXEL_UNIT:
        if (value := _number(header, keyword)) is not None:
            return Said(_checked(value, keyword), keyword)
    for keyword in PER_SECOND:
        if (value := _number(header, keyword)) is not None:
            return _from_rate(_checked(value, keyword), keyword, unit, exptime)
    for keyword in FLUX_OF_MAGNITUDE_0:
        if (value := _number(header, keyword)) is not None and value > 0:
            return Said(2.5 * math.log10(value), f"{keyword} = {value:g}")
    looked_for = ", ".join((*PER_PIXEL_UNIT, *PER_SECOND, *FLUX_OF_MAGNITUDE_0))
    raise Unsaid(
        "zeropoint",
        f"the header has no zeropoint (none of {looked_for}): say the magnitude of 1 {unit} by --zeropoint, "
        f"or --zeropoint {UNKNOWN}",
    )


def _given_zeropoint(given: str, unit: str, exptime: float, per_second: bool) -> Said:
    if given.strip().lower() == UNKNOWN:
        return Said(None, "unknown, as was said")
    try:
        value = _checked(float(given), "--zeropoint")
    except ValueError as error:
        raise BadRequest(f"--zeropoint must be a magnitude or {UNKNOWN!r}, got {given[:40]!r}") from error
    return _from_rate(value, "--zeropoint", unit, exptime) if per_second else Said(value, "--zeropoint")


def _from_rate(value: float, source: str, unit: str, exptime: float) -> Said:
    """Return the zeropoint of the pixels, given that of 1 adu/s."""
    if unit in RATES:
        return Said(value, f"{source}, for 1 {unit}")
    if not exptime > 0:
        raise BadFile(f"{source} is the magnitude of 1 {unit}/s, and without EXPTIME that of 1 {unit} is not known")
    return Said(value + 2.5 * math.log10(exptime), f"{source} {value:g} for 1 {unit}/s + 2.5 lg({exptime:g} s)")


def _checked(value: float, source: str) -> float:
    if not (math.isfinite(value) and abs(value) <= LARGEST_ZEROPOINT):
        raise BadFile(
            f"{source} is {value:g}: a zeropoint lies between -{LARGEST_ZEROPOINT:g} and {LARGEST_ZEROPOINT:g}"
        )
    return value


def _number(header: Mapping[str, Any], keyword: str) -> float | None:
    value = header.get(keyword)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def exptime_of(header: Mapping[str, Any]) -> float:
    """Return the exposure time in seconds; 0 if the header does not tell it."""
    value = next((v for k in ("EXPTIME", "TEXPTIME", "EXPOSURE") if (v := _number(header, k)) is not None), 0.0)
    return value if math.isfinite(value) and value >= 0 else 0.0


def date_of(header: Mapping[str, Any], given: str | None) -> Said:
    """Return when it was observed (UTC), else when its file was made; raise BadFile if neither is known."""
    if given is not None:
        moment = _moment(given)
        if moment is None:
            raise BadRequest(f"--date must be like 2026-01-31T03:10:00 (UTC), got {given[:40]!r}")
        return Said(moment, "--date")
    for keyword in (*_DATES, *_FILE_DATES):
        moment = _moment(header.get(keyword))
        if moment is not None:
            of_file = keyword in _FILE_DATES
            return Said(moment, f"{keyword}, when the file was made" if of_file else keyword)
    raise Unsaid("date", f"the header has no date ({', '.join((*_DATES, *_FILE_DATES))}): say it by --date, in UTC")


def _moment(value: Any) -> datetime | None:
    """Return a moment written as ISO 8601 or as modified Julian date; None if it is neither."""
    if isinstance(value, float) and 15000 < value < 90000:
        return datetime(1858, 11, 17) + timedelta(days=value)
    try:
        moment = datetime.fromisoformat(str(value).strip().removesuffix("Z"))
    except ValueError:
        return None
    return moment if moment.tzinfo is None and 1900 <= moment.year <= 2200 else None


def filter_of(header: Mapping[str, Any], given: str | None) -> str:
    """Return the name of the filter; raise BadFile if neither the header nor the user tells it."""
    name = given if given is not None else next((header[k] for k in _FILTERS if header.get(k)), "")
    if not str(name).strip():
        raise Unsaid("filter", f"the header names no filter ({', '.join(_FILTERS)}): say it by --filter")
    return str(name).strip()


def band_of(filter_name: str) -> str:
    """Return the band that is part of the name of a filter; empty if none is.

    >>> band_of("g.MP9401"), band_of("OCAM_r_SDSS"), band_of("HSC-I"), band_of("F475W")
    ('g', 'r', 'i', '')
    """
    words = "".join(c if c.isalnum() else " " for c in filter_name).split()
    if words and words[0].upper() in _CAPITALS:
        words = [word.lower() for word in words]
    return next((word for word in words if len(word) == 1 and word in _BANDS), "")
