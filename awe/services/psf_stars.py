"""The stars of a PSF model: how well each fits, how much wider or longer it is, why it was left out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from awe.kernels.psf import Psf
from awe.kernels.psf_residuals import Rejection
from awe.services.columns import Column
from awe.services.export import Exported

CELL = 130
"""Pixels of the screen for the mean residual of a part of the field, about."""
SHOWN, LEAST_SCALE = 99.5, 1e-4
"""Per cent of the residuals that are not beyond black and white; least residual that is white, of the peak."""
MAP = 640
"""Width of the map, in units of its drawing; the longer side of the field fills it."""
RADIUS = 7.0
"""Of the circle of a star that is as wide as the model."""
SPREAD = 10.0
"""How much larger than in truth differences of widths are drawn."""
STICK = 400.0
"""Length of the stick of a star whose ellipticity is 1 beyond the model's."""
WORDS = {
    Rejection.NEIGHBOUR: "a neighbour, or blended",
    Rejection.BAD_PIXELS: "saturated or bad pixels",
    Rejection.SHAPE: "width or shape is not that of stars",
    Rejection.BORDER: "cut by the border",
    Rejection.FAILED: "nothing can be fitted to it",
    Rejection.OFF_CENTRE: "the model lies off its centre: a blend",
    Rejection.CORE: "its core does not fit: a blend, or a cosmic ray",
    Rejection.RESIDUALS: "large residuals: a blend, or no star",
}


@dataclass(frozen=True)
class FittedStar:
    """What one star says of a model; what was not measured is None."""

    x: float
    """Pixel; the first is 1."""
    y: float
    flux: float | None
    """adu."""
    flux_error: float | None
    magnitude: float | None
    chi2: float | None
    """Mean square of its residuals in units of their errors."""
    fwhm: float | None
    """FWHM of the star beyond that of the model, pixel: the part by which it is wider, of the FWHM in the middle."""
    fwhm_error: float | None
    ellipticity: float | None
    """Of the star beyond that of the model: 1 - B/A."""
    angle: float | None
    """Of its major axis, from x to y, deg."""
    ellipticity_error: float | None
    clipped_core: float | None
    """Part of the pixels within a FWHM that does not fit."""
    used: bool
    reason: str
    """Why it was left out; empty if it was used."""


_TEXT = ("text", "text")
_NUMBER = ("number", "double")
COLUMNS = tuple(
    Column(name, kind[0], kind[1], doc, unit, ucd, (), None)
    for name, kind, doc, unit, ucd in (
        ("x", _NUMBER, "column of its centre; the first pixel is 1", "pixel", "pos.cartesian.x;instr.det"),
        ("y", _NUMBER, "row of its centre; the first pixel is 1", "pixel", "pos.cartesian.y;instr.det"),
        ("flux", _NUMBER, "flux of the model fitted to it; of what was not tried, FLUX_AUTO", "adu", "phot.flux"),
        ("flux_error", _NUMBER, "its standard error", "adu", "stat.error;phot.flux"),
        ("magnitude", _NUMBER, "magnitude, if the zeropoint of the frame is known", "mag", "phot.mag"),
        ("chi2", _NUMBER, "mean square of its residuals in units of the errors", "", "stat.fit.chi2"),
        ("fwhm", _NUMBER, "FWHM of the star beyond that of the model", "pixel", ""),
        ("fwhm_error", _NUMBER, "its standard error", "pixel", ""),
        ("ellipticity", _NUMBER, "ellipticity (1 - B/A) of the star beyond that of the model", "", "src.ellipticity"),
        ("angle", _NUMBER, "angle of the major axis of that, from x to y", "deg", "pos.posAng"),
        ("ellipticity_error", _NUMBER, "standard error of the ellipticity for one axis", "", ""),
        ("clipped_core", _NUMBER, "part of the pixels within a FWHM that does not fit", "", ""),
        ("used", ("truth", "boolean"), "whether the model was found from it", "", "meta.code"),
        ("reason", _TEXT, "why it was left out", "", "meta.note"),
    )
)


def fitted_stars(rows: NDArray[Any], psf: Psf, zeropoint: float | None) -> list[FittedStar]:
    """Return the stars that the file of a model lists, the brightest first.

    Parameters
    ----------
    rows : array of `awe.kernels.psf_residuals.PSF_STARS`
    psf : Psf
    zeropoint : float, mag
        Magnitude of 1 adu in the frame; None if it is not known.
    """
    order = np.argsort(-np.nan_to_num(rows["flux"], nan=-np.inf), kind="stable")
    return [_star(row, psf, zeropoint) for row in rows[order]]


def _star(row: Any, psf: Psf, zeropoint: float | None) -> FittedStar:
    told = {name: _number(row[name]) for name in row.dtype.names}
    flux = told["flux"]
    ellipticity, angle = _ellipse(told["stretch_x"], told["stretch_xy"])
    return FittedStar(
        x=float(row["x"]) + 1,
        y=float(row["y"]) + 1,
        flux=flux,
        flux_error=told["flux_error"],
        magnitude=_magnitude(flux, zeropoint),
        chi2=told["chi2"],
        fwhm=_times(told["widening"], psf.fwhm),
        fwhm_error=_times(told["widening_error"], psf.fwhm),
        ellipticity=ellipticity,
        angle=angle,
        ellipticity_error=told["stretch_error"],
        clipped_core=told["clipped_core"],
        used=not row["rejected"],
        reason=reason_of(int(row["rejected"])),
    )


def _ellipse(along: float | None, across: float | None) -> tuple[float | None, float | None]:
    """Return the length of a stretch, and the angle (deg) along which it is."""
    if along is None or across is None:
        return None, None
    return math.hypot(along, across), math.degrees(math.atan2(across, along) / 2)


def _magnitude(flux: float | None, zeropoint: float | None) -> float | None:
    return None if zeropoint is None or flux is None or flux <= 0 else zeropoint - 2.5 * math.log10(flux)


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _times(part: float | None, width: float) -> float | None:
    return None if part is None else part * width


def reason_of(rejected: int) -> str:
    """Return the words for bits of `Rejection`."""
    return "; ".join(words for bit, words in WORDS.items() if rejected & bit)


def table_of(found: Sequence[FittedStar], title: str) -> Exported:
    """Return the stars as a table to be written."""

    def rows() -> Iterator[list[tuple[Any, ...]]]:
        yield [tuple(getattr(star, c.path) for c in COLUMNS) for star in found]

    return Exported("PsfStar", title, "all stars that were tried, and bright ones that were not", COLUMNS, rows)


def residual_scale(parts: NDArray[Any], psf: Psf) -> float:
    """Return the residual that is drawn white, in parts of the peak of the model; its opposite is black."""
    seen = np.abs(parts["picture"][np.isfinite(parts["picture"])])
    peak = float(psf.basis[0].max())
    return max(float(np.percentile(seen, SHOWN)) / peak, LEAST_SCALE) if seen.size else LEAST_SCALE


def residual_mosaic(parts: NDArray[Any], psf: Psf) -> NDArray[np.uint8]:
    """Return the mean residuals of the parts of a field side by side, as they lie in it, as levels [row, column].

    No residual, and no star, is the gray in the middle.
    """
    cells = math.isqrt(len(parts))
    scale = residual_scale(parts, psf) * float(psf.basis[0].max())
    side = parts["picture"].shape[1]
    times = max(1, round(CELL / side))
    step = side * times + 1
    out = np.zeros((cells * step + 1, cells * step + 1), np.uint8)
    for number, picture in enumerate(parts["picture"]):
        level = 127.5 + 127.5 * np.clip(np.nan_to_num(picture[::-1] / scale), -1, 1)
        row, column = (cells - 1 - number // cells) * step + 1, number % cells * step + 1
        large = np.rint(level).astype(np.uint8).repeat(times, axis=0).repeat(times, axis=1)
        out[row : row + step - 1, column : column + step - 1] = large
    return out


def drawing_of(found: Sequence[FittedStar], psf: Psf, shape: tuple[int, int]) -> Markup:
    """Return a map as SVG: circles of those used, with sticks along which they are longer; crosses else."""
    unit = MAP / max(shape)
    width, height = shape[1] * unit, shape[0] * unit
    parts = [f'<rect class="frame" x="0.5" y="0.5" width="{width - 1:.1f}" height="{height - 1:.1f}"/>']
    for star in found:
        x, y = (star.x - 0.5) * unit, height - (star.y - 0.5) * unit
        parts.append(_used(star, psf.fwhm, x, y) if star.used else _left_out(star, x, y))
    used = sum(star.used for star in found)
    words = f"{used} stars that were used, {len(found) - used} that were left out"
    return Markup(  # noqa: S704  all words in it are ours, all values numbers
        f'<svg class="lightcurve psfmap" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{words}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _used(star: FittedStar, fwhm: float, x: float, y: float) -> str:
    radius = min(max(RADIUS * (1 + SPREAD * (star.fwhm or 0.0) / fwhm), RADIUS / 4), 3 * RADIUS)
    half = min(STICK * (star.ellipticity or 0.0) / 2, 3 * RADIUS)
    angle = math.radians(star.angle or 0.0)
    dx, dy = half * math.cos(angle), -half * math.sin(angle)
    return (
        f'<g><title>{_title(star)}</title><circle class="width" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
        f'<path class="stick" d="M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}"/></g>'
    )


def _left_out(star: FittedStar, x: float, y: float) -> str:
    cross = "".join(f"M{x - 4:.1f} {y - 4 * s:.1f}L{x + 4:.1f} {y + 4 * s:.1f}" for s in (1, -1))
    return f'<g><title>{_title(star)}</title><path class="leftout" d="{cross}"/></g>'


def _title(star: FittedStar) -> str:
    told = f"x={star.x:.1f} y={star.y:.1f}"
    if star.chi2 is not None:
        told += f", chi2 {star.chi2:.2f}"
    return told + (f": {star.reason}" if star.reason else "")
