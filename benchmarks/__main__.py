"""`python -m benchmarks`: measure awe beside its peers, and print what was found."""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import cases, page, report
from benchmarks.measuring import ROOT, Case, Measured, measure

SIDE, QUICK_SIDE = 2048, 1024
COUNTS, QUICK_COUNTS = (5, 10, 20, 40), (5, 20)
RAWS, QUICK_RAWS = (100, 1000, 10000), (100, 1000)
LARGE, QUICK_LARGE = 16_000, 4000
NIGHTS, QUICK_NIGHTS = ("tiny", "small", "demo"), ("tiny", "small")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure awe beside its peers.")
    parser.add_argument("--quick", action="store_true", help="smaller frames, fewer repeats: some minutes")
    parser.add_argument("--pictures", action="store_true", help="only cutouts and views of a large image")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work and leave the nights (default: /tmp)")
    given = parser.parse_args()
    with TemporaryDirectory(dir=given.folder, prefix="awe-bench-") as folder:
        if given.pictures:
            print(report.table(report.rows(pictures(Path(folder), given.quick, 1 if given.quick else 2))))
        else:
            run(Path(folder), given)


def run(folder: Path, given: argparse.Namespace) -> None:
    """Measure everything in a folder."""
    side = QUICK_SIDE if given.quick else SIDE
    rounds = 1 if given.quick else 2
    nights = processed_nights(folder, QUICK_NIGHTS if given.quick else NIGHTS)
    _say(f"simulating and processing a chip of {side} x {side} pixels")
    scene = folder / "scene"
    scene.mkdir()
    for step, options in (("process", {"size": str(side)}), ("export", {})):
        (done,) = measure([Case(step, "awe", f"scene:{step}", options)], scene, 1, 1)
        if done.failure:
            sys.exit(f"the scene can't be made ({step}): {done.failure}")
    frames = json.loads((scene / "scene/scene.json").read_text())["frames"]
    pixels = _measured(cases.on_pixels(), scene, 3, rounds)
    many = _measured(cases.many_inputs(QUICK_COUNTS if given.quick else COUNTS), scene, 1, 1)
    system = _measured(cases.on_system(), folder / list(nights)[-1], 3, rounds)
    system += pictures(folder, given.quick, rounds)
    plans = _measured(cases.planning(QUICK_RAWS if given.quick else RAWS), folder, 1, 1)
    show(pixels, many, plans, system, nights)
    if given.json:
        given.json.write_text(json.dumps(report.as_json(pixels, many, plans, system, nights), indent=1))
    if given.write_docs:
        (ROOT / "docs/benchmarks.md").write_text(page.page(pixels, many, plans, system, nights, side, frames))


def pictures(folder: Path, quick: bool, rounds: int) -> list[list[Measured]]:
    """Measure cutouts, and views of a large image."""
    found = _measured(cases.on_cutouts(), folder, 3, rounds)
    _say("writing a large image")
    options = {"side": QUICK_LARGE if quick else LARGE}
    (done,) = measure([Case("prepare", "awe", "pictures:prepare", options)], folder, 1, 1)
    if done.failure:
        sys.exit(f"the large image can't be written: {done.failure}")
    return found + _measured(cases.on_large_image(), folder, 5, rounds)


def processed_nights(folder: Path, sizes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Process nights of growing size, and check what was made."""
    _say("a night that is not counted, so that all kernels are compiled")
    (folder / "first").mkdir()
    measure([Case("night", "awe", "scene:process", {"size": sizes[0]})], folder / "first", 1, 1)
    found = {}
    for size in sizes:
        _say(f"simulating and processing the night {size}")
        place = folder / size
        place.mkdir()
        (made,) = measure([Case("night", "awe", "scene:process", {"size": size})], place, 1, 1)
        if made.failure:
            sys.exit(f"the night {size} can't be processed: {made.failure}")
        (checked,) = measure([Case("check", "awe", "database:plan_up_to_date")], place, 3, 1)
        more = {"megapixels": made.amount, "planner": checked.seconds, "products": checked.amount}
        found[size] = made.told | more | {"remade": checked.told.get("steps", 0)}
    return found


def _measured(groups: list[list[Case]], folder: Path, repeats: int, rounds: int) -> list[list[Measured]]:
    found = []
    for group in groups:
        _say(f"{group[0].work}: {', '.join(case.program for case in group)}")
        found.append(measure(group, folder, repeats, rounds))
    return found


def show(pixels: Any, many: Any, plans: Any, system: Any, nights: dict[str, dict[str, Any]]) -> None:
    """Print all tables."""
    print(report.machine())
    print("ratio: time of the peer over that of awe\n")
    print(report.table(report.rows([*pixels, *many, *plans, *system])))
    print()
    print(report.table(report.growth_rows(nights), report.GROWTH))
    largest = list(nights)[-1]
    print(f"\nsteps of the night {largest}\n")
    print(report.table(report.step_rows(nights[largest]), report.STEPS))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
