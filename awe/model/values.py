"""Single values as people read them: with as many digits as their unit or error deserves."""

import enum
import json
import math
from datetime import datetime
from typing import Any

_DECIMALS = {"mag": 3, "adu": 2, "pixel": 3, "arcsec": 3, "s": 2, "Mbyte": 0}
_LONGEST = 60


def shown(value: Any, unit: str = "", error: Any = None) -> str:
    """Return a value as text without its unit; nothing is a dash, a long structure is cut short.

    >>> shown(5.4912, "adu", 0.0213), shown(150.1, "deg"), shown(None)
    ('5.491', '150.100000', '-')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value, unit, error)
    if isinstance(value, dict | list):
        return _structure(value)
    if isinstance(value, datetime):
        return value.isoformat("T", "seconds")
    return str(value.value if isinstance(value, enum.Enum) else value)


def _structure(value: dict[str, Any] | list[Any]) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{len(value)} entries"


def _number(value: float, unit: str, error: Any) -> str:
    if not math.isfinite(value):
        return str(value)
    if isinstance(error, float) and math.isfinite(error) and error > 0:
        return f"{value:.{max(0, min(9, 1 - math.floor(math.log10(error))))}f}"
    if unit in ("deg", "d"):
        return f"{value:.6f}"
    decimals = _DECIMALS.get(unit)
    if decimals is not None and 10.0 ** (1 - decimals) <= abs(value) < 1e6:
        return f"{value:.{decimals}f}"
    return f"{value:.6g}"
