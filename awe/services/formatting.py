"""Values as people read them."""

import enum
import json
import math
from datetime import datetime
from typing import Any

from awe.services.declared import Field

_PREFIXES = ("byte", "kB", "MB", "GB", "TB", "PB")
_DECIMALS = {"mag": 3, "adu": 2, "pixel": 3, "arcsec": 3}
_DECIMALS_IN_COLUMNS = {**_DECIMALS, "s": 3}
_LARGE = 1e7
"""From here on, numbers are shown with six digits."""
NOTHING = "–"


def shown(value: Any, field: Field | None = None, error: Any = None) -> str:
    """Return a value as text, with the digits that its unit or its error deserves, without the unit."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, float):
        return _number(value, field.unit if field else "", error)
    return _plain(value)


def tabular(value: Any, field: Any) -> str:
    """Return a value as a column of a table shows it: with the same decimals in all rows.

    >>> from awe.services.columns import column_at
    >>> from awe.model import ReducedFrame
    >>> tabular(18.0, column_at(ReducedFrame, "background"))
    '18.00'
    """
    decimals = 2 if "posAng" in field.ucd else _DECIMALS_IN_COLUMNS.get(field.unit)
    if isinstance(value, float) and decimals is not None and (value == 0 or 10.0**-decimals <= abs(value) < _LARGE):
        return f"{value:.{decimals}f}"
    return shown(value, field)


def _plain(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case enum.Enum():
            return str(value.value)
        case datetime():
            return value.isoformat(" ", "seconds")
        case dict() | list():
            return json.dumps(value)
    return str(value)


def _number(value: float, unit: str, error: Any = None) -> str:
    if not math.isfinite(value):
        return str(value)
    if isinstance(error, float) and math.isfinite(error) and error > 0:
        return f"{value:.{_decimals_of(error)}f}"
    if unit == "deg":
        return f"{value:.6f}"
    decimals = _DECIMALS.get(unit)
    if decimals is not None and 0.1 <= abs(value) < 1e6:
        return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if unit != "mag" else f"{value:.3f}"
    if unit == "d":
        return f"{value:.6f}"
    return f"{value:.6g}"


def _decimals_of(error: float) -> int:
    """Return the decimals that show two digits of an error."""
    return max(0, min(9, 1 - math.floor(math.log10(error))))


def uncertainty(error: float) -> str:
    """Return an error with two digits.

    >>> uncertainty(0.01234)
    '0.012'
    """
    if not math.isfinite(error) or error <= 0:
        return str(error)
    return f"{error:.{_decimals_of(error)}f}"


def bytes_shown(count: float) -> str:
    """Return a number of bytes in a unit that fits.

    >>> bytes_shown(2_165_760)
    '2.2 MB'
    """
    power = 0
    while count >= 999.5 and power < len(_PREFIXES) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.0f} {_PREFIXES[power]}" if power == 0 or count >= 99.5 else f"{count:.1f} {_PREFIXES[power]}"


def unit_shown(unit: str) -> str:
    """Return a VOUnit as people write it."""
    names = {"pixel": "px", "electron/adu": "e⁻/adu", "electron": "e⁻", "adu-2": "adu⁻²"}
    return names.get(unit, unit)


def sexagesimal(ra: float, dec: float) -> str:
    """Return a position in hours and degrees.

    >>> sexagesimal(152.5, -1.25)
    '10 10 00.00 −01 15 00.0'
    """
    hours = round(ra / 15 * 360000) % (24 * 360000)
    arc = round(abs(dec) * 36000)
    h, m, s = hours // 360000, hours // 6000 % 60, hours % 6000 / 100
    sign = "−" if dec < 0 else "+"
    return f"{h:02d} {m:02d} {s:05.2f} {sign}{arc // 36000:02d} {arc // 600 % 60:02d} {arc % 600 / 10:04.1f}"


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a time was.

    >>> ago(datetime(2026, 1, 1), datetime(2026, 1, 1, 2, 30))
    '3 h ago'
    """
    seconds = (now - moment).total_seconds()
    for size, name in ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 0.95:
            return f"{math.floor(seconds / size + 0.5)} {name} ago"
    return "just now"


def plural(count: int, noun: str) -> str:
    """Return a number with a noun.

    >>> plural(1, "frame"), plural(1200, "frame")
    ('1 frame', '1,200 frames')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
