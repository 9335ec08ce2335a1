"""SExtractor, SCAMP, SWarp and SExtractor again, one after the other, as surveys run them. Imports nothing heavy."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.child import Work
from benchmarks.peers import THREADS, program

_FOR_SCAMP = (
    "NUMBER", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE", "FLUX_AUTO",
    "FLUXERR_AUTO", "FLUX_RADIUS", "ELONGATION", "FLAGS", "SNR_WIN",
)  # fmt: skip
_MEASURED = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ALPHA_J2000", "DELTA_J2000", "A_IMAGE", "B_IMAGE",
    "THETA_IMAGE", "FLUX_ISO", "FLUXERR_ISO", "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_APER(3)", "FLUXERR_APER(3)",
    "FLUX_RADIUS", "FWHM_IMAGE", "FLAGS",
)  # fmt: skip
_SHARED = {"FILTER_NAME": "pyramid.conv", "WEIGHT_TYPE": "MAP_WEIGHT", "BACK_SIZE": 64, "VERBOSE_TYPE": "QUIET"}


def chain(folder: Path) -> Work:
    """Run the chain on reduced exposures: catalogues, astrometry, coadd, its catalogue."""
    exposures, place = folder / "exposures", folder / "terapix"
    known: dict[str, Any] = json.loads((exposures / "survey.json").read_text())
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    extract, scamp, swarp = _found(("source-extractor", "sex"), ("scamp",), ("SWarp", "swarp"))
    configure(place, extract, swarp)
    names = [f"exp{i}" for i in range(known["exposures"])]
    for name in names:
        for end in (".fits", ".weight.fits"):
            (place / f"{name}{end}").symlink_to(exposures / f"{name}{end}")
    told: dict[str, Any] = {}

    def step(name: str, *words: Any) -> None:
        start = time.perf_counter()
        subprocess.run([str(w) for w in words], cwd=place, check=True, capture_output=True)  # noqa: S603
        told[f"s {name}"] = told.get(f"s {name}", 0.0) + time.perf_counter() - start

    def call() -> dict[str, Any]:
        for name in names:
            step("SExtractor", extract, f"{name}.fits", *options(_catalogue(name)))
        step("SCAMP", scamp, *(f"{name}.cat" for name in names), *options(solution(exposures / "reference.cat")))
        step("SWarp", swarp, *(f"{name}.fits" for name in names), *options(_coadd(known)))
        step("SExtractor of the coadd", extract, "coadd.fits", *options(_sources()))
        rows = sum(not line.startswith("#") for line in open(place / "coadd.cat"))  # noqa: SIM115  of a child process
        return {**told, "sources": rows}

    return Work(call, known["megapixels"], "Mpix", lambda found: found, warm=False, external=True)


def _found(*programs: tuple[str, ...]) -> list[str]:
    found = [program(*names) for names in programs]
    assert all(found)
    return [str(path) for path in found]


def configure(place: Path, extract: str, swarp: str = "") -> None:
    """Write the files that SExtractor, and SWarp if it is given, want to find."""
    for path, flag, name in ((extract, "-dd", "default.sex"), (swarp, "-d", "default.swarp")):
        if path:
            with open(place / name, "w") as file:
                subprocess.run([path, flag], stdout=file, check=True)  # noqa: S603
    (place / "pyramid.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    (place / "scamp.param").write_text("\n".join(_FOR_SCAMP) + "\n")
    (place / "measured.param").write_text("\n".join(_MEASURED) + "\n")


def options(given: dict[str, Any]) -> list[str]:
    """Return options as words of a command line."""
    return [str(word) for name, value in given.items() for word in (f"-{name}", value)]


def _catalogue(name: str) -> dict[str, Any]:
    return _SHARED | {
        "c": "default.sex", "PARAMETERS_NAME": "scamp.param", "CATALOG_TYPE": "FITS_LDAC",
        "CATALOG_NAME": f"{name}.cat", "WEIGHT_IMAGE": f"{name}.weight.fits", "DETECT_THRESH": 5, "ANALYSIS_THRESH": 5,
    }  # fmt: skip


def solution(reference: Path) -> dict[str, Any]:
    """Return the best set-up of SCAMP for a catalogue."""
    return {
        "ASTREF_CATALOG": "FILE", "ASTREFCAT_NAME": reference, "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
        "ASTREFERR_KEYS": "ERRA_WORLD,ERRB_WORLD,ERRTHETA_WORLD", "ASTREFMAG_KEY": "MAG", "ASTREFMAGERR_KEY": "MAGERR",
        "ASTREFOBSDATE_KEY": "OBSDATE", "CENTROID_KEYS": "XWIN_IMAGE,YWIN_IMAGE",
        "CENTROIDERR_KEYS": "ERRAWIN_IMAGE,ERRBWIN_IMAGE,ERRTHETAWIN_IMAGE", "DISTORT_DEGREES": 3,
        "SN_THRESHOLDS": "10,100", "POSITION_MAXERR": 0.5, "CROSSID_RADIUS": 0.7, "ASTR_INSTRUKEY": "FILTER",
        "MOSAIC_TYPE": "FIX_FOCALPLANE", "CHECKPLOT_TYPE": "NONE", "CHECKPLOT_DEV": "NULL", "WRITE_XML": "N",
        "VERBOSE_TYPE": "QUIET", "NTHREADS": THREADS,
    }  # fmt: skip


def _coadd(known: dict[str, Any]) -> dict[str, Any]:
    ny, nx = known["shape"]
    return {
        "c": "default.swarp", "WEIGHT_TYPE": "MAP_WEIGHT", "RESAMPLING_TYPE": "LANCZOS3", "SUBTRACT_BACK": "Y",
        "BACK_SIZE": 64, "COMBINE_TYPE": "CLIPPED", "CENTER_TYPE": "MANUAL", "CENTER": f"{known['ra']},{known['dec']}",
        "PIXELSCALE_TYPE": "MANUAL", "PIXEL_SCALE": known["scale"], "IMAGE_SIZE": f"{nx},{ny}", "NTHREADS": THREADS,
        "MEM_MAX": 2048, "COMBINE_BUFSIZE": 2048, "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
        "IMAGEOUT_NAME": "coadd.fits", "WEIGHTOUT_NAME": "coadd.weight.fits",
    }  # fmt: skip


def _sources() -> dict[str, Any]:
    return _SHARED | {
        "c": "default.sex", "PARAMETERS_NAME": "measured.param", "CATALOG_NAME": "coadd.cat",
        "WEIGHT_IMAGE": "coadd.weight.fits", "DETECT_MINAREA": 5, "DETECT_THRESH": 1.5, "ANALYSIS_THRESH": 1.5,
        "PHOT_APERTURES": "5,10,20",
    }  # fmt: skip
