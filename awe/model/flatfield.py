"""Flat fields and the pixels that do not respond."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.kernels.choices import Combine, Overscan
from awe.model.correction_rules import IfDeclared
from awe.model.detector import BiasFrame, HotPixelMap, ReadNoise
from awe.model.electronics import GainLinearity
from awe.model.frame import Calibration, Frame
from awe.model.lineage import measured, parameter, uses
from awe.model.raw import RawDomeFlatFrame, RawTwilightFlatFrame
from awe.model.rules import NearestRaws, Of, SameInterval, Through


class DomeFlatFrame(Calibration, Frame):
    """Master flat of a chip and filter from exposures of a screen; its median is 1."""

    __key__ = ("chip", "filter", "valid_from", "valid_to")

    raw_flats: Mapped[list[RawDomeFlatFrame]] = uses(
        "flats that are combined", NearestRaws("dome_flat", same=("filter",))
    )
    bias: Mapped[BiasFrame] = uses("master bias of the chip", SameInterval())
    read_noise: Mapped[ReadNoise] = uses("read noise of the chip", Through("bias.read_noise"))
    hot_pixels: Mapped[HotPixelMap] = uses("hot pixels of the chip", Of("bias"))
    linearity: Mapped[GainLinearity | None] = uses(
        "linearity of the chip", IfDeclared("linearity", SameInterval(optional=True))
    )
    level: Mapped[float | None] = measured("median level of the exposures", unit="adu")
    gain: Mapped[float | None] = measured("gain from pairs of flats, by photon transfer", unit="electron/adu")
    sigma: Mapped[float | None] = measured("clipped standard deviation of the normalised flat")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        combine: Combine = parameter(Combine.CLIPPED, "how the frames are combined")
        sigma_clip: float = parameter(3.0, "rejection threshold", unit="sigma")


class TwilightFlatFrame(Calibration, Frame):
    """Master flat of a chip and filter from exposures of the twilight sky; its median is 1."""

    __key__ = ("chip", "filter", "valid_from", "valid_to")

    raw_flats: Mapped[list[RawTwilightFlatFrame]] = uses(
        "flats that are combined", NearestRaws("twilight_flat", same=("filter",))
    )
    bias: Mapped[BiasFrame] = uses("master bias of the chip", SameInterval())
    read_noise: Mapped[ReadNoise] = uses("read noise of the chip", Through("bias.read_noise"))
    hot_pixels: Mapped[HotPixelMap] = uses("hot pixels of the chip", Of("bias"))
    linearity: Mapped[GainLinearity | None] = uses(
        "linearity of the chip", IfDeclared("linearity", SameInterval(optional=True))
    )
    level: Mapped[float | None] = measured("median level of the exposures", unit="adu")
    gain: Mapped[float | None] = measured("gain from pairs of flats, by photon transfer", unit="electron/adu")
    sigma: Mapped[float | None] = measured("clipped standard deviation of the normalised flat")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        combine: Combine = parameter(Combine.CLIPPED, "how the frames are combined")
        sigma_clip: float = parameter(3.0, "rejection threshold", unit="sigma")


class MasterFlatFrame(Calibration, Frame):
    """The flat that science frames are divided by: small scales from the dome, large scales from the sky."""

    __key__ = ("chip", "filter", "valid_from", "valid_to")
    NEEDS_ONE_OF = ("dome", "twilight")

    dome: Mapped[DomeFlatFrame | None] = uses("dome flat", SameInterval(same=("filter",), optional=True))
    twilight: Mapped[TwilightFlatFrame | None] = uses("twilight flat", SameInterval(same=("filter",), optional=True))
    sigma: Mapped[float | None] = measured("clipped standard deviation")

    @dataclass(frozen=True)
    class Parameters:
        smoothing: float = parameter(64.0, "scale above which the twilight flat is followed", unit="pixel")


class ColdPixelMap(Frame):
    """Pixels that respond too little or too much to light."""

    LIKE = "flat"
    __key__ = ("flat",)

    flat: Mapped[MasterFlatFrame] = uses("flat in which they stand out")
    count: Mapped[int | None] = measured("number of cold pixels", unit="pixel")

    @dataclass(frozen=True)
    class Parameters:
        low: float = parameter(0.75, "response, relative to the surroundings, below which a pixel is cold")
        high: float = parameter(1.3, "response, relative to the surroundings, above which it is not trusted")
