"""Two fields of NTT/EFOSC2, from raw files to a coadd and source lists; no catalogue covers them."""

import numpy as np
import pytest
import sep
from scipy.ndimage import binary_dilation
from sqlalchemy import select

from awe.fits import open_planes
from awe.kernels.matching import match_sky
from awe.model.catalogue import SOURCES

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(new_home, real_data):
    home = new_home()
    home.ingest(real_data / "efosc2", real_data / "efosc2-spectra")
    outcome = home.make("SourceList", instrument="EFOSC2")
    assert outcome.failed == {}
    return home


def test_the_spectra_are_refused_and_all_else_is_ingested(home):
    refused = [r for r in home.reports if r.verdict == "refused"]

    assert len(home.reports) == 16
    assert len(refused) == 2
    assert all("spectrum" in r.reason for r in refused)


def test_bias_level_and_read_noise_are_measured_not_believed(home):
    (bias,), (noise,) = home.all("BiasFrame"), home.all("ReadNoise")
    print(f"bias level {bias.raw_level:.1f} adu, read noise {noise.value:.2f} +- {noise.error:.2f} adu,")
    print(f"without rejecting outliers {noise.plain_value:.2f} adu; {noise.remark}")

    assert bias.raw_level == pytest.approx(222, abs=1)
    # pairs of biases give 10.3 adu; 11.4 is the mean plain scatter of the pairs with the first one, outliers included
    assert noise.value == pytest.approx(10.28, abs=0.1)
    assert noise.plain_value == pytest.approx(11.4, abs=0.3)
    assert "the header's read noise, 7.80 electron" in noise.remark


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Q1010-0100", [(-41.5, -20.7), (-41.5, -41.4)]), ("J123410-332638", [(41.7, 1.2), (41.4, -38.9)])],
)
def test_exposures_are_tied_to_the_first_one(home, name, expected):
    solutions = {a.reduced_id: a for a in home.all("AstrometricParameters")}
    frames = sorted(home.all("ReducedFrame", object=name), key=lambda frame: frame.date_obs)
    found = [solutions[frame.object_id] for frame in frames[1:]]
    for solution in found:
        print(f"{name}: offset ({solution.offset_x:.2f}, {solution.offset_y:.2f}), {solution.n_stars} stars,")
        print(f"  rms {solution.rms:.3f}, of {solution.n_bright} with S/N > 30 {solution.rms_bright:.3f} pixel")

    assert [(a.offset_x, a.offset_y) for a in found] == [pytest.approx(e, abs=0.2) for e in expected]
    assert max(a.rms_bright for a in found) < 0.1


def test_the_noise_of_three_frames_is_that_of_one_over_root_three(home):
    for coadd in home.all("Coadd"):
        regridded = [r for r in home.all("RegriddedFrame") if r.object == coadd.object]
        ratio = noise_of_coadd(home, coadd, regridded)
        print(f"{coadd.object}: scatter of apertures of the coadd over that of a frame / sqrt(3): {ratio:.3f}")

        assert coadd.n_frames == 3
        assert ratio == pytest.approx(1, abs=0.1)


def noise_of_coadd(home, coadd, regridded):
    """Return the scatter of sky apertures (2 arcsec radius, sky around each) over that of a frame / sqrt(3)."""
    planes = open_planes(home.path(coadd))
    image, weight = planes.rows("IMAGE"), planes.rows("WEIGHT")
    frames = []
    bad = weight <= 0
    for frame in regridded:
        one = open_planes(home.path(frame))
        full, good = np.zeros_like(image), np.zeros(image.shape, bool)
        part = slice(frame.y0, frame.y0 + frame.naxis2), slice(frame.x0, frame.x0 + frame.naxis1)
        full[part], good[part] = one.rows("IMAGE"), one.rows("WEIGHT") > 0
        bad |= ~good
        frames.append(full)
    rms = 1 / np.sqrt(np.where(weight > 0, weight, 1))
    _, segments = sep.extract(image, 1.0, err=rms, mask=bad, segmentation_map=True)
    excluded = bad | binary_dilation(segments > 0, iterations=6)
    radius = 2 / coadd.pixel_scale
    rng = np.random.default_rng(7)
    x, y = rng.uniform(20, np.array(image.shape[::-1])[:, None] - 20, (2, 40_000))
    free = sep.sum_circle(excluded.astype(np.float32), x, y, radius)[0] == 0
    x, y = x[free], y[free]
    assert len(x) > 3000

    def scatter(pixels):
        ring = 4 / coadd.pixel_scale, 12 / coadd.pixel_scale
        sums = sep.sum_circle(np.ascontiguousarray(pixels), x, y, radius, mask=excluded, bkgann=ring)[0]
        low, high = np.percentile(sums, [15.87, 84.13])
        return (high - low) / 2

    of_a_frame = np.sqrt(np.mean([scatter(frame) ** 2 for frame in frames]))
    return scatter(image) / of_a_frame * np.sqrt(3)


def test_stars_repeat_between_single_frames_within_their_errors(home):
    for name in ("Q1010-0100", "J123410-332638"):
        frames = home.all("ReducedFrame", object=name)
        for frame in frames:
            home.make("SourceList", frame=frame.object_id)
        lists = {s.frame_id: s for s in home.all("SourceList")}
        first, second = (stars_of(home, lists[f.object_id]) for f in frames[:2])
        i, j, _ = match_sky(first["RA"], first["DEC"], second["RA"], second["DEC"], 1.0)
        bright = np.hypot(first["MAGERR_AUTO"][i], second["MAGERR_AUTO"][j]) < 0.1
        i, j = i[bright], j[bright]
        error = np.hypot(first["MAGERR_AUTO"][i], second["MAGERR_AUTO"][j])
        difference = first["MAG_AUTO"][i] - second["MAG_AUTO"][j]
        difference -= np.median(difference)
        pull = difference / np.hypot(error, 0.03)
        print(f"{name}: {len(i)} stars in both frames, pulls {1.4826 * np.median(np.abs(pull)):.2f}")

        assert len(i) >= 12  # without neighbours, bad pixels and borders: a dozen is what these sparse fields have
        assert np.median(np.abs(pull)) < 1.2
        assert np.mean(np.abs(pull) < 4) > 0.9


def stars_of(home, source_list):
    """Return the columns of the unblended stars of a list."""
    names = ("RA", "DEC", "MAG_AUTO", "MAGERR_AUTO")
    query = select(*(SOURCES.c[n] for n in names)).where(source_list.object_id == SOURCES.c.SLID)
    with home.engine.connect() as connection:
        rows = connection.execute(query.where(SOURCES.c.FLAGS == 0, SOURCES.c.STELLARITY > 0.5)).all()
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))
