"""Corrections that an instrument needs besides bias, dark and flat: fringes, linearity, illumination, crosstalk."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from awe.instruments import schema
from awe.instruments.chip_rules import ChipRule
from awe.instruments.schema import key


@dataclass(frozen=True)
class LinearRange:
    """Levels, in adu above bias, between which the linearity of the chips is measured on dome flats."""

    minimum: float = key("lowest level of a flat that is used", "number, adu", schema.number, 0.0)
    maximum: float | None = key(
        "highest level of a flat that is used; none: what the flats themselves show to be saturated is left out",
        "number, adu",
        schema.number,
        None,
    )

    def __post_init__(self) -> None:
        if self.minimum < 0 or (self.maximum is not None and self.maximum <= self.minimum):
            raise ValueError(f"levels from {self.minimum} to {self.maximum} are no range")


@dataclass(frozen=True)
class CrosstalkRule:
    """One pair of chips, or of amplifiers of chips: part of the signal of one appears in the other."""

    victim: str = key("chip, or `chip:amplifier`, in which the signal appears", "text", schema.text)
    aggressor: str = key("chip, or `chip:amplifier`, whose signal it is", "text", schema.text)
    coefficient: float = key("part of the signal that appears", "number", schema.number)
    flip_x: bool = key("the aggressor is read from the other end in x", "boolean", schema.switch, False)
    flip_y: bool = key("the aggressor is read from the other end in y", "boolean", schema.switch, False)

    def __post_init__(self) -> None:
        if self.victim == self.aggressor:
            raise ValueError(f"{self.victim} can't disturb itself")
        if not abs(self.coefficient) < 0.1:
            raise ValueError(f"a coefficient of {self.coefficient} is no crosstalk: it is a fraction, below 0.1")


@dataclass(frozen=True)
class Corrections:
    """Corrections that are made besides bias, dark and flat. What is not named is not corrected."""

    fringes: tuple[str, ...] = key(
        "filters with fringes (`*` and `?` allowed); exposures in them are used for, and corrected by, fringe frames",
        "list of texts",
        schema.many(schema.text),
        (),
    )
    linearity: LinearRange | None = key(
        "the linearity of the chips is measured and corrected, by dome flats of several exposure times; the table may"
        " be empty",
        "table `[corrections.linearity]`",
        schema.table_of(LinearRange),
        None,
    )
    illumination: tuple[str, ...] = key(
        "filters (`*` and `?` allowed) in which frames are multiplied by an illumination correction when they are"
        " regridded",
        "list of texts",
        schema.many(schema.text),
        (),
    )
    crosstalk: tuple[CrosstalkRule, ...] = key(
        "pairs of chips or amplifiers of which one disturbs the other",
        "tables `[[corrections.crosstalk]]`",
        schema.many(schema.table_of(CrosstalkRule)),
        (),
    )

    @property
    def coefficients(self) -> list[list[Any]]:
        """The pairs as plain values: victim, aggressor, coefficient, flip_x, flip_y."""
        return [[c.victim, c.aggressor, c.coefficient, c.flip_x, c.flip_y] for c in self.crosstalk]

    @property
    def digest(self) -> str:
        """SHA-256 of the coefficients of the crosstalk."""
        return hashlib.sha256(json.dumps(self.coefficients).encode()).hexdigest()

    def declared(self) -> dict[str, Any]:
        """Return what is declared, as the database keeps it; empty if nothing is."""
        found: dict[str, Any] = {}
        if self.fringes:
            found["fringes"] = list(self.fringes)
        if self.linearity is not None:
            found["linearity"] = {"minimum": self.linearity.minimum, "maximum": self.linearity.maximum}
        if self.illumination:
            found["illumination"] = list(self.illumination)
        if self.crosstalk:
            found["crosstalk"] = self.digest
        return found


def check_crosstalk(chips: Sequence[ChipRule], corrections: Corrections) -> None:
    """Raise ValueError if crosstalk names a chip or amplifier that the instrument has not, or a whole chip and a part.

    Pixels of a chip can only be taken off an equal number of pixels.
    """
    known = {chip.name for chip in chips}
    known |= {f"{chip.name}:{amplifier.name}" for chip in chips for amplifier in chip.amplifiers}
    for rule in corrections.crosstalk:
        strangers = {rule.victim, rule.aggressor} - known
        if strangers:
            raise ValueError(
                f"crosstalk names {', '.join(sorted(strangers))}, but no such chip or amplifier is defined"
            )
        if (":" in rule.victim) != (":" in rule.aggressor):
            raise ValueError(f"crosstalk of {rule.aggressor} in {rule.victim}: name two chips, or two amplifiers")
