import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from awe.kernels.tracks import Track, find_tracks, line_sums, track_mask
from tests.kernels.test_cosmics import SKY, VARIANCE, observed, star_field

SHAPE = (700, 900)
NOISE = np.sqrt(VARIANCE)


def track_light(shape, start, end, peak, fwhm):
    """A track from edge to edge: a Gaussian across the line through two points, of a peak in units of the noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    (x0, y0), (x1, y1) = start, end
    across = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / np.hypot(x1 - x0, y1 - y0)
    return peak * NOISE * np.exp(-4 * np.log(2) * (across / fwhm) ** 2)


def distance(track, point):
    """Return how far a point lies from a found line."""
    dx, dy = track.x1 - track.x0, track.y1 - track.y0
    return abs(dx * (point[1] - track.y0) - dy * (point[0] - track.x0)) / np.hypot(dx, dy)


def spiky_star(centre, angle, peak, length):
    """A star with halo, and a cross of spikes that fade on the way to the edges."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 20 * peak * (1 + ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 9) ** -1.5
    for turn in (angle, angle + np.pi / 2):
        along = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
        across = -(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)
        light += 0.1 * peak * np.exp(-np.abs(along) / length - (across / 1.7) ** 2) / (1 + np.abs(along) / 30)
    return light


def crowded(generator):
    """Stars up to saturation, edge-on galaxies, two very bright stars with spikes; and their trails on the detector."""
    light, _ = star_field(generator, SHAPE, 150, 3.2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for _ in range(6):
        cx, cy, angle = generator.uniform(100, 800), generator.uniform(100, 600), generator.uniform(0, np.pi)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        light = light + 300 * np.exp(-np.abs(along) / 25 - (across / 2.5) ** 2)
    trails = np.zeros(SHAPE, bool)
    for angle in (0.0, generator.uniform(0, np.pi / 2)):
        cx, cy = generator.uniform(0, 900), generator.uniform(0, 700)
        light += spiky_star((cx, cy), angle, 10 ** generator.uniform(3, 4.5), generator.uniform(30, 100))
        trails |= (np.abs(x - cx) < 2) & (np.abs(y - cy) < generator.uniform(50, 300))
    return light, trails


def exposed(generator, track=0.0):
    """A crowded field with a track, as a detector sees it, and the mask of its full pixels and their neighbours."""
    light, trails = crowded(generator)
    image = np.where(trails, 60_000, np.minimum(observed(generator, light + track), 60_000)).astype(np.float32)
    return image, maximum_filter(image > 59_000, 5)


LINES = [
    ((0, 80), (899, 600)),
    ((0, 650), (899, 30)),
    ((300, 0), (420, 699)),
    ((500, 0), (310, 699)),
    ((0, 333), (899, 341)),
]
PROFILES = [(0.7, 4.0), (1.0, 2.0), (1.0, 10.0), (1.0, 25.0), (3.0, 3.0), (20.0, 6.0)]


@pytest.mark.parametrize(("start", "end"), LINES)
@pytest.mark.parametrize(("peak", "fwhm"), PROFILES)
def test_injected_tracks_are_found_where_they_are(start, end, peak, fwhm):
    generator = np.random.default_rng(21)
    image, full = exposed(generator, track_light(SHAPE, start, end, peak, fwhm))
    found = find_tracks(image, SKY, NOISE, full)

    assert len(found) == 1
    # the profile's noise is 1.6 / sqrt(700), so that the faintest is known to a fraction of its width
    assert max(distance(found[0], point) for point in (start, end)) < 0.35 * fwhm + 0.5
    # the stretch above half the peak is known to half a pixel on both sides
    assert found[0].width == pytest.approx(fwhm, rel=0.2 + 0.5 / fwhm)


def corner_line(generator, length):
    """Return where a track of a length (pixel) enters and leaves, that cuts off some corner of the frame."""
    angle = np.radians(generator.uniform(15, 75))
    width, height = length * np.cos(angle), length * np.sin(angle)
    if width > SHAPE[1] - 1 or height > SHAPE[0] - 1:
        return corner_line(generator, length)
    x, y = generator.choice([0, SHAPE[1] - 1]), generator.choice([0, SHAPE[0] - 1])
    return (x + (width if x == 0 else -width), y), (x, y + (height if y == 0 else -height))


def test_tracks_across_corners_are_found():
    found = 0
    for seed in range(8):
        generator = np.random.default_rng(1000 + seed)
        line = corner_line(generator, 400)
        image, full = exposed(generator, track_light(SHAPE, *line, 2.0, 4.0))
        tracks = find_tracks(image, SKY, NOISE, full)

        assert len(tracks) <= 1
        found += any(max(distance(track, point) for point in line) < 3 for track in tracks)

    # crowded fields with spikes hide one of eight
    assert found >= 7


def test_two_tracks_that_cross_are_found():
    generator = np.random.default_rng(22)
    light = track_light(SHAPE, (0, 80), (899, 600), 2.0, 4.0) + track_light(SHAPE, (0, 500), (899, 300), 1.0, 5.0)
    image, full = exposed(generator, light)

    assert len(find_tracks(image, SKY, NOISE, full)) == 2


@pytest.mark.parametrize("seed", range(12))
def test_stars_spikes_trails_and_galaxies_edge_on_are_no_tracks(seed):
    image, full = exposed(np.random.default_rng(seed))

    assert find_tracks(image, SKY, NOISE, full) == []


def test_noise_constant_and_empty_images_hold_no_track():
    assert find_tracks(observed(np.random.default_rng(23), np.zeros(SHAPE)), SKY, NOISE) == []
    assert find_tracks(np.full((60, 80), SKY, np.float32), SKY, NOISE) == []
    assert find_tracks(np.full((60, 80), np.nan, np.float32), SKY, NOISE) == []
    assert find_tracks(np.full((60, 80), SKY, np.float32), SKY, 0.0) == []


def test_masked_pixels_hold_no_track():
    generator = np.random.default_rng(24)
    light = track_light(SHAPE, (0, 80), (899, 600), 5.0, 4.0)

    assert find_tracks(observed(generator, light), SKY, NOISE, mask=light > 0.01) == []


def test_the_mask_covers_the_light_of_a_track():
    generator = np.random.default_rng(25)
    light = track_light(SHAPE, (0, 80), (899, 600), 5.0, 4.0)
    image = observed(generator, light)
    mask = track_mask(SHAPE, find_tracks(image, SKY, NOISE))

    assert light[~mask].max() < 0.3 * NOISE
    assert mask.mean() < 0.05


@pytest.mark.parametrize("rows", [16, 20, 3])
def test_sums_along_lines_are_those_of_the_pixels(rows):
    generator = np.random.default_rng(26)
    image = generator.integers(0, 10, (rows, 16)).astype(np.float32)
    sums = line_sums(image)

    assert sums[0, 16:] == pytest.approx(image.sum(axis=1))
    assert sums[15, 16] == pytest.approx(np.trace(image))
    assert sums.sum(axis=1) == pytest.approx(np.full(16, image.sum()))


def test_a_mask_of_no_tracks_is_empty_and_one_along_a_row_covers_it():
    assert not track_mask((10, 12), []).any()
    rows = track_mask((10, 12), [Track(-0.5, 4.0, 11.5, 4.0, 2.0, 1.0, 20.0)], grow=1.0)
    assert np.flatnonzero(rows.all(axis=1)).tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"mask": np.zeros((2, 2), bool)}, "one shape"),
        ({"image": np.ones(3)}, "shape"),
    ],
)
def test_mistaken_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_tracks(**({"image": np.ones((5, 5)), "level": 0.0, "rms": 1.0} | arguments))
