"""Frames on a common grid of the sky, and their sum."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.kernels.choices import FlagRule, Kernel, Method, PixelArea
from awe.model.astrometric import AstrometricParameters
from awe.model.correction_rules import IfDeclared
from awe.model.frame import Frame
from awe.model.illumination import IlluminationCorrection
from awe.model.lineage import links, measured, parameter, uses
from awe.model.observation import GridTarget
from awe.model.photometric import PhotometricParameters
from awe.model.rules import CalibrationFor, Of
from awe.model.science import BackgroundFrame, ReducedFrame, WeightFrame
from awe.model.sky_rules import FramesOnGrid

MOST_POSITIONS = 32
"""Of the oversampling that may be asked for: its square is the factor by which regridding takes longer."""


class RegriddedFrame(Frame):
    """A reduced frame on the pixels of a grid target, without its background; with weight and flags."""

    LIKE = "reduced"
    MAY_BE_EXTERNAL = True
    __key__ = ("reduced", "grid_target")

    reduced: Mapped[ReducedFrame] = uses("the frame that is regridded")
    grid_target: Mapped[GridTarget] = links("the grid")
    weight: Mapped[WeightFrame] = uses("weight of its pixels", Of("reduced"))
    background: Mapped[BackgroundFrame] = uses("the background that is subtracted", Of("reduced"))
    astrometry: Mapped[AstrometricParameters] = uses("its place on the sky", Of("reduced"))
    photometry: Mapped[PhotometricParameters] = uses("its zeropoint", Of("reduced"))
    illumination: Mapped[IlluminationCorrection | None] = uses(
        "what its pixels are multiplied by once their sky is subtracted",
        IfDeclared("illumination", CalibrationFor("reduced.raw", ("filter",), needed_as="illumination"), "reduced.raw"),
    )
    flux_scale: Mapped[float | None] = measured("factor from adu of the frame to adu of the zeropoint")
    zeropoint: Mapped[float | None] = measured("magnitude of 1 adu in this frame", unit="mag", ucd="phot.mag;arith.zp")
    zeropoint_error: Mapped[float | None] = measured("its standard error", unit="mag")
    noise_scale: Mapped[float | None] = measured("noise of large apertures over that of independent pixels")
    oversampled: Mapped[int | None] = measured("positions along a side of a pixel over which it averages")
    astrometric_rms: Mapped[float | None] = measured("residuals of its astrometry", unit="pixel")
    gain: Mapped[float | None] = measured("electrons for one adu of this frame", unit="electron/adu")
    x0: Mapped[int | None] = measured("first column on the grid, from 0", unit="pixel")
    y0: Mapped[int | None] = measured("first row on the grid, from 0", unit="pixel")

    @dataclass(frozen=True)
    class Parameters:
        kernel: Kernel = parameter(Kernel.LANCZOS3, "interpolation (RESAMPLING_TYPE)")
        oversampling: int = parameter(
            0,
            "positions along a side of a pixel over which it averages (OVERSAMPLING); 0 = as many as its size asks for",
            least=0,
            most=MOST_POSITIONS,
        )
        projection_err: float = parameter(
            0.001,
            "largest error of the positions between those that are calculated (PROJECTION_ERR); 0 = each is calculated",
            unit="pixel",
            least=0,
            most=1,
        )
        zeropoint: float = parameter(30.0, "zeropoint of the result: magnitude of 1 adu", unit="mag")
        subtract_background: bool = parameter(True, "whether the background is subtracted (SUBTRACT_BACK)")
        pixel_area: PixelArea = parameter(
            PixelArea.FIXED,
            "one area ratio for the frame (right after sky flats), or the local one of each pixel (FSCALASTRO_TYPE)",
        )


class Coadd(Frame):
    """The sum of regridded frames, with weight and flags."""

    __key__ = ("grid_target", "filter")
    MAY_BE_EXTERNAL = True
    TOLERATES = ("regridded_frames",)

    grid_target: Mapped[GridTarget] = links("the grid")
    regridded_frames: Mapped[list[RegriddedFrame]] = uses("the frames that are summed", FramesOnGrid())
    n_frames: Mapped[int | None] = measured("frames that were used")
    zeropoint: Mapped[float | None] = measured("magnitude of 1 adu", unit="mag", ucd="phot.mag;arith.zp")
    zeropoint_error: Mapped[float | None] = measured("its standard error", unit="mag")
    noise_scale: Mapped[float | None] = measured("noise of large apertures over that of independent pixels")
    gain: Mapped[float | None] = measured("effective gain: electrons for one adu", unit="electron/adu")
    total_exptime: Mapped[float | None] = measured("sum of the exposure times of the exposures", unit="s")
    noise: Mapped[float | None] = measured("median noise of a pixel", unit="adu", ucd="instr.det.noise")
    limiting_magnitude: Mapped[float | None] = measured("5 sigma, aperture of 2 arcsec radius", unit="mag")

    @dataclass(frozen=True)
    class Parameters:
        combine: Method = parameter(Method.CLIPPED, "how the frames are combined (COMBINE_TYPE)")
        threshold: float = parameter(4.0, "rejection threshold of clipping (CLIP_SIGMA)", unit="sigma")
        join_flags: FlagRule = parameter(FlagRule.OR, "how the flags of the frames are joined")
        count_map: bool = parameter(False, "whether a map of the number of exposures of each pixel is stored")
        noise_map: bool = parameter(False, "whether a map of the noise of each pixel is stored")
        maximum_rms: float = parameter(1.5, "astrometric residual above which a frame is left out", unit="pixel")
        maximum_seeing: float | None = parameter(None, "seeing above which a frame is left out", unit="arcsec")
