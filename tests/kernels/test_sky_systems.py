import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from awe.kernels.sky_systems import AXES, from_icrs, to_icrs
from awe.kernels.wcs import Wcs, separation

RA, DEC = np.array([0.0, 150.1, 266.4, 359.9, 10.0, 12.0]), np.array([0.0, 2.2, -28.9, 60.0, 90.0, -89.0])


@pytest.mark.parametrize(("system", "frame"), [("galactic", "galactic"), ("ecliptic", "barycentricmeanecliptic")])
def test_directions_are_those_of_astropy(system, frame):
    known = SkyCoord(RA, DEC, unit="deg").transform_to(frame)
    values = (known.l.deg, known.b.deg) if system == "galactic" else (known.lon.deg, known.lat.deg)

    found = from_icrs(system, RA, DEC)

    # astropy tells ICRS from the mean equator and equinox of J2000: 0.02 arcsec
    assert separation(*found, *values).max() * 3600 < 0.05


@pytest.mark.parametrize("system", AXES)
def test_there_and_back_is_where_it_was(system):
    back = to_icrs(system, *from_icrs(system, RA, DEC))

    assert separation(*back, RA, DEC).max() * 3600 < 1e-6


@pytest.mark.parametrize("system", AXES)
@pytest.mark.parametrize("projection", ["TAN", "ZEA", "CAR", "AIT", "SIN", "STG"])
def test_a_projection_in_any_system_takes_and_gives_icrs(system, projection):
    first, second = AXES[system]
    cards = {"CTYPE1": first + projection, "CTYPE2": second + projection, "CRPIX1": 50.5, "CRPIX2": 40.5}
    cards |= {"CRVAL1": 120.0, "CRVAL2": 0.0, "CD1_1": -0.01, "CD2_2": 0.01}
    wcs = Wcs.from_header(cards)
    x, y = np.array([0.0, 50.0, 99.0]), np.array([3.0, 40.0, 79.0])

    ra, dec = wcs.to_sky(x, y)

    assert wcs.system == system
    assert wcs.scale == pytest.approx(36, rel=1e-3)
    assert np.array(wcs.to_pixel(ra, dec)) == pytest.approx(np.array([x, y]), abs=1e-6)
    centre = to_icrs(system, np.array(120.0), np.array(0.0))
    assert separation(*wcs.to_sky(49.5, 39.5), *centre) * 3600 < 1e-6
    assert Wcs.from_header(wcs.cards) == wcs


def test_axes_of_two_systems_are_refused():
    cards = {"CTYPE1": "GLON-TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1, "CRPIX2": 1, "CRVAL1": 0.0, "CRVAL2": 0.0}
    with pytest.raises(ValueError, match="CTYPE2 is 'DEC--TAN', expected GLAT-TAN"):
        Wcs.from_header(cards | {"CD1_1": 0.01, "CD2_2": 0.01})
