"""A simulated night against its truth: astrometry, fluxes, noise, bad pixels and cosmic rays."""

import numpy as np
import pytest
from sqlalchemy import select

from awe.fits import open_planes
from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_sky
from awe.kernels.wcs import Wcs, separation
from awe.model.catalogue import SOURCES
from awe.simulation import PRESETS, simulate_night

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return simulate_night(
        tmp_path_factory.mktemp("sky") / "night", PRESETS["demo"], chips=2, filters=("r",), exposures=6
    )


@pytest.fixture(scope="module")
def home(new_home, night):
    home = new_home()
    home.add_catalogue(night.reference_catalogue, "plain")
    home.ingest(night.folder / "raw")
    assert home.make("SourceList").failed == {}
    return home


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


def flux_of_neighbours(truth, stars, reach=5.0):
    """Return the true flux (adu/s) of all other objects within some arcsec of each star."""
    objects = truth.objects
    ra, dec, flux = (np.asarray(objects[n], float) for n in ("ra", "dec", "flux_r"))
    found = []
    for star in stars:
        near = (np.abs(dec - dec[star]) < reach / 3600) & (np.arange(len(ra)) != star)
        distance = separation(ra[star], dec[star], ra[near], dec[near]) * 3600
        found.append(flux[near][distance < reach].sum())
    return np.array(found)


def test_fluxes_of_stars_are_right_and_so_are_their_errors(home, night):
    (coadd,) = home.all("Coadd")
    (listed,) = [s for s in home.all("SourceList") if s.frame_id == coadd.object_id]
    names = ("RA", "DEC", "FLUX_APER_2", "FLUXERR_APER_2", "FLAGS", "IMAFLAGS")
    with home.engine.connect() as connection:
        rows = connection.execute(select(*(SOURCES.c[n] for n in names)).where(listed.object_id == SOURCES.c.SLID))
        found = dict(zip(names, np.array(rows.all(), float).T, strict=True))
    objects = night.truth.objects
    stars = np.flatnonzero(objects["kind"] == 0)
    i, j, _ = match_sky(found["RA"], found["DEC"], objects["ra"][stars], objects["dec"][stars], 0.5)
    full = 10 ** (0.4 * (coadd.zeropoint - np.asarray(objects["mag_r"], float)[stars][j]))
    ratio, error = found["FLUX_APER_2"][i] / full, found["FLUXERR_APER_2"][i] / full
    others = flux_of_neighbours(night.truth, stars[j]) / np.asarray(objects["flux_r"], float)[stars][j]
    clean = (found["FLAGS"][i] == 0) & (found["IMAFLAGS"][i].astype(int) & int(PixelFlag.SATURATED) == 0)
    alone = clean & (others < 0.2 * error + 0.001)
    bright, measured = alone & (error < 0.005), alone & (error > 0.01) & (error < 0.15)
    # what a circle of 4 arcsec diameter holds of a star is the same for all of them
    inside = np.median(ratio[bright])
    pull = (ratio[measured] / inside - 1) / (error[measured] / inside)
    robust = 1.4826 * np.median(np.abs(pull))
    print(f"{bright.sum()} bright stars: {inside:.4f} of the flux in the aperture, scatter {ratio[bright].std():.4f};")
    print(
        f"pulls of {measured.sum()} stars with S/N 7 to 100: mean {pull.mean():.2f}, "
        f"sigma {robust:.3f} by the median, {pull.std():.3f} in all"
    )

    assert bright.sum() >= 8
    assert np.abs(ratio[bright] / inside - 1).max() < 0.01
    # a Moffat profile of the seeing has 2.5 to 3.5 per cent of its light outside
    assert inside == pytest.approx(0.975, abs=0.01)
    assert measured.sum() >= 30
    # to 10 per cent, as far as this many stars can tell
    assert robust == pytest.approx(1, abs=0.1 + 2 / np.sqrt(2 * measured.sum()))


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
