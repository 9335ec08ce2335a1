"""The exposures of a simulated night: when, where to, through which filter, under what sky."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from math import cos, pi, sin, sqrt

import numpy as np

from awe.simulation.bands import BANDS
from awe.simulation.plan import NightPlan
from awe.simulation.projection import from_plane

LATITUDE, LONGITUDE = 28.76, -17.88  # deg; an island in the Atlantic, so that the night is one UTC date and the next
READOUT_SECONDS = 40.0
SCIENCE_FIELD, STANDARD_FIELD = "SIM-A", "SIM-STD"
STANDARD_OFFSET = 3.0  # deg north (or south) of the science field
OPENING = {"BIAS": 16.0, "DARK": 16.5, "DOMEFLAT": 18.0, "SKYFLAT": 19.25, "SKY": 23.5}  # UT, hours


@dataclass(frozen=True)
class Exposure:
    """One exposure: what its header says, and the truth about the sky."""

    number: int
    obstype: str
    object: str
    filter: str | None
    exptime: float
    start: datetime
    ra: float  # what the header says; deg
    dec: float
    airmass: float | None = None
    true_ra: float = 0.0  # where the optical axis is; deg
    true_dec: float = 0.0
    seeing: float = 0.0  # FWHM, arcsec
    transparency: float = 1.0  # 1 on a photometric night
    extinction: float = 0.0  # of a clear sky at this airmass, mag
    level: float = 0.0  # sky or screen at the optical axis, adu/s per pixel of the reference chip
    gradient: tuple[float, float] = (0.0, 0.0)  # of that level over the width and height of the field, relative

    @property
    def filename(self) -> str:
        """Name of the raw file."""
        return f"simcam_{self.start:%Y%m%d}_{self.number:04d}.fits"

    @property
    def throughput(self) -> float:
        """Share of the light that passes the atmosphere."""
        return float(self.transparency * 10 ** (-0.4 * self.extinction))

    @property
    def on_sky(self) -> bool:
        """Whether stars of a known field are seen."""
        return self.obstype in {"OBJECT", "STANDARD"}


def schedule(plan: NightPlan) -> list[Exposure]:
    """Return all exposures of the night, in order of time."""
    rng = np.random.default_rng([plan.seed, 5])
    number = count(1)
    return [replace(e, number=next(number)) for part in (_calibrations, _fields) for e in part(plan, rng)]


def standard_field(plan: NightPlan) -> tuple[float, float]:
    """Return ra, dec of the second field."""
    return plan.ra, plan.dec + (STANDARD_OFFSET if plan.dec < 0 else -STANDARD_OFFSET)


def epoch(plan: NightPlan) -> float:
    """Return the time of the night as a year."""
    return 2000 + (_at(plan, OPENING["SKY"]) - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=365.25)


def airmass(ra: float, dec: float, time: datetime) -> float:
    """Return the airmass, sec(zenith distance), of a position at a time (UTC)."""
    days = (time - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    sidereal = 280.46061837 + 360.98564736629 * days + LONGITUDE
    hour_angle, declination, latitude = (angle * pi / 180 for angle in (sidereal - ra, dec, LATITUDE))
    height = sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle)
    return 1 / max(height, 0.1)


def _at(plan: NightPlan, hour: float) -> datetime:
    return datetime.fromisoformat(plan.night).replace(tzinfo=UTC) + timedelta(hours=hour)


def _calibrations(plan: NightPlan, rng: np.random.Generator) -> Iterator[Exposure]:
    indoors = Exposure(0, "BIAS", "BIAS", None, 0.0, _at(plan, 0), plan.ra, LATITUDE)
    yield from _in_turn(plan, [indoors] * plan.biases)
    yield from _in_turn(plan, [replace(indoors, obstype="DARK", object="DARK", exptime=plan.exptime)] * plan.darks)
    dome = replace(
        indoors, obstype="DOMEFLAT", object="DOMEFLAT", exptime=8.0, level=22000 / 8.0, gradient=(0.03, 0.02)
    )
    screens = [replace(dome, filter=band) for band in plan.filters for _ in range(plan.domes)]
    yield from _in_turn(plan, screens + _ramp(plan, dome))
    yield from _in_turn(plan, [_twilight(plan, band, i, rng) for band in plan.filters for i in range(plan.twilights)])


def _ramp(plan: NightPlan, dome: Exposure) -> list[Exposure]:
    """Return pairs of dome flats of growing exposure time, up to nearly the full well."""
    times = np.round(np.linspace(1.0, 20.0, plan.ramp), 1)
    return [replace(dome, filter=plan.filters[0], exptime=float(time)) for time in times for _ in range(2)]


def _twilight(plan: NightPlan, band: str, index: int, rng: np.random.Generator) -> Exposure:
    exptime = round(4.0 * 1.5**index, 1)
    # each on other stars, so that combining the flats removes them
    ra, dec = from_plane(plan.ra, plan.dec, *rng.uniform(-0.6, 0.6, (2, 1)) * plan.field_radius)
    gradient = rng.normal(0, 0.001, 2)
    return Exposure(
        0, "SKYFLAT", "SKYFLAT", band, exptime, _at(plan, 0), float(ra[0]), float(dec[0]),
        true_ra=float(ra[0]), true_dec=float(dec[0]), seeing=1.2 * plan.seeing,
        level=float(rng.uniform(14000, 28000)) / exptime, gradient=(float(gradient[0]), float(gradient[1])),
    )  # fmt: skip


def _in_turn(plan: NightPlan, exposures: list[Exposure]) -> Iterator[Exposure]:
    """Give a series of calibrations their times."""
    time = _at(plan, OPENING[exposures[0].obstype]) if exposures else None
    for exposure in exposures:
        assert time is not None
        yield replace(exposure, start=time)
        time += timedelta(seconds=exposure.exptime + READOUT_SECONDS)


def _fields(plan: NightPlan, rng: np.random.Generator) -> Iterator[Exposure]:
    time = _at(plan, OPENING["SKY"])
    for obstype, name, centre, number, exptime in (
        ("STANDARD", STANDARD_FIELD, standard_field(plan), plan.standards, plan.exptime / 8),
        ("OBJECT", SCIENCE_FIELD, (plan.ra, plan.dec), plan.exposures, plan.exptime),
    ):
        for band in plan.filters:
            for index in range(number):
                pointing = dithered(*centre, index, plan.dither)
                blank = Exposure(0, obstype, name, band, exptime, time, *pointing)
                yield _under_a_sky(plan, blank, index, rng)
                time += timedelta(seconds=exptime + READOUT_SECONDS)


def _under_a_sky(plan: NightPlan, exposure: Exposure, index: int, rng: np.random.Generator) -> Exposure:
    band = BANDS[exposure.filter or ""]
    mass = airmass(exposure.ra, exposure.dec, exposure.start + timedelta(seconds=exposure.exptime / 2))
    error = rng.normal(0, plan.pointing_error / 3600, (2, 1))
    ra, dec = from_plane(exposure.ra, exposure.dec, error[0], error[1])
    # a cloud passes in the third of each four exposures
    clear, cloudy = 1 - abs(float(rng.normal(0, 0.004))), float(rng.uniform(0.7, 0.9))
    sky = 10 ** (0.4 * (band.zeropoint - band.sky)) * plan.pixel_scale**2 * mass**0.5 * float(rng.uniform(0.95, 1.1))
    gradient = rng.normal(0, 0.015, 2)
    return replace(
        exposure, airmass=mass, true_ra=float(ra[0]), true_dec=float(dec[0]),
        seeing=max(2 * plan.pixel_scale, plan.seeing * float(np.exp(rng.normal(0, 0.07)))),
        transparency=cloudy if index % 4 == 2 else clear, extinction=band.extinction * mass,
        level=sky, gradient=(float(gradient[0]), float(gradient[1])),
    )  # fmt: skip


def dithered(ra: float, dec: float, index: int, radius: float) -> tuple[float, float]:
    """Return the pointing of exposure 0, 1, ...: the centre first, then a spiral out to the radius (arcsec)."""
    distance = radius / 3600 * min(1.0, 0.6 + 0.1 * index) if index else 0.0
    golden_angle = pi * (3 - sqrt(5))
    xi, eta = distance * cos(index * golden_angle), distance * sin(index * golden_angle)
    there_ra, there_dec = from_plane(ra, dec, np.array([xi]), np.array([eta]))
    return float(there_ra[0]), float(there_dec[0])
