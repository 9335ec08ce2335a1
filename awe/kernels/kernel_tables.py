"""The interpolation kernels, tabulated by the phase of a pixel."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from awe.kernels.choices import Kernel
from awe.kernels.lanes import LANES

PHASES = 8192
"""Of a pixel: the nearest phase is at most 1/16384 pixel off."""


NEGLIGIBLE = 0.003
"""What outer rows may hold of the sum of the squared taps, if variances are added up without them."""


@lru_cache
def lane_table(kernel: Kernel) -> NDArray[np.float32]:
    """Return the kernel as `window_sums` wants it: float32 [phase, LANES], filled up with zeros."""
    table = np.zeros((PHASES + 1, LANES), np.float32)
    table[:, : kernel.taps] = taps_at_phases(kernel)
    return table


@lru_cache
def squared_sums(kernel: Kernel, skipped: int = 0) -> NDArray[np.float32]:
    """Return the sum of the squared taps at each phase, float32: by how much a row of noise becomes less.

    Without some taps at both ends, if so asked.
    """
    inner = slice(skipped, kernel.taps - skipped)
    return (taps_at_phases(kernel)[:, inner].astype(np.float64) ** 2).sum(axis=1).astype(np.float32)


@lru_cache
def quiet_taps(kernel: Kernel) -> int:
    """Return how many taps at each end add next to nothing to the noise: `NEGLIGIBLE` of it at most, at any phase."""
    skipped = 0
    while 2 * (skipped + 1) < kernel.taps:
        if (squared_sums(kernel, skipped + 1) < (1 - NEGLIGIBLE) * squared_sums(kernel)).any():
            break
        skipped += 1
    return skipped


@lru_cache
def outer_taps(kernel: Kernel, significant: float) -> int:
    """Return how many taps at each end of the kernel never make a share that is significant."""
    largest = np.abs(taps_at_phases(kernel)).max(axis=0)
    matters = np.flatnonzero(largest * largest.max() >= significant)
    return int(min(matters[0], kernel.taps - 1 - matters[-1]))


@lru_cache
def taps_at_phases(kernel: Kernel) -> NDArray[np.float32]:
    """Return the kernel at phases 0 to 1, float32 [phase, tap]; each row has the sum 1."""
    distance = np.arange(kernel.taps) - (kernel.taps // 2 - 1) - np.linspace(0, 1, PHASES + 1)[:, None]
    if kernel is Kernel.NEAREST:
        table = np.where(np.arange(2) == 0, 1.0, 0.0 * distance)
    elif kernel is Kernel.BILINEAR:
        table = 1 - np.abs(distance)
    else:
        table = _lanczos(distance, corrected=kernel is not Kernel.TEXTBOOK_LANCZOS3)
    return np.ascontiguousarray(table, np.float32)


def _lanczos(distance: NDArray[np.float64], corrected: bool) -> NDArray[np.float64]:
    """Return sinc(d) sinc(d / half), with the first moments of a perfect interpolation.

    The textbook kernel, of which only the sum is made right, moves a star by up to 0.02 pixel and changes its flux by
    parts in a thousand (Bernstein & Gruen 2014, PASP 126, 287). A cubic in d under the window (for Lanczos2 a
    quadratic), at most 0.03, makes the moments 0 to 3 right: flux, centroid and width of whatever is shifted stay.
    """
    taps = distance.shape[1]
    orders = range(min(4, taps - 1))
    window = np.sinc(2 * distance / taps)
    table = np.sinc(distance) * window
    if corrected:
        powers = np.stack([distance**order for order in orders], axis=1)
        lacking = np.eye(len(orders))[0] - np.einsum("pmt,pt->pm", powers, table)
        matrix = np.einsum("pmt,pnt,pt->pmn", powers, powers, window)
        table += window * np.einsum("pm,pmt->pt", np.linalg.solve(matrix, lacking[:, :, None])[:, :, 0], powers)
    else:
        table /= table.sum(axis=1, keepdims=True)
    # sinc(n) is 1e-17, not 0: a pixel that falls on a pixel shall be that pixel
    table[[0, -1]] = np.abs(distance[[0, -1]]) < 0.5
    return table
