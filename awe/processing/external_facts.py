"""What is known of a frame made elsewhere: said by the user, else by its header."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from astropy.io.fits import Header

from awe.errors import BadFile, BadRequest
from awe.instruments import InstrumentDefinition
from awe.instruments.account import Account
from awe.instruments.definition import TelescopeSite
from awe.instruments.exposure_reading import recognise
from awe.kernels.wcs import Wcs
from awe.model.lineage import may_be_external
from awe.model.persistent import concrete_classes
from awe.processing.external_header import Said, Unsaid, date_of, exptime_of, filter_of, unit_of, zeropoint_of
from awe.processing.external_pixels import WeightKind

SITES = (("OBSGEO-L", "OBSGEO-B", "OBSGEO-H"), ("TEL_LONG", "TEL_LAT", "TEL_ELEV"))
"""Keywords of longitude (positive to the east), latitude and height of a telescope."""


@dataclass(frozen=True)
class Stated:
    """What the user says of the frames; what is None is read from the header."""

    class_name: str = "Coadd"
    weight: str | None = None
    weight_kind: WeightKind = WeightKind.WEIGHT
    flags: str | None = None
    filter: str | None = None
    instrument: str | None = None
    zeropoint: str | None = None
    per_second: bool = False
    unit: str | None = None
    date: str | None = None

    @property
    def product_class(self) -> Any:
        """The class of the frames; raises BadRequest if it is none of those that can be made elsewhere."""
        known = {cls.__name__: cls for cls in concrete_classes() if may_be_external(cls)}
        if self.class_name not in known:
            names = ", ".join(known)
            raise BadRequest(f"frames made elsewhere are ingested as one of {names}, not as {self.class_name!r}")
        return known[self.class_name]


@dataclass(frozen=True)
class Facts:
    """What is known of one frame."""

    wcs: Wcs
    unit: Said
    zeropoint: Said
    moment: Said
    filter: str
    exptime: float
    instrument: str
    object: str
    definition: InstrumentDefinition | None
    telescope: TelescopeSite | None

    @property
    def longitude(self) -> float:
        """Longitude of the telescope; 0 if its site is unknown."""
        return self.telescope.longitude if self.telescope else 0.0

    @property
    def zeropoint_words(self) -> str:
        """The zeropoint, and where it comes from."""
        if self.zeropoint.value is None:
            return "zeropoint unknown"
        return f"zeropoint {self.zeropoint.value:.4f} mag for 1 {self.unit.value} ({self.zeropoint.source})"

    def __str__(self) -> str:
        return f"{self.instrument}, filter {self.filter}, {self.zeropoint_words}"


def facts_of(header: Header, stated: Stated, definitions: Mapping[str, InstrumentDefinition]) -> Facts:
    """Return what is known of a frame; raise Unsaid for what neither header nor user says."""
    try:
        wcs = Wcs.from_header(header)
    except ValueError as error:
        raise BadFile(f"a frame must have its place on the sky in its header: {error}") from error
    definition = _definition(header, stated.instrument, definitions)
    exptime, unit = exptime_of(header), unit_of(header, stated.unit)
    return Facts(
        wcs=wcs,
        unit=unit,
        zeropoint=zeropoint_of(header, unit.value, exptime, stated.zeropoint, stated.per_second),
        moment=date_of(header, stated.date),
        filter=filter_of(header, stated.filter),
        exptime=exptime,
        instrument=definition.name if definition else _instrument(header, stated.instrument),
        object=_text(header, "OBJECT"),
        definition=definition,
        telescope=definition.telescope if definition else _site(header),
    )


def _site(header: Header) -> TelescopeSite | None:
    """Return the telescope, if its header tells where it stands."""
    name = _text(header, "TELESCOP")
    for keywords in SITES:
        longitude, latitude, altitude = (header.get(keyword) for keyword in keywords)
        if name and isinstance(longitude, float | int) and isinstance(latitude, float | int):
            with suppress(ValueError):  # no place on earth
                height = float(altitude) if isinstance(altitude, float | int) else 0.0
                return TelescopeSite(name, float(longitude), float(latitude), height)
    return None


def _definition(
    header: Header, given: str | None, definitions: Mapping[str, InstrumentDefinition]
) -> InstrumentDefinition | None:
    """Return the definition of the instrument, by its name or as raw frames are recognised; None if there is none."""
    if given is not None:
        return {name.lower(): found for name, found in definitions.items()}.get(given.strip().lower())
    try:
        return recognise(dict(header), definitions, Account())
    except BadFile:
        return None


def _instrument(header: Header, given: str | None) -> str:
    name = given.strip() if given is not None else _text(header, "INSTRUME")
    if not name:
        raise Unsaid("instrument", "the header has no INSTRUME: say the name of the camera by --instrument")
    return name


def _text(header: Header, keyword: str) -> str:
    value = header.get(keyword, "")
    return " ".join(str(value).split()) if isinstance(value, str) else ""
