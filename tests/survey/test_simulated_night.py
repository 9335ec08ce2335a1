"""A simulated night against its truth: astrometry, fluxes, noise, bad pixels and cosmic rays."""

from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import ncx2
from sqlalchemy import select

from awe.fits import open_planes
from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_sky
from awe.kernels.statistics import robust_sigma
from awe.kernels.wcs import Wcs
from awe.model.catalogue import SOURCES
from awe.simulation import PRESETS, simulate_night
from awe.simulation.rendering import PROFILES, moffat_psf

pytestmark = pytest.mark.slow

RADIUS = 2.0
"""Of the circle in which stars are measured, arcsec: FLUX_APER_2."""
FLOOR = 0.002
"""What no error tells of the flux of a star in a coadd: docs/decisions/0011-fluxes-of-stars.md."""


def observed(folder, seed):
    return simulate_night(folder / "night", PRESETS["demo"], filters=("r",), exposures=6, stars=24.0, seed=seed)


def processed(home, night):
    home.add_catalogue(night.reference_catalogue, "plain")
    home.ingest(night.folder / "raw")
    assert home.make("SourceList").failed == {}
    return home


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return observed(tmp_path_factory.mktemp("sky"), 2008)


@pytest.fixture(scope="module")
def home(new_home, night):
    return processed(new_home(), night)


@pytest.fixture(scope="module")
def raws(home):
    return {raw.object_id: raw for raw in home.all("RawScienceFrame")}


def of_raw(home, raws, class_name):
    """Return (raw frame, product) pairs of a class that is made of reduced frames."""
    reduced = {r.object_id: raws[r.raw_id] for r in home.all("ReducedFrame")}
    return [(reduced[p.reduced_id], p) for p in home.all(class_name)]


def test_astrometry_is_right_to_a_twentieth_of_a_pixel(home, raws, night):
    errors = []
    for raw, solution in of_raw(home, raws, "AstrometricParameters"):
        truth = Wcs.from_header(night.truth.wcs(raw.original_name, raw.chip.name))
        ny, nx = night.truth.plan.chip_shape
        x, y = np.meshgrid(np.linspace(0, nx - 1, 12), np.linspace(0, ny - 1, 12))
        u, v = truth.to_pixel(*Wcs.from_header(solution.wcs).to_sky(x, y))
        errors.append(np.sqrt(np.mean((u - x) ** 2 + (v - y) ** 2) / 2))
    print(f"astrometry against truth: rms of {len(errors)} frames {np.min(errors):.3f} to {np.max(errors):.3f} pixel")

    assert np.sqrt(np.mean(np.square(errors))) < 0.05


@dataclass(frozen=True)
class Measured:
    """Stars of the truth that are in the list of a coadd."""

    ratio: np.ndarray
    """Flux in the circle over the true one there."""
    error: np.ndarray
    magnitude: np.ndarray
    neighbours: np.ndarray
    """Light of all other objects in the same circle, over that of the star."""
    well_seen: np.ndarray
    """At least 6 arcsec inside a chip in four exposures or more, and full in none."""


def light_in_circle(truth, stars, radius=RADIUS, reach=20.0):
    """Return the true flux (adu/s) of all other objects in a circle (arcsec) around each star, in the median seeing.

    All profiles are sums of Gaussians, and the integral of one over a circle off its centre is a non-central chi square
    distribution. Galaxies are taken as round.
    """
    objects, psf = truth.objects, moffat_psf(truth.plan.seeing)
    ra, dec = objects["ra"], objects["dec"]
    x, y = (ra - ra[0]) * np.cos(np.radians(dec[0])) * 3600, (dec - dec[0]) * 3600
    near = cKDTree(np.column_stack([x, y])).query_ball_point(np.column_stack([x[stars], y[stars]]), reach)
    pairs = np.array([(n, k) for n, found in enumerate(near) for k in found if k != stars[n]])
    distance = np.hypot(*(c[stars[pairs[:, 0]]] - c[pairs[:, 1]] for c in (x, y)))
    size = objects["half_light_radius"] ** 2 * (1 + objects["axis_ratio"] ** 2) / 2
    inside = np.zeros(len(pairs))
    for kind, (shares, variances) in PROFILES.items():
        own = objects["kind"][pairs[:, 1]] == kind
        for (share, variance), (part, width) in product(
            zip(shares, variances, strict=True), zip(psf.shares, psf.variances, strict=True)
        ):
            spread = variance * size[pairs[own, 1]] + width
            inside[own] += share * part * ncx2.cdf(radius**2 / spread, 2, distance[own] ** 2 / spread)
    return np.bincount(pairs[:, 0], inside * objects["flux_r"][pairs[:, 1]], len(stars))


def seen_well(truth, margin=24):
    """Say of each object whether it is well inside a chip in at least four exposures, and full in none."""
    ny, nx = truth.plan.chip_shape
    times, full = np.zeros(len(truth.objects), int), np.zeros(len(truth.objects), bool)
    for file, exposure in truth.exposures.items():
        if exposure["obstype"] != "OBJECT":
            continue
        for chip in truth.chips:
            x, y = (np.nan_to_num(axis, nan=-1e6) for axis in truth.positions(file, chip))
            times += (x > margin) & (y > margin) & (x < nx - margin) & (y < ny - margin)
            rows, columns = np.nonzero(truth.pixels(file, chip, PixelFlag.SATURATED))
            if len(rows):
                full |= cKDTree(np.column_stack([columns, rows])).query(np.column_stack([x, y]))[0] < 12
    return (times >= 4) & ~full


def light_inside(truth):
    """Return what share of a star's light is in the circle, in the mean over the exposures.

    Pixels blur twice: they gather the light of their area, and their share of the circle is that of their area.
    """
    blur = truth.plan.pixel_scale**2 / 6
    psfs = [moffat_psf(e["seeing"]) for e in truth.exposures.values() if e["obstype"] == "OBJECT"]
    wide = [replace(psf, variances=tuple(variance + blur for variance in psf.variances)) for psf in psfs]
    return np.mean([psf.enclosed(RADIUS) for psf in wide])


def measured_stars(home, night):
    (coadd,) = home.all("Coadd")
    (listed,) = [s for s in home.all("SourceList") if s.frame_id == coadd.object_id]
    names = ("RA", "DEC", "FLUX_APER_2", "FLUXERR_APER_2")
    with home.engine.connect() as connection:
        rows = connection.execute(select(*(SOURCES.c[n] for n in names)).where(listed.object_id == SOURCES.c.SLID))
        ra, dec, flux, error = np.array(rows.all(), float).T
    objects = night.truth.objects
    stars = np.flatnonzero(objects["kind"] == 0)
    i, j, _ = match_sky(ra, dec, objects["ra"][stars], objects["dec"][stars], 0.5)
    star = stars[j]
    true = 10 ** (0.4 * (coadd.zeropoint - objects["mag_r"][star])) * light_inside(night.truth)
    neighbours = light_in_circle(night.truth, star) / objects["flux_r"][star]
    return Measured(flux[i] / true, error[i] / true, objects["mag_r"][star], neighbours, seen_well(night.truth)[star])


@pytest.fixture(scope="module")
def measured(home, night, new_home, tmp_path_factory):
    """Stars of two nights: one has too few to tell the width of a distribution."""
    other = observed(tmp_path_factory.mktemp("other"), 3)
    return [measured_stars(home, night), measured_stars(processed(new_home(), other), other)]


def test_fluxes_of_bright_stars_are_right_to_one_per_cent(measured):
    for stars in measured:
        chosen = stars.well_seen & (stars.neighbours < 0.001) & (stars.error < 0.003)
        offset = stars.ratio[chosen] - 1
        within = np.mean(np.abs(offset) < 0.01)
        print(
            f"{chosen.sum()} bright stars: {np.median(offset):+.2%} in the median, scatter {robust_sigma(offset):.2%}"
        )
        print(f"  (photon noise {np.median(stars.error[chosen]):.2%}), {within:.1%} within 1 per cent")

        assert chosen.sum() >= 40
        # the zeropoint is in it, which some thousandths of uncertainty of the catalogue shift
        assert abs(np.median(offset)) < 0.005
        assert robust_sigma(offset) < 0.005
        # a cosmic ray in the core of a star can hide there
        assert within > 0.93


def pulls(stars):
    """Return pulls, errors and magnitudes of stars alone; the median of the bright takes out the zeropoint."""
    alone = stars.well_seen & (stars.neighbours < 0.1 * stars.error)
    error = np.hypot(stars.error, FLOOR)[alone]
    ratio = stars.ratio[alone]
    return (ratio - np.median(ratio[error < 0.01])) / error, stars.error[alone], stars.magnitude[alone]


def test_pulls_of_fluxes_have_unit_variance(measured):
    pull, error, magnitude = np.concatenate([pulls(stars) for stars in measured], axis=1)
    for low, high in pairwise((0.0, 0.002, 0.005, 0.01, 0.03, 0.07, 0.15)):
        own = (error > low) & (error <= high)
        print(f"errors {low:.1%} to {high:.1%}, r {magnitude[own].min():.1f} to {magnitude[own].max():.1f}: ", end="")
        print(f"{own.sum()} stars, mean {pull[own].mean():+.2f}, sigma {pull[own].std():.2f}, ", end="")
        print(f"robust {robust_sigma(pull[own]):.2f}")
    # the brightest: a star in twenty holds a cosmic ray, so that only the robust width says something
    bright, chosen = pull[error < 0.005], pull[(error > 0.005) & (error < 0.15)]
    uncertainty = 1 / np.sqrt(2 * len(chosen))
    print(f"{len(chosen)} stars of S/N 7 to 200: mean {chosen.mean():+.3f}, sigma {chosen.std():.3f} ", end="")
    print(f"+- {uncertainty:.3f}, robust {robust_sigma(chosen):.3f}; brighter: robust {robust_sigma(bright):.3f}")

    assert uncertainty < 0.05
    assert chosen.std() == pytest.approx(1, abs=0.1)
    assert robust_sigma(chosen) == pytest.approx(1, abs=0.1)
    assert abs(chosen.mean()) < 0.25
    assert robust_sigma(bright) < 1.25


def test_the_weight_of_the_coadd_is_the_inverse_of_its_variance(home, night):
    (coadd,) = home.all("Coadd")
    planes = open_planes(home.path(coadd))
    image, weight = planes.rows("IMAGE"), planes.rows("WEIGHT")
    empty = weight > 0
    x, y = Wcs.from_header(coadd.wcs).to_pixel(night.truth.objects["ra"], night.truth.objects["dec"])
    flux = np.asarray(night.truth.objects["flux_r"], float)
    for a, b, f in zip(x, y, flux, strict=True):
        reach = int(np.clip(4 + 6 * np.log10(max(f, 1)), 4, 60))
        if -reach < a < image.shape[1] + reach and -reach < b < image.shape[0] + reach:
            c, r = round(float(a)), round(float(b))
            empty[max(r - reach, 0) : r + reach, max(c - reach, 0) : c + reach] = False
    pull = (image * np.sqrt(weight))[empty]
    spread = np.diff(np.percentile(pull, [15.87, 84.13]))[0] / 2
    print(f"coadd: {empty.sum()} empty pixels, noise over that of the weight map {spread:.4f}")

    assert empty.sum() > 20_000
    assert spread == pytest.approx(1, abs=0.05)


def test_bad_pixels_are_found(home, night):
    for hot in home.all("HotPixelMap"):
        mask = open_planes(home.path(hot)).rows("FLAGS") > 0
        truth = night.truth.defects(hot.chip.name) & int(PixelFlag.HOT) > 0
        completeness, purity = (mask & truth).sum() / truth.sum(), (mask & truth).sum() / mask.sum()
        print(f"hot pixels of {hot.chip.name}: completeness {completeness:.3f}, purity {purity:.3f} of {truth.sum()}")

        assert completeness > 0.9
        assert purity > 0.9


def test_dead_pixels_are_found(home, night):
    for cold in home.all("ColdPixelMap"):
        mask = open_planes(home.path(cold)).rows("FLAGS") > 0
        truth = night.truth.defects(cold.chip.name) & int(PixelFlag.COLD) > 0
        completeness = (mask & truth).sum() / truth.sum()
        print(
            f"cold pixels of {cold.chip.name}: completeness {completeness:.3f} of {truth.sum()}, {mask.sum()} flagged"
        )

        assert completeness > 0.9
        assert (mask & ~truth).mean() < 0.005


def test_cosmic_rays_are_found(home, raws, night):
    noise = {r.raw_id: r.sigma for r in home.all("ReducedFrame")}
    bad = {r.raw_id: open_planes(home.path(r)).rows("FLAGS") > 0 for r in home.all("ReducedFrame")}
    flagged = real = hit = seen = 0
    for raw, cosmics in of_raw(home, raws, "CosmicMap"):
        mask = open_planes(home.path(cosmics)).rows("FLAGS") > 0
        usable = ~bad[raw.object_id]
        bright = night.truth.pixels(raw.original_name, raw.chip.name, PixelFlag.COSMIC, 5 * noise[raw.object_id])
        charged = night.truth.pixels(raw.original_name, raw.chip.name, PixelFlag.COSMIC)
        hit, seen = hit + (bright & usable).sum(), seen + (bright & mask & usable).sum()
        flagged, real = flagged + mask.sum(), real + (mask & charged).sum()
    print(f"cosmic rays: completeness {seen / hit:.3f} of {hit} pixels above 5 sigma, purity {real / flagged:.3f}")

    assert seen / hit > 0.95
    assert real / flagged > 0.85
