"""Reading of the facts about an exposure: its kind, time, target and pointing."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from awe.errors import BadFile
from awe.instruments.account import Account, Spelled, first_present
from awe.instruments.definition import InstrumentDefinition
from awe.instruments.keyword_rules import DateRule, KeywordRule
from awe.instruments.rules import SKY_CLASSES, Cards, all_hold, keywords_of, shown
from awe.instruments.values import UNITS, from_mjd, in_utc, number, parse_date, parse_time

EARLIEST = datetime(1970, 1, 1)
_RANGES = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0), "airmass": (0.99, 40.0), "exptime": (0.0, 1e6)}


def recognise(cards: Cards, definitions: Mapping[str, InstrumentDefinition], account: Account) -> InstrumentDefinition:
    """Return the one instrument whose match rules hold."""
    fitting = [definition for definition in definitions.values() if _matches(definition, cards, account)]
    if not fitting:
        seen = shown(cards, ("INSTRUME", "DETECTOR", "TELESCOP"))
        raise BadFile(
            f"unknown instrument: {seen}; known are {', '.join(sorted(definitions))}"
            " (add one by an instrument file in the folder of the setting 'instruments')"
        )
    if len(fitting) > 1:
        names = " and ".join(definition.name for definition in fitting)
        raise BadFile(f"ambiguous instrument: the match rules of {names} all hold; narrow them in the instrument files")
    return fitting[0]


def _matches(definition: InstrumentDefinition, cards: Cards, account: Account) -> bool:
    outcomes = [all_hold(match.when, cards) for match in definition.match]
    for outcome in outcomes:
        account.note("instrument", definition.name, "match", Spelled(outcome.why), "yes" if outcome.holds else "no")
    return any(outcome.holds for outcome in outcomes)


def classify(cards: Cards, definition: InstrumentDefinition, account: Account) -> str:
    """Return the raw class that the first fitting rule gives, or raise the refusal it gives."""
    for count, rule in enumerate(definition.class_rules, start=1):
        outcome = all_hold(rule.when, cards)
        became = rule.result if outcome.holds else "no"
        account.note("class", f"rule {count}", rule.result, Spelled(outcome.why), became)
        if outcome.holds and rule.raw_class is None:
            raise BadFile(f"refused: {rule.refuse} ({outcome.why}; rule {count} of {definition.name})")
        if outcome.holds:
            return str(rule.raw_class)
    seen = shown(cards, keywords_of(definition.class_rules))
    raise BadFile(f"unknown kind of frame: no class rule of {definition.name} holds for {seen}")


class FieldReader:
    """Reads the facts of one exposure by the keyword rules of its instrument, and keeps account."""

    def __init__(self, cards: Cards, definition: InstrumentDefinition, raw_class: str, account: Account) -> None:
        self._cards, self._definition, self._raw_class, self._account = cards, definition, raw_class, account

    def text(self, field: str) -> str | None:
        """Return a fact that is a text."""
        _, value = self._look_up(field)
        self._note(field, value)
        return None if value is None else str(value).strip()

    def number(self, field: str) -> float | None:
        """Return a fact that is a number, in degrees, seconds or airmass."""
        keyword, value = self._look_up(field)
        if value is None:
            self._note(field, None)
            return None
        rule = self._rule(field)
        assert rule is not None
        assert rule.unit is not None
        try:
            result = UNITS[rule.unit](number(value))
        except (ValueError, ZeroDivisionError) as error:
            raise BadFile(f"{field} can't be read: {keyword} is {value!r}, expected a number ({error})") from error
        low, high = _RANGES[field]
        if not low <= result <= high:
            raise BadFile(f"absurd {field}: {keyword} is {value!r}, hence {result:g}; expected {low:g} to {high:g}")
        self._note(field, result)
        return result

    def time(self, field: str) -> datetime | None:
        """Return a fact that is a UTC time."""
        keyword, value = self._look_up(field)
        try:
            moment = None if value is None else in_utc(parse_time(str(value)), 0.0)
        except ValueError as error:
            raise BadFile(f"{field} can't be read: {keyword}: {error}") from error
        self._note(field, moment)
        return moment

    def _rule(self, field: str) -> KeywordRule | None:
        rule: KeywordRule | None = getattr(self._definition.keywords, field)
        return rule

    def _look_up(self, field: str) -> tuple[str, Any]:
        rule = self._rule(field)
        if rule is None:
            return "", None
        keyword, value = first_present(self._cards, rule.keyword, rule.absent)
        if value is None and rule.default is not None:
            return keyword, rule.default
        if value is None and self._raw_class in rule.required:
            raise BadFile(
                f"missing keyword {keyword}: {self._definition.name} needs it for the {field} of a {self._raw_class}"
            )
        return keyword, value

    def _note(self, field: str, became: Any) -> None:
        rule = self._rule(field)
        if rule is None:
            self._account.note("exposure", field, "no keyword", None, became)
            return
        keyword, value = first_present(self._cards, rule.keyword, rule.absent)
        by_default = value is None and became is not None
        self._account.note("exposure", field, keyword, value, f"{became} (default)" if by_default else became)


def read_start(
    cards: Cards, definition: InstrumentDefinition, exptime: float, now: datetime, account: Account
) -> datetime:
    """Return when the exposure started, UTC, by the first date rule whose keywords are present."""
    for rule in definition.date:
        keywords = (rule.keyword, *((rule.time_keyword,) if rule.time_keyword else ()))
        values = [cards.get(keyword) for keyword in keywords]
        looked_up = " + ".join(keywords)
        if any(value in (None, "") for value in values):
            account.note("date", rule.form, looked_up, Spelled(shown(cards, keywords)), "not used")
            continue
        try:
            start = _start(rule, values, exptime)
        except (ValueError, OverflowError, TypeError) as error:
            raise BadFile(f"date can't be read: {looked_up} is {values!r} ({error})") from error
        account.note(
            "date", rule.form, looked_up, Spelled(" ".join(map(str, values))), f"{start.isoformat()} UTC, start"
        )
        if not EARLIEST <= start <= now + timedelta(days=1):
            fault = "in the future" if start > now else "absurd"
            raise BadFile(
                f"date {fault}: {shown(cards, keywords)}, hence {start.isoformat()} UTC; now is {now.isoformat()}"
            )
        return start
    wanted = " or ".join(rule.keyword for rule in definition.date)
    raise BadFile(f"missing keyword {wanted}: {definition.name} needs it for the date of the exposure")


def _start(rule: DateRule, values: list[Any], exptime: float) -> datetime:
    offset = rule.utc_offset_hours if rule.scale == "local" else 0.0
    if rule.form == "mjd":
        moment = from_mjd(number(values[0])) - timedelta(hours=offset)
    elif rule.form == "date":
        moment = in_utc(parse_time(f"{parse_date(str(values[0]))}T{str(values[1]).strip()}"), offset)
    else:
        moment = in_utc(parse_time(str(values[0])), offset)
    before = {"start": 0.0, "middle": exptime / 2, "end": exptime}[rule.marks]
    return moment + timedelta(seconds=rule.offset_seconds - before)


def check_exptime(exptime: float | None, raw_class: str) -> float:
    """Return the exposure time, or raise if it is unknown, or zero for a frame of the sky."""
    if exptime is None or math.isnan(exptime):
        raise BadFile(f"exposure time of the {raw_class} is unknown")
    if exptime == 0 and raw_class in SKY_CLASSES:
        raise BadFile(f"exposure time 0 for a {raw_class}: its fluxes would be infinite")
    return exptime
