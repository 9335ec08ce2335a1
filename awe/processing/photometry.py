"""Find the zeropoint of one frame: from catalogue stars, from the standard field of the night, or relative."""

from typing import Any

import numpy as np

from awe.kernels.flags import PixelFlag
from awe.kernels.wcs import Wcs
from awe.kernels.zeropoint import MAG_PER_RELATIVE, Zeropoint, aperture_correction, zeropoint
from awe.model.persistent import QualityFlag
from awe.model.photometric import PhotometricParameters
from awe.processing.products import Products
from awe.processing.stars import Detections, detections, epoch_of, matched, reference_stars
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


@makes(PhotometricParameters, version=4)
def make_photometric_parameters(product: PhotometricParameters, products: Products) -> None:
    """Compare fluxes with known magnitudes; else take the zeropoint of the standard field, or a relative one."""
    reduced = product.reduced
    product.airmass = reduced.airmass
    product.extinction = reduced.filter.extinction if reduced.filter is not None else 0.0
    p = product.parameters
    rows, found, common_error, product.aperture = measured_stars(product, products, p.aperture, p.threshold)
    _compare(product, products, rows, found, Wcs.from_header(product.astrometry.wcs), common_error)
    products.write_table(product, rows, "STARS")


def measured_stars(
    product: Any, products: Products, aperture: float, threshold: float
) -> tuple[np.ndarray, Detections, float, float]:
    """Return stars with their total adu/s, detections, the error (mag) common to all stars, and the radius (arcsec).

    Parameters
    ----------
    product
        Has a reduced frame with weight, background and astrometry; takes notes.
    aperture : float
        Radius in units of the seeing.
    threshold : float, sigma
    """
    seeing, scale = product.astrometry.seeing or NOMINAL_SEEING, product.astrometry.pixel_scale
    radius = aperture * seeing
    found = detections(product, products, threshold, (2 * min(CORE * seeing, radius) / scale, 2 * radius / scale))
    exptime = product.reduced.exptime or 1.0
    flux, error, common_error = _total(product, found)
    wcs = Wcs.from_header(product.astrometry.wcs)
    rows = np.zeros(len(found.rows), STARS)
    rows["x"], rows["y"] = found.x, found.y
    rows["ra"], rows["dec"] = wcs.to_sky(found.x, found.y)
    rows["rate"], rows["rate_error"] = flux / exptime, error / exptime
    for name in ("magnitude", "magnitude_error", "residual"):
        rows[name] = np.nan
    spoiled = int(PixelFlag.SATURATED | PixelFlag.NO_DATA)
    rows["flags"] = np.where(found.rows["IMAFLAGS"] & spoiled, 1, 0)
    return rows, found, common_error, radius


def _total(product: Any, found: Detections) -> tuple[np.ndarray, np.ndarray, float]:
    """Return fluxes within the aperture, their errors, and the error (mag) of the correction that all share.

    The fluxes of the core, times what bright single stars have in the aperture over what they have in the core: an
    aperture that holds all light of a star holds much of its neighbours' too. Without such stars the plain sum.
    """
    (core, whole), (core_error, whole_error) = (found.rows[n].T for n in ("FLUX_APER", "FLUXERR_APER"))
    own = found.clean
    growth = aperture_correction(core[own], core_error[own], whole[own], whole_error[own])
    if not growth.count:
        product.note("no bright single star tells its aperture correction: fluxes are plain sums in the aperture")
        return whole, whole_error, 0.0
    return core * growth.value, core_error * growth.value, MAG_PER_RELATIVE * growth.error / growth.value


def _compare(
    product: PhotometricParameters,
    products: Products,
    rows: np.ndarray,
    found: Detections,
    wcs: Wcs,
    common_error: float,
) -> None:
    """Set the zeropoint by the best method there is; `common_error` (mag) is that of all fluxes of the frame."""
    bound = _bound(product)
    if bound is None:
        _alone(product, products, rows, found, wcs)
        if product.error is not None:
            product.error = float(np.hypot(product.error, common_error))
        return
    if product.catalogue is not None and _by_catalogue(product, products, rows, found, wcs):
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


def _alone(product: PhotometricParameters, products: Products, rows: np.ndarray, found: Detections, wcs: Wcs) -> None:
    """Set the zeropoint by what this frame tells, or the standard field, or another exposure."""
    if product.catalogue is not None and _by_catalogue(product, products, rows, found, wcs):
        return
    if product.standard is not None and product.standard.method == "catalogue":
        _by_standard(product)
    elif product.reference is not None and _by_reference(product, products, rows, found, wcs):
        return
    else:
        product.method, product.zeropoint = "none", product.parameters.nominal
        product.note("nothing tells its zeropoint: the nominal one is arbitrary, and relative ones are tied to it")
        product.flag(QualityFlag.PHOTOMETRY_NOT_CALIBRATED)


def _by_catalogue(
    product: PhotometricParameters, products: Products, rows: np.ndarray, found: Detections, wcs: Wcs
) -> bool:
    reduced, band = product.reduced, product.reduced.filter.band
    shape = (reduced.naxis2, reduced.naxis1)
    stars = reference_stars(products, product.catalogue, wcs, shape, 0.0, epoch_of(reduced.mjd_obs))
    stars = stars[np.isfinite(stars[f"mag_{band}"])]
    radius = max(product.parameters.radius, 3 * (product.astrometry.rms_sky or 0.0))
    i, j = matched(wcs, found, stars["ra"], stars["dec"], radius)
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


def _by_reference(
    product: PhotometricParameters, products: Products, rows: np.ndarray, found: Detections, wcs: Wcs
) -> bool:
    reference = product.reference
    stars = products.table(reference)
    good = (stars["rate"] > 0) & (stars["flags"] == 0) & (stars["rate"] > 10 * stars["rate_error"])
    stars = stars[good]
    i, j = matched(wcs, found, stars["ra"], stars["dec"], product.parameters.radius)
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
