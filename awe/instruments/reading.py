"""From the headers of a raw file to an exposure: what it is, when and where it was taken, and its chips."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from awe.instruments.account import Account, Spelled
from awe.instruments.chip_reading import Pointing, RawAmplifier, RawChip, read_chips
from awe.instruments.definition import InstrumentDefinition
from awe.instruments.exposure_reading import FieldReader, check_exptime, classify, read_start, recognise
from awe.instruments.headers import RawHdu, read_headers
from awe.instruments.rules import FLAT_CLASSES, SKY_CLASSES, Cards
from awe.instruments.values import night_of, to_mjd

__all__ = ["Exposure", "RawAmplifier", "RawChip", "read_exposure", "read_with_account"]


@dataclass(frozen=True)
class Exposure:
    """What the headers of a raw file say, by its instrument file. All times are UTC, without a zone."""

    definition: InstrumentDefinition
    raw_class: str
    object: str | None
    date_obs: datetime
    """start of the exposure"""
    mjd_obs: float
    exptime: float
    filter: str | None
    """None for bias and dark frames, whatever stood in the beam"""
    airmass: float | None
    """None but for frames of the sky, as are ra and dec"""
    ra: float | None
    dec: float | None
    observer: str | None
    programme: str | None
    observing_block: str | None
    observing_block_start: datetime | None
    night: date
    """date of the local noon before the exposure"""
    frames: tuple[RawChip, ...]

    @property
    def instrument(self) -> str:
        """Name of the instrument."""
        return self.definition.name

    @property
    def telescope(self) -> str:
        """Name of the telescope."""
        return self.definition.telescope.name

    @property
    def band(self) -> str | None:
        """The filter's band in catalogues, if the instrument file names it."""
        return None if self.filter is None else self.definition.band(self.filter)


def read_exposure(
    path: Path,
    definitions: Mapping[str, InstrumentDefinition],
    check_sums: bool = True,
    now: datetime | None = None,
) -> Exposure:
    """Read the headers of a raw file by the instrument file that recognises it.

    Parameters
    ----------
    path
        FITS file, plain, gzipped or tile-compressed.
    definitions
        The known instruments, from `load_definitions`.
    check_sums
        Also read all pixels, to check CHECKSUM and DATASUM.
    now
        UTC; later exposures (by more than a day) are refused. None: the clock.

    Raises
    ------
    BadFile
        With the reason: not FITS, truncated, damaged, no image, unknown instrument, refused by a rule, a missing
        keyword, an absurd value, a WCS without sense.
    NotFound
        If there is no such file.
    """
    return read_with_account(path, definitions, Account(), check_sums, now)


def read_with_account(
    path: Path,
    definitions: Mapping[str, InstrumentDefinition],
    account: Account,
    check_sums: bool = True,
    now: datetime | None = None,
) -> Exposure:
    """Read as `read_exposure` does, and note each step in the account, up to the one that failed."""
    hdus = read_headers(path, check_sums)
    images = [str(hdu) for hdu in hdus if hdu.is_image]
    account.note("file", path.name, "HDUs", Spelled(f"{len(hdus)}"), f"{len(images)} with an image")
    cards = _exposure_cards(hdus)
    definition = recognise(cards, definitions, account)
    raw_class = classify(cards, definition, account)
    return _read(hdus, cards, definition, raw_class, account, now or datetime.now(UTC).replace(tzinfo=None))


def _exposure_cards(hdus: tuple[RawHdu, ...]) -> Cards:
    """Return the keywords of the exposure: of the primary header, and behind it those of the first image.

    A tile-compressed file has everything but the bare primary header in its first extension.
    """
    first_image = next(hdu for hdu in hdus if hdu.is_image)
    return ChainMap(dict(hdus[0].cards), dict(first_image.cards))


def _read(
    hdus: tuple[RawHdu, ...],
    cards: Cards,
    definition: InstrumentDefinition,
    raw_class: str,
    account: Account,
    now: datetime,
) -> Exposure:
    reader = FieldReader(cards, definition, raw_class, account)
    is_sky = raw_class in SKY_CLASSES
    exptime = check_exptime(reader.number("exptime"), raw_class)
    date_obs = read_start(cards, definition, exptime, now, account)
    night = night_of(date_obs, definition.telescope.longitude)
    account.note("date", "night", "telescope.longitude", definition.telescope.longitude, night)
    ra, dec, airmass = (reader.number(name) if is_sky else None for name in ("ra", "dec", "airmass"))
    return Exposure(
        definition=definition,
        raw_class=raw_class,
        object=reader.text("object"),
        date_obs=date_obs,
        mjd_obs=to_mjd(date_obs),
        exptime=exptime,
        filter=reader.text("filter") if is_sky or raw_class in FLAT_CLASSES else None,
        airmass=airmass,
        ra=ra,
        dec=dec,
        observer=reader.text("observer"),
        programme=reader.text("programme"),
        observing_block=reader.text("observing_block"),
        observing_block_start=reader.time("observing_block_start"),
        night=night,
        frames=read_chips(hdus, definition, Pointing(raw_class, ra, dec), account),
    )
