from datetime import date, datetime

import pytest

from awe.instruments.values import UNITS, in_utc, night_of, number, parse_date, parse_time, to_mjd


@pytest.mark.parametrize(
    ("text", "value"),
    [("12:30:00", 12.5), ("-00:30:00", -0.5), ("+02 12 21.0", 2.2058333333), (" 1.5 ", 1.5), (7, 7.0), ("10:30", 10.5)],
)
def test_numbers_are_read_plain_and_sexagesimal(text, value):
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize("value", ["", "north", "nan", float("inf"), True, None, "10:61:00", "10:00:75"])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match=r"number|minutes"):
        number(value)


def test_an_altitude_becomes_an_airmass():
    assert UNITS["altitude"](30.0) == pytest.approx(2.0)
    assert UNITS["zenith distance"](60.0) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2017-12-19T18:33:43.317-0700", datetime(2017, 12, 20, 1, 33, 43, 317000)),
        ("2017-12-20T01:33:43.317-0000", datetime(2017, 12, 20, 1, 33, 43, 317000)),
        ("2022-01-28T04:54:24Z", datetime(2022, 1, 28, 4, 54, 24)),
        ("2016-12-31T23:59:60.5", datetime(2017, 1, 1, 0, 0, 0, 500000)),
        ("2024-05-13T01:59:58.11", datetime(2024, 5, 13, 1, 59, 58, 110000)),
    ],
)
def test_times_become_utc_without_a_zone(text, utc):
    assert in_utc(parse_time(text), 0.0) == utc


def test_local_time_becomes_utc_by_the_offset_given():
    assert in_utc(parse_time("2017-12-19T18:33:43"), -7.0) == datetime(2017, 12, 20, 1, 33, 43)


def test_a_date_without_time_is_refused():
    with pytest.raises(ValueError, match="no time of day"):
        parse_time("2022-01-28")


def test_dates_of_the_last_century_are_read():
    assert parse_date("31/12/98") == "1998-12-31"


@pytest.mark.parametrize(
    ("moment", "mjd"),
    [
        (datetime(2006, 10, 20, 17, 40, 7), 54028.7361976),
        (datetime(2006, 7, 18, 15, 24, 41), 53934.6421374),
        (datetime(2017, 6, 30, 15, 41, 12), 57934.6536112),
    ],
)
def test_modified_julian_dates_agree_with_those_in_the_names_of_astro_wise_files(moment, mjd):
    assert to_mjd(moment) == pytest.approx(mjd, abs=0.5 / 86400)  # the times are known to a second


LA_PALMA, LA_SILLA = -17.88, -70.73


@pytest.mark.parametrize(
    ("moment", "longitude", "night"),
    [
        # nights that Astro-WISE gives to files of the WFC and the WFI
        (datetime(2005, 3, 30, 19, 18, 55, 800000), LA_PALMA, date(2005, 3, 30)),
        (datetime(2005, 3, 31, 1, 6, 57, 200000), LA_PALMA, date(2005, 3, 30)),
        (datetime(2000, 4, 29, 0, 4, 29), LA_SILLA, date(2000, 4, 28)),
        (datetime(2000, 4, 29, 1, 5, 58), LA_SILLA, date(2000, 4, 28)),
        # noon at Mauna Kea is 22:22 UT, at 149 degrees east 02:04 UT
        (datetime(2003, 11, 24, 22, 20), -155.47, date(2003, 11, 23)),
        (datetime(2003, 11, 24, 22, 23), -155.47, date(2003, 11, 24)),
        (datetime(2003, 11, 24, 2, 3), 149.07, date(2003, 11, 23)),
        (datetime(2003, 11, 24, 2, 5), 149.07, date(2003, 11, 24)),
    ],
)
def test_nights_run_from_local_noon_to_local_noon(moment, longitude, night):
    assert night_of(moment, longitude) == night
