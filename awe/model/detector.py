"""Calibrations of the detector: read noise, bias, dark, hot pixels."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.kernels.choices import Combine, Overscan
from awe.model.frame import Calibration, Frame
from awe.model.instrument import Chip
from awe.model.lineage import links, measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.raw import RawBiasFrame, RawDarkFrame
from awe.model.rules import NearestRaws, SameInterval


class ReadNoise(Calibration, Persistent):
    """Noise of one read-out of a chip, from the differences of pairs of raw biases."""

    __key__ = ("chip", "valid_from", "valid_to")

    chip: Mapped[Chip] = links("the detector")
    raw_biases: Mapped[list[RawBiasFrame]] = uses(
        "biases whose differences are measured", NearestRaws("bias", minimum=2)
    )
    value: Mapped[float | None] = measured("read noise", unit="adu")
    error: Mapped[float | None] = measured("standard error of the read noise", unit="adu")
    plain_value: Mapped[float | None] = measured("by differences to the first bias, no outlier left out", unit="adu")
    gain: Mapped[float | None] = measured("gain with which the header's figure was converted", unit="electron/adu")
    header_value: Mapped[float | None] = measured("read noise according to header or instrument file", unit="adu")

    @dataclass(frozen=True)
    class Parameters:
        sigma_clip: float = parameter(5.0, "pixels whose difference lies further off are left out", unit="sigma")
        tolerance: float = parameter(0.1, "fraction by which the header's figure may differ before it is called wrong")

    def __str__(self) -> str:
        return f"ReadNoise {self.object_id or '(new)'} {self.chip.name}"


class BiasFrame(Calibration, Frame):
    """Master bias of a chip: the structure that remains when the overscan is subtracted."""

    __key__ = ("chip", "valid_from", "valid_to")

    raw_biases: Mapped[list[RawBiasFrame]] = uses("biases that are combined", NearestRaws("bias"))
    read_noise: Mapped[ReadNoise] = uses("read noise of the chip", SameInterval())
    raw_level: Mapped[float | None] = measured(
        "mean of the median levels of the raw biases, overscan included", unit="adu"
    )
    mean: Mapped[float | None] = measured("clipped mean", unit="adu")
    sigma: Mapped[float | None] = measured("clipped standard deviation", unit="adu")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        combine: Combine = parameter(Combine.CLIPPED, "how the frames are combined")
        sigma_clip: float = parameter(3.0, "rejection threshold", unit="sigma")


class DarkFrame(Calibration, Frame):
    """Master dark of a chip: the dark current."""

    __key__ = ("chip", "valid_from", "valid_to")

    raw_darks: Mapped[list[RawDarkFrame]] = uses("darks that are combined", NearestRaws("dark", default_days=30.0))
    bias: Mapped[BiasFrame] = uses("master bias of the chip", SameInterval())
    mean: Mapped[float | None] = measured("clipped mean", unit="adu/s")
    sigma: Mapped[float | None] = measured("clipped standard deviation", unit="adu/s")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        combine: Combine = parameter(Combine.CLIPPED, "how the frames are combined")
        sigma_clip: float = parameter(3.0, "rejection threshold", unit="sigma")


class HotPixelMap(Frame):
    """Pixels and columns that are bright without light."""

    LIKE = "bias"
    __key__ = ("bias",)

    bias: Mapped[BiasFrame] = uses("master bias in which they stand out")
    count: Mapped[int | None] = measured("number of hot pixels", unit="pixel")
    columns: Mapped[str | None] = measured("columns flagged as a whole, counted from 0")

    @dataclass(frozen=True)
    class Parameters:
        threshold: float = parameter(6.0, "distance from the surroundings", unit="sigma")
