"""Detection and measurement of the sources of an image, after SExtractor (Bertin & Arnouts 1996; sep: Barbary 2016)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from awe.kernels.flags import PixelFlag
from awe.kernels.photometry import Plane, circle_sums, ellipse_sums, profile_widths, windowed_positions

Catalogue = NDArray[Any]

KRON_FACTOR, KRON_MINIMUM = 2.5, 3.5
SIGMA_PER_HALF_LIGHT_RADIUS = 2 / math.sqrt(8 * math.log(2))
MOST_PIXELS_ABOVE = 0.5
SHARPER, WIDER = 0.5, 1.5
"""How much more, and less, concentrated than a star (mag) other sources are expected to be, in STELLARITY."""


class SourceFlag(IntFlag):
    """Bits of FLAGS, as in SExtractor."""

    NEIGHBOURS = 1
    BLENDED = 2
    SATURATED = 4
    TRUNCATED = 8
    APERTURE_INCOMPLETE = 16
    DEBLENDING_OVERFLOW = 64


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
    threshold: float = 1.5,
    min_area: int = 5,
    gain: float = math.inf,
    saturation: float = math.inf,
    apertures: Sequence[float] = (5.0, 10.0, 20.0),
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    clean: float = 1.0,
) -> Catalogue:
    """Find the sources of an image and measure them.

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
    threshold : float
        Detection threshold of the smoothed (3 x 3) image, in units of the noise of an unsmoothed pixel.
    min_area : int, pixel
    gain : float, electron/adu
        For the photon noise of sources in all errors; infinite = none.
    saturation : float, adu
        Pixels of `image` at or above are saturated.
    apertures : sequence of float, pixel
        Diameters of FLUX_APER.
    deblend_levels, deblend_contrast, clean
        As in SExtractor (DEBLEND_NTHRESH, DEBLEND_MINCONT, CLEAN_PARAM; 0 = don't clean).

    Returns
    -------
    structured array, one row per source (see `catalogue_type`)
        SExtractor's names, but (0, 0) is the centre of the first pixel, and ERRX_IMAGE, ERRY_IMAGE, ERRXWIN_IMAGE,
        ERRYWIN_IMAGE are standard deviations. KRON_RADIUS is in units of A_IMAGE, THETA_IMAGE in degrees from x to y,
        PEAK above the background. FLUX_AUTO is the sum in the Kron ellipse of max(2.5 KRON_RADIUS, 3.5) A_IMAGE.
        FWHM_IMAGE is that of a round Moffat profile. IMAFLAGS are of the ellipse 3 A_IMAGE x 3 B_IMAGE. STELLARITY
        is described at `stellarity`. No source: no rows.

    Raises
    ------
    ValueError
        If shapes differ, a parameter is absurd, or the background was evidently not subtracted.
    """
    if threshold <= 0 or min_area < 1 or not gain > 0:
        raise ValueError(f"threshold {threshold}, min_area {min_area} and gain {gain} must be positive")
    level = np.asarray(background, np.float32)
    plane = _plane(image, weight, flags, level, rms, gain, saturation)
    if plane.bad.all():
        return np.zeros(0, catalogue_type(len(apertures)))
    objects, plane = _extract(plane, threshold, min_area, deblend_levels, deblend_contrast, clean)
    catalogue = np.zeros(len(objects), catalogue_type(len(apertures)))
    if len(objects):
        _fill_isophotal(catalogue, objects, plane)
        _fill_kron(catalogue, plane)
        _fill_positions(catalogue, plane)
        _fill_apertures(catalogue, plane, apertures)
        _fill_flags(catalogue, objects, plane)
        rows, columns = _nearest_pixels(catalogue, plane.image.shape)
        catalogue["BACKGROUND"] = np.broadcast_to(level, plane.image.shape)[rows, columns]
        catalogue["STELLARITY"] = stellarity(catalogue, plane)
    return catalogue


def catalogue_type(apertures: int) -> np.dtype[Any]:
    """Return the row type of `detect` for this number of apertures."""
    double = ["X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE"]
    single = ["ERRX_IMAGE", "ERRY_IMAGE", "ERRXWIN_IMAGE", "ERRYWIN_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE"]
    single += ["ERRA_IMAGE", "ERRB_IMAGE", "ERRTHETA_IMAGE", "ELLIPTICITY", "FLUX_ISO", "FLUXERR_ISO", "FLUX_AUTO"]
    single += ["FLUXERR_AUTO", "KRON_RADIUS", "FLUX_RADIUS", "FWHM_IMAGE", "PEAK", "BACKGROUND", "STELLARITY"]
    whole = ["ISOAREA_IMAGE", "FLAGS", "IMAFLAGS"]
    fields: list[Any] = [("NUMBER", "i4"), *((name, "f8") for name in double), *((name, "f4") for name in single)]
    fields += [(name, "f4", (apertures,)) for name in ("FLUX_APER", "FLUXERR_APER")]
    return np.dtype(fields + [(name, "i4") for name in whole])


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
    spoiled = PixelFlag.HOT | PixelFlag.COLD | PixelFlag.SATURATED | PixelFlag.COSMIC | PixelFlag.NO_DATA
    fwhm = catalogue["FWHM_IMAGE"].astype(np.float64)
    usable = (catalogue["FLAGS"] == 0) & (catalogue["IMAFLAGS"] & int(spoiled) == 0)
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


def stellarity(catalogue: Catalogue, plane: Plane) -> NDArray[np.float64]:
    """Return for each source a number from 0 (no star) to 1 (star); 0.5 where the noise leaves it open.

    The concentration c = -2.5 log10(flux within 0.5 seeing / flux within 1.5 seeing; radii) is compared with its
    median for the stars of the same image. With d the difference and s its error (noise, plus the scatter of the
    stars), a star has the density N(d; 0, s); any other source one that is flat from -0.5 mag (sharper: a cosmic ray)
    to 1.5 mag (wider: a galaxy), blurred by s. The number is star / (star + other); without stars in the image, 0.5.
    """
    locus = stars(catalogue)
    if not locus.count:
        return np.full(len(catalogue), 0.5)
    x, y, number = catalogue["XWIN_IMAGE"], catalogue["YWIN_IMAGE"], catalogue["NUMBER"]
    core = circle_sums(plane, x, y, 0.5 * locus.seeing, number)
    whole = circle_sums(plane, x, y, 1.5 * locus.seeing, number)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = core.flux / whole.flux
        concentration = -2.5 * np.log10(ratio)
        # the ring is independent of the core: var(core / whole) = [(1 - r)^2 var(core) + r^2 var(ring)] / whole^2
        ring = np.maximum(whole.error**2 - core.error**2, 0)
        noise = np.sqrt((1 - ratio) ** 2 * core.error**2 + ratio**2 * ring) / (ratio * whole.flux) * 1.0857
        typical = np.nanmedian(concentration[locus.selected])
        scatter = 1.4826 * np.nanmedian(np.abs(concentration[locus.selected] - typical))
        return _star_probability(concentration - typical, np.hypot(noise, max(scatter, 0.005)))


def _star_probability(difference: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(difference) & np.isfinite(error)
    d, s = np.where(known, difference, 0.0), np.where(known, error, 1.0)
    star = np.exp(-0.5 * (d / s) ** 2) / (s * math.sqrt(2 * math.pi))
    other = (ndtr((d + SHARPER) / s) - ndtr((d - WIDER) / s)) / (SHARPER + WIDER)
    # beyond the range of both, nothing is left of either: no star
    return np.where(known, star / np.maximum(star + other, 1e-30), 0.5)


def _plane(
    image: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]] | None,
    flags: NDArray[np.uint8] | None,
    level: NDArray[np.float32],
    rms: ArrayLike | None,
    gain: float,
    saturation: float,
) -> Plane:
    """Put the inputs in the form (types, byte order, no NaN) that sep and the measurements need."""
    if image.ndim != 2:
        raise ValueError(f"the image has {image.ndim} dimensions, expected 2")
    for name, array in (("weight", weight), ("flags", flags)):
        if array is not None and array.shape != image.shape:
            raise ValueError(f"the {name} map has shape {array.shape}, the image {image.shape}")
    pixels = np.asarray(image, np.float32)
    bits = np.zeros(pixels.shape, np.uint8) if flags is None else np.array(flags, np.uint8)
    with np.errstate(invalid="ignore"):
        bits[pixels >= saturation] |= np.uint8(PixelFlag.SATURATED)
    bad = ~np.isfinite(pixels) | ~np.isfinite(np.broadcast_to(level, pixels.shape))
    subtracted = np.where(bad, 0, pixels - level).astype(np.float32)
    if weight is None:
        spread = np.asarray(_robust_noise(subtracted, bad) if rms is None else rms, np.float32)
        variance = np.array(np.broadcast_to(spread, pixels.shape)) ** 2
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (1 / np.asarray(weight, np.float32)).astype(np.float32)
    unknown = ~(np.isfinite(variance) & (variance > 0))
    variance[unknown] = np.median(variance[~unknown]) if not unknown.all() else 1
    bad |= unknown & (bits & np.uint8(PixelFlag.SATURATED) == 0)
    subtracted[bad] = 0
    return Plane(subtracted, variance, bad, np.zeros(pixels.shape, np.int32), bits, gain)


def _robust_noise(image: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    values = image[~bad]
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 1.0


def _extract(
    plane: Plane, threshold: float, min_area: int, levels: int, contrast: float, clean: float
) -> tuple[Catalogue, Plane]:
    noise = np.sqrt(plane.variance)
    above = float(np.mean(plane.image > threshold * noise))
    if above > MOST_PIXELS_ABOVE:
        raise ValueError(f"{above:.0%} of the pixels exceed the threshold: the background is not subtracted")
    arguments: dict[str, Any] = {"err": noise, "mask": plane.bad, "minarea": min_area, "filter_type": "conv"}
    arguments |= {"deblend_nthresh": levels, "deblend_cont": contrast, "segmentation_map": True}
    arguments |= {"clean": clean > 0, "clean_param": clean or 1.0}
    arguments["gain"] = plane.gain if math.isfinite(plane.gain) else None
    while True:
        try:
            objects, segmentation = sep.extract(plane.image, threshold, **arguments)
            break
        except Exception as cause:
            if not _more_room(str(cause), plane.image.size):
                raise ValueError(f"detection failed: {cause}") from cause
    measured = Plane(plane.image, plane.variance, plane.bad, segmentation, plane.flags, plane.gain)
    return objects, measured


def _more_room(complaint: str, pixels: int) -> bool:
    """Double the buffer of sep that overflowed; say if there was one to double."""
    if "pixel buffer" in complaint and sep.get_extract_pixstack() < 4 * pixels:
        sep.set_extract_pixstack(2 * sep.get_extract_pixstack())
    elif "deblending overflow" in complaint and sep.get_sub_object_limit() < pixels:
        sep.set_sub_object_limit(2 * sep.get_sub_object_limit())
    else:
        return False
    return True


def _fill_isophotal(catalogue: Catalogue, objects: Catalogue, plane: Plane) -> None:
    count = len(objects)
    catalogue["NUMBER"] = np.arange(1, count + 1)
    catalogue["X_IMAGE"], catalogue["Y_IMAGE"] = objects["x"], objects["y"]
    catalogue["ERRX_IMAGE"], catalogue["ERRY_IMAGE"] = np.sqrt(objects["errx2"]), np.sqrt(objects["erry2"])
    catalogue["A_IMAGE"], catalogue["B_IMAGE"] = objects["a"], np.minimum(objects["a"], objects["b"])
    catalogue["THETA_IMAGE"] = np.degrees(objects["theta"])
    catalogue["ELLIPTICITY"] = 1 - catalogue["B_IMAGE"] / catalogue["A_IMAGE"]
    half_sum, half_difference = (objects["errx2"] + objects["erry2"]) / 2, (objects["errx2"] - objects["erry2"]) / 2
    root = np.hypot(half_difference, objects["errxy"])
    catalogue["ERRA_IMAGE"] = np.sqrt(half_sum + root)
    catalogue["ERRB_IMAGE"] = np.sqrt(np.maximum(half_sum - root, 0))
    catalogue["ERRTHETA_IMAGE"] = np.degrees(np.arctan2(objects["errxy"], half_difference) / 2)
    catalogue["ISOAREA_IMAGE"], catalogue["PEAK"] = objects["npix"], objects["peak"]
    owner = plane.segmentation.ravel()
    catalogue["FLUX_ISO"] = np.bincount(owner, plane.image.ravel(), count + 1)[1:]
    variance = np.bincount(owner, plane.variance.ravel(), count + 1)[1:]
    catalogue["FLUXERR_ISO"] = np.sqrt(variance + np.maximum(catalogue["FLUX_ISO"], 0) / plane.gain)


def _fill_kron(catalogue: Catalogue, plane: Plane) -> None:
    x, y, number = catalogue["X_IMAGE"], catalogue["Y_IMAGE"], catalogue["NUMBER"]
    a, b = catalogue["A_IMAGE"].astype(np.float64), catalogue["B_IMAGE"].astype(np.float64)
    # sep refuses an angle that rounding has put a hair beyond a right one
    theta = np.clip(np.radians(catalogue["THETA_IMAGE"].astype(np.float64)), -1.5707963, 1.5707963)
    segments = {"mask": plane.bad, "segmap": plane.segmentation, "seg_id": number}
    kron, _ = sep.kron_radius(plane.image, x, y, a, b, theta, 6.0, **segments)
    catalogue["KRON_RADIUS"] = kron
    scale = np.maximum(KRON_FACTOR * np.nan_to_num(kron), KRON_MINIMUM)
    sums = ellipse_sums(plane, x, y, scale * a, scale * b, theta, number)
    catalogue["FLUX_AUTO"], catalogue["FLUXERR_AUTO"] = sums.flux, sums.error
    catalogue["FLAGS"] |= np.where(sums.replaced > 0.1, int(SourceFlag.NEIGHBOURS), 0).astype(np.int32)
    catalogue["FLAGS"] |= np.where(sums.outside > 0, int(SourceFlag.APERTURE_INCOMPLETE), 0).astype(np.int32)
    total = np.where(sums.flux > 0, sums.flux, np.maximum(catalogue["FLUX_ISO"], 1e-6)).astype(np.float64)
    catalogue["FLUX_RADIUS"], _ = sep.flux_radius(plane.image, x, y, 6.0 * a, 0.5, normflux=total, **segments)
    catalogue["IMAFLAGS"] = ellipse_sums(plane, x, y, 3 * a, 3 * b, theta, number).flags


def _fill_positions(catalogue: Catalogue, plane: Plane) -> None:
    x, y, number = catalogue["X_IMAGE"], catalogue["Y_IMAGE"], catalogue["NUMBER"]
    radius = np.clip(catalogue["FLUX_RADIUS"].astype(np.float64), 0.7, None)
    centre = windowed_positions(plane, x, y, radius * SIGMA_PER_HALF_LIGHT_RADIUS, number)
    catalogue["XWIN_IMAGE"], catalogue["YWIN_IMAGE"] = centre.x, centre.y
    catalogue["ERRXWIN_IMAGE"] = np.where(centre.converged, centre.error_x, catalogue["ERRX_IMAGE"])
    catalogue["ERRYWIN_IMAGE"] = np.where(centre.converged, centre.error_y, catalogue["ERRY_IMAGE"])
    catalogue["FWHM_IMAGE"] = profile_widths(plane, centre.x, centre.y, np.maximum(1.7 * radius, 2.0), number)


def _fill_apertures(catalogue: Catalogue, plane: Plane, apertures: Sequence[float]) -> None:
    for column, diameter in enumerate(apertures):
        sums = circle_sums(plane, catalogue["XWIN_IMAGE"], catalogue["YWIN_IMAGE"], diameter / 2, catalogue["NUMBER"])
        catalogue["FLUX_APER"][:, column], catalogue["FLUXERR_APER"][:, column] = sums.flux, sums.error


def _fill_flags(catalogue: Catalogue, objects: Catalogue, plane: Plane) -> None:
    translation = {
        sep.OBJ_MERGED: SourceFlag.BLENDED,
        sep.OBJ_TRUNC: SourceFlag.TRUNCATED,
        sep.OBJ_DOVERFLOW: SourceFlag.DEBLENDING_OVERFLOW,
    }
    for found, flag in translation.items():
        catalogue["FLAGS"] |= np.where(objects["flag"] & found, int(flag), 0).astype(np.int32)
    saturated = (plane.flags & np.uint8(PixelFlag.SATURATED)) != 0
    numbers = np.unique(plane.segmentation[saturated])
    catalogue["FLAGS"][numbers[numbers > 0] - 1] |= int(SourceFlag.SATURATED)


def _nearest_pixels(catalogue: Catalogue, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = np.clip(np.rint(catalogue["Y_IMAGE"]).astype(np.int64), 0, shape[0] - 1)
    return rows, np.clip(np.rint(catalogue["X_IMAGE"]).astype(np.int64), 0, shape[1] - 1)
