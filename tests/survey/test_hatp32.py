"""A night of frames without any coordinates: solved from pointing, scale and Gaia."""

from datetime import date, datetime

import numpy as np
import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(new_home, real_data):
    home = new_home()
    home.add_catalogue(real_data / "refcat/gaia_dr3_g10_cones.fits", "gaia_dr3")
    home.ingest(real_data / "hatp32")
    assert home.make("AstrometricParameters", instrument="MicroObservatory").failed == {}
    return home


def test_all_frames_are_ingested_with_the_right_time(home):
    raws = home.all("RawScienceFrame")

    assert len(raws) == 100
    # DATE-OBS is local time, 7 hours behind
    assert min(r.date_obs for r in raws).replace(microsecond=0) == datetime(2017, 12, 20, 1, 33, 43)
    assert {r.night for r in raws} == {date(2017, 12, 19)}


def test_every_frame_is_solved_against_gaia(home):
    solutions = home.all("AstrometricParameters")
    rms = np.array([s.rms for s in solutions])
    stars = np.array([s.n_stars for s in solutions])
    print(f"{len(rms)} frames: rms {rms.min():.2f} to {rms.max():.2f}, median {np.median(rms):.2f} pixel;")
    print(f"{stars.min()} to {stars.max()} stars; scale {np.median([s.pixel_scale for s in solutions]):.3f} arcsec")

    assert len(solutions) == 100
    assert {s.method for s in solutions} <= {"shift", "affine", "polynomial"}
    assert rms.max() < 1.2
    assert np.median([s.pixel_scale for s in solutions]) == pytest.approx(5.17, abs=0.02)
