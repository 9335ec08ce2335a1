"""Science frames of one chip: reduced frame, its masks, background and weight."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.kernels.choices import Overscan
from awe.model.correction_rules import Aggressors, CrosstalkOf, IfDeclared
from awe.model.detector import BiasFrame, DarkFrame, HotPixelMap, ReadNoise
from awe.model.electronics import Crosstalk, GainLinearity
from awe.model.flatfield import ColdPixelMap, MasterFlatFrame
from awe.model.frame import Frame
from awe.model.fringes import FringeFrame
from awe.model.lineage import measured, parameter, uses
from awe.model.raw import RawScienceFrame
from awe.model.rules import CalibrationFor, Of, Through


class SaturatedPixelMap(Frame):
    """Pixels of an exposure that were full."""

    LIKE = "raw"
    __key__ = ("raw",)

    raw: Mapped[RawScienceFrame] = uses("the exposure")
    count: Mapped[int | None] = measured("number of saturated pixels", unit="pixel")

    @dataclass(frozen=True)
    class Parameters:
        fraction: float = parameter(0.98, "part of the saturation level from which a pixel counts as full")
        grow: int = parameter(1, "pixels by which the saturated areas are grown", unit="pixel")


class ReducedFrame(Frame):
    """A science exposure of one chip: overscan, bias and dark removed, flatfielded, bad pixels flagged."""

    LIKE = "raw"
    MAY_BE_EXTERNAL = True
    __key__ = ("raw",)

    raw: Mapped[RawScienceFrame] = uses("the exposure that is reduced")
    bias: Mapped[BiasFrame | None] = uses("master bias of the chip", CalibrationFor("raw", needed_as="bias"))
    read_noise: Mapped[ReadNoise | None] = uses("read noise of the chip", Through("bias.read_noise"))
    dark: Mapped[DarkFrame | None] = uses("dark current", CalibrationFor("raw", needed_as="dark"))
    flat: Mapped[MasterFlatFrame | None] = uses("flat field", CalibrationFor("raw", ("filter",), needed_as="flat"))
    hot_pixels: Mapped[HotPixelMap | None] = uses("hot pixels of the chip", Of("bias"))
    cold_pixels: Mapped[ColdPixelMap | None] = uses("cold pixels of chip and filter", Of("flat"))
    saturated_pixels: Mapped[SaturatedPixelMap] = uses("full pixels of the exposure", Of("raw"))
    crosstalk: Mapped[Crosstalk | None] = uses("coefficients of its crosstalk", CrosstalkOf("raw"))
    aggressors: Mapped[list[RawScienceFrame]] = uses(
        "other chips of the exposure whose signal shows in it", Aggressors("raw", by="crosstalk"), may_be_empty=True
    )
    linearity: Mapped[GainLinearity | None] = uses(
        "linearity of the chip", IfDeclared("linearity", CalibrationFor("raw", needed_as="linearity"), "raw")
    )
    fringes: Mapped[FringeFrame | None] = uses(
        "fringes of the chip and filter",
        IfDeclared("fringes", CalibrationFor("raw", ("filter",), needed_as="fringes"), "raw"),
    )
    background: Mapped[float | None] = measured("median sky level", unit="adu", ucd="instr.skyLevel")
    sigma: Mapped[float | None] = measured("clipped standard deviation", unit="adu")
    gain: Mapped[float | None] = measured("electrons for one adu", unit="electron/adu")
    noise: Mapped[float | None] = measured("read noise that was used", unit="adu")
    bad_fraction: Mapped[float | None] = measured("part of the pixels that are flagged")
    fringe_scale: Mapped[float | None] = measured("by what the fringe pattern was multiplied", unit="adu")
    fringe_scale_error: Mapped[float | None] = measured("standard error of that", unit="adu")
    zeropoint: Mapped[float | None] = measured(
        "of an external frame: magnitude of 1 unit of its pixels", unit="mag", ucd="phot.mag;arith.zp"
    )

    @dataclass(frozen=True)
    class Parameters:
        overscan: Overscan = parameter(Overscan.PER_ROW, "how the overscan level is removed")
        maximum_bad: float = parameter(0.5, "part of bad pixels above which the frame is flagged")


class CosmicMap(Frame):
    """Pixels of a reduced frame that were hit by cosmic rays (van Dokkum 2001, PASP 113, 1420)."""

    LIKE = "reduced"
    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame that is searched")
    count: Mapped[int | None] = measured("number of pixels hit", unit="pixel")

    @dataclass(frozen=True)
    class Parameters:
        sigma_clip: float = parameter(4.5, "significance of a hit", unit="sigma")
        object_limit: float = parameter(3.5, "contrast between a hit and the fine structure of a star")
        neighbours: float = parameter(0.35, "part of sigma_clip that suffices beside a hit")
        iterations: int = parameter(4, "most passes over the frame")


class SatelliteMap(Frame):
    """Pixels of a reduced frame in the tracks of satellites and aircraft that crossed it."""

    LIKE = "reduced"
    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame that is searched")
    cosmics: Mapped[CosmicMap] = uses("pixels hit by cosmic rays, which are left out", Of("reduced"))
    count: Mapped[int | None] = measured("number of pixels in tracks", unit="pixel")
    n_tracks: Mapped[int | None] = measured("number of tracks")
    tracks: Mapped[list[Any] | None] = measured(
        "of each track: x, y (from 0) where it enters and leaves the frame, FWHM, significance", unit="pixel", sql=JSON
    )

    @dataclass(frozen=True)
    class Parameters:
        threshold: float = parameter(12.0, "significance of the profile across a track", unit="sigma")
        grow: float = parameter(2.0, "flagged on both sides beyond where the light of a track ends", unit="pixel")


class BackgroundFrame(Frame):
    """The sky below the sources of a reduced frame, and its noise, on a mesh."""

    LIKE = "reduced"
    STORED_AS_MESH = True
    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame")
    cosmics: Mapped[CosmicMap] = uses("pixels hit by cosmic rays", Of("reduced"))
    satellites: Mapped[SatelliteMap | None] = uses("pixels in tracks of satellites", Of("reduced"))
    level: Mapped[float | None] = measured("median of the background", unit="adu", ucd="instr.skyLevel")
    rms: Mapped[float | None] = measured("median noise", unit="adu", ucd="instr.det.noise")

    @dataclass(frozen=True)
    class Parameters:
        back_size: int = parameter(64, "size of a cell of the mesh (BACK_SIZE)", unit="pixel", least=4)
        back_filtersize: int = parameter(
            3, "size of the median filter over the mesh, in cells (BACK_FILTERSIZE); odd", least=1
        )


class WeightFrame(Frame):
    """Inverse variance of each pixel of a reduced frame, 0 where it is bad, and the flags that say why."""

    LIKE = "reduced"
    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame")
    flat: Mapped[MasterFlatFrame | None] = uses("the flat it was divided by", Through("reduced.flat"))
    bias: Mapped[BiasFrame | None] = uses("the bias that was subtracted", Through("reduced.bias"))
    cosmics: Mapped[CosmicMap] = uses("pixels hit by cosmic rays", Of("reduced"))
    satellites: Mapped[SatelliteMap | None] = uses("pixels in tracks of satellites", Of("reduced"))
    background: Mapped[BackgroundFrame] = uses("sky level, for its photon noise", Of("reduced"))
    median_weight: Mapped[float | None] = measured("median weight of the good pixels", unit="adu-2")
    bad_fraction: Mapped[float | None] = measured("part of the pixels with weight 0")
    noise_ratio: Mapped[float | None] = measured("measured noise of the sky divided by the noise the weight predicts")

    @dataclass(frozen=True)
    class Parameters:
        minimum_response: float = parameter(0.1, "flat-field response below which a pixel is not used")
