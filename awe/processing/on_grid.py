"""Frames seen on the pixels of a grid target, without a file between: what regridding and coaddition share."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.fits_sections import MappedPlane, PixelsOnFile
from awe.kernels.choices import PixelArea
from awe.kernels.mesh import SmoothImage
from awe.kernels.pixel_mesh import PixelMesh, overlap_region, pixel_mesh
from awe.kernels.resample import Pixels, Regridder, oversampling_for
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs
from awe.model.coadd import RegriddedFrame
from awe.processing.products import Products


def on_grid(frame: RegriddedFrame, products: Products) -> Regridder:
    """Return the pixels of a regridded frame, made from its inputs wherever they are read.

    Its file, if it has one, is filled in the same way: whether it is stored makes no difference to a coadd.
    """
    p, mesh = frame.parameters, _mesh(frame)
    background = None
    if p.subtract_background and frame.illumination is None:
        background = np.asarray(products.sky(frame.background).nodes, np.float64)
    pixels: Pixels = PixelsOnFile(
        products.mapped(frame.reduced, "IMAGE"),
        products.mapped(frame.weight, "WEIGHT"),
        products.mapped(frame.weight, "FLAGS"),
    )
    assert frame.flux_scale is not None
    if frame.illumination is not None:
        _check_area(frame)
        sky = products.sky(frame.background) if p.subtract_background else None
        pixels = _Illuminated(pixels, sky, products.mapped(frame.illumination, "IMAGE"))
    return Regridder(pixels, mesh, p.kernel, frame.flux_scale, background, p.oversampling or oversampling_for(mesh))


def _check_area(frame: Any) -> None:
    """Raise TaskFailed if the illumination correction takes the size of pixels for something else than the frame."""
    own, other = frame.parameters.pixel_area, frame.illumination.parameters.pixel_area
    if own is not other:
        raise TaskFailed(
            f"{frame.illumination} was made for a {other.value} pixel area, the frame has {own.value}: make it again "
            f"with pixel_area={own.value}"
        )


@dataclass(frozen=True)
class _Illuminated:
    """Pixels less their sky, multiplied by an illumination correction; the weights are those of the products."""

    pixels: Pixels
    sky: SmoothImage | None
    factor: MappedPlane

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape

    def read(self, section: Section) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return image, weight and flags of a section."""
        image, weight, flags = self.pixels.read(section)
        factor = self.factor.section(section).astype(np.float32)
        if self.sky is not None:
            image = np.subtract(image, self.sky.section(section), dtype=np.float32)
        return np.multiply(image, factor, dtype=np.float32), np.divide(weight, factor**2, dtype=np.float32), flags


def _mesh(frame: Any) -> PixelMesh:
    reduced, grid = frame.reduced, frame.grid_target
    source, target = Wcs.from_header(frame.astrometry.wcs), Wcs.from_header(grid.wcs)
    shape = (reduced.naxis2, reduced.naxis1)
    region = overlap_region(source, shape, target, (grid.naxis2, grid.naxis1))
    if region is None:
        raise TaskFailed(f"{reduced} does not overlap {grid}: its centre is at {source.centre(*shape[::-1])}")
    mesh = pixel_mesh(source, target, region, tolerance=frame.parameters.projection_err)
    if frame.parameters.pixel_area is PixelArea.FIXED:
        mesh = replace(mesh, area=np.full_like(mesh.area, np.nanmedian(mesh.area)))
    return mesh
