"""The PSF of a scene, and the measurements with it, in bands where the scene is large."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.isophotes import Isophotes
from awe.kernels.measuring import Catalogue
from awe.kernels.photometry import Plane
from awe.kernels.planes import Scene
from awe.kernels.psf import Psf
from awe.kernels.psf_crowd import empty_stamps
from awe.kernels.psf_fitting import StarStamps, fit_psf
from awe.kernels.psf_photometry import crowd_for, fit_crowd
from awe.kernels.psf_stars import choose_stars, refused_stars, stamp_side, star_stamps
from awe.kernels.regions import Regions
from awe.kernels.spread import spread_model

PSF_COLUMNS = np.dtype(
    [
        *((name, "f8") for name in ("XPSF_IMAGE", "YPSF_IMAGE")),
        *((name, "f4") for name in ("ERRXPSF_IMAGE", "ERRYPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "CHI2_PSF")),
        *((name, "f4") for name in ("SPREAD_MODEL", "SPREADERR_MODEL")),
    ]
)
"""SExtractor's names; (0, 0) is the centre of the first pixel, errors are standard deviations, NaN = not measured."""


def model_psf(
    scene: Scene,
    found: Isophotes,
    catalogue: Catalogue,
    candidates: Any,
    degree: int = 2,
    sampling: float = 0.0,
    threads: int = 1,
) -> Psf:
    """Find the PSF model of a scene.

    Parameters
    ----------
    scene : Scene
    found, catalogue
        Its sources, as `awe.kernels.detection.find` and `catalogue_of` return them.
    candidates : Stars
        As `awe.kernels.detection.stars` returns them.
    degree, sampling
        See `awe.kernels.psf_fitting.fit_psf`.
    threads : int

    Raises
    ------
    ValueError
        If no star is whole, or none can be fitted.
    """
    if not candidates.count:
        raise ValueError("no unsaturated single star stands out of the noise")
    side = stamp_side(candidates.seeing)
    rows = choose_stars(catalogue, candidates.selected, candidates.seeing, scene.shape)
    if not len(rows):
        raise ValueError(f"each of the {candidates.count} stars is cut by the border")
    x, y = (catalogue[name][rows].astype(np.float64) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
    empty = star_stamps_of(len(rows), side, x, y, scene.gain)
    regions = Regions(scene, found, x, y, threads)

    def collect(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        star_stamps(plane, catalogue["NUMBER"][rows[chosen]], empty, chosen, x0, y0)

    regions.visit(collect, side / 2 + 2)
    psf = fit_psf(empty, candidates.seeing, scene.shape, degree, sampling, threads)
    assert psf.stars is not None
    return replace(psf, stars=np.concatenate([psf.stars, refused_stars(catalogue, candidates, rows, scene.shape)]))


def star_stamps_of(count: int, side: int, x: NDArray[Any], y: NDArray[Any], gain: float) -> StarStamps:
    """Return stamps that are still empty."""
    light, weight = (np.zeros((count, side, side), np.float32) for _ in range(2))
    corner_x, corner_y = (np.rint(v).astype(np.int64) - side // 2 for v in (x, y))
    return StarStamps(x, y, light, weight, corner_x, corner_y, gain)


def measure_with_psf(scene: Scene, psf: Psf, catalogue: Catalogue, threads: int = 1) -> NDArray[Any]:
    """Fit the PSF to all sources of a catalogue.

    Parameters
    ----------
    scene : Scene
    psf : Psf
    catalogue : array with XWIN_IMAGE, YWIN_IMAGE
    threads : int

    Returns
    -------
    array of n `PSF_COLUMNS`
    """
    out = np.full(len(catalogue), np.nan, PSF_COLUMNS)
    crowd = crowd_for(psf, catalogue["XWIN_IMAGE"], catalogue["YWIN_IMAGE"], scene.shape)
    for wanted, groups in crowd.zones():
        stamps = empty_stamps(crowd, groups)
        x, y, columns, rows = crowd.boxes[groups].T
        regions = Regions(scene, None, x + columns / 2, y + rows / 2, threads)
        regions.visit(partial(stamps.fill, crowd), np.maximum(columns, rows) / 2 + 1)
        fitted = fit_crowd(crowd, stamps, psf, scene.gain, threads=threads)
        spread, spread_error = spread_model(crowd, stamps, psf, scene.gain, fitted, threads)
        own = np.isin(crowd.group, wanted)
        values = [fitted[name] for name in ("x", "y", "x_error", "y_error", "flux", "flux_error", "chi2")]
        for name, value in zip(PSF_COLUMNS.names or (), [*values, spread, spread_error], strict=True):
            out[name][own] = value[own]
    return out
