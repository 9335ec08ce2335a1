"""Raw frames: one chip of one exposure, as the telescope delivered it."""

from typing import Any

from sqlalchemy import JSON, UniqueConstraint
from sqlalchemy.orm import Mapped

from awe.model.frame import Frame
from awe.model.lineage import described, links
from awe.model.observation import Observation


class RawFrame(Frame):
    """One chip of a raw exposure; its file is kept unchanged, and shared by the chips of a mosaic."""

    __table_args__ = (UniqueConstraint("content", "extension"),)  # type: ignore[assignment]
    __key__ = ("content", "extension")

    observation: Mapped[Observation] = links("the exposure")
    content: Mapped[str] = described("SHA-256 of the file as delivered")
    extension: Mapped[int] = described("number of the HDU in the file as delivered")
    original_name: Mapped[str] = described("name of the file as delivered", index=True)
    data_section: Mapped[str] = described("pixels exposed to the sky, as [x1:x2,y1:y2] from 1")
    overscan_sections: Mapped[str] = described("prescan and overscan regions, separated by ;", default="")
    amplifiers: Mapped[list[Any]] = described(
        "data_section and overscan of each amplifier of the chip, if it has several", sql=JSON, default=list
    )
    gain: Mapped[float] = described("electrons for one adu", unit="electron/adu")
    header_read_noise: Mapped[float | None] = described(
        "read noise that header or instrument file state", unit="electron"
    )
    saturation: Mapped[float | None] = described("level above which a pixel does not count photons", unit="adu")
    wcs_problem: Mapped[str | None] = described("why the header's coordinate system is not used")


class RawBiasFrame(RawFrame, own_table=False):
    """An exposure of zero time."""


class RawDarkFrame(RawFrame, own_table=False):
    """An exposure with the shutter closed."""


class RawDomeFlatFrame(RawFrame, own_table=False):
    """An exposure of an illuminated screen."""


class RawTwilightFlatFrame(RawFrame, own_table=False):
    """An exposure of the twilight sky."""


class RawScienceFrame(RawFrame, own_table=False):
    """An exposure of the night sky."""


class RawStandardFrame(RawScienceFrame, own_table=False):
    """An exposure of a field of photometric standard stars."""
