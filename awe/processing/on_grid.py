"""Frames seen on the pixels of a grid target, without a file between: what regridding and coaddition share."""

from dataclasses import replace
from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.fits_sections import PixelsOnFile
from awe.kernels.pixel_mesh import PixelMesh, overlap_region, pixel_mesh
from awe.kernels.resample import Regridder, oversampling_for
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs
from awe.model.coadd import PixelArea, RegriddedFrame
from awe.processing.products import Products


def on_grid(frame: RegriddedFrame, products: Products) -> Regridder:
    """Return the pixels of a regridded frame, made from its inputs wherever they are read.

    Its file, if it has one, is filled in the same way: whether it is stored makes no difference to a coadd.
    """
    p, mesh = frame.parameters, _mesh(frame)
    background = None
    if p.subtract_background:
        nodes = products.mapped(frame.background, "MESH")
        background = np.asarray(nodes.section(Section.whole(nodes.shape)), np.float64)
    pixels = PixelsOnFile(
        products.mapped(frame.reduced, "IMAGE"),
        products.mapped(frame.weight, "WEIGHT"),
        products.mapped(frame.weight, "FLAGS"),
    )
    assert frame.flux_scale is not None
    return Regridder(pixels, mesh, p.kernel, frame.flux_scale, background, oversampling_for(mesh))


def _mesh(frame: Any) -> PixelMesh:
    reduced, grid = frame.reduced, frame.grid_target
    source, target = Wcs.from_header(frame.astrometry.wcs), Wcs.from_header(grid.wcs)
    shape = (reduced.naxis2, reduced.naxis1)
    region = overlap_region(source, shape, target, (grid.naxis2, grid.naxis1))
    if region is None:
        raise TaskFailed(f"{reduced} does not overlap {grid}: its centre is at {source.centre(*shape[::-1])}")
    mesh = pixel_mesh(source, target, region)
    if frame.parameters.pixel_area is PixelArea.FIXED:
        mesh = replace(mesh, area=np.full_like(mesh.area, np.nanmedian(mesh.area)))
    return mesh
