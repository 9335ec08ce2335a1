"""The PSF of one frame."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.model.frame import FileBacked, Frame
from awe.model.lineage import measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.rules import Of
from awe.model.science import BackgroundFrame, WeightFrame


class PsfModel(FileBacked, Persistent):
    """The picture of a point source, as a polynomial of the place on one frame; its file is one of PSFEx.

    Without a star that tells it there is no file, and the notes say why.
    """

    __key__ = ("frame",)

    frame: Mapped[Frame] = uses("the image whose stars tell it")
    weight: Mapped[WeightFrame | None] = uses(
        "weight of its pixels, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    background: Mapped[BackgroundFrame | None] = uses(
        "its sky, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    fwhm: Mapped[float | None] = measured("FWHM of the model in the middle", unit="pixel", ucd="instr.obsty.seeing")
    seeing: Mapped[float | None] = measured("the same on the sky", unit="arcsec", ucd="instr.obsty.seeing")
    ellipticity: Mapped[float | None] = measured("1 - B/A of the model in the middle", ucd="src.ellipticity")
    n_candidates: Mapped[int | None] = measured("stars that were tried")
    n_stars: Mapped[int | None] = measured("stars that were used")
    chi2: Mapped[float | None] = measured("mean square of their residuals in units of the errors")
    degree: Mapped[int | None] = measured("degree of the polynomial that the stars allow")
    sampling: Mapped[float | None] = measured("size of a pixel of the picture, in pixels of the frame", unit="pixel")

    @dataclass(frozen=True)
    class Parameters:
        detect_thresh: float = parameter(5.0, "detection threshold (DETECT_THRESH)", unit="sigma")
        psfvar_degrees: int = parameter(2, "degree of the polynomial across the frame (PSFVAR_DEGREES)")
        psf_sampling: float = parameter(
            0.0, "size of a pixel of the picture (PSF_SAMPLING); 0 = a quarter of the FWHM", unit="pixel"
        )
        sample_minsn: float = parameter(20.0, "least signal to noise of a star (SAMPLE_MINSN)")
        sample_maxellip: float = parameter(0.3, "largest ellipticity of a star (SAMPLE_MAXELLIP)")
