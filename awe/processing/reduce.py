"""Make reduced frames and the map of saturated pixels."""

import numpy as np

from awe.kernels.defects import saturated_pixels
from awe.kernels.flags import PixelFlag
from awe.kernels.fringes import fringe_scale, own_share, ripples
from awe.kernels.sections import Section
from awe.kernels.statistics import clipped_statistics, sample
from awe.model.persistent import QualityFlag
from awe.model.science import ReducedFrame, SaturatedPixelMap
from awe.processing.bias import flagged
from awe.processing.crosstalk import undisturbed
from awe.processing.exposures import wcs_of
from awe.processing.linearity import flattened
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


@makes(ReducedFrame, version=2, reads=("fringes.raws",))
def make_reduced_frame(product: ReducedFrame, products: Products) -> None:
    """Remove overscan, bias and dark from an exposure, divide it by the flat, and gather the flags.

    Where the instrument declares them: crosstalk is taken off the raw pixels, the signal is made linear once the bias
    is off, and fringes are subtracted at the end.
    """
    raw, section = product.raw, Section.parse(product.raw.data_section)
    product.noise = product.read_noise.value if product.read_noise is not None else _stated_noise(product)
    image, flags = products.image(raw), _flags(product, products, section.shape)
    if product.crosstalk is not None:
        image, unknown = undisturbed(image, product, products)
        flags[section.cut(unknown)] |= np.uint8(PixelFlag.NO_DATA)
    image, flags = flattened(image, raw, product, products, flags)
    if product.fringes is not None:
        _subtract_fringes(product, products, image, flags)
    _measure(product, image, flags)
    products.write(product, {"IMAGE": image, "FLAGS": flags}, wcs_of(raw))


def _subtract_fringes(product: ReducedFrame, products: Products, image: np.ndarray, flags: np.ndarray) -> None:
    """Scale the fringes to the exposure and take them off its image, and note how strong they are."""
    fringes = product.fringes
    assert fringes is not None
    pattern, p = products.plane(fringes, "IMAGE"), fringes.parameters
    found = ripples(image, flags > 0, p.back_size)
    is_of_it = any(raw.object_id == product.raw.object_id for raw in fringes.raws)
    share = own_share(fringes.n_frames or 1, found.level, p.smoothing) if is_of_it else 0.0
    scale = fringe_scale(found, pattern, fringes.noise or 0.0, share)
    product.fringe_scale = scale.value
    product.fringe_scale_error = scale.error if np.isfinite(scale.error) else None
    image -= np.where(flags & PixelFlag.NO_DATA, 0, np.float32(scale.value) * pattern)


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
    product.gain = product.linearity.gain if product.linearity is not None else product.raw.gain
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
