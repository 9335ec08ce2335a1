"""Tracks of satellites and aircraft: straight lines of light across a frame."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import maximum_filter, uniform_filter

from awe.kernels.statistics import robust_sigma

SIDE = 512
"""Largest side (pixel) of the binned image that is searched."""
SEGMENTS = 8
"""Parts of a line that are looked at one by one."""
_BRIGHTEST = 3.0
_EVENLY = 1.0
_CANDIDATES = 6
_LEAST = 5.0
_SHORTEST = 0.25
_SOURCE = 4.0
_EVEN = 0.75
_PART = 0.3
"""Of the segments may be fainter than the profile that is judged: light that covers less of a line leaves little."""
_SEEN = 3
"""Segments that must have pixels at each distance from a line: beside one across a corner the outer ones have none."""
_INDEPENDENT = 4
"""Most pixels across a line that count as independent: what makes crowded fields rough is several pixels wide."""
_WITHIN = 0.81
"""Sum of a Gaussian above half its peak, over peak and FWHM."""


@dataclass(frozen=True)
class Track:
    """A straight track: where it enters and leaves the frame (pixel), its FWHM, the reach of its light, and its S/N."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float
    reach: float
    significance: float


def find_tracks(
    image: np.ndarray,
    level: np.ndarray | float,
    rms: np.ndarray | float,
    mask: np.ndarray | None = None,
    threshold: float = 12.0,
    maximum: int = 10,
) -> list[Track]:
    """Find straight tracks that cross a frame, brightest first.

    The image over its noise, cut off at 3 sigma and binned to at most 512 pixels, is summed along all straight lines by
    the discrete Radon transform (Brady 1998, SIAM J. Comput. 27, 107): one addition for each pixel and doubling of the
    length. This is done twice: cut off at 1 sigma, where a long track outweighs any star, and without all that is
    bright, where nothing outweighs a faint track. What stands out is looked at in full resolution: the profile across
    the line is a low quantile over 8 segments of the medians along each, to which stars, which cover little of a line,
    leave nothing. Six of the segments must be within a factor of 2 of the median one, within their errors: those of
    spikes and galaxies are not. Centre and direction are refined on the profiles of both halves.

    Tracks that end within the frame are found if they cover three quarters of the line, and are given from edge to
    edge. Beside a line across a corner there are no pixels along its ends, so that the middle segments judge it: in
    fields crowded by stars with spikes, 3 of 8 are found that are 0.36 of the frame's smaller side long, 7 of 8 at
    0.57. Lines shorter than a quarter of that side, and those along a row or column that are narrower than 1.5 pixels
    (defects), are not looked for.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        NaN is left out.
    level, rms : ndarray of shape (ny, nx) or float, adu
        The sky and its noise; where the noise is not positive, pixels are left out.
    mask : ndarray of bool, shape (ny, nx), optional
        True = left out: bad, saturated, hit by a cosmic ray.
    threshold : float, sigma
        Least significance of the profile.
    maximum : int
        Most tracks that are returned.

    Returns
    -------
    list of Track

    Raises
    ------
    ValueError
        If shapes differ or the threshold is not positive.
    """
    if np.ndim(image) != 2 or (mask is not None and np.shape(mask) != np.shape(image)):
        raise ValueError(f"image and mask must be of one shape (ny, nx), got {np.shape(image)} and {np.shape(mask)}")
    if not threshold > 0:
        raise ValueError(f"threshold must be > 0, got {threshold}")
    residual = _residual(image, level, rms, mask)
    found: list[Track] = []
    while len(found) < maximum:
        track = _next_track(residual, threshold)
        if track is None:
            break
        found.append(track)
        residual[track_mask(residual.shape, [track])] = np.nan
    return found


def track_mask(shape: tuple[int, int], tracks: list[Track], grow: float = 0.0) -> np.ndarray:
    """Return the mask (bool) of the pixels that tracks cover, each `grow` pixels wider on both sides."""
    mask = np.zeros(shape, bool)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for track in tracks:
        dx, dy = track.x1 - track.x0, track.y1 - track.y0
        across = (
            np.float32(dx) * (y - np.float32(track.y0)) - np.float32(dy) * (x - np.float32(track.x0))
        ) / np.float32(np.hypot(dx, dy))
        mask |= np.abs(across) <= track.reach + grow
    return mask


def _residual(image: np.ndarray, level, rms, mask: np.ndarray | None) -> np.ndarray:
    """Return the image less the sky in units of the noise; NaN where it is not to be looked at."""
    level, rms = np.asarray(level, np.float32), np.asarray(rms, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = (np.asarray(image, np.float32) - level) / rms
    residual[~(np.isfinite(residual) & (rms > 0))] = np.nan
    if mask is not None:
        residual[mask] = np.nan
    return residual


def _next_track(residual: np.ndarray, threshold: float) -> Track | None:
    """Return the most conspicuous line that is a track."""
    step = max(1, -(-max(residual.shape) // SIDE))
    values, counts = _binned(residual, step)
    dark = ~_lit(values, counts)
    found = _candidates(np.clip(values, -_EVENLY, _EVENLY), counts, step, residual.shape)
    found += _candidates(values * dark, counts * dark, step, residual.shape)
    for _, line in sorted(found, key=lambda candidate: -candidate[0]):
        track = _examined(residual, line, step, threshold)
        if track is not None:
            return track
    return None


@njit(nogil=True, cache=True)
def _binned(residual, step):
    """Return the sum of clipped pixels over the root of their number, and 1 where there are any, in a square."""
    ny, nx = residual.shape
    shape = (ny + step - 1) // step, (nx + step - 1) // step
    values, counts = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for by in range(shape[0]):
        for bx in range(shape[1]):
            total, number = 0.0, 0
            for y in range(by * step, min((by + 1) * step, ny)):
                for x in range(bx * step, min((bx + 1) * step, nx)):
                    value = residual[y, x]
                    if np.isfinite(value):
                        total += min(max(value, -_BRIGHTEST), _BRIGHTEST)
                        number += 1
            if 2 * number > step * step or (number and step == 1):
                values[by, bx] = min(max(total / np.sqrt(number), -_BRIGHTEST), _BRIGHTEST)
                counts[by, bx] = 1.0
    return values, counts


@njit(nogil=True, cache=True)
def line_sums(image):
    """Return the sums along the lines that rise by 0 ... n - 1 rows over n columns.

    Parameters
    ----------
    image : ndarray of float32, shape (m, n)
        n is a power of two.

    Returns
    -------
    ndarray of float32, shape (n, n + m)
        [rise, n + first row]: a line may begin up to n rows below the image.
    """
    m, n = image.shape
    here, there = np.zeros((n, n + m), np.float32), np.zeros((n, n + m), np.float32)
    for x in range(n):
        for y in range(m):
            here[x, n + y] = image[y, x]
    length = 1
    while length < n:
        for start in range(0, n, 2 * length):
            for rise in range(2 * length):
                half, shift = rise // 2, rise - rise // 2
                left, right, out = here[start + half], here[start + length + half], there[start + rise]
                for h in range(n + m - shift):
                    out[h] = left[h] + right[h + shift]
                for h in range(n + m - shift, n + m):
                    out[h] = left[h]
        here, there = there, here
        length *= 2
    return here


def _lit(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mask of what is bright: stars with halo and spikes, galaxies."""
    light, number = (9 * uniform_filter(image, 3) for image in (values, counts))
    return maximum_filter(light > _SOURCE * np.sqrt(np.maximum(number, 0.1)), 3)


def _candidates(
    values: np.ndarray, counts: np.ndarray, step: int, shape: tuple[int, int]
) -> list[tuple[float, np.ndarray]]:
    """Return height and ends [[x0, y0], [x1, y1]] (pixels of the frame) of the lines that stand out most."""
    shortest = _SHORTEST * min(shape) / step / np.sqrt(2)  # columns: a line may rise by as many rows
    found = []
    for turned in (False, True):
        for flipped in (False, True):
            images = [image.T if turned else image for image in (values, counts)]
            images = [_widened(image[::-1] if flipped else image) for image in images]
            rows, columns = images[0].shape
            total, number = (line_sums(image) for image in images)
            score = np.where(number >= shortest, total / np.sqrt(np.maximum(number, 1)), np.float32(np.nan))
            for height, rise, first in _peaks(score):
                ends = np.array([[0.0, first], [columns - 1.0, first + rise]])
                if flipped:
                    ends[:, 1] = rows - 1 - ends[:, 1]
                if turned:
                    ends = ends[:, ::-1]
                found.append((height, (ends + 0.5) * step - 0.5))
    return found


def _widened(image: np.ndarray) -> np.ndarray:
    """Return an image with as many columns as the next power of two; those that are added are empty."""
    rows, columns = image.shape
    wide = np.zeros((rows, 1 << (columns - 1).bit_length()), np.float32)
    wide[:, :columns] = image
    return wide


def _peaks(score: np.ndarray) -> list[tuple[float, int, int]]:
    """Return height (in units of the spread of all lines), rise and first row of the highest scores, each apart."""
    if not np.isfinite(score).any():
        return []
    some = score[::3, ::3]
    some = some[np.isfinite(some)]
    middle = float(np.median(some)) if some.size else 0.0
    spread = max(1.0, 1.4826 * float(np.median(np.abs(some - middle)))) if some.size else 1.0
    score = np.where(np.isfinite(score), (score - middle) / spread, -np.inf)
    found = []
    for _ in range(_CANDIDATES):
        rise, place = np.unravel_index(np.argmax(score), score.shape)
        height = float(score[rise, place])
        if height < _LEAST:
            break
        found.append((height, int(rise), int(place) - len(score)))
        for other in range(max(rise - 12, 0), min(rise + 13, len(score))):
            # a line through the same middle begins half the difference of the rises further down
            near = place - (other - rise) // 2
            score[other, max(near - 8, 0) : max(near + 9, 0)] = -np.inf
    return found


def _examined(residual: np.ndarray, line: np.ndarray, step: int, threshold: float) -> Track | None:
    """Return the track along a line, refined; None if there is none."""
    reach = 4 * step + 40
    for shift in (3 * step + 4, step + 4, 4):
        inside = _within(line, residual.shape)
        if inside is None or np.hypot(*(inside[1] - inside[0])) < _SHORTEST * min(residual.shape):
            return None
        profiles, noise = line_profiles(residual, *inside.ravel(), reach)
        if not _is_seen(profiles):
            return None
        first, last = (_centre(part, shift) for part in (profiles[: SEGMENTS // 2], profiles[SEGMENTS // 2 :]))
        line = _moved(inside, first, last)
    inside = _within(line, residual.shape)
    if inside is None:
        return None
    profiles, noise = line_profiles(residual, *inside.ravel(), reach)
    return _judged(inside, profiles, noise, threshold) if _is_seen(profiles) else None


def _is_seen(profiles: np.ndarray) -> bool:
    """Return whether there are pixels of some segments at each distance from a line."""
    return bool((np.isfinite(profiles).sum(axis=0) >= _SEEN).all())


def _quantile(profiles: np.ndarray, part: float) -> np.ndarray:
    """Return a quantile of those of the segments that have pixels, for each distance; NaN where none has."""
    ordered = np.sort(profiles, axis=0)  # NaN comes last
    place = part * np.maximum(np.isfinite(profiles).sum(axis=0) - 1, 0)
    low = place.astype(int)
    high = np.minimum(low + 1, len(profiles) - 1)
    columns = np.arange(profiles.shape[1])
    rest = place - low
    return np.where(rest > 0, (1 - rest) * ordered[low, columns] + rest * ordered[high, columns], ordered[low, columns])


@njit(nogil=True, cache=True)
def line_profiles(residual, x0, y0, x1, y1, reach):
    """Return the medians along each of 8 segments of a line at offsets -reach ... reach, and their error.

    Offsets are to the left of the direction of the line (y up). NaN where fewer than 8 pixels are good. The error is
    that of the median over the segments, for noise of 1.
    """
    ny, nx = residual.shape
    length = np.hypot(x1 - x0, y1 - y0)
    steps = max(int(length), SEGMENTS)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    profiles, values = np.full((SEGMENTS, 2 * reach + 1), np.nan), np.empty(steps // SEGMENTS + 1)
    least = steps
    for segment in range(SEGMENTS):
        for k in range(2 * reach + 1):
            size = 0
            for i in range(segment * steps // SEGMENTS, (segment + 1) * steps // SEGMENTS):
                along, across = (i + 0.5) * length / steps, k - reach
                x, y = int(np.rint(x0 + ux * along - uy * across)), int(np.rint(y0 + uy * along + ux * across))
                if 0 <= x < nx and 0 <= y < ny and residual[y, x] == residual[y, x]:
                    values[size] = residual[y, x]
                    size += 1
            if size >= 8:
                profiles[segment, k] = np.median(values[:size])
            if k == reach:
                least = min(least, size)
    return profiles, np.pi / 2 / np.sqrt(max(least, 1) * SEGMENTS)


def _within(line: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the part of a line that lies within the frame; None if none does."""
    start, direction = line[0], line[1] - line[0]
    low, high = -np.inf, np.inf
    for axis, size in ((0, shape[1]), (1, shape[0])):
        if abs(direction[axis]) < 1e-9:
            if not -0.5 <= start[axis] <= size - 0.5:
                return None
            continue
        a, b = sorted(((-0.5 - start[axis]) / direction[axis], (size - 0.5 - start[axis]) / direction[axis]))
        low, high = max(low, a), min(high, b)
    return np.array([start + low * direction, start + high * direction]) if low < high else None


def _centre(profiles: np.ndarray, shift: int) -> float:
    """Return the offset, up to a shift, at which the median profile of some segments is highest."""
    profile = _quantile(profiles, 0.5)
    profile = np.nan_to_num(profile - np.nanmedian(profile))
    middle = profile.size // 2
    smooth = np.convolve(profile, np.full(3, 1 / 3), "same")
    peak = middle - shift + int(np.argmax(smooth[middle - shift : middle + shift + 1]))
    window = np.maximum(profile[peak - 2 : peak + 3], 0)
    moved = float(np.dot(window, np.arange(-2, 3)) / window.sum()) if window.sum() > 0 else 0.0
    return peak - middle + moved


def _moved(line: np.ndarray, first: float, last: float) -> np.ndarray:
    """Return a line moved sideways by two amounts, at a quarter and at three quarters of its length."""
    along = line[1] - line[0]
    left = np.array([-along[1], along[0]]) / np.hypot(*along)
    slope = last - first
    return np.array([line[0] + (first - slope / 2) * left, line[1] + (last + slope / 2) * left])


def _judged(line: np.ndarray, profiles: np.ndarray, noise: float, threshold: float) -> Track | None:
    """Return the track with its width, if its profile is significant and seen along the line."""
    profile = _quantile(profiles, _PART)
    middle = profile.size // 2
    outer = np.concatenate([profile[: middle // 4], profile[-(middle // 4) :]])
    profile = profile - np.median(outer)
    noise = max(noise, robust_sigma(outer))  # crowded fields are rougher than their noise
    peak = float(profile[middle - 2 : middle + 3].max())
    core = _stretch(profile, 0.5 * peak)
    wide = uniform_filter(profile, (core.stop - core.start) // 4 + 1)  # noise must not cut a wide track short
    peak = float(wide[middle - 2 : middle + 3].max())
    core, wings = _stretch(wide, 0.5 * peak), _stretch(wide, max(2 * noise, 0.02 * peak))
    across = core.stop - core.start
    significance = profile[core].mean() / noise * np.sqrt(min(across, _INDEPENDENT))
    if peak <= 0 or significance < threshold:
        return None
    even = _evenness(profiles[:, core].mean(axis=1) - np.nanmedian(profiles, axis=1), noise / np.sqrt(across))
    width = max(float(profile[core].sum() / peak / _WITHIN), 1.0)
    straight = np.abs(line[1] - line[0]).min() < 1
    if even < _EVEN or across > 0.8 * middle or (straight and width < 1.5):
        return None
    reach = max(wings.stop - 1 - middle, middle - wings.start) + 0.5
    (x0, y0), (x1, y1) = line.tolist()
    return Track(x0, y0, x1, y1, width, float(reach), float(significance))


def _evenness(heights: np.ndarray, noise: float) -> float:
    """Return the part of the segments that are as bright as all are: those of spikes and galaxies are not."""
    middle, spare = np.median(heights), noise * np.sqrt(SEGMENTS * 2 / np.pi)
    return float(((heights > middle / 2 - spare) & (heights < 2 * middle + spare)).mean())


def _stretch(profile: np.ndarray, limit: float) -> slice:
    """Return the stretch around the highest of the middle pixels in which the profile exceeds a limit."""
    middle = profile.size // 2
    peak = middle - 2 + int(np.argmax(profile[middle - 2 : middle + 3]))
    low, high = peak, peak
    while low > 0 and profile[low - 1] > limit:
        low -= 1
    while high < profile.size - 1 and profile[high + 1] > limit:
        high += 1
    return slice(low, high + 1)
