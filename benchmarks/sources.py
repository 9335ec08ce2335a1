"""Sources of one frame: detection, measurement, PSF, beside the truth of the simulated night."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.background import background_map
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.planes import Rows, Scene, scene
from awe.kernels.psf_model import measure_with_psf, model_psf
from benchmarks.child import Work
from benchmarks.kernels import THREADS, described
from benchmarks.sky_truth import against_truth, fluxes_against_truth


def _scene(folder: Path) -> Scene:
    image, weight, flags = (fits.getdata(folder / f"scene/{n}0.fits") for n in ("image", "weight", "flags"))
    image, weight = image.astype(np.float32), weight.astype(np.float32)
    background = background_map(image, weight=weight, cell=64)
    return scene(Rows(image, weight, flags, background.level), described(folder)["gain"])


def _pixels(folder: Path) -> float:
    return float(np.load(folder / "scene/image0.npy", mmap_mode="r").size) / 1e6


def detect_awe(folder: Path) -> Work:
    """From FITS files to a catalogue: background, detection, all measurements."""

    def call() -> Any:
        where = _scene(folder)
        return catalogue_of(where, find(where, threads=THREADS), threads=THREADS)

    def tell(rows: Any) -> dict[str, Any]:
        names = ("X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO")
        return against_truth(folder, *(rows[n].astype(float) for n in names))

    return Work(call, _pixels(folder), "Mpix", tell)


def psf_awe(folder: Path) -> Work:
    """From FITS files to the PSF model and the PSF photometry of all sources, with their SPREAD_MODEL."""

    def call() -> Any:
        where = _scene(folder)
        found = find(where, threads=THREADS)
        rows = catalogue_of(where, found, threads=THREADS)
        psf = model_psf(where, found, rows, stars(rows), threads=THREADS)
        return rows, measure_with_psf(where, found, psf, rows, THREADS)

    def tell(result: Any) -> dict[str, Any]:
        rows, fitted = result
        names = ("XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "SPREAD_MODEL")
        columns = [fitted[n].astype(float) for n in names]
        return fluxes_against_truth(folder, *columns, rows["FLAGS"] & ~3)

    return Work(call, _pixels(folder), "Mpix", tell)
