"""Definitions of instruments, read from TOML files and checked."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from awe.errors import BadRequest
from awe.instruments import schema
from awe.instruments.chip_rules import CHIPS, ChipRule, FocalPlane, check_focal_plane
from awe.instruments.corrections import Corrections, check_crosstalk
from awe.instruments.keyword_rules import DateRule, Keywords
from awe.instruments.rules import ClassRule, Match
from awe.instruments.schema import Where, key

DEFAULT_EXTINCTION = "default"
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
class CalibrationPolicy:
    """Which calibrations belong to an exposure, where the instrument differs from the program's defaults."""

    days: tuple[tuple[str, float], ...] = key(
        "how far from the exposure's night raw frames may be taken: `{ bias = 3, dark = 30, dome_flat = 7,"
        " twilight_flat = 7, fringe = 7, illumination = 7 }`",
        "table of numbers, days",
        _FLOATS,
        (),
    )
    required: tuple[str, ...] = key(
        "calibrations without which no frame is reduced; of those that are not named, what there is is used",
        "list of `bias`, `dark`, `flat`, and of `fringes`, `linearity`, `illumination` if `[corrections]` has them",
        schema.many(schema.one_of("bias", "dark", "flat", "fringes", "linearity", "illumination")),
        ("bias", "flat"),
    )

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
        "choice of calibrations",
        "table `[calibration]`",
        schema.table_of(CalibrationPolicy),
        CalibrationPolicy(()),
    )
    photometry: PhotometryHints = key(
        "bands and extinction", "table `[photometry]`", schema.table_of(PhotometryHints), PhotometryHints((), ())
    )
    corrections: Corrections = key(
        "corrections besides bias, dark and flat",
        "table `[corrections]`",
        schema.table_of(Corrections),
        Corrections((), None, (), ()),
    )

    def __post_init__(self) -> None:
        for name in ("match", "date", "class_rules", "chips"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: at least one is needed")
        check_focal_plane(self.chips, self.focal_plane)
        check_crosstalk(self.chips, self.corrections)

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
