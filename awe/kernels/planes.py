"""Rows of an image, put in the form (types, byte order, no NaN) that detection and measurement need."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from awe.kernels.flags import PixelFlag
from awe.kernels.photometry import Plane

WHOLE_PIXELS = 1 << 24
"""An image up to this size is prepared once and kept, 10 bytes a pixel: it is looked at more than once."""
CHUNK_PIXELS = 1 << 19
SAMPLE = 1 << 18
"""Pixels from which typical values of an image are taken."""
SATURATED = np.uint8(PixelFlag.SATURATED)


@dataclass(frozen=True)
class Rows:
    """Some rows of an image, as they come from a file: all arrays of one shape."""

    image: NDArray[Any]
    """adu; NaN = bad."""
    weight: NDArray[Any] | None = None
    """Inverse variance, adu^-2; 0 or NaN = bad."""
    flags: NDArray[np.uint8] | None = None
    background: ArrayLike = 0.0
    """adu; one value or a map."""
    rms: ArrayLike | None = None
    """Noise of a pixel (adu; one value or a map) where there is no weight."""


ReadRows = Callable[[int, int], Rows]
"""Returns the rows y0 to y1 of an image."""


class Scene:
    """An image with its weight, flags and background, of which rows are prepared when they are asked for.

    Parameters
    ----------
    read : callable
        `read(y0, y1)` gives the rows from y0 up to, not including, y1.
    shape : tuple of int
        (ny, nx) of the image.
    gain : float, electron/adu
    saturation : float, adu
        Pixels at or above are saturated, flagged or not.
    """

    def __init__(
        self, read: ReadRows, shape: tuple[int, int], gain: float = math.inf, saturation: float = math.inf
    ) -> None:
        if min(shape) < 1:
            raise ValueError(f"an image of {shape[0]} x {shape[1]} pixels has no source")
        self.shape, self.gain = shape, gain
        self._read, self._saturation = read, saturation
        self._noise, self._typical = self._typical_values()
        self._kept = _Kept(shape) if shape[0] * shape[1] <= WHOLE_PIXELS else None

    @property
    def is_kept(self) -> bool:
        """Whether all that was prepared is kept, since the image is small."""
        return self._kept is not None

    def rows(self, y0: int, y1: int, x0: int = 0, x1: int | None = None) -> Plane:
        """Return the rows y0 to y1, or their columns x0 to x1, without segmentation; they must not be changed."""
        if self._kept is None:
            return self._plane(y0, y1, self._noise, self._typical, slice(x0, x1))
        self._kept.see_to(y0, y1, self._fill)
        arrays = (np.ascontiguousarray(array[y0:y1, x0:x1]) for array in self._kept.arrays)
        return self._as_plane(*arrays)

    def _fill(self, y0: int, y1: int, out: "_Prepared") -> None:
        self._plane(y0, y1, self._noise, self._typical, out=out)

    def _as_plane(
        self, image: NDArray[np.float32], variance: NDArray[np.float32], bad: NDArray[np.bool_], bits: NDArray[np.uint8]
    ) -> Plane:
        return Plane(image, variance, bad, np.zeros((0, 0), np.int32), bits, self.gain)

    def background(self, y0: int, y1: int) -> NDArray[np.float32]:
        """Return the background of the rows y0 to y1."""
        level = np.asarray(self._read(y0, y1).background, np.float32)
        return np.broadcast_to(level, (y1 - y0, self.shape[1]))

    def _plane(
        self,
        y0: int,
        y1: int,
        noise: float,
        typical: float,
        columns: slice = slice(None),
        out: "_Prepared | None" = None,
    ) -> Plane:
        rows = self._read(y0, y1)
        if rows.image.shape != (y1 - y0, self.shape[1]):
            raise ValueError(f"rows {y0} to {y1} have shape {rows.image.shape}, the image is {self.shape}")
        rows = Rows(*(_columns(v, columns) for v in (rows.image, rows.weight, rows.flags, rows.background, rows.rms)))
        shape = rows.image.shape
        level, level_map = _value_or_map(rows.background, shape, "background")
        spread, spread_map = _value_or_map(noise if rows.rms is None else rows.rms, shape, "rms")
        weight, flags = _map(rows.weight, np.float32, shape, "weight"), _map(rows.flags, np.uint8, shape, "flags")
        out = _room(shape) if out is None else out
        image = np.ascontiguousarray(rows.image, np.float32)
        arrays = image, level_map, weight, spread_map, flags
        _prepare(*arrays, *(np.float32(v) for v in (level, spread, self._saturation, typical)), *out)
        return self._as_plane(*out)

    def _typical_values(self) -> tuple[float, float]:
        """Return the noise where nobody tells it, and the variance of saturated pixels, which have no weight."""
        ny, nx = self.shape
        step = max(1, ny * nx // SAMPLE)
        first = self._read(0, 1)
        told = first.weight is not None or first.rms is not None
        values, variances = [], []
        for y0 in range(0, ny, 16 * step):
            plane = self._plane(y0, min(ny, y0 + 16), 1.0, math.nan)
            good = ~plane.bad & np.isfinite(plane.variance)
            values.append(plane.image[good])
            variances.append(plane.variance[good])
        value = np.concatenate(values)
        if not value.size:
            return 1.0, 1.0
        if told:
            return math.nan, float(np.median(np.concatenate(variances)))
        noise = 1.4826 * float(np.median(np.abs(value - np.median(value))))
        return noise, noise**2


_Prepared = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8]]
"""Image, variance, bad pixels and flags."""


def _room(shape: tuple[int, int]) -> _Prepared:
    return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, bool), np.empty(shape, np.uint8)


class _Kept:
    """The rows of an image, prepared in chunks when one of them is asked for first; threads may ask at once."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.arrays = _room(shape)
        self._depth, self._rows = max(1, CHUNK_PIXELS // shape[1]), shape[0]
        self._locks = [threading.Lock() for _ in range(0, shape[0], self._depth)]
        self._done = [False] * len(self._locks)

    def see_to(self, y0: int, y1: int, fill: Callable[[int, int, _Prepared], None]) -> None:
        """Have the rows y0 to y1 filled that are not yet."""
        for number in range(y0 // self._depth, -(-y1 // self._depth)):
            first = number * self._depth
            last = min(first + self._depth, self._rows)
            with self._locks[number]:
                if not self._done[number]:
                    image, variance, bad, bits = self.arrays
                    fill(first, last, (image[first:last], variance[first:last], bad[first:last], bits[first:last]))
                    self._done[number] = True


def scene(rows: Rows, gain: float = math.inf, saturation: float = math.inf) -> Scene:
    """Return the scene of an image in memory.

    Raises
    ------
    ValueError
        If the image has not two dimensions, or a map has another shape.
    """
    if rows.image.ndim != 2:
        raise ValueError(f"the image has {rows.image.ndim} dimensions, expected 2")
    maps = {n: getattr(rows, n) for n in ("weight", "flags", "background", "rms")}
    for name, array in maps.items():
        if array is not None and np.ndim(array) and np.shape(array) != rows.image.shape:
            raise ValueError(f"the {name} map has shape {np.shape(array)}, the image {rows.image.shape}")

    def read(y0: int, y1: int) -> Rows:
        part = {n: np.asarray(a)[y0:y1] if a is not None and np.ndim(a) else a for n, a in maps.items()}
        return Rows(rows.image[y0:y1], **part)

    ny, nx = rows.image.shape
    return Scene(read, (ny, nx), gain, saturation)


def _columns(given: Any, columns: slice) -> Any:
    return given[:, columns] if np.ndim(given) == 2 else given


def _value_or_map(given: ArrayLike, shape: tuple[int, int], name: str) -> tuple[float, NDArray[np.float32]]:
    array = np.asarray(given, np.float32)
    return (0.0, _map(array, np.float32, shape, name)) if array.ndim else (float(array), _map(None, np.float32))


def _map(array: NDArray[Any] | None, kind: Any, shape: tuple[int, int] | None = None, name: str = "") -> NDArray[Any]:
    """Return an array as the compiled loops take it; of no size if there is none."""
    if array is None:
        return np.zeros((0, 0), kind)
    if array.shape != shape:
        raise ValueError(f"the {name} map has shape {array.shape}, the image {shape}")
    return np.ascontiguousarray(array, kind)


@njit(cache=True, nogil=True)
def _prepare(
    image, levels, weight, spreads, flags, level, spread, saturation, typical, values, variance, bad, bits
):  # fmt: skip
    ny, nx = image.shape
    for y in range(ny):
        for x in range(nx):
            flag = flags[y, x] if flags.size else np.uint8(0)
            if image[y, x] >= saturation:
                flag |= SATURATED
            if weight.size:
                noise = np.float32(1) / weight[y, x] if weight[y, x] > 0 else np.float32(np.nan)
            else:
                noise = (spreads[y, x] if spreads.size else spread) ** 2
            value = image[y, x] - (levels[y, x] if levels.size else level)
            known = np.isfinite(noise) and noise > 0
            good = np.isfinite(value) and (known or flag & SATURATED)
            bits[y, x], bad[y, x] = flag, not good
            values[y, x] = value if good else 0
            # no threshold is exceeded in a bad pixel
            variance[y, x] = np.float32(np.inf) if not good else noise if known else typical
