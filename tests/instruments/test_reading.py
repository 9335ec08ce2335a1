import gzip
from datetime import date, datetime

import numpy as np
import pytest
from astropy.io import fits

from awe.errors import BadFile, NotFound
from awe.kernels.sections import Section


def test_an_exposure_has_what_its_header_says(efosc2, read):
    exposure = read(efosc2())

    assert (exposure.instrument, exposure.telescope) == ("EFOSC2", "NTT")
    assert (exposure.raw_class, exposure.object) == ("RawScienceFrame", "Q1010-0100")
    assert exposure.date_obs == datetime(2022, 1, 28, 4, 54, 24, 340000)
    assert exposure.mjd_obs == pytest.approx(59607.20444838, abs=1e-8)
    assert exposure.night == date(2022, 1, 27)
    assert (exposure.exptime, exposure.filter, exposure.band) == (180.0, "g#782", "g")
    assert (exposure.ra, exposure.dec, exposure.airmass) == (152.5656, -1.0106, 1.226)
    assert (exposure.programme, exposure.observing_block) == ("108.22F6.001", "Q1010-img")
    assert exposure.observing_block_start == datetime(2022, 1, 28, 4, 51, 31)


def test_unknown_is_none(efosc2, read):
    assert read(efosc2(OBSERVER="UNKNOWN")).observer is None
    assert read(efosc2(name="b.fits", ESO_OBS_NAME=None)).observing_block is None


def test_the_gain_is_electrons_per_adu_and_not_its_inverse(efosc2, read):
    (chip,) = read(efosc2()).frames

    assert chip.gain == 1.1
    assert chip.read_noise == pytest.approx(7.8 / 1.1)


def test_a_default_stands_for_an_absent_keyword(efosc2, read):
    (chip,) = read(efosc2(ESO_DET_OUT1_RON=None)).frames

    assert chip.read_noise_electron == 7.8


def test_sexagesimal_hours_become_degrees(nickel, read):
    exposure = read(nickel())

    assert exposure.ra == pytest.approx(179.11675)
    assert exposure.dec == pytest.approx(55.12511111)


@pytest.mark.parametrize(
    ("changes", "raw_class"),
    [
        ({"ESO_DPR_TYPE": "DARK", "EXPTIME": 0.0, "ESO_INS_GRIS1_NAME": "Gr#1"}, "RawBiasFrame"),
        ({"ESO_DPR_TYPE": "BIAS", "EXPTIME": 0.0}, "RawBiasFrame"),
        ({"ESO_DPR_TYPE": "DARK", "EXPTIME": 600.0}, "RawDarkFrame"),
        ({"ESO_DPR_TYPE": "SKY,FLAT"}, "RawTwilightFlatFrame"),
        ({"ESO_DPR_TYPE": "DOME"}, "RawDomeFlatFrame"),
        ({"ESO_DPR_TYPE": "STD"}, "RawStandardFrame"),
        ({"ESO_DPR_TYPE": "OBJECT"}, "RawScienceFrame"),
    ],
)
def test_efosc2_headers_are_sorted(efosc2, read, changes, raw_class):
    assert read(efosc2(**changes)).raw_class == raw_class


@pytest.mark.parametrize(
    ("changes", "raw_class"),
    [
        ({"OBSTYPE": "DARK", "OBJECT": "bias", "EXPTIME": 0}, "RawBiasFrame"),
        ({"OBSTYPE": "DARK", "OBJECT": "Bias"}, "RawBiasFrame"),
        ({"OBSTYPE": "DARK", "OBJECT": "dark", "EXPTIME": 300}, "RawDarkFrame"),
        ({"OBJECT": "sky flat"}, "RawTwilightFlatFrame"),
        ({"OBJECT": "dome flat V"}, "RawDomeFlatFrame"),
        ({"OBJECT": "PG1530+057"}, "RawStandardFrame"),
        ({"OBJECT": "SA 104 456"}, "RawStandardFrame"),
        ({"OBJECT": "SAO 12345"}, "RawScienceFrame"),
        ({"OBJECT": "NGC_3982"}, "RawScienceFrame"),
    ],
)
def test_nickel_headers_are_sorted(nickel, read, changes, raw_class):
    assert read(nickel(**changes)).raw_class == raw_class


def test_calibration_frames_have_no_filter_pointing_or_wcs(efosc2, read):
    bogus = {"CTYPE1": "PIXEL", "CTYPE2": "PIXEL", "CRVAL1": 1.0, "CRVAL2": 1.0}

    bias = read(efosc2(ESO_DPR_TYPE="BIAS", EXPTIME=0.0, **bogus))

    assert (bias.filter, bias.ra, bias.dec, bias.airmass) == (None, None, None, None)
    assert bias.frames[0].wcs is None
    assert bias.frames[0].wcs_problem == "not looked at: a RawBiasFrame shows no sky of its own"


def test_a_twilight_flat_keeps_its_filter(efosc2, read):
    assert read(efosc2(ESO_DPR_TYPE="SKY,FLAT", CRVAL1=float(1))).filter == "g#782"


def test_the_wcs_of_a_science_frame_is_that_of_its_header(efosc2, read):
    (chip,) = read(efosc2()).frames

    assert chip.wcs.cards["CRVAL1"] == 152.5656
    assert chip.wcs.scale == pytest.approx(0.2408, abs=1e-4)


def test_a_science_frame_without_a_wcs_is_taken_with_what_pointing_and_scale_tell(efosc2, read):
    (chip,) = read(efosc2(CTYPE1=None, CTYPE2=None)).frames

    assert (chip.wcs, chip.wcs_problem) == (None, "the header has none (no CTYPE1)")
    ra, dec = chip.nominal_wcs.to_sky(510.5, 508.0)
    assert (float(ra), float(dec)) == pytest.approx((152.5656, -1.0106))
    assert chip.nominal_wcs.scale == pytest.approx(0.2408)


def test_the_nominal_wcs_is_oriented_as_the_header_of_the_instrument_says(efosc2, read):
    (chip,) = read(efosc2()).frames

    for nominal, header in zip(*(_matrix(wcs) for wcs in (chip.nominal_wcs, chip.wcs)), strict=True):
        assert nominal == pytest.approx(header, abs=1e-7)


def _matrix(wcs):
    return [wcs.cards[name] for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ESO_DPR_TECH": "SPECTRUM"}, r"refused: spectrum \(ESO DPR TECH = 'SPECTRUM'; rule 1 of EFOSC2\)"),
        ({"ESO_INS_GRIS1_NAME": "Gr#3"}, "refused: a grism is in the beam"),
        ({"ESO_DPR_CATG": "ACQUISITION"}, "refused: acquisition"),
        ({"ESO_DPR_TYPE": "OTHER"}, "no class rule of EFOSC2 holds for .*ESO DPR TYPE = 'OTHER'"),
        (
            {"INSTRUME": "EMMI"},
            "unknown instrument: INSTRUME = 'EMMI', DETECTOR is absent, .*known are EFOSC2, MegaCam",
        ),
        ({"EXPTIME": None}, "missing keyword EXPTIME: EFOSC2 needs it for the exptime of a RawScienceFrame"),
        ({"OBJECT": None}, "missing keyword OBJECT or ESO OBS TARG NAME: EFOSC2 needs it"),
        ({"ESO_INS_FILT1_NAME": None}, "missing keyword ESO INS FILT1 NAME"),
        ({"RA": None}, "missing keyword RA"),
        ({"DATE__OBS": None}, "missing keyword DATE-OBS or MJD-OBS"),
        (
            {"ESO_DET_OUT1_CONAD": None},
            r"missing keyword ESO DET OUT1 CONAD in HDU 0: needed for the gain of chip ccd40",
        ),
        ({"EXPTIME": -1.0}, "absurd exptime: EXPTIME is -1.0"),
        ({"EXPTIME": 0.0}, "exposure time 0 for a RawScienceFrame"),
        ({"EXPTIME": "long"}, "exptime can't be read: EXPTIME is 'long'"),
        ({"RA": 400.0}, "absurd ra: RA is 400.0"),
        ({"DEC": "+91:00:00"}, "absurd dec"),
        ({"ESO_TEL_AIRM_START": 0.2}, "absurd airmass"),
        ({"DATE__OBS": "2022-01-28"}, "date can't be read: DATE-OBS .* no time of day"),
        ({"DATE__OBS": "yesterday at 5"}, "date can't be read"),
        ({"DATE__OBS": "2031-01-28T00:00:00"}, "date in the future"),
        ({"DATE__OBS": "1922-01-28T00:00:00"}, "date absurd"),
        ({"CRVAL1": "NaN"}, "absurd WCS in HDU 0: CRVAL1 is nan"),
        ({"CRVAL1": 1.0, "CRVAL2": 1.0}, r"absurd WCS in HDU 0: .* deg from the pointing"),
        ({"CD1_1": 0.0}, "absurd WCS in HDU 0: the CD matrix .* is singular"),
        ({"ESO_DET_WIN1_BINX": 1}, "no chip of EFOSC2 fits HDU 0: ccd40: ESO DET WIN1 BINX = 1, expected 2"),
        ({"ESO_DET_OUT1_CONAD": 0.0}, "absurd gain of chip ccd40"),
        ({"nx": 500}, r"data_section \[1:1022,1:1017\] of chip ccd40 reaches beyond the image of HDU 0, 500 x 1030"),
    ],
)
def test_files_are_refused_with_the_reason(efosc2, read, changes, reason):
    with pytest.raises(BadFile, match=reason):
        read(efosc2(**changes))


def test_an_extension_of_an_unknown_chip_is_refused(simcam, read):
    with pytest.raises(BadFile, match=r"unknown chip: HDU 1 \(ccd0\) is no extension of SIMCAM"):
        read(simcam(numbers=(0, 1)))


def test_two_images_of_one_chip_are_refused(simcam, read):
    with pytest.raises(BadFile, match="two images of chip ccd1: 1 and 2"):
        read(simcam(numbers=(1, 1)))


def test_overscan_over_data_is_refused(simcam, read):
    with pytest.raises(BadFile, match=r"overscan \[60:80,1:48\] overlaps the data \[1:64,1:48\]"):
        read(simcam(chip={"BIASSEC": "[60:80,1:48]"}))


def test_sections_and_electronics_come_from_the_header_of_the_extension(simcam, read):
    chips = read(simcam()).frames

    assert [(chip.hdu, chip.name) for chip in chips] == [(1, "ccd1"), (2, "ccd2"), (3, "ccd3"), (4, "ccd4")]
    assert chips[3].data_section == Section(0, 64, 0, 48)
    assert chips[3].overscan == (Section(64, 80, 0, 48),)
    assert (chips[3].gain, chips[3].read_noise_electron, chips[3].saturation) == (1.5, 4.5, 60000)


def test_the_pixel_scale_comes_from_the_keyword_else_from_the_wcs(simcam, read):
    assert read(simcam(chip={"PIXSCALE": 0.3})).frames[0].pixel_scale == 0.3


def test_the_pixel_scale_comes_from_the_wcs_if_there_is_no_keyword(simcam, read):
    assert read(simcam()).frames[0].pixel_scale == pytest.approx(0.2408, abs=1e-4)


@pytest.mark.parametrize(
    ("obstype", "raw_class"),
    [
        ("BIAS", "RawBiasFrame"),
        ("DARK", "RawDarkFrame"),
        ("DOMEFLAT", "RawDomeFlatFrame"),
        ("SKYFLAT", "RawTwilightFlatFrame"),
        ("STANDARD", "RawStandardFrame"),
    ],
)
def test_simcam_headers_are_sorted(simcam, read, obstype, raw_class):
    assert read(simcam(OBSTYPE=obstype)).raw_class == raw_class


def test_the_pixel_scale_of_a_bias_without_a_wcs_is_unknown(simcam, read):
    no_wcs = {"CTYPE1": None, "CTYPE2": None}

    assert read(simcam(OBSTYPE="BIAS", chip=no_wcs)).frames[0].pixel_scale is None


def test_gzipped_and_tile_compressed_files_are_read_as_the_plain_ones(efosc2, read, tmp_path):
    plain = efosc2()
    gzipped = tmp_path / "efosc2.fits.gz"
    gzipped.write_bytes(gzip.compress(plain.read_bytes()))
    compressed = tmp_path / "efosc2.fits.fz"
    header, image = fits.getheader(plain), fits.getdata(plain)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, header)]).writeto(compressed)

    assert read(gzipped) == read(plain)
    (chip,), (plain_chip,) = read(compressed).frames, read(plain).frames
    assert chip.hdu == 1
    assert (chip.naxis1, chip.naxis2, chip.wcs, chip.gain) == (1030, 1030, plain_chip.wcs, plain_chip.gain)


def test_what_is_not_fits_is_refused(read, tmp_path):
    (tmp_path / "notes.fits").write_text("not FITS" * 1000)

    with pytest.raises(BadFile, match="is not FITS"):
        read(tmp_path / "notes.fits")


def test_an_empty_file_is_refused(read, tmp_path):
    (tmp_path / "empty.fits").touch()

    with pytest.raises(BadFile, match="empty"):
        read(tmp_path / "empty.fits")


def test_a_truncated_file_is_refused(efosc2, read, tmp_path):
    (tmp_path / "cut.fits").write_bytes(efosc2().read_bytes()[:-100_000])

    with pytest.raises(BadFile, match="truncated"):
        read(tmp_path / "cut.fits")


def test_a_changed_pixel_is_noticed(efosc2, read, tmp_path):
    contents = bytearray(efosc2().read_bytes())
    contents[-500_000] ^= 1
    (tmp_path / "changed.fits").write_bytes(contents)

    with pytest.raises(BadFile, match="DATASUM"):
        read(tmp_path / "changed.fits")


def test_a_file_without_an_image_is_refused(read, tmp_path):
    columns = fits.BinTableHDU.from_columns([fits.Column("X", "D", array=np.zeros(3))])
    columns.writeto(tmp_path / "table.fits")

    with pytest.raises(BadFile, match="no image"):
        read(tmp_path / "table.fits")


def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(NotFound, match=r"nowhere.fits"):
        read(tmp_path / "nowhere.fits")
