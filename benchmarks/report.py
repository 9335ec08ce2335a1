"""Figures as an aligned table, as JSON, and as a page of the documentation."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from awe import __version__
from benchmarks.cases import package
from benchmarks.measuring import Measured

HEADERS = ("work", "program", "wall", "rate", "peak", "ratio", "remark")
PACKAGES = ("numpy", "numba", "scipy", "astropy", "sep", "sqlalchemy", "isal", "pillow")


def rows(groups: Sequence[Sequence[Measured]]) -> list[tuple[str, ...]]:
    """Return a row for each measurement; the ratio is the time of the peer over that of awe."""
    found = []
    for group in groups:
        found += [_row(measured, group[0]) for measured in group]
    return found


def _row(found: Measured, first: Measured) -> tuple[str, ...]:
    if found.failure:
        return found.case.work, found.case.program, "-", "-", "-", "-", found.failure
    ratio = "" if found is first or first.failure else f"{found.seconds / first.seconds:.2f}"
    remark = _told(found.told)
    figures = duration(found.seconds), _rate(found), f"{found.peak:.0f} MB"
    return found.case.work, found.case.program, *figures, ratio, remark


def _told(told: dict[str, Any]) -> str:
    """Return numbers with what they are numbers of.

    >>> _told({"sources": 1200, "completeness": 0.98765})
    '1,200 sources, 0.988 completeness'
    """
    said = [
        f"{v:,} {n}" if isinstance(v, int) else f"{v:.3g} {n}" for n, v in told.items() if isinstance(v, int | float)
    ]
    return ", ".join(said)


def duration(seconds: float) -> str:
    """Return a time with a unit in which it is easily read.

    >>> duration(0.0123), duration(2.5)
    ('12.3 ms', '2.50 s')
    """
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _rate(found: Measured) -> str:
    if not found.unit:
        return ""
    return f"{found.rate:.3g} {found.unit}/s" if found.unit != "section" else f"{found.rate:.0f}/s"


def table(lines: Sequence[Sequence[str]], headers: Sequence[str] = HEADERS) -> str:
    """Return rows in columns under their headers."""
    every = [tuple(headers), *lines]
    widths = [max(len(line[i]) for line in every) for i in range(len(headers))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in every)


def markdown(lines: Sequence[Sequence[str]], headers: Sequence[str] = HEADERS) -> str:
    """Return rows as a Markdown table."""
    every = [tuple(headers), tuple("---" for _ in headers), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in every)


def growth_rows(nights: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return a row for each processed night."""
    found = []
    for size, told in nights.items():
        files, make = told["files"], told["make"]
        found.append(
            (
                size,
                f"{told['megapixels']:.1f}",
                f"{files / told['ingest']:.1f}",
                duration(told["plan"]),
                duration(make),
                f"{(told['ingest'] + told['plan'] + make) / told['megapixels']:.3f}",
                f"{told['megapixels'] / make:.2f}",
                f"{told['products']:.0f}",
                duration(told["planner"]),
            )
        )
    return found


GROWTH = ("night", "raw Mpix", "files/s", "plan", "make", "s/Mpix", "Mpix/s", "products", "check all")


def step_rows(told: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each class of product of a night."""
    return [
        (name, str(count), f"{seconds:.2f}", f"{seconds / count:.3f}", f"{memory:.0f} MB")
        for name, (count, seconds, memory) in told["steps"].items()
    ]


STEPS = ("class", "products", "seconds", "each", "peak")


def machine() -> str:
    """Return what the figures were measured with."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {package(name)}" for name in PACKAGES if package(name))
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    system = ", ".join(filter(None, [processor(), f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}"]))
    return f"{when}; {system}; awe {__version__}, Python {platform.python_version()}, {versions}"


def processor(told: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor; empty where the system does not tell it."""
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def numbers(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return measurements as plain values, without where the interpreter of a peer lies on this machine."""
    found = [asdict(m) for m in measured]
    for values in found:
        values["case"].pop("python")
    return found


def as_json(figures: Any) -> dict[str, Any]:
    """Return the figures of a chapter as JSON can hold them, with what they were measured on."""
    return {"machine": machine(), **asdict(figures)}


RATED = ("kernels:cosmics_awe", "kernels:background_awe", "kernels:detect_awe", "kernels:coadd_awe")


def rating(measured: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence how fast this machine takes a chip through the costly steps; empty if one is missing.

    The seconds that a pixel spends in each step are added: cosmic rays, background, detection, weighted coadd.
    """
    spent = {}
    for m in measured:
        case = m.get("case", {"function": ""})
        if m.get("failure") or case["function"] not in RATED or case["options"].get("method", "weighted") != "weighted":
            continue
        spent[case["function"]] = m["seconds"] / m["amount"]
    if len(spent) < len(RATED):
        return ""
    return f"this machine: {1 / sum(spent.values()):.2f} Mpix/s through cosmic rays, background, detection and coadd"
