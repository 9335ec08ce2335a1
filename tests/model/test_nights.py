"""Nights run from local noon to local noon; golden examples of reference/astro-wise.md, section 10.1."""

from datetime import date, datetime, timedelta

import pytest

from awe.model.night import night_bounds, night_of
from awe.processing.choosing import modified_julian_date

LA_PALMA, LA_SILLA, HAWAII, SIDING_SPRING = -17.88, -70.73, -155.47, 149.07


@pytest.mark.parametrize("moment", ["2005-03-30T19:18:55.8", "2005-03-30T23:59:59", "2005-03-31T01:06:57.2"])
def test_the_exposures_of_the_wide_field_camera_are_all_of_one_night(moment):
    assert night_of(datetime.fromisoformat(moment), LA_PALMA) == date(2005, 3, 30)


@pytest.mark.parametrize("moment", ["2000-04-29T00:04:29", "2000-04-29T01:05:58"])
def test_the_exposures_of_cdf4_are_of_the_night_that_began_before_midnight(moment):
    assert night_of(datetime.fromisoformat(moment), LA_SILLA) == date(2000, 4, 28)


@pytest.mark.parametrize(
    ("mjd", "moment"),
    [
        (54028.7361976, "2006-10-20T17:40:07"),
        (53934.6421374, "2006-07-18T15:24:41"),
        (57934.6536112, "2017-06-30T15:41:12"),
    ],
)
def test_the_dates_in_file_names_are_modified_julian_dates(mjd, moment):
    # seven digits are 9 ms, and the times are written to the second
    assert modified_julian_date(datetime.fromisoformat(moment)) == pytest.approx(mjd, abs=0.6 / 86400)


@pytest.mark.parametrize("longitude", [LA_PALMA, LA_SILLA, HAWAII, SIDING_SPRING, 0.0, 179.9, -179.9])
def test_a_night_starts_with_its_first_moment_and_ends_before_its_last(longitude):
    night = date(2026, 1, 27)
    start, end = night_bounds(night, longitude)

    assert end - start == timedelta(days=1)
    assert night_of(start, longitude) == night
    assert night_of(end - timedelta(microseconds=1), longitude) == night
    assert night_of(end, longitude) == night + timedelta(days=1)
    assert night_of(start - timedelta(microseconds=1), longitude) == night - timedelta(days=1)


@pytest.mark.parametrize(
    ("longitude", "noon"),
    [(LA_SILLA, "2026-01-27T16:42:55.2"), (HAWAII, "2026-01-27T22:21:52.8"), (SIDING_SPRING, "2026-01-27T02:03:43.2")],
)
def test_local_noon_is_that_of_the_mean_sun(longitude, noon):
    assert night_bounds(date(2026, 1, 27), longitude)[0] == datetime.fromisoformat(noon)


def test_a_night_in_hawaii_is_one_utc_date_later():
    assert night_of(datetime(2026, 1, 28, 10), HAWAII) == date(2026, 1, 27)


def test_a_night_may_span_a_leap_day_and_a_year():
    assert night_of(datetime(2024, 2, 29, 3), LA_PALMA) == date(2024, 2, 28)
    assert night_of(datetime(2024, 3, 1, 3), LA_PALMA) == date(2024, 2, 29)
    assert night_of(datetime(2026, 1, 1, 3), LA_PALMA) == date(2025, 12, 31)
