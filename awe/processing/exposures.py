"""Raw exposures as the tasks need them: trimmed to the pixels that saw light, with the overscan removed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from awe.kernels.combine import Combine, Combined, combine
from awe.kernels.noise import DetectorNoise
from awe.kernels.overscan import Overscan, overscan_level
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs
from awe.model.raw import RawFrame
from awe.processing.products import Products


def overscan_sections(raw: RawFrame) -> list[Section]:
    """Return the overscan regions of a raw frame; none if it has none."""
    return [Section.parse(text) for text in raw.overscan_sections.split(";") if text]


def exposed(products: Products, raws: list[RawFrame]) -> Iterator[np.ndarray]:
    """Yield the exposed pixels of raw frames, as they were read, one by one; refuse frames of different sizes."""
    sections = [Section.parse(raw.data_section) for raw in raws]
    check_sizes(raws, [section.shape for section in sections])
    for raw, section in zip(raws, sections, strict=True):
        yield section.cut(products.image(raw))


def trimmed(products: Products, raw: RawFrame, overscan: Overscan, bias: np.ndarray | None = None) -> np.ndarray:
    """Return the exposed pixels of a raw frame, less its overscan level where it has an overscan, and a bias frame."""
    image, section = products.image(raw), Section.parse(raw.data_section)
    try:
        return calibrate(image, section, bias_level(image, raw, overscan), bias)[0]
    except ValueError as error:
        raise ValueError(f"{raw}: {error}") from error


def bias_level(image: np.ndarray, raw: RawFrame, overscan: Overscan) -> np.ndarray | float:
    """Return the overscan level of a raw frame: one number, one for each row or, of several amplifiers, each pixel."""
    if raw.amplifiers:
        return _level_by_amplifier(image, raw, overscan)
    sections = overscan_sections(raw)
    return overscan_level(image, sections, overscan if sections else Overscan.NONE)


def _level_by_amplifier(image: np.ndarray, raw: RawFrame, overscan: Overscan) -> np.ndarray:
    level = np.zeros(image.shape, np.float32)
    for amplifier in raw.amplifiers:
        part = Section.parse(amplifier["data_section"])
        sections = [Section.parse(text) for text in amplifier["overscan"]]
        found = overscan_level(image, sections, overscan if sections else Overscan.NONE)
        level[part.slices] = found[part.y0 : part.y1] if isinstance(found, np.ndarray) else found
    return level


def wcs_of(raw: RawFrame) -> Wcs | None:
    """Return the header's coordinate system for the trimmed image; None if there is none."""
    if raw.wcs is None:
        return None
    section = Section.parse(raw.data_section)
    return Wcs.from_header(raw.wcs).shifted(-section.x0, -section.y0)


def combined(
    products: Products,
    raws: list[Any],
    prepare: Callable[[Any], np.ndarray],
    method: Combine,
    threshold: float,
    noise: DetectorNoise | None = None,
    scales: list[float] | None = None,
) -> Combined:
    """Combine the prepared images of raw frames; they wait on disk, so that any number of them can be combined."""
    with products.scratch() as folder:
        images = [_on_disk(prepare(raw), folder / f"{number}.float32") for number, raw in enumerate(raws)]
        check_sizes(raws, [image.shape for image in images])

        def read(index: int, y0: int, y1: int) -> np.ndarray:
            return images[index].rows(y0, y1)

        return combine(read, len(images), images[0].shape, method, threshold, scales=scales, noise=noise)


def check_sizes(raws: Sequence[Any], shapes: list[tuple[int, int]]) -> None:
    """Refuse frames of different sizes, and say which are in the way."""
    usual = max(shapes, key=shapes.count)
    odd = [(raw, shape) for raw, shape in zip(raws, shapes, strict=True) if shape != usual]
    if odd:
        raw, (ny, nx) = odd[0]
        raise ValueError(
            f"frames to combine must be of one size: {raw} has {nx} x {ny} pixels (x, y), {shapes.count(usual)} of "
            f"{len(shapes)} have {usual[1]} x {usual[0]}; judge the {len(odd)} others invalid (awe judge --invalid)"
        )


@dataclass(frozen=True)
class _OnDisk:
    """An image in a file, of which rows are read: mapped pages of many files would count as memory in use."""

    path: Path
    shape: tuple[int, int]

    def rows(self, y0: int, y1: int) -> np.ndarray:
        width = self.shape[1]
        return np.fromfile(self.path, np.float32, (y1 - y0) * width, offset=4 * y0 * width).reshape(-1, width)


def _on_disk(image: np.ndarray, path: Path) -> _OnDisk:
    image.astype(np.float32, copy=False).tofile(path)
    return _OnDisk(path, (image.shape[0], image.shape[1]))
