"""Header values turned into numbers, times and places."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

MJD_ZERO = datetime(1858, 11, 17)  # UTC without a zone, as all datetimes in awe

UNITS: dict[str, Callable[[float], float]] = {
    "deg": lambda value: value,
    "hour": lambda value: 15.0 * value,
    "rad": math.degrees,
    "s": lambda value: value,
    "ms": lambda value: value / 1000.0,
    "min": lambda value: 60.0 * value,
    "airmass": lambda value: value,
    "altitude": lambda value: 1.0 / math.sin(math.radians(value)),
    "zenith distance": lambda value: 1.0 / math.cos(math.radians(value)),
}
"""What a number in a header is, and how it becomes degrees, seconds or airmass (plane-parallel, from an angle)."""

_SEXAGESIMAL = re.compile(r"\s*([+-]?)\s*(\d+)[:\s]+(\d+)(?:[:\s]+(\d+(?:\.\d*)?))?\s*")
_OLD_DATE = re.compile(r"\s*(\d{2})/(\d{2})/(\d{2})\s*")


def number(value: Any) -> float:
    """Return a number written as a number, as text, or sexagesimally ("-01:00:33.0", "10 10 16.4").

    Raises
    ------
    ValueError
        If it is none of these, or not finite.
    """
    found = _SEXAGESIMAL.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        return _from_sexagesimal(*found.groups())
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a number") from None
    if isinstance(value, bool) or not math.isfinite(result):
        raise ValueError(f"{value!r} is not a finite number")
    return result


def _from_sexagesimal(sign: str, whole: str, minutes: str, seconds: str | None) -> float:
    if int(minutes) >= 60 or float(seconds or 0) > 60:
        raise ValueError(f"{sign}{whole}:{minutes}:{seconds or 0} has 60 or more minutes or seconds")
    size = int(whole) + int(minutes) / 60 + float(seconds or 0) / 3600
    return -size if sign == "-" else size


def parse_time(value: str) -> datetime:
    """Return an ISO 8601 time, aware if it carries an offset from UTC (`-0700`, `Z`), else naive.

    Raises
    ------
    ValueError
        If the text is no such time, or a date without the time of day.
    """
    text = value.strip()
    if "T" not in text and " " not in text:
        raise ValueError(f"{value!r} has no time of day")
    text, leap = re.subn(r"(T| )(\d\d:\d\d):60", r"\1\2:59", text)
    try:
        return datetime.fromisoformat(text) + timedelta(seconds=leap)
    except ValueError:
        raise ValueError(f"{value!r} is not an ISO 8601 time") from None


def parse_date(value: str) -> str:
    """Return the day of a date keyword as yyyy-mm-dd; dd/mm/yy is the 20th century, as FITS once had it."""
    old = _OLD_DATE.fullmatch(value)
    if old is not None:
        day, month, year = old.groups()
        return f"19{year}-{month}-{day}"
    return value.strip()[:10]


def in_utc(moment: datetime, offset_hours: float) -> datetime:
    """Return a time as UTC without a zone: by the offset it carries, else by the one given."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC).replace(tzinfo=None)
    return moment - timedelta(hours=offset_hours)


def from_mjd(mjd: float) -> datetime:
    """Return the UTC time of a modified Julian date."""
    return MJD_ZERO + timedelta(days=mjd)


def to_mjd(moment: datetime) -> float:
    """Return the modified Julian date of a UTC time.

    >>> round(to_mjd(datetime(2006, 10, 20, 17, 40, 7)), 6)
    54028.736192
    """
    return (moment - MJD_ZERO) / timedelta(days=1)


def night_of(moment: datetime, longitude: float) -> date:
    """Return the night a time belongs to: the date of the local (mean solar) noon before it.

    Parameters
    ----------
    moment : datetime
        UTC, without a zone.
    longitude : float, deg east
    """
    return (moment + timedelta(days=longitude / 360.0 - 0.5)).date()
