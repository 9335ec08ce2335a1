"""Add up frames on a grid target, in tiles, so that any number of them fits into memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from awe.errors import TaskFailed
from awe.kernels.choices import Method
from awe.kernels.coadd import Band, InputStatistics, coadd
from awe.kernels.wcs import Wcs
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.persistent import QualityFlag
from awe.processing.on_grid import on_grid
from awe.processing.products import Products
from awe.processing.tasks import makes

APERTURE = 2.0
"""Radius (arcsec) of the aperture of the limiting magnitude."""
PLANES = {"IMAGE": np.float32, "WEIGHT": np.float32, "FLAGS": np.uint8}
SAMPLE = 1e6
"""Number of pixels by which the depth is judged."""
NO_ZEROPOINT = {
    Method.SUM: "a sum grows with the exposures of each pixel: it has no zeropoint; an average has",
    Method.CHI_SQUARED: "its pixels are sums of signal squared over variance: to detect sources on, not to measure",
}
"""Why coadds by some methods have no zeropoint."""


@makes(
    Coadd,
    version=6,
    reads=tuple(f"regridded_frames.{n}" for n in ("reduced", "weight", "background", "astrometry", "illumination")),
)
def make_coadd(product: Coadd, products: Products) -> None:
    """Combine the regridded frames that are good enough; the others stay recorded with the reason."""
    frames = _judged(product)
    _name(product, frames)
    grid, p = product.grid_target, product.parameters
    if p.combine is Method.CHI_SQUARED:
        product.bunit = ""
    shape = (grid.naxis2, grid.naxis1)
    threads = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool:
        inputs = list(pool.map(lambda frame: on_grid(frame, products), frames))
    work = coadd(inputs, shape, p.combine, p.threshold, threads=threads, flags=p.join_flags)
    planes = PLANES | ({"COUNT": np.int16} if p.count_map else {}) | ({"NOISE": np.float32} if p.noise_map else {})
    step, sample = max(1, int(np.sqrt(shape[0] * shape[1] / SAMPLE))), []
    with products.writer(product, planes, shape, Wcs.from_header(grid.wcs)) as writer:
        for band in work.bands():
            writer.write(band.y0, {name: _plane(band, name) for name in planes})
            sample.append(band.weight[-band.y0 % step :: step, ::step].copy())
        used = _counted(product, frames, work.statistics)
        _describe(product, used, np.concatenate(sample))


def _plane(band: Band, name: str) -> np.ndarray:
    if name == "NOISE":
        return np.divide(1, np.sqrt(band.weight), where=band.weight > 0, out=np.zeros_like(band.weight))
    return np.asarray(getattr(band, name.lower()))


def _counted(product: Coadd, frames: list[RegriddedFrame], statistics: list[InputStatistics]) -> list[RegriddedFrame]:
    """Note at each frame what part of the coadd it made; return those of which there was any good pixel."""
    size = product.grid_target.naxis1 * product.grid_target.naxis2
    used = []
    for frame, member, counted in zip(frames, _members(product, frames), statistics, strict=True):
        member.weight = counted.used / size
        if counted.offered:
            used.append(frame)
        else:
            member.used, member.reason = False, "none of its pixels on the grid is good"
            product.flag(QualityFlag.INPUTS_REJECTED)
    if not used:
        raise TaskFailed(f"none of its {len(frames)} frames has a good pixel on {product.grid_target}")
    return used


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


def _name(product: Coadd, frames: list[RegriddedFrame]) -> None:
    """Give the coadd camera, filter and time of the first of its frames."""
    first = min(frames, key=lambda f: f.date_obs)
    for name in ("instrument", "filter", "date_obs", "mjd_obs", "night"):
        setattr(product, name, getattr(first, name))


def _describe(product: Coadd, frames: list[RegriddedFrame], sample: np.ndarray) -> None:
    _name(product, frames)
    product.n_frames = len(frames)
    product.exptime = product.total_exptime = sum({f.date_obs: f.exptime for f in frames}.values())
    errors = [f.zeropoint_error for f in frames if f.zeropoint_error is not None]
    if product.parameters.combine in NO_ZEROPOINT:
        product.note(NO_ZEROPOINT[product.parameters.combine])
    else:
        product.zeropoint = frames[0].zeropoint
        product.zeropoint_error = float(np.sqrt(np.sum(np.square(errors))) / len(errors)) if errors else None
    product.noise_scale = float(np.mean([f.noise_scale for f in frames]))
    seeings = [f.seeing for f in frames if f.seeing is not None]
    product.seeing = float(np.median(seeings)) if seeings else None
    product.airmass = float(np.mean([f.airmass for f in frames])) if all(f.airmass for f in frames) else None
    _depth(product, frames, sample)


def _depth(product: Coadd, frames: list[RegriddedFrame], sample: np.ndarray) -> None:
    """Set noise, effective gain and limiting magnitude by a sample of the weight map."""
    good = sample[sample > 0]
    if not good.size:
        raise TaskFailed("no pixel of the coadd has a good input")
    product.noise = float(1 / np.sqrt(np.median(good)))
    product.gain = _gain(product, frames)
    if product.zeropoint is not None:
        scale = product.grid_target.pixel_scale
        noise = product.noise * np.sqrt(np.pi) * APERTURE / scale * (product.noise_scale or 1.0)
        product.limiting_magnitude = float(product.zeropoint - 2.5 * np.log10(5 * noise))


def _gain(product: Coadd, frames: list[RegriddedFrame]) -> float | None:
    """Return the electrons that one adu of the coadd is worth; None if that is not known or means nothing."""
    gains, method = [f.gain for f in frames if f.gain], product.parameters.combine
    if not gains or method is Method.CHI_SQUARED:
        return None
    if method in (Method.SUM, Method.MINIMUM, Method.MAXIMUM):
        return float(np.mean(gains))
    # each adu of the mean is worth the electrons of as many frames as overlap on a typical pixel
    size = product.grid_target.naxis1 * product.grid_target.naxis2
    overlap = sum((f.naxis1 or 0) * (f.naxis2 or 0) for f in frames) / size
    return float(np.mean(gains) * max(overlap, 1.0))
