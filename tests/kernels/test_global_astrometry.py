"""The global astrometric solution, on simulated exposures whose true coordinates are known."""

import numpy as np
import pytest

from awe.kernels import adjustment
from awe.kernels.choices import FocalPlane
from awe.kernels.field_solution import Catalogue, Choices, Detected
from awe.kernels.global_astrometry import solve
from awe.kernels.plate_model import Plate, PlateModel
from awe.kernels.star_groups import group_stars
from awe.kernels.tpv import as_sip
from awe.kernels.wcs import Wcs, separation, tan

NX, NY, SCALE, GAP = 512, 1024, 0.4, 20
DISTORTION = 4.0  # deg^-2: 0.6" at a distance of 0.13 deg
DITHERS = ((0.0, 0.0, 0.0), (25.0, -35.0, 0.2), (-40.0, 20.0, -0.1))  # arcsec, arcsec, deg
CHIPS = 2
NONE = np.zeros(0)


def coordinates(ra, dec, rotation, chip, displaced=(0.0, 0.0), cubic=DISTORTION):
    """Return the coordinates of a chip of the camera, whose axis passes between the chips."""
    cards = dict(tan(ra, dec, SCALE, NX, NY, rotation).cards)
    cards |= {"CRPIX1": (NX + GAP) * (CHIPS / 2 - chip) + displaced[0], "CRPIX2": NY / 2 + displaced[1]}
    terms = {f"PV{axis}_{m}": cubic for axis in (1, 2) for m in (7, 9)}
    return Wcs.from_header(cards | terms | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"})


class Field:
    """Exposures of a field of stars: what was detected, and the truth."""

    def __init__(self, seed=1, noise=0.0, stars=400, centre=(150.0, 2.0), displaced=((0, 0), (0, 0)), pointing=0.3):
        rng = np.random.default_rng(seed)
        ra0, dec0 = centre
        self.ra = np.mod(ra0 + rng.uniform(-0.075, 0.075, stars) / np.cos(np.radians(dec0)), 360)
        self.dec = dec0 + rng.uniform(-0.075, 0.075, stars)
        self.truth, self.plates, self.detected, self.rows = [], [], [], []
        for exposure, (east, north, rotation) in enumerate(DITHERS):
            wrong = rng.normal(0, pointing / 3600, 2)
            ra, dec = ra0 + east / 3600 / np.cos(np.radians(dec0)), dec0 + north / 3600
            for chip in range(CHIPS):
                true = coordinates(ra, dec, rotation, chip, displaced[chip])
                told = coordinates(ra + wrong[0] / np.cos(np.radians(dec0)), dec + wrong[1], rotation, chip)
                x, y = true.to_pixel(self.ra, self.dec)
                seen = np.flatnonzero((x > 0) & (x < NX - 1) & (y > 0) & (y < NY - 1) & (rng.random(stars) < 0.9))
                error = np.full(len(seen), max(noise, 1e-4))
                off = rng.normal(0, noise, (2, len(seen)))
                self.truth.append(true)
                self.plates.append(Plate(exposure, chip, told, NX, NY))
                self.detected.append(Detected(x[seen] + off[0], y[seen] + off[1], error))
                self.rows.append(seen)
        self.rng = rng

    def catalogue(self, count, noise=0.0, least=1e-4):
        """Return the first stars as a catalogue with errors (arcsec)."""
        east, north = self.rng.normal(0, noise, (2, count)) / 3600
        ra, dec = self.ra[:count] + east / np.cos(np.radians(self.dec[:count])), self.dec[:count] + north
        zero = np.zeros(count)
        return Catalogue(ra, dec, np.full(count, max(noise, least)), zero, zero, zero, 2016.0)

    def off(self, wcs, plate):
        """Return the differences (arcsec) east and north between coordinates and truth, over a plate."""
        x, y = np.meshgrid(np.linspace(0, NX - 1, 9), np.linspace(0, NY - 1, 17))
        ra, dec = wcs.to_sky(x, y)
        true_ra, true_dec = self.truth[plate].to_sky(x, y)
        east = (np.mod(ra - true_ra + 180, 360) - 180) * np.cos(np.radians(true_dec))
        return np.array([east, dec - true_dec]) * 3600

    def rms(self, solution):
        """Return the rms (arcsec) of the coordinates of each plate against the truth."""
        return np.array([np.sqrt(np.mean(self.off(p.wcs, k) ** 2)) for k, p in enumerate(solution.plates)])


EPOCHS = [2016.0] * len(DITHERS)


@pytest.mark.parametrize("focal_plane", list(FocalPlane))
@pytest.mark.parametrize("centre", [(150.0, 2.0), (0.0, 2.0), (40.0, 89.5)])
def test_without_noise_the_coordinates_are_found_to_a_microarcsecond(focal_plane, centre):
    field = Field(centre=centre, displaced=((2.5, -1.0), (-1.5, 3.0)))

    found = solve(
        field.plates, field.detected, EPOCHS, field.catalogue(150), Choices(focal_plane=focal_plane, radii=(4.0, 1.0))
    )

    # a cubic of the field is one of each chip: the model holds the truth, but for the pointing at the pole
    assert field.rms(found).max() < 1e-6
    assert found.rms_overlap < 1e-7
    assert all(p.solved and p.rejected == 0 for p in found.plates)


def test_with_noise_the_residuals_have_the_variance_that_the_errors_say():
    pulls, squares, floors, middles = [], [], [], []
    for seed in range(6):
        field = Field(seed, noise=0.05)
        found = solve(field.plates, field.detected, EPOCHS, field.catalogue(200, noise=0.02), Choices(threshold=6.0))
        squares.append((found.chi_square, found.freedom))
        middles += [field.off(p.wcs, k)[:, 8, 4] / p.error for k, p in enumerate(found.plates)]
        rows = found.detections[found.detections["pull"] > 0]
        # parameters take their share of the scatter
        share = found.freedom / (found.freedom + found.parameters)
        pulls.append(np.mean(rows["pull"].astype(float) ** 2) / 2 / share)
        floors.append(found.floors.max() / SCALE)

    freedom = sum(n for _, n in squares)
    # chi-squared has variance 2 per degree of freedom
    assert sum(c * n for c, n in squares) / freedom == pytest.approx(1.0, abs=4 * np.sqrt(2 / freedom))
    assert np.mean(pulls) == pytest.approx(1.0, abs=0.05)
    # the stated error of the coordinates at the middle of plates: 6 fields of 6 plates, those of one field correlated
    assert np.std(middles) == pytest.approx(1.0, abs=4 / np.sqrt(2 * 36))
    # of the 50 and more detections of a quarter the variance is told to 20 %: 0.05 sqrt(2 x 0.2)
    assert max(floors) < 0.032


def test_an_error_floor_that_no_list_states_is_found():
    field = Field(3, noise=0.0)
    rng = np.random.default_rng(33)
    told = [
        Detected(d.x + rng.normal(0, 0.1, len(d.x)), d.y + rng.normal(0, 0.1, len(d.x)), np.full(len(d.x), 0.02))
        for d in field.detected
    ]

    found = solve(field.plates, told, EPOCHS, field.catalogue(200))

    # some 50 to 100 stars in the best quarter: 14 % (1 / sqrt(2 x 50) x 1.4 of a median)
    assert np.hypot(found.floors, 0.02 * SCALE) / SCALE == pytest.approx([0.1] * 3, rel=0.4)
    assert found.chi_square == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("focal_plane", [FocalPlane.FIXED, FocalPlane.LOOSE])
def test_chips_that_are_displaced_in_the_camera_are_found_where_they_are(focal_plane):
    displaced = ((3.0, -2.0), (-1.0, 2.5))
    field = Field(4, noise=0.02, displaced=displaced)

    found = solve(
        field.plates,
        field.detected,
        EPOCHS,
        field.catalogue(200, 0.005),
        Choices(focal_plane=focal_plane, radii=(4.0, 0.7)),
    )

    # distance between points of both chips that lie beside each other, in one exposure
    (left, right), (true_left, true_right) = [p.wcs for p in found.plates[:2]], field.truth[:2]
    gap = separation(*left.to_sky(NX - 1, NY / 2), *right.to_sky(0, NY / 2)) * 3600 / SCALE
    true_gap = separation(*true_left.to_sky(NX - 1, NY / 2), *true_right.to_sky(0, NY / 2)) * 3600 / SCALE
    assert gap == pytest.approx(true_gap, abs=0.05)


def test_outliers_and_wrong_pairs_are_left_out_and_do_no_harm():
    field = Field(5, noise=0.03)
    rng = np.random.default_rng(55)
    spoiled, bad = [], []
    for d in field.detected:
        wrong = rng.random(len(d.x)) < 0.08
        shift = rng.uniform(0.6, 1.5, len(d.x)) * wrong
        spoiled.append(Detected(d.x + shift, d.y - shift, d.error))
        bad.append(wrong)
    clean = solve(field.plates, field.detected, EPOCHS, field.catalogue(200, 0.01))

    found = solve(field.plates, spoiled, EPOCHS, field.catalogue(200, 0.01))

    used = np.concatenate(bad)[
        np.concatenate([[0], np.cumsum([len(d.x) for d in spoiled])])[found.detections["plate"]]
        + found.detections["row"]
    ]
    assert (found.detections["used"][used] > 0).mean() < 0.05
    assert (found.detections["used"][~used] > 0).mean() > 0.95
    assert np.median(field.rms(found)) < 1.3 * np.median(field.rms(clean))


def test_proper_motions_are_applied_to_the_epoch_of_each_exposure_and_found_again():
    field = Field(6, noise=0.02)
    rng = np.random.default_rng(66)
    epochs = [2012.0, 2016.0, 2024.0]
    pmra, pmdec = rng.normal(0, 60, (2, len(field.ra)))
    moved = []
    for plate, rows, d, true in zip(field.plates, field.rows, field.detected, field.truth, strict=True):
        years = epochs[plate.exposure] - 2016.0
        ra = field.ra[rows] + pmra[rows] * years / 3.6e6 / np.cos(np.radians(field.dec[rows]))
        shift = np.array(true.to_pixel(ra, field.dec[rows] + pmdec[rows] * years / 3.6e6))
        shift -= np.array(true.to_pixel(field.ra[rows], field.dec[rows]))
        moved.append(Detected(d.x + shift[0], d.y + shift[1], d.error))
    still = field.catalogue(300, 0.005)
    catalogue = Catalogue(still.ra, still.dec, still.error, pmra[:300], pmdec[:300], np.full(300, 0.5), 2016.0)

    found = solve(field.plates, moved, epochs, catalogue)
    without = solve(field.plates, moved, epochs, still)

    assert field.rms(found).max() < 0.006
    assert field.rms(without).max() > 3 * field.rms(found).max()
    stars = found.stars[(found.stars["count"] == 3) & (found.stars["reference"] >= 0)]
    rows = stars["reference"]
    pull = np.concatenate(
        [(stars[n] - pm[rows]) / stars["motion_error"] for n, pm in (("pmra", pmra), ("pmdec", pmdec))]
    )
    assert len(stars) > 50
    assert np.std(pull) == pytest.approx(1.0, abs=0.25)


def test_a_plate_that_nobody_recognised_follows_from_the_rest_of_its_exposure():
    field = Field(7, noise=0.02)
    lost = field.plates[3]
    field.plates[3] = Plate(lost.exposure, lost.chip, tan(10.0, -50.0, SCALE, NX, NY), NX, NY, trusted=False)

    found = solve(field.plates, field.detected, EPOCHS, field.catalogue(200, 0.01))

    assert found.plates[3].solved
    assert found.plates[3].count > 20
    assert field.rms(found)[3] < 0.02


def test_without_a_catalogue_the_exposures_agree_with_each_other():
    field = Field(8, noise=0.02)

    found = solve(field.plates, field.detected, EPOCHS, None)

    assert found.rms_overlap < 0.02 * SCALE
    # all are off by the pointing of the exposure that defines the focal plane; small dithers tell little of how
    # scale and distortion go on over the field, and the error says how little
    offsets = [field.off(p.wcs, k)[:, 8, 4] for k, p in enumerate(found.plates)]
    assert np.ptp(offsets, axis=0).max() < 5 * max(p.error for p in found.plates)
    assert max(p.error for p in found.plates) < 0.1


def test_the_weight_of_the_catalogue_decides_between_it_and_the_overlaps():
    field = Field(9, noise=0.02)
    catalogue = field.catalogue(200, noise=0.05)

    (light, even, heavy) = (
        solve(field.plates, field.detected, EPOCHS, catalogue, Choices(reference_weight=w)) for w in (0.01, 1.0, 100.0)
    )

    assert light.rms_overlap <= even.rms_overlap < heavy.rms_overlap
    assert light.rms_reference >= even.rms_reference > heavy.rms_reference


def test_a_field_keeps_its_size_where_the_catalogue_is_weak_and_its_stars_are_displaced():
    # as a field whose catalogued stars are all saturated: off by half a pixel, in all exposures alike
    field = Field(15, noise=0.05)
    rng = np.random.default_rng(15)
    displaced = np.zeros((2, len(field.ra)))
    displaced[:, :25] = rng.normal(0, 0.5, (2, 25))
    lists = []
    for rows, d in zip(field.rows, field.detected, strict=True):
        error = np.where(rows < 25, 0.5, 0.005)  # of the others it is ten times what is stated
        lists.append(Detected(d.x + displaced[0, rows], d.y + displaced[1, rows], error))

    found = solve(field.plates, lists, EPOCHS, field.catalogue(25, 1e-3), Choices(radii=(3.0, 2.0)))

    ratio = [p.wcs.scale / true.scale for p, true in zip(found.plates, field.truth, strict=True)]
    # of 25 stars of 0.2" and a field of 270": 0.2 / (5 x 78"), and as much for each corner of the distortion
    assert ratio == pytest.approx([1.0] * 6, abs=8e-3)
    assert all(p.solved for p in found.plates)
    assert found.rms_reference == pytest.approx(0.5 * SCALE, rel=0.5)


def test_an_exposure_that_shares_two_stars_is_left_out_with_the_reason():
    field = Field(16, noise=0.02)
    for k in (4, 5):
        d = field.detected[k]
        field.detected[k] = Detected(d.x[:1], d.y[:1], d.error[:1])

    found = solve(field.plates, field.detected, EPOCHS, field.catalogue(100, 0.01))

    assert [p.solved for p in found.plates] == [True] * 4 + [False] * 2
    assert "3 are needed" in found.plates[4].reason
    assert found.plates[4].wcs == field.plates[4].wcs


def test_errors_told_by_random_solutions_are_those_of_exact_ones(monkeypatch):
    field = Field(10, noise=0.05)
    catalogue = field.catalogue(100, 0.03)
    exact = solve(field.plates, field.detected, EPOCHS, catalogue)

    monkeypatch.setattr(adjustment, "PROBES", 11)
    monkeypatch.setattr(adjustment, "SPREAD", 1e-6)
    scattered = solve(field.plates, field.detected, EPOCHS, catalogue)

    ratio = [other.error / one.error for one, other in zip(exact.plates, scattered.plates, strict=True)]
    # two coordinates of 11 solutions: 1 / sqrt(2 x 22) = 15 %
    assert ratio == pytest.approx([1.0] * 6, abs=4 * 0.15)
    for k, (one, other) in enumerate(zip(exact.plates, scattered.plates, strict=True)):
        assert np.abs(field.off(one.wcs, k) - field.off(other.wcs, k)).max() < 1e-6


def test_few_stars_give_a_simpler_solution_not_a_wild_one():
    field = Field(11, noise=0.03, stars=14)

    found = solve(field.plates, field.detected, EPOCHS, field.catalogue(14, 0.01))

    assert found.parameters < 40
    assert field.rms(found).max() < 0.5


def test_the_derivatives_are_those_of_the_positions():
    field = Field(12)
    model = PlateModel(field.plates, np.array([[150.0, 2.0]] * 3), 3, 2, FocalPlane.LOOSE)
    rng = np.random.default_rng(12)
    model.values = model.values + rng.normal(0, 1e-3, model.size)
    x, y = rng.uniform(0, NX, 5), rng.uniform(0, NY, 5)

    plane, terms = model.evaluate(3, x, y)
    coefficients = model.mixing(3).reshape(2, terms.shape[1], -1)
    jacobian = np.einsum("nm,amc->nac", terms, coefficients)

    for column, number in enumerate(model.columns(3)):
        before = model.values.copy()
        model.values[number] += 1e-4
        found = (model.plane(3, x, y) - plane).T / 1e-4
        model.values = before
        # the model is bilinear: differences are exact but for rounding
        assert found == pytest.approx(jacobian[:, :, column], abs=1e-9)


@pytest.mark.parametrize("chip", range(CHIPS))
def test_tpv_and_sip_are_two_ways_to_write_the_same_coordinates(chip):
    wcs = coordinates(150.0, 2.0, 10.0, chip)

    sip = as_sip(wcs, NX, NY, 3)

    x, y = np.meshgrid(np.linspace(0, NX - 1, 20), np.linspace(0, NY - 1, 20))
    assert sip.cards["CTYPE1"] == "RA---TAN-SIP"
    assert separation(*sip.to_sky(x, y), *wcs.to_sky(x, y)).max() * 3600 < 1e-6
    back = np.array(sip.to_pixel(*wcs.to_sky(x, y)))
    assert np.abs(back - [x, y]).max() < 1e-4


def test_sip_refuses_another_projection_and_a_degree_too_low():
    wcs = coordinates(150.0, 2.0, 10.0, 0, cubic=40.0)

    with pytest.raises(ValueError, match="misses the distortion"):
        as_sip(wcs, NX, NY, 2)
    equal_area = tan(150.0, 2.0, SCALE, NX, NY).cards | {"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"}
    with pytest.raises(ValueError, match="only TAN and TPV"):
        as_sip(Wcs.from_header(equal_area), NX, NY)


def test_each_star_is_seen_once_in_an_exposure():
    x, y = np.array([0.0, 10.0, 0.3, 0.1, np.nan]), np.zeros(5)

    found = group_stars(x, y, np.array([0, 0, 1, 1, 1]), NONE, NONE, 1.0)

    assert found.star.tolist() == [0, 1, 3, 0, 2] or found.star.tolist() == [0, 1, 2, 0, 3]


def test_what_can_not_be_solved_is_refused_with_the_reason():
    field = Field(13)
    nowhere = [Plate(p.exposure, p.chip, p.wcs, NX, NY, trusted=False) for p in field.plates]

    with pytest.raises(ValueError, match="no plate has coordinates"):
        solve(nowhere, field.detected, EPOCHS, None)
    with pytest.raises(ValueError, match="has no epoch"):
        solve(field.plates, field.detected, [2016.0], None)
    with pytest.raises(ValueError, match="6 plates have 5 lists"):
        solve(field.plates, field.detected[:5], EPOCHS, None)


def test_exposures_without_stars_keep_their_coordinates_and_say_so():
    field = Field(14, noise=0.02)
    field.detected[4] = field.detected[5] = Detected(NONE, NONE, NONE)

    found = solve(field.plates, field.detected, EPOCHS, field.catalogue(100, 0.01))

    assert [p.solved for p in found.plates] == [True] * 4 + [False] * 2
    assert found.plates[4].wcs == field.plates[4].wcs
    assert np.isnan(found.plates[4].error)
