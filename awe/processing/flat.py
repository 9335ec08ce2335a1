"""Make flat fields and the map of cold pixels."""

import numpy as np

from awe.kernels.defects import cold_pixels
from awe.kernels.flags import PixelFlag
from awe.kernels.flatfield import Flat, flat_level, master_flat
from awe.kernels.noise import DetectorNoise, read_noise
from awe.kernels.statistics import clipped_statistics
from awe.model.flatfield import ColdPixelMap, DomeFlatFrame, MasterFlatFrame, TwilightFlatFrame
from awe.model.persistent import QualityFlag
from awe.model.raw import RawFrame
from awe.processing.bias import ENOUGH, flagged, inverse
from awe.processing.exposures import combined, trimmed
from awe.processing.linearity import linearised
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(DomeFlatFrame, version=1)
def make_dome_flat_frame(product: DomeFlatFrame, products: Products) -> None:
    """Combine raw dome flats, less the bias, each divided by its level."""
    _make_flat(product, products)


@makes(TwilightFlatFrame, version=1)
def make_twilight_flat_frame(product: TwilightFlatFrame, products: Products) -> None:
    """Combine raw twilight flats, less the bias, each divided by its level."""
    _make_flat(product, products)


def _make_flat(product: DomeFlatFrame | TwilightFlatFrame, products: Products) -> None:
    p, raws = product.parameters, product.raw_flats
    bias = products.image(product.bias)
    hot = products.plane(product.hot_pixels, "FLAGS") > 0

    def prepare(raw: RawFrame) -> np.ndarray:
        light = linearised(trimmed(products, raw, p.overscan, bias), product.linearity)
        return np.where(hot, np.float32(np.nan), light)

    levels = [_level(raw, prepare(raw)) for raw in raws]
    noise = DetectorNoise(raws[0].gain, product.read_noise.value)
    master = combined(products, raws, prepare, p.combine, p.sigma_clip, noise, [1 / level for level in levels])
    product.level = float(np.median(levels))
    product.gain = _gain([prepare(raw) / level for raw, level in zip(raws[:2], levels[:2], strict=True)], levels, noise)
    product.sigma = clipped_statistics(master.image).sigma
    product.bunit = ""
    if len(raws) < ENOUGH:
        product.flag(QualityFlag.FEW_INPUTS)
    products.write(product, {"IMAGE": _filled(master.image), "WEIGHT": inverse(master.variance)})


def _level(raw: RawFrame, image: np.ndarray) -> float:
    """Return the level of a flat exposure; name it if it has no light."""
    try:
        return flat_level(image)
    except ValueError as error:
        raise ValueError(f"{raw}: {error}; judge it invalid (awe judge {raw.object_id} --invalid)") from error


def _gain(normalised: list[np.ndarray], levels: list[float], noise: DetectorNoise) -> float | None:
    """Return the gain (electron/adu) by photon transfer from two normalised flats; None if there are no two.

    The variance of their difference is (1/l1 + 1/l2) / gain + r^2 (1/l1^2 + 1/l2^2), at levels l and read noise r.
    """
    if len(normalised) < 2:
        return None
    inverse_levels = 1 / np.array(levels[:2])
    variance = 2 * read_noise(normalised).value ** 2 - noise.read_noise**2 * np.sum(inverse_levels**2)
    return float(np.sum(inverse_levels) / variance) if variance > 0 else None


def _filled(image: np.ndarray) -> np.ndarray:
    """Return a flat with response 0 where no exposure had a good pixel."""
    return np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)


@makes(MasterFlatFrame, version=2)
def make_master_flat_frame(product: MasterFlatFrame, products: Products) -> None:
    """Join dome and twilight flat: small scales of the dome, large scales of the twilight; one alone is taken as is."""
    dome, twilight = (_flat(products, frame) for frame in (product.dome, product.twilight))
    flat = master_flat(dome, twilight, int(product.parameters.smoothing))
    product.sigma = clipped_statistics(flat.image).sigma
    product.bunit = ""
    products.write(product, {"IMAGE": _filled(flat.image), "WEIGHT": inverse(flat.variance)})


def _flat(products: Products, frame: DomeFlatFrame | TwilightFlatFrame | None) -> Flat | None:
    if frame is None:
        return None
    image, weight = products.plane(frame, "IMAGE"), products.plane(frame, "WEIGHT")
    good = weight > 0
    variance = np.divide(1, weight, where=good, out=np.full(weight.shape, np.nan, np.float32))
    return Flat(np.where(good, image, np.nan), variance)


@makes(ColdPixelMap, version=2)
def make_cold_pixel_map(product: ColdPixelMap, products: Products) -> None:
    """Flag pixels of the flat whose response differs too much from that of their surroundings."""
    p = product.parameters
    mask = cold_pixels(products.image(product.flat), p.low, p.high)
    product.count, product.bunit = int(mask.sum()), ""
    products.write(product, {"FLAGS": flagged(mask, PixelFlag.COLD)})
