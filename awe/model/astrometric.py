"""Astrometric solution of one frame."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.model.field_rules import OfField
from awe.model.field_solution import GlobalAstrometry
from awe.model.frame import FileBacked
from awe.model.lineage import measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.reference import ReferenceCatalogue
from awe.model.rules import Of
from awe.model.science import BackgroundFrame, ReducedFrame, WeightFrame
from awe.model.sky_rules import CatalogueFor, OfFirstExposure


class AstrometricParameters(FileBacked, Persistent):
    """Where the pixels of a reduced frame lie on the sky; its file lists the stars with their residuals and pixels."""

    __key__ = ("reduced",)

    reduced: Mapped[ReducedFrame] = uses("the frame that is solved")
    weight: Mapped[WeightFrame] = uses("weight of its pixels", Of("reduced"))
    background: Mapped[BackgroundFrame] = uses("its sky", Of("reduced"))
    catalogue: Mapped[ReferenceCatalogue | None] = uses("reference positions", CatalogueFor("reduced.raw"))
    reference: Mapped["AstrometricParameters | None"] = uses(
        "solution of the first exposure of the target, to which this one is tied if no catalogue covers it",
        OfFirstExposure("reduced.raw", unless=("catalogue",)),
    )
    global_astrometry: Mapped[GlobalAstrometry | None] = uses(
        "solution of all exposures of the target together, from which the coordinates are taken", OfField("reduced.raw")
    )
    method: Mapped[str | None] = measured("global, polynomial, affine, shift, or prior if the header's was kept")
    wcs: Mapped[dict[str, Any] | None] = measured("FITS cards of the solution", sql=JSON)
    degree: Mapped[int | None] = measured("degree of the polynomial")
    n_stars: Mapped[int | None] = measured("stars that were used")
    n_rejected: Mapped[int | None] = measured("stars that were rejected as outliers")
    rms: Mapped[float | None] = measured("rms of the residuals for one axis", unit="pixel")
    rms_sky: Mapped[float | None] = measured("rms of the residuals for one axis", unit="arcsec")
    rms_bright: Mapped[float | None] = measured("rms for one axis, single stars with S/N above 30", unit="pixel")
    n_bright: Mapped[int | None] = measured("number of these stars")
    sigma_ra: Mapped[float | None] = measured("error of the zero point in right ascension", unit="arcsec")
    sigma_dec: Mapped[float | None] = measured("error of the zero point in declination", unit="arcsec")
    epoch: Mapped[float | None] = measured("epoch to which proper motions were applied", unit="yr")
    offset_x: Mapped[float | None] = measured("shift of the stars against the reference or header", unit="pixel")
    offset_y: Mapped[float | None] = measured("shift of the stars against the reference or header", unit="pixel")
    seeing: Mapped[float | None] = measured("FWHM of stars", unit="arcsec", ucd="instr.obsty.seeing")
    pixel_scale: Mapped[float | None] = measured("size of a pixel at the centre", unit="arcsec")

    @dataclass(frozen=True)
    class Parameters:
        detect_thresh: float = parameter(
            5.0, "detection threshold of stars, those of photometry too (DETECT_THRESH)", unit="sigma"
        )
        degree: int = parameter(3, "highest degree of the polynomial (DISTORT_DEGREES)")
        radius: float = parameter(
            2.0, "largest distance of a star from its reference after the first fit (CROSSID_RADIUS)", unit="arcsec"
        )
        maximum_offset: float = parameter(
            120.0,
            "pointing error that is searched first (POSITION_MAXERR); then half the diagonal of the frame",
            unit="arcsec",
        )
        sigma_clip: float = parameter(4.0, "rejection of outliers (ASTRCLIP_NSIGMA)", unit="sigma")
        maximum_rms: float = parameter(1.5, "residual above which the solution is flagged", unit="pixel")
