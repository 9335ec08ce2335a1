"""What detection needs of a frame, wherever it comes from."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.kernels.background import background_map
from awe.kernels.choices import Method
from awe.kernels.planes import Rows, Scene
from awe.kernels.sections import Section
from awe.model.coadd import Coadd
from awe.model.lineage import is_external
from awe.processing.grids import other_pixels
from awe.processing.products import Products

LARGEST_CHIP = 1 << 24
"""Pixels of the largest image of which several are worked on at a time."""
SKY_SIGMAS = 5.0
"""Significance of what is left out when the sky of an image without a background of its own is measured."""


def scene_of(product: Any, products: Products) -> Scene:
    """Return the image of `product.frame`, with its weight and background, as rows that are read when needed.

    Raises
    ------
    TaskFailed
        If the frame holds no image.
    """
    return _scene(product.frame, product.weight, product.background, products)


def scene_of_reduced(product: Any, products: Products) -> Scene:
    """Return the image of `product.reduced`, with its weight and background, as `scene_of` returns that of a frame."""
    return _scene(product.reduced, product.weight, product.background, products)


def scene_of_detection(product: Any, products: Products) -> Scene:
    """Return the image of `product.detection`, as `scene_of` returns that of its frame.

    Raises
    ------
    TaskFailed
        If it holds no image, or its pixels are not those of the frame.
    """
    why = other_pixels(product.frame, product.detection)
    if why:
        raise TaskFailed(f"sources of {product.frame} can't be detected on {product.detection}: {why}")
    return _scene(product.detection, None, None, products)


def _scene(frame: Any, own_weight: Any, own_background: Any, products: Products) -> Scene:
    planes = products.planes(frame)
    if "IMAGE" not in planes:
        raise TaskFailed(f"{frame} holds no image in which sources could be found")
    ny, nx = planes.shape
    # neighbouring pixels of a regridded image are correlated: sums over many of them are noisier by this factor
    noise_scale = np.float32((getattr(frame, "noise_scale", None) or 1.0) ** 2)
    told_by, weights = frame, planes
    if own_weight is not None:
        told_by, weights, noise_scale = own_weight, products.planes(own_weight), np.float32(1)
    image = products.mapped(frame, "IMAGE")
    weight_map, flag_map = (products.mapped(told_by, n) if n in weights else None for n in ("WEIGHT", "FLAGS"))
    sky: Any = None
    if own_background is None and _has_sky(frame):
        weight = weights.rows("WEIGHT") if "WEIGHT" in weights else None
        try:
            sky = background_map(planes.rows("IMAGE"), weight=weight, mask_sources=SKY_SIGMAS).level
        except ValueError as cause:
            raise TaskFailed(
                f"{frame} has no sky to be measured above which sources could be found: {cause}"
            ) from cause
    level = products.sky(own_background) if own_background is not None else None

    def read(y0: int, y1: int) -> Rows:
        rows = Section(0, nx, y0, y1)
        weight = None if weight_map is None else weight_map.section(rows)
        if weight is not None and noise_scale != 1:
            weight = weight / noise_scale
        flags = None if flag_map is None else flag_map.section(rows)
        background: Any = 0.0 if sky is None else sky[y0:y1]
        if level is not None:
            background = level.rows(y0, y1)
        return Rows(image.section(rows), weight, flags, background)

    return Scene(read, (ny, nx), getattr(frame, "gain", None) or np.inf)


def _has_sky(frame: Any) -> bool:
    """Return whether an image without a background of its own may have a sky to be subtracted.

    Of frames made elsewhere nobody said whether it was. That of a chi-squared coadd is the number of its exposures.
    """
    if is_external(frame):
        return True
    parameters = frame.parameters if isinstance(frame, Coadd) else None
    return parameters is not None and parameters.combine is Method.CHI_SQUARED


def threads_for(scene: Scene) -> int:
    """Return on how many threads to work: chips share the cores among processes, a large coadd has them for itself."""
    ny, nx = scene.shape
    return (os.cpu_count() or 1) if ny * nx > LARGEST_CHIP else 1


@dataclass(frozen=True)
class Calibrated:
    """What turns pixels into places on the sky and adu into magnitudes."""

    cards: Any
    zeropoint: float | None
    """Magnitude of 1 adu."""


def calibration_of(product: Any) -> Calibrated:
    """Return the astrometry and photometry of the frame of a source list."""
    frame = product.frame
    cards, zeropoint = frame.wcs, getattr(frame, "zeropoint", None)
    if product.astrometry is not None:
        cards = product.astrometry.wcs
    if product.photometry is not None:
        zeropoint = product.photometry.zeropoint + 2.5 * np.log10(frame.exptime or 1.0)
    return Calibrated(cards, zeropoint)
