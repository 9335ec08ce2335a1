"""Make fringe frames."""

import numpy as np

from awe.errors import TaskFailed
from awe.kernels.fringes import fringe_pattern, ripples
from awe.kernels.statistics import clipped_statistics
from awe.model.fringes import FringeFrame
from awe.model.persistent import QualityFlag
from awe.model.raw import RawScienceFrame
from awe.processing.bias import ENOUGH, inverse
from awe.processing.exposures import combined
from awe.processing.linearity import flattened
from awe.processing.products import Products
from awe.processing.tasks import makes


@makes(FringeFrame, version=1)
def make_fringe_frame(product: FringeFrame, products: Products) -> None:
    """Combine exposures without their sources and background, each divided by its sky."""
    p = product.parameters
    bad = products.plane(product.hot_pixels, "FLAGS") | products.plane(product.cold_pixels, "FLAGS")

    def light(raw: RawScienceFrame) -> tuple[np.ndarray, np.ndarray]:
        image, flags = flattened(products.image(raw), raw, product, products, bad)
        if raw.saturation is None:
            return image, flags > 0
        return image, (flags > 0) | (image >= raw.saturation)

    levels = [clipped_statistics(image, mask=mask).median for image, mask in map(light, product.raws)]
    used = _bright_enough(product, levels)

    def prepare(raw: RawScienceFrame) -> np.ndarray:
        found = ripples(*light(raw), p.back_size)
        return found.image / np.float32(found.level)

    made = combined(products, used, prepare, p.combine, p.sigma_clip)
    pattern = fringe_pattern(made.image, made.variance, p.smoothing)
    product.rms, product.noise, product.n_frames = pattern.rms, pattern.noise, len(used)
    product.bunit = ""
    products.write(product, {"IMAGE": pattern.image, "WEIGHT": inverse(made.variance)})


def _bright_enough(product: FringeFrame, levels: list[float]) -> list[RawScienceFrame]:
    """Return the exposures whose sky shows fringes; note at the others why they are left out."""
    least = product.parameters.least_sky * max(levels)
    used = []
    for raw, member, level in zip(product.raws, product.raws_members, levels, strict=True):
        member.used = 0 < least <= level
        if member.used:
            used.append(raw)
        else:
            member.reason = f"its sky, {level:.1f} adu, is below {least:.1f}"
    if len(used) < ENOUGH:
        raise TaskFailed(f"of {len(levels)} exposures only {len(used)} have a sky that shows fringes")
    if len(used) < len(levels):
        product.flag(QualityFlag.INPUTS_REJECTED)
    product.level = float(
        np.median([level for level, member in zip(levels, product.raws_members, strict=True) if member.used])
    )
    return used
