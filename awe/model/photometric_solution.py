"""Photometric solution of all exposures of a target in a filter together."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.model.astrometric import AstrometricParameters
from awe.model.field_rules import CatalogueForField, ExposuresOfField
from awe.model.frame import FileBacked
from awe.model.instrument import Filter, Instrument
from awe.model.lineage import described, links, measured, parameter, uses
from awe.model.persistent import Persistent
from awe.model.reference import ReferenceCatalogue
from awe.model.science import BackgroundFrame, ReducedFrame, WeightFrame


class PhotometricSolution(FileBacked, Persistent):
    """Zeropoints of all exposures of a target in a filter, solved at once, and which were photometric.

    It is made when it is asked for; from then on the photometric parameters of its frames are taken from it, if stars
    of known magnitude are on one of them. Its file lists the residuals of the stars.
    """

    __key__ = ("instrument", "object", "filter")
    TOLERATES = ("reduced_frames", "weights", "backgrounds", "astrometries")

    instrument: Mapped[Instrument] = links("the camera")
    object: Mapped[str] = described("name of the target", index=True)
    filter: Mapped[Filter] = links("the filter")
    reduced_frames: Mapped[list[ReducedFrame]] = uses(
        "the frames that are bound together", ExposuresOfField(("filter",))
    )
    weights: Mapped[list[WeightFrame]] = uses("weights of their pixels", ExposuresOfField(("filter",)))
    backgrounds: Mapped[list[BackgroundFrame]] = uses("their skies", ExposuresOfField(("filter",)))
    astrometries: Mapped[list[AstrometricParameters]] = uses("their places on the sky", ExposuresOfField(("filter",)))
    catalogue: Mapped[ReferenceCatalogue | None] = uses("stars of known magnitude", CatalogueForField(photometric=True))
    frames: Mapped[dict[str, Any] | None] = measured(
        "for each frame, by its number: zeropoint (mag), error, what clouds took, whether photometric and why not",
        sql=JSON,
    )
    nights: Mapped[dict[str, Any] | None] = measured(
        "for each night: extinction (mag for one air mass), error, whether its exposures told it", sql=JSON
    )
    chips: Mapped[dict[str, Any] | None] = measured(
        "for each chip: zeropoint above the atmosphere on a photometric night (mag)", sql=JSON
    )
    n_exposures: Mapped[int | None] = measured("exposures that were bound together")
    n_photometric: Mapped[int | None] = measured("of these, photometric ones")
    n_frames: Mapped[int | None] = measured("frames in them")
    n_solved: Mapped[int | None] = measured("frames that got a zeropoint")
    n_stars: Mapped[int | None] = measured("stars that tie them together")
    n_standards: Mapped[int | None] = measured("of these, stars of known magnitude")
    n_measurements: Mapped[int | None] = measured("measurements that were used")
    n_rejected: Mapped[int | None] = measured("measurements that were left out as outliers")
    extinction: Mapped[float | None] = measured("extinction for one air mass, the median of the nights", unit="mag")
    error: Mapped[float | None] = measured("median error of the zeropoints", unit="mag")
    mean: Mapped[float | None] = measured("mean residual against the other measurements of a star", unit="mag")
    rms: Mapped[float | None] = measured("rms residual against the other measurements of a star", unit="mag")
    rms_standards: Mapped[float | None] = measured("rms residual against the catalogue", unit="mag")
    chi_square: Mapped[float | None] = measured("sum of squared residuals over their variance, per degree of freedom")
    floor: Mapped[float | None] = measured("error of magnitudes beyond the stated one", unit="mag")

    @dataclass(frozen=True)
    class Parameters:
        aperture: float = parameter(4.0, "radius of the aperture in units of the seeing (FWHM)")
        least_signal: float = parameter(20.0, "signal to noise from which a star takes part (SN_THRESHOLDS)")
        radius: float = parameter(
            2.0, "distance within which sources are taken for one; at least 2 pixels", unit="arcsec"
        )
        sigma_clip: float = parameter(4.0, "rejection of outliers (PHOTCLIP_NSIGMA)", unit="sigma")
        photometric: float = parameter(0.02, "loss that a photometric exposure may have", unit="mag")
        extinction_error: float = parameter(0.05, "how well the extinction of the filter is known", unit="mag")

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.object_id} of {self.object} in {self.filter.name}"
