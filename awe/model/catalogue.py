"""Source lists and their association; sources are rows of plain tables written in bulk, not objects."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import REAL, BigInteger, Column, Double, ForeignKey, Index, Integer, Table
from sqlalchemy.orm import Mapped

from awe.kernels.choices import Association
from awe.model.astrometric import AstrometricParameters
from awe.model.frame import Frame
from awe.model.lineage import described, measured, parameter, uses
from awe.model.persistent import Base, Persistent
from awe.model.photometric import PhotometricParameters
from awe.model.psf import PsfModel
from awe.model.rules import Of
from awe.model.science import BackgroundFrame, WeightFrame


class SourceList(Persistent):
    """Sources of one frame; its rows are in the table `source`, numbered (SLID, SID).

    They are detected on the frame itself, or on another of the same pixels (`detection`): all lists that are detected
    alike on one image have the same sources, under the same SID.
    """

    __key__ = ("frame", "detection")

    frame: Mapped[Frame] = uses("the image the sources are measured on")
    detection: Mapped[Frame | None] = uses("the image they are detected on, if it is another")
    weight: Mapped[WeightFrame | None] = uses(
        "weight of its pixels, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    background: Mapped[BackgroundFrame | None] = uses(
        "its sky, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    astrometry: Mapped[AstrometricParameters | None] = uses(
        "its place on the sky, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    photometry: Mapped[PhotometricParameters | None] = uses(
        "its zeropoint, if it is a reduced frame", Of(only="ReducedFrame", reduced="frame")
    )
    psf: Mapped[PsfModel | None] = uses("its PSF, for fluxes and classification", Of("frame", external=True))
    name: Mapped[str] = described("name", default="", index=True)
    n_sources: Mapped[int | None] = measured("number of sources")
    seeing: Mapped[float | None] = measured("FWHM of stars", unit="arcsec", ucd="instr.obsty.seeing")
    n_stars: Mapped[int | None] = measured("number of stars the seeing was measured on")
    zeropoint: Mapped[float | None] = measured("zeropoint of the magnitudes: that of 1 adu", unit="mag")
    depth: Mapped[float | None] = measured("magnitude at which the median error is 0.2 mag", unit="mag")

    @dataclass(frozen=True)
    class Parameters:
        detect_thresh: float = parameter(1.5, "detection threshold (DETECT_THRESH)", unit="sigma")
        detect_minarea: int = parameter(5, "least number of pixels (DETECT_MINAREA)", unit="pixel")
        deblend_nthresh: int = parameter(32, "deblending levels (DEBLEND_NTHRESH)")
        deblend_mincont: float = parameter(0.005, "least contrast for deblending (DEBLEND_MINCONT)")
        clean_param: float = parameter(1.0, "efficiency of cleaning (CLEAN_PARAM)")
        aperture_1: float = parameter(2.0, "diameter of the first aperture (PHOT_APERTURES)", unit="arcsec")
        aperture_2: float = parameter(4.0, "diameter of the second aperture (PHOT_APERTURES)", unit="arcsec")
        aperture_3: float = parameter(8.0, "diameter of the third aperture (PHOT_APERTURES)", unit="arcsec")

    @property
    def slid(self) -> int:
        """The number of the list in the table of sources."""
        return self.object_id


class AssociateList(Persistent):
    """Sources of several lists that are one thing on the sky; its rows are in the table `associate`, (ALID, AID)."""

    __key__ = ("source_lists",)

    source_lists: Mapped[list[SourceList]] = uses("the lists that are associated; the first is the master")
    name: Mapped[str] = described("name", default="", index=True)
    n_associates: Mapped[int | None] = measured("number of associates")
    n_members: Mapped[int | None] = measured("number of sources in them")
    n_in_all: Mapped[int | None] = measured("number of associates with a source of each list")
    separation: Mapped[float | None] = measured("median distance of members from the centre", unit="arcsec")

    @dataclass(frozen=True)
    class Parameters:
        kind: Association = parameter(Association.CHAIN, "how sources become associates")
        search_distance: float = parameter(1.0, "largest distance of associated sources", unit="arcsec")
        flag_mask: int = parameter(0, "sources with any of these bits of FLAGS are left out")

    @property
    def alid(self) -> int:
        """The number of the list in the table of associates."""
        return self.object_id


def _column(name: str, kind: Any, doc: str, unit: str = "", ucd: str = "") -> Column[Any]:
    return Column(name, kind, nullable=True, comment=doc, info={"unit": unit, "ucd": ucd})


SOURCES = Table(
    "source",
    Base.metadata,
    Column("SLID", ForeignKey("sourcelist.object_id", ondelete="CASCADE"), primary_key=True, comment="source list"),
    Column("SID", Integer, primary_key=True, autoincrement=False, comment="number of the source in its list, from 0"),
    Column("CELL", BigInteger, nullable=False, comment="HEALPix cell, order 16, nested, ICRS"),
    _column("RA", Double, "right ascension (windowed centroid)", "deg", "pos.eq.ra;meta.main"),
    _column("DEC", Double, "declination (windowed centroid)", "deg", "pos.eq.dec;meta.main"),
    _column("ERRRA", REAL, "error of the position along right ascension", "arcsec", "stat.error;pos.eq.ra"),
    _column("ERRDEC", REAL, "error of the position along declination", "arcsec", "stat.error;pos.eq.dec"),
    _column("X_IMAGE", Double, "x of the isophotal centroid; first pixel is 0", "pixel", "pos.cartesian.x"),
    _column("Y_IMAGE", Double, "y of the isophotal centroid; first pixel is 0", "pixel", "pos.cartesian.y"),
    _column("XWIN_IMAGE", Double, "x of the windowed centroid; first pixel is 0", "pixel", "pos.cartesian.x"),
    _column("YWIN_IMAGE", Double, "y of the windowed centroid; first pixel is 0", "pixel", "pos.cartesian.y"),
    _column("ERRX_IMAGE", REAL, "error of X_IMAGE", "pixel", "stat.error;pos.cartesian.x"),
    _column("ERRY_IMAGE", REAL, "error of Y_IMAGE", "pixel", "stat.error;pos.cartesian.y"),
    _column("ERRXWIN_IMAGE", REAL, "error of XWIN_IMAGE", "pixel", "stat.error;pos.cartesian.x"),
    _column("ERRYWIN_IMAGE", REAL, "error of YWIN_IMAGE", "pixel", "stat.error;pos.cartesian.y"),
    _column("A_IMAGE", REAL, "rms along the major axis", "pixel", "phys.angSize.smajAxis"),
    _column("B_IMAGE", REAL, "rms along the minor axis", "pixel", "phys.angSize.sminAxis"),
    _column("THETA_IMAGE", REAL, "angle of the major axis from x to y", "deg", "pos.posAng"),
    _column("ERRA_IMAGE", REAL, "error of the position along its major axis", "pixel", "stat.error"),
    _column("ERRB_IMAGE", REAL, "error of the position along its minor axis", "pixel", "stat.error"),
    _column("ERRTHETA_IMAGE", REAL, "angle of the major axis of the error ellipse", "deg", "stat.error"),
    _column("ELLIPTICITY", REAL, "1 - B/A", "", "src.ellipticity"),
    _column("ISOAREA_IMAGE", Integer, "pixels above the threshold", "pixel", "phys.angArea"),
    _column("KRON_RADIUS", REAL, "Kron radius in units of A_IMAGE", "", "phys.angSize"),
    _column("FLUX_RADIUS", REAL, "radius with half the flux", "pixel", "phys.angSize"),
    _column("FWHM_IMAGE", REAL, "full width at half maximum", "pixel", "phys.angSize"),
    _column("FLUX_ISO", REAL, "isophotal flux", "adu", "phot.count"),
    _column("FLUXERR_ISO", REAL, "its error", "adu", "stat.error;phot.count"),
    _column("FLUX_AUTO", REAL, "flux in the Kron ellipse", "adu", "phot.count"),
    _column("FLUXERR_AUTO", REAL, "its error", "adu", "stat.error;phot.count"),
    _column("MAG_AUTO", REAL, "magnitude in the Kron ellipse", "mag", "phot.mag;meta.main"),
    _column("MAGERR_AUTO", REAL, "its error, without that of the zeropoint", "mag", "stat.error;phot.mag"),
    _column("PETRO_RADIUS", REAL, "Petrosian radius in units of A_IMAGE", "", "phys.angSize"),
    _column("FLUX_PETRO", REAL, "flux within two Petrosian radii", "adu", "phot.count"),
    _column("FLUXERR_PETRO", REAL, "its error", "adu", "stat.error;phot.count"),
    _column("XPSF_IMAGE", Double, "x of the fitted PSF; first pixel is 0", "pixel", "pos.cartesian.x"),
    _column("YPSF_IMAGE", Double, "y of the fitted PSF; first pixel is 0", "pixel", "pos.cartesian.y"),
    _column("ERRXPSF_IMAGE", REAL, "error of XPSF_IMAGE; none if the place was not fitted", "pixel", "stat.error"),
    _column("ERRYPSF_IMAGE", REAL, "error of YPSF_IMAGE; none if the place was not fitted", "pixel", "stat.error"),
    _column("FLUX_PSF", REAL, "flux of the fitted PSF", "adu", "phot.count"),
    _column("FLUXERR_PSF", REAL, "its error", "adu", "stat.error;phot.count"),
    _column("MAG_PSF", REAL, "magnitude of the fitted PSF", "mag", "phot.mag"),
    _column("MAGERR_PSF", REAL, "its error, without that of the zeropoint", "mag", "stat.error;phot.mag"),
    _column("CHI2_PSF", REAL, "mean square of the residuals of the fit in units of their errors", "", "stat.fit.chi2"),
    _column("SPREAD_MODEL", REAL, "0 like the PSF, positive wider, negative sharper", "", "src.class.starGalaxy"),
    _column("SPREADERR_MODEL", REAL, "its error", "", "stat.error"),
    *(
        column
        for n in (1, 2, 3)
        for column in (
            _column(f"FLUX_APER_{n}", REAL, f"flux in aperture {n}", "adu", "phot.count"),
            _column(f"FLUXERR_APER_{n}", REAL, "its error", "adu", "stat.error;phot.count"),
        )
    ),
    _column("PEAK", REAL, "largest pixel above the background", "adu", "phot.count;stat.max"),
    _column("BACKGROUND", REAL, "background at the source", "adu", "instr.skyLevel"),
    _column(
        "FLAGS",
        Integer,
        "bits as in SExtractor: 1 neighbours or bad pixels in the Kron ellipse, 2 blended, 4 saturated, 8 isophote "
        "truncated by the border, 16 aperture incomplete, 32 isophote incomplete (bad pixels), 64 and 128 full memory "
        "(never); 256 windowed position failed",
        "",
        "meta.code",
    ),
    _column(
        "FLAGS_WEIGHT",
        Integer,
        "bits: 1 weight 0 in the isophote on the image that is measured, 2 on that of detection",
        "",
        "meta.code",
    ),
    _column("IMAFLAGS", Integer, "bits of the flag map in the ellipse", "", "meta.code"),
    _column("IMAFLAGS_ISO", Integer, "bits of the flag map above the threshold", "", "meta.code"),
    _column("NIMAFLAGS_ISO", Integer, "pixels above the threshold that have any of them", "pixel", "meta.number"),
    _column("STELLARITY", REAL, "0 extended ... 1 point-like", "", "src.class.starGalaxy"),
    Index("ix_source_SLID_CELL", "SLID", "CELL"),
)

ASSOCIATES = Table(
    "associate",
    Base.metadata,
    Column(
        "ALID", ForeignKey("associatelist.object_id", ondelete="CASCADE"), primary_key=True, comment="associate list"
    ),
    Column("AID", Integer, primary_key=True, autoincrement=False, comment="number of the associate, from 0"),
    Column("SLID", Integer, primary_key=True, autoincrement=False, comment="source list of the member"),
    Column("SID", Integer, primary_key=True, autoincrement=False, comment="number of the member in its list"),
    _column("DISTANCE", REAL, "distance from the centre of the associate", "arcsec", "pos.angDistance"),
    Index("ix_associate_SLID_SID", "SLID", "SID"),
)
