"""Detection and measurement of sources: errors, robustness, stars."""

import numpy as np
import pytest
from scipy.special import ndtr

from awe.kernels.detection import SourceFlag, WeightFlag, detect, detect_in, half_sample_mode, stars
from awe.kernels.flags import PixelFlag
from awe.kernels.matching import match_positions
from awe.kernels.photometry import circle_sums, plane, windowed_positions
from awe.kernels.planes import Rows, scene

GAIN, SKY, READ_NOISE, FWHM = 1.5, 100.0, 5.0, 4.0
VARIANCE = SKY / GAIN + READ_NOISE**2


def star_image(x, y, flux, shape, fwhm=FWHM):
    """Return Gaussian stars, exactly integrated over pixels."""
    sigma, image = fwhm / 2.3548, np.zeros(shape)
    for at_x, at_y, total in zip(x, y, np.broadcast_to(flux, np.shape(x)), strict=True):
        columns, rows = (
            np.diff(ndtr((np.arange(n + 1) - 0.5 - at) / sigma)) for at, n in ((at_x, shape[1]), (at_y, shape[0]))
        )
        image += total * rows[:, None] * columns
    return image


def observed(truth, rng):
    return rng.poisson((truth + SKY) * GAIN) / GAIN - SKY + rng.normal(0, READ_NOISE, truth.shape)


def grid_of_stars(rng, count=16, spacing=40):
    place = np.arange(count) * spacing + spacing
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, count**2) for axis in np.meshgrid(place, place))
    return x, y, ((count + 1) * spacing, (count + 1) * spacing)


@pytest.mark.parametrize("flux", [2000.0, 10000.0, 100000.0])
def test_errors_of_positions_and_fluxes_are_true(flux):
    rng = np.random.default_rng(11)
    x, y, shape = grid_of_stars(rng)
    image = observed(star_image(x, y, flux, shape), rng)

    found = detect(image, np.full(shape, 1 / VARIANCE), gain=GAIN, apertures=(8, 24))
    i, j = match_positions(x, y, found["XWIN_IMAGE"], found["YWIN_IMAGE"], 2.0)
    found = found[j]

    assert len(i) == len(x)
    # 256 pulls: their standard deviation is good to 4.4 %
    for name, truth in (("X", x), ("Y", y)):
        pull = (found[f"{name}WIN_IMAGE"] - truth[i]) / found[f"ERR{name}WIN_IMAGE"]
        assert pull.std() == pytest.approx(1.0, abs=0.14)
        assert pull.mean() == pytest.approx(0.0, abs=0.2)
    wide = (found["FLUX_APER"][:, 1] - flux) / found["FLUXERR_APER"][:, 1]
    core = found["FLUX_APER"][:, 0]
    assert wide.std() == pytest.approx(1.0, abs=0.14)
    assert wide.mean() == pytest.approx(0.0, abs=0.25)
    assert np.std(core) == pytest.approx(np.median(found["FLUXERR_APER"][:, 0]), rel=0.14)
    assert np.median(found["FLUX_AUTO"]) == pytest.approx(flux, rel=0.02)
    assert np.std(found["FLUX_AUTO"]) == pytest.approx(np.median(found["FLUXERR_AUTO"]), rel=0.2)
    assert np.all(found["FLAGS"] == 0)


def test_a_map_of_unequal_weights_gives_true_errors():
    rng = np.random.default_rng(12)
    x, y, shape = grid_of_stars(rng)
    sigma = np.tile(np.where(np.arange(shape[1]) % 3 == 0, 25.0, 5.0), (shape[0], 1))
    image = star_image(x, y, 8000.0, shape) + rng.normal(0, sigma)

    found = detect(image, 1 / sigma**2, apertures=(12,))
    i, j = match_positions(x, y, found["XWIN_IMAGE"], found["YWIN_IMAGE"], 2.0)

    assert np.std((found["XWIN_IMAGE"][j] - x[i]) / found["ERRXWIN_IMAGE"][j]) == pytest.approx(1.0, abs=0.14)
    spread = np.std(found["FLUX_APER"][j, 0])
    assert np.median(found["FLUXERR_APER"][j, 0]) == pytest.approx(spread, rel=0.14)


def test_any_number_type_byte_order_and_stride_gives_the_same():
    rng = np.random.default_rng(1)
    x, y, shape = grid_of_stars(rng, 4)
    image = np.round(observed(star_image(x, y, 20000.0, shape), rng)).astype(np.float32)
    wide = np.zeros((shape[0], 2 * shape[1]), np.float32)
    wide[:, ::2] = image

    expected = detect(image, rms=8.0)

    for same in (image.astype(">f4"), image.astype(np.float64), np.asfortranarray(image), wide[:, ::2]):
        assert np.array_equal(detect(same, rms=8.0), expected)
    assert len(expected) == 16


def test_an_empty_sky_gives_an_empty_catalogue():
    found = detect(np.zeros((50, 60), np.float32), rms=1.0, apertures=(5.0,))

    assert len(found) == 0
    assert found["FLUX_APER"].shape == (0, 1)
    assert stars(found).count == 0
    assert np.isnan(stars(found).seeing)


def test_an_image_without_a_good_pixel_gives_an_empty_catalogue():
    assert len(detect(np.full((20, 20), np.nan, np.float32))) == 0
    assert len(detect(np.ones((20, 20), np.float32), np.zeros((20, 20), np.float32))) == 0


def test_nan_and_weightless_pixels_are_replaced_by_their_mirror_image():
    rng = np.random.default_rng(2)
    x, y, shape = grid_of_stars(rng, 8)
    truth = star_image(x, y, 50000.0, shape)
    image = observed(truth, rng)
    weight = np.full(shape, 1 / VARIANCE)
    weight[:, 0:-1:40] = 0  # a bad column through or near each star's wing
    shifted = np.roll(weight, 2, axis=1)
    image[shifted == 0] = np.nan

    found = detect(image, shifted, gain=GAIN, apertures=(16,))
    i, j = match_positions(x, y, found["XWIN_IMAGE"], found["YWIN_IMAGE"], 2.0)

    assert len(i) == 64
    assert np.median(found["FLUX_APER"][j, 0]) == pytest.approx(50000.0, rel=0.015)
    off = found["XWIN_IMAGE"][j] - x[i]
    assert np.median(np.abs(off)) < 0.05
    assert np.std(off) < 0.15


def test_a_neighbour_does_not_add_to_an_aperture():
    x, y = [40.0, 52.0], [40.0, 40.0]
    image = star_image(x, y, [20000.0, 20000.0], (80, 90))

    found = detect(image, rms=1.0, apertures=(18,))

    assert found["FLUX_APER"][:, 0] == pytest.approx(20000.0, rel=0.02)


def test_blends_saturated_and_truncated_sources_are_flagged():
    x, y = [30.0, 37.5, 80.0, 110.0, 40.0], [30.0, 30.0, 30.0, 80.0, 100.5]
    image = star_image(x, y, [9000.0, 9000.0, 90000.0, 9000.0, 9000.0], (101, 150))
    flags = np.zeros(image.shape, np.uint8)
    flags[80, 111] = PixelFlag.COSMIC
    weight = np.where(image > 3000, 0.0, 1.0)  # the saturated core has no weight, but is no hole
    flags[image > 3000] = PixelFlag.SATURATED

    found = detect(image, weight, flags)
    _, j = match_positions(x, y, found["X_IMAGE"], found["Y_IMAGE"], 3.0)
    one, other, bright, hit, cut = found[j]

    assert one["FLAGS"] & SourceFlag.BLENDED
    assert other["FLAGS"] & SourceFlag.BLENDED
    assert bright["FLAGS"] & SourceFlag.SATURATED
    assert bright["IMAFLAGS"] == PixelFlag.SATURATED
    assert hit["IMAFLAGS"] == PixelFlag.COSMIC
    assert cut["FLAGS"] & SourceFlag.TRUNCATED
    assert cut["FLAGS"] & SourceFlag.APERTURE_INCOMPLETE
    assert len(found) == 5


def test_a_background_map_is_subtracted_and_kept():
    ramp = np.tile(np.linspace(100, 200, 80, dtype=np.float32), (80, 1))
    image = star_image([40.0], [30.0], [5000.0], (80, 80)) + ramp

    found = detect(image, rms=1.0, background=ramp, apertures=(20,))

    assert found["FLUX_APER"][0, 0] == pytest.approx(5000.0, rel=0.01)
    assert found["BACKGROUND"][0] == pytest.approx(ramp[30, 40])


def test_what_cannot_be_is_refused():
    image = np.random.default_rng(1).normal(1000, 3, (50, 50))
    with pytest.raises(ValueError, match="background is not subtracted"):
        detect(image, rms=3.0)
    with pytest.raises(ValueError, match="shape"):
        detect(image, np.ones((50, 51)))
    with pytest.raises(ValueError, match="dimensions"):
        detect(np.zeros(5))
    with pytest.raises(ValueError, match="threshold"):
        detect(image, threshold=0.0)
    with pytest.raises(ValueError, match="0 x 7 pixels"):
        detect(np.zeros((0, 7)))
    with pytest.raises(ValueError, match="gain"):
        detect(image, gain=0.0)


def test_stars_are_told_from_galaxies_and_cosmic_rays():
    rng = np.random.default_rng(9)
    x, y, shape = grid_of_stars(rng)
    kind = rng.choice(3, len(x), p=[0.5, 0.4, 0.1])
    truth = np.zeros(shape)
    for one, fwhm in ((0, FWHM), (1, 1.6 * FWHM)):
        truth += star_image(x[kind == one], y[kind == one], 20000.0, shape, fwhm)
    image = observed(truth, rng)
    cosmic = kind == 2
    for step in (0, 1, 2):
        image[np.rint(y[cosmic]).astype(int), np.rint(x[cosmic]).astype(int) + step] += 2000.0
        image[np.rint(y[cosmic]).astype(int) + 1, np.rint(x[cosmic]).astype(int) + step] += 1000.0

    found = detect(image, np.full(shape, 1 / VARIANCE), gain=GAIN)
    i, j = match_positions(x, y, found["X_IMAGE"], found["Y_IMAGE"], 3.0)
    number, kind = found["STELLARITY"][j], kind[i]
    locus = stars(found)

    assert np.mean(number[kind == 0] > 0.5) > 0.97
    assert np.mean(number[kind == 1] < 0.1) > 0.97
    assert np.mean(number[kind == 2] < 0.1) > 0.97
    assert locus.seeing == pytest.approx(FWHM, rel=0.06)
    assert set(kind[np.isin(j, np.flatnonzero(locus.selected))]) == {0}


def test_sharp_cosmic_rays_do_not_pass_for_the_seeing():
    rng = np.random.default_rng(9)
    x, y, shape = grid_of_stars(rng, 8)
    image = observed(star_image(x[:15], y[:15], 20000.0, shape), rng)
    image[np.rint(y[15:]).astype(int), np.rint(x[15:]).astype(int)] += 5000.0

    assert stars(detect(image, rms=9.0, min_area=1)).seeing == pytest.approx(FWHM, rel=0.06)


def test_faint_sources_are_left_open():
    rng = np.random.default_rng(9)
    x, y, shape = grid_of_stars(rng)
    image = observed(star_image(x, y, np.where(np.arange(len(x)) < 30, 30000.0, 900.0), shape), rng)

    found = detect(image, np.full(shape, 1 / VARIANCE), gain=GAIN)
    _, j = match_positions(x[30:], y[30:], found["X_IMAGE"], found["Y_IMAGE"], 3.0)

    assert 0.5 < np.median(found["STELLARITY"][j]) < 0.9
    assert found["STELLARITY"].max() > 0.95


def test_the_mode_lies_in_the_narrow_peak():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(1.0, 0.01, 60), rng.uniform(0.5, 4.0, 140)])

    assert half_sample_mode(values) == pytest.approx(1.0, abs=0.03)
    assert half_sample_mode([2.0]) == 2.0


def test_the_area_of_an_aperture_is_pi_r_squared():
    ones = plane(np.ones((60, 60), np.float32), 1.0)
    sums = circle_sums(ones, np.array([30.0, 30.4, 0.0]), np.array([30.0, 29.7, 30.0]), 10.0, np.zeros(3, int))

    np.testing.assert_allclose(sums.flux[:2], np.pi * 100, rtol=3e-3)
    np.testing.assert_allclose(sums.error[:2], np.sqrt(np.pi * 100), rtol=3e-3)
    assert sums.outside[2] == pytest.approx(0.5, abs=0.04)


def test_a_window_on_nothing_says_that_it_did_not_converge():
    dark = plane(np.full((30, 30), -1.0, np.float32), 1.0)

    found = windowed_positions(dark, np.array([15.0]), np.array([15.0]), np.array([2.0]), np.zeros(1, int))

    assert not found.converged[0]
    assert (found.x[0], found.y[0]) == (15.0, 15.0)


def flags_of_one_star(x=40.0, y=40.0, **given):
    """Return the row of a lone star of 20000 adu; `given` are changes to what `detect` is given."""
    image = star_image([x], [y], [20000.0], (81, 90))
    (row,) = detect(given.pop("image", image), **({"rms": 1.0, "apertures": (8,)} | given))
    return row


def test_a_lone_star_has_no_flag():
    row = flags_of_one_star()

    assert [row[n] for n in ("FLAGS", "FLAGS_WEIGHT", "IMAFLAGS", "IMAFLAGS_ISO", "NIMAFLAGS_ISO")] == [0] * 5


def test_bit_1_is_set_where_neighbours_or_bad_pixels_take_a_tenth_of_the_ellipse():
    image = star_image([40.0], [40.0], [20000.0], (81, 90))
    image[:, 43:70] = np.nan

    assert flags_of_one_star(image=image)["FLAGS"] & SourceFlag.NEIGHBOURS


def test_bit_2_is_set_on_both_parts_of_a_blend_only():
    image = star_image([30.0, 37.5, 70.0], [40.0, 40.0, 40.0], [9000.0] * 3, (81, 100))
    found = detect(image, rms=1.0)

    assert len(found) == 3
    assert ((found["FLAGS"] & SourceFlag.BLENDED > 0) == (found["X_IMAGE"] < 50)).all()


def test_bit_4_is_set_by_the_level_and_by_the_flag_map_alike():
    flags = np.zeros((81, 90), np.uint8)
    flags[40, 40] = PixelFlag.SATURATED

    assert flags_of_one_star(saturation=1000.0)["FLAGS"] == SourceFlag.SATURATED
    assert flags_of_one_star(flags=flags)["FLAGS"] == SourceFlag.SATURATED
    assert flags_of_one_star(saturation=1e5)["FLAGS"] == 0


def test_bits_8_and_16_are_set_at_the_border():
    # the aperture of 60 reaches beyond it, the isophote does not; further out, both do
    assert flags_of_one_star(apertures=(8, 60))["FLAGS"] == 0
    assert flags_of_one_star(y=20.0, apertures=(8, 60))["FLAGS"] == SourceFlag.APERTURE_INCOMPLETE
    at_the_border = flags_of_one_star(y=1.0)["FLAGS"]
    assert at_the_border & SourceFlag.TRUNCATED
    assert at_the_border & SourceFlag.APERTURE_INCOMPLETE


def test_bit_32_and_the_flags_of_weights_are_set_where_a_pixel_of_the_isophote_has_no_value():
    weight = np.ones((81, 90))
    weight[41, 39] = 0
    row = flags_of_one_star(weight=weight)

    assert row["FLAGS"] & SourceFlag.ISOPHOTE_INCOMPLETE
    assert row["FLAGS_WEIGHT"] == WeightFlag.MEASURED | WeightFlag.DETECTED
    weight[41, 39], weight[70, 80] = 1, 0
    assert flags_of_one_star(weight=weight)["FLAGS_WEIGHT"] == 0


def test_weights_of_both_images_have_a_flag_each():
    image, whole, holed = star_image([40.0], [40.0], [20000.0], (81, 90)), np.ones((81, 90)), np.ones((81, 90))
    holed[41, 39] = 0
    good, bad = scene(Rows(image, whole)), scene(Rows(image, holed))

    assert detect_in(good, measure_on=bad)["FLAGS_WEIGHT"].tolist() == [WeightFlag.MEASURED]
    assert detect_in(bad, measure_on=good)["FLAGS_WEIGHT"].tolist() == [WeightFlag.DETECTED]
    assert detect_in(bad, measure_on=good)["FLAGS"] & SourceFlag.ISOPHOTE_INCOMPLETE == 0


def test_flags_of_the_isophote_are_counted_and_those_beyond_it_are_left_out():
    flags = np.zeros((81, 90), np.uint8)
    flags[40, 38:41], flags[39, 39] = PixelFlag.INTERPOLATED, PixelFlag.COSMIC
    flags[70, 80] = PixelFlag.HOT
    row = flags_of_one_star(flags=flags)

    assert row["IMAFLAGS_ISO"] == PixelFlag.INTERPOLATED | PixelFlag.COSMIC
    assert row["NIMAFLAGS_ISO"] == 4
    assert row["IMAFLAGS"] == row["IMAFLAGS_ISO"]


def test_the_gain_enters_the_errors_and_only_these():
    few, many, none = (flags_of_one_star(gain=g) for g in (0.5, 5.0, np.inf))
    area = np.pi * 16
    for row, gain in ((few, 0.5), (many, 5.0), (none, np.inf)):
        assert row["FLUXERR_APER"][0] == pytest.approx(np.sqrt(area + row["FLUX_APER"][0] / gain), rel=0.01)
    assert few["FLUX_APER"][0] == many["FLUX_APER"][0] == none["FLUX_APER"][0]


def test_a_field_of_nothing_but_saturated_stars_is_measured_and_has_no_seeing():
    rng = np.random.default_rng(3)
    x, y, shape = grid_of_stars(rng, 5)
    truth = star_image(x, y, 500000.0, shape)
    image = np.minimum(observed(truth, rng), 5000.0)
    flags = np.where(image >= 4999, PixelFlag.SATURATED, 0).astype(np.uint8)
    found = detect(image, np.where(flags > 0, 0, 1 / VARIANCE), flags, gain=GAIN)
    i, _ = match_positions(x, y, found["X_IMAGE"], found["Y_IMAGE"], 2.0)

    assert len(i) == len(x)
    assert np.all(found["FLAGS"] & SourceFlag.SATURATED)
    assert stars(found).count == 0
    assert np.isnan(stars(found).seeing)
    assert np.all(found["STELLARITY"] == 0.5)


def test_one_star_is_its_own_seeing():
    rng = np.random.default_rng(4)
    found = detect(observed(star_image([40.3], [39.6], [50000.0], (81, 90)), rng), np.full((81, 90), 1 / VARIANCE))
    bright = found[found["FLUX_AUTO"] > 10000]

    assert len(bright) == 1
    assert stars(found).count == 1
    assert stars(found).seeing == pytest.approx(FWHM, rel=0.06)


def test_infinities_are_holes_as_nan_is():
    image = star_image([40.0], [40.0], [20000.0], (81, 90))
    spoiled = image.copy()
    spoiled[10, 10], spoiled[60, 70], spoiled[40, 50] = np.inf, -np.inf, np.nan
    (one,) = detect(image, rms=1.0)
    (other,) = detect(spoiled, rms=1.0)

    for name in ("X_IMAGE", "FLUX_AUTO", "FLUX_APER", "XWIN_IMAGE"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-3, err_msg=name)
    assert len(detect(image, np.where(np.isfinite(spoiled), 1.0, np.inf))) == 1


@pytest.mark.parametrize("name", ["weight", "flags", "background", "rms"])
def test_maps_of_another_shape_are_refused_with_both_shapes(name):
    other = np.zeros((50, 51), np.uint8 if name == "flags" else np.float32)

    with pytest.raises(ValueError, match=rf"the {name} map has shape \(50, 51\), the image \(50, 50\)"):
        detect(np.zeros((50, 50)), **{name: other})
