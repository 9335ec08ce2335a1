"""Frames: all that is kept as an image file, with its place on the sky and on the detector."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from awe.model.instrument import Chip, Filter, Instrument
from awe.model.lineage import described, links, measured
from awe.model.persistent import Base, Persistent

SKY_DEPTH = 9
"""HEALPix order of the sky cells: 6.9 arcmin."""


class SkyCell(Base):
    """One HEALPix cell (order 9, nested, ICRS) that an object covers."""

    __tablename__ = "sky_cell"
    __table_args__ = (Index("ix_sky_cell_object_id", "object_id"),)

    cell: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, comment="number of the cell")
    object_id: Mapped[int] = mapped_column(
        ForeignKey("persistent.object_id", ondelete="CASCADE"), primary_key=True, comment="object that covers it"
    )


class FileBacked:
    """Has a file on the data servers; the file is there before the row."""

    filename: Mapped[str | None] = described("name of the file on the data servers", index=True)
    size: Mapped[int | None] = described("size of the file", unit="byte", sql=BigInteger)
    sha256: Mapped[str | None] = described("SHA-256 of the file")


class Calibration:
    """Holds for an interval of time; of those that cover an exposure, the valid one made last is used."""

    valid_from: Mapped[datetime] = described("start of the interval it holds for (UTC)", index=True)
    valid_to: Mapped[datetime] = described("end of the interval it holds for (UTC), exclusive")


class Frame(FileBacked, Persistent):
    """An image of the sky or of the detector, kept as one FITS file or as one HDU of it."""

    LIKE: str = ""
    """Role of the input whose exposure attributes (chip, filter, object, times) a product takes over."""
    MAY_BE_EXTERNAL: bool = False
    """Whether frames of the class that were made elsewhere can be ingested: without inputs and process parameters."""

    hdu: Mapped[int] = described("number of the HDU with the image", default=0)
    instrument: Mapped[Instrument] = links("the camera")
    chip: Mapped[Chip | None] = links("the detector; none if several contributed")
    filter: Mapped[Filter | None] = links("the filter")
    object: Mapped[str] = described("name of the target", index=True, default="", ucd="meta.id;src")
    date_obs: Mapped[datetime] = described("start of the exposure (UTC); of calibrations, of the interval", index=True)
    mjd_obs: Mapped[float] = described("the same as modified Julian date", unit="d", ucd="time.start;obs.exposure")
    night: Mapped[date] = described("date of the local noon before the exposure", index=True)
    exptime: Mapped[float] = described("exposure time; of coadds, the longest on a pixel", unit="s", default=0.0)
    airmass: Mapped[float | None] = described("air mass", ucd="obs.airMass")
    naxis1: Mapped[int | None] = described("width", unit="pixel")
    naxis2: Mapped[int | None] = described("height", unit="pixel")
    bunit: Mapped[str] = described("unit of the pixels", default="adu")
    ra: Mapped[float | None] = described("right ascension of the centre", unit="deg", ucd="pos.eq.ra;meta.main")
    dec: Mapped[float | None] = described("declination of the centre", unit="deg", ucd="pos.eq.dec;meta.main")
    footprint: Mapped[list[Any] | None] = described("corners on the sky as [ra, dec]", unit="deg", sql=JSON)
    wcs: Mapped[dict[str, Any] | None] = described("FITS cards of the coordinate system", sql=JSON)
    crval1: Mapped[float | None] = described("right ascension of the reference point", unit="deg")
    crval2: Mapped[float | None] = described("declination of the reference point", unit="deg")
    crpix1: Mapped[float | None] = described("x of the reference point, first pixel is 1", unit="pixel")
    crpix2: Mapped[float | None] = described("y of the reference point, first pixel is 1", unit="pixel")
    cd1_1: Mapped[float | None] = described("partial derivative of the first axis by x", unit="deg/pixel")
    cd1_2: Mapped[float | None] = described("partial derivative of the first axis by y", unit="deg/pixel")
    cd2_1: Mapped[float | None] = described("partial derivative of the second axis by x", unit="deg/pixel")
    cd2_2: Mapped[float | None] = described("partial derivative of the second axis by y", unit="deg/pixel")
    pixel_scale: Mapped[float | None] = described("size of a pixel at the centre", unit="arcsec")
    external: Mapped[bool] = described(
        "made elsewhere and taken in as it was: without inputs here, so never stale", index=True, default=False
    )
    origin: Mapped[str | None] = described("of an external frame: the files it came in (image, weight, flags)")
    origin_sha256: Mapped[str | None] = described("SHA-256 over what those files hold", index=True)
    seeing: Mapped[float | None] = measured("FWHM of stars", unit="arcsec", ucd="instr.obsty.seeing")

    cells: Mapped[list[SkyCell]] = relationship(
        primaryjoin="Frame.object_id == foreign(SkyCell.object_id)", cascade="all, delete-orphan", passive_deletes=True
    )

    def __str__(self) -> str:
        parts = (self.object, self.filter and self.filter.name, self.chip and self.chip.name)
        words = " ".join(str(p) for p in parts if p)
        return f"{type(self).__name__} {self.object_id or '(new)'} {words}".rstrip()


EXPOSURE = ("instrument", "chip", "filter", "object", "date_obs", "mjd_obs", "night", "exptime", "airmass")
"""Attributes that a product takes over from the frame it is like."""
