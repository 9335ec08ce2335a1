"""Measure gain and linearity of a chip on pairs of flats, and correct images by them."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from awe.kernels.linearity import FlatPair, Linearity, fit_linearity, flat_pair, linearise, photon_transfer
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.model.electronics import GainLinearity
from awe.model.persistent import QualityFlag
from awe.model.raw import RawDomeFlatFrame, RawFrame
from awe.processing.exposures import bias_level, trimmed
from awe.processing.products import Products
from awe.processing.tasks import makes

PAIRS = np.dtype(
    [
        *((name, "f8") for name in ("exptime", "level", "level_error", "variance", "variance_error", "full")),
        *((name, "f8") for name in ("true_level", "residual")),
        ("used", "i2"),
    ]
)
"""Rows of the file: s, adu, adu, adu2, adu2, part of full pixels; level by the curve (adu), relative residual."""
SIGNIFICANT = 4.0
"""Sigma by which read noises must differ before one is called wrong."""


@makes(GainLinearity, version=1)
def make_gain_linearity(product: GainLinearity, products: Products) -> None:
    """Compare level and noise of pairs of flats with their exposure times."""
    raws = product.raw_flats
    bias = products.image(product.bias)
    pairs = [_pair(products, one, other, bias, product) for one, other in in_pairs(raws)]
    declared = product.chip.instrument.corrections.get("linearity") or {}
    least, most = declared.get("minimum") or 0.0, declared.get("maximum") or np.inf
    curve = fit_linearity(pairs, product.parameters.order, least, most)
    transfer = photon_transfer(pairs, curve)
    product.coefficients = list(curve.coefficients)
    product.deviation = float(curve.deviation(curve.maximum))
    product.deviation_error = curve.deviation_error(curve.maximum)
    for name in ("minimum", "maximum", "scatter", "rate"):
        setattr(product, name, getattr(curve, name))
    product.n_pairs = curve.count
    product.gain, product.gain_error, product.header_gain = transfer.gain, transfer.gain_error, raws[0].gain
    product.flat_noise, product.flat_noise_error = transfer.read_noise, transfer.read_noise_error
    product.chi_squared = transfer.chi_squared
    _compare(product)
    products.write_table(product, _rows(pairs, curve), "PAIRS")


def in_pairs(raws: list[RawDomeFlatFrame]) -> list[tuple[RawDomeFlatFrame, RawDomeFlatFrame]]:
    """Return flats of equal exposure time two by two, each once, in order of time."""
    alike: dict[float, list[RawDomeFlatFrame]] = defaultdict(list)
    for raw in raws:
        alike[raw.exptime].append(raw)
    return [pair for same in alike.values() for pair in zip(same[::2], same[1::2], strict=False)]


def _pair(
    products: Products, one: RawDomeFlatFrame, other: RawDomeFlatFrame, bias: np.ndarray, product: GainLinearity
) -> FlatPair:
    images = [trimmed(products, raw, product.parameters.overscan, bias) for raw in (one, other)]
    full = np.zeros(bias.shape, bool)
    for raw in (one, other):
        if raw.saturation is not None:
            full |= Section.parse(raw.data_section).cut(products.image(raw)) >= raw.saturation
    return replace(flat_pair(*images, one.exptime, None if full.all() else full), full=float(full.mean()))


def _compare(product: GainLinearity) -> None:
    """Note where gain and read noise differ from what was known of them."""
    tolerance = product.parameters.tolerance
    stated, noise = product.header_gain, product.read_noise
    if abs(product.gain - stated) > tolerance * stated:
        product.note(f"the header's gain, {stated:.3f} electron/adu, is not that of pairs of flats: {product.gain:.3f}")
        product.flag(QualityFlag.NOISE_OUT_OF_RANGE)
    error = np.hypot(product.flat_noise_error, noise.error or 0.0)
    difference = abs(product.flat_noise - noise.value)
    if difference > max(SIGNIFICANT * error, tolerance * noise.value):
        product.note(
            f"the noise of flats tells a read noise of {product.flat_noise:.2f} +- {product.flat_noise_error:.2f} adu, "
            f"pairs of biases {noise.value:.2f} adu"
        )
        product.flag(QualityFlag.NOISE_OUT_OF_RANGE)


def _rows(pairs: list[FlatPair], curve: Linearity) -> np.ndarray:
    rows = np.zeros(len(pairs), PAIRS)
    for name, source in (("exptime", "exptime"), ("level", "level"), ("level_error", "error")):
        rows[name] = [getattr(pair, source) for pair in pairs]
    for name in ("variance", "variance_error", "full"):
        rows[name] = [getattr(pair, name) for pair in pairs]
    rows["true_level"] = rows["level"] * (1 + curve.deviation(rows["level"]))
    rows["residual"] = rows["true_level"] / (curve.rate * rows["exptime"]) - 1
    rows["used"] = (rows["level"] >= curve.minimum) & (rows["level"] <= curve.maximum)
    return rows


def linearised(image: np.ndarray, linearity: GainLinearity | None) -> np.ndarray:
    """Return an image, less overscan and bias, as a linear detector would have given it; as it is without linearity."""
    if linearity is None:
        return image
    assert linearity.coefficients is not None
    assert linearity.maximum is not None
    return linearise(image, linearity.coefficients, linearity.maximum)


def flattened(
    raw_image: np.ndarray, raw: RawFrame, by: Any, products: Products, flags: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the exposed pixels of a raw frame, calibrated by `bias`, `linearity`, `dark` and `flat` of a product.

    Without linearity that is one pass over the pixels; the overscan is removed as the parameters of the product say.
    """
    section = Section.parse(raw.data_section)
    level = bias_level(raw_image, raw, by.parameters.overscan)
    bias, dark, flat = (products.image(f) if f is not None else None for f in (by.bias, by.dark, by.flat))
    if by.linearity is None:
        return calibrate(raw_image, section, level, bias, dark, raw.exptime, flat, flags)
    signal = linearised(calibrate(raw_image, section, level, bias)[0], by.linearity)
    whole = Section.whole(signal.shape)
    return calibrate(signal, whole, 0.0, None, dark, raw.exptime, flat, flags)
