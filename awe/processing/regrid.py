"""Bring reduced frames onto the pixels of a grid target."""

from dataclasses import replace

import numpy as np

from awe.errors import TaskFailed
from awe.kernels.pixel_mesh import PixelMesh, overlap_region, pixel_mesh
from awe.kernels.resample import noise_scale, resample
from awe.kernels.wcs import Wcs
from awe.model.coadd import PixelArea, RegriddedFrame
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(RegriddedFrame, version=1)
def make_regridded_frame(product: RegriddedFrame, products: Products) -> None:
    """Subtract the background, resample onto the grid, and scale to the common zeropoint; weight and flags go along."""
    reduced, grid, p = product.reduced, product.grid_target, product.parameters
    source, target = Wcs.from_header(product.astrometry.wcs), Wcs.from_header(grid.wcs)
    shape = (reduced.naxis2, reduced.naxis1)
    region = overlap_region(source, shape, target, (grid.naxis2, grid.naxis1))
    if region is None:
        raise TaskFailed(f"{reduced} does not overlap {grid}: its centre is at {source.centre(*shape[::-1])}")
    image = products.plane(reduced, "IMAGE")
    if p.subtract_background:
        image -= products.plane(product.background, "IMAGE")
    product.flux_scale = 10 ** (0.4 * (p.zeropoint - product.photometry.zeropoint)) / (reduced.exptime or 1.0)
    mesh = pixel_mesh(source, target, region)
    if p.pixel_area is PixelArea.FIXED:
        mesh = replace(mesh, area=np.full_like(mesh.area, np.nanmedian(mesh.area)))
    weight, flags = (products.plane(product.weight, name) for name in ("WEIGHT", "FLAGS"))
    result = resample(image, weight, flags, mesh, p.kernel, product.flux_scale)
    _describe(product, mesh)
    product.x0, product.y0 = region.x0, region.y0
    planes = {"IMAGE": result.image, "WEIGHT": result.weight, "FLAGS": result.flags}
    if not (result.weight > 0).any():
        raise TaskFailed(f"{reduced} has no good pixel on {grid}")
    products.write(product, planes, target.shifted(-region.x0, -region.y0))


def _describe(product: RegriddedFrame, mesh: PixelMesh) -> None:
    product.zeropoint, product.zeropoint_error = product.parameters.zeropoint, product.photometry.error
    product.noise_scale = noise_scale(mesh, product.parameters.kernel)
    product.seeing, product.astrometric_rms = product.astrometry.seeing, product.astrometry.rms
    product.gain = product.reduced.gain / product.flux_scale if product.reduced.gain else None
