"""The simulated sky: stars and galaxies of known position, brightness and form; a reference catalogue of the stars."""

import numpy as np
from numpy.typing import NDArray

from awe.simulation.bands import BANDS
from awe.simulation.plan import NightPlan
from awe.simulation.projection import FloatArray, Projection, from_plane
from awe.simulation.rendering import MARGIN, Kind, Sources

REFERENCE_EPOCH = 2016.0
BRIGHTEST_STAR, BRIGHTEST_GALAXY, FAINTEST = 14.0, 17.0, 25.0  # r magnitude
STAR_SLOPE, GALAXY_SLOPE = 0.15, 0.33  # of log10 N(<m)


def make_sky(plan: NightPlan, ra: float, dec: float, first_id: int, stream: int) -> NDArray[np.void]:
    """Return the objects around a pointing: a table with their true properties at the time of the night.

    Columns: id, kind, ra, dec (deg), pmra, pmdec (mas/yr), half_light_radius (arcsec), axis_ratio,
    position_angle (deg, north through east), and mag_<band>, flux_<band> (adu/s at unit throughput and
    unit chip response) for each band.
    """
    rng = np.random.default_rng([plan.seed, 2, stream])
    side = _field_side(plan)
    stars = _draw_magnitudes(rng, plan.stars * (side * 60) ** 2, STAR_SLOPE, BRIGHTEST_STAR)
    galaxies = _draw_magnitudes(rng, plan.galaxies * (side * 60) ** 2, GALAXY_SLOPE, BRIGHTEST_GALAXY)
    objects = np.zeros(stars.size + galaxies.size, dtype=_columns(plan.bands))
    objects["id"] = first_id + np.arange(objects.size)
    xi, eta = rng.uniform(-side / 2, side / 2, (2, objects.size))
    objects["ra"], objects["dec"] = from_plane(ra, dec, xi, eta)
    magnitude = np.concatenate([stars, galaxies])
    _form_galaxies(objects[stars.size :], galaxies, rng)
    _move_stars(objects[: stars.size], rng)
    _colour(objects, magnitude, plan.bands, rng)
    return objects


def reference_catalogue(plan: NightPlan, objects: NDArray[np.void], epoch: float) -> NDArray[np.void]:
    """Return what a reference catalogue knows of the stars: measured at an earlier epoch, with errors.

    `epoch` is the one of the true positions (year). Columns: id, ra, dec (deg), ra_error, dec_error (mas),
    pmra (with cos dec), pmdec (mas/yr), epoch (year), and mag_<band>, mag_<band>_error.
    """
    rng = np.random.default_rng([plan.seed, 3])
    stars = objects[(objects["kind"] == Kind.STAR) & (objects["mag_r"] < plan.reference_limit)]
    names = [f"mag_{band}{suffix}" for band in plan.bands for suffix in ("", "_error")]
    positions = ("ra", "dec", "ra_error", "dec_error", "pmra", "pmdec", "epoch", *names)
    catalogue = np.zeros(stars.size, dtype=[("id", "i4"), *((name, "f8") for name in positions)])
    catalogue["id"], catalogue["epoch"] = stars["id"], REFERENCE_EPOCH
    _measure_positions(catalogue, stars, epoch - REFERENCE_EPOCH, rng)
    for band in plan.bands:
        error = np.hypot(0.005, 0.01 * 10 ** (0.3 * (stars[f"mag_{band}"] - 19)))
        catalogue[f"mag_{band}"] = rng.normal(stars[f"mag_{band}"], error)
        catalogue[f"mag_{band}_error"] = error
    return catalogue


def sources_on(objects: NDArray[np.void], projection: Projection, band: str, shape: tuple[int, int]) -> Sources:
    """Return the objects that shine on a chip, in its pixels; fluxes in adu/s at unit throughput and response."""
    x, y = projection.to_pixel(objects["ra"], objects["dec"])
    ny, nx = shape
    near = (x > -MARGIN) & (x < nx + MARGIN) & (y > -MARGIN) & (y < ny + MARGIN)
    chosen = objects[near]
    to_pixels = np.linalg.inv(np.array(projection.matrix) * 3600)
    ellipse = np.einsum("ij,njk,lk->nil", to_pixels, _ellipses(chosen), to_pixels)
    return Sources(x[near], y[near], chosen[f"flux_{band}"], chosen["kind"], ellipse)


def _field_side(plan: NightPlan) -> float:
    """Return the side (deg) of the square of sky that the camera can see, however it points."""
    spare = 2 * plan.dither + 5 * plan.pointing_error + 30
    return 2 * (plan.field_radius * (1 + plan.distortion) + spare / 3600)


def _columns(bands: tuple[str, ...]) -> list[tuple[str, str]]:
    numbers = ("ra", "dec", "pmra", "pmdec", "half_light_radius", "axis_ratio", "position_angle")
    photometry = [f"{quantity}_{band}" for band in bands for quantity in ("mag", "flux")]
    return [("id", "i4"), ("kind", "u1"), *((name, "f8") for name in (*numbers, *photometry))]


def _draw_magnitudes(rng: np.random.Generator, brighter_than_24: float, slope: float, brightest: float) -> FloatArray:
    count = rng.poisson(brighter_than_24 * 10 ** (slope * (FAINTEST - 24)))
    low, high = 10 ** (slope * brightest), 10 ** (slope * FAINTEST)
    return np.asarray(np.log10(rng.uniform(low, high, count)) / slope)


def _form_galaxies(galaxies: NDArray[np.void], magnitude: FloatArray, rng: np.random.Generator) -> None:
    galaxies["kind"] = np.where(rng.random(galaxies.size) < 0.25, Kind.DE_VAUCOULEURS, Kind.EXPONENTIAL)
    size = 0.45 * 10 ** (-0.09 * (magnitude - 23) + rng.normal(0, 0.2, galaxies.size))
    galaxies["half_light_radius"] = np.clip(size, 0.12, 4.0)
    galaxies["axis_ratio"] = np.clip(rng.normal(0.65, 0.2, galaxies.size), 0.2, 1.0)
    galaxies["position_angle"] = rng.uniform(0, 180, galaxies.size)


def _move_stars(stars: NDArray[np.void], rng: np.random.Generator) -> None:
    # a narrow and a wide population: most stars are far away, a few are neighbours
    spread = np.where(rng.random(stars.size) < 0.1, 25.0, 5.0)
    stars["pmra"], stars["pmdec"] = rng.normal(0, spread, (2, stars.size))
    stars["axis_ratio"] = 1.0


def _colour(objects: NDArray[np.void], magnitude: FloatArray, bands: tuple[str, ...], rng: np.random.Generator) -> None:
    redness = rng.random(objects.size)
    for band in bands:
        properties = BANDS[band]
        ends = np.where((objects["kind"] == Kind.STAR)[:, None], properties.star, properties.galaxy)
        objects[f"mag_{band}"] = magnitude + ends[:, 0] + redness * (ends[:, 1] - ends[:, 0])
        objects[f"flux_{band}"] = 10 ** (0.4 * (properties.zeropoint - objects[f"mag_{band}"]))


def _measure_positions(
    catalogue: NDArray[np.void], stars: NDArray[np.void], years: float, rng: np.random.Generator
) -> None:
    error = 5 + 5 * 10 ** (0.2 * (stars["mag_r"] - 19))
    motion_error = error / 10
    for axis, stretch in (("ra", np.cos(np.deg2rad(stars["dec"]))), ("dec", 1.0)):
        moved = rng.normal(-years * stars[f"pm{axis}"], error) / 3.6e6
        catalogue[axis] = stars[axis] + moved / stretch
        catalogue[f"{axis}_error"] = error
        catalogue[f"pm{axis}"] = rng.normal(stars[f"pm{axis}"], motion_error)
    catalogue["ra"] %= 360


def _ellipses(objects: NDArray[np.void]) -> FloatArray:
    """Return the half-light ellipses as second moments (arcsec^2) on the axes east, north."""
    angle = np.deg2rad(objects["position_angle"])
    major = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    minor = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    a2 = objects["half_light_radius"] ** 2
    b2 = a2 * objects["axis_ratio"] ** 2
    return np.asarray(
        a2[:, None, None] * major[:, :, None] * major[:, None, :]
        + b2[:, None, None] * minor[:, :, None] * minor[:, None, :]
    )
