"""Light curves of associates: brightness by date, as a table and as a picture that needs no program."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from awe.services.series import Member
from awe.services.stored_frames import StoredFrame

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 68, 22, 16, 40
KINDS = 6
"""Filters that are told apart by their marks."""
COLUMNS = (
    *("aid", "slid", "sid", "object_id", "filter", "date_obs", "mjd", "ra", "dec"),
    *("mag_auto", "magerr_auto", "flux_auto", "fluxerr_auto"),
)
_MJD_ZERO = datetime(1858, 11, 17)
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Point:
    """One measurement."""

    aid: int | None
    slid: int | None
    sid: int | None
    object_id: int
    filter: str
    date_obs: datetime
    ra: float | None
    dec: float | None
    magnitude: float | None
    magnitude_error: float | None
    flux: float | None
    flux_error: float | None

    @property
    def mjd(self) -> float:
        """Modified Julian date of the start of the exposure."""
        return (self.date_obs - _MJD_ZERO).total_seconds() / 86400

    def as_row(self) -> dict[str, Any]:
        """Return the point as a row of a table."""
        sky = (self.ra, self.dec)
        numbers = (self.aid, self.slid, self.sid, self.object_id)
        brightness = (self.magnitude, self.magnitude_error, self.flux, self.flux_error)
        values = (*numbers, self.filter, self.date_obs.isoformat(), round(self.mjd, 8), *sky, *brightness)
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True)
class Axis:
    """Values to places on a picture."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return where a value lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values in its range."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * s for s in _STEPS if power * s >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def points_of(members: Sequence[Member], frames: Mapping[int, StoredFrame]) -> list[Point]:
    """Return the measurements of some sources, by date of their frames; those without a frame are left out."""
    found = [
        Point(
            m.aid, m.slid, m.sid, m.frame_id, frames[m.frame_id].filter, frames[m.frame_id].date_obs, m.ra, m.dec,
            m.magnitude, m.magnitude_error, m.flux, m.flux_error,
        )
        for m in members
        if m.frame_id in frames
    ]  # fmt: skip
    return sorted(found, key=lambda p: (p.date_obs, p.filter, p.slid or 0, p.sid or 0))


def light_curve(points: Sequence[Point], title: str) -> str:
    """Return the picture of a light curve as SVG, with error bars; empty if nothing was measured.

    Magnitudes, bright ones at the top, if there are any, else fluxes; time in days since the first one.
    """
    in_magnitudes = any(_finite(p.magnitude) for p in points)
    shown = [
        (p, float(value), abs(float(error)) if error is not None and _finite(error) else 0.0)
        for p in points
        for value, error in [(p.magnitude, p.magnitude_error) if in_magnitudes else (p.flux, p.flux_error)]
        if value is not None and _finite(value)
    ]
    if not shown:
        return ""
    zero = shown[0][0].mjd
    x = _axis([p.mjd - zero for p, _, _ in shown], LEFT, WIDTH - RIGHT, 1e-3)
    values = [v + sign * e for _, v, e in shown for sign in (-1, 1)]
    y = _axis(values, TOP if in_magnitudes else HEIGHT - BOTTOM, HEIGHT - BOTTOM if in_magnitudes else TOP, 0.02)
    filters = list(dict.fromkeys(p.filter for p, _, _ in shown))
    parts = [*_frame(x, y, in_magnitudes, zero)]
    parts += [_mark(p, v, e, x, y, zero, filters.index(p.filter) % KINDS, in_magnitudes) for p, v, e in shown]
    parts += _legend(filters)
    label = escape(f"{title}: {'magnitude' if in_magnitudes else 'flux'} by date, {len(shown)} measurements")
    return (
        f'<svg class="lightcurve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _axis(values: Sequence[float], start: float, end: float, least: float) -> Axis:
    low, high = min(values), max(values)
    margin = max((high - low) * 0.08, least if high > low else 0.5)
    return Axis(low - margin, high + margin, start, end)


def _frame(x: Axis, y: Axis, in_magnitudes: bool, zero: float) -> list[str]:
    parts = [
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>'
    ]
    for value in x.ticks():
        place = x.place(value)
        parts.append(f'<path class="tick" d="M{place:.1f} {HEIGHT - BOTTOM}v4"/>')
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.6g}</text>')
    for value in y.ticks():
        place = y.place(value)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    name = "MAG_AUTO (mag)" if in_magnitudes else "FLUX_AUTO (adu)"
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">days since MJD {zero:.5f}</text>'
    )
    parts.append(f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{name}</text>')
    return parts


def _mark(p: Point, value: float, error: float, x: Axis, y: Axis, zero: float, kind: int, in_magnitudes: bool) -> str:
    across, down = f"{x.place(p.mjd - zero):.1f}", f"{y.place(value):.1f}"
    ends = y.place(value - error), y.place(value + error)
    bar = f'<path class="bar" d="M{across} {ends[0]:.1f}V{ends[1]:.1f}"/>' if error else ""
    measured = f"{value:.5g} ± {error:.2g} {'mag' if in_magnitudes else 'adu'}"
    words = escape(f"{p.date_obs:%Y-%m-%d %H:%M:%S} {p.filter} {measured} SLID={p.slid} SID={p.sid}")
    circle = f'<circle cx="{across}" cy="{down}" r="3.2"><title>{words}</title></circle>'
    return f'<g class="f{kind}">{bar}{circle}</g>'


def _legend(filters: Sequence[str]) -> list[str]:
    if len(filters) < 2:
        return []
    return [
        f'<g class="f{i % KINDS}"><circle cx="{LEFT + 12}" cy="{TOP + 12 + 15 * i}" r="3.2"/>'
        f'<text x="{LEFT + 20}" y="{TOP + 16 + 15 * i}">{escape(name)}</text></g>'
        for i, name in enumerate(filters)
    ]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
