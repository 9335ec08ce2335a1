"""Definitions of instruments, read from TOML files and checked."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from awe.errors import BadRequest
from awe.instruments import schema
from awe.instruments.chip_rules import CHIPS, ChipRule, FocalPlane, check_focal_plane
from awe.instruments.rules import RAW_CLASSES, ClassRule, Match, normal_keyword
from awe.instruments.schema import Where, key
from awe.instruments.values import UNITS

DEFAULT_EXTINCTION = "default"
_KEYWORDS = schema.one_or_more(lambda value, where: normal_keyword(schema.text(value, where)))
_FLOATS = schema.named(schema.number)


@dataclass(frozen=True)
class TelescopeSite:
    """The telescope and where it stands; the site decides which night an exposure belongs to."""

    name: str = key("name of the telescope", "text", schema.text)
    longitude: float = key("longitude, positive to the east, -180 to 180", "number, deg", schema.number)
    latitude: float = key("latitude", "number, deg", schema.number)
    altitude: float = key("height above the sea", "number, m", schema.number, 0.0)

    def __post_init__(self) -> None:
        if not (-180 <= self.longitude <= 180 and -90 <= self.latitude <= 90):
            raise ValueError(f"longitude {self.longitude}, latitude {self.latitude} is no place on earth")


@dataclass(frozen=True)
class DateRule:
    """One way to find when an exposure started. The rules are tried in order; the first whose keywords are present."""

    keyword: str = key("header keyword of the time, or of the date", "text", lambda v, w: _KEYWORDS(v, w)[0])
    form: str = key(
        "`iso`: date and time in one (an offset such as `-0700` in the value is honoured); `date`: the date here, the"
        " time of day in `time_keyword`; `mjd`: modified Julian date",
        "`iso`, `date` or `mjd`",
        schema.one_of("iso", "date", "mjd"),
        "iso",
    )
    time_keyword: str | None = key(
        "keyword of the time of day, for `date`", "text", lambda v, w: _KEYWORDS(v, w)[0], None
    )
    scale: str = key(
        "time scale of values without an offset of their own", "`UTC` or `local`", schema.one_of("UTC", "local"), "UTC"
    )
    utc_offset_hours: float = key("for `local`: local time minus UTC", "number, hours", schema.number, 0.0)
    marks: str = key(
        "which moment of the exposure it is",
        "`start`, `middle` or `end`",
        schema.one_of("start", "middle", "end"),
        "start",
    )
    offset_seconds: float = key("added to the time: a known error of the clock", "number, s", schema.number, 0.0)

    def __post_init__(self) -> None:
        if (self.form == "date") != (self.time_keyword is not None):
            raise ValueError("form 'date' needs time_keyword, and the other forms do not take it")
        if self.scale == "UTC" and self.utc_offset_hours:
            raise ValueError("utc_offset_hours is for scale 'local'")


@dataclass(frozen=True)
class KeywordRule:
    """Where a fact about the exposure stands in the header."""

    keyword: tuple[str, ...] = key("header keyword; of several, the first present", "text or list", _KEYWORDS)
    unit: str | None = key(
        "what the number is: " + ", ".join(f"`{unit}`" for unit in UNITS),
        "text",
        schema.one_of(*UNITS),
        None,
    )
    required: tuple[str, ...] = key(
        "refuse a file without it: `true`, or for which raw classes", "boolean or list", lambda v, w: _classes(v, w), ()
    )
    default: Any = key("value if the header has none", "text or number", schema.anything, None)
    absent: tuple[Any, ...] = key("values that mean: not known", "list", schema.many(schema.anything), ())


@dataclass(frozen=True)
class Keywords:
    """The facts about an exposure; each is a table, or short `field = "KEYWORD"`."""

    exptime: KeywordRule = key("exposure time", "keyword rule", lambda v, w: _keyword_rule(v, w))
    object: KeywordRule = key("name of the target", "keyword rule", lambda v, w: _keyword_rule(v, w))
    filter: KeywordRule = key("name of the filter", "keyword rule", lambda v, w: _keyword_rule(v, w))
    airmass: KeywordRule | None = key("airmass", "keyword rule", lambda v, w: _keyword_rule(v, w), None)
    ra: KeywordRule | None = key("right ascension of the pointing", "keyword rule", lambda v, w: _keyword_rule(v, w), None)
    dec: KeywordRule | None = key("declination of the pointing", "keyword rule", lambda v, w: _keyword_rule(v, w), None)
    observer: KeywordRule | None = key("who observed", "keyword rule", lambda v, w: _keyword_rule(v, w), None)
    programme: KeywordRule | None = key("observing programme", "keyword rule", lambda v, w: _keyword_rule(v, w), None)
    observing_block: KeywordRule | None = key(
        "name of the observing block", "keyword rule", lambda v, w: _keyword_rule(v, w), None
    )
    observing_block_start: KeywordRule | None = key(
        "when the observing block started (ISO 8601, UTC)", "keyword rule", lambda v, w: _keyword_rule(v, w), None
    )


@dataclass(frozen=True)
class CalibrationPolicy:
    """Which calibrations belong to an exposure, where the instrument differs from the program's defaults."""

    days: tuple[tuple[str, float], ...] = key(
        "how far from the exposure's night raw frames may be taken: `{ bias = 3, dark = 30, dome_flat = 7,"
        " twilight_flat = 7 }`",
        "table of numbers, days",
        _FLOATS,
        (),
    )
    darks: bool = key("the dark current matters: a DarkFrame is needed", "boolean", schema.switch, False)

    def days_for(self, kind: str, otherwise: float) -> float:
        """Return how many days from its night an exposure's raw frames of this kind may be taken."""
        return dict(self.days).get(kind, otherwise)


@dataclass(frozen=True)
class PhotometryHints:
    """What the filters are called in catalogues, and the extinction of the site."""

    bands: tuple[tuple[str, str], ...] = key(
        "catalogue band of a filter (`*` and `?` allowed; the first that fits): `{ 'r.MP*' = 'r' }`",
        "table of texts",
        schema.named(schema.text),
        (),
    )
    extinction: tuple[tuple[str, float], ...] = key(
        "extinction by band; `default` for the bands that are not named", "table of numbers, mag/airmass", _FLOATS, ()
    )


@dataclass(frozen=True)
class InstrumentDefinition:
    """Everything the program knows about an instrument: one TOML file."""

    name: str = key("name of the instrument, by which users know it", "text", schema.text)
    telescope: TelescopeSite = key("telescope and site", "table `[telescope]`", schema.table_of(TelescopeSite))
    match: tuple[Match, ...] = key(
        "how to recognise the files; any one suffices", "tables `[[match]]`", schema.many(schema.table_of(Match))
    )
    date: tuple[DateRule, ...] = key(
        "when the exposure started; tried in order", "tables `[[date]]`", schema.many(schema.table_of(DateRule))
    )
    keywords: Keywords = key("facts about the exposure", "table `[keywords]`", schema.table_of(Keywords))
    class_rules: tuple[ClassRule, ...] = key(
        "what kind of frame it is; the first that holds decides",
        "tables `[[class_rules]]`",
        schema.many(schema.table_of(ClassRule)),
    )
    chips: tuple[ChipRule, ...] = key("the chips", "tables `[[chips]]`", CHIPS)
    description: str = key("a sentence about the instrument", "text", schema.text, "")
    ignored_extensions: tuple[str, ...] = key(
        "patterns of EXTNAME of image extensions that are no chips", "list of texts", schema.many(schema.text), ()
    )
    use_header_wcs: bool = key("false: the WCS in the headers is not to be believed", "boolean", schema.switch, True)
    focal_plane: tuple[tuple[str, FocalPlane], ...] = key(
        "place of each chip in the focal plane, by the chip's name",
        "tables `[focal_plane.NAME]`",
        schema.named(schema.table_of(FocalPlane)),
        (),
    )
    calibration: CalibrationPolicy = key(
        "choice of calibrations", "table `[calibration]`", schema.table_of(CalibrationPolicy), CalibrationPolicy((), False)
    )
    photometry: PhotometryHints = key(
        "bands and extinction", "table `[photometry]`", schema.table_of(PhotometryHints), PhotometryHints((), ())
    )

    def __post_init__(self) -> None:
        for name in ("match", "date", "class_rules", "chips"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: at least one is needed")
        check_focal_plane(self.chips, self.focal_plane)

    @property
    def chip_names(self) -> tuple[str, ...]:
        """Names of the chips, each once (a chip may have a rule for each way to read it out)."""
        return tuple(dict.fromkeys(chip.name for chip in self.chips))

    def band(self, filter_name: str) -> str | None:
        """Return the catalogue band of a filter, None if the instrument file names none."""
        fits = (band for pattern, band in self.photometry.bands if fnmatchcase(filter_name, pattern))
        return next(fits, None)

    def extinction(self, band: str | None) -> float | None:
        """Return the extinction (mag/airmass) in a catalogue band, None if the instrument file gives none."""
        coefficients = dict(self.photometry.extinction)
        return coefficients.get(band or DEFAULT_EXTINCTION, coefficients.get(DEFAULT_EXTINCTION))


def load_definitions(extra_folder: Path | None = None) -> dict[str, InstrumentDefinition]:
    """Return all instruments by name: those shipped, and those of a folder, which replace shipped ones of their name.

    Raises
    ------
    BadRequest
        Names file, table, key and expectation of what is wrong in an instrument file.
    """
    shipped = dict(_named_definitions(Path(__file__).parent))
    if extra_folder is None:
        return shipped
    if not extra_folder.is_dir():
        raise BadRequest(f"instruments folder {extra_folder} does not exist; see the setting 'instruments'")
    return shipped | dict(_named_definitions(extra_folder))


def _named_definitions(folder: Path) -> Iterator[tuple[str, InstrumentDefinition]]:
    origin: dict[str, Path] = {}
    for path in sorted(folder.glob("*.toml")):
        definition = load_definition(path)
        if definition.name in origin:
            raise BadRequest(f"{path}: the instrument {definition.name} is also defined in {origin[definition.name]}")
        origin[definition.name] = path
        yield definition.name, definition


def load_definition(path: Path) -> InstrumentDefinition:
    """Return the instrument of one TOML file."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRequest(f"instrument file {path} can't be read: {error}") from error
    return schema.read_table(InstrumentDefinition, table, Where(path.name))


def _keyword_rule(value: Any, where: Where) -> KeywordRule:
    table = {"keyword": value} if isinstance(value, str | list) else value
    rule = schema.read_table(KeywordRule, table, where)
    allowed = _FIELD_UNITS.get(where.path.rpartition(".")[2], (None,))
    if rule.unit not in allowed:
        where.refuse("unit " + " or ".join(repr(unit) for unit in allowed), rule.unit)
    return rule


_FIELD_UNITS: dict[str, tuple[str | None, ...]] = {
    "ra": ("deg", "hour", "rad"),
    "dec": ("deg", "rad"),
    "exptime": ("s", "ms", "min"),
    "airmass": ("airmass", "altitude", "zenith distance"),
}


def _classes(value: Any, where: Where) -> tuple[str, ...]:
    if isinstance(value, bool):
        return RAW_CLASSES if value else ()
    return tuple(schema.many(schema.one_of(*RAW_CLASSES))(value, where))
