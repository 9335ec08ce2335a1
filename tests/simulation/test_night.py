"""A simulated night as a whole: files, headers, catalogue and truth agree."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.flags import PixelFlag
from awe.simulation import PRESETS, Night, NightPlan, holds_night, load_night, simulate_night
from awe.simulation.bands import BANDS
from awe.simulation.camera import OVERSCAN
from awe.simulation.projection import true_projection
from awe.simulation.rendering import Kind, moffat_psf
from awe.simulation.schedule import LONGITUDE, airmass, epoch, schedule
from awe.simulation.sky import make_sky

TINY = PRESETS["tiny"]
LITTLE = replace(TINY, chips=1, exposures=1, biases=1, twilights=1)


def _bytes(night: Night) -> dict[str, bytes]:
    return {str(path.relative_to(night.folder)): path.read_bytes() for path in night.folder.rglob("*.*")}


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (simulate_night(tmp_path / name, LITTLE) for name in ("first", "second"))

    assert len(first.files) == 3
    assert _bytes(first) == _bytes(second)


def test_another_seed_gives_another_sky_and_other_noise(tmp_path: Path) -> None:
    first, second = (simulate_night(tmp_path / str(seed), LITTLE, seed=seed) for seed in (1, 2))

    assert not set(first.truth.objects["ra"]) & set(second.truth.objects["ra"])
    assert _bytes(first)["raw/simcam_20260214_0001.fits"] != _bytes(second)["raw/simcam_20260214_0001.fits"]


def test_an_exposure_does_not_depend_on_those_that_come_after(tmp_path: Path) -> None:
    short, long = (simulate_night(tmp_path / str(n), LITTLE, exposures=n) for n in (1, 2))

    assert short.of_type("OBJECT")[0].read_bytes() == long.of_type("OBJECT")[0].read_bytes()


def test_files_of_each_kind_are_as_many_as_planned(tmp_path: Path) -> None:
    plan = replace(
        LITTLE, filters=("g", "i"), exposures=2, biases=3, twilights=2, domes=1, darks=1, standards=1, exptime=10.0
    )

    night = simulate_night(tmp_path, plan)

    found = {kind: len(night.of_type(kind)) for kind in ("BIAS", "DARK", "DOMEFLAT", "SKYFLAT", "STANDARD", "OBJECT")}
    assert found == {"BIAS": 3, "DARK": 1, "DOMEFLAT": 2, "SKYFLAT": 4, "STANDARD": 2, "OBJECT": 4}
    assert len(night.of_type("OBJECT", "i")) == 2
    assert len(night.files) == 16
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [path.name for path in night.files]


def test_headers_say_what_kind_of_frame_it_is(tiny_night: Night) -> None:
    for path in tiny_night.files:
        with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning, hence an error
            truth, primary = tiny_night.truth.exposures[path.name], hdus[0].header
            assert primary["INSTRUME"] == primary["DETECTOR"] == "SIMCAM"
            assert primary["OBSTYPE"] == truth["obstype"]
            assert primary["FILTER"] == (truth["filter"] or "NONE")
            assert primary["EXPTIME"] == truth["exptime"]
            assert datetime.fromisoformat(primary["DATE-OBS"] + "+00:00") == datetime.fromisoformat(truth["start"])
            assert [hdu.header["EXTNAME"] for hdu in hdus[1:]] == ["ccd1", "ccd2"]
            for hdu in hdus[1:]:
                assert hdu.data.dtype == np.uint16
                assert hdu.data.shape == (256, 256 + OVERSCAN)
                assert hdu.header["DATASEC"] == "[1:256,1:256]"
                assert hdu.header["BIASSEC"] == "[257:288,1:256]"
                assert hdu.header["GAIN"] == tiny_night.truth.summary["chips"][hdu.header["EXTNAME"]]["gain"]
                assert ("CTYPE1" in hdu.header) == (truth["obstype"] == "OBJECT")


def test_exposures_follow_each_other_within_one_night_from_noon_to_noon() -> None:
    plan = replace(PRESETS["demo"], darks=3, domes=5, standards=2)
    exposures = schedule(plan)
    noon = datetime.fromisoformat(plan.night).replace(hour=12, tzinfo=UTC) - timedelta(hours=LONGITUDE / 15)

    for before, after in pairwise(exposures):
        assert after.start >= before.start + timedelta(seconds=before.exptime)
    assert noon < exposures[0].start
    assert exposures[-1].start < noon + timedelta(days=1)
    assert [exposure.number for exposure in exposures] == list(range(1, len(exposures) + 1))


def test_some_exposures_are_taken_through_cloud_and_say_so() -> None:
    science = [exposure for exposure in schedule(PRESETS["demo"]) if exposure.obstype == "OBJECT"]

    assert [exposure.transparency > 0.95 for exposure in science] == [True, True, False, True] * 2
    assert len({exposure.seeing for exposure in science}) == len(science)


def test_airmass_is_one_in_the_zenith_and_two_at_sixty_degrees_from_it() -> None:
    # sidereal time at Greenwich is 280.46 deg at this moment, by definition of the constant
    time = datetime(2000, 1, 1, 12, tzinfo=UTC)
    zenith = 280.46061837 + LONGITUDE

    assert airmass(zenith, 28.76, time) == pytest.approx(1)
    assert airmass(zenith, 28.76 - 60, time) == pytest.approx(2)


@pytest.mark.parametrize("preset", ["tiny", "small", "demo"])
@pytest.mark.parametrize("seed", [1, 2, 2008])
def test_each_chip_sees_enough_reference_stars_in_each_exposure(preset: str, seed: int) -> None:
    plan = replace(PRESETS[preset], seed=seed)
    objects = make_sky(plan, plan.ra, plan.dec, first_id=1, stream=0)
    stars = objects[(objects["kind"] == Kind.STAR) & (objects["mag_r"] < plan.reference_limit)]
    ny, nx = plan.chip_shape
    for exposure in (exposure for exposure in schedule(plan) if exposure.on_sky):
        for chip in range(plan.chips):
            projection = true_projection(plan, chip).pointed(exposure.true_ra, exposure.true_dec)
            x, y = projection.to_pixel(stars["ra"], stars["dec"])
            assert np.sum((x > 5) & (x < nx - 5) & (y > 5) & (y < ny - 5)) >= (30 if preset == "demo" else 12)


def test_reference_positions_moved_to_the_night_scatter_by_their_errors(tiny_night: Night) -> None:
    truth, catalogue = tiny_night.truth, tiny_night.truth.reference
    stars = truth.objects[catalogue["id"] - 1]
    years = epoch(truth.plan) - catalogue["epoch"]
    stretch = np.cos(np.deg2rad(stars["dec"]))

    ra_offset = (catalogue["ra"] - stars["ra"]) * stretch * 3.6e6 + catalogue["pmra"] * years
    dec_offset = (catalogue["dec"] - stars["dec"]) * 3.6e6 + catalogue["pmdec"] * years

    # proper motions are known to a tenth of the position error per year
    growth = np.sqrt(1 + (years / 10) ** 2)
    pulls = np.concatenate([
        ra_offset / catalogue["ra_error"] / growth, dec_offset / catalogue["dec_error"] / growth
    ])  # fmt: skip
    assert len(catalogue) > 200
    assert np.median(catalogue["ra_error"]) == pytest.approx(10, abs=3)
    assert pulls.mean() == pytest.approx(0, abs=4 / np.sqrt(pulls.size))
    assert pulls.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pulls.size))


def test_reference_catalogue_holds_bright_stars_only_with_honest_magnitudes(tiny_night: Night) -> None:
    catalogue = tiny_night.truth.reference
    stars = tiny_night.truth.objects[catalogue["id"] - 1]

    assert set(stars["kind"]) == {Kind.STAR}
    assert stars["mag_r"].max() < TINY.reference_limit
    for band in ("g", "r"):
        pulls = (catalogue[f"mag_{band}"] - stars[f"mag_{band}"]) / catalogue[f"mag_{band}_error"]
        assert pulls.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pulls.size))


def test_fluxes_and_magnitudes_of_the_truth_agree_by_the_zeropoint(tiny_night: Night) -> None:
    truth, file = tiny_night.truth, tiny_night.of_type("OBJECT")[1].name
    flux = truth.fluxes(file, "ccd2")

    magnitude = truth.zeropoint(file, "ccd2") - 2.5 * np.log10(flux)

    assert magnitude == pytest.approx(truth.objects["mag_r"], abs=1e-9)
    assert truth.objects["flux_r"] == pytest.approx(10 ** (0.4 * (BANDS["r"].zeropoint - truth.objects["mag_r"])))


def test_pointing_of_the_header_is_off_by_some_arcsec(tiny_night: Night) -> None:
    offsets = []
    for path in tiny_night.of_type("OBJECT"):
        header, truth = fits.getheader(path), tiny_night.truth.exposures[path.name]
        offsets.append(np.hypot(header["RA"] - truth["true_ra"], header["DEC"] - truth["true_dec"]) * 3600)

    assert min(offsets) > 0.3
    assert max(offsets) < 15


def _reduced(night: Night, path: Path, chip: str) -> tuple[np.ndarray, np.ndarray]:
    """The frame with the true bias and flat taken out, and the mask of its bad pixels."""
    truth = night.truth
    raw = fits.getdata(path, chip).astype(float)
    nx = raw.shape[1] - OVERSCAN
    bad = truth.defects(chip) > 0
    for flag in (PixelFlag.COSMIC, PixelFlag.SATURATED):
        bad |= truth.pixels(path.name, chip, flag)
    flat = np.where(bad, 1, truth.flat(chip, truth.exposures[path.name]["filter"]))
    return np.where(bad, 0, raw[:, :nx] - raw[:, nx:].mean(axis=1, keepdims=True) - truth.bias(chip)) / flat, bad


def _measured(night: Night) -> dict[str, np.ndarray]:
    """Pulls of flux, ratio to the true flux and offset of centroid of the bright, undisturbed stars of a night."""
    rows = [
        _star(night, path, chip, image, bad, i)
        for path in night.of_type("OBJECT")
        for chip in night.truth.chips
        for image, bad in [_reduced(night, path, chip)]
        for i in _lonely(night, path, chip, bad)
    ]
    return dict(zip(("pull", "ratio", "dx", "dy"), np.array(rows).T, strict=True))


def _lonely(night: Night, path: Path, chip: str, bad: np.ndarray) -> list[int]:
    x, y = night.truth.positions(path.name, chip)
    flux = night.truth.fluxes(path.name, chip)
    size = bad.shape[0]
    bright = np.flatnonzero((flux > 200) & (x > 32) & (x < size - 33) & (y > 32) & (y < size - 33))
    chosen = []
    for i in bright:
        distance = np.hypot(x - x[i], y - y[i])
        near, around = (distance < 16) & (distance > 0), (distance < 50) & (distance > 0)
        clear = flux[near].sum() < 1e-3 * flux[i] and flux[around].sum() < 5e-3 * flux[i]
        rows, columns = round(y[i]), round(x[i])
        spoiled = bad[rows - 10 : rows + 11, columns - 10 : columns + 11].any()
        if clear and not spoiled:
            chosen.append(int(i))
    return chosen


def _star(night: Night, path: Path, chip: str, image: np.ndarray, bad: np.ndarray, index: int) -> list[float]:
    """Measure one star in a round aperture with soft edge, against the PSF and the noise model."""
    truth, exposure = night.truth, night.truth.exposures[path.name]
    facts, projection = truth.summary["chips"][chip], truth.projection(path.name, chip)
    all_x, all_y = truth.positions(path.name, chip)
    x0, y0 = all_x[index], all_y[index]
    cut = np.s_[round(y0) - 30 : round(y0) + 31, round(x0) - 30 : round(x0) + 31]
    y, x = (grid[cut] for grid in np.indices(image.shape))
    radius = np.hypot(x - x0, y - y0)
    ring = (radius > 20) & ~bad[cut]
    background = image[cut][ring].mean()
    aperture = np.clip(8.5 - radius, 0, 1)
    light = aperture * (image[cut] - background)

    profile = _profile(x - x0, y - y0, exposure["seeing"] / truth.plan.pixel_scale)
    area = projection.pixel_area(image.shape)[round(y0), round(x0)]
    expected = truth.fluxes(path.name, chip)[index] * exposure["exptime"] / area * (aperture * profile).sum()
    read_noise = facts["read_noise"] / facts["gain"]
    pixel_variance = background / facts["gain"] + read_noise**2
    variance = (aperture**2 * pixel_variance).sum() + aperture.sum() ** 2 * pixel_variance / ring.sum()
    variance += expected / facts["gain"]
    offsets = [(light * (grid - centre)).sum() / light.sum() for grid, centre in ((x, x0), (y, y0))]
    return [(light.sum() - expected) / variance**0.5, light.sum() / expected, *offsets]


def _profile(dx: np.ndarray, dy: np.ndarray, fwhm: float, fine: int = 5) -> np.ndarray:
    """The PSF averaged over each pixel."""
    psf, steps = moffat_psf(fwhm), (np.arange(fine) + 0.5) / fine - 0.5
    squares = np.stack([(dx + step_x) ** 2 + (dy + step_y) ** 2 for step_x in steps for step_y in steps])
    gaussians = zip(psf.shares, psf.variances, strict=True)
    return sum(share / (2 * np.pi * variance) * np.exp(-squares / 2 / variance) for share, variance in gaussians).mean(
        0
    )


def test_stars_have_their_true_flux_and_lie_at_their_true_position(sparse_night: Night) -> None:
    found = _measured(sparse_night)
    count = found["pull"].size

    assert count > 20
    assert found["pull"].mean() == pytest.approx(0, abs=4 / np.sqrt(count))
    assert found["pull"].std() == pytest.approx(1, abs=4 / np.sqrt(2 * count))
    # the faintest of these stars have a signal of 100 times the noise
    assert found["ratio"] == pytest.approx(1, abs=0.04)
    assert np.median(found["ratio"]) == pytest.approx(1, abs=0.002)
    for axis in ("dx", "dy"):
        assert found[axis].mean() == pytest.approx(0, abs=0.01)
        assert found[axis].std() < 0.05


def test_dead_columns_are_dark_and_cosmic_rays_bright_where_the_truth_has_them(tiny_night: Night) -> None:
    path = tiny_night.of_type("OBJECT")[0]
    image, _ = _reduced(tiny_night, path, "ccd1")
    raw = fits.getdata(path, "ccd1")[:, :256].astype(float)
    cosmic = tiny_night.truth.pixels(path.name, "ccd1", PixelFlag.COSMIC, least_charge=500)
    others = tiny_night.truth.defects("ccd1") > 0

    assert cosmic.sum() >= 1
    assert (raw[cosmic & ~others] > np.median(raw) + 400).all()
    assert np.median(image) > 100


def test_a_night_is_not_written_into_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")

    with pytest.raises(FileExistsError, match="holds files"):
        simulate_night(tmp_path, LITTLE)

    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_what_a_killed_simulation_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".part" / "raw").mkdir(parents=True)
    (tmp_path / ".part" / "raw" / "simcam_20260214_0001.fits").write_text("half")

    night = simulate_night(tmp_path, LITTLE)

    assert not (tmp_path / ".part").exists()
    assert all(path.stat().st_size > 10_000 for path in night.files)


def test_a_night_says_what_it_holds(tiny_night: Night) -> None:
    assert str(tiny_night).startswith("11 exposures (5 BIAS, 3 SKYFLAT, 3 OBJECT) of 2 chips")


def test_a_night_can_be_found_again(tiny_night: Night, tmp_path: Path) -> None:
    again = load_night(tiny_night.folder)

    assert again.files == tiny_night.files
    assert again.truth.plan == TINY
    assert again.truth.objects.tobytes() == tiny_night.truth.objects.tobytes()
    assert holds_night(tiny_night.folder, TINY)
    assert not holds_night(tiny_night.folder, replace(TINY, seed=1))
    assert not holds_night(tmp_path, TINY)
    with pytest.raises(FileNotFoundError, match="no complete simulated night"):
        load_night(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chip_shape": (10, 10)}, "chip_shape"),
        ({"chips": 0}, "chips"),
        ({"filters": ("V",)}, "filters"),
        ({"filters": ("g", "g")}, "differ"),
        ({"seeing": 0.3}, "seeing"),
        ({"exposures": -1}, "counts"),
        ({"exptime": 0.0}, "exptime"),
        ({"dec": 89.0}, "dec"),
        ({"night": "yesterday"}, "isoformat"),
    ],
)
def test_what_cannot_be_simulated_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NightPlan(**change)


def test_right_ascensions_stay_within_the_circle(tmp_path: Path) -> None:
    night = simulate_night(tmp_path, LITTLE, ra=0.0)

    for table in (night.truth.objects, night.truth.reference):
        assert table["ra"].min() >= 0
        assert table["ra"].max() < 360
    x, y = night.truth.positions(night.of_type("OBJECT")[0].name, "ccd1")
    assert np.sum((x > 0) & (x < 256) & (y > 0) & (y < 256)) > 50
