"""An account, keyword by keyword, of how a raw file is read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from awe.errors import BadFile
from awe.instruments.account import Account, Finding, Spelled
from awe.instruments.definition import InstrumentDefinition
from awe.instruments.reading import read_with_account


def explain(path: Path, definitions: Mapping[str, InstrumentDefinition], now: datetime | None = None) -> list[Finding]:
    """Return how a file is read, step by step; the last finding is the verdict, with the reason if it is refused.

    Raises
    ------
    NotFound
        If there is no such file.
    """
    account = Account()
    try:
        exposure = read_with_account(path, definitions, account, now=now)
    except BadFile as error:
        account.note("verdict", path.name, "", Spelled("refused"), str(error))
    else:
        chips = f"{len(exposure.frames)} chip{'s' if len(exposure.frames) != 1 else ''}"
        became = f"{exposure.raw_class} of {exposure.instrument}, night {exposure.night}, {chips}"
        account.note("verdict", path.name, "", Spelled("readable"), became)
    return account.findings


def as_table(findings: Sequence[Finding]) -> str:
    """Return findings as lines of text, in columns."""
    rows = [("step", "subject", "looked up", "found", "became")]
    rows += [(f.step, f.subject, f.looked_up, f.found, f.became) for f in findings]
    # a long sentence shifts the rest of its line, rather than widen all lines
    widths = [min(36, max(len(row[i]) for row in rows)) for i in range(3)]
    found = min(40, max(len(row[3]) for row in rows))
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3].ljust(found)]) for row in rows
    ]
    return "\n".join(f"{line}  {row[4]}".rstrip() for line, row in zip(lines, rows, strict=True))
