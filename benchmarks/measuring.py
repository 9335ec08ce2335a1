"""Cases, and how they are measured. Imports nothing heavy: the memory of this process must not enter a measurement."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
TIME_LIMIT = 1200
OFTEN = 25
"""Small cutouts for each repeat."""


@dataclass(frozen=True)
class Case:
    """One thing that one program does."""

    work: str
    """What is done, in words; the same for awe and its peers."""
    program: str
    function: str
    """`module:function` of this package; it is given the folder of the input and returns a `Work`."""
    options: dict[str, Any] = field(default_factory=dict)
    missing: str = ""
    """Why the program can't be measured here; empty if it can."""
    python: str = ""
    """Interpreter that has the package; empty: the one that runs this."""


@dataclass
class Measured:
    """What was found for a case: medians over all repeats."""

    case: Case
    seconds: float = float("nan")
    amount: float = float("nan")
    unit: str = ""
    peak: float = float("nan")
    """Mbyte."""
    told: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    each: list[float] = field(default_factory=list)
    """Seconds of each repeat."""

    @property
    def rate(self) -> float:
        """Amount done in a second."""
        return self.amount / self.seconds


def measure(cases: Sequence[Case], folder: Path, repeats: int, rounds: int) -> list[Measured]:
    """Measure cases that do the same work, in turns, so that what else the machine does hits all of them."""
    runs: list[list[dict[str, Any]]] = [[] for _ in cases]
    failures = [case.missing for case in cases]
    for _ in range(rounds):
        for number, case in enumerate(cases):
            if failures[number]:
                continue
            found = _run(case, folder, repeats)
            failures[number] = found.get("failure", "")
            runs[number].append(found)
    return [_median(*parts) for parts in zip(cases, runs, failures, strict=True)]


def _run(case: Case, folder: Path, repeats: int) -> dict[str, Any]:
    module, _, function = case.function.partition(":")
    words = [f"benchmarks.{module}", function, str(folder), str(repeats), json.dumps(case.options)]
    done = subprocess.run(  # noqa: S603  the command is ours
        [case.python or sys.executable, "-m", "benchmarks.child", *words],
        capture_output=True, text=True, cwd=ROOT, timeout=TIME_LIMIT, env=os.environ | {"PYTHONWARNINGS": "ignore"},
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        return {"failure": said[-1]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _median(case: Case, runs: list[dict[str, Any]], failure: str) -> Measured:
    if failure:
        return Measured(case, failure=failure)
    each = [s for run in runs for s in run["seconds"]]
    last = runs[-1]
    peak = max(run["peak"] for run in runs)
    return Measured(case, median(each), last["amount"], last["unit"], peak, last["told"], each=each)
