"""The reference of the keys of instrument files, made from their declarations."""

import re
import sys
from pathlib import Path

from awe.instruments.chip_rules import AmplifierRule, ChipRule, FocalPlane, Source
from awe.instruments.corrections import Corrections, CrosstalkRule, LinearRange
from awe.instruments.definition import CalibrationPolicy, InstrumentDefinition, PhotometryHints, TelescopeSite
from awe.instruments.keyword_rules import DateRule, KeywordRule, Keywords
from awe.instruments.rules import ClassRule, Condition, Match
from awe.instruments.schema import markdown_table

_TABLES = (
    ("Top level", InstrumentDefinition),
    ("`[telescope]`", TelescopeSite),
    ("`[[match]]`", Match),
    ("Condition", Condition),
    ("`[[date]]`", DateRule),
    ("`[keywords]`", Keywords),
    ("Keyword rule", KeywordRule),
    ("`[[class_rules]]`", ClassRule),
    ("`[[chips]]`", ChipRule),
    ("Number or section from a keyword", Source),
    ("`[[chips.amplifiers]]`", AmplifierRule),
    ("`[focal_plane.NAME]`", FocalPlane),
    ("`[calibration]`", CalibrationPolicy),
    ("`[photometry]`", PhotometryHints),
    ("`[corrections]`", Corrections),
    ("`[corrections.linearity]`", LinearRange),
    ("`[[corrections.crosstalk]]`", CrosstalkRule),
)
_MADE = re.compile(
    r"(?<=<!-- keys: made by python -m awe.instruments.reference FILE -->\n).*(?=<!-- end of keys -->)", re.S
)


def keys_reference() -> str:
    """Return the tables of all keys as Markdown."""
    return "\n".join(f"\n### {title}\n\n{cls.__doc__}\n\n{markdown_table(cls)}\n" for title, cls in _TABLES) + "\n"


def with_keys(page: str) -> str:
    """Return a page with the tables of keys brought up to date."""
    return _MADE.sub(lambda _: keys_reference(), page)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_keys(page.read_text(encoding="utf-8")), encoding="utf-8")
