"""Electronics of detectors: crosstalk between them, and how their signal departs from proportionality to light."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.kernels.choices import Overscan
from awe.model.correction_rules import FlatSequence
from awe.model.detector import BiasFrame, ReadNoise
from awe.model.frame import Calibration, FileBacked
from awe.model.instrument import Chip, Instrument
from awe.model.lineage import described, links, measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.raw import RawDomeFlatFrame
from awe.model.rules import SameInterval, Through


@dataclass(frozen=True)
class CrosstalkPair:
    """What part of the signal of one chip or amplifier appears in another."""

    victim: str
    victim_amplifier: str
    aggressor: str
    aggressor_amplifier: str
    coefficient: float
    flip_x: bool
    flip_y: bool


class Crosstalk(Persistent):
    """Coefficients of the crosstalk of an instrument, as its file declared them when frames were ingested."""

    __key__ = ("instrument", "digest")

    instrument: Mapped[Instrument] = links("the camera")
    digest: Mapped[str] = described("SHA-256 of the coefficients", index=True)
    coefficients: Mapped[list[Any]] = described(
        "pairs of victim and aggressor, each chip or chip:amplifier, with the part of the signal that appears, and "
        "whether the aggressor is read from the other end in x and y",
        sql=JSON,
    )

    @property
    def pairs(self) -> list[CrosstalkPair]:
        """The coefficients."""
        return [
            CrosstalkPair(*_split(victim), *_split(aggressor), coefficient, flip_x, flip_y)
            for victim, aggressor, coefficient, flip_x, flip_y in self.coefficients
        ]

    def disturbing(self, chip: str) -> list[CrosstalkPair]:
        """Return the pairs whose victim is a chip."""
        return [pair for pair in self.pairs if pair.victim == chip]

    def __str__(self) -> str:
        return f"Crosstalk {self.object_id or '(new)'} {self.instrument.name}"


def _split(name: str) -> tuple[str, str]:
    chip, _, amplifier = name.partition(":")
    return chip, amplifier


class GainLinearity(FileBacked, Calibration, Persistent):
    """Gain and linearity of a chip, from pairs of dome flats of growing exposure time; its file lists the pairs."""

    __key__ = ("chip", "valid_from", "valid_to")

    chip: Mapped[Chip] = links("the detector")
    raw_flats: Mapped[list[RawDomeFlatFrame]] = uses(
        "flats, two or more of each exposure time", FlatSequence("dome_flat")
    )
    bias: Mapped[BiasFrame] = uses("master bias of the chip", SameInterval())
    read_noise: Mapped[ReadNoise] = uses("read noise by biases, to compare with", Through("bias.read_noise"))
    coefficients: Mapped[list[Any] | None] = measured(
        "true level = m (1 + c0 m + c1 m2 + ...) for m adu above bias; adu-1, adu-2, ...", sql=JSON
    )
    deviation: Mapped[float | None] = measured("relative correction at the upper end of the range")
    deviation_error: Mapped[float | None] = measured("standard error of that")
    minimum: Mapped[float | None] = measured("lower end of the range of levels that it holds for", unit="adu")
    maximum: Mapped[float | None] = measured(
        "upper end of the range; above, the relative correction stays as it is there", unit="adu"
    )
    scatter: Mapped[float | None] = measured("rms of the relative residuals of the pairs")
    n_pairs: Mapped[int | None] = measured("pairs that were used")
    rate: Mapped[float | None] = measured("light of the lamp", unit="adu/s")
    gain: Mapped[float | None] = measured("gain by photon transfer", unit="electron/adu")
    gain_error: Mapped[float | None] = measured("standard error of the gain", unit="electron/adu")
    header_gain: Mapped[float | None] = measured("gain by header or instrument file", unit="electron/adu")
    flat_noise: Mapped[float | None] = measured("read noise by photon transfer", unit="adu")
    flat_noise_error: Mapped[float | None] = measured("standard error of that", unit="adu")
    chi_squared: Mapped[float | None] = measured("of the photon transfer, for one degree of freedom")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        order: int = parameter(2, "number of coefficients")
        tolerance: float = parameter(0.1, "fraction by which gain and read noise may differ from what was known")

    def __str__(self) -> str:
        return f"GainLinearity {self.object_id or '(new)'} {self.chip.name}"
