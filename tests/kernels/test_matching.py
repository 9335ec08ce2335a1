"""Matching of positions and patterns."""

import numpy as np
import pytest

from awe.kernels.matching import Affine, fit_affine, match_pattern, match_positions, match_shift, match_sky

SCALE = 0.25 / 3600


def field(seed, count=60, lost=0.3, strangers=20, size=1000.0):
    """Return detections and a wider reference list with the same stars, each list with some of its own."""
    rng = np.random.default_rng(seed)
    stars = rng.uniform(-size, size, (4 * count, 2))
    magnitude = rng.uniform(12, 18, len(stars))
    inside = np.flatnonzero((np.abs(stars) < size / 2).all(axis=1))
    inside = inside[rng.random(len(inside)) > lost]
    found = np.concatenate([stars[inside], rng.uniform(-size / 2, size / 2, (strangers, 2))])
    flux = 10 ** (
        -0.4 * np.concatenate([magnitude[inside] + rng.normal(0, 0.2, len(inside)), rng.uniform(15, 18, strangers)])
    )
    return rng, stars, magnitude, found + rng.normal(0, 0.3, found.shape), flux, inside


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 40.0, 180.0, -91.0])
@pytest.mark.parametrize("stretch", [0.955, 1.045])
def test_any_orientation_is_found(rotation, flip, stretch):
    _, stars, magnitude, found, flux, inside = field(5)
    turn = np.radians(rotation)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * SCALE * stretch
    matrix = matrix @ np.diag([-1.0 if flip else 1.0, 1.0])
    offset = np.array([50.0, -30.0]) / 3600
    u, v = Affine(matrix, offset).apply(*stars.T)

    match = match_pattern(*found.T, flux, u, v, magnitude, scale=(SCALE * 0.95, SCALE * 1.05), max_offset=60 / 3600)

    assert match is not None
    assert match.affine.flipped == flip
    assert match.affine.scale == pytest.approx(SCALE * stretch, rel=1e-3)
    assert np.mod(match.affine.rotation - rotation + 180, 360) - 180 == pytest.approx(0.0, abs=0.1)
    assert match.count >= 0.9 * len(inside)
    assert np.mean(match.second[match.first < len(inside)] == inside[match.first[match.first < len(inside)]]) == 1
    assert match.rms / match.affine.scale < 0.4
    assert match.chance < -10


def test_unrelated_lists_do_not_match():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        one, other = rng.uniform(0, 1000, (60, 2)), rng.uniform(0, 1000, (60, 2))
        brightness = rng.random((2, 60))
        arguments = {"scale": (0.95, 1.05), "max_offset": 800.0}

        assert match_pattern(*one.T, brightness[0], *other.T, brightness[1], **arguments) is None
        assert match_shift(*one.T, *other.T, 100.0) is None
        assert match_shift(*one.T, *other[:3].T, 60.0) is None


def test_three_standards_suffice_for_a_shift():
    rng = np.random.default_rng(3)
    found = rng.uniform(0, 1000, (60, 2))
    standards = found[[4, 9, 11]] + np.array([45.0, 18.0]) + rng.normal(0, 0.5, (3, 2))

    match = match_shift(*found.T, *standards.T, 150.0)

    assert match is not None
    assert match.affine.offset == pytest.approx([45.0, 18.0], abs=1.0)
    assert dict(zip(match.second.tolist(), match.first.tolist(), strict=True)) == {0: 4, 1: 9, 2: 11}


def test_a_shift_between_two_exposures_is_exact():
    rng, _, _, found, flux, _ = field(8)
    later = found + np.array([-41.5, -20.7]) + rng.normal(0, 0.1, found.shape)
    later[::3] = rng.uniform(-500, 500, later[::3].shape)

    shift = match_shift(*found.T, *later.T, 100.0)
    pattern = match_pattern(*found.T, flux, *later.T, -flux, scale=(0.95, 1.05), max_offset=800.0)

    assert shift.affine.offset == pytest.approx([-41.5, -20.7], abs=0.05)
    assert pattern.affine.offset == pytest.approx([-41.5, -20.7], abs=0.1)


def test_lists_without_sources_or_with_nan_do_no_harm():
    none, nan = np.zeros(0), np.full(10, np.nan)

    assert match_shift(none, none, [1.0], [1.0], 10.0) is None
    assert match_shift(nan, nan, [1.0], [1.0], 10.0) is None
    assert match_pattern(none, none, none, none, none, none, scale=(1, 2), max_offset=1) is None
    assert match_pattern(nan, nan, nan, nan, nan, nan, scale=(1, 2), max_offset=1) is None
    assert [len(rows) for rows in match_positions(nan, nan, nan, nan, 1.0)] == [0, 0]


def test_neighbours_are_mutual_and_within_the_radius():
    i, j = match_positions([0.0, 10.0, 20.0, np.nan], [0.0] * 4, [0.4, 0.3, 12.0, 20.0], [0.0] * 4, 1.0)

    assert i.tolist() == [0, 2]
    assert j.tolist() == [1, 3]


def test_the_sky_is_round():
    i, j, distance = match_sky([359.99999, 10.0], [0.0, 89.99999], [190.0, 0.00001], [89.99999, 0.0], 0.1)

    assert (i.tolist(), j.tolist()) == ([0, 1], [1, 0])
    assert distance == pytest.approx([0.072, 0.072], rel=1e-5)


def test_an_affine_map_and_its_inverse():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 1000, (2, 20))
    true = Affine(np.array([[-0.9, 0.1], [0.2, 1.1]]), np.array([3.0, -4.0]))
    found = fit_affine(x, y, *true.apply(x, y))

    np.testing.assert_allclose(found.matrix, true.matrix)
    np.testing.assert_allclose(found.inverse.apply(*true.apply(x, y)), (x, y))
    assert found.flipped
