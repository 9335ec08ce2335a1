"""Add up regridded frames, in bands, so that any number of them fits into memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.fits import Planes
from awe.kernels.coadd import coadd
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.persistent import QualityFlag
from awe.processing.products import Products
from awe.processing.tasks import makes

APERTURE = 2.0
"""Radius (arcsec) of the aperture of the limiting magnitude."""


@dataclass(frozen=True)
class _OnGrid:
    """A regridded frame on its file, as the kernel reads it."""

    planes: Planes
    region: Section

    def read(self, y0: int, y1: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows y0 to y1 of the grid: image, weight, flags."""
        top = self.region.y0
        image, weight, flags = (self.planes.rows(n, y0 - top, y1 - top) for n in ("IMAGE", "WEIGHT", "FLAGS"))
        return image, weight, flags


@makes(Coadd, version=2)
def make_coadd(product: Coadd, products: Products) -> None:
    """Combine the regridded frames that are good enough; the others stay recorded with the reason."""
    frames = _judged(product)
    grid, p = product.grid_target, product.parameters
    shape = (grid.naxis2, grid.naxis1)
    inputs = [_OnGrid(products.planes(f), _region(f)) for f in frames]
    work = coadd(inputs, shape, p.combine, p.threshold)
    with products.scratch() as folder:
        planes = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
            for name, dtype in (("IMAGE", np.float32), ("WEIGHT", np.float32), ("FLAGS", np.uint8))
        }
        for band in work.bands():
            rows = slice(band.y0, band.y0 + len(band.image))
            planes["IMAGE"][rows], planes["WEIGHT"][rows], planes["FLAGS"][rows] = band.image, band.weight, band.flags
        for member, statistics in zip(_members(product, frames), work.statistics, strict=True):
            member.weight = statistics.used / (shape[0] * shape[1])
        _describe(product, frames, planes["WEIGHT"])
        products.write(product, planes, Wcs.from_header(grid.wcs))


def _region(frame: RegriddedFrame) -> Section:
    assert frame.x0 is not None
    assert frame.y0 is not None
    assert frame.naxis1 is not None
    assert frame.naxis2 is not None
    return Section(frame.x0, frame.x0 + frame.naxis1, frame.y0, frame.y0 + frame.naxis2)


def _judged(product: Coadd) -> list[RegriddedFrame]:
    """Return the frames that are used; note at the others why they are not."""
    kept = []
    for frame, member in zip(product.regridded_frames, product.regridded_frames_members, strict=True):
        member.reason = _why_not(frame, product.parameters)
        member.used = member.reason is None
        if member.used:
            kept.append(frame)
    if not kept:
        reasons = "; ".join(sorted({m.reason for m in product.regridded_frames_members}))
        raise TaskFailed(f"none of its {len(product.regridded_frames)} frames is good enough: {reasons}")
    if len(kept) < len(product.regridded_frames):
        product.flag(QualityFlag.INPUTS_REJECTED)
    return kept


def _why_not(frame: RegriddedFrame, p: Any) -> str | None:
    if frame.astrometric_rms is not None and frame.astrometric_rms > p.maximum_rms:
        return f"its astrometric residuals, {frame.astrometric_rms:.2f} pixel, exceed {p.maximum_rms:g}"
    if p.maximum_seeing is not None and frame.seeing is not None and frame.seeing > p.maximum_seeing:
        return f"its seeing, {frame.seeing:.2f} arcsec, exceeds {p.maximum_seeing:g}"
    return None


def _members(product: Coadd, frames: list[RegriddedFrame]) -> list[Any]:
    return [m for m, f in zip(product.regridded_frames_members, product.regridded_frames, strict=True) if f in frames]


def _describe(product: Coadd, frames: list[RegriddedFrame], weight: np.ndarray) -> None:
    first = min(frames, key=lambda f: f.date_obs)
    for name in ("instrument", "filter", "date_obs", "mjd_obs", "night"):
        setattr(product, name, getattr(first, name))
    product.n_frames = len(frames)
    product.exptime = product.total_exptime = sum({f.date_obs: f.exptime for f in frames}.values())
    product.zeropoint = first.zeropoint
    errors = [f.zeropoint_error for f in frames if f.zeropoint_error is not None]
    product.zeropoint_error = float(np.sqrt(np.sum(np.square(errors))) / len(errors)) if errors else None
    product.noise_scale = float(np.mean([f.noise_scale for f in frames]))
    seeings = [f.seeing for f in frames if f.seeing is not None]
    product.seeing = float(np.median(seeings)) if seeings else None
    product.airmass = float(np.mean([f.airmass for f in frames])) if all(f.airmass for f in frames) else None
    _depth(product, frames, weight)


def _depth(product: Coadd, frames: list[RegriddedFrame], weight: np.ndarray) -> None:
    """Set noise, effective gain and limiting magnitude by a sample of the weight map."""
    step = max(1, int(np.sqrt(weight.size / 1e6)))
    sample = np.asarray(weight[::step, ::step])
    sample = sample[sample > 0]
    if not sample.size:
        raise TaskFailed("no pixel of the coadd has a good input")
    product.noise = float(1 / np.sqrt(np.median(sample)))
    # each adu of the mean is worth the electrons of as many frames as overlap on a typical pixel
    gains = [f.gain for f in frames if f.gain]
    overlap = sum((f.naxis1 or 0) * (f.naxis2 or 0) for f in frames) / weight.size
    product.gain = float(np.mean(gains) * max(overlap, 1.0)) if gains else None
    scale = product.grid_target.pixel_scale
    noise = product.noise * np.sqrt(np.pi) * APERTURE / scale * (product.noise_scale or 1.0)
    assert product.zeropoint is not None
    product.limiting_magnitude = float(product.zeropoint - 2.5 * np.log10(5 * noise))
