"""A simulated night against its truth: positions, fluxes, variances, bad pixels, cosmic rays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree
from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import open_engine, short_transaction
from awe.instruments import load_definitions
from awe.kernels.flags import PixelFlag
from awe.kernels.statistics import robust_sigma
from awe.kernels.wcs import Wcs
from awe.local import start_data_server
from awe.model import (
    AstrometricParameters,
    Coadd,
    ColdPixelMap,
    CosmicMap,
    HotPixelMap,
    PhotometricParameters,
    PsfModel,
    ReadNoise,
    RegriddedFrame,
    SatelliteMap,
    SourceList,
    WeightFrame,
)
from awe.model.catalogue import SOURCES
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import execute
from awe.processing.ingest import Ingester
from awe.processing.plan import plan
from awe.processing.requests import targets
from awe.processing.tasks import register_processes
from awe.simulation import PRESETS, Truth, simulate_night
from awe.store import Store

PLAN = {"chip_shape": (640, 640), "chips": 2, "filters": ("r",), "exposures": 6, "biases": 9, "twilights": 9}
SKY = {"stars": 30.0, "galaxies": 0.0, "reference_limit": 22.0, "seed": 77}


@dataclass(frozen=True)
class Observed:
    """The products of a night, and its truth."""

    truth: Truth
    session: Session
    store: Store

    def all(self, cls: Any) -> list[Any]:
        return list(self.session.scalars(select(cls).order_by(cls.object_id)).unique())

    def plane(self, frame: Any, name: str) -> np.ndarray:
        with fits.open(self.store.retrieve(frame.filename), memmap=False) as hdus:
            found = next(
                h.data for h in hdus if h.data is not None and name in (h.name, "" if h.name == "PRIMARY" else 0)
            )
            return found.astype(found.dtype.newbyteorder("="))


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, make_tables: Any) -> Iterator[Observed]:
    """Two chips, six exposures of a field with some 150 stars on each, made to a coadd."""
    home = tmp_path_factory.mktemp("truth")
    night = simulate_night(home / "night", PRESETS["small"], **PLAN, **SKY)
    with start_data_server(home / "files") as server:
        settings = Settings(home=home, data_server=server.address, user="ann", workers=2)
        engine, store = open_engine(settings.database), Store(server.address, settings.cache_folder)
        make_tables(engine)
        with short_transaction(engine) as session:
            register_processes(session)
        assert {r.verdict for r in Ingester(engine, store, settings, load_definitions()).ingest(night.files)} == {
            "ingested"
        }
        add_catalogue(engine, store, settings, night.reference_catalogue, "simulated", "plain")
        with Session(engine) as session:
            outcome = execute(plan(session, targets(session, Coadd, object="SIM-A")), engine, settings)
            sources = execute(plan(session, targets(session, SourceList, object="SIM-A")), engine, settings)
        assert outcome.failed == {}
        assert sources.failed == {}
        with Session(engine) as session:
            yield Observed(night.truth, session, store)
        engine.dispose()


def chip_name(truth: Truth, name: str) -> str:
    return next(c for c in truth.chips if c.lower() == name.lower())


def of(truth: Truth, product: Any) -> tuple[str, str]:
    raw = product.reduced.raw
    return raw.original_name, chip_name(truth, raw.chip.name)


def isolated(truth: Truth, product: Any, radius: float) -> np.ndarray:
    """Return the mask of the stars that no other star brighter than 5 mag fainter disturbs within a radius (pixel)."""
    x, y = truth.positions(*of(truth, product))
    magnitude = truth.objects["mag_r"]
    near = cKDTree(np.column_stack([x, y])).query_ball_point(np.column_stack([x, y]), radius)
    return np.array([all(j == i or magnitude[j] > magnitude[i] + 5 for j in others) for i, others in enumerate(near)])


def test_positions_are_true_to_a_twentieth_of_a_pixel(observed, record_property):
    ny, nx = observed.truth.plan.chip_shape
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(0, nx - 1, 20), np.linspace(0, ny - 1, 20)))
    residuals = []
    for solution in observed.all(AstrometricParameters):
        assert solution.method == "polynomial"
        ra, dec = observed.truth.projection(*of(observed.truth, solution)).to_sky(x, y)
        found_x, found_y = Wcs.from_header(solution.wcs).to_pixel(ra, dec)
        residuals.append(np.sqrt([np.mean((found_x - x) ** 2), np.mean((found_y - y) ** 2)]))
    record_property("astrometry_rms_pixel", float(np.sqrt(np.mean(np.square(residuals)))))
    print(f"astrometry against truth, over the whole chip: {np.round(residuals, 4).tolist()} pixel rms")

    assert len(residuals) == 12
    assert np.sqrt(np.mean(np.square(residuals))) < 0.05
    assert np.max(residuals) < 0.1  # of one axis of one frame, corners without stars included


def stars_of(observed: Observed) -> np.ndarray:
    """Return true magnitude, measured magnitude, its error and flux error of all isolated stars, of all frames."""
    rows = []
    for product in observed.all(PhotometricParameters):
        assert product.method == "catalogue"
        with fits.open(observed.store.retrieve(product.filename), memmap=False) as hdus:
            found = np.asarray(hdus[1].data)
        x, y = observed.truth.positions(*of(observed.truth, product))
        radius = product.aperture / observed.truth.plan.pixel_scale
        distance, number = cKDTree(np.column_stack([x, y])).query(np.column_stack([found["x"], found["y"]]))
        ny, nx = observed.truth.plan.chip_shape
        inside = (found["x"] > radius) & (found["x"] < nx - radius) & (found["y"] > radius) & (found["y"] < ny - radius)
        good = isolated(observed.truth, product, 1.3 * radius)[number]
        good &= (distance < 1) & (found["flags"] == 0) & (found["rate"] > 0) & inside
        rate, rate_error = found["rate"][good].astype(float), found["rate_error"][good].astype(float)
        magnitude = product.zeropoint - 2.5 * np.log10(rate)
        true = observed.truth.objects["mag_r"][number[good]]
        rows.append(np.column_stack([true, magnitude, 1.0857 * rate_error / rate, np.full(good.sum(), product.error)]))
    return np.concatenate(rows).T


def test_fluxes_of_bright_stars_are_true_to_one_percent(observed):
    true, found, error, _ = stars_of(observed)
    bright = (error < 0.01) & (true > 15)
    relative = 10 ** (-0.4 * (found - true))[bright] - 1
    print(f"{bright.sum()} bright stars: flux {relative.mean():+.4f} +- {relative.std() / np.sqrt(bright.sum()):.4f}")

    assert bright.sum() > 100
    assert abs(np.median(relative)) < 0.01
    assert np.mean(np.abs(relative) < 0.03) > 0.97


def test_errors_of_fluxes_are_the_scatter_of_fluxes(observed):
    true, found, error, zeropoint_error = stars_of(observed)
    chosen = (error > 0.01) & (error < 0.1)
    pulls = ((found - true) / np.hypot(error, zeropoint_error))[chosen]
    sigma = robust_sigma(pulls)
    print(f"{chosen.sum()} stars: pulls {pulls.mean():+.3f}, sigma {sigma:.3f} (robust), {pulls.std():.3f} (plain)")

    # the error of a sigma of n values is 1/sqrt(2n)
    assert chosen.sum() > 150
    assert sigma == pytest.approx(1, abs=0.1 + 1 / np.sqrt(2 * chosen.sum()))


def test_the_psf_of_the_coadd_tells_fluxes_and_stars(observed):
    (psf,), (found,) = observed.all(PsfModel), observed.all(SourceList)
    rows = observed.session.execute(SOURCES.select().where(SOURCES.c.SLID.in_([found.object_id]))).mappings().all()
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    stars, wcs = observed.truth.objects, Wcs.from_header(found.frame.wcs)
    x, y = wcs.to_pixel(stars["ra"], stars["dec"])
    near = cKDTree(np.column_stack([x, y]))
    distance, number = near.query(np.column_stack([columns["XPSF_IMAGE"], columns["YPSF_IMAGE"]]))
    pairs = near.query_ball_point(np.column_stack([x, y]), 14.0)
    magnitude = stars["mag_r"]
    alone = np.array([all(j == i or magnitude[j] > magnitude[i] + 6 for j in others) for i, others in enumerate(pairs)])
    good = (distance < 1) & (columns["FLAGS"] == 0) & (columns["IMAFLAGS"] == 0) & alone[number]
    good &= columns["MAGERR_PSF"] < 0.005
    off = columns["MAG_PSF"][good] - magnitude[number[good]]
    spread = columns["SPREAD_MODEL"][good]
    print(f"{good.sum()} stars, PSF of {psf.n_stars}: {np.median(off):+.4f} mag, sigma {robust_sigma(off):.4f}")

    assert psf.n_stars > 20
    assert psf.seeing == pytest.approx(found.seeing, rel=0.1)
    assert psf.filename.startswith("Sci-")
    assert good.sum() > 20
    assert abs(np.median(off)) < 0.015  # the zeropoint is known to 0.01
    assert robust_sigma(off) < 0.015
    assert np.mean(np.abs(spread) < 0.003) > 0.95


def blank(observed: Observed, coadd: Any, radius: float) -> np.ndarray:
    """Return the mask of the pixels of the coadd that no star reaches."""
    wcs = Wcs.from_header(coadd.grid_target.wcs)
    stars = observed.truth.objects
    x, y = wcs.to_pixel(stars["ra"], stars["dec"])
    shape = (coadd.naxis2, coadd.naxis1)
    taken = np.zeros(shape, bool)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for star_x, star_y, magnitude in zip(x, y, stars["mag_r"], strict=True):
        reach = radius * max(1.0, 10 ** (0.12 * (21 - magnitude)))
        if -reach < star_x < shape[1] + reach and -reach < star_y < shape[0] + reach:
            x0, x1 = (int(np.clip(star_x + s * reach, 0, shape[1])) for s in (-1, 1))
            y0, y1 = (int(np.clip(star_y + s * reach, 0, shape[0])) for s in (-1, 1))
            part = np.s_[y0 : y1 + 1, x0 : x1 + 1]
            taken[part] |= (xx[part] - star_x) ** 2 + (yy[part] - star_y) ** 2 < reach**2
    return ~taken


@pytest.mark.parametrize("cls", [Coadd, RegriddedFrame])
def test_the_weights_are_the_inverse_variances_of_the_blank_sky(observed, cls):
    sigmas = []
    for frame in observed.all(cls):
        image, weight = observed.plane(frame, "IMAGE"), observed.plane(frame, "WEIGHT")
        coadd = observed.all(Coadd)[0]
        empty = blank(observed, coadd, 16.0)
        if cls is RegriddedFrame:
            empty = empty[frame.y0 : frame.y0 + frame.naxis2, frame.x0 : frame.x0 + frame.naxis1]
        good = empty & (weight > 0)
        assert good.sum() > 50_000
        sigmas.append(robust_sigma((image * np.sqrt(weight))[good]))
    print(f"{cls.__name__}: sigma of blank pixels over that of the weight: {np.round(sigmas, 3).tolist()}")

    # 50,000 pixels of which some 10 are correlated: 1 %; read noise, gain and flat are known to 1 % each
    assert np.median(sigmas) == pytest.approx(1, abs=0.03)
    assert max(abs(np.array(sigmas) - 1)) < 0.06


def test_the_noise_scale_gives_the_noise_of_apertures(observed):
    (coadd,) = observed.all(Coadd)
    image, weight = observed.plane(coadd, "IMAGE"), observed.plane(coadd, "WEIGHT")
    empty = blank(observed, coadd, 16.0) & (weight > 0)
    radius, pulls = 6, []
    disc = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    for y in range(radius, image.shape[0] - radius, 2 * radius + 1):
        for x in range(radius, image.shape[1] - radius, 2 * radius + 1):
            part = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
            if empty[part][disc].all():
                pulls.append(image[part][disc].sum() / np.sqrt((1 / weight[part][disc]).sum()))
    sigma = robust_sigma(np.array(pulls))
    print(f"{len(pulls)} apertures: noise {sigma:.3f} of independent pixels; noise_scale {coadd.noise_scale:.3f}")

    assert len(pulls) > 300
    assert coadd.noise_scale > 1
    assert sigma == pytest.approx(coadd.noise_scale, rel=0.08 + 2 / np.sqrt(2 * len(pulls)))


def test_read_noise_and_gain_are_those_of_the_camera(observed):
    for noise in observed.all(ReadNoise):
        facts = observed.truth.summary["chips"][chip_name(observed.truth, noise.chip.name)]
        assert noise.value == pytest.approx(facts["read_noise"] / facts["gain"], rel=0.02)
        assert noise.gain == pytest.approx(facts["gain"], rel=0.001)


def rates(found: np.ndarray, true: np.ndarray, near: np.ndarray | None = None) -> tuple[float, float]:
    """Return completeness and purity of a mask; what is flagged within `near` counts as right."""
    near = true if near is None else near
    return float((found & true).sum() / max(true.sum(), 1)), float((found & near).sum() / max(found.sum(), 1))


def test_bad_pixels_are_found(observed):
    maps = (sorted(observed.all(cls), key=lambda m: m.chip.name) for cls in (HotPixelMap, ColdPixelMap))
    for hot, cold in zip(*maps, strict=True):
        defects = observed.truth.defects(chip_name(observed.truth, hot.chip.name))
        for frame, flag in ((hot, PixelFlag.HOT), (cold, PixelFlag.COLD)):
            true = (defects & flag) > 0
            found = (observed.plane(frame, "FLAGS") & flag) > 0
            completeness, purity = rates(found, true, (defects > 0))
            print(f"{frame.chip.name}, {true.sum()} {flag.name}: completeness {completeness:.3f}, purity {purity:.3f}")
            assert completeness > 0.95
            assert purity > 0.8  # a column of which most is bad is flagged as a whole


def test_cosmic_rays_are_found(observed):
    """Those of more than ten times the noise of the sky; faint ones are not told from noise, whatever is done."""
    found_all, true_all, near_all = [], [], []
    for cosmics in observed.all(CosmicMap):
        weight = next(w for w in observed.all(WeightFrame) if w.reduced is cosmics.reduced)
        noise = 1 / np.sqrt(weight.median_weight)
        name = of(observed.truth, cosmics)
        flags = observed.plane(cosmics.reduced, "FLAGS")
        found_all.append((observed.plane(cosmics, "FLAGS") > 0) & (flags == 0))
        true_all.append(observed.truth.pixels(*name, PixelFlag.COSMIC, 10 * noise) & (flags == 0))
        near_all.append(binary_dilation(observed.truth.pixels(*name, PixelFlag.COSMIC), np.ones((3, 3))))
    completeness, purity = rates(*(np.array(m) for m in (found_all, true_all, near_all)))
    print(f"cosmic rays: {np.sum(true_all)} pixels, completeness {completeness:.3f}, purity {purity:.3f}")

    assert np.sum(true_all) > 1000
    assert completeness > 0.95
    assert purity > 0.8


def test_no_track_is_seen_where_no_satellite_passed(observed):
    assert [(m.n_tracks, m.count) for m in observed.all(SatelliteMap)] == [(0, 0)] * len(observed.all(CosmicMap))
