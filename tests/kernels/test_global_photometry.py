"""The global photometric solution, on simulated exposures under clear and cloudy skies."""

import numpy as np
import pytest

from awe.kernels.clear_skies import PhotometricModel
from awe.kernels.global_photometry import Measured, Standards, solve_photometry

CHIP = np.array([25.3, 25.1, 25.45])
EXTINCTION = 0.12
AIRMASS = np.array([1.0, 1.2, 1.5, 1.7, 1.9, 1.1])
CLOUDS = np.array([0.0, 0.0, 0.35, 0.0, 0.08, 0.0])


def observed(seed=1, stars=300, error=0.02, standards=60, scatter=0.0, clouds=CLOUDS, standard_error=0.01):
    """Return measurements of stars on 6 exposures x 3 chips, standards, and the true zeropoints of the frames."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(15, 20, stars)
    exposure, chip = (a.ravel() for a in np.meshgrid(np.arange(len(AIRMASS)), np.arange(len(CHIP)), indexing="ij"))
    zeropoint = CHIP[chip] - EXTINCTION * AIRMASS[exposure] - clouds[exposure]
    rows = []
    for frame in range(len(exposure)):
        # dithers bring a star onto other chips now and then
        seen = np.flatnonzero((np.arange(stars) + 7 * exposure[frame]) % len(CHIP) == chip[frame])
        rows.append((seen, np.full(len(seen), frame), truth[seen] - zeropoint[frame]))
    star, frame, magnitude = (np.concatenate(part) for part in zip(*rows, strict=True))
    magnitude = magnitude + rng.normal(0, np.hypot(error, scatter), len(star))
    measured = Measured(star, frame, magnitude, np.full(len(star), error))
    known = np.arange(standards)
    told = truth[:standards] + rng.normal(0, standard_error, standards)
    model = PhotometricModel(exposure, chip, AIRMASS, np.zeros(len(AIRMASS), int), 0.10, 0.05)
    return measured, Standards(known, told, np.full(standards, standard_error)), model, zeropoint


def test_zeropoints_extinction_and_clouds_are_found():
    measured, standards, model, zeropoint = observed()

    found = solve_photometry(measured, standards, model)

    assert found.photometric.tolist() == [True, True, False, True, False, True]
    assert np.abs(found.zeropoint - zeropoint).max() < 5 * found.error.max()
    assert found.error.max() < 0.01
    assert found.extinction_solved.tolist() == [True]
    assert found.extinction[0] == pytest.approx(EXTINCTION, abs=4 * found.extinction_error[0])
    assert found.absorbed[[2, 4]] == pytest.approx(CLOUDS[[2, 4]], abs=0.02)
    assert found.absorbed[found.photometric].tolist() == [0.0] * 4
    assert found.chip_zeropoint == pytest.approx(CHIP, abs=5 * found.extinction_error[0])


def test_without_noise_the_solution_is_exact():
    measured, standards, model, zeropoint = observed(error=1e-6, standard_error=1e-6)
    found = solve_photometry(measured, standards, model)
    assert found.zeropoint == pytest.approx(zeropoint, abs=1e-5)
    assert found.extinction[0] == pytest.approx(EXTINCTION, abs=1e-5)


def test_errors_have_the_size_of_the_differences_from_the_truth():
    pulls, squares = [], []
    for seed in range(20):
        measured, standards, model, zeropoint = observed(seed)
        found = solve_photometry(measured, standards, model, threshold=8.0)
        pulls.append(((found.zeropoint - zeropoint) / found.error)[::7])
        squares.append(found.chi_square)
    # 60 values, partly correlated
    assert np.std(pulls) == pytest.approx(1.0, abs=0.35)
    assert np.mean(squares) == pytest.approx(1.0, abs=0.1)


def test_a_floor_of_the_errors_is_found():
    measured, standards, model, _ = observed(error=0.005, scatter=0.03)
    found = solve_photometry(measured, standards, model)
    assert found.floor == pytest.approx(0.03, rel=0.25)
    assert found.photometric.tolist() == [True, True, False, True, False, True]


def test_variable_stars_and_wrong_standards_do_no_harm():
    measured, standards, model, zeropoint = observed(3)
    rng = np.random.default_rng(3)
    wrong = rng.random(len(measured.star)) < 0.05
    magnitude = np.where(wrong, measured.magnitude + rng.choice([-1, 1], len(wrong)) * 0.7, measured.magnitude)
    told = standards.magnitude.copy()
    told[:4] += 1.5
    found = solve_photometry(
        Measured(measured.star, measured.frame, magnitude, measured.error),
        Standards(standards.star, told, standards.error),
        model,
    )
    assert np.abs(found.zeropoint - zeropoint).max() < 0.03
    assert found.used[wrong].mean() < 0.1


def test_one_airmass_tells_no_extinction():
    measured, standards, model, zeropoint = observed(4)
    flat = PhotometricModel(model.exposure, model.chip, np.full(6, 1.2), np.zeros(6, int), 0.10, 0.05)
    found = solve_photometry(measured, standards, flat)
    assert found.extinction_solved.tolist() == [False]
    assert found.extinction.tolist() == [0.10]
    assert np.abs(found.zeropoint - zeropoint).max() < 0.03


def test_each_night_has_its_own_extinction_and_one_that_tells_none_keeps_that_given():
    rng, night = np.random.default_rng(8), np.array([0, 0, 0, 1, 1, 1, 2, 2])
    airmass, true = np.array([1.0, 1.4, 1.9, 1.1, 1.5, 2.0, 1.3, 1.35]), np.array([0.12, 0.20, 0.10])
    truth = rng.uniform(15, 20, 300)
    exposure, star = (a.ravel() for a in np.meshgrid(np.arange(8), np.arange(300), indexing="ij"))
    zeropoint = 25.3 - true[night] * airmass
    magnitude = truth[star] - zeropoint[exposure] + rng.normal(0, 0.02, len(star))
    standards = Standards(np.arange(60), truth[:60] + rng.normal(0, 0.01, 60), np.full(60, 0.01))
    model = PhotometricModel(np.arange(8), np.zeros(8, int), airmass, night, 0.10, 0.05)

    found = solve_photometry(Measured(star, exposure, magnitude, np.full(len(star), 0.02)), standards, model)

    assert found.extinction_solved.tolist() == [True, True, False]
    assert found.extinction[2] == 0.10
    assert (np.abs(found.extinction - true)[:2] < 4 * found.extinction_error[:2]).all()
    assert found.extinction_error[:2].max() < 0.01
    assert found.photometric.all()
    assert np.abs(found.zeropoint - zeropoint).max() < 0.01


def test_a_cloud_of_0_3_mag_is_told_from_the_overlaps_alone_with_pulls_of_unit_variance():
    clouds, pulls = np.array([0.0, 0.0, 0.3, 0.0, 0.0, 0.0]), []
    for seed in range(30):
        measured, standards, model, _ = observed(seed, clouds=clouds)
        found = solve_photometry(measured, standards, model, threshold=8.0)
        assert found.photometric.tolist() == [True, True, False, True, True, True]
        pulls.append((found.absorbed[2] - 0.3) / found.absorbed_error[2])
    # of 30 independent values the standard deviation is told to 13 %
    assert np.std(pulls) == pytest.approx(1.0, abs=4 * 0.13)
    assert np.mean(pulls) == pytest.approx(0.0, abs=4 / np.sqrt(30))


def test_without_standards_zeropoints_are_relative():
    measured, _, model, zeropoint = observed(5)
    nothing = Standards(np.zeros(0, int), np.zeros(0), np.zeros(0))
    found = solve_photometry(measured, nothing, model)
    relative = found.zeropoint - zeropoint
    assert np.ptp(relative) < 0.03
    assert np.isnan(found.error).all()


def test_exposures_without_a_common_star_have_no_zeropoint():
    measured, standards, model, _ = observed(6)
    lost = model.exposure[measured.frame] == 5
    star = np.where(lost, measured.star + 1000, measured.star)
    found = solve_photometry(Measured(star, measured.frame, measured.magnitude, measured.error), standards, model)
    assert np.isnan(found.zeropoint[model.exposure == 5]).all()
    assert np.isfinite(found.zeropoint[model.exposure < 5]).all()
    assert not found.photometric[5]


def test_all_cloudy_still_gives_zeropoints_to_each_exposure():
    clouds = np.array([0.2, 0.3, 0.9, 0.5, 1.4, 0.7])
    measured, standards, model, zeropoint = observed(7, clouds=clouds)
    found = solve_photometry(measured, standards, model)
    assert found.photometric.sum() <= 1
    assert np.abs(found.zeropoint - zeropoint).max() < 0.03


def test_lists_of_different_length_are_refused():
    measured, standards, model, _ = observed()
    with pytest.raises(ValueError, match="differ in length"):
        solve_photometry(
            Measured(measured.star[:5], measured.frame, measured.magnitude, measured.error), standards, model
        )
