"""Chips in an instrument file: which part of the image is what, and the properties of the electronics."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from awe.instruments import schema
from awe.instruments.rules import CONDITIONS, Condition, keyword_name
from awe.instruments.schema import Where, key
from awe.kernels.sections import Section

WHOLE_IMAGE = "all"
_KEYWORD = schema.one_or_more(keyword_name)


@dataclass(frozen=True)
class Source:
    """A property of a chip, from a header keyword (of the extension, else of the primary header)."""

    keyword: tuple[str, ...] = key(
        "header keyword; of several, the first present", "text or list of texts", _KEYWORD, ()
    )
    default: Any = key("value if the header has none of them", "number or section", schema.anything, None)
    from_wcs: bool = key("for `pixel_scale`: else take it from the header's WCS", "boolean", schema.switch, False)

    def __post_init__(self) -> None:
        if not self.keyword and self.default is None and not self.from_wcs:
            raise ValueError("a value, a keyword or from_wcs is needed")


def number_source(value: Any, where: Where) -> Source:
    """Read a property that is a number: fixed, or from a keyword."""
    if isinstance(value, dict):
        source = schema.read_table(Source, value, where)
        if source.default is not None:
            schema.number(source.default, where / "default")
    else:
        source = Source((), schema.number(value, where))
    if source.default is not None and source.default <= 0:
        where.refuse("a number above 0", source.default)
    return source


def section_source(value: Any, where: Where) -> Source:
    """Read a section: fixed as "[x1:x2,y1:y2]", "all", or from a keyword."""
    source = schema.read_table(Source, value, where) if isinstance(value, dict) else Source((), value)
    if source.default not in (None, WHOLE_IMAGE):
        try:
            Section.parse(schema.text(source.default, where))
        except ValueError:
            where.refuse("a section such as '[1:1024,1:1024]', or 'all'", source.default)
    return source


def _pair(value: Any, where: Where) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        where.refuse("a list of two numbers", value)
    return schema.number(value[0], where / 0), schema.number(value[1], where / 1)


def _matrix(value: Any, where: Where) -> tuple[tuple[float, float], tuple[float, float]]:
    if not isinstance(value, list) or len(value) != 2:
        where.refuse("a list of two rows", value)
    return _pair(value[0], where / 0), _pair(value[1], where / 1)


_SECTIONS = schema.one_or_more(section_source)
_SECTION_KIND = "section, or table with keyword"
_NUMBER_KIND = "or table with keyword"


@dataclass(frozen=True)
class FocalPlane:
    """Place of a chip with respect to the optical axis: the WCS of the chip, but for the pointing."""

    crpix: tuple[float, float] = key("pixel of the pointing (FITS: the first pixel is 1)", "two numbers", _pair)
    cd: tuple[tuple[float, float], tuple[float, float]] = key(
        "linear matrix CD1_1, CD1_2; CD2_1, CD2_2", "2 x 2 numbers, deg/pixel", _matrix
    )


@dataclass(frozen=True)
class AmplifierRule:
    """A part of a chip that is read by an amplifier of its own."""

    name: str = key("name of the amplifier", "text", schema.text)
    data_section: Source = key("its part of the sky pixels", _SECTION_KIND, section_source)
    gain: Source = key("its gain", f"number, electron/adu, {_NUMBER_KIND}", number_source)
    read_noise_electron: Source = key("its read noise", f"number, electron, {_NUMBER_KIND}", number_source)
    saturation: Source = key("level in the raw image", f"number, adu, {_NUMBER_KIND}", number_source)
    overscan: tuple[Source, ...] = key("its overscan", "section(s), or table(s) with keyword", _SECTIONS, ())


@dataclass(frozen=True)
class ChipRule:
    """A chip, or with `numbers` a row of like chips. Give one for each way of reading it out, told apart by `when`."""

    name: str = key("name of the chip; `{number}` or `{number:02}` stands for the number", "text", schema.text)
    data_section: Source = key("the pixels that see the sky; `all` for the whole image", _SECTION_KIND, section_source)
    pixel_scale: Source = key("size of a pixel on the sky", f"number, arcsec, {_NUMBER_KIND}", number_source)
    numbers: str | None = key("first and last number of the chips, as `0:35`", "text", schema.text, None)
    extension: str | None = key("EXTNAME of its image; none: any image", "text", schema.text, None)
    when: tuple[Condition, ...] = key(
        "conditions on the header, such as the binning", "list of conditions", CONDITIONS, ()
    )
    prescan: tuple[Source, ...] = key("prescan", "section(s), or table(s) with keyword", _SECTIONS, ())
    overscan: tuple[Source, ...] = key("overscan", "section(s), or table(s) with keyword", _SECTIONS, ())
    gain: Source | None = key(
        "gain; needed without amplifiers", f"number, electron/adu, {_NUMBER_KIND}", number_source, None
    )
    read_noise_electron: Source | None = key(
        "nominal read noise; needed without amplifiers", f"number, electron, {_NUMBER_KIND}", number_source, None
    )
    saturation: Source | None = key(
        "level in the raw image, bias included, from which pixels are saturated; needed without amplifiers",
        f"number, adu, {_NUMBER_KIND}",
        number_source,
        None,
    )
    rotation: float = key(
        "position angle of the y axis (north through east), for frames without a WCS", "number, deg", schema.number, 0.0
    )
    flip_x: bool = key(
        "x runs to the east (before rotation), for frames without a WCS", "boolean", schema.switch, False
    )
    flip_y: bool = key(
        "y runs to the south (before rotation), for frames without a WCS", "boolean", schema.switch, False
    )
    amplifiers: tuple[AmplifierRule, ...] = key(
        "if several: gain and read noise of the chip are then their means, saturation their least",
        "tables `[[chips.amplifiers]]`",
        schema.many(schema.table_of(AmplifierRule)),
        (),
    )

    def __post_init__(self) -> None:
        if self.amplifiers:
            return
        for name in ("gain", "read_noise_electron", "saturation"):
            if getattr(self, name) is None:
                raise ValueError(f"chip {self.name} needs {name}, as it has no amplifiers")


def _chips(value: Any, where: Where) -> tuple[ChipRule, ...]:
    rules = schema.many(schema.table_of(ChipRule))(value, where)
    return tuple(chip for i, rule in enumerate(rules) for chip in _numbered(rule, where / i))


def _numbered(rule: ChipRule, where: Where) -> list[ChipRule]:
    """Return the chips that a rule with `numbers` stands for."""
    if rule.numbers is None:
        return [rule]
    found = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", rule.numbers)
    if found is None or "{number" not in rule.name:
        where.refuse("numbers as '0:35', and {number} in the name", f"numbers {rule.numbers!r}, name {rule.name!r}")
    first, last = (int(group) for group in found.groups())
    return [_one_of_many(rule, number) for number in range(first, last + 1)]


def _one_of_many(rule: ChipRule, number: int) -> ChipRule:
    extension = rule.extension and rule.extension.format(number=number)
    return replace(rule, name=rule.name.format(number=number), extension=extension, numbers=None)


CHIPS = _chips


def check_focal_plane(chips: Sequence[ChipRule], places: Sequence[tuple[str, FocalPlane]]) -> None:
    """Raise ValueError if the focal plane has a chip that the instrument has not."""
    strangers = {name for name, _ in places} - {chip.name for chip in chips}
    if strangers:
        raise ValueError(f"focal_plane has {', '.join(sorted(strangers))}, but no such chip is defined")
