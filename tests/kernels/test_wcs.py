"""World coordinates: round trips, refusals, geometry."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.matching import match_sky
from awe.kernels.wcs import Wcs, from_tangent_plane, separation, tan, tangent_plane

TAN = tan(203.0, 38.0, 0.2, 2000, 4000, rotation=30.0)
TPV = Wcs.from_header(
    TAN.cards | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_7": 1e-2, "PV2_7": -2e-2, "PV2_4": 1e-3}
)
SIP = Wcs.from_header(
    TAN.cards
    | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    | {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_0_2": -1e-6, "B_1_1": 5e-7}
)


@pytest.mark.parametrize("wcs", [TAN, TPV, SIP], ids=["TAN", "TPV", "SIP"])
def test_pixel_to_sky_and_back_is_identity(wcs):
    x, y = np.meshgrid(np.linspace(-500, 2500, 7), np.linspace(-500, 4500, 8))

    back = wcs.to_pixel(*wcs.to_sky(x, y))

    np.testing.assert_allclose(back, (x, y), atol=1e-5)


@pytest.mark.parametrize("wcs", [TAN, TPV, SIP], ids=["TAN", "TPV", "SIP"])
def test_the_cards_are_complete_and_the_value_hashable(wcs):
    copy = Wcs.from_header(wcs.cards)

    assert copy == wcs
    assert len({copy, wcs, pickle.loads(pickle.dumps(wcs))}) == 1
    assert all(type(value) in (float, int, str) for value in wcs.cards.values())


def test_the_first_pixel_is_zero_zero():
    header = fits.Header(TAN.cards | {"CRPIX1": 1.0, "CRPIX2": 1.0})

    np.testing.assert_allclose(np.ravel(Wcs.from_header(header).to_sky(0, 0)), [203.0, 38.0])


def test_tan_has_north_up_and_east_left_and_turns_from_north_to_east():
    wcs = tan(10.0, 20.0, 1.0, 101, 101)
    left, up = wcs.to_sky(49, 50), wcs.to_sky(50, 51)
    xi, eta = tangent_plane(10.0, 20.0, *tan(10.0, 20.0, 1.0, 101, 101, rotation=30.0).to_sky(50, 51))

    np.testing.assert_allclose(tangent_plane(10.0, 20.0, *left), (1 / 3600, 0), atol=1e-12)
    np.testing.assert_allclose(tangent_plane(10.0, 20.0, *up), (0, 1 / 3600), atol=1e-12)
    assert np.degrees(np.arctan2(xi, eta)) == pytest.approx(30.0)
    assert wcs.scale == pytest.approx(1.0)
    assert wcs.centre(101, 101) == pytest.approx((10.0, 20.0))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"CRVAL1": float("nan")}, "CRVAL1 is nan"),
        ({"CRVAL2": 91.0}, "CRVAL2 is 91.0"),
        ({"CRPIX1": 1e9}, "CRPIX1"),
        ({"CD1_1": "abc"}, "CD1_1 is 'abc'"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "singular"),
        ({"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}, "singular"),
        ({"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"}, "CTYPE1 is 'PIXEL'"),
        ({"CTYPE1": "GLON-TAN"}, "CTYPE2 is 'DEC--TAN'"),
        ({"CTYPE2": "DEC--TPV"}, "two different projections"),
        ({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, "refused by wcslib"),
        ({"RADESYS": "FK4", "EQUINOX": 1950.0}, "FK4"),
        ({"CD1_1": 10.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 10.0}, "absurd"),
    ],
)
def test_an_absurd_header_is_refused_with_the_cause(change, cause):
    with pytest.raises(ValueError, match=cause):
        Wcs.from_header(TAN.cards | change)


@pytest.mark.parametrize("key", ["CTYPE1", "CRVAL2", "CRPIX1"])
def test_a_missing_card_is_named(key):
    with pytest.raises(ValueError, match=key):
        Wcs.from_header({name: value for name, value in TAN.cards.items() if name != key})


def test_all_ways_to_write_the_matrix_agree():
    base = {key: value for key, value in tan(10.0, 20.0, 1.0, 100, 100, 25.0).cards.items() if not key.startswith("CD")}
    turn, scale = np.radians(25.0), 1 / 3600
    # CD = [[-c, s], [s, c]] scale: with CDELT = (-1, 1) scale the rotation acts from the left or from the right
    rotated = base | {"CDELT1": -scale, "CDELT2": scale, "CROTA2": -25.0}
    pc = {"PC1_1": np.cos(turn), "PC1_2": -np.sin(turn), "PC2_1": np.sin(turn), "PC2_2": np.cos(turn)}
    sky = tan(10.0, 20.0, 1.0, 100, 100, 25.0).to_sky(7, 91)

    np.testing.assert_allclose(Wcs.from_header(rotated).to_sky(7, 91), sky, rtol=1e-12)
    np.testing.assert_allclose(Wcs.from_header(base | pc | {"CDELT1": -scale, "CDELT2": scale}).to_sky(7, 91), sky)


def test_tan_with_distortion_terms_is_read_as_tpv():
    written_by_scamp = TPV.cards | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}

    assert Wcs.from_header(written_by_scamp) == TPV


def test_a_shift_moves_every_source():
    ra, dec = TPV.to_sky([3.0, 1999.0], [5.0, 77.0])

    x, y = TPV.shifted(-100, 20.5).to_pixel(ra, dec)

    np.testing.assert_allclose((x, y), ([-97.0, 1899.0], [25.5, 97.5]), atol=1e-6)


def test_positions_without_an_image_are_nan():
    for wcs in (TAN, TPV, SIP):
        x, y = wcs.to_pixel([23.0, np.nan, 203.0], [-38.0, 0.0, 38.0])
        assert np.isnan(x).tolist() == [True, True, False]
        assert np.isnan(y).tolist() == [True, True, False]
        assert np.isnan(wcs.to_sky(np.nan, 0.0)[0])
    assert TAN.to_pixel([], [])[0].shape == (0,)


def test_pixel_areas_fill_the_footprint():
    x, y = np.meshgrid(np.arange(5, 2000, 10), np.arange(5, 4000, 10))
    corners = np.array(tangent_plane(203.0, 38.0, *TPV.footprint(2000, 4000).T)).T * 3600
    # of the curved outline the corners miss little: the distortion is 1 % at the edge
    x1, y1 = corners.T
    outline = 0.5 * abs(np.sum(x1 * np.roll(y1, -1) - np.roll(x1, -1) * y1))

    assert TPV.pixel_area(x - 0.5, y - 0.5).sum() * 100 == pytest.approx(outline, rel=1e-3)


def test_the_tangent_plane_inverts_at_the_pole_and_across_ra_zero():
    for ra0, dec0 in ((0.0, 0.0), (359.99, -45.0), (120.0, 89.9), (0.0, -90.0)):
        xi, eta = np.meshgrid([-0.5, 0.0, 0.3], [-0.4, 0.2])
        ra, dec = from_tangent_plane(ra0, dec0, xi, eta)
        np.testing.assert_allclose(tangent_plane(ra0, dec0, ra, dec), (xi, eta), atol=1e-9)
    assert np.isnan(tangent_plane(0.0, 0.0, 180.0, 0.0)[0])


def test_small_separations_are_exact():
    assert separation(10.0, 89.9999, 190.0, 89.9999) * 3600 == pytest.approx(0.72)
    assert separation(0.0, 0.0, 1e-7, 0.0) == pytest.approx(1e-7, rel=1e-6)


def test_many_threads_share_a_wcs():
    x, y = np.meshgrid(np.arange(300.0), np.arange(300.0))
    truth = TPV.to_sky(x, y)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: TPV.to_sky(x, y), range(16)))

    assert all(np.array_equal(answer, truth) for answer in answers)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_the_36_megacam_chips_map_their_catalogues_there_and_back(real_data):
    folder = real_data / "megacam-catalogue"
    text = (folder / "megacam.ahead").read_text()
    heads = [fits.Header.fromstring(part.lstrip("\n"), sep="\n") for part in text.split("END     ") if "CRPIX1" in part]
    gaia = fits.getdata(folder / "GAIA-DR1_1334+3754_r46.cat", 2)
    ra, dec = (gaia[name].astype(float) for name in ("X_WORLD", "Y_WORLD"))
    pointing = {"CRVAL1": float(np.median(ra)), "CRVAL2": float(np.median(dec))}
    seen = np.zeros(len(gaia), int)
    for head in heads:
        wcs = Wcs.from_header(dict(head) | pointing)
        x, y = wcs.to_pixel(ra, dec)
        np.testing.assert_allclose(separation(*wcs.to_sky(x, y), ra, dec) * 3600, 0, atol=1e-6)
        assert wcs.scale == pytest.approx(0.186, rel=0.02)
        seen += (x > -0.5) & (x < 2047.5) & (y > -0.5) & (y < 4611.5)

    assert len(heads) == 36
    assert (seen <= 1).all()  # chips don't overlap
    assert (seen == 1).sum() > 1000


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_the_megacam_catalogue_shows_its_offset_from_gaia(real_data):
    folder = real_data / "megacam-catalogue"
    lines = (folder / "744331p.ascii").read_text().splitlines()
    _, ra, dec = np.array([line.split() for line in lines if len(line.split()) == 3], float).T
    gaia = fits.getdata(folder / "GAIA-DR1_1334+3754_r46.cat", 2)
    star_ra, star_dec = gaia["X_WORLD"].astype(float), gaia["Y_WORLD"].astype(float)

    i, j, _ = match_sky(ra, dec, star_ra, star_dec, 3.0)
    east = (ra[i] - star_ra[j]) * np.cos(np.radians(dec[i])) * 3600

    assert len(i) == pytest.approx(2154, abs=40)  # mutual neighbours: a few fewer than all pairs
    assert abs(np.median(east)) == pytest.approx(0.40, abs=0.03)
    assert np.median(dec[i] - star_dec[j]) * 3600 == pytest.approx(0.01, abs=0.03)
