from collections import Counter
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits

from awe.errors import BadFile

pytestmark = pytest.mark.real


def exposures(read, folder):
    return [read(path) for path in sorted(folder.iterdir()) if path.suffix.casefold() == ".fits"]


def test_efosc2_frames_are_read(read, real_data):
    frames = exposures(read, real_data / "efosc2")

    assert Counter((e.raw_class, e.object) for e in frames) == {
        ("RawBiasFrame", "DARK"): 5,
        ("RawTwilightFlatFrame", "SKY,FLAT"): 3,
        ("RawScienceFrame", "Q1010-0100"): 3,
        ("RawScienceFrame", "J123410-332638"): 3,
    }
    assert {(e.raw_class, e.night, e.filter) for e in frames} == {
        ("RawBiasFrame", date(2022, 1, 26), None),
        ("RawTwilightFlatFrame", date(2022, 1, 27), "g#782"),
        ("RawScienceFrame", date(2022, 1, 27), "g#782"),
    }
    assert frames[0].date_obs == datetime(2022, 1, 26, 19, 2, 38, 210000)
    assert frames[-1].date_obs == datetime(2022, 1, 28, 8, 43, 7, 203000)


def test_the_times_of_efosc2_agree_with_its_mjd(read, real_data):
    for path in sorted((real_data / "efosc2").glob("*.fits")):
        assert read(path).mjd_obs == pytest.approx(fits.getval(path, "MJD-OBS"), abs=0.002 / 86400)


def test_spectra_are_refused(read, real_data):
    for path in (real_data / "efosc2-spectra").glob("*.fits"):
        with pytest.raises(BadFile, match="refused: spectrum"):
            read(path)


def test_the_data_section_of_efosc2_is_what_the_light_reaches(read, real_data):
    (path,) = (real_data / "efosc2").glob("*T00_08_54*.fits")
    flat = fits.getdata(path).astype(np.float32)
    (chip,) = read(path).frames

    lit = flat[chip.data_section.slices]
    (overscan,) = (flat[section.slices] for section in chip.overscan)

    assert lit.mean(axis=0).min() > 10_000
    assert np.median(lit, axis=1).min() > 10_000
    assert np.median(overscan) < 222 + 0.004 * np.median(lit)  # the bias level and deferred charge


def test_nickel_frames_are_read(read, real_data):
    frames = exposures(read, real_data / "nickel")

    assert Counter((e.raw_class, e.object, e.filter) for e in frames) == {
        ("RawBiasFrame", "bias", None): 5,
        ("RawTwilightFlatFrame", "sky flat", "V"): 3,
        ("RawScienceFrame", "NGC_3982", "V"): 1,
        ("RawStandardFrame", "PG1530+057", "V"): 1,
    }
    assert {e.night for e in frames} == {date(2024, 5, 12)}
    assert frames[0].date_obs == datetime(2024, 5, 13, 1, 59, 58, 110000)
    assert [e.exptime for e in frames[5:8]] == [4.0, 6.0, 7.0]


def test_the_nominal_wcs_of_nickel_is_oriented_as_its_header(read, real_data):
    (chip,) = read(real_data / "nickel" / "d1083.fits").frames

    ra, dec = chip.wcs.to_sky([0, 1000, 0], [0, 0, 1000])
    nominal_ra, nominal_dec = chip.nominal_wcs.to_sky([0, 1000, 0], [0, 0, 1000])
    # the header says 2.2 degrees of rotation: 40 px at 1000 px
    assert np.abs(nominal_ra - ra).max() < 60 * 0.37 / 3600
    assert np.abs(nominal_dec - dec).max() < 60 * 0.37 / 3600


def test_hatp32_frames_have_the_universal_time(read, real_data):
    frames = exposures(read, real_data / "hatp32")

    assert len(frames) == 100
    assert {(e.raw_class, e.object, e.night, e.filter) for e in frames} == {
        ("RawScienceFrame", "HATP-32", date(2017, 12, 19), "Clear")
    }
    assert min(e.date_obs for e in frames) == datetime(2017, 12, 20, 1, 33, 43, 317000)


def test_the_times_of_hatp32_agree_with_the_file_names(read, real_data):
    for path in sorted((real_data / "hatp32").iterdir()):
        named = datetime.strptime(path.stem[-12:], "%y%m%d%H%M%S")
        assert abs(read(path).date_obs - named) < timedelta(seconds=2)


def test_hatp32_has_no_wcs_but_a_nominal_one(read, real_data):
    (chip,) = read(sorted((real_data / "hatp32").iterdir())[0]).frames

    assert chip.wcs is None
    assert chip.nominal_wcs.scale == pytest.approx(5.17, rel=1e-3)
    assert chip.nominal_wcs.cards["CRVAL1"] == pytest.approx(31.312099)
