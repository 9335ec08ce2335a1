"""How bright the sky of a frame is and how noisy, and the levels of a colour picture that follow from it."""

import math
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache

from awe.errors import BadRequest
from awe.kernels.statistics import clipped_statistics
from awe.services.rgb_frames import Band
from awe.services.rgb_request import AUTO, RgbRequest
from awe.store import Store

STRIPS, STRIP_PIXELS = 8, 20_000
ENOUGH, MANY_STRIPS = 1000, 64
"""If fewer pixels have values, more strips are looked at."""
STRETCH_SIGMAS, BLACK_SIGMAS = 15.0, 2.0
"""In units of the noise of the mean of the three bands."""
BRIGHTEST = 99.7
"""Percentile of the pixels that plain modes show as white."""
FAINTEST_WHITE = 30.0
"""Least distance of white from black, in units of the noise: where there is hardly a source, noise stays dark."""

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Sky:
    """What the pixels of a frame are like, in its own unit."""

    level: float
    noise: float
    bright: float


UNSEEN = Sky(0.0, 1.0, 1.0)
"""Stands for a sky on which no level depends."""


@dataclass(frozen=True)
class Levels:
    """How values become colours; all that the kernels need."""

    black: Three
    white: Three
    scale: Three
    stretch: float
    balance: str
    """What the scales come from: zeropoint, noise or none."""


_skies: LRUCache[tuple[str, str, int], Sky] = LRUCache(4096)
_lock = threading.Lock()


def skies_of(store: Store, bands: Iterable[Band]) -> list[Sky]:
    """Return the sky of each frame, measured on strips of rows spread over it, once for each frame."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda band: _sky_of(store, band), bands))


def _sky_of(store: Store, band: Band) -> Sky:
    frame = band.frame
    key = (store.address, frame.content, frame.hdu)
    with _lock:
        known = _skies.get(key)
    if known is not None:
        return known
    good = _looked_at(store, band, STRIPS)
    if good.size < ENOUGH:
        good = _looked_at(store, band, MANY_STRIPS)
    sky = _measured(good, frame.label)
    with _lock:
        _skies[key] = sky
    return sky


def _looked_at(store: Store, band: Band, strips: int) -> np.ndarray:
    """Return the pixels of some strips of rows; without what the edges of coadds are filled with: NaN, or exactly 0."""
    frame = band.frame
    rows = max(1, min(frame.ny // strips, STRIP_PIXELS * STRIPS // strips // frame.nx))
    starts = sorted({(frame.ny - rows) * i // (strips - 1) for i in range(strips)})
    read = [store.section(frame.filename, frame.hdu, 0, frame.nx, y, y + rows).ravel() for y in starts]
    values: np.ndarray = np.concatenate(read).astype(np.float32)
    good: np.ndarray = values[np.isfinite(values) & (values != 0)]
    return good


def _measured(good: np.ndarray, what: str) -> Sky:
    if not good.size:
        raise BadRequest(
            f"{what} has no pixels with values where it was looked at: give black and stretch (or white) by numbers"
        )
    found = clipped_statistics(good)
    noise = float(found.sigma) or float(np.std(good)) or max(1e-30, abs(float(found.median)) * 1e-6)
    return Sky(float(found.median), noise, float(np.percentile(good, BRIGHTEST)))


def needs_skies(bands: tuple[Band, Band, Band], request: RgbRequest) -> bool:
    """Return whether the levels depend on how bright and noisy the frames are, and not on what was asked for alone."""
    by_noise = request.balance == "noise" or (request.balance == AUTO and any(b.zeropoint is None for b in bands))
    return by_noise or AUTO in (request.black, request.stretch if request.mode == "lupton" else request.white)


def levels_of(bands: tuple[Band, Band, Band], skies: list[Sky], request: RgbRequest, areas: Three) -> Levels:
    """Return the levels of a picture; `areas` are the sizes of its pixels in pixels of each frame.

    What is stated for a frame in its own pixels holds for those of the picture after multiplication by the area.
    """
    balance, factors = _balance(bands, skies, request.balance, areas)
    own = request.three("scale")
    scale = [f * s for f, s in zip(factors, own, strict=True)]
    noise = math.sqrt(sum((c * a * s.noise) ** 2 for c, a, s in zip(factors, areas, skies, strict=True))) / 3
    if request.black == AUTO:  # as far below the sky in all bands, so that it is gray
        below = BLACK_SIGMAS * noise
        black = [s.level - below / (c * a) for s, c, a in zip(skies, scale, areas, strict=True)]
    else:
        black = list(request.three("black"))
    stretch = STRETCH_SIGMAS * noise if request.stretch == AUTO else float(request.stretch)
    white = _white(black, scale, skies, request, areas)
    black = [b * a for b, a in zip(black, areas, strict=True)]
    return Levels(_three(black), _three(white), _three(scale), stretch, balance)


def _white(black: list[float], scale: list[float], skies: list[Sky], request: RgbRequest, areas: Three) -> list[float]:
    """Return the brightest values, in pixels of the picture: one brightness for all bands in the common unit."""
    if request.white != AUTO:
        white = [w * a for w, a in zip(request.three("white"), areas, strict=True)]
    else:
        above = zip(skies, black, scale, areas, strict=True)
        reach = max(max(s.bright - b, FAINTEST_WHITE * s.noise) * c * a for s, b, c, a in above)
        white = [b * a + reach / c for b, c, a in zip(black, scale, areas, strict=True)]
    if not all(b * a < w for b, a, w in zip(black, areas, white, strict=True)):
        raise BadRequest("white must be above black in each band: give both, or neither")
    return white


def _balance(
    bands: tuple[Band, Band, Band], skies: list[Sky], wanted: str, areas: Three
) -> tuple[str, tuple[float, ...]]:
    """Return what brings the bands to the unit of the red one, and the factors."""
    zeropoints = [band.zeropoint for band in bands]
    unknown = [band.frame.label for band in bands if band.zeropoint is None]
    if wanted == "zeropoint" and unknown:
        raise BadRequest(
            f"balance=zeropoint: the zeropoint of {unknown[0]} is not known; ask for balance=noise or none"
        )
    if wanted == "zeropoint" or (wanted == AUTO and not unknown):
        red = zeropoints[0] or 0.0
        return "zeropoint", tuple(10 ** (-0.4 * ((z or 0.0) - red)) for z in zeropoints)
    if wanted == "none":
        return "none", (1.0, 1.0, 1.0)
    noises = [s.noise * a for s, a in zip(skies, areas, strict=True)]
    return "noise", tuple(noises[0] / n for n in noises)


def _three(values: list[float]) -> Three:
    red, green, blue = (float(v) for v in values)
    if not all(math.isfinite(v) for v in (red, green, blue)):
        raise BadRequest(
            "the levels of this picture are not finite: the zeropoints or the pixels of a frame are absurd"
        )
    return red, green, blue
