"""Make illumination corrections, and tell the zeropoint of a frame that was corrected."""

import numpy as np

from awe.kernels.association import associate
from awe.kernels.choices import PixelArea
from awe.kernels.illumination import StarResiduals, fit_illumination
from awe.kernels.wcs import Wcs
from awe.kernels.zeropoint import MAG_PER_RELATIVE
from awe.model.coadd import RegriddedFrame
from awe.model.illumination import IlluminationCorrection
from awe.model.persistent import QualityFlag
from awe.model.photometric import PhotometricParameters
from awe.processing.products import Products
from awe.processing.tasks import makes

SAME = 1.0
"""Distance (arcsec) within which sources in several frames are the same star."""
GRID = 16
"""Positions along a side at which the error of the correction is looked at."""


@makes(IlluminationCorrection, version=1, reads=("photometry.reduced", "photometry.astrometry"))
def make_illumination_correction(product: IlluminationCorrection, products: Products) -> None:
    """Fit the residuals of stars of known magnitude against their place on the chip."""
    p = product.parameters
    first = product.photometry[0].reduced
    shape = (int(first.naxis2 or 0), int(first.naxis1 or 0))
    stars = _numbered([_stars(products, one, p.pixel_area) for one in _told(product)])
    found = fit_illumination(stars, shape, p.degree, p.sigma_clip)
    product.degree, product.coefficients = found.degree, found.coefficients.tolist()
    product.n_stars, product.n_rejected = found.count, found.rejected
    image = found.image()
    product.peak_to_peak = float(2.5 * np.log10(image.max() / image.min()))
    if found.degree:
        x, y = (axis.ravel() for axis in np.meshgrid(*(np.linspace(0, n - 1, GRID) for n in shape[::-1])))
        product.error, product.scatter = float(np.median(found.error_at(x, y))), found.scatter
    else:
        product.note(f"{found.count} stars of known magnitude are too few: nothing is corrected")
        product.flag(QualityFlag.FEW_INPUTS)
    product.bunit = ""
    products.write(product, {"IMAGE": image})


def _told(product: IlluminationCorrection) -> list[PhotometricParameters]:
    """Return the zeropoints by stars of known magnitude; note at the others that they tell nothing."""
    used = []
    for one, member in zip(product.photometry, product.photometry_members, strict=True):
        member.used = one.method == "catalogue"
        if member.used:
            used.append(one)
        else:
            member.reason = "its zeropoint is not by stars of known magnitude"
    return used


def _numbered(frames: list[tuple[np.ndarray, np.ndarray]]) -> list[StarResiduals]:
    """Return the stars of each frame with numbers that are the same for the same star."""
    same = associate([(rows["ra"], rows["dec"]) for rows, _ in frames], SAME)
    found = []
    for number, (rows, residual) in enumerate(frames):
        star = np.zeros(len(rows), np.int64)
        own = same.list_number == number
        star[same.row[own]] = same.aid[own]
        found.append(StarResiduals(rows["x"], rows["y"], residual, _flux_error(rows), rows["magnitude_error"], star))
    return found


def _stars(products: Products, photometry: PhotometricParameters, area: PixelArea) -> tuple[np.ndarray, np.ndarray]:
    """Return the stars of known magnitude of a frame, and their residuals (mag).

    A frame that is flat in the sky shows stars on large pixels too faint. Regridding with a fixed pixel area makes up
    for that, so it is taken out of the residuals.
    """
    rows = products.table(photometry)
    rows = rows[np.isfinite(rows["residual"]) & (rows["flags"] == 0)]
    residual = rows["residual"].astype(np.float64)
    if area is PixelArea.FIXED and len(rows):
        residual = residual + 2.5 * np.log10(
            Wcs.from_header(photometry.astrometry.wcs).pixel_area(rows["x"], rows["y"])
        )
        residual -= residual.mean() - rows["residual"].mean()
    return rows, residual


def _flux_error(rows: np.ndarray) -> np.ndarray:
    return np.asarray(MAG_PER_RELATIVE * rows["rate_error"] / rows["rate"], np.float64)


def zeropoint_of(frame: RegriddedFrame, products: Products) -> float:
    """Return the magnitude of 1 adu/s in a frame that is regridded, once it is multiplied by its illumination.

    The zeropoint that its stars gave is a mean over the places where they happen to lie: the correction there is
    taken off. Zeropoints that other frames gave are means over a chip, where the correction is 0.
    """
    photometry = frame.photometry
    assert photometry.zeropoint is not None
    if frame.illumination is None or photometry.method != "catalogue":
        return photometry.zeropoint
    rows = products.table(photometry)
    rows = rows[rows["used"] > 0]
    image = products.plane(frame.illumination, "IMAGE")
    y, x = (np.clip(np.rint(rows[name]).astype(int), 0, n - 1) for name, n in zip("yx", image.shape, strict=True))
    weight = 1 / (
        _flux_error(rows) ** 2 + rows["magnitude_error"].astype(np.float64) ** 2 + (photometry.scatter or 0.0) ** 2
    )
    return float(photometry.zeropoint - np.average(-2.5 * np.log10(image[y, x]), weights=weight))
