"""Measure the read noise of a chip."""

from awe.kernels.noise import read_noise
from awe.model.detector import ReadNoise
from awe.model.persistent import QualityFlag
from awe.processing.exposures import exposed
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(ReadNoise, version=2)
def make_read_noise(product: ReadNoise, products: Products) -> None:
    """Measure the read noise on differences of pairs of biases, and compare it with what the header says."""
    raws = product.raw_biases
    estimate = read_noise(exposed(products, raws), None, product.parameters.sigma_clip)
    product.value, product.error, product.gain = estimate.value, estimate.error, raws[0].gain
    product.plain_value = estimate.plain
    stated = raws[0].header_read_noise
    if stated is None:
        return
    product.header_value = stated / raws[0].gain
    if abs(product.header_value - product.value) > product.parameters.tolerance * product.value:
        product.note(
            f"the header's read noise, {stated:.2f} electron = {product.header_value:.2f} adu, is wrong: "
            f"pairs of biases give {product.value:.2f} +- {product.error:.2f} adu = "
            f"{product.value * raws[0].gain:.2f} electron, which is used "
            f"({product.plain_value:.2f} adu if no outlying pixel is left out)"
        )
        product.flag(QualityFlag.NOISE_OUT_OF_RANGE)
