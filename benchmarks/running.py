"""Measure chapters, and print what was found."""

import json
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import page, report
from benchmarks.chapters import CHAPTERS, Figures
from benchmarks.measuring import ROOT
from benchmarks.place import Place

PAGE = ROOT / "docs/benchmarks.md"


def run(
    chapters: Collection[str], quick: bool = False, figures: Path | None = None, docs: bool = False,
    scratch: Path | None = None, raw: Path | None = None, catalogue: str = "",
) -> None:  # fmt: skip
    """Measure the wanted chapters (all, if none is named); print and write each as soon as it is measured.

    Parameters
    ----------
    chapters : names
    quick : bool
        Smaller frames, fewer repeats.
    figures : Path, optional
        JSON file to write.
    docs : bool
        Write docs/benchmarks.md too.
    scratch : Path, optional
        Folder to work in; by default that of the system.
    raw : Path, optional
        Folder of raw frames for the chapter of nights, and a reference catalogue for them, as FILE:FORM.
    """
    found: dict[str, Any] = {}
    print(report.machine())
    with TemporaryDirectory(dir=scratch, prefix="awe-bench-") as folder:
        place = Place(Path(folder), quick, raw, catalogue)
        for chapter in CHAPTERS:
            if chapters and chapter.name not in chapters:
                continue
            measured = chapter.run(place)
            show(chapter.title, measured)
            found[chapter.name] = report.as_json(measured)
            if figures:
                figures.write_text(json.dumps(found, indent=1))
            if docs:
                page.write(PAGE, found)


def show(title: str, figures: Figures) -> None:
    """Print the tables of a chapter."""
    print(f"\n{title}")
    for caption, headers, rows in figures.tables:
        print(f"\n{caption}" if caption else "")
        print(report.table(rows, headers))
    rated = report.rating(figures.measured)
    if rated:
        print(f"\n{rated}")
    print(flush=True)
