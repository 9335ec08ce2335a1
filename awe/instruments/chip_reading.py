"""Reading of the chips in a raw file: sections, electronics and position on the sky."""

import math
from collections import ChainMap
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from awe.errors import BadFile
from awe.instruments.account import Account, Spelled, first_present
from awe.instruments.chip_rules import WHOLE_IMAGE, AmplifierRule, ChipRule, FocalPlane, Source
from awe.instruments.definition import InstrumentDefinition
from awe.instruments.headers import RawHdu
from awe.instruments.rules import SKY_CLASSES, Cards, all_hold
from awe.instruments.values import number
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, separation, tangent_wcs

FURTHEST_FROM_POINTING = 5.0
"""A WCS whose chip lies further (deg) than this from the pointing is absurd."""


@dataclass(frozen=True)
class RawAmplifier:
    """A part of a raw image that was read by an amplifier of its own."""

    name: str
    data_section: Section
    overscan: tuple[Section, ...]
    gain: float
    read_noise_electron: float
    saturation: float


@dataclass(frozen=True)
class RawChip:
    """The image of one chip in a raw file: where it is, which pixels are what, and how it was read out.

    Sections and the WCS count pixels of the raw image; after trimming to the data section the WCS is
    `wcs.shifted(-data_section.x0, -data_section.y0)`.
    """

    hdu: int
    name: str
    naxis1: int
    naxis2: int
    data_section: Section
    prescan: tuple[Section, ...]
    overscan: tuple[Section, ...]
    gain: float
    """electron/adu"""
    read_noise_electron: float
    """nominal, electron"""
    saturation: float
    """adu in the raw image, bias included"""
    pixel_scale: float | None
    """arcsec; None if neither the instrument file nor the header of a calibration frame tells"""
    wcs: Wcs | None
    """from the header; only for frames of the sky"""
    wcs_problem: str | None
    """why there is no WCS"""
    nominal_wcs: Wcs | None
    """from pointing, focal plane or pixel scale, rotation and flips; only for frames of the sky"""
    amplifiers: tuple[RawAmplifier, ...] = ()

    @property
    def read_noise(self) -> float:
        """Nominal read noise, adu."""
        return self.read_noise_electron / self.gain


@dataclass(frozen=True)
class Pointing:
    """Where the telescope looked (deg), as far as the header tells; nothing for calibration frames."""

    raw_class: str
    ra: float | None
    dec: float | None

    @property
    def is_sky(self) -> bool:
        """Whether the frame shows the sky, so that its WCS means something."""
        return self.raw_class in SKY_CLASSES


def read_chips(
    hdus: tuple[RawHdu, ...], definition: InstrumentDefinition, pointing: Pointing, account: Account
) -> tuple[RawChip, ...]:
    """Return the chips of a raw file, one for each image extension that is not ignored."""
    chips: dict[str, RawChip] = {}
    for hdu in hdus:
        if not hdu.is_image or _ignored(hdu, definition, account):
            continue
        cards = ChainMap(dict(hdu.cards), dict(hdus[0].cards))
        rule = _rule_for(hdu, cards, definition, account)
        if rule.name in chips:
            raise BadFile(f"two images of chip {rule.name}: {chips[rule.name].hdu} and {hdu.index} (HDU numbers)")
        chips[rule.name] = _ChipReader(hdu, cards, rule, account).read(definition, pointing)
    if not chips:
        raise BadFile(f"no image: all image extensions are ignored by {definition.name}")
    return tuple(chips.values())


def _ignored(hdu: RawHdu, definition: InstrumentDefinition, account: Account) -> bool:
    ignored = any(fnmatchcase(hdu.extension.casefold(), name.casefold()) for name in definition.ignored_extensions)
    if ignored:
        account.note("chip", str(hdu), "EXTNAME", hdu.extension, "ignored, by ignored_extensions")
    return ignored


def _rule_for(hdu: RawHdu, cards: Cards, definition: InstrumentDefinition, account: Account) -> ChipRule:
    named = [rule for rule in definition.chips if rule.extension is None or _is(hdu, rule.extension)]
    if not named:
        known = ", ".join(sorted({str(rule.extension) for rule in definition.chips}))
        raise BadFile(f"unknown chip: {hdu} is no extension of {definition.name}; it has {known}")
    reasons = []
    for rule in named:
        outcome = all_hold(rule.when, cards)
        account.note("chip", rule.name, str(hdu), Spelled(outcome.why), "yes" if outcome.holds else "no")
        if outcome.holds:
            return rule
        reasons.append(f"{rule.name}: {outcome.why}")
    raise BadFile(f"no chip of {definition.name} fits {hdu}: {'; '.join(reasons)}")


def _is(hdu: RawHdu, extension: str) -> bool:
    return hdu.extension.casefold() == extension.casefold()


class _ChipReader:
    """Reads one chip from one image by the chip rule that fits, and keeps account."""

    def __init__(self, hdu: RawHdu, cards: Cards, rule: ChipRule, account: Account) -> None:
        self._hdu, self._cards, self._rule, self._account = hdu, cards, rule, account
        self._subject = rule.name

    def read(self, definition: InstrumentDefinition, pointing: Pointing) -> RawChip:
        rule, hdu = self._rule, self._hdu
        amplifiers = tuple(self._amplifier(amplifier) for amplifier in rule.amplifiers)
        wcs, problem = self._wcs(definition, pointing)
        chip = RawChip(
            hdu=hdu.index,
            name=rule.name,
            naxis1=hdu.naxis1,
            naxis2=hdu.naxis2,
            data_section=self._section("data_section", rule.data_section),
            prescan=tuple(self._section("prescan", source) for source in rule.prescan),
            overscan=tuple(self._section("overscan", source) for source in rule.overscan),
            gain=self._electronic("gain", amplifiers),
            read_noise_electron=self._electronic("read_noise_electron", amplifiers),
            saturation=self._electronic("saturation", amplifiers),
            pixel_scale=self._pixel_scale(wcs, pointing),
            wcs=wcs,
            wcs_problem=problem,
            nominal_wcs=None,
            amplifiers=amplifiers,
        )
        self._check_sections(chip)
        place = dict(definition.focal_plane).get(rule.name)
        return replace(chip, nominal_wcs=_nominal_wcs(chip, rule, place, pointing))

    def _amplifier(self, rule: AmplifierRule) -> RawAmplifier:
        prefix = f"amplifier {rule.name} "
        return RawAmplifier(
            name=rule.name,
            data_section=self._section(prefix + "data_section", rule.data_section),
            overscan=tuple(self._section(prefix + "overscan", source) for source in rule.overscan),
            gain=self._number(prefix + "gain", rule.gain),
            read_noise_electron=self._number(prefix + "read_noise_electron", rule.read_noise_electron),
            saturation=self._number(prefix + "saturation", rule.saturation),
        )

    def _electronic(self, what: str, amplifiers: tuple[RawAmplifier, ...]) -> float:
        source: Source | None = getattr(self._rule, what)
        if source is not None:
            return self._number(what, source)
        values = [getattr(amplifier, what) for amplifier in amplifiers]
        result: float = min(values) if what == "saturation" else sum(values) / len(values)
        self._account.note("chip", self._subject, what, Spelled(f"of {len(values)} amplifiers"), f"{result:g}")
        return result

    def _number(self, what: str, source: Source) -> float:
        keyword, value = first_present(self._cards, source.keyword)
        found = source.default if value is None else value
        if found is None:
            raise BadFile(f"missing keyword {keyword} in {self._hdu}: needed for the {what} of chip {self._rule.name}")
        try:
            result = number(found)
        except ValueError as error:
            raise BadFile(f"{what} of chip {self._rule.name} can't be read: {keyword}: {error}") from error
        if result <= 0:
            raise BadFile(f"absurd {what} of chip {self._rule.name}: {keyword} is {result:g}, expected above 0")
        self._note(what, keyword, value, f"{result:g}")
        return result

    def _section(self, what: str, source: Source) -> Section:
        keyword, value = first_present(self._cards, source.keyword)
        found = source.default if value is None else value
        if found is None:
            raise BadFile(f"missing keyword {keyword} in {self._hdu}: needed for the {what} of chip {self._rule.name}")
        try:
            section = self._whole if found == WHOLE_IMAGE else Section.parse(str(found))
        except ValueError as error:
            raise BadFile(f"{what} of chip {self._rule.name} can't be read: {keyword}: {error}") from error
        if not section.fits_in(self._whole.shape):
            raise BadFile(
                f"{what} {section} of chip {self._rule.name} reaches beyond the image of {self._hdu},"
                f" {self._hdu.naxis1} x {self._hdu.naxis2} pixels (another window or binning?)"
            )
        self._note(what, keyword, value, section)
        return section

    @property
    def _whole(self) -> Section:
        return Section.whole((self._hdu.naxis2, self._hdu.naxis1))

    def _check_sections(self, chip: RawChip) -> None:
        for section in (*chip.prescan, *chip.overscan):
            if _overlap(section, chip.data_section):
                raise BadFile(f"chip {chip.name}: prescan or overscan {section} overlaps the data {chip.data_section}")

    def _pixel_scale(self, wcs: Wcs | None, pointing: Pointing) -> float | None:
        source = self._rule.pixel_scale
        keyword, value = first_present(self._cards, source.keyword)
        if value is None and source.from_wcs and wcs is not None:
            self._note("pixel_scale", "WCS", Spelled("CD matrix"), f"{wcs.scale:g}")
            return wcs.scale
        if value is None and source.default is None and not pointing.is_sky:
            self._note("pixel_scale", keyword or "WCS", None, None)
            return None
        return self._number("pixel_scale", source)

    def _wcs(self, definition: InstrumentDefinition, pointing: Pointing) -> tuple[Wcs | None, str | None]:
        wcs, problem = self._header_wcs(definition, pointing)
        self._account.note("wcs", self._subject, "CTYPE1", self._cards.get("CTYPE1"), problem or "taken as it is")
        return wcs, problem

    def _header_wcs(self, definition: InstrumentDefinition, pointing: Pointing) -> tuple[Wcs | None, str | None]:
        if not pointing.is_sky:
            return None, f"not looked at: a {pointing.raw_class} shows no sky of its own"
        if not definition.use_header_wcs:
            return None, f"not looked at: use_header_wcs is false for {definition.name}"
        ctype = str(self._cards.get("CTYPE1", ""))
        if not ctype.startswith(("RA--", "DEC-")):
            return None, f"CTYPE1 is {ctype!r}: not of the sky" if ctype else "the header has none (no CTYPE1)"
        try:
            wcs = Wcs.from_header(self._cards)
        except ValueError as error:
            raise BadFile(f"absurd WCS in {self._hdu}: {error}") from error
        self._check_wcs(wcs, pointing)
        return wcs, None

    def _check_wcs(self, wcs: Wcs, pointing: Pointing) -> None:
        ra, dec = wcs.centre(self._hdu.naxis1, self._hdu.naxis2)
        if not (math.isfinite(ra) and math.isfinite(dec)):
            raise BadFile(f"absurd WCS in {self._hdu}: the middle of the image has no place on the sky")
        if pointing.ra is None or pointing.dec is None:
            return
        distance = float(separation(ra, dec, pointing.ra, pointing.dec))
        if distance > FURTHEST_FROM_POINTING:
            raise BadFile(
                f"absurd WCS in {self._hdu}: it puts the image at RA {ra:.4f}, Dec {dec:.4f}, {distance:.1f} deg from"
                f" the pointing RA {pointing.ra:.4f}, Dec {pointing.dec:.4f}"
            )

    def _note(self, what: str, keyword: str, value: object, became: object) -> None:
        source = keyword or "instrument file"
        shown = became if value is not None or not keyword else f"{became} (default)"
        self._account.note("chip", f"{self._subject} {what}", source, value if keyword else Spelled("-"), shown)


def _overlap(a: Section, b: Section) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def _nominal_wcs(chip: RawChip, rule: ChipRule, place: FocalPlane | None, pointing: Pointing) -> Wcs | None:
    """Return the WCS that pointing and focal plane, or else pixel scale and orientation, lead to expect."""
    if not pointing.is_sky or pointing.ra is None or pointing.dec is None or chip.pixel_scale is None:
        return None
    if place is not None:
        return tangent_wcs(pointing.ra, pointing.dec, place.crpix[0] - 1, place.crpix[1] - 1, place.cd)
    x = (chip.data_section.x0 + chip.data_section.x1 - 1) / 2
    y = (chip.data_section.y0 + chip.data_section.y1 - 1) / 2
    scale, angle = chip.pixel_scale / 3600.0, math.radians(rule.rotation)
    east, north = (scale if rule.flip_x else -scale), (-scale if rule.flip_y else scale)
    matrix = [
        [east * math.cos(angle), north * math.sin(angle)],
        [-east * math.sin(angle), north * math.cos(angle)],
    ]
    return tangent_wcs(pointing.ra, pointing.dec, x, y, matrix)
