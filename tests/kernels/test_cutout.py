"""Cutouts of images: the right pixels, blank where there are none, north up where asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awe.kernels.cutout import Axes, axes_at, cut, north_up, reach, window
from awe.kernels.flags import PixelFlag
from awe.kernels.sections import Section
from awe.kernels.wcs import tan, tangent_wcs

NUMBERED = np.add.outer(1000.0 * np.arange(50), np.arange(60)).astype(np.float32)


@settings(deadline=None)
@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5), st.integers(1, 500), st.integers(1, 500))
def test_a_position_lies_within_half_a_pixel_of_the_middle_of_its_window(x: float, y: float, nx: int, ny: int) -> None:
    box = window(x, y, nx, ny)

    assert box.shape == (ny, nx)
    assert abs((box.x0 + box.x1 - 1) / 2 - x) <= 0.5 + 1e-9
    assert abs((box.y0 + box.y1 - 1) / 2 - y) <= 0.5 + 1e-9


def test_a_cutout_has_the_pixels_of_its_box_and_nan_beyond_the_edge() -> None:
    found = cut(NUMBERED[10:40, 5:55], (5, 10), Section(50, 63, 35, 45))

    np.testing.assert_array_equal(found[:5, :5], NUMBERED[35:40, 50:55])
    assert np.isnan(found[5:]).all()
    assert np.isnan(found[:, 5:]).all()


def test_beyond_the_edge_of_a_flag_map_there_is_no_data() -> None:
    found = cut(np.ones((4, 4), np.uint8), (0, 0), Section(2, 6, 0, 4))

    np.testing.assert_array_equal(found, [[1, 1, PixelFlag.NO_DATA, PixelFlag.NO_DATA]] * 4)


def test_a_box_that_touches_no_pixel_is_outside() -> None:
    assert Section(-5, 0, 0, 5).within(60, 50) is None
    assert Section(60, 65, 0, 5).within(60, 50) is None
    assert Section(-5, 1, 49, 90).within(60, 50) == Section(0, 1, 49, 50)


@pytest.mark.parametrize(("rotation", "mirrored"), [(0.0, False), (33.0, False), (180.0, True), (250.0, True)])
def test_axes_say_how_pixels_lie_on_the_sky(rotation: float, mirrored: bool) -> None:
    scale, angle = 0.4 / 3600, np.radians(rotation)
    matrix = scale * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:, 0] *= -1 if mirrored else 1
    axes = axes_at(tangent_wcs(200.0, -70.0, 30, 25, matrix), 30, 25)

    assert axes.scale == pytest.approx(0.4, rel=1e-6)
    east, north = axes.offsets(1.0, 0.0)
    assert (east, north) == (pytest.approx(matrix[0, 0] * 3600, abs=1e-6), pytest.approx(matrix[1, 0] * 3600, abs=1e-6))
    assert (axes.area > 0) == mirrored


@pytest.mark.parametrize(("rotation", "mirrored"), [(0.0, False), (40.0, False), (200.0, True)])
def test_a_star_north_of_the_middle_is_above_it_once_the_cutout_is_north_up(rotation: float, mirrored: bool) -> None:
    wcs = tan(10.0, 50.0, 0.5, 200, 200, rotation)
    if mirrored:
        cards = dict(wcs.cards)
        cards |= {"CD1_1": -cards["CD1_1"], "CD2_1": -cards["CD2_1"]}  # type: ignore[operator]
        wcs = type(wcs).from_header(cards)
    x, y = 104.3, 97.8
    ra, dec = wcs.to_sky(x, y)
    star_x, star_y = wcs.to_pixel(float(ra), float(dec) + 8.0 / 3600)
    east_x, east_y = wcs.to_pixel(float(ra) + 6.0 / 3600 / np.cos(np.radians(50.0)), float(dec))
    ys, xs = np.mgrid[:200, :200]
    image = sum(
        peak * np.exp(-((xs - a) ** 2 + (ys - b) ** 2) / (2 * 1.8**2))
        for a, b, peak in ((x, y, 50.0), (star_x, star_y, 100.0), (east_x, east_y, 200.0))
    ).astype(np.float32)
    axes = axes_at(wcs, x, y)

    box = reach(x, y, axes, 61, 61, axes.scale).within(200, 200)
    assert box is not None
    found = north_up(image[box.y0 : box.y1, box.x0 : box.x1], (box.x0, box.y0), x, y, axes, 61, 61, axes.scale)

    v, u = np.mgrid[:61, :61]
    for at_u, at_v, peak in ((30, 30, 50.0), (30, 30 + 16, 100.0), (30 - 12, 30, 200.0)):
        true = peak * np.exp(-((u - at_u) ** 2 + (v - at_v) ** 2) / (2 * 1.8**2))
        near = np.hypot(u - at_u, v - at_v) < 3
        np.testing.assert_allclose(found[near], true[near], atol=0.03 * peak)
    assert float(found.sum()) == pytest.approx(float(image.sum()), rel=5e-3)


def test_flags_are_turned_to_the_nearest_pixel() -> None:
    flags = np.zeros((50, 50), np.uint8)
    flags[25, 30] = 4
    axes = Axes(0.0, -2.0, 2.0, 0.0)  # north is along x, east down y: turned by a quarter

    found = north_up(flags, (0, 0), 25.0, 25.0, axes, 11, 11, axes.scale)

    assert np.argwhere(found == 4).tolist() == [[10, 5]]


def test_axes_that_span_no_plane_are_refused() -> None:
    with pytest.raises(ValueError, match="do not span a plane"):
        Axes(1.0, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="do not span a plane"):
        Axes(np.nan, 1.0, 1.0, 0.0)
