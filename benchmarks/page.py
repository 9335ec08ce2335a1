"""The page docs/benchmarks.md, and the figures that it shows, kept beside it by chapter."""
# ruff: noqa: E501  the paragraphs of the page are lines

import json
from pathlib import Path
from typing import Any

from benchmarks.chapters import CHAPTERS
from benchmarks.report import markdown

_INTRODUCTION = """# Benchmarks

<!-- Written by `python -m benchmarks --write-docs`; changes here are lost. -->

How long awe takes, beside programs that do the same on the same input in the same run. On another machine, and on a busy one, the times differ; the ratios less so. Run them yourself: `make bench` (an hour on two cores, most of it for the other programs; with `--quick` a quarter of that), or one chapter alone: `awe bench kernels`. Python packages that awe does not need are found in the environment whose interpreter `AWE_BENCH_PYTHON` names.

*Wall* is the median over six repeats in two rounds, in which the programs take turns (nights and memory of coadds: one; the night beside other programs: three), after one call that is not counted: kernels are compiled when they are first used, and that is left out (it has [lines of its own](#compilation)). *Ratio* is the time of the peer over that of awe: above 1, awe is faster; below 1, the peer is. *Peak* is the largest resident memory of a process that did nothing else; for awe and Python libraries it contains the interpreter, all imports and the input (about 150 to 300 MB), for the others just the program."""


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the page; chapters that were not measured now keep their earlier figures.

    Parameters
    ----------
    path : Path
        Of the page; the figures are kept in a file of the same name that ends in `.json`.
    found : dict
        Figures by name of the chapter, as `report.as_json` gives them.
    """
    kept = path.with_suffix(".json")
    every = (json.loads(kept.read_text()) if kept.is_file() else {}) | json.loads(json.dumps(found))
    kept.write_text(json.dumps({c.name: every[c.name] for c in CHAPTERS if c.name in every}, indent=1) + "\n")
    path.write_text(page(every))


def page(found: dict[str, Any]) -> str:
    """Return the page with all figures, the poor ones too."""
    parts, slower = [_INTRODUCTION], []
    for chapter in CHAPTERS:
        if chapter.name not in found:
            continue
        figures = found[chapter.name]
        parts += [f"## {chapter.title}", chapter.text, f"Measured {figures['machine']}."]
        for caption, headers, rows in figures["tables"]:
            parts += [caption, markdown(rows, headers)]
        slower += figures["slower"]
    lines = "\n".join(f"- {line}" for line in slower) or "Nowhere in this run."
    parts += ["## Where awe is slower", lines]
    return "\n\n".join(part for part in parts if part) + "\n"
