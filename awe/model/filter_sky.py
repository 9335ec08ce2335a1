"""The regions of the sky that a filter names: `cone(ra, dec, radius)` and `box(ra, dec, width, height)`."""

from collections.abc import Callable, Sequence
from typing import Any

from awe.model.angles import parse_dec, parse_position, parse_ra, parse_size
from awe.model.sky_search import LARGEST_RADIUS, LARGEST_SIDE, Box, Cone, Region

FORMS = {"cone": "cone(152.6, -1.0, 0.5)", "box": "box(152.6, -1.0, 1.0, 0.5)"}
_SIZES = {"cone": 1, "box": 2}


def read_region(name: str, values: Sequence[Any]) -> Region:
    """Return the region that a call in a filter states; raise ValueError with what is wrong.

    Positions are numbers in degrees or texts (`"10:10:24"`; one text may hold both), sizes degrees or texts
    (`"5 arcmin"`).
    """
    given = list(values)
    if len(given) == 1 + _SIZES[name] and isinstance(given[0], str):
        given[:1] = parse_position(given[0])
    if len(given) != 2 + _SIZES[name]:
        raise ValueError(f"write it like {FORMS[name]}, in degrees")
    ra, dec = _angle(given[0], parse_ra), _angle(given[1], parse_dec)
    if name == "cone":
        return Cone(ra, dec, _size("the radius", given[2], LARGEST_RADIUS))
    width, height = (_size("a side of a box", value, LARGEST_SIDE) for value in given[2:])
    if not width or not height:
        raise ValueError("the sides of a box are larger than 0")
    return Box(ra, dec, width, height)


def _angle(value: Any, parse: Callable[[str], float]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"an angle is a number or a text in quotes, got {value!r}")
    return parse(value if isinstance(value, str) else repr(value))


def _size(what: str, value: Any, largest: float) -> float:
    size = _angle(value, parse_size)
    if size > largest:
        raise ValueError(f"{what} is at most {largest:g} degrees, got {value!r}")
    return size
