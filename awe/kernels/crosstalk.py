"""Crosstalk: what a chip or amplifier shows of the signal that others carry while it is read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Aggressor:
    """A part of a detector whose signal appears in another one, pixel for pixel in the order of reading."""

    image: np.ndarray
    """Raw pixels, adu, as many as the part that is disturbed has."""
    bias: np.ndarray | float
    """Its bias level (overscan), adu: only what is above it talks."""
    coefficient: float
    """Part of its signal that is added to the other."""
    saturation: float | None = None
    """Raw level (adu) from which its signal is not known."""
    flip_x: bool = False
    flip_y: bool = False
    """True: it is read from the other end, so that its picture is mirrored."""

    def signal(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what it adds to the other part (adu), and where its own signal is full, in the other's order."""
        full = np.zeros(self.image.shape, bool) if self.saturation is None else self.image >= self.saturation
        order = (slice(None, None, -1 if self.flip_y else 1), slice(None, None, -1 if self.flip_x else 1))
        added = np.subtract(self.image, self.bias, dtype=np.float32) * np.float32(self.coefficient)
        return np.nan_to_num(added, nan=0.0)[order], full[order]


def remove_crosstalk(
    image: np.ndarray, aggressors: Sequence[Aggressor], tolerance: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract from raw pixels what other chips or amplifiers add to them.

    To first order in the coefficients: the aggressors hold crosstalk too, of the second order, below 1e-5 of the
    signal for coefficients of a few times 1e-3. Where an aggressor is full, what it adds is subtracted as if it were
    just full; if what that amounts to exceeds `tolerance`, the pixel is marked, as the charge beyond is not known.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        Raw pixels of the part that is disturbed, bias included.
    aggressors : sequence of Aggressor
    tolerance : float, adu
        An unknown contribution below this (say, the read noise) does no harm.

    Returns
    -------
    image : ndarray of float32, shape (ny, nx), adu
    unknown : ndarray of bool, shape (ny, nx)
        Where an aggressor is full, and matters.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    out = np.asarray(image, np.float32).copy()
    unknown = np.zeros(out.shape, bool)
    for aggressor in aggressors:
        if aggressor.image.shape != out.shape:
            raise ValueError(f"the aggressor has {aggressor.image.shape} pixels (y, x), the image {out.shape}")
        added, full = aggressor.signal()
        out -= added
        unknown |= full & (np.abs(added) > tolerance)
    return out, unknown
