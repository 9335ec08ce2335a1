"""Marks on pictures lie where they are asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awe.kernels.marks import COLOUR, Ellipse, draw_cross, draw_ellipse

GROUND = np.full((61, 81), 90, np.uint8)


def painted(picture: np.ndarray) -> np.ndarray:
    """Return which pixels the line covers by half or more: on this ground, the bright ones."""
    return picture[..., 0] > (90 + COLOUR[0]) / 2


def test_the_arms_of_a_cross_begin_and_end_where_asked_and_leave_the_middle_free() -> None:
    found = painted(draw_cross(GROUND, 40, 30, 6, 18))

    y, x = np.nonzero(found)
    assert set(zip(y[y != 30], x[y != 30], strict=True)) == {(30 + s * d, 40) for s in (-1, 1) for d in range(6, 19)}
    assert set(x[y == 30]) == {40 + s * d for s in (-1, 1) for d in range(6, 19)}


def test_a_cross_between_pixels_is_symmetric_about_its_middle() -> None:
    found = draw_cross(np.full((40, 40), 90, np.uint8), 19.5, 19.5, 4, 12)

    np.testing.assert_array_equal(found, found[::-1])
    np.testing.assert_array_equal(found, found[:, ::-1])
    np.testing.assert_array_equal(found, found.transpose(1, 0, 2))


@pytest.mark.parametrize("theta", [0.0, 30.0, 90.0, 137.0])
def test_an_ellipse_goes_through_the_ends_of_its_axes(theta: float) -> None:
    x0, y0, a, b = 40.0, 30.0, 24.0, 9.0
    y, x = np.nonzero(painted(draw_ellipse(GROUND, x0, y0, Ellipse(a, b, theta))))

    t = np.linspace(0, 2 * np.pi, 20000)
    angle = np.radians(theta)
    along, across = a * np.cos(t), b * np.sin(t)
    true_x = x0 + along * np.cos(angle) - across * np.sin(angle)
    true_y = y0 + along * np.sin(angle) + across * np.cos(angle)
    distance = np.array([np.hypot(true_x - i, true_y - j).min() for i, j in zip(x, y, strict=True)])
    assert distance.max() < 1.0
    ends = [(x0 + a * np.cos(angle), y0 + a * np.sin(angle)), (x0 - b * np.sin(angle), y0 + b * np.cos(angle))]
    for end_x, end_y in ends:
        assert np.hypot(x - end_x, y - end_y).min() < 1.0


def test_a_round_ellipse_is_a_circle_of_its_radius() -> None:
    y, x = np.nonzero(painted(draw_ellipse(GROUND, 40.3, 29.6, Ellipse(15.0, 15.0, 77.0))))

    assert abs(np.hypot(x - 40.3, y - 29.6) - 15).max() < 0.9
    assert len(np.unique(np.round(np.degrees(np.arctan2(y - 29.6, x - 40.3)) / 10))) == 37  # closed


def test_colours_of_the_picture_stay_away_from_the_mark() -> None:
    ground = np.random.default_rng(1).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    given_ = ground.copy()

    found = draw_cross(ground, 30, 30, 5, 10)

    np.testing.assert_array_equal(ground, given_)
    np.testing.assert_array_equal(found[:15], ground[:15])
    assert found.dtype == np.uint8


@settings(max_examples=50, deadline=None)
@given(st.floats(-50, 150), st.floats(-50, 150), st.floats(0, 400), st.floats(0, 400), st.floats(-720, 720))
def test_marks_anywhere_and_of_any_size_keep_the_shape_of_the_picture(
    x: float, y: float, a: float, b: float, theta: float
) -> None:
    for found in (draw_ellipse(GROUND, x, y, Ellipse(a, b, theta)), draw_cross(GROUND, x, y, min(a, b), max(a, b))):
        assert (found.shape, found.dtype) == ((61, 81, 3), np.uint8)
