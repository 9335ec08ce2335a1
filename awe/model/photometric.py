"""Photometric zeropoint of one frame."""

from dataclasses import dataclass

from sqlalchemy.orm import Mapped

from awe.model.astrometric import AstrometricParameters
from awe.model.field_rules import OfField
from awe.model.frame import FileBacked
from awe.model.lineage import measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.photometric_solution import PhotometricSolution
from awe.model.reference import ReferenceCatalogue
from awe.model.rules import Of
from awe.model.science import BackgroundFrame, ReducedFrame, WeightFrame
from awe.model.sky_rules import CatalogueFor, OfFirstExposure


class PhotometricParameters(FileBacked, Persistent):
    """The magnitude of 1 adu/s in a reduced frame; its file lists the stars with their residuals."""

    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame that is calibrated")
    weight: Mapped[WeightFrame] = uses("weight of its pixels", Of("reduced"))
    background: Mapped[BackgroundFrame] = uses("its sky", Of("reduced"))
    astrometry: Mapped[AstrometricParameters] = uses("its place on the sky", Of("reduced"))
    catalogue: Mapped[ReferenceCatalogue | None] = uses(
        "stars of known magnitude", CatalogueFor("reduced.raw", photometric=True)
    )
    standard: Mapped["PhotometricParameters | None"] = uses(
        "zeropoint of the standard field of the night",
        OfFirstExposure("reduced.raw", same=("filter",), standard=True, unless=("catalogue",)),
    )
    reference: Mapped["PhotometricParameters | None"] = uses(
        "zeropoint of the first exposure of the target in this filter, for a relative one",
        OfFirstExposure("reduced.raw", same=("filter",), unless=("catalogue", "standard")),
    )
    solution: Mapped[PhotometricSolution | None] = uses(
        "zeropoints of all exposures of the target together, from which this one is taken",
        OfField("reduced.raw", same=("filter",)),
    )
    method: Mapped[str | None] = measured("global, catalogue, standard, relative, or none")
    zeropoint: Mapped[float | None] = measured("magnitude of 1 adu/s", unit="mag", ucd="phot.mag;arith.zp")
    error: Mapped[float | None] = measured("standard error of the zeropoint", unit="mag")
    scatter: Mapped[float | None] = measured("scatter of the stars", unit="mag")
    n_stars: Mapped[int | None] = measured("stars that were used")
    extinction: Mapped[float | None] = measured("extinction used, for one air mass", unit="mag")
    airmass: Mapped[float | None] = measured("air mass for which it holds")
    aperture: Mapped[float | None] = measured("radius of the aperture", unit="arcsec")

    @dataclass(frozen=True)
    class Parameters:
        aperture: float = parameter(4.0, "radius of the aperture in units of the seeing (FWHM)")
        radius: float = parameter(2.0, "largest distance of a star from its reference", unit="arcsec")
        sigma_clip: float = parameter(3.0, "rejection of outliers (PHOTCLIP_NSIGMA)", unit="sigma")
        nominal: float = parameter(25.0, "zeropoint of a first exposure that nothing calibrates", unit="mag")
