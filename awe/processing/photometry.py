"""Find the zeropoint of one frame: from catalogue stars, from the standard field of the night, or relative."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_sky
from awe.kernels.segments import Segments, circles_at
from awe.kernels.wcs import Wcs
from awe.kernels.zeropoint import MAG_PER_RELATIVE, Zeropoint, aperture_correction, zeropoint
from awe.model.persistent import QualityFlag
from awe.model.photometric import PhotometricParameters
from awe.processing.products import Products
from awe.processing.scenes import scene_of_reduced
from awe.processing.stars import epoch_of, reference_stars, single
from awe.processing.tasks import makes

NOMINAL_SEEING = 1.75
"""Seeing (arcsec) that is assumed where none could be measured."""
CORE = 1.0
"""Radius, in units of the seeing, of the aperture in which stars are measured; bright ones tell what is outside."""

STARS = np.dtype(
    [
        *((name, "f8") for name in ("x", "y", "ra", "dec")),
        *((name, "f4") for name in ("rate", "rate_error", "magnitude", "magnitude_error", "residual")),
        ("used", "i2"),
        ("flags", "i4"),
    ]
)
"""Rows of the file: detections with their adu/s, and of those with a known magnitude, that and the residual (mag)."""


@dataclass(frozen=True)
class StarFluxes:
    """Stars of a frame, and what is common to them."""

    rows: np.ndarray
    """A row of `STARS` each."""
    single: np.ndarray
    """True for unblended, unsaturated ones without bad pixels, whose aperture is on the frame."""
    common_error: float
    """Error of all magnitudes together, mag."""
    aperture: float
    """Radius, arcsec."""


@makes(PhotometricParameters, version=5)
def make_photometric_parameters(product: PhotometricParameters, products: Products) -> None:
    """Compare fluxes with known magnitudes; else take the zeropoint of the standard field, or a relative one."""
    reduced = product.reduced
    product.airmass = reduced.airmass
    product.extinction = reduced.filter.extinction if reduced.filter is not None else 0.0
    measured = measured_stars(product, products, product.parameters.aperture)
    product.aperture = measured.aperture
    _compare(product, products, measured)
    products.write_table(product, measured.rows, "STARS")


def measured_stars(product: Any, products: Products, aperture: float) -> StarFluxes:
    """Measure the total light of the stars that the astrometry of a frame lists, in adu/s.

    Parameters
    ----------
    product
        Has a reduced frame with weight, background and astrometry; takes notes.
    aperture : float
        Radius in units of the seeing.
    """
    astrometry = product.astrometry
    seeing, scale = astrometry.seeing or NOMINAL_SEEING, astrometry.pixel_scale
    radius = aperture * seeing
    listed = products.table(astrometry, "STARS")
    scene = scene_of_reduced(product, products)
    segments = Segments(products.table(astrometry, "SEGMENTS"), scene.shape)
    radii = min(CORE * seeing, radius) / scale, radius / scale
    sums = circles_at(scene, segments, listed["x"], listed["y"], radii)
    inside = (sums.outside == 0).all(axis=1)
    flux, error, common_error = _total(product, sums.flux, sums.error, (listed["clean"] > 0) & inside)
    exptime = product.reduced.exptime or 1.0
    rows = np.zeros(len(listed), STARS)
    for name in ("x", "y", "ra", "dec"):
        rows[name] = listed[name]
    rows["rate"], rows["rate_error"] = flux / exptime, error / exptime
    for name in ("magnitude", "magnitude_error", "residual"):
        rows[name] = np.nan
    rows["flags"] = np.where(listed["imaflags"] & int(PixelFlag.SATURATED | PixelFlag.NO_DATA), 1, 0)
    return StarFluxes(rows, single(listed["flags"], listed["imaflags"]) & inside, common_error, radius)


def _total(
    product: Any, fluxes: np.ndarray, errors: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return fluxes within the aperture, their errors, and the error (mag) of the correction that all share.

    The fluxes of the core, times what bright single stars (`own`) have in the aperture over what they have in the core:
    an aperture that holds all light of a star holds much of its neighbours' too. Without such stars the plain sum.
    """
    (core, whole), (core_error, whole_error) = fluxes.T, errors.T
    growth = aperture_correction(core[own], core_error[own], whole[own], whole_error[own])
    if not growth.count:
        product.note("no bright single star tells its aperture correction: fluxes are plain sums in the aperture")
        return whole, whole_error, 0.0
    return core * growth.value, core_error * growth.value, MAG_PER_RELATIVE * growth.error / growth.value


def _compare(product: PhotometricParameters, products: Products, measured: StarFluxes) -> None:
    """Set the zeropoint by the best method there is."""
    bound, rows = _bound(product), measured.rows
    if bound is None:
        _alone(product, products, rows)
        if product.error is not None:
            product.error = float(np.hypot(product.error, measured.common_error))
        return
    if product.catalogue is not None and _by_catalogue(product, products, rows):
        rows["residual"] -= bound["zeropoint"] - product.zeropoint
    product.method, product.zeropoint, product.error = "global", bound["zeropoint"], bound["error"]
    if not bound["photometric"]:
        product.note(f"it was not photometric: {bound['why']}")


def _bound(product: PhotometricParameters) -> dict[str, Any] | None:
    """Return what the solution of all exposures together says of this frame; None if it says nothing."""
    together = product.solution
    if together is None:
        return None
    if not together.n_standards:
        product.note(f"{together} is not tied to known magnitudes: its zeropoint is found alone")
        return None
    found = (together.frames or {}).get(str(product.reduced.object_id))
    if found is None:
        product.note(f"{together} could not solve it: its zeropoint is found alone")
    return found


def _alone(product: PhotometricParameters, products: Products, rows: np.ndarray) -> None:
    """Set the zeropoint by what this frame tells, or the standard field, or another exposure."""
    if product.catalogue is not None and _by_catalogue(product, products, rows):
        return
    if product.standard is not None and product.standard.method == "catalogue":
        _by_standard(product)
    elif product.reference is not None and _by_reference(product, products, rows):
        return
    else:
        product.method, product.zeropoint = "none", product.parameters.nominal
        product.note("nothing tells its zeropoint: the nominal one is arbitrary, and relative ones are tied to it")
        product.flag(QualityFlag.PHOTOMETRY_NOT_CALIBRATED)


def _by_catalogue(product: PhotometricParameters, products: Products, rows: np.ndarray) -> bool:
    reduced, band = product.reduced, product.reduced.filter.band
    wcs, shape = Wcs.from_header(product.astrometry.wcs), (reduced.naxis2, reduced.naxis1)
    stars = reference_stars(products, product.catalogue, wcs, shape, 0.0, epoch_of(reduced.mjd_obs))
    stars = stars[np.isfinite(stars[f"mag_{band}"])]
    radius = max(product.parameters.radius, 3 * (product.astrometry.rms_sky or 0.0))
    i, j, _ = match_sky(rows["ra"], rows["dec"], stars["ra"], stars["dec"], radius)
    error = np.nan_to_num(stars[f"mag_{band}_error"][j], nan=0.02)
    result = _fitted(product, rows, i, stars[f"mag_{band}"][j], error)
    if result is None:
        product.note(f"no unsaturated star of {product.catalogue} with a {band} magnitude was found on it")
        return False
    product.method = "catalogue"
    return True


def _by_standard(product: PhotometricParameters) -> None:
    standard = product.standard
    extra = 0.0
    if product.airmass is not None and standard.airmass is not None:
        extra = product.extinction * (product.airmass - standard.airmass)
    product.method, product.zeropoint, product.error = "standard", standard.zeropoint - extra, standard.error
    product.note(
        f"zeropoint of the standard field of the night, with {extra:+.3f} mag of extinction between air masses"
    )


def _by_reference(product: PhotometricParameters, products: Products, rows: np.ndarray) -> bool:
    reference = product.reference
    stars = products.table(reference)
    good = (stars["rate"] > 0) & (stars["flags"] == 0) & (stars["rate"] > 10 * stars["rate_error"])
    stars = stars[good]
    i, j, _ = match_sky(rows["ra"], rows["dec"], stars["ra"], stars["dec"], product.parameters.radius)
    magnitude = reference.zeropoint - 2.5 * np.log10(stars["rate"][j])
    error = MAG_PER_RELATIVE * stars["rate_error"][j] / stars["rate"][j]
    if _fitted(product, rows, i, magnitude, error) is None:
        product.note(f"it has no star in common with {reference}")
        return False
    product.method = "relative"
    if reference.method == "none":
        product.flag(QualityFlag.PHOTOMETRY_NOT_CALIBRATED)
    return True


def _fitted(
    product: PhotometricParameters, rows: np.ndarray, i: np.ndarray, magnitude: np.ndarray, error: np.ndarray
) -> Zeropoint | None:
    good = (rows["flags"][i] == 0) & (rows["rate"][i] > 0)
    i, magnitude, error = i[good], magnitude[good], error[good]
    result = zeropoint(
        rows["rate"][i], rows["rate_error"][i], magnitude, error, threshold=product.parameters.sigma_clip
    )
    if not result.count:
        return None
    rows["magnitude"][i], rows["magnitude_error"][i] = magnitude, error
    rows["residual"][i], rows["used"][i] = result.residuals, result.used
    product.zeropoint, product.error, product.n_stars = result.value, result.error, result.count
    product.scatter = result.scatter if np.isfinite(result.scatter) else None
    return result
