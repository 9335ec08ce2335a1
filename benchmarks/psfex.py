"""PSFEx and SExtractor's PSF photometry on a frame of the scene. Imports nothing heavy before it is timed."""

import math
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.child import Work
from benchmarks.peers import program

_VIGNETTES = ("NUMBER", "X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "FLUX_APER(1)", "FLUXERR_APER(1)", "FLUX_AUTO", "SNR_WIN",
              "ELONGATION", "FLAGS", "VIGNET(41,41)")  # fmt: skip
_FITTED = ("XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "SPREAD_MODEL", "FLAGS")


def psf_chain(folder: Path) -> Work:
    """Vignettes by SExtractor, the PSF by PSFEx, PSF photometry by SExtractor: degree 2, picture of 43 x 43."""
    extract, psfex = program("source-extractor", "sex"), program("psfex")
    assert extract is not None
    assert psfex is not None
    place = folder / "psfex"
    place.mkdir(exist_ok=True)
    for path, flag, name in ((extract, "-dd", "default.sex"), (psfex, "-dd", "default.psfex")):
        with open(place / name, "w") as file:
            subprocess.run([path, flag], stdout=file, check=True)  # noqa: S603
    (place / "pyramid.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    (place / "vignettes.param").write_text("\n".join(_VIGNETTES) + "\n")
    (place / "fitted.param").write_text("\n".join(_FITTED) + "\n")
    image, weight = folder / "scene/image0.fits", folder / "scene/weight0.fits"
    shared = {
        "c": "default.sex", "FILTER_NAME": "pyramid.conv", "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_IMAGE": weight,
        "DETECT_MINAREA": 5, "DETECT_THRESH": 1.5, "ANALYSIS_THRESH": 1.5, "BACK_SIZE": 64, "GAIN": 1.5,
        "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    # within 41 pixels, so that what PSFEx takes for the flux of a star is all of it
    stars = {
        "PARAMETERS_NAME": "vignettes.param", "CATALOG_NAME": "stars.cat", "CATALOG_TYPE": "FITS_LDAC",
        "PHOT_APERTURES": 30,
    }  # fmt: skip
    model = {
        "c": "default.psfex", "PSFVAR_DEGREES": 2, "PSF_SIZE": "43,43", "CHECKPLOT_TYPE": "NONE",
        "CHECKIMAGE_TYPE": "NONE", "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET", "NTHREADS": 2,
    }  # fmt: skip
    fitted = {"PARAMETERS_NAME": "fitted.param", "CATALOG_NAME": "fitted.cat", "PSF_NAME": "stars.psf"}

    def run(*words: Any) -> None:
        subprocess.run([str(w) for w in words], cwd=place, check=True, capture_output=True)  # noqa: S603

    def call() -> None:
        run(extract, image, *_options(shared | stars))
        run(psfex, "stars.cat", *_options(model))
        run(extract, image, *_options(shared | fitted))

    return Work(call, _megapixels(folder), "Mpix", lambda _: _told(folder, place), warm=False, external=True)


def _options(options: dict[str, Any]) -> list[str]:
    return [str(word) for name, value in options.items() for word in (f"-{name}", value)]


def _megapixels(folder: Path) -> float:
    with open(folder / "scene/image0.npy", "rb") as file:
        shape = file.read(128).partition(b"'shape': (")[2].partition(b")")[0].split(b",")
    return int(shape[0]) * int(shape[1]) / 1e6


def _told(folder: Path, place: Path) -> dict[str, Any]:
    import numpy as np

    from benchmarks.sky_truth import fluxes_against_truth

    # SExtractor adds columns of its own, and writes 0 where nothing was fitted
    x, y, flux, error, spread, flags = np.loadtxt(place / "fitted.cat", comments="#").T[:6]
    flux = np.where(flux != 0, flux, math.nan)
    return fluxes_against_truth(folder, x - 1, y - 1, flux, error, spread, flags.astype(int) & ~3)
