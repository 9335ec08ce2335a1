from datetime import date, datetime

import pytest

from awe.errors import BadFile
from awe.kernels.sections import Section
from awe.kernels.wcs import separation


def test_a_raw_mosaic_is_read_chip_by_chip(megacam, read):
    exposure = read(megacam())

    assert (exposure.raw_class, exposure.instrument) == ("RawScienceFrame", "MegaCam")
    assert exposure.date_obs == datetime(2003, 11, 24, 13, 5, 6, 500000)
    assert exposure.night == date(2003, 11, 23)
    assert (exposure.filter, exposure.band, exposure.programme) == ("r.MP9601", "r", "03BL03")
    assert [(chip.hdu, chip.name) for chip in exposure.frames] == [(i + 1, f"ccd{i:02}") for i in range(36)]


def test_each_chip_has_two_amplifiers(megacam, read):
    (chip,) = read(megacam(range(4, 5))).frames

    assert chip.data_section == Section(32, 2080, 0, 4612)
    assert chip.overscan == (Section(0, 32, 0, 4644), Section(2080, 2112, 0, 4644))
    assert [(a.name, a.gain, a.read_noise_electron, a.saturation) for a in chip.amplifiers] == [
        ("A", 1.6, 4.0, 62000),
        ("B", 1.7, 4.4, 60000),
    ]
    assert [a.data_section for a in chip.amplifiers] == [Section(32, 1056, 0, 4612), Section(1056, 2080, 0, 4612)]
    assert (chip.gain, chip.read_noise_electron, chip.saturation) == pytest.approx((1.65, 4.2, 60000))


def test_time_comes_from_mjd_where_the_time_of_day_is_missing(megacam, read):
    exposure = read(megacam(range(1), UTC_OBS=""))

    assert abs((exposure.date_obs - datetime(2003, 11, 24, 13, 5, 6, 500000)).total_seconds()) < 0.1


def test_the_chips_tile_the_focal_plane_around_the_pointing(megacam, read):
    exposure = read(megacam(range(0, 36, 7)))

    centres = [chip.nominal_wcs.centre(2112, 4644) for chip in exposure.frames]
    distances = [float(separation(ra, dec, exposure.ra, exposure.dec)) for ra, dec in centres]
    assert max(distances) < 0.7  # the half diagonal of a square of one degree
    assert len({(round(ra, 2), round(dec, 2)) for ra, dec in centres}) == 6


@pytest.mark.parametrize(
    ("obstype", "raw_class"), [("BIAS", "RawBiasFrame"), ("DARK", "RawDarkFrame"), ("FLAT", "RawTwilightFlatFrame")]
)
def test_calibrations_are_sorted(megacam, read, obstype, raw_class):
    assert read(megacam(range(1), OBSTYPE=obstype)).raw_class == raw_class


def test_a_focus_image_is_refused(megacam, read):
    with pytest.raises(BadFile, match="refused: focus"):
        read(megacam(range(1), OBSTYPE="FOCUS"))


def test_the_chips_of_the_later_focal_plane_are_ignored(megacam, read):
    assert [chip.name for chip in read(megacam(range(35, 38))).frames] == ["ccd35"]
