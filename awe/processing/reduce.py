"""Make reduced frames and the map of saturated pixels."""

import numpy as np

from awe.kernels.defects import saturated_pixels
from awe.kernels.flags import PixelFlag
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.statistics import clipped_statistics, sample
from awe.model.persistent import QualityFlag
from awe.model.science import ReducedFrame, SaturatedPixelMap
from awe.processing.bias import flagged
from awe.processing.exposures import bias_level, wcs_of
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(SaturatedPixelMap, version=1)
def make_saturated_pixel_map(product: SaturatedPixelMap, products: Products) -> None:
    """Flag the pixels of an exposure that were full, and their neighbours."""
    raw, p = product.raw, product.parameters
    image = Section.parse(raw.data_section).cut(products.image(raw))
    mask = np.zeros(image.shape, bool)
    if raw.saturation is not None:
        mask = saturated_pixels(image, p.fraction * raw.saturation, p.grow)
    product.count, product.bunit = int(mask.sum()), ""
    products.write(product, {"FLAGS": flagged(mask, PixelFlag.SATURATED)})


@makes(ReducedFrame, version=2)
def make_reduced_frame(product: ReducedFrame, products: Products) -> None:
    """Remove overscan, bias and dark from an exposure, divide it by the flat, and gather the flags."""
    raw = product.raw
    image, section = products.image(raw), Section.parse(raw.data_section)
    bias, dark, flat = (
        products.image(frame) if frame is not None else None for frame in (product.bias, product.dark, product.flat)
    )
    image, flags = calibrate(
        image,
        section,
        bias_level(image, raw, product.parameters.overscan),
        bias,
        dark,
        raw.exptime,
        flat,
        _flags(product, products, section.shape),
    )
    _measure(product, image, flags)
    products.write(product, {"IMAGE": image, "FLAGS": flags}, wcs_of(raw))


def _flags(product: ReducedFrame, products: Products, shape: tuple[int, ...]) -> np.ndarray:
    flags = np.zeros(shape, np.uint8)
    for frame in (product.hot_pixels, product.cold_pixels, product.saturated_pixels):
        if frame is not None:
            flags |= products.plane(frame, "FLAGS")
    return flags


def _measure(product: ReducedFrame, image: np.ndarray, flags: np.ndarray) -> None:
    good = flags == 0
    if not good.any():
        raise ValueError("all of its pixels are bad: nothing of it can be used")
    statistics = clipped_statistics(sample(image, flags > 0))
    product.background, product.sigma = statistics.median, statistics.sigma
    product.gain = product.raw.gain
    product.noise = product.read_noise.value if product.read_noise is not None else _stated_noise(product)
    product.bad_fraction = float(1 - good.mean())
    if product.bad_fraction > product.parameters.maximum_bad:
        product.flag(QualityFlag.MANY_BAD_PIXELS)
    if product.bias is None or product.flat is None:
        product.flag(QualityFlag.NOT_CALIBRATED)
        missing = [name for name in ("bias", "flat") if getattr(product, name) is None]
        product.note(f"there was no {' and no '.join(missing)}; the instrument does not require it")


def _stated_noise(product: ReducedFrame) -> float:
    stated = product.raw.header_read_noise
    return stated / product.raw.gain if stated is not None else 0.0
