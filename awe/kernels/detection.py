"""Detection and measurement of the sources of an image, after SExtractor (Bertin & Arnouts 1996, A&AS 117, 393)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from awe.kernels.flags import PixelFlag
from awe.kernels.isophotes import Isophotes, isophotes
from awe.kernels.measuring import Catalogue, SourceFlag, WeightFlag, catalogue_type, measured
from awe.kernels.planes import Rows, Scene, scene
from awe.kernels.thresholding import pixels_above

__all__ = [
    "Catalogue",
    "SourceFlag",
    "Stars",
    "WeightFlag",
    "catalogue_of",
    "catalogue_type",
    "detect",
    "detect_in",
    "find",
    "half_sample_mode",
    "stars",
]


SPOILED = PixelFlag.HOT | PixelFlag.COLD | PixelFlag.SATURATED | PixelFlag.COSMIC | PixelFlag.NO_DATA
"""A source with such pixels is not taken for a star."""


@dataclass(frozen=True)
class Stars:
    """The point-like sources of a catalogue."""

    selected: NDArray[np.bool_]
    """True for the unsaturated, unblended, round sources of stellar width."""
    seeing: float
    """Median FWHM of the selected sources, pixel; NaN if there is none."""
    scatter: float
    """Robust standard deviation of their FWHM, pixel."""

    @property
    def count(self) -> int:
        """Number of stars."""
        return int(self.selected.sum())


def detect(
    image: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]] | None = None,
    flags: NDArray[np.uint8] | None = None,
    *,
    background: ArrayLike = 0.0,
    rms: ArrayLike | None = None,
    gain: float = math.inf,
    saturation: float = math.inf,
    **settings: Any,
) -> Catalogue:
    """Find the sources of an image in memory and measure them.

    Parameters
    ----------
    image : array (ny, nx), adu
        Any number type and byte order. NaN pixels are excluded.
    weight : array (ny, nx), adu^-2, optional
        Inverse variance of the pixels without the photon noise of sources; 0 or NaN = excluded.
    flags : array (ny, nx) of uint8, optional
        Bits of `PixelFlag`, gathered in IMAFLAGS. SATURATED pixels are kept even where their weight is 0: a bright star
        is one source with a flag, not a ring of many.
    background : float or array (ny, nx), adu
        Subtracted first.
    rms : float or array (ny, nx), adu, optional
        Noise per pixel, used if there is no weight; by default 1.48 times the median absolute deviation of the image.
    gain : float, electron/adu
        For the photon noise of sources in all errors; infinite = none.
    saturation : float, adu
        Pixels of `image` at or above are saturated.
    settings
        Those of `detect_in`.

    Returns
    -------
    structured array, as `detect_in` returns

    Raises
    ------
    ValueError
        If shapes differ, a parameter is absurd, or the background was evidently not subtracted.
    """
    if not gain > 0:
        raise ValueError(f"gain {gain} must be positive")
    return detect_in(scene(Rows(image, weight, flags, background, rms), gain, saturation), **settings)


def detect_in(
    where: Scene,
    *,
    threshold: float = 1.5,
    min_area: int = 5,
    apertures: Sequence[float] = (5.0, 10.0, 20.0),
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    clean: float = 1.0,
    threads: int = 1,
    measure_on: Scene | None = None,
) -> Catalogue:
    """Find the sources of a scene and measure them, on any number of threads.

    A scene too large for the memory is read in bands of rows. Sources do not depend on the bands: pixels above the
    threshold are joined across them before anything is measured, and each source is measured with all rows it needs.

    Parameters
    ----------
    where : Scene
    threshold : float
        Detection threshold of the smoothed (3 x 3) image, in units of the noise of an unsmoothed pixel.
    min_area : int, pixel
    apertures : sequence of float, pixel
        Diameters of FLUX_APER.
    deblend_levels, deblend_contrast, clean
        As in SExtractor (DEBLEND_NTHRESH, DEBLEND_MINCONT, CLEAN_PARAM; 0 = don't clean).
    threads : int
    measure_on : Scene, optional
        Another image of the same pixels on which the sources are measured (dual-image mode): positions of isophotes,
        shapes, areas, ellipses and the middles of the circles are of `where`, so that colours compare equal light;
        windowed positions, fluxes, flags and background are of `measure_on`.

    Returns
    -------
    structured array, one row per source (see `catalogue_type`)
        SExtractor's names, but (0, 0) is the centre of the first pixel, and ERRX_IMAGE, ERRY_IMAGE, ERRXWIN_IMAGE,
        ERRYWIN_IMAGE are standard deviations. KRON_RADIUS is in units of A_IMAGE, THETA_IMAGE in degrees from x to y,
        PEAK above the background. FLUX_AUTO is the sum in the Kron ellipse of max(2.5 KRON_RADIUS, 3.5) A_IMAGE.
        FWHM_IMAGE is that of a round Moffat profile. FLAGS are bits of `SourceFlag`, FLAGS_WEIGHT of `WeightFlag`.
        IMAFLAGS are the bits of `flags` in the ellipse 3 A_IMAGE x 3 B_IMAGE, IMAFLAGS_ISO those of the pixels above
        the threshold, of which NIMAFLAGS_ISO have any. STELLARITY is described at `awe.kernels.stellarity`. No
        source: no rows.

    Raises
    ------
    ValueError
        If a parameter is absurd, the two scenes differ in shape, or the background was evidently not subtracted.
    """
    found = find(
        where,
        threshold=threshold,
        min_area=min_area,
        deblend_levels=deblend_levels,
        deblend_contrast=deblend_contrast,
        clean=clean,
        threads=threads,
    )
    rows = catalogue_of(where, found, apertures, threads)
    return rows if measure_on is None else catalogue_of(measure_on, found, apertures, threads, rows)


def find(
    where: Scene,
    *,
    threshold: float = 1.5,
    min_area: int = 5,
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    clean: float = 1.0,
    threads: int = 1,
) -> Isophotes:
    """Find the sources of a scene; the parameters are those of `detect_in`."""
    if threshold <= 0 or min_area < 1 or deblend_levels < 1 or threads < 1:
        raise ValueError(
            f"threshold {threshold}, min_area {min_area}, deblend_levels {deblend_levels} and threads {threads} "
            "must be positive"
        )
    pixels = pixels_above(where, threshold, threads)
    return isophotes(pixels, threshold, min_area, deblend_levels, deblend_contrast, clean, where.gain, threads)


def catalogue_of(
    scene: Scene,
    found: Isophotes,
    apertures: Sequence[float] = (5.0, 10.0, 20.0),
    threads: int = 1,
    apertures_of: Catalogue | None = None,
    only: NDArray[np.int64] | None = None,
) -> Catalogue:
    """Measure sources on a scene: that on which they were found, or another of the same shape.

    In the latter case `apertures_of` is their catalogue on the first: equal ellipses and circles are laid on both.
    With `only`, just those sources (by their numbers, from 0), and without STELLARITY, which needs all.
    """
    if scene.shape != found.pixels.shape:
        raise ValueError(f"the image to measure on has shape {scene.shape}, the other {found.pixels.shape}")
    classify = stars if only is None else None
    return measured(scene, found, tuple(apertures), classify, threads, apertures_of, only)


def stars(
    catalogue: Catalogue, signal_to_noise: float = 20.0, max_ellipticity: float = 0.3, min_fwhm: float = 1.3
) -> Stars:
    """Select unsaturated, unblended, round, point-like sources, and measure the seeing by them.

    The stellar width is the densest place (half-sample mode, Bickel & Fruehwirth 2006) of the logarithm of FWHM_IMAGE;
    within three robust standard deviations (at least 5 %) of it lie the stars.

    Parameters
    ----------
    catalogue : array as `detect` returns
    signal_to_noise : float
        Least ratio of FLUX_AUTO to its error.
    max_ellipticity : float
    min_fwhm : float, pixel
        Sharper sources are cosmic rays and hot pixels: in a frame not yet cleaned they can be more than the stars.
    """
    fwhm = catalogue["FWHM_IMAGE"].astype(np.float64)
    usable = (catalogue["FLAGS"] == 0) & (catalogue["IMAFLAGS"] & int(SPOILED) == 0)
    usable &= np.isfinite(fwhm) & (fwhm > min_fwhm) & (catalogue["ELLIPTICITY"] < max_ellipticity)
    usable &= catalogue["FLUX_AUTO"] > signal_to_noise * catalogue["FLUXERR_AUTO"]
    if not usable.any():
        return Stars(usable, math.nan, math.nan)
    width = np.log(np.where(usable, fwhm, 1.0))
    centre = half_sample_mode(width[usable])
    spread = 0.1
    for _ in range(5):
        selected = usable & (np.abs(width - centre) < 3 * spread)
        centre = float(np.median(width[selected])) if selected.any() else centre
        spread = max(1.4826 * float(np.median(np.abs(width[selected] - centre))), 0.05 / 3)
    selected = usable & (np.abs(width - centre) < 3 * spread)
    seeing = float(np.median(fwhm[selected]))
    return Stars(selected, seeing, 1.4826 * float(np.median(np.abs(fwhm[selected] - seeing))))


def half_sample_mode(values: ArrayLike) -> float:
    """Return the mode of a sample, by halving the shortest interval that holds half of it (at least one value)."""
    ordered = np.sort(np.asarray(values, np.float64))
    while ordered.size > 3:
        half = (ordered.size + 1) // 2
        first = int(np.argmin(ordered[half - 1 :] - ordered[: ordered.size - half + 1]))
        ordered = ordered[first : first + half]
    if ordered.size == 3:
        low, high = ordered[1] - ordered[0], ordered[2] - ordered[1]
        ordered = ordered[:2] if low < high else ordered[1:]
    return float(ordered.mean())
