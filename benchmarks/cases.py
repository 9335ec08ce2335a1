"""What is measured, in groups; the first case of each group is awe, the others are its peers."""

from benchmarks import packages, peers
from benchmarks.measuring import Case

COADDS = ("weighted", "clipped", "median")
MOST_FOR_SCAMP = 16
"""Exposures beyond which SCAMP is not run: its time grows by more than four for each four times as many."""
LARGE_TILES = 8
"""Frames along each side of the large image in which sources are found."""


def package(name: str) -> str:
    """Return the version of a Python package; empty if it is not installed."""
    return packages.found(name)[0]


def _peer(work: str, name: str, function: str, **options: object) -> Case:
    """Return a case of a Python package."""
    found, python = packages.found(name)
    missing = "" if found else f"not installed, neither here nor where {packages.PEERS} points"
    return Case(work, f"{name} {found}".rstrip(), function, options, missing, python)


def _program(work: str, names: tuple[str, ...], apt: str, function: str, **options: object) -> Case:
    """Return a case of a program."""
    found = peers.version(*names)
    return Case(work, found or names[-1], function, options, "" if found else f"not on the PATH (Debian: {apt})")


def _awe(work: str, function: str, **options: object) -> Case:
    return Case(work, "awe", function, options)


def on_pixels() -> list[list[Case]]:
    """Return the groups that need the frames of the scene."""
    bias = "combine biases, clipped mean"
    cosmics = "cosmic rays, one frame"
    sky = "background and rms, one frame"
    sources = "FITS to catalogue, one frame"
    large = f"FITS to catalogue, {LARGE_TILES**2} frames in one image"
    psf = "FITS to PSF model and PSF photometry, one frame"
    picture = "gray PNG, one frame"
    return [
        [
            _awe(f"{bias} and variance", "kernels:combine_awe"),
            _peer(bias, "astropy", "kernels:combine_astropy"),
        ],
        [
            _awe("median of biases and variance", "kernels:median_awe"),
            _peer("median of biases", "numpy", "kernels:combine_numpy"),
        ],
        [_awe("reduction of a chip and its weight, FITS to FITS", "kernels:reduce_awe")],
        [_awe(cosmics, "kernels:cosmics_awe"), _peer(cosmics, "astroscrappy", "packages:cosmics_astroscrappy")],
        [
            _awe(sky, "kernels:background_awe"),
            _peer(sky, "sep", "kernels:background_sep"),
            _program("meshes of background and rms, one frame", ("SWarp", "swarp"), "swarp", "peers:swarp_background"),
        ],
        [
            _awe(sources, "sources:detect_awe"),
            _peer(sources, "sep", "kernels:detect_sep"),
            _program(sources, ("source-extractor", "sex"), "source-extractor", "peers:sextractor"),
        ],
        [
            _awe(large, "sources:large_awe", tiles=LARGE_TILES),
            _program(large, ("source-extractor", "sex"), "source-extractor", "peers:sextractor", tiles=LARGE_TILES),
        ],
        [
            _awe(psf, "sources:psf_awe"),
            _program(psf, ("psfex",), "psfex source-extractor", "psfex:psf_chain"),
        ],
        *(_coadds(method) for method in COADDS),
        [_awe(picture, "kernels:png_awe"), _peer(picture, "pillow", "kernels:png_pillow")],
    ]


def _coadds(method: str, kernel: str = "lanczos3", said: str = "", **options: object) -> list[Case]:
    work = f"FITS to coadd, {method}{said}"
    swarp = _program(work, ("SWarp", "swarp"), "swarp", "peers:swarp", method=method.upper(), **options)
    return [_awe(work, "kernels:coadd_awe", method=method, kernel=kernel, **options), swarp]


def of_wide(shape: tuple[int, int]) -> list[list[Case]]:
    """Return a coadd of a hundred chips on a wide grid."""
    return [[_awe(f"100 chips to {shape[1]:,} x {shape[0]:,} pixels, weighted", "wide:coadd_wide", shape=shape)]]


def on_cutouts() -> list[list[Case]]:
    """Return cutouts of an image of 4000 x 4000, beside the programs by which the image server of 2008 made them."""
    return [
        *(_cutouts(size, form) for size in (200, 2000) for form in ("png", "jpg")),
        [
            _awe("1,000 cutouts of 64 x 64 of a source list, zip of PNG", "cutouts:series_awe", size=64),
            _peer("1,000 cutouts of 64 x 64, PNG", "astropy", "cutouts:series_astropy", size=64),
        ],
    ]


def astrometry() -> list[list[Case]]:
    """Return the astrometric solution of the exposures of a mosaic camera."""
    work = "lists of sources to coordinates of all chips"
    return [
        [_awe(work, "astrometry:awe"), _program(work, ("scamp",), "scamp", "astrometry:scamp")],
    ]


def of_exposures(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return the solution of more and more exposures; SCAMP has no part where it would take many minutes."""
    groups = []
    for n in counts:
        work = f"lists of sources to coordinates, {n} exposures"
        peer = _program(work, ("scamp",), "scamp", "astrometry:scamp", lists=f"{n}")
        groups.append([_awe(work, "astrometry:awe", lists=f"{n}"), *([peer] if n <= MOST_FOR_SCAMP else [])])
    return groups


def of_mosaic() -> list[list[Case]]:
    """Return coadds of the chips of a mosaic, with the kernel of SWarp."""
    return [_coadds(method, "textbook-lanczos3") for method in COADDS]


def of_frames(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return coadds of more and more chips, to see how time and memory grow."""
    return [_coadds("weighted", said=f", {n} chips", frames=n) for n in counts]


def of_sizes(zooms: tuple[float, ...], size: float) -> list[list[Case]]:
    """Return coadds of four chips on more and more pixels; `size` is that of the coadd in Mpix at zoom 1."""
    said = (f", 4 chips to {size / zoom**2:.0f} Mpix" for zoom in zooms)
    return [_coadds("weighted", said=text, frames=4, zoom=zoom) for text, zoom in zip(said, zooms, strict=True)]


def of_threads(cores: int) -> list[list[Case]]:
    """Return coadds on more and more cores."""
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= cores]
    return [_coadds("weighted", said=f", {_threads(count)}", frames=8, threads=count) for count in counts]


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _cutouts(size: int, form: str) -> list[Case]:
    work, given = f"cutout of {size} x {size} to {form.upper()}", {"size": size, "form": form}
    return [
        _awe(f"{work}, cut at the data server", "cutouts:cutout_awe", **given, kind="server"),
        _awe(f"{work}, from the file in the cache", "cutouts:cutout_awe", **given, kind="local"),
        _awe(f"{work}, the same on a closed site", "cutouts:cutout_awe", **given, kind="local", closed=True),
        _awe(f"{work}, kept from before", "cutouts:cutout_awe", **given, kind="kept"),
        _chain(work, "cutouts:cutout_chain", **given),
    ]


def many_inputs(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return coadds of more and more inputs, to see whether memory grows."""
    return [[_awe(f"coadd of {n} files, clipped", "kernels:coadd_many", count=n, method="clipped")] for n in counts]


def of_chip(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return the reduction of a chip, and masters of more and more frames; numpy holds the fewest of these at once."""
    few = counts[0]
    masters = [[_awe(f"read noise and master of {n} biases", "calibrations:bias_awe", count=n)] for n in counts]
    masters[0].append(_peer(f"median of {few} biases, all in memory", "numpy", "calibrations:bias_numpy", count=few))
    return [
        [_awe("full pixels, reduced frame and weight: the tasks", "calibrations:reduce_awe")],
        [_awe("reduced frame: the task", "calibrations:reduced_frame_awe")],
        [_awe("overscan, bias, flat field, flags, weight: the kernels", "calibrations:calibrate_awe")],
        *masters,
    ]


def compilation() -> list[list[Case]]:
    """Return the compilation of all kernels, first into an empty folder, then with all of them there."""
    works = ("all kernels of a night, on all cores, nothing compiled yet", "the same again: all is read from disk")
    return [[_awe(work, "compilation:compile_awe")] for work in works]


def chain() -> Case:
    """Return the programs that take reduced exposures to a coadd and its catalogue."""
    names = (("source-extractor", "sex"), ("scamp",), ("SWarp", "swarp"))
    absent = [found[-1] for found in names if peers.program(*found) is None]
    reason = f"{', '.join(absent)} not on the PATH (Debian: source-extractor scamp swarp)" if absent else ""
    work = "reduced exposures to catalogues, coordinates, coadd and its sources"
    return Case(work, "SExtractor, SCAMP, SWarp", "terapix:chain", missing=reason)


def planning(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return plans for more and more raw frames, to see how time and memory grow."""
    return [
        [_awe(f"plan a coadd of {n} {state} frames", f"planning:plan_{state}", count=n)]
        for state in ("unreduced", "reduced")
        for n in counts
    ]


def on_large_image() -> list[list[Case]]:
    """Return the first view of a large image, beside the programs by which the image server of 2008 made one."""
    whole = "whole image on a screen"
    return [
        [
            _awe(f"{whole}: first view in the viewer", "pictures:view_awe", kept=True),
            _awe(f"{whole}: the same, first view ever", "pictures:view_awe", kept=False),
            _chain(f"{whole}: 8 times smaller, JPEG", "pictures:view_chain"),
            _peer(f"{whole}: 8 times smaller, JPEG", "pillow", "pictures:whole_pillow"),
        ],
    ]


def _chain(work: str, function: str, **options: object) -> Case:
    absent = [name for name, names in peers.CHAIN.items() if peers.program(*names) is None]
    reason = f"{', '.join(absent)} not on the PATH (Debian: libcfitsio-bin stiff imagemagick)" if absent else ""
    return Case(work, "imcopy, stiff, convert" if "cutout" in work else "stiff, convert", function, options, reason)


def on_system() -> list[list[Case]]:
    """Return the groups that need a processed night: database, files, pages."""
    rows = [
        [
            _awe(f"insert 50,000 sources, {kind}", "database:rows_awe", kind=kind),
            _peer(f"insert 50,000 sources, {kind}", "sqlalchemy", "database:rows_sqlalchemy", kind=kind),
        ]
        for kind in ("sqlite", "postgresql")
    ]
    picture = "picture of a coadd, 1024 wide"
    colours = "three images of 4000 x 4000 to a JPEG"
    return [
        *rows,
        *object_pages((30, 300)),
        [_awe("get 64 MB", "services:get_awe"), Case("get 64 MB", "http.server", "services:get_plain")],
        [_awe("put 64 MB, synced", "services:put_awe"), Case("put 64 MB, synced", "local copy", "services:put_copy")],
        [
            _awe("section of 500 x 500 pixels", "services:section_awe"),
            Case("section of 500 x 500 pixels", "local file", "services:section_local"),
        ],
        [
            _awe(f"{picture}, cold", "services:picture_awe", warm=False),
            _awe(f"{picture}, warm", "services:picture_awe", warm=True),
            _peer(picture, "pillow", "services:picture_pillow"),
        ],
        [
            _awe(f"{colours}, warm", "colours:rgb_awe"),
            _awe(f"{colours}, warm, one of another grid", "colours:rgb_awe", turned=True),
            _peer(colours, "astropy", "colours:rgb_astropy"),
            _program(colours, ("stiff",), "stiff imagemagick", "colours:rgb_stiff"),
        ],
    ]


def object_pages(counts: tuple[int, ...]) -> list[list[Case]]:
    """Return pages of coadds of more and more frames, to see whether their statements grow."""
    return [
        [_awe(f"{page} of a coadd of {n} frames", "services:page_awe", page=page, frames=n)]
        for page in ("object page", "tree, with pictures", "three levels")
        for n in counts
    ]
