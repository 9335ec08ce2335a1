"""From sky to pixels and back: the gnomonic projection with a small cubic distortion (TPV), and its header cards."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from awe.simulation.plan import NightPlan

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """Where a chip sees which part of the sky.

    Pixel positions relative to the optical axis are multiplied by `matrix`, then stretched to
    r' = r (1 + cubic r^2), and the result lies on the plane that touches the sky at (ra, dec).
    """

    ra: float  # optical axis, deg
    dec: float
    axis: tuple[float, float]  # x, y of the optical axis; (0, 0) is the centre of the chip's first pixel
    matrix: tuple[tuple[float, float], tuple[float, float]]  # deg per pixel
    cubic: float = 0.0  # deg^-2

    def pointed(self, ra: float, dec: float) -> "Projection":
        """Return the same chip with the telescope pointing elsewhere."""
        return replace(self, ra=ra, dec=dec)

    def to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ra, dec (deg) of pixel positions."""
        xi, eta = np.tensordot(np.array(self.matrix), [x - self.axis[0], y - self.axis[1]], axes=1)
        stretch = 1 + self.cubic * (xi**2 + eta**2)
        return from_plane(self.ra, self.dec, xi * stretch, eta * stretch)

    def to_pixel(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x, y of positions on the sky; NaN for those more than 90 deg away."""
        xi, eta = to_plane(self.ra, self.dec, ra, dec)
        squeeze = _inverse_stretch(np.hypot(xi, eta), self.cubic)
        dx, dy = np.tensordot(np.linalg.inv(self.matrix), [xi * squeeze, eta * squeeze], axes=1)
        return dx + self.axis[0], dy + self.axis[1]

    def pixel_area(self, shape: tuple[int, int]) -> FloatArray:
        """Return the solid angle of each pixel relative to one at the optical axis.

        That is the Jacobian of the stretch; the one of the projection itself, cos(r)^3, is left out
        (4e-6 at 6 arcmin).
        """
        y, x = np.indices(shape, dtype=np.float64)
        xi, eta = np.tensordot(np.array(self.matrix), [x - self.axis[0], y - self.axis[1]], axes=1)
        r2 = self.cubic * (xi**2 + eta**2)
        return np.asarray((1 + r2) * (1 + 3 * r2))

    def cards(self) -> dict[str, str | float]:
        """Return the header cards: TPV, or TAN if there is no distortion."""
        kind = "TPV" if self.cubic else "TAN"
        cards: dict[str, str | float] = {
            "CTYPE1": f"RA---{kind}", "CTYPE2": f"DEC--{kind}", "CUNIT1": "deg", "CUNIT2": "deg",
            "CRVAL1": self.ra, "CRVAL2": self.dec, "CRPIX1": self.axis[0] + 1, "CRPIX2": self.axis[1] + 1,
            "CD1_1": self.matrix[0][0], "CD1_2": self.matrix[0][1],
            "CD2_1": self.matrix[1][0], "CD2_2": self.matrix[1][1],
            "RADESYS": "ICRS", "EQUINOX": 2000.0,
        }  # fmt: skip
        if self.cubic:
            terms = {0: 0.0, 1: 1.0, 2: 0.0, 7: self.cubic, 9: self.cubic}
            cards |= {f"PV{axis}_{term}": value for axis in (1, 2) for term, value in terms.items()}
        return cards


def nominal_projection(plan: NightPlan, chip: int) -> Projection:
    """Return the projection of chip 0, 1, ... as drawn: no distortion, no rotation; north up, east left."""
    ny, nx = plan.chip_shape
    height, width = plan.field_shape
    row, column = divmod(chip, plan.columns)
    scale = plan.pixel_scale / 3600
    axis = (width - 1) / 2 - column * (nx + plan.gap), (height - 1) / 2 - row * (ny + plan.gap)
    return Projection(plan.ra, plan.dec, axis, ((-scale, 0.0), (0.0, scale)))


def true_projection(plan: NightPlan, chip: int) -> Projection:
    """Return the projection of chip 0, 1, ... as it is mounted: slightly turned and shifted, behind real optics."""
    nominal = nominal_projection(plan, chip)
    rng = np.random.default_rng([plan.seed, 1, chip])
    angle = np.deg2rad(rng.normal(0, 0.05))
    shift = rng.normal(0, 1.0, 2)
    centre = (np.array(plan.chip_shape[::-1]) - 1) / 2
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.array(nominal.matrix) @ rotation
    axis = centre + rotation.T @ (np.array(nominal.axis) - centre) + shift
    (a, b), (c, d) = matrix.tolist()
    return Projection(plan.ra, plan.dec, (float(axis[0]), float(axis[1])), ((a, b), (c, d)), _cubic(plan))


def true_wcs(plan: NightPlan, chip: int, ra: float, dec: float) -> dict[str, str | float]:
    """Return the TPV header cards of chip 0, 1, ... (image area) when the optical axis is at (ra, dec)."""
    return true_projection(plan, chip).pointed(ra, dec).cards()


def to_plane(ra0: float, dec0: float, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gnomonic coordinates xi, eta (deg) about (ra0, dec0); NaN beyond 90 deg."""
    lon, lat, lat0 = np.deg2rad(ra - ra0), np.deg2rad(dec), np.deg2rad(dec0)
    depth = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon)
    depth = np.where(depth > 0, depth, np.nan)
    xi = np.cos(lat) * np.sin(lon) / depth
    eta = (np.cos(lat0) * np.sin(lat) - np.sin(lat0) * np.cos(lat) * np.cos(lon)) / depth
    return np.rad2deg(xi), np.rad2deg(eta)


def from_plane(ra0: float, dec0: float, xi: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ra, dec (deg) of gnomonic coordinates (deg) about (ra0, dec0)."""
    x, y, lat0 = np.deg2rad(xi), np.deg2rad(eta), np.deg2rad(dec0)
    depth = np.cos(lat0) - y * np.sin(lat0)
    ra = ra0 + np.rad2deg(np.arctan2(x, depth))
    dec = np.arctan2(np.sin(lat0) + y * np.cos(lat0), np.hypot(x, depth))
    return ra % 360, np.rad2deg(dec)


def _cubic(plan: NightPlan) -> float:
    return plan.distortion / plan.field_radius**2


def _inverse_stretch(radius: FloatArray, cubic: float) -> FloatArray:
    """Return s such that r = s radius solves r (1 + cubic r^2) = radius, by Newton's method."""
    s = np.ones_like(radius)
    for _ in range(6):
        s -= (s * (1 + cubic * (s * radius) ** 2) - 1) / (1 + 3 * cubic * (s * radius) ** 2)
    return s
