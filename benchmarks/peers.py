"""Programs of others, run on the files of the scene as their manuals advise. Imports nothing heavy."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.child import Work

THREADS = 2
MANY = 16
"""Frames from which on a program is not run once before it is timed: awe, which comes first, has read the files."""
PROGRAMS = {"source-extractor": "SExtractor"}
CHAIN = {"imcopy": ("imcopy",), "stiff": ("stiff",), "convert": ("convert-im6.q16", "convert")}
"""Programs of the image server of 2008, and their names."""


def program(*names: str) -> str | None:
    """Return the first of some programs that is on the PATH."""
    return next((found for found in map(shutil.which, names) if found), None)


def version(*names: str) -> str:
    """Return name and version of a program; empty if it is not there."""
    path = program(*names)
    if path is None:
        return ""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    words = (said.stdout + said.stderr).split()
    after = words.index("version") + 1 if "version" in words else 0
    return f"{PROGRAMS.get(names[0], names[0])} {words[after]}" if after else names[0]


def _described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "scene/scene.json").read_text())
    return found


def _megapixels(folder: Path) -> float:
    return float(_described(folder)["pixels"]) / 1e6


def sextractor(folder: Path, tiles: int = 0) -> Work:
    """Background, detection, Kron and aperture fluxes of one frame, or a large image of such, with its weight map."""
    path = program("source-extractor", "sex")
    assert path is not None
    place = folder / "sextractor"
    place.mkdir(exist_ok=True)
    image, weight = (folder / f"scene/{name}0.fits" for name in ("image", "weight"))
    if tiles:  # awe's own measurement comes first and writes them
        image, weight = (folder / f"scene/large_{name}{tiles}.fits" for name in ("image", "weight"))
    names = ["NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE"]
    names += ["FLUX_ISO", "FLUXERR_ISO", "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_APER(3)", "FLUXERR_APER(3)"]
    names += ["FLUX_RADIUS", "FWHM_IMAGE", "FLAGS"]
    (place / "wanted.param").write_text("\n".join(names) + "\n")
    kernel = "CONV NORM\n1 2 1\n2 4 2\n1 2 1\n"
    (place / "pyramid.conv").write_text(kernel)
    with open(place / "default.sex", "w") as file:
        subprocess.run([path, "-dd"], stdout=file, check=True)  # noqa: S603
    options = {
        "c": "default.sex", "PARAMETERS_NAME": "wanted.param", "FILTER_NAME": "pyramid.conv",
        "CATALOG_NAME": "found.cat", "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_IMAGE": str(weight),
        "DETECT_MINAREA": 5, "DETECT_THRESH": 1.5, "ANALYSIS_THRESH": 1.5, "BACK_SIZE": 64, "GAIN": 1.5,
        "PHOT_APERTURES": "5,10,20", "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"-{name}", value)]

    def call() -> None:
        subprocess.run([path, str(image), *words], cwd=place, check=True)  # noqa: S603

    def tell(_: Any) -> dict[str, Any]:
        import numpy as np

        from benchmarks.sky_truth import against_truth, magnitudes_beside

        if tiles:
            lines = (place / "found.cat").read_text().splitlines()
            return {"sources": sum(not line.startswith("#") for line in lines)}
        columns = np.loadtxt(place / "found.cat", comments="#").T
        x, y, flux, error = columns[[1, 2, names.index("FLUX_AUTO"), names.index("FLUXERR_AUTO")]]
        beside = magnitudes_beside(folder, x - 1, y - 1, flux, error, columns[-1])
        return against_truth(folder, x - 1, y - 1, flux, error) | beside

    megapixels = _megapixels(folder) * max(tiles, 1) ** 2
    return Work(call, megapixels, "Mpix", tell, warm=not tiles, external=True)


def swarp(folder: Path, method: str, frames: int | None = None, zoom: float = 1.0, threads: int = THREADS) -> Work:
    """Regrid frames with Lanczos3, subtract their backgrounds, and coadd them.

    `zoom`: pixels of the frames for one of the coadd along each side. The weights are taken as they are, not scaled to
    the measured noise; and flux by the local area of pixels, as the fixed one is by another definition than that of
    awe.
    """
    known = _described(folder)
    count = frames or known["frames"]
    words = _swarp(folder, method, count, zoom, NTHREADS=threads)

    def call() -> None:
        subprocess.run(words, cwd=folder / "swarp", check=True)  # noqa: S603

    return Work(call, count * _megapixels(folder), "Mpix", warm=count < MANY, external=True)


def swarp_background(folder: Path) -> Work:
    """The meshes of level and noise of one frame: as long as SWarp says that it is at them, before it regrids."""
    options = {"RESAMPLING_TYPE": "NEAREST", "COMBINE": "N", "BACK_SIZE": 64, "RESAMPLE_DIR": folder / "swarp"}
    words = _swarp(folder, "WEIGHTED", 1, VERBOSE_TYPE="FULL", **options)

    def call() -> float:
        said: dict[str, float] = {}
        with subprocess.Popen(words, cwd=folder / "swarp", stderr=subprocess.PIPE, text=True) as run:  # noqa: S603
            assert run.stderr is not None
            for line in run.stderr:
                for text in ("Setting up background maps", "Background:"):
                    if text in line:
                        said[text] = time.perf_counter()
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, words[0])
        return said["Background:"] - said["Setting up background maps"]

    return Work(call, _megapixels(folder), "Mpix", part=lambda seconds: seconds, external=True)


def _swarp(folder: Path, method: str, count: int, zoom: float = 1.0, **changed: Any) -> list[str]:
    """Return the call of SWarp for the first frames, the same ones over again if there are fewer."""
    path = program("SWarp", "swarp")
    assert path is not None
    known = _described(folder)
    ny, nx = (round(length / zoom) for length in known["shape"])
    place = folder / "swarp"
    place.mkdir(exist_ok=True)
    with open(place / "default.swarp", "w") as file:
        subprocess.run([path, "-d"], stdout=file, check=True)  # noqa: S603
    for kind in ("image", "weight"):
        names = [str(folder / f"scene/{kind}{i % known['frames']}.fits") for i in range(count)]
        (place / f"{kind}.list").write_text("\n".join(names) + "\n")
    options = {
        "c": "default.swarp", "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_IMAGE": "@weight.list",
        "RESAMPLING_TYPE": "LANCZOS3", "SUBTRACT_BACK": "Y", "BACK_SIZE": 128, "COMBINE_TYPE": method,
        "CENTER_TYPE": "MANUAL",
        "CENTER": f"{known['ra']},{known['dec']}", "PIXELSCALE_TYPE": "MANUAL", "PIXEL_SCALE": known["scale"] * zoom,
        "IMAGE_SIZE": f"{nx},{ny}", "FSCALE_KEYWORD": "FLXSCALE", "FSCALASTRO_TYPE": "VARIABLE", "NTHREADS": THREADS,
        "RESCALE_WEIGHTS": "N",
        "MEM_MAX": 2048, "COMBINE_BUFSIZE": 2048, "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
        "IMAGEOUT_NAME": str(folder / f"swarp_{method}.fits"),
        "WEIGHTOUT_NAME": str(folder / f"swarp_{method}.weight.fits"),
    } | changed  # fmt: skip
    return [path, "@image.list", *(str(word) for name, value in options.items() for word in (f"-{name}", value))]
