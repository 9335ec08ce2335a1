"""The page docs/benchmarks.md."""
# ruff: noqa: E501  the paragraphs of the page are lines

from typing import Any

from benchmarks.cutouts import OFTEN
from benchmarks.report import GROWTH, STEPS, growth_rows, machine, markdown, rows, step_rows

_INTRODUCTION = """# Benchmarks

<!-- Written by `python -m benchmarks --write-docs`; changes here are lost. -->

How long awe takes, beside programs that do the same on the same input in the same run. On another machine, and on a busy one, the times differ; the ratios less so. Run them yourself: `make bench` (a quarter of an hour on two busy cores; with `--quick` a third of that).

*Wall* is the median over six repeats in two rounds, in which the programs take turns (nights and memory of coadds: one), after one call that is not counted: kernels are compiled when they are first used, and that is left out. *Ratio* is the time of the peer over that of awe: above 1, awe is faster; below 1, the peer is. *Peak* is the largest resident memory of a process that did nothing else; for awe and Python libraries it contains the interpreter, all imports and the input (about 150 to 300 MB), for the others just the program."""

_PIXELS = """## Kernels

One chip of {side} x {side} pixels of the simulated camera, processed by awe: the reduced frame with weight and flags. *FITS to ...* includes reading and writing the files. Coadds: {frames} exposures, background subtracted, Lanczos3, two threads in both programs.

The work is not quite the same everywhere. awe's clipped mean also gives the variance. astroscrappy is run with sigclip 4.5 and otherwise its defaults. awe's catalogue has everything that awe stores, windowed positions, their errors and a star/galaxy number included; that of sep is a plain sequence of its functions without windowed positions, and its default filter finds more sources; SExtractor has windowed positions too. awe detects through sep, so it can't be faster than that. No astrometric solution is compared: SCAMP solves all exposures together, awe each chip by itself."""

_MANY = """## Memory of a coadd

Files are read in bands of rows, of 64 MB in all. The peak contains the pages of the files that the system has mapped for the process; they grow with the number of files, and the system takes them back when it needs them. Memory without them is what the process itself holds; it is in the remark."""

_NIGHTS = """## Whole nights

From raw files to source lists, with an empty database, in one call: ingest, plan, and make on as many processes as there are cores. Mpix are raw pixels, calibrations included. *Check all* is the time to find that everything is up to date.

Small nights pay for starting processes and loading kernels, some seconds."""

_PLANS = """## Plans

An archive of rows alone, on SQLite: exposures of one field with one filter, in 4 nights with 2 chips. *Unreduced*: nothing is made of them yet. *Reduced*: all is there, up to and with the coadd, and found to be up to date. The number of statements does not grow with that of the frames, but for one more for each 5,000."""

_SYSTEM = """## Database, files, pages

Putting a file also keeps a copy in the local cache. The section is cut by the server, from a file that the client has not cached. The peers do less: a local copy is not sent by HTTP, a local file has no server before it, the plain file server does nothing else, and Pillow's picture comes from a local file whose name is known.

Pages of a coadd are asked for in process, on archives of rows alone, and contain all that the browser gets but the pictures. The number of statements is in the remark: it must not grow with that of the frames.

Cutouts are of another place of an image of 4000 x 4000 pixels each time, so that none is kept, unless the line says so. Their time is that of the server: in process, from the request to the bytes of the answer; on a closed site, the database is asked each time whether the image may be seen; the data server is a process of its own that is asked by HTTP, the network to a browser is left out. Warm: {often} cutouts are made before the first that is counted, and {often} for each repeat (a fifth of that for large ones and for the chain, and for what is both, one)."""


def page(
    pixels: Any, many: Any, plans: Any, system: Any, nights: dict[str, dict[str, Any]], side: int, frames: int
) -> str:
    """Return the page with all figures, the poor ones too."""
    largest = list(nights)[-1]
    parts = [
        _INTRODUCTION,
        f"Measured {machine()}.",
        _PIXELS.format(side=side, frames=frames),
        markdown(rows(pixels)),
        _MANY,
        markdown(rows(many)),
        _PLANS,
        markdown(rows(plans)),
        _NIGHTS,
        markdown(growth_rows(nights), GROWTH),
        f"The steps of the night *{largest}*. Seconds are the sum over all products, of all processes together.",
        markdown(step_rows(nights[largest]), STEPS),
        _SYSTEM.format(often=OFTEN),
        markdown(rows(system)),
        _slower([*pixels, *system]),
    ]
    return "\n\n".join(parts) + "\n"


def _slower(groups: list[Any]) -> str:
    """Return where a peer is faster, in words."""
    slow = [
        f"{m.case.work} ({m.case.program}: {group[0].seconds / m.seconds:.1f} times as fast)"
        for group in groups
        for m in group[1:]
        if not m.failure and not group[0].failure and m.case.program != "awe" and m.seconds < group[0].seconds
    ]
    if not slow:
        return "## Where awe is slower\n\nNowhere in this run."
    return "## Where awe is slower\n\n" + "\n".join(f"- {line}" for line in slow)
