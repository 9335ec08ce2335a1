"""Positions and sizes on the sky as people write them: decimal degrees, or hours and degrees with minutes."""

import math
import re

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_DECIMAL = re.compile(rf"[+-]?(?:{_NUMBER})(?:[eE][+-]?\d+)?")
_PARTS = re.compile(rf"([+-]?)(\d+)(?:\s*[:hd°]\s*|\s+)(\d+)(?:(?:\s*[:m'′]\s*|\s+)({_NUMBER})\s*[s\"″]?|\s*[m'′]?)")
_UNITS = {
    "": 1.0, "deg": 1.0, "d": 1.0, "°": 1.0,
    "arcmin": 1 / 60, "'": 1 / 60, "′": 1 / 60, "m": 1 / 60,
    "arcsec": 1 / 3600, '"': 1 / 3600, "″": 1 / 3600, "s": 1 / 3600,
}  # fmt: skip
_SIZE = re.compile(rf"((?:{_NUMBER})(?:[eE][+-]?\d+)?)\s*(deg|arcmin|arcsec|[d°'′m\"″s]?)")
_SIGN = re.compile(r"(?<![eE])(?=[+-])")


def parse_ra(text: str) -> float:
    """Return a right ascension in degrees; text with parts, such as `10:10:24.5` or `10h10m24.5s`, is in hours.

    >>> parse_ra("152.5"), parse_ra("10:10:00"), parse_ra("10h10m")
    (152.5, 152.5, 152.5)
    """
    degrees = _degrees(text, 15.0)
    if not 0 <= degrees <= 360:
        raise ValueError(f"a right ascension lies from 0 to 360 degrees, got {text[:60]!r}")
    return degrees


def parse_dec(text: str) -> float:
    """Return a declination in degrees, from degrees or from parts such as `-01:30:00` or `-1d30m`.

    >>> parse_dec("-1.5"), parse_dec("-01:30:00"), parse_dec("-0 30")
    (-1.5, -1.5, -0.5)
    """
    degrees = _degrees(text, 1.0)
    if not -90 <= degrees <= 90:
        raise ValueError(f"a declination lies from -90 to 90 degrees, got {text[:60]!r}")
    return degrees


def parse_size(text: str) -> float:
    """Return an angle in degrees from a number with a unit; without unit it is in degrees.

    >>> parse_size("0.5"), parse_size("30 arcmin"), parse_size("30'")
    (0.5, 0.5, 0.5)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a size is like 0.1, 5 arcmin or 30 arcsec, got {text[:60]!r}")
    return _finite(float(found[1]) * _UNITS[found[2]], text)


def parse_position(text: str) -> tuple[float, float]:
    """Return (ra, dec) in degrees from one text: the two are parted by a comma, by a sign, or by their middle.

    >>> parse_position("152.5 -1.5"), parse_position("10:10:00 -01:30:00"), parse_position("10 10 00 +01 30 00")
    ((152.5, -1.5), (152.5, -1.5), (152.5, 1.5))
    """
    text = text.replace("−", "-").strip()
    ra, dec = _halves(text) or ("", "")
    if not ra:
        raise ValueError(f"a position is like 152.6 -1.0 or 10:10:24 -01:00:30, got {text[:60]!r}")
    return parse_ra(ra), parse_dec(dec)


def _halves(text: str) -> tuple[str, str] | None:
    for parts in (text.split(","), [p for p in _SIGN.split(text) if p.strip()]):
        if len(parts) == 2 and all(p.strip() for p in parts):
            return parts[0].strip(), parts[1].strip()
    words = text.split()
    middle = len(words) // 2
    if len(words) in (2, 4, 6):
        return " ".join(words[:middle]), " ".join(words[middle:])
    return None


def _degrees(text: str, factor: float) -> float:
    text = text.replace("−", "-").strip()
    if len(text) <= 60 and text.isascii() and _DECIMAL.fullmatch(text):
        return _finite(float(text), text)
    found = _PARTS.fullmatch(text) if len(text) <= 60 else None
    if found is None:
        raise ValueError(f"an angle is like 152.6 or 10:10:24.5, got {text[:60]!r}")
    sign, whole, minutes, seconds = found.groups()
    if int(minutes) >= 60 or float(seconds or 0) >= 60:
        raise ValueError(f"minutes and seconds lie below 60, got {text[:60]!r}")
    value = (int(whole) + int(minutes) / 60 + float(seconds or 0) / 3600) * factor
    return _finite(-value if sign == "-" else value, text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"an angle is finite, got {text[:60]!r}")
    return value
