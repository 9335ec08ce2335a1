"""Solve the astrometry of one frame, in steps that degrade: polynomial, affine, shift, prior kept."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from awe.kernels.astrometry import AstrometricFit, compare_wcs, fit_wcs
from awe.kernels.recognition import recognise
from awe.kernels.wcs import Wcs, tan
from awe.model.astrometric import AstrometricParameters
from awe.model.persistent import QualityFlag
from awe.processing.products import Products
from awe.processing.stars import Detections, detections, epoch_of, matched, reference_stars
from awe.processing.tasks import makes

BRIGHT = 30.0
"""Signal to noise above which a star counts for `rms_bright`."""

LEAST_SINGLE = 5
"""Unblended stars that suffice to tell the residuals."""

STARS = np.dtype(
    [
        *((name, "f8") for name in ("x", "y", "ra", "dec")),
        *((name, "f4") for name in ("error", "flux", "flux_error", "dx", "dy", "fwhm")),
        ("reference", "i4"),
        ("used", "i2"),
        ("flags", "i4"),
        ("imaflags", "i4"),
        ("clean", "i2"),
    ]
)
"""Rows of the file: detections, with the residuals (pixel) and row of those that were matched (else -1).

`flags` and `imaflags` are FLAGS and IMAFLAGS of the detection, `clean` is 1 for single, point-like sources."""


@dataclass(frozen=True)
class Known:
    """Stars whose place on the sky is known."""

    ra: np.ndarray
    dec: np.ndarray
    error: np.ndarray
    """Standard deviation of a coordinate, arcsec."""
    magnitude: np.ndarray
    clean: np.ndarray
    """False for blended, saturated or extended ones."""
    what: str


@makes(AstrometricParameters, version=3)
def make_astrometric_parameters(product: AstrometricParameters, products: Products) -> None:
    """Match the stars of a frame to a catalogue, or to the first exposure of the target, and fit the coordinates.

    Stars are detected here, once for all: the second table of the file tells the pixels of each, for who measures them.
    """
    reduced = product.reduced
    found = detections(product, products, product.parameters.detect_thresh)
    prior = prior_wcs(product)
    known = _known(product, products, prior)
    product.epoch = epoch_of(reduced.mjd_obs)
    bound = _bound(product)
    fit, pairs = _solved(product, found, known, prior) if bound is None else _compared(product, found, known, bound)
    _describe(product, found, fit, pairs[0], prior)
    _describe_bright(product, found, known, fit, pairs)
    products.write_tables(product, {"STARS": _table(found, fit, pairs), "SEGMENTS": found.segments.runs})


def prior_wcs(product: AstrometricParameters) -> Wcs:
    """Return the coordinates of the header, or nominal ones from pointing and pixel size."""
    reduced = product.reduced
    if reduced.wcs is not None:
        return Wcs.from_header(reduced.wcs)
    if reduced.ra is None or reduced.dec is None or reduced.pixel_scale is None:
        raise ValueError("it has neither coordinates nor pointing and pixel scale: its place on the sky can't be found")
    product.note("the header has no coordinates: pointing and nominal pixel scale were taken")
    return tan(reduced.ra, reduced.dec, reduced.pixel_scale, reduced.naxis1, reduced.naxis2)


def _known(product: AstrometricParameters, products: Products, prior: Wcs) -> Known | None:
    reduced, p = product.reduced, product.parameters
    if product.catalogue is not None:
        shape = (reduced.naxis2, reduced.naxis1)
        margin = max(p.maximum_offset, _half_diagonal(product, prior))
        rows = reference_stars(products, product.catalogue, prior, shape, margin, epoch_of(reduced.mjd_obs))
        error = np.nan_to_num(np.hypot(rows["ra_error"], rows["dec_error"]) / np.sqrt(2), nan=100.0) / 1000
        return Known(
            rows["ra"], rows["dec"], np.maximum(error, 1e-3), brightness(rows), rows["ra"] > -1, str(product.catalogue)
        )
    if product.reference is not None:
        rows = products.table(product.reference)
        scale = product.reference.pixel_scale or prior.scale
        magnitude = -2.5 * np.log10(np.maximum(rows["flux"], 1e-3))
        clean = rows["clean"] > 0
        return Known(rows["ra"], rows["dec"], rows["error"] * scale, magnitude, clean, f"{product.reference}")
    return None


def brightness(rows: np.ndarray) -> np.ndarray:
    """Return the first magnitude that each star has."""
    names = [n for n in rows.dtype.names or () if n.startswith("mag_") and not n.endswith("_error")]
    magnitude = np.full(len(rows), np.nan)
    for name in names:
        magnitude = np.where(np.isfinite(magnitude), magnitude, rows[name])
    return np.where(np.isfinite(magnitude), magnitude, 99.0)


Pairs = tuple[np.ndarray, np.ndarray]
_NONE: Pairs = (np.zeros(0, int), np.zeros(0, int))


def _solved(
    product: AstrometricParameters, found: Detections, known: Known | None, prior: Wcs
) -> tuple[AstrometricFit, Pairs]:
    """Return the best fit that the stars allow, and the pairs it rests on."""
    p = product.parameters
    if known is None:
        product.note(
            "no catalogue covers it and it is the first exposure of its target: the prior coordinates are kept"
        )
        return _kept(prior), _NONE
    if not len(known.ra) or not len(found.rows):
        which = known.what if not len(known.ra) else "the frame"
        return _unsolved(product, prior, f"there are no stars of {which} on it")
    first = None
    for reach in (p.maximum_offset, max(p.maximum_offset, _half_diagonal(product, prior))):
        first = first or recognise(
            *(found.x, found.y, found.rows["FLUX_AUTO"], known.ra, known.dec, known.magnitude, prior),
            *(product.reduced.naxis1, product.reduced.naxis2),
            max_offset=reach,
            any_orientation=product.catalogue is not None,
        )
    if first is None:
        return _unsolved(product, prior, f"its stars were not recognised among those of {known.what}")
    wcs, pairs, fit = first.wcs, (first.detections, first.references), None
    for _ in range(3):
        i, j = pairs
        fit = fit_wcs(
            *(found.x[i], found.y[i], found.position_error[i], known.ra[j], known.dec[j], known.error[j], wcs),
            degree=p.degree,
            threshold=p.sigma_clip,
        )
        wcs = fit.wcs
        again = matched(wcs, found, known.ra, known.dec, max(p.radius, 4 * fit.rms_arcsec))
        if all(np.array_equal(a, b) for a, b in zip(again, pairs, strict=True)) or not len(again[0]):
            break
        pairs = again
    assert fit is not None
    return fit, (i, j)


def _bound(product: AstrometricParameters) -> dict[str, Any] | None:
    """Return what the solution of all exposures together says of this frame; None if there is none."""
    together = product.global_astrometry
    found = None if together is None else (together.frames or {}).get(str(product.reduced.object_id))
    if together is not None and found is None:
        product.note(f"{together} could not solve it: it was solved alone")
    return found


def _compared(
    product: AstrometricParameters, found: Detections, known: Known | None, bound: dict[str, Any]
) -> tuple[AstrometricFit, Pairs]:
    """Take the coordinates of the solution of all exposures, and see what the stars of the frame say of them."""
    p, wcs = product.parameters, Wcs.from_header(bound["wcs"])
    i, j = _NONE if known is None else matched(wcs, found, known.ra, known.dec, max(p.radius, 2 * wcs.scale))
    sigma = found.position_error[i] * wcs.scale
    ra, dec = (np.zeros(0), np.zeros(0)) if known is None else (known.ra[j], known.dec[j])
    if known is not None:
        sigma = np.hypot(sigma, known.error[j])
    fit = compare_wcs(wcs, found.x[i], found.y[i], sigma, ra, dec, int(bound["degree"]), p.sigma_clip)
    return replace(fit, error_ra=bound["error"], error_dec=bound["error"]), (i, j)


def _half_diagonal(product: AstrometricParameters, prior: Wcs) -> float:
    """Return half the diagonal of the frame, arcsec: how far the pointing may be off for stars to remain on it."""
    return float(np.hypot(product.reduced.naxis1, product.reduced.naxis2) / 2 * prior.scale)


def _kept(prior: Wcs) -> AstrometricFit:
    return fit_wcs([], [], [], [], [], [], prior)


def _unsolved(product: AstrometricParameters, prior: Wcs, reason: str) -> tuple[AstrometricFit, Pairs]:
    product.note(f"{reason}: the prior coordinates are kept")
    product.flag(QualityFlag.ASTROMETRY_NOT_SOLVED)
    return _kept(prior), _NONE


def _describe_bright(
    product: AstrometricParameters, found: Detections, known: Known | None, fit: AstrometricFit, pairs: Pairs
) -> None:
    """Set the residuals of bright, single, point-like stars: they are limited by the frame, not by their own noise."""
    if known is None or not fit.count:
        return
    i, j = pairs
    rows = found.rows[i]
    bright = fit.used & (rows["FLUX_AUTO"] > BRIGHT * rows["FLUXERR_AUTO"]) & found.clean[i] & known.clean[j]
    if bright.any():
        product.rms_bright = float(np.sqrt(np.mean(fit.dx[bright] ** 2 + fit.dy[bright] ** 2) / 2))
        product.n_bright = int(bright.sum())


def _describe(
    product: AstrometricParameters, found: Detections, fit: AstrometricFit, pairs_of: np.ndarray, prior: Wcs
) -> None:
    wcs = fit.wcs
    product.method, product.degree, product.wcs = fit.kind, fit.degree, wcs.cards
    product.pixel_scale = wcs.scale
    if np.isfinite(found.seeing):
        product.seeing = float(found.seeing * wcs.scale)
    product.n_stars, product.n_rejected = fit.count, fit.rejected
    if fit.reason and fit.count:
        product.note(fit.reason)
    if not fit.count:
        return
    product.rms = _rms(fit, found.single[pairs_of])
    product.rms_sky, product.sigma_ra, product.sigma_dec = fit.rms_arcsec, fit.error_ra, fit.error_dec
    base = prior if product.catalogue is not None else Wcs.from_header(product.reference.wcs)
    used = pairs_of[fit.used]
    own_x, own_y = found.x[used], found.y[used]
    x, y = base.to_pixel(*wcs.to_sky(own_x, own_y))
    product.offset_x, product.offset_y = float(np.median(own_x - x)), float(np.median(own_y - y))
    if product.rms > product.parameters.maximum_rms:
        product.flag(QualityFlag.ASTROMETRY_RESIDUALS_LARGE)
        product.note(f"the residuals, {product.rms:.2f} pixel, exceed {product.parameters.maximum_rms:g} pixel")


def _rms(fit: AstrometricFit, single: np.ndarray) -> float:
    """Return the rms residual of one axis, of single stars if there are some."""
    used = fit.used & single if (fit.used & single).sum() >= LEAST_SINGLE else fit.used
    return float(np.sqrt(np.mean(fit.dx[used] ** 2 + fit.dy[used] ** 2) / 2))


def _table(found: Detections, fit: AstrometricFit, pairs: Pairs) -> np.ndarray:
    rows = np.zeros(len(found.rows), STARS)
    rows["x"], rows["y"] = found.x, found.y
    rows["ra"], rows["dec"] = fit.wcs.to_sky(found.x, found.y)
    rows["error"], rows["fwhm"], rows["flags"] = found.position_error, found.rows["FWHM_IMAGE"], found.rows["FLAGS"]
    rows["imaflags"] = found.rows["IMAFLAGS"]
    rows["flux"], rows["flux_error"] = found.rows["FLUX_AUTO"], found.rows["FLUXERR_AUTO"]
    rows["clean"] = found.clean
    rows["reference"] = -1
    rows["dx"] = rows["dy"] = np.nan
    i, j = pairs
    if len(i):
        rows["reference"][i], rows["used"][i] = j, fit.used
        rows["dx"][i], rows["dy"][i] = fit.dx, fit.dy
    return rows
