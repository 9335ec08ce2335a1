"""Pixels and columns of a chip that do not work: hot, cold, saturated."""

from itertools import pairwise

import numpy as np
from numba import njit
from scipy.ndimage import median_filter

from awe.kernels.background import background_map
from awe.kernels.mesh import cell_edges
from awe.kernels.statistics import clipped_statistics, robust_sigma, sample

_SEGMENT = 128
_COLUMN_WINDOW = 51
_LOCAL = 7
_CELL = 64


def hot_pixels(
    bias_like: np.ndarray,
    threshold: float = 6.0,
    column_threshold: float = 6.0,
    column_offset: float = 2.0,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Flag pixels and columns of a combined bias or dark frame that are off their neighbours, either way.

    Single pixels are compared with the background on a mesh and with the median of the 7 x 7 pixels around them.
    Columns are compared, by their medians over the whole chip and over stretches of 128 rows (a bad column may begin
    anywhere), with the running median of 51 columns. Medians are so precise that offsets far below the noise of a pixel
    show; a bias frame takes those out, hence only columns off by `column_offset` are flagged.

    Parameters
    ----------
    bias_like : ndarray, shape (ny, nx), adu
        Combined bias or dark frame, overscan subtracted or not. NaN is flagged.
    threshold : float, sigma
        For single pixels, in units of the local spread of pixels.
    column_threshold : float, sigma
        For columns, in units of the spread of column medians.
    column_offset : float, sigma
        Least offset of a bad column, in units of the local spread of pixels.
    mask : ndarray of bool, shape (ny, nx), optional
        True = known bad: left out of the statistics, and not flagged again.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Raises
    ------
    ValueError
        If shapes differ or no cell of the image has enough good pixels.
    """
    image = np.array(bias_like, np.float32)
    blank = ~np.isfinite(image)
    image[blank] = np.nan
    background = background_map(image, mask, cell=_CELL)
    residual = image - background.level
    if mask is not None:
        residual[mask] = np.nan
    columns = _bad_columns(residual, column_threshold, column_offset * float(np.median(background.mesh_rms)))
    pixels = _bad_pixels(residual, threshold * background.rms, columns)
    flagged = columns | pixels | blank
    return flagged if mask is None else flagged & ~mask


def cold_pixels(
    flat: np.ndarray, low: float = 0.8, high: float = 1.2, dark: float = 0.1, cell: int = _CELL
) -> np.ndarray:
    """Flag pixels of a flat field whose response differs too much from that of their surroundings.

    Parameters
    ----------
    flat : ndarray, shape (ny, nx)
        Flat field of any level; NaN is flagged.
    low, high : float
        Limits of the response relative to the cells around (vignetting does not count).
    dark : float
        Pixels below this response relative to the whole flat field (unlit, or deeply vignetted) are flagged as well.
    cell : int, pixel
        Side of a cell of the surroundings.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Raises
    ------
    ValueError
        If the limits do not include 1, or the flat field has no light.
    """
    if not low < 1 < high:
        raise ValueError(f"limits must lie on both sides of 1, got {low} and {high}")
    flat = np.asarray(flat, np.float32)
    level = clipped_statistics(sample(flat, np.isnan(flat))).median
    if not level > 0:
        raise ValueError(f"the flat field has no light: its median is {level}")
    surroundings = background_map(flat, cell=cell).level
    return _off(flat, surroundings, *np.array([low, high, dark * level, 1e-6 * level], np.float32))


@njit(nogil=True, cache=True)
def _off(flat, surroundings, low, high, least, least_around):
    """Return where a flat field is beyond factors of its surroundings, below a level, or NaN."""
    off = np.empty(flat.shape, np.bool_)
    for y in range(flat.shape[0]):
        for x in range(flat.shape[1]):
            value, around = flat[y, x], max(surroundings[y, x], least_around)
            # NaN compares false, hence the condition says what is good.
            off[y, x] = not (low * around <= value <= high * around and value >= least)
    return off


def saturated_pixels(image: np.ndarray, level: float, grow: int = 1, bleed: float = 0.9) -> np.ndarray:
    """Flag saturated pixels, the columns they bleed along, and their neighbours.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), adu
        The frame as read (before flat field), of the same zero as `level`. NaN is not flagged.
    level : float, adu
        Pixels at or above are saturated.
    grow : int, pixel
        Neighbours flagged around, in x, y and both.
    bleed : float
        Pixels that join a saturated one along the column without a gap are flagged if above this part of `level`.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Raises
    ------
    ValueError
        If level is not positive, grow is negative or bleed not within 0..1.
    """
    if not (level > 0 and grow >= 0 and 0 < bleed <= 1):
        raise ValueError(f"level must be > 0, grow >= 0, bleed within 0..1, got {level}, {grow}, {bleed}")
    pixels = np.ascontiguousarray(image, np.float32)
    full = np.zeros(pixels.shape, np.bool_)
    _grow(full, _fill_full(pixels, np.float32(level), np.float32(bleed * level), full), grow)
    return full


@njit(nogil=True, cache=True)
def _fill_full(image, level, least, full):
    """Mark saturated pixels and what they bleed into; return the positions of all of these."""
    ny, nx = image.shape
    found = []
    for y in range(ny):
        row = image[y]
        if not (row >= level).any():
            continue
        for x in range(nx):
            if not row[x] >= level:
                continue
            for step in (-1, 1):
                j = y if step > 0 else y - 1
                while 0 <= j < ny and image[j, x] >= least and (j == y or not full[j, x]):
                    if not full[j, x]:
                        full[j, x] = True
                        found.append(j * nx + x)
                    j += step
    return np.array(found, np.int64) if found else np.empty(0, np.int64)


@njit(nogil=True, cache=True)
def _grow(mask, positions, reach):
    """Mark all pixels within a square around some positions."""
    ny, nx = mask.shape
    for position in positions:
        y, x = position // nx, position % nx
        mask[max(y - reach, 0) : min(y + reach + 1, ny), max(x - reach, 0) : min(x + reach + 1, nx)] = True


def _bad_columns(residual: np.ndarray, threshold: float, least_offset: float) -> np.ndarray:
    """Return the mask of bad columns: whole ones, and stretches of others."""
    flagged = np.zeros(residual.shape, bool)
    deviation, limit = _offsets(residual, threshold, least_offset)
    whole = np.abs(deviation) > limit
    for y0, y1 in pairwise(cell_edges(residual.shape[0], _SEGMENT)):
        deviation, limit = _offsets(residual[y0:y1], threshold, least_offset)
        # A column bad in most rows has a bad median; its good stretch shall remain.
        flagged[y0:y1] = (np.abs(deviation) > limit) | (whole & (np.abs(deviation) > 0.5 * least_offset))
    return flagged


def _offsets(rows: np.ndarray, threshold: float, least_offset: float) -> tuple[np.ndarray, float]:
    """Return how far the median of each column is off the running median over columns, and how far it may be."""
    profile = _medians(rows, axis=0)
    known = np.isfinite(profile)
    deviation = np.zeros(profile.size)
    if known.any():
        values = profile[known]
        deviation[known] = values - median_filter(values, min(_COLUMN_WINDOW, values.size), mode="reflect")
    # Among few columns their scatter can vanish by chance; the noise of a median of many pixels cannot.
    floor = 1.2533 * robust_sigma(rows - profile) / np.sqrt(max(rows.shape[0], 1))
    return deviation, max(threshold * max(robust_sigma(deviation[known]), floor), least_offset)


def _medians(values: np.ndarray, axis: int) -> np.ndarray:
    """Return medians that leave out NaN; NaN where nothing is left."""
    ordered = np.sort(values, axis=axis)  # NaN comes last
    count = np.isfinite(values).sum(axis=axis)
    lower, upper = (np.take_along_axis(ordered, np.expand_dims(i, axis), axis) for i in _middles(count))
    return np.where(count > 0, 0.5 * (lower + upper).squeeze(axis), np.nan)


def _middles(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum((count - 1) // 2, 0), np.maximum(np.minimum(count // 2, count - 1), 0)


def _bad_pixels(residual: np.ndarray, limit: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the mask of single pixels off the background and off the good pixels around them."""
    flagged = np.zeros(residual.shape, bool)
    candidates = (np.abs(residual) > limit) & ~columns
    reach = _LOCAL // 2
    for y, x in np.argwhere(candidates):
        window = slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)
        around = residual[window][~columns[window] & np.isfinite(residual[window])]
        flagged[y, x] = abs(residual[y, x] - np.median(around)) > limit[y, x]
    return flagged
