"""Residuals of global solutions, astrometric and photometric: five panels, with number, mean and rms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from awe.services.light_curve import Axis

Array = NDArray[np.float64]

WIDTH, HEIGHT = 330, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 40, 42
MOST_POINTS = 4000
"""Points drawn in a panel; of more, each so-many-th. Number, mean and rms are of all."""
RANGE = 4.0
"""How many times the rms the axes of residuals reach."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One value against another, for all detections used."""

    across: str
    upward: str
    x: Array
    y: Array
    unit: str = "mas"

    @property
    def count(self) -> int:
        """Number of detections."""
        return len(self.y)

    @property
    def mean(self) -> float:
        """Mean of the value upward, in its unit."""
        return float(self.y.mean()) if len(self.y) else math.nan

    @property
    def rms(self) -> float:
        """Root mean square of the value upward, in its unit."""
        return float(np.sqrt(np.mean(self.y**2))) if len(self.y) else math.nan

    def as_json(self) -> dict[str, Any]:
        """Return the numbers of the panel."""
        told = {name: round(v, 4) if math.isfinite(v) else None for name, v in (("mean", self.mean), ("rms", self.rms))}
        return {"across": self.across, "upward": self.upward, "count": self.count, "unit": self.unit} | told


def panels_of(rows: NDArray[Any]) -> list[Panel]:
    """Return the panels of the residuals that the file of a solution lists."""
    return photometric_panels(rows) if "residual" in (rows.dtype.names or ()) else panels(rows)


def photometric_panels(rows: NDArray[Any]) -> list[Panel]:
    """Return residuals of magnitudes against magnitude, position, airmass and time.

    Residuals (mmag) are those against the mean of the star; the measurements left out are left out.
    """
    sound = [np.isfinite(rows[name]) for name in ("residual", "magnitude", "ra", "dec", "mjd")]
    used = rows[(rows["used"] > 0) & np.all(sound, axis=0)]
    residual = np.asarray(used["residual"], np.float64) * 1000
    hours = (np.asarray(used["mjd"], np.float64) - (used["mjd"].min() if len(used) else 0.0)) * 24
    far = len(used) and hours.max() > 48
    time = ("time since the first (d)", hours / 24) if far else ("time since the first (h)", hours)
    values = (
        ("magnitude", np.asarray(used["magnitude"], np.float64)),
        ("right ascension (deg)", _one_field(np.asarray(used["ra"], np.float64))),
        ("declination (deg)", np.asarray(used["dec"], np.float64)),
        ("air mass", np.asarray(used["airmass"], np.float64)),
        time,
    )
    # the air mass may be unknown
    return [Panel(name, "Δm (mmag)", x[np.isfinite(x)], residual[np.isfinite(x)], "mmag") for name, x in values]


def _one_field(ra: Array) -> Array:
    """Return right ascensions without a jump: a field at RA 0 is one field."""
    return ra[0] + np.mod(ra - ra[0] + 180, 360) - 180 if len(ra) else ra


def panels(rows: NDArray[Any]) -> list[Panel]:
    """Return d-dec against d-ra, and each of them against right ascension and declination.

    Residuals (mas) are those against the mean of the other places of the star; the detections left out are left out.
    """
    used = rows[(rows["used"] > 0) & np.isfinite(rows["dra"] + rows["ddec"]) & np.isfinite(rows["ra"] + rows["dec"])]
    east, north = (np.asarray(used[name], np.float64) * 1000 for name in ("dra", "ddec"))
    ra, dec = _one_field(np.asarray(used["ra"], np.float64)), np.asarray(used["dec"], np.float64)
    places = (("right ascension (deg)", ra), ("declination (deg)", dec))
    found = [Panel("Δα cos δ (mas)", "Δδ (mas)", east, north)]
    for name, values in (("Δα cos δ (mas)", east), ("Δδ (mas)", north)):
        found += [Panel(place, name, position, values) for place, position in places]
    return found


def picture(found: Sequence[Panel]) -> Markup:
    """Return the panels side by side, as SVG."""
    columns = 3
    rows = -(-len(found) // columns)
    parts = [
        f'<g transform="translate({WIDTH * (n % columns)} {HEIGHT * (n // columns)})">{_panel(panel)}</g>'
        for n, panel in enumerate(found)
    ]
    label = "; ".join(f"{p.upward} against {p.across}: {_numbers(p)}" for p in found)
    return Markup(  # noqa: S704  all words in it are ours, all values numbers
        f'<svg class="lightcurve residuals" viewBox="0 0 {WIDTH * columns} {HEIGHT * rows}" role="img" '
        f'aria-label="{label}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _numbers(panel: Panel) -> str:
    if not panel.count:
        return "N 0"
    return f"N {panel.count:,}, mean {panel.mean:.2f}, rms {panel.rms:.2f} {panel.unit}"


def _panel(panel: Panel) -> str:
    if not panel.count:
        return f'<text x="{LEFT}" y="{TOP}">no detection was used</text>'
    x, y = _axis(panel.x, "Δ" in panel.across, LEFT, WIDTH - RIGHT), _axis(panel.y, True, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<text x="{LEFT}" y="16">{_numbers(panel)}</text>',
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>',
    ]
    for value in x.ticks(4):
        parts.append(f'<path class="tick" d="M{x.place(value):.1f} {HEIGHT - BOTTOM}v4"/>')
        parts.append(
            f'<text x="{x.place(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.7g}</text>'
        )
    for value in y.ticks():
        parts.append(f'<path class="grid" d="M{LEFT} {y.place(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y.place(value) + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{panel.across}</text>')
    turned = f"translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{panel.upward}</text>')
    parts.append(_dots(panel, x, y))
    return "".join(parts)


def _dots(panel: Panel, x: Axis, y: Axis) -> str:
    """Return the points as one path; those beyond the axes lie on the edge."""
    step = -(-panel.count // MOST_POINTS)
    across = [x.place(float(v)) for v in np.clip(panel.x[::step], x.low, x.high)]
    upward = [y.place(float(v)) for v in np.clip(panel.y[::step], y.low, y.high)]
    path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across, upward, strict=True))
    return f'<path d="{path}" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-opacity="0.5"/>'


def _axis(values: Array, is_residual: bool, start: float, end: float) -> Axis:
    """Return an axis: of residuals, some rms about 0; of places, all of them."""
    if is_residual:
        reach = max(RANGE * float(np.sqrt(np.mean(values**2))), 1e-3)
        return Axis(-reach, reach, start, end)
    low, high = float(values.min()), float(values.max())
    margin = max((high - low) * 0.05, 1e-5, 1e-12 * max(abs(low), abs(high)))
    return Axis(low - margin, high + margin, start, end)
