"""Raw pixels without the crosstalk of other chips and amplifiers."""

from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.kernels.choices import Overscan
from awe.kernels.crosstalk import Aggressor, remove_crosstalk
from awe.kernels.sections import Section
from awe.model.electronics import CrosstalkPair
from awe.model.raw import RawFrame
from awe.model.science import ReducedFrame
from awe.processing.exposures import bias_level
from awe.processing.products import Products

LEAST_TOLERANCE = 0.1
"""adu; what a full aggressor adds is not known, and does no harm below the read noise, or below this without one."""


def undisturbed(image: np.ndarray, product: ReducedFrame, products: Products) -> tuple[np.ndarray, np.ndarray]:
    """Return the raw pixels of an exposure less the signals of its aggressors, and where these are not known.

    Only the pixels that saw light are corrected: while overscan is read, the others read theirs.
    """
    raw = product.raw
    image, unknown = image.copy(), np.zeros(image.shape, bool)
    images = {raw.chip.name: (raw, image.copy())}
    images |= {frame.chip.name: (frame, products.image(frame)) for frame in product.aggressors}
    for amplifier, pairs in _by_part(product).items():
        part = _part(raw, amplifier).slices
        found = [
            _aggressor(*images[p.aggressor], p, product.parameters.overscan) for p in pairs if p.aggressor in images
        ]
        image[part], marked = remove_crosstalk(image[part], found, max(product.noise or 0.0, LEAST_TOLERANCE))
        unknown[part] |= marked
    missing = {p.aggressor for pairs in _by_part(product).values() for p in pairs} - set(images)
    if missing:
        product.note(f"its crosstalk with {', '.join(sorted(missing))} is not corrected: no frame of them is there")
    return image, unknown


def _by_part(product: Any) -> dict[str, list[CrosstalkPair]]:
    """Return the pairs that disturb a chip, by the part of it that they disturb."""
    found: dict[str, list[CrosstalkPair]] = {}
    for pair in product.crosstalk.disturbing(product.raw.chip.name):
        found.setdefault(pair.victim_amplifier, []).append(pair)
    return found


def _aggressor(raw: RawFrame, image: np.ndarray, pair: CrosstalkPair, overscan: Overscan) -> Aggressor:
    part = _part(raw, pair.aggressor_amplifier)
    level = bias_level(image, raw, overscan)
    if isinstance(level, np.ndarray):
        level = level[part.y0 : part.y1] if level.shape[1] == 1 else part.cut(level)
    return Aggressor(part.cut(image), level, pair.coefficient, raw.saturation, pair.flip_x, pair.flip_y)


def _part(raw: RawFrame, amplifier: str) -> Section:
    """Return the pixels that an amplifier reads; all that saw light if there is no name."""
    if not amplifier:
        return Section.parse(raw.data_section)
    for known in raw.amplifiers:
        if known.get("name") == amplifier:
            return Section.parse(known["data_section"])
    raise TaskFailed(f"{raw} has no amplifier {amplifier}, which the crosstalk of its instrument names")
