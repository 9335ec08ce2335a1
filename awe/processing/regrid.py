"""Bring reduced frames onto the pixels of a grid target."""

from awe.kernels.correlated_noise import noise_scale
from awe.kernels.resample import Regridder, regridded
from awe.kernels.wcs import Wcs
from awe.model.coadd import RegriddedFrame
from awe.processing.illumination import zeropoint_of
from awe.processing.on_grid import on_grid
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(RegriddedFrame, version=5)
def make_regridded_frame(product: RegriddedFrame, products: Products) -> None:
    """Subtract the background, resample onto the grid, and scale to the common zeropoint; weight and flags go along.

    Where the instrument declares it, what is left above the background is first multiplied by the illumination
    correction.

    Without `keep_regridded` in the settings only what is known of the frame is kept, and no file: coadds read the
    reduced frame itself, and come out the same.
    """
    p = product.parameters
    product.flux_scale = 10 ** (0.4 * (p.zeropoint - zeropoint_of(product, products))) / (
        product.reduced.exptime or 1.0
    )
    source = on_grid(product, products)
    region = source.region
    _describe(product, source)
    product.x0, product.y0 = region.x0, region.y0
    wcs = Wcs.from_header(product.grid_target.wcs).shifted(-region.x0, -region.y0)
    if not products.keep_regridded:
        products.describe(product, region.shape, wcs)
        return
    result = regridded(source)
    products.write(product, {"IMAGE": result.image, "WEIGHT": result.weight, "FLAGS": result.flags}, wcs)


def _describe(product: RegriddedFrame, source: Regridder) -> None:
    product.zeropoint, product.zeropoint_error = product.parameters.zeropoint, product.photometry.error
    product.oversampled = source.oversampling
    product.noise_scale = noise_scale(source.mesh, product.parameters.kernel, oversampling=source.oversampling)
    product.seeing, product.astrometric_rms = product.astrometry.seeing, product.astrometry.rms
    product.gain = product.reduced.gain / product.flux_scale if product.reduced.gain else None
