"""Conditions on header keywords, and the ordered rules made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from awe.instruments import schema
from awe.instruments.schema import key

RAW_CLASSES = (
    "RawBiasFrame",
    "RawDarkFrame",
    "RawDomeFlatFrame",
    "RawTwilightFlatFrame",
    "RawScienceFrame",
    "RawStandardFrame",
)
SKY_CLASSES = ("RawScienceFrame", "RawStandardFrame")
FLAT_CLASSES = ("RawDomeFlatFrame", "RawTwilightFlatFrame")

Cards = Mapping[str, Any]
"""Header keywords (upper case, without `HIERARCH`) with their values; cards without a value are not in it."""


def normal_keyword(keyword: str) -> str:
    """Return a keyword as it is looked up: upper case, single spaces, without `HIERARCH`."""
    return " ".join(keyword.upper().split()).removeprefix("HIERARCH ")


def keyword_name(value: Any, where: schema.Where) -> str:
    """Read the name of a header keyword."""
    return normal_keyword(schema.text(value, where))


@dataclass(frozen=True)
class Outcome:
    """Whether a condition or rule holds for a header, and the sentence why."""

    holds: bool
    why: str


@dataclass(frozen=True)
class Condition:
    """What one header keyword must be. Exactly one test is given; texts are compared without regard to case."""

    keyword: str = key("the header keyword; `ESO DPR TYPE` for `HIERARCH ESO DPR TYPE`", "text", keyword_name)
    equals: Any = key("the value is this", "text, number or boolean", schema.anything, None)
    like: tuple[str, ...] = key(
        "the value fits (one of) these patterns of `*`, `?` and `[...]`",
        "text or list of texts",
        schema.one_or_more(schema.text),
        (),
    )
    one_of: tuple[Any, ...] = key("the value is one of these", "list", schema.many(schema.anything), ())
    below: float | None = key("the value is a number below this", "number", schema.number, None)
    above: float | None = key("the value is a number above this", "number", schema.number, None)
    present: bool | None = key("true: the header has the keyword; false: it has not", "boolean", schema.switch, None)

    def __post_init__(self) -> None:
        tests = [self.equals is not None, self.like, self.one_of, self.below is not None, self.above is not None]
        given = sum(bool(test) for test in (*tests, self.present is not None))
        if given != 1:
            raise ValueError(
                f"a condition on {self.keyword} needs exactly one of equals, like, one_of, below, above, present;"
                f" found {given}"
            )

    def test(self, cards: Cards) -> Outcome:
        """Return whether the header meets the condition, and why."""
        found = cards.get(self.keyword)
        if self.present is not None:
            return Outcome((found is not None) is self.present, _seen(self.keyword, found))
        if found is None:
            return Outcome(False, f"{_seen(self.keyword, found)}, expected {self._expected}")
        holds = self._fits(found)
        return Outcome(holds, _seen(self.keyword, found) + ("" if holds else f", expected {self._expected}"))

    def _fits(self, found: Any) -> bool:
        if self.equals is not None:
            return _same(found, self.equals)
        if self.like:
            return any(fnmatchcase(_plain(found), pattern.casefold()) for pattern in self.like)
        if self.one_of:
            return any(_same(found, value) for value in self.one_of)
        value = _number(found)
        if value is None:
            return False
        return value < self.below if self.below is not None else value > self.above  # type: ignore[operator]

    @property
    def _expected(self) -> str:
        if self.equals is not None:
            return repr(self.equals)
        if self.like or self.one_of:
            return ("like " if self.like else "") + " or ".join(repr(item) for item in self.like or self.one_of)
        return f"below {self.below:g}" if self.below is not None else f"above {self.above:g}"


def all_hold(conditions: tuple[Condition, ...], cards: Cards) -> Outcome:
    """Return whether all conditions hold; the reason is the first that fails, or all that hold."""
    outcomes = [condition.test(cards) for condition in conditions]
    for outcome in outcomes:
        if not outcome.holds:
            return outcome
    return Outcome(True, "; ".join(outcome.why for outcome in outcomes) or "always")


CONDITIONS = schema.many(schema.table_of(Condition))


@dataclass(frozen=True)
class Match:
    """One way to recognise the instrument's files."""

    when: tuple[Condition, ...] = key("conditions that must all hold", "list of conditions", CONDITIONS)

    def __post_init__(self) -> None:
        if not self.when:
            raise ValueError("when is empty: it would match the files of every instrument")


@dataclass(frozen=True)
class ClassRule:
    """Sorts a header into a raw class, or refuses the file. The first rule whose conditions all hold decides."""

    when: tuple[Condition, ...] = key("conditions that must all hold; empty: always", "list of conditions", CONDITIONS)
    raw_class: str | None = key(
        "the class of the raw frame: " + ", ".join(RAW_CLASSES), "text", schema.one_of(*RAW_CLASSES), None
    )
    refuse: str | None = key("instead of a class: why the file is not taken", "text", schema.text, None)

    def __post_init__(self) -> None:
        if (self.raw_class is None) == (self.refuse is None):
            raise ValueError("a rule needs either raw_class or refuse")

    @property
    def result(self) -> str:
        """What the rule says of a file."""
        return self.raw_class or f"refused: {self.refuse}"


def keywords_of(rules: tuple[ClassRule | Match, ...]) -> tuple[str, ...]:
    """Return the keywords that rules look at, each once, in order."""
    return tuple(dict.fromkeys(condition.keyword for rule in rules for condition in rule.when))


def shown(cards: Cards, keywords: tuple[str, ...]) -> str:
    """Return `KEYWORD = value` of each keyword, for messages."""
    return ", ".join(_seen(keyword, cards.get(keyword)) for keyword in keywords)


def _seen(keyword: str, found: Any) -> str:
    return f"{keyword} is absent" if found is None else f"{keyword} = {found!r}"


def _plain(value: Any) -> str:
    return str(value).strip().casefold()


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, str):
        return _plain(found) == _plain(expected)
    return bool(_number(found) == expected)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
