"""What was observed: observing blocks, exposures, and the sky grids that frames are regridded to."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.model.instrument import Filter, Instrument
from awe.model.lineage import described, links
from awe.model.persistent import Persistent


class ObservingBlock(Persistent):
    """A group of exposures that were taken together."""

    __key__ = ("instrument", "name", "start")

    name: Mapped[str] = described("name", index=True)
    instrument: Mapped[Instrument] = links("the camera")
    start: Mapped[datetime] = described("start of its first exposure (UTC)")
    programme: Mapped[str] = described("observing programme", default="")


class Observation(Persistent):
    """One exposure of an instrument: all its chips at once."""

    __key__ = ("instrument", "date_obs", "exptime")

    instrument: Mapped[Instrument] = links("the camera")
    filter: Mapped[Filter | None] = links("the filter")
    observing_block: Mapped[ObservingBlock | None] = links("the group of exposures it belongs to")
    object: Mapped[str] = described("name of the target", index=True)
    date_obs: Mapped[datetime] = described("start of the exposure (UTC)", index=True, ucd="time.start;obs.exposure")
    night: Mapped[date] = described("date of the local noon before the exposure", index=True)
    exptime: Mapped[float] = described("exposure time", unit="s", ucd="time.duration;obs.exposure")
    airmass: Mapped[float | None] = described("air mass", ucd="obs.airMass")
    ra: Mapped[float | None] = described("right ascension of the pointing", unit="deg", ucd="pos.eq.ra")
    dec: Mapped[float | None] = described("declination of the pointing", unit="deg", ucd="pos.eq.dec")
    observer: Mapped[str] = described("who observed", default="")
    programme: Mapped[str] = described("observing programme", default="")


class GridTarget(Persistent):
    """A rectangle of pixels on the sky that frames are regridded to."""

    __key__ = ("name",)

    name: Mapped[str] = described("name", unique=True)
    object: Mapped[str] = described("target whose exposures it is for; empty: all that overlap", default="", index=True)
    ra: Mapped[float] = described("right ascension of the centre", unit="deg", ucd="pos.eq.ra")
    dec: Mapped[float] = described("declination of the centre", unit="deg", ucd="pos.eq.dec")
    pixel_scale: Mapped[float] = described("size of a pixel", unit="arcsec")
    naxis1: Mapped[int] = described("width", unit="pixel")
    naxis2: Mapped[int] = described("height", unit="pixel")
    wcs: Mapped[dict[str, Any]] = described("FITS cards of its coordinate system", sql=JSON)

    def __str__(self) -> str:
        return f"grid target {self.name}"
