"""Overscan: the bias level that is read with each frame; `awe.kernels.reduction` removes it."""

from collections.abc import Sequence

import numpy as np

from awe.kernels.choices import Overscan
from awe.kernels.sections import Section
from awe.kernels.statistics import clipped_statistics, robust_sigma

ADDED_NOISE = 0.04
"""Noise of a per-row level that is accepted by default, in units of the read noise."""


def overscan_level(
    image: np.ndarray,
    sections: Sequence[Section],
    method: Overscan = Overscan.PER_ROW,
    smooth_rows: int | None = None,
    threshold: float = 3.0,
) -> np.ndarray | float:
    """Measure the bias level of a frame in its overscan.

    CONSTANT is the clipped mean of all overscan pixels. PER_ROW is the clipped mean of the overscan pixels of a row,
    averaged over `smooth_rows` rows around it: n pixels leave the read noise over sqrt(n) in the level, which all
    pixels of the row then share. By default as many rows are taken as bring that below 5 % of the read noise
    (625 pixels: 20 rows of 32 columns, 105 rows of 6; at the first and last row half as many). With smooth_rows=1 each
    row stands for itself.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        The raw frame; NaN and infinities are left out.
    sections : sequence of Section
        Overscan (and prescan) sections; pixels of one row count alike whichever section they lie in.
    method : Overscan
    smooth_rows : int, optional
        Rows averaged for PER_ROW.
    threshold : float, sigma
        Overscan pixels further from the median of their row (CONSTANT: of all) are left out.

    Returns
    -------
    ndarray of float32, shape (ny, 1), or float; adu
        PER_ROW gives an array: rows no section covers take the level of the nearest that one does. NONE gives 0.

    Raises
    ------
    ValueError
        If there is no section, one reaches beyond the image, or no overscan pixel is finite.
    """
    method = Overscan(method)
    if method is Overscan.NONE:
        return 0.0
    if not sections:
        raise ValueError(f"overscan method {method.value!r} needs at least one overscan section")
    if method is Overscan.CONSTANT:
        pixels = np.concatenate([section.cut(image).ravel() for section in sections])
        level = clipped_statistics(pixels, threshold).mean
        if not np.isfinite(level):
            raise ValueError("no overscan pixel is finite")
        return level
    total, count = _row_sums(image, sections, threshold)
    return _smoothed(total, count, smooth_rows)[:, np.newaxis]


def _row_sums(image: np.ndarray, sections: Sequence[Section], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sum and number of good overscan pixels of each row."""
    columns = [np.full((image.shape[0], section.shape[1]), np.nan, np.float32) for section in sections]
    for section, column in zip(sections, columns, strict=True):
        column[section.y0 : section.y1] = section.cut(image)
    pixels = np.concatenate(columns, axis=1)
    pixels[np.isinf(pixels)] = np.nan
    covered = np.isfinite(pixels).any(axis=1)
    residual = np.full_like(pixels, np.nan)
    residual[covered] = pixels[covered] - np.nanmedian(pixels[covered], axis=1, keepdims=True)
    # One sigma for all rows: that of a row's own few pixels would reject good ones.
    few = np.isfinite(pixels).sum() / max(covered.sum(), 1)
    sigma = robust_sigma(residual) * np.sqrt(few / max(few - 1, 0.5))
    good = np.abs(residual) <= threshold * max(sigma, 1.0)
    return np.where(good, pixels, 0).sum(axis=1, dtype=np.float64), good.sum(axis=1)


def _smoothed(total: np.ndarray, count: np.ndarray, smooth_rows: int | None) -> np.ndarray:
    """Return the running mean of the rows, and the nearest one's value where a window holds no pixel."""
    covered = np.flatnonzero(count)
    if covered.size == 0:
        raise ValueError("no overscan pixel is finite")
    rows = smooth_rows or int(np.ceil(ADDED_NOISE**-2 / np.median(count[covered])))
    sums, numbers = (_running_sum(values, rows) for values in (total, count))
    known = np.flatnonzero(numbers)
    level = np.interp(np.arange(total.size), known, sums[known] / numbers[known])
    return level.astype(np.float32)


def _running_sum(values: np.ndarray, rows: int) -> np.ndarray:
    """Return the sum over a centred window of (an odd number of) rows, cut at the ends."""
    half = rows // 2
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(values.size)
    return sums[np.minimum(index + half + 1, values.size)] - sums[np.maximum(index - half, 0)]
