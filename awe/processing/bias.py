"""Make master biases, master darks, and the map of hot pixels."""

import numpy as np

from awe.kernels.defects import hot_pixels
from awe.kernels.flags import PixelFlag
from awe.kernels.noise import DetectorNoise
from awe.kernels.statistics import clipped_statistics
from awe.model.detector import BiasFrame, DarkFrame, HotPixelMap
from awe.model.persistent import QualityFlag
from awe.model.raw import RawDarkFrame
from awe.processing.exposures import combined, exposed, trimmed
from awe.processing.products import Products
from awe.processing.tasks import makes

ENOUGH = 3


@makes(BiasFrame, version=1)
def make_bias_frame(product: BiasFrame, products: Products) -> None:
    """Combine raw biases, less their overscan; the weight plane is the inverse variance of the master."""
    p, raws = product.parameters, product.raw_biases
    product.raw_level = float(np.mean([np.median(image) for image in exposed(products, raws)]))
    noise = DetectorNoise(raws[0].gain, product.read_noise.value)
    master = combined(products, raws, lambda raw: trimmed(products, raw, p.overscan), p.combine, p.sigma_clip, noise)
    statistics = clipped_statistics(master.image)
    product.mean, product.sigma = statistics.mean, statistics.sigma
    if len(raws) < ENOUGH:
        product.flag(QualityFlag.FEW_INPUTS)
    products.write(product, {"IMAGE": master.image, "WEIGHT": inverse(master.variance)})


@makes(DarkFrame, version=1)
def make_dark_frame(product: DarkFrame, products: Products) -> None:
    """Combine raw darks, less the bias, scaled to one second."""
    p, raws = product.parameters, product.raw_darks
    bias = products.image(product.bias)
    scales = [1 / _exposed(raw) for raw in raws]
    master = combined(
        products, raws, lambda raw: trimmed(products, raw, p.overscan, bias), p.combine, p.sigma_clip, scales=scales
    )
    statistics = clipped_statistics(master.image)
    product.mean, product.sigma, product.bunit = statistics.mean, statistics.sigma, "adu/s"
    if len(raws) < ENOUGH:
        product.flag(QualityFlag.FEW_INPUTS)
    products.write(product, {"IMAGE": master.image, "WEIGHT": inverse(master.variance)})


def _exposed(raw: RawDarkFrame) -> float:
    """Return the exposure time (s) of a dark; raise ValueError if there is none, as it tells nothing of the current."""
    if not raw.exptime or not raw.exptime > 0:
        raise ValueError(f"{raw} must have an exposure time above 0 s, it has {raw.exptime} s; judge it invalid")
    return raw.exptime


@makes(HotPixelMap, version=2)
def make_hot_pixel_map(product: HotPixelMap, products: Products) -> None:
    """Flag pixels and columns of the master bias that stand out of their surroundings."""
    mask = hot_pixels(products.image(product.bias), product.parameters.threshold)
    columns = np.flatnonzero(mask.mean(axis=0) > 0.5)
    product.count = int(mask.sum())
    product.columns = " ".join(map(str, columns[:200]))
    product.bunit = ""
    products.write(product, {"FLAGS": flagged(mask, PixelFlag.HOT)})


def flagged(mask: np.ndarray, flag: PixelFlag) -> np.ndarray:
    """Return a flag map (uint8) with one bit set where the mask is true."""
    return np.where(mask, np.uint8(flag), np.uint8(0))


def inverse(variance: np.ndarray) -> np.ndarray:
    """Return the inverse variance; 0 where the variance is not a positive number."""
    good = np.isfinite(variance) & (variance > 0)
    return np.divide(1, variance, where=good, out=np.zeros(variance.shape, np.float32), dtype=np.float32)
