"""Many exposures of a camera are recognised one by the help of the other."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from awe.kernels.field_recognition import Sighting, StarList, recognise_field
from awe.kernels.shift_search import log_chance, shifts
from awe.kernels.wcs import Wcs, from_tangent_plane, separation, tan

NX, NY, SCALE = 600, 800, 0.5
CHIPS = 2
POINTING = 20.0  # arcsec, rms


def camera(ra, dec, rotation, chip):
    """Return the coordinates of a chip of a camera with a distortion of 2 pixels at the corner."""
    cards = dict(tan(ra, dec, SCALE, NX, NY, rotation).cards) | {"CRPIX1": (NX + 30) * (1 - chip) - 15.0}
    terms = {f"PV{axis}_{m}": 0.15 for axis in (1, 2) for m in (7, 9)}
    return Wcs.from_header(cards | terms | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"})


class Field:
    """A field of stars, and exposures of it whose pointing and orientation the headers have wrong."""

    def __init__(self, centre=(150.0, 2.0), exposures=5, turned=4.0, stars=900, seed=3, off=POINTING):
        self.rng, self.centre = np.random.default_rng(seed), centre
        plane = self.rng.uniform(-0.2, 0.2, (2, stars))
        self.ra, self.dec = from_tangent_plane(*centre, *plane)
        self.magnitude = self.rng.uniform(14, 20, stars)
        self.sightings, self.truth = [], []
        for exposure in range(exposures):
            told = self.moved(self.rng.normal(0, 30, 2))
            true = self.moved(np.array(told[1]) + self.rng.normal(0, off, 2))
            for chip in range(CHIPS):
                self.add(exposure, chip, camera(*true[0], turned, chip), tan(*told[0], SCALE, NX, NY), chip)

    def moved(self, offset):
        """Return the place at an offset (arcsec) from the centre, and that offset."""
        return [float(a) for a in from_tangent_plane(*self.centre, *(np.array(offset) / 3600))], offset

    def add(self, exposure, chip, true, nominal, column):
        """See the stars of the field on a chip, two of ten of which are lost, with as many that no catalogue has."""
        prior = nominal.shifted((NX + 30) * (0.5 - column), 0)
        x, y = true.to_pixel(self.ra, self.dec)
        seen = (x > 0) & (x < NX - 1) & (y > 0) & (y < NY - 1) & (self.rng.random(len(x)) < 0.8)
        strange = self.rng.uniform(0, 1, (2, int(seen.sum() // 5))) * np.array([[NX], [NY]])
        x, y = (np.concatenate([a[seen] + self.rng.normal(0, 0.1, seen.sum()), b]) for a, b in zip((x, y), strange))  # noqa: B905
        magnitude = np.concatenate([self.magnitude[seen], self.rng.uniform(17, 20, strange.shape[1])])
        flux = 10 ** (-0.4 * (magnitude + self.rng.normal(0, 0.1, len(magnitude))))
        self.sightings.append(Sighting(exposure, chip, prior, NX, NY, x, y, flux))
        self.truth.append(true)

    def known(self):
        """Return the stars as a catalogue."""
        return StarList(self.ra, self.dec, self.magnitude)


def off(found, true):
    """Return the largest distance (pixel) between coordinates over a chip."""
    x, y = np.meshgrid(np.linspace(0, NX - 1, 5), np.linspace(0, NY - 1, 5))
    return float(separation(*found.to_sky(x, y), *true.to_sky(x, y)).max()) * 3600 / SCALE


@pytest.mark.parametrize("centre", [(150.0, 2.0), (0.0, -30.0), (40.0, 88.0)])
@pytest.mark.parametrize("turned", [0.0, 180.0, 63.0])
def test_all_frames_are_found_within_a_pixel_of_the_truth(centre, turned):
    field = Field(centre, turned=turned)

    found = recognise_field(field.sightings, field.known(), (120.0, 400.0))

    assert all(wcs is not None for wcs in found)
    # a shift by 40 stars is good to 0.02 pixel; what is left is the distortion that the first frame's stars tell at its
    # corners, and near the pole, that 40 arcsec of pointing turn a field by 0.3 deg, 2.5 pixels at a corner
    limit = 1.5 + 500 * np.radians(2 * POINTING / 3600) * np.tan(np.radians(abs(centre[1])))
    assert max(off(wcs, true) for wcs, true in zip(found, field.truth, strict=True)) < limit


def test_a_camera_that_was_turned_between_exposures_is_recognised_anew():
    field = Field(exposures=3)
    for exposure, turned in ((3, 94.0), (4, 94.0)):
        for chip in range(CHIPS):
            nominal = tan(*field.centre, SCALE, NX, NY)
            field.add(exposure, chip, camera(*field.centre, turned, chip), nominal, chip)

    found = recognise_field(field.sightings, field.known(), (120.0, 400.0))

    assert max(off(wcs, true) for wcs, true in zip(found, field.truth, strict=True)) < 1.5


def test_without_a_catalogue_frames_are_tied_to_the_first():
    field = Field(exposures=4, turned=0.0)

    found = recognise_field(field.sightings, None, (120.0,))

    assert found[:CHIPS] == [s.prior for s in field.sightings[:CHIPS]]
    x, y = np.array([[NX / 2], [NY / 2]])
    for k, (wcs, true) in enumerate(zip(found, field.truth, strict=True)):
        first = field.truth[k % CHIPS]
        # where the first frame saw what is in the middle of this one
        then = first.to_pixel(*true.to_sky(x, y))
        assert float(separation(*wcs.to_sky(x, y), *found[k % CHIPS].to_sky(*then))[0]) * 3600 / SCALE < 1.5


def test_a_frame_of_another_field_is_not_recognised_and_does_no_harm():
    field = Field(exposures=4)
    strange = field.rng.uniform(0, 600, (2, 100))
    field.sightings[2] = replace(field.sightings[2], x=strange[0], y=strange[1], flux=field.rng.random(100))
    field.sightings[5] = replace(field.sightings[5], x=np.zeros(0), y=np.zeros(0), flux=np.zeros(0))

    found = recognise_field(field.sightings, field.known(), (120.0, 400.0))

    assert [k for k, wcs in enumerate(found) if wcs is None] == [2, 5]
    others = [k for k in range(len(found)) if k not in (2, 5)]
    assert max(off(found[k], field.truth[k]) for k in others) < 1.5


def test_the_shift_with_most_pairs_is_found_as_by_counting_all_of_them():
    rng = np.random.default_rng(5)
    first = rng.uniform(0, 500, (80, 2))
    pairs = first[:25] + np.array([31.0, -12.0]) + rng.normal(0, 0.5, (25, 2))
    second = np.concatenate([pairs, rng.uniform(0, 500, (60, 2))])
    found, votes = shifts(first, second, (0.0, 0.0), 60.0, 3.0)
    difference = second[None] - first[:, None]
    every = difference[np.hypot(*difference.transpose(2, 0, 1)) <= 60.0]

    assert votes == len(every)
    # the mean of 25: 0.5 / 5
    assert found[0, 2:] == pytest.approx([31.0, -12.0], abs=0.3)
    assert found[0, 0] < -20
    assert (np.diff(found[:, 0]) >= 0).all()


@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("expected", [1e-12, 0.01, 0.9, 15.0, 150.0])
def test_the_chance_is_that_of_a_poisson_distribution(count, expected):
    true = poisson.logsf(count - 1, expected) / np.log(10)
    if count > expected:
        assert log_chance(count, expected) == pytest.approx(true, rel=1e-6)
    else:
        # no coincidence is credible there: taken as certain
        assert log_chance(count, expected) == 0.0
        assert true > -0.5
