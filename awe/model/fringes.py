"""Fringes of night-sky lines in thin chips."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.kernels.choices import Combine, Overscan
from awe.model.correction_rules import EnoughRaws, IfDeclared
from awe.model.detector import BiasFrame, DarkFrame, HotPixelMap
from awe.model.electronics import GainLinearity
from awe.model.flatfield import ColdPixelMap, MasterFlatFrame
from awe.model.frame import Calibration, Frame
from awe.model.lineage import measured, parameter, uses
from awe.model.raw import RawScienceFrame
from awe.model.rules import Of, SameInterval


class FringeFrame(Calibration, Frame):
    """Fringe pattern of a chip and filter relative to the sky, of mean zero; from exposures of different fields.

    It is made from raw exposures, which it reduces up to the flat by itself: so it depends on no frame that depends
    on it.
    """

    __key__ = ("chip", "filter", "valid_from", "valid_to")

    raws: Mapped[list[RawScienceFrame]] = uses("exposures that are combined", EnoughRaws("fringe", same=("filter",)))
    bias: Mapped[BiasFrame] = uses("master bias of the chip", SameInterval())
    dark: Mapped[DarkFrame | None] = uses("dark current", SameInterval(optional=True))
    flat: Mapped[MasterFlatFrame] = uses("flat field", SameInterval(same=("filter",)))
    hot_pixels: Mapped[HotPixelMap] = uses("hot pixels of the chip", Of("bias"))
    cold_pixels: Mapped[ColdPixelMap] = uses("cold pixels of chip and filter", Of("flat"))
    linearity: Mapped[GainLinearity | None] = uses(
        "linearity of the chip", IfDeclared("linearity", SameInterval(optional=True))
    )
    rms: Mapped[float | None] = measured("rms of the pattern, without noise, relative to the sky")
    noise: Mapped[float | None] = measured("noise of a pixel of the pattern, relative to the sky")
    level: Mapped[float | None] = measured("median sky level of the exposures", unit="adu", ucd="instr.skyLevel")
    n_frames: Mapped[int | None] = measured("exposures that were combined")

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        back_size: int = parameter(
            128, "size of a cell of the background (BACK_SIZE): what is larger is no fringe", unit="pixel", least=4
        )
        combine: Combine = parameter(Combine.CLIPPED, "how the frames are combined")
        sigma_clip: float = parameter(3.0, "rejection threshold", unit="sigma")
        smoothing: float = parameter(1.0, "sigma of the Gaussian that smooths the pattern", unit="pixel")
        least_sky: float = parameter(0.2, "part of the brightest sky below which an exposure is left out")
