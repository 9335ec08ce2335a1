"""Where in the headers the facts about an exposure stand: date, exposure time, target and pointing."""

from dataclasses import dataclass
from typing import Any

from awe.instruments import schema
from awe.instruments.rules import RAW_CLASSES, keyword_name
from awe.instruments.schema import Where, key
from awe.instruments.values import UNITS

_KEYWORDS = schema.one_or_more(keyword_name)

_FIELD_UNITS: dict[str, tuple[str | None, ...]] = {
    "ra": ("deg", "hour", "rad"),
    "dec": ("deg", "rad"),
    "exptime": ("s", "ms", "min"),
    "airmass": ("airmass", "altitude", "zenith distance"),
}
"""What the numbers of a field may be."""


def _classes(value: Any, where: Where) -> tuple[str, ...]:
    if isinstance(value, bool):
        return RAW_CLASSES if value else ()
    return tuple(schema.many(schema.one_of(*RAW_CLASSES))(value, where))


@dataclass(frozen=True)
class DateRule:
    """One way to find when an exposure started. The rules are tried in order; the first whose keywords are present."""

    keyword: str = key("header keyword of the time, or of the date", "text", keyword_name)
    form: str = key(
        "`iso`: date and time in one (an offset such as `-0700` in the value is honoured); `date`: the date here, the"
        " time of day in `time_keyword`; `mjd`: modified Julian date",
        "`iso`, `date` or `mjd`",
        schema.one_of("iso", "date", "mjd"),
        "iso",
    )
    time_keyword: str | None = key("keyword of the time of day, for `date`", "text", keyword_name, None)
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
        "refuse a file without it: `true`, or for which raw classes", "boolean or list", _classes, ()
    )
    default: Any = key("value if the header has none", "text or number", schema.anything, None)
    absent: tuple[Any, ...] = key("values that mean: not known", "list", schema.many(schema.anything), ())


def _keyword_rule(value: Any, where: Where) -> KeywordRule:
    table = {"keyword": value} if isinstance(value, str | list) else value
    rule = schema.read_table(KeywordRule, table, where)
    allowed = _FIELD_UNITS.get(where.path.rpartition(".")[2], (None,))
    if rule.unit not in allowed:
        where.refuse("unit " + " or ".join(repr(unit) for unit in allowed), rule.unit)
    return rule


@dataclass(frozen=True)
class Keywords:
    """The facts about an exposure; each is a table, or short `field = "KEYWORD"`."""

    exptime: KeywordRule = key("exposure time", "keyword rule", _keyword_rule)
    object: KeywordRule = key("name of the target", "keyword rule", _keyword_rule)
    filter: KeywordRule = key("name of the filter", "keyword rule", _keyword_rule)
    airmass: KeywordRule | None = key("airmass", "keyword rule", _keyword_rule, None)
    ra: KeywordRule | None = key("right ascension of the pointing", "keyword rule", _keyword_rule, None)
    dec: KeywordRule | None = key("declination of the pointing", "keyword rule", _keyword_rule, None)
    observer: KeywordRule | None = key("who observed", "keyword rule", _keyword_rule, None)
    programme: KeywordRule | None = key("observing programme", "keyword rule", _keyword_rule, None)
    observing_block: KeywordRule | None = key("name of the observing block", "keyword rule", _keyword_rule, None)
    observing_block_start: KeywordRule | None = key(
        "when the observing block started (ISO 8601, UTC)", "keyword rule", _keyword_rule, None
    )
