"""A night of the Nickel telescope: bad columns found, and a zeropoint from three Landolt stars."""

import numpy as np
import pytest
from astropy.io import fits

from awe.fits import open_planes

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(new_home, real_data):
    home = new_home()
    home.add_catalogue(real_data / "refcat/landolt1992/catalogue.txt", "landolt1992")
    assert [r.verdict for r in home.ingest(real_data / "nickel")] == ["ingested"] * 10
    assert home.make("PhotometricParameters", instrument="Nickel").failed == {}
    return home


def test_the_read_noise_is_that_of_pairs_of_biases(home):
    (noise,) = home.all("ReadNoise")
    print(f"read noise {noise.value:.2f} +- {noise.error:.2f} adu")

    assert noise.value == pytest.approx(5.5, abs=0.2)


def test_bad_columns_are_found_without_being_named(home, real_data):
    (hot,) = home.all("HotPixelMap")
    mask = open_planes(home.path(hot)).rows("FLAGS") > 0
    print(f"{hot.count} hot pixels, columns {hot.columns}")

    assert mask[:, [256, 1002]].mean() > 0.95
    assert mask.mean() < 0.03


def test_three_landolt_stars_give_the_zeropoint(home):
    solutions = {s.method: s for s in home.all("PhotometricParameters")}
    standard = solutions["catalogue"]
    stars = fits.getdata(home.path(standard), 1)
    used = stars[stars["used"] > 0]
    print(f"V zeropoint {standard.zeropoint:.3f} +- {standard.error:.3f} mag (1 adu/s), scatter {standard.scatter:.3f}")
    for star in used:
        print(f"  V = {star['magnitude']:.3f} at ({star['x']:.1f}, {star['y']:.1f}): residual {star['residual']:+.3f}")

    assert len(used) == 3
    assert standard.zeropoint == pytest.approx(22.88, abs=0.05)
    assert standard.error < 0.05
    assert np.abs(used["residual"]).max() < 0.06


def test_the_science_frame_takes_the_zeropoint_of_the_night(home):
    solutions = {s.method: s for s in home.all("PhotometricParameters")}

    assert solutions["standard"].zeropoint == pytest.approx(solutions["catalogue"].zeropoint, abs=0.1)
    assert "standard field of the night" in solutions["standard"].remark
