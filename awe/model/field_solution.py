"""Astrometric solution of all exposures of a target together."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.kernels.choices import FocalPlane
from awe.model.field_rules import CatalogueForField, ExposuresOfField
from awe.model.frame import FileBacked
from awe.model.instrument import Instrument
from awe.model.lineage import described, links, measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.reference import ReferenceCatalogue
from awe.model.science import BackgroundFrame, ReducedFrame, WeightFrame


class GlobalAstrometry(FileBacked, Persistent):
    """Where the pixels of all exposures of a target lie, solved at once; its file lists the residuals of the stars.

    It is made when it is asked for; from then on the astrometric parameters of its frames are taken from it.
    """

    __key__ = ("instrument", "object")
    TOLERATES = ("reduced_frames", "weights", "backgrounds")

    instrument: Mapped[Instrument] = links("the camera")
    object: Mapped[str] = described("name of the target", index=True)
    reduced_frames: Mapped[list[ReducedFrame]] = uses("the frames that are bound together", ExposuresOfField())
    weights: Mapped[list[WeightFrame]] = uses("weights of their pixels", ExposuresOfField())
    backgrounds: Mapped[list[BackgroundFrame]] = uses("their skies", ExposuresOfField())
    catalogue: Mapped[ReferenceCatalogue | None] = uses("reference positions", CatalogueForField())
    frames: Mapped[dict[str, Any] | None] = measured(
        "for each frame that was solved, by its number: FITS cards, errors, residuals (arcsec), stars", sql=JSON
    )
    left_out: Mapped[dict[str, Any] | None] = measured(
        "for each frame that could not be bound to the others, by its number: why", sql=JSON
    )
    n_exposures: Mapped[int | None] = measured("exposures that were bound together")
    n_frames: Mapped[int | None] = measured("frames in them")
    n_solved: Mapped[int | None] = measured("frames that were solved")
    n_stars: Mapped[int | None] = measured("stars that tie them together")
    n_reference: Mapped[int | None] = measured("of these, stars of the catalogue")
    n_rejected: Mapped[int | None] = measured("detections that were left out as outliers")
    n_parameters: Mapped[int | None] = measured("parameters that were solved for")
    rms: Mapped[float | None] = measured("residuals for one axis, between detections of the same star", unit="arcsec")
    rms_reference: Mapped[float | None] = measured("residuals for one axis, against the catalogue", unit="arcsec")
    n_detections: Mapped[int | None] = measured("detections that were used")
    mean_ra: Mapped[float | None] = measured("mean of their residuals to the east", unit="arcsec")
    mean_dec: Mapped[float | None] = measured("mean of their residuals to the north", unit="arcsec")
    rms_ra: Mapped[float | None] = measured("rms of their residuals to the east", unit="arcsec")
    rms_dec: Mapped[float | None] = measured("rms of their residuals to the north", unit="arcsec")
    chi_square: Mapped[float | None] = measured("sum of squared residuals over their variance, per degree of freedom")
    error: Mapped[float | None] = measured("median error of the coordinates at the middle of a frame", unit="arcsec")
    floor: Mapped[float | None] = measured("median error of positions beyond the stated one", unit="arcsec")

    @dataclass(frozen=True)
    class Parameters:
        focal_plane: FocalPlane = parameter(
            FocalPlane.FIXED, "what the chips have in common in all exposures (MOSAIC_TYPE)"
        )
        degree: int = parameter(3, "degree of the distortion of a chip (DISTORT_DEGREES)")
        exposure_degree: int = parameter(1, "degree of the terms of each exposure")
        reference_weight: float = parameter(
            1.0, "weight of the catalogue beside that which errors give (ASTREF_WEIGHT; lambda)"
        )
        detect_thresh: float = parameter(5.0, "detection threshold (DETECT_THRESH)", unit="sigma")
        least_signal: float = parameter(10.0, "signal to noise from which a source takes part (SN_THRESHOLDS)")
        radius: float = parameter(
            2.0, "distance within which sources are taken for one at first; at least 3 pixels", unit="arcsec"
        )
        final_radius: float = parameter(0.7, "... and in the end (CROSSID_RADIUS); at least 2 pixels", unit="arcsec")
        maximum_offset: float = parameter(120.0, "pointing error that is searched (POSITION_MAXERR)", unit="arcsec")
        sigma_clip: float = parameter(4.0, "rejection of outliers (ASTRCLIP_NSIGMA)", unit="sigma")

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.object_id} of {self.object}"
