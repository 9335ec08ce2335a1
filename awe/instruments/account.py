"""The account of how a file is read: which keywords were looked up, what was found, what it became."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One step in the reading of a file."""

    step: str
    """file, instrument, class, date, exposure, chip, wcs or verdict"""
    subject: str
    """what is sought: a field, a rule, a chip"""
    looked_up: str
    """the header keywords, or where else"""
    found: str
    """what stands there"""
    became: str
    """what that means"""

    def as_dict(self) -> dict[str, str]:
        """Return the finding as a dictionary, fit for JSON."""
        return asdict(self)


@dataclass
class Account:
    """Findings in the order they were made."""

    findings: list[Finding] = field(default_factory=list)

    def note(self, step: str, subject: str, looked_up: str, found: Any, became: Any) -> None:
        """Add a finding; None as found or result reads `absent` or `none`."""
        spelled = "absent" if found is None else repr(found) if not isinstance(found, Spelled) else str(found)
        self.findings.append(Finding(step, subject, looked_up, spelled, "none" if became is None else str(became)))


class Spelled(str):
    """A text that is shown as it is, not quoted as a header value."""

    __slots__ = ()


def first_present(cards: Mapping[str, Any], keywords: tuple[str, ...], absent: tuple[Any, ...] = ()) -> tuple[str, Any]:
    """Return the first keyword with a value that is known, and the value; the keywords and None if there is none."""
    for keyword in keywords:
        value = cards.get(keyword)
        if value is not None and value != "" and value not in absent:
            return keyword, value
    return " or ".join(keywords), None
