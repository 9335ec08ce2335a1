"""What a request for a colour picture asks for, checked against limits that are stated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from awe.errors import BadRequest
from awe.services.image_look import LOOK_PARAMETERS
from awe.services.image_request import SECTION_PARAMETERS, SIZE_PARAMETERS, Wanted
from awe.services.operations import Parameter

LARGEST_Q = 1000.0
LEVELS = 1e30
"""Largest value that is shown as black or white, and largest stretch; the smallest stretch is its inverse."""
FACTORS = 1e6
"""Largest factor of a band; the smallest is its inverse."""

AUTO = "auto"
MODES = ("lupton", "linear", "sqrt", "log", "asinh")
BALANCES = (AUTO, "zeropoint", "noise", "none")
GRIDS = ("red", "green", "blue", "common")
COLOURS = ("red", "green", "blue")


def _three(low: float, high: float) -> Callable[[str], str]:
    def parse(text: str) -> str:
        """Return three numbers in one form; raise ValueError for what is none, or beyond its limits."""
        values = [float(part) for part in text.split(",")]
        if len(values) != 3 or not all(low <= v <= high for v in values):
            raise ValueError(text)
        return ",".join(f"{v:.7g}" for v in values)

    return parse


def _or_auto(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: AUTO if text.lower() == AUTO else parse(text)


def _positive(text: str) -> str:
    value = float(text)
    if not 1 / LEVELS <= value <= LEVELS:
        raise ValueError(text)
    return f"{value:.7g}"


LOOKS = (
    Parameter(
        "mode",
        "lupton keeps the colour of bright pixels (Lupton et al. 2004); the others draw each band by itself",
        choices=MODES,
        default="lupton",
    ),
    Parameter(
        "scale",
        "factors of red, green and blue, beside those of the balance, each from 1e-6 to 1e6",
        default="1,1,1",
        example="1,1.2,0.8",
        parse=_three(1 / FACTORS, FACTORS),
    ),
    Parameter("q", "how strongly bright intensities are compressed", "number", default=8.0, low=0, high=LARGEST_Q),
    Parameter(
        "stretch",
        "intensity that is shown nearly linearly, in the unit of the red frame, from 1e-30 to 1e30; auto: 15 times its "
        "noise",
        default=AUTO,
        example="auto or 12.5",
        parse=_or_auto(_positive),
    ),
    Parameter(
        "black",
        "values shown as black, each in the unit of its frame; auto: 2 times the noise below the sky",
        default=AUTO,
        example="auto or 0,0,0",
        parse=_or_auto(_three(-LEVELS, LEVELS)),
    ),
    Parameter(
        "white",
        "values shown as brightest in the plain modes, each in the unit of its frame, at most 1e30",
        default=AUTO,
        example="auto or 900,700,800",
        parse=_or_auto(_three(-LEVELS, LEVELS)),
    ),
    Parameter(
        "balance",
        "what brings the bands to a common unit: equal flux for equal magnitude by the zeropoints, equal noise, or "
        "nothing; auto: the zeropoints if all three are known, else the noise",
        choices=BALANCES,
        default=AUTO,
    ),
    Parameter(
        "grid",
        "frame whose pixels the picture has, the others are regridded onto it; common: the pixels of the red frame, "
        "where all three have some",
        choices=GRIDS,
        default="red",
    ),
)
PARAMETERS = (*LOOKS, *SIZE_PARAMETERS, *SECTION_PARAMETERS)
_PLACE = tuple(p.name for p in (*SIZE_PARAMETERS, *SECTION_PARAMETERS))


@dataclass(frozen=True)
class RgbRequest:
    """How three frames are to be shown; equal requests are equal values."""

    mode: str = "lupton"
    scale: str = "1,1,1"
    q: float = 8.0
    stretch: str = AUTO
    black: str = AUTO
    white: str = AUTO
    balance: str = AUTO
    grid: str = "red"
    x: float | None = None
    y: float | None = None
    width: int | None = None
    height: int | None = None
    ra: float | None = None
    dec: float | None = None
    size: float | None = None
    bin: int | None = None
    fit: int | None = None

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> Self:
        """Return the request of parameters that an operation has read."""
        request = cls(**{f.name: read[f.name] for f in fields(cls) if f.name in read})
        _ = request.section  # what excludes each other is told before anything is looked up
        if AUTO not in (request.black, request.white):
            pairs = zip(request.three("black"), request.three("white"), strict=True)
            if not all(black < white for black, white in pairs):
                raise BadRequest(f"white {request.white} must be above black {request.black} in each band")
        return request

    def three(self, name: str) -> tuple[float, float, float]:
        """Return the three numbers of `scale`, `black` or `white`."""
        red, green, blue = (float(part) for part in getattr(self, name).split(","))
        return red, green, blue

    @property
    def section(self) -> Wanted:
        """What part of the grid is asked for, and how large."""
        place = {name: getattr(self, name) for name in _PLACE}
        return Wanted.of(place | {p.name: p.default for p in LOOK_PARAMETERS} | {"plane": "image"})

    @property
    def is_whole(self) -> bool:
        """Whether it shows all of the grid."""
        return all(getattr(self, p.name) is None for p in SECTION_PARAMETERS)

    def looks(self) -> dict[str, str]:
        """Return the parameters of its looks that differ from their defaults, as an address has them."""
        return self._given(LOOKS)

    def query(self) -> dict[str, str]:
        """Return all parameters that differ from their defaults."""
        return self._given(PARAMETERS)

    def _given(self, declared: tuple[Parameter, ...]) -> dict[str, str]:
        usual = RgbRequest()
        given = {p.name: getattr(self, p.name) for p in declared}
        return {n: f"{v:.12g}" if isinstance(v, float) else str(v) for n, v in given.items() if v != getattr(usual, n)}
