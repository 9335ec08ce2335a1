"""The commands of docs/howto/astrometry-of-a-survey.md, in their order, on a night with all products."""

import re
import shlex
from pathlib import Path

import pytest

from .conftest import ROOT, Command

PAGE = ROOT / "docs/howto/astrometry-of-a-survey.md"


def told() -> list[tuple[str, list[str]]]:
    """Return each command of the page, and the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ awe "):
                found.append((line[6:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """Return a line of output without numbers, plurals, and the widths of its columns."""
    plain = re.sub(r"\b(object|step)s\b", r"\1", line)
    return re.sub(r"\s+", " ", re.sub(r"[\d.]+", "N", plain)).strip()


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(awe: Command, own_home: Path) -> None:
    number = "174"
    for line, expected in told():
        said = awe("--home", own_home, *shlex.split(line.replace("174", number)))

        assert said.code == 0, (line, said.err)
        printed = [shape(text) for text in said.out.splitlines()]
        missing = [text for text in expected if text not in ("", "...") and shape(text) not in printed]
        assert missing == [], (line, said.out)
        if line.startswith("make GlobalAstrometry"):
            number = said.out.split()[-1]


def test_the_page_has_commands_and_what_they_print() -> None:
    assert len(told()) > 10
    assert sum(len(expected) for _, expected in told()) > 10
