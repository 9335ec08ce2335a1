"""Where and with what exposures are taken: telescope, instrument, chip, filter."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped

from awe.model.lineage import described, links
from awe.model.persistent import Persistent


class Telescope(Persistent):
    """A telescope and its site."""

    __small__ = True
    __key__ = ("name",)

    name: Mapped[str] = described("name", unique=True)
    longitude: Mapped[float] = described("longitude, positive to the east", unit="deg")
    latitude: Mapped[float] = described("latitude", unit="deg")
    altitude: Mapped[float] = described("height above sea level", unit="m")

    def __str__(self) -> str:
        return self.name


class Instrument(Persistent):
    """A camera, as its instrument file describes it; one that only frames made elsewhere came from has no such file."""

    __small__ = True
    __key__ = ("name",)

    name: Mapped[str] = described("name", unique=True)
    telescope: Mapped[Telescope | None] = links("the telescope it is mounted on; none without an instrument file")
    definition: Mapped[str] = described("SHA-256 of the instrument file it was last read from")
    required_calibrations: Mapped[list[str]] = described(
        "calibrations without which a frame is not reduced", sql=JSON, default=list
    )
    calibration_days: Mapped[dict[str, float]] = described(
        "how far from the night of an exposure its raw calibrations may lie", unit="d", sql=JSON, default=dict
    )
    corrections: Mapped[dict[str, Any]] = described(
        "corrections that its file declares: filters with fringes and with an illumination correction, range of the "
        "linearity, digest of the crosstalk",
        sql=JSON,
        default=dict,
    )

    def __str__(self) -> str:
        return self.name


class Chip(Persistent):
    """One detector of an instrument."""

    __small__ = True
    __key__ = ("instrument", "name")

    name: Mapped[str] = described("name", index=True)
    instrument: Mapped[Instrument] = links("the camera it is part of")

    def __str__(self) -> str:
        return f"{self.instrument.name} {self.name}"


class Filter(Persistent):
    """One filter of an instrument."""

    __small__ = True
    __key__ = ("instrument", "name")

    name: Mapped[str] = described("name", index=True)
    instrument: Mapped[Instrument] = links("the camera it is part of")
    band: Mapped[str] = described("band of standard catalogues that is nearest to it, such as V or g", default="")
    extinction: Mapped[float] = described("atmospheric extinction used", unit="mag", default=0.0)

    def __str__(self) -> str:
        return f"{self.instrument.name} {self.name}"
