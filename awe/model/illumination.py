"""Illumination correction: what is wrong with flats of an unevenly lit field."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.kernels.choices import PixelArea
from awe.model.correction_rules import EnoughRaws, ResultsOfNight
from awe.model.frame import Calibration, Frame
from awe.model.lineage import measured, parameter, uses
from awe.model.photometric import PhotometricParameters


class IlluminationCorrection(Calibration, Frame):
    """Factor by which the light of stars on a chip, in frames that are flat in the sky, is multiplied.

    Of the residuals of stars of known magnitude against their place on the chip. Frames are multiplied by its image
    after their sky is subtracted: when they are regridded.
    """

    TOLERATES = ("photometry",)
    __key__ = ("chip", "filter", "valid_from", "valid_to")

    photometry: Mapped[list[PhotometricParameters]] = uses(
        "zeropoints whose stars are compared", ResultsOfNight(EnoughRaws("illumination", 1, same=("filter",)))
    )
    degree: Mapped[int | None] = measured("degree of the polynomial; 0: there were too few stars, nothing is corrected")
    coefficients: Mapped[list[Any] | None] = measured(
        "of products of Legendre polynomials in x and y, by degrees in x and y; mag", sql=JSON
    )
    peak_to_peak: Mapped[float | None] = measured("range of the correction over the chip", unit="mag")
    error: Mapped[float | None] = measured("median standard error of the correction", unit="mag")
    scatter: Mapped[float | None] = measured("scatter of the stars about it", unit="mag")
    n_stars: Mapped[int | None] = measured("stars that were used")
    n_rejected: Mapped[int | None] = measured("stars that were rejected as outliers")

    @dataclass(frozen=True)
    class Parameters:
        degree: int = parameter(2, "highest total degree of the polynomial in x and y")
        pixel_area: PixelArea = parameter(
            PixelArea.FIXED, "as that of the frames that are regridded: fixed, the size of pixels is no illumination"
        )
        sigma_clip: float = parameter(3.5, "rejection of outliers", unit="sigma")
