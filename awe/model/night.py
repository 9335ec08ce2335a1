"""Nights: from local noon to local noon at the telescope, by mean solar time."""

from datetime import date, datetime, timedelta


def night_of(moment: datetime, longitude: float) -> date:
    """Return the date of the local noon before a UTC time; `longitude` in degrees, positive to the east.

    >>> night_of(datetime(2005, 3, 31, 1, 6, 57), -17.9)
    datetime.date(2005, 3, 30)
    """
    return (moment + timedelta(hours=longitude / 15 - 12)).date()


def night_bounds(night: date, longitude: float) -> tuple[datetime, datetime]:
    """Return the UTC times of the local noons at which a night starts and ends."""
    start = datetime(night.year, night.month, night.day, 12) - timedelta(hours=longitude / 15)
    return start, start + timedelta(days=1)
