"""What is measured, in chapters that can be run alone."""
# ruff: noqa: E501  the paragraphs of the page are lines

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cases, report
from benchmarks.measuring import OFTEN, Case, Measured, measure
from benchmarks.place import Place, say


@dataclass(frozen=True)
class Figures:
    """What was found for a chapter."""

    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]
    """Caption (maybe empty), headers, rows."""
    slower: list[str] = field(default_factory=list)
    """Where a peer is faster, in words."""
    measured: list[dict[str, Any]] = field(default_factory=list)
    """The same as numbers: seconds, Mbyte."""


@dataclass(frozen=True)
class Chapter:
    """A part of the benchmarks."""

    name: str
    title: str
    text: str
    run: Callable[[Place], Figures]


def of_cases(
    groups: Callable[[Place], list[list[Case]]],
    folder: Callable[[Place], Path],
    repeats: int = 3,
    rounds: int | None = None,
) -> Callable[[Place], Figures]:
    """Return how to measure groups of cases in a folder; `rounds` by default as the place says."""

    def run(place: Place) -> Figures:
        where, found = folder(place), []
        for group in groups(place):
            say(f"{group[0].work}: {', '.join(case.program for case in group)}")
            found.append(measure(group, where, repeats, rounds or place.rounds))
        return Figures(
            [("", report.HEADERS, report.rows(found))], _slower(found), report.numbers([m for g in found for m in g])
        )

    return run


def _slower(groups: list[list[Measured]]) -> list[str]:
    return [
        f"{m.case.work} ({m.case.program}: {group[0].seconds / m.seconds:.1f} times as fast)"
        for group in groups
        for m in group[1:]
        if not m.failure and not group[0].failure and m.case.program != "awe" and m.seconds < group[0].seconds
    ]


def _nights(place: Place) -> Figures:
    found: dict[str, dict[str, Any]] = {}
    for size in place.nights:
        folder, made = place.night(size)
        (checked,) = measure([Case("check", "awe", "database:plan_up_to_date")], folder, 3, 1)
        more = {"megapixels": made.amount, "planner": checked.seconds, "products": checked.amount}
        found[size] = made.told | more | {"remade": checked.told.get("steps", 0)}
    steps = f"The steps of the night *{size}*. Seconds are the sum over all products, of all processes together."
    tables = [
        ("", report.GROWTH, report.growth_rows(found)),
        (steps, report.STEPS, report.step_rows(found[size])),
    ]
    return Figures(tables, [], [{"night": name} | told for name, told in found.items()])


def _survey(place: Place) -> Figures:
    folder, observed = place.observed
    say("awe, once, not counted: the chain of programs gets what it reduced")
    wanted = place.do(Case("export", "awe", "survey:export"), folder).told
    work = "raw exposures to coadd and its sources in the database"
    kept = Case(work, "awe", "survey:awe", wanted)
    without = {**wanted, "keep_regridded": False}
    fused = Case(f"{work}, regridded frames not kept", "awe", "survey:awe", without)
    say("in turns: awe, which keeps the regridded frames; awe, which does not; the chain of programs")
    found, without_files, chain = measure([kept, fused, cases.chain()], folder, 1, place.size(3, 1))
    groups = [[without_files, chain], [found, chain]]
    spent = ", ".join(f"{name} {report.duration(seconds)}" for name, seconds in observed.told.items())
    each = "; ".join(", ".join(map(report.duration, one.each)) for one in (without_files, found, chain))
    caption = (
        f"{wanted['target']} with filter {wanted['band']}. Before it: {spent}. The peak of awe is that of its largest"
        f" process; there are as many as cores. Times of each turn, in the order of the table: {each}."
    )
    return Figures(
        [(caption, report.HEADERS, report.rows(groups))],
        _slower(groups[1:]),
        report.numbers([without_files, found, chain]),
    )


def _coadds(place: Place) -> Figures:
    found = of_cases(lambda _: cases.of_mosaic(), lambda place: place.mosaic, 1, place.size(3, 1))(place)
    rows = []
    for method in cases.COADDS:
        (told,) = measure([Case("agreement", "awe", "agreement:compare", {"method": method})], place.mosaic, 1, 1)
        rows.append((method, *_agreement(told)))
    ny, nx = json.loads((place.mosaic / "scene/scene.json").read_text())["shape"]
    more = [
        of_cases(groups, lambda place: place.mosaic, 1, 1)(place)
        for groups in (
            lambda place: cases.of_frames(place.size((4, 16, 64), (4, 16))),
            lambda _: cases.of_sizes((1.4, 1.0, 0.7), ny * nx / 1e6),
            lambda _: cases.of_threads(os.cpu_count() or 1),
            lambda place: cases.of_wide(place.size((11_754, 27_003), (2600, 10_000))),
        )
    ]
    said = (
        "Time and memory against the number of chips, which are taken again from 16 on.",
        "Time and memory against the size of the coadd.",
        "Time and memory against the number of threads, up to that of cores; 8 chips.",
        "Many chips on a wide grid. The pixels are those of the 16 chips, each time at another place.",
    )
    tables = [
        *found.tables,
        (AGREED, AGREEMENT, rows),
        *((text, *each.tables[0][1:]) for text, each in zip(said, more, strict=True)),
    ]
    every = [found, *more]
    return Figures(
        tables, [line for each in every for line in each.slower], [m for each in every for m in each.measured]
    )


AGREED = "Agreement of the pixels where both have a value: differences in units of the noise of a pixel. *MAD*: median of the absolute difference. *Same*: those where the weights of both programs differ by less than 7 %, so that they took the same exposures: what lies above there is the light of bright stars. *Flux ratio*: median of awe over SWarp, of stars in apertures of 10 pixels radius."
AGREEMENT = ("method", "MAD", "above 0.1", "above 1", "same above 0.1", "same above 1", "only awe", "only SWarp", "flux ratio", "stars")  # fmt: skip


SHARES = ("above 0.1", "above 1", "same above 0.1", "same above 1", "only awe", "only other")


def _agreement(found: Measured) -> tuple[str, ...]:
    if found.failure:
        return (found.failure, *[""] * (len(AGREEMENT) - 2))
    told = found.told
    shares = (f"{100 * told[name]:.3f} %" for name in SHARES)
    return f"{told['MAD']:.5f}", *shares, f"{told.get('flux ratio', float('nan')):.6f}", f"{told['stars']}"


def _astrometry(place: Place) -> Figures:
    found = of_cases(lambda _: cases.astrometry(), lambda place: place.sources)(place)
    growth = of_cases(lambda place: cases.of_exposures(place.exposures), lambda place: place.drawn, 1, 1)(place)
    ((_, headers, rows),) = growth.tables
    caption = "Time and memory against the number of exposures, of four chips each."
    return Figures(
        [*found.tables, (caption, headers, rows)], found.slower + growth.slower, found.measured + growth.measured
    )


def _largest_night(place: Place) -> Path:
    return place.night(place.nights[-1])[0]


CHAPTERS = (
    Chapter(
        "kernels",
        "Kernels",
        """One chip of the simulated camera of 2048 x 2048 pixels (`--quick`: 1024), processed by awe: the reduced frame with weight and flags. *FITS to ...* includes reading and writing the files. Coadds: 4 exposures, background subtracted, Lanczos3, two threads in both programs.

The work is not quite the same everywhere. awe's clipped mean also gives the variance. astroscrappy is run with sigclip 4.5 and otherwise its defaults; *completeness* is the part found of the pixels in which a cosmic ray left more than five times the noise, *purity* the part of the flagged pixels that were hit at all. SWarp measures the background before it regrids, file reading included, and says when; no maps are made of its meshes there. awe's catalogue has everything that awe stores, windowed positions, their errors and a star/galaxy number included; that of sep is a plain sequence of its functions without windowed positions, and its default filter finds more sources; SExtractor has windowed positions too. PSF photometry: SExtractor, PSFEx and SExtractor again are the peer.""",
        of_cases(lambda _: cases.on_pixels(), lambda place: place.scene),
    ),
    Chapter(
        "compilation",
        "Compilation",
        """Kernels are compiled once after an installation, by `awe doctor --compile` or when they are first used, and kept on disk. All other times on this page leave it out. Each part of the kernels has a process of its own; a new process that needs them reads them from disk.""",
        of_cases(lambda _: cases.compilation(), lambda place: place.fresh, 1, 1),
    ),
    Chapter(
        "coadds",
        "Coadds of a mosaic",
        """Four dithered exposures of four chips of 2048 x 4612 pixels (`--quick`: 768 x 1024), 151 Mpix, simulated and reduced with the true calibrations: from FITS files of images and weights to those of the coadd and its weight. Both programs subtract a background (cells of 128 pixels), regrid with Lanczos3 onto a TAN grid, scale to a common zeropoint and by the local area of pixels, take weights as they are, and have two threads. awe runs with SWarp's kernel (`textbook-lanczos3`) here, so that pixels can be compared; its own, with corrected moments, costs the same. The peak of awe contains the interpreter, its libraries, and the pages of files that are mapped; those of SWarp, the program. Where the two differ, and why: see [0026](decisions/0026-what-differs-from-swarp.md).""",
        _coadds,
    ),
    Chapter(
        "chip",
        "Reduction of a chip, and masters of many frames",
        """A chip of 2048 x 4612 pixels (`--quick`: 1024 x 1024). *The tasks* are those of `awe make`, from files on the data server to files on the data server, the files being in the memory of the system; the database is left out. *The kernels* have arrays in memory, and one thread, as the tasks have. Masters: the raw frames are read one by one, what is to be combined waits on disk and is read in bands of 256 MB in all, so that memory does not grow with the number of frames; `numpy.median` of so many frames at once is the peer. With awe goes the read noise, of all pairs of successive frames.""",
        of_cases(lambda place: cases.of_chip(place.biases), lambda place: place.chip, 3),
    ),
    Chapter(
        "memory",
        "Memory of a coadd",
        """Files are read in bands of rows, of 64 MB in all. The peak contains the pages of the files that the system has mapped for the process; they grow with the number of files, and the system takes them back when it needs them. Memory without them is what the process itself holds; it is in the remark.""",
        of_cases(
            lambda place: cases.many_inputs(place.size((5, 10, 20, 40), (5, 20))), lambda place: place.scene, 1, 1
        ),
    ),
    Chapter(
        "plans",
        "Plans",
        """An archive of rows alone, on SQLite: exposures of one field with one filter, in 4 nights with 2 chips. *Unreduced*: nothing is made of them yet. *Reduced*: all is there, up to and with the coadd, and found to be up to date. The number of statements does not grow with that of the frames, but for one more for each 5,000.""",
        of_cases(
            lambda place: cases.planning(place.size((100, 1000, 10000), (100, 1000))), lambda place: place.folder, 1, 1
        ),
    ),
    Chapter(
        "nights",
        "Whole nights",
        """From raw files to source lists, with an empty database, in one call: ingest, plan, and make on as many processes as there are cores. Mpix are raw pixels, calibrations included. *Check all* is the time to find that everything is up to date.

Small nights pay for starting processes and loading kernels, some seconds.""",
        _nights,
    ),
    Chapter(
        "survey",
        "A night beside SExtractor, SCAMP and SWarp",
        """Four dithered exposures of four chips (2048 x 4612 pixels; `--quick`: 1024 x 1024). awe begins with raw exposures whose calibrations are made, and ends with a coadd and the rows of its sources in the database; all products on the way are stored, the regridded frames only in the second measurement (`keep_regridded`): SWarp, too, keeps none. The other programs begin with the exposures that awe reduced, their weights and the coordinates of the telescope: catalogues of the exposures, astrometric solution, coadd, catalogue of the coadd.

The aim is a third of their time. Without regridded frames it is met, with little to spare: six turns in two runs of 2026-11-22 gave 2.9 to 3.3, 3.1 in the middle. In that time awe also calibrates the exposures, finds cosmic rays and tracks, measures backgrounds and weights, and fits the sources of the coadd with its PSF. Of such a run on two processors, 26 s long: until 2.3 s processes start and load modules and kernels, on one processor; until 16.7 s both work on the chips (on one alone each takes 1.4 s: detection and astrometry 0.27, weight 0.22, reduction 0.21, cosmic rays 0.20, tracks 0.18, background 0.15, photometry 0.10, the rest 0.1); coadd 4.4 s, PSF model 1.2 s and sources 2.1 s have both processors for three quarters of their time.

A fifth of the time is that of the system, for new pages of memory: on this virtual machine, a page that was free for some seconds is fetched from its host again, so that 38 MB take 100 ms to write instead of 8, whoever writes them. With the memory full of cached files, as on a machine that has worked for a day, the same runs took 23.4 and 24.6 s (the others were not measured so).

What helped since the first measurement (54 s): PSF photometry that fits each source once; files that the data server takes over without a copy; one list of stars for astrometry and photometry; skies that are kept as meshes and, before cosmic rays are known, measured on a fifth of the rows; packed maps of flags, a third of what was written; chips that are prepared once for detection and measurement. More processes than processors saved 1 s of 29. Not tried: workers forked from the planning process, which would save the start.""",
        _survey,
    ),
    Chapter(
        "astrometry",
        "Astrometric solution beside SCAMP",
        """Four dithered exposures of four chips (2048 x 4612 pixels; `--quick`: 1024 x 1024), with pointing errors of some arcseconds and headers that know nothing of the distortion. Both programs begin with the same lists of sources (those of SExtractor, in FITS_LDAC) and the same reference catalogue (all stars and galaxies brighter than r = 22.5 at their true places, with a claimed error of 18 mas), and end with the coordinates of all chips. SCAMP has its best set-up: FIX_FOCALPLANE, CROSSID_RADIUS 0.7. What is off the truth is the rms of a coordinate over a chip. The lists of more exposures are drawn: true places with the errors that they state, without images.""",
        _astrometry,
    ),
    Chapter(
        "system",
        "Database, files, pages",
        """Putting a file also keeps a copy in the local cache. The section is cut by the server, from a file that the client has not cached. The peers do less: a local copy is not sent by HTTP, a local file has no server before it, the plain file server does nothing else, and Pillow's picture comes from a local file whose name is known.

Pages of a coadd are asked for in process, on archives of rows alone, and contain all that the browser gets but the pictures. The number of statements is in the remark: it must not grow with that of the frames.""",
        of_cases(lambda _: cases.on_system(), _largest_night),
    ),
    Chapter(
        "images",
        "Cutouts and large images",
        f"""Cutouts are of another place of an image of 4000 x 4000 pixels each time, so that none is kept, unless the line says so. Their time is that of the server: in process, from the request to the bytes of the answer; on a closed site, the database is asked each time whether the image may be seen; the data server is a process of its own that is asked by HTTP, the network to a browser is left out. Warm: {OFTEN} cutouts are made before the first that is counted, and {OFTEN} for each repeat (a fifth of that for large ones and for the chain, and for what is both, one).

The whole image on a screen has 16,000 x 16,000 pixels (`--quick`: 4,000).""",
        of_cases(lambda _: [*cases.on_cutouts(), *cases.on_large_image()], lambda place: place.large, 3),
    ),
)
"""In the order of the page."""
