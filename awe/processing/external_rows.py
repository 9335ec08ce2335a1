"""Rows and stored header of a frame made elsewhere, with the instrument, filter and grid target it belongs to."""

import re
from typing import Any

from astropy.io.fits import Header
from sqlalchemy import select

from awe.model.frame import SkyCell
from awe.model.instrument import Filter, Instrument, Telescope
from awe.model.night import night_of
from awe.model.observation import GridTarget
from awe.model.persistent import QualityFlag
from awe.model.science import ReducedFrame
from awe.model.sky import cells_of
from awe.processing.choosing import modified_julian_date
from awe.processing.external_facts import Facts
from awe.processing.external_header import band_of
from awe.processing.external_pixels import ExternalPixels
from awe.processing.grids import grid_target
from awe.processing.ingest import Writer
from awe.processing.products import ROOM, place
from awe.processing.provenance import cards_of

NOISE_RATIOS = (0.3, 2.0)
"""Noise over what the weights predict, beyond which a frame is flagged; resampling makes it smaller than 1."""

_REPLACED = re.compile(
    r"WCSAXES|C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA)\d|(CD|PC)\d_\d|CD\d{6}|PV\d_\d+|RADESYS|RADECSYS|EQUINOX|EPOCH"
    r"|L(ON|AT)POLE|[AB]P?_(\d_\d|ORDER)|BUNIT"
)
_SAME_PLACE = 1e-8
"""Degrees, or degrees per pixel, by which the coordinate systems of one grid may differ."""


def external_frame(cls: Any, pixels: ExternalPixels, facts: Facts, **more: Any) -> Any:
    """Return the object of a frame made elsewhere; instrument and filter are new ones unless they are given."""
    if "instrument" not in more:
        more["instrument"] = Instrument(name=facts.instrument)
        more["filter"] = Filter(name=facts.filter, instrument=more["instrument"])
    ny, nx = pixels.planes["IMAGE"].shape
    moment = facts.moment.value
    frame = cls(
        external=True,
        object=facts.object,
        date_obs=moment,
        mjd_obs=modified_julian_date(moment),
        night=night_of(moment, facts.longitude),
        exptime=facts.exptime,
        naxis1=nx,
        naxis2=ny,
        bunit=facts.unit.value,
        zeropoint=facts.zeropoint.value,
        quality_flags=0,
        **more,
    )
    place(frame, facts.wcs)
    _remark(frame, pixels, facts)
    return frame


def _remark(frame: Any, pixels: ExternalPixels, facts: Facts) -> None:
    frame.note(facts.zeropoint_words)
    if frame.zeropoint is None:
        frame.flag(QualityFlag.PHOTOMETRY_NOT_CALIBRATED)
    if not facts.moment.source.startswith(("DATE-", "MJD-", "OBS_", "--")):
        frame.note(f"no date of observation: that of {facts.moment.source}")
    if pixels.noise_ratio is not None:
        frame.note(f"noise of the sky over what the weights predict: {pixels.noise_ratio:.2f}")
        if not NOISE_RATIOS[0] <= pixels.noise_ratio <= NOISE_RATIOS[1]:
            frame.flag(QualityFlag.NOISE_OUT_OF_RANGE)
    for remark in pixels.remarks:
        frame.note(remark)


def stored_header(original: Header, frame: Any, facts: Facts) -> Header:
    """Return the header of the stored file: what came with the image, under what awe says of it."""
    header = Header([card for card in original.cards if not _REPLACED.fullmatch(card.keyword)])
    header.update(facts.wcs.cards)
    for keyword, value, comment in cards_of(frame):
        header[keyword] = (value, comment[: max(0, ROOM - len(str(value)))])
    return header


class ExternalWriter(Writer):
    """Writes the row of a frame made elsewhere, and of what it links to, in one transaction."""

    def frame(self, cls: Any, pixels: ExternalPixels, facts: Facts, **more: Any) -> Any:
        """Return the stored object of a frame."""
        instrument = self._camera(facts)
        more |= {"instrument": instrument, "filter": self._passband(facts, instrument)}
        if cls is not ReducedFrame:
            more["grid_target"] = self._grid(facts, pixels.planes["IMAGE"].shape)
        frame = external_frame(cls, pixels, facts, **more, **self._own)
        frame.cells = [SkyCell(cell=cell) for cell in cells_of(frame.footprint)]
        self._session.add(frame)
        self._session.flush()
        return frame

    def _camera(self, facts: Facts) -> Instrument:
        if facts.definition is not None:
            return self._instrument(facts.definition)
        site, telescope = facts.telescope, None
        if site is not None:
            place = {"longitude": site.longitude, "latitude": site.latitude, "altitude": site.altitude}
            telescope = self._get_or_add(Telescope, {"name": site.name}, **place)
        found: Instrument = self._get_or_add(
            Instrument, {"name": facts.instrument}, telescope=telescope, definition="", required_calibrations=[]
        )
        return found

    def _passband(self, facts: Facts, instrument: Instrument) -> Filter:
        key = {"instrument_id": instrument.object_id, "name": facts.filter}
        own = facts.definition
        band = (own.band(facts.filter) if own else None) or band_of(facts.filter)
        extinction = (own.extinction(band) if own else None) or 0.0
        found: Filter = self._get_or_add(Filter, key, band=band, extinction=extinction)
        return found

    def _grid(self, facts: Facts, shape: tuple[int, ...]) -> GridTarget:
        """Return the grid target whose pixels are those of the frame, or a new one: registered frames share it."""
        ny, nx = shape
        query = select(GridTarget).where(GridTarget.naxis1 == nx, GridTarget.naxis2 == ny)
        _, dec = facts.wcs.centre(nx, ny)
        near = query.where(GridTarget.dec.between(dec - _SAME_PLACE, dec + _SAME_PLACE))
        for grid in self._session.scalars(near.order_by(GridTarget.object_id)).unique():
            if _is_same(grid.wcs, facts.wcs.cards):
                return grid
        scale = round(float(facts.wcs.scale), 6)
        added = grid_target(self._free_name(facts), facts.object, facts.wcs, nx, ny, scale)
        added.creator, added.project = self._own["creator"], self._own["project"]
        self._session.add(added)
        self._session.flush()
        return added

    def _free_name(self, facts: Facts) -> str:
        """Return a name that no grid target has; those made for raw frames are named in another way."""
        base = f"{facts.object or 'unnamed'} {facts.instrument} external"
        taken = set(self._session.scalars(select(GridTarget.name).where(GridTarget.name.startswith(base))))
        return next(name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base} {n}") not in taken)


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two coordinate systems are one, but for the digits they were written with."""
    if one.keys() != other.keys():
        return False
    return all(
        abs(value - other[key]) <= (_SAME_PLACE if not key.startswith("CD") else 1e-9 * abs(value) + 1e-15)
        if isinstance(value, float | int) and isinstance(other[key], float | int)
        else value == other[key]
        for key, value in one.items()
    )
