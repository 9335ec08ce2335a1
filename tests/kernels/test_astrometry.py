"""Astrometric solutions, on simulated fields and on real frames."""

import numpy as np
import pytest
import sep
from astropy.io import fits

from awe.kernels.astrometry import choose_degree, fit_wcs, proper_motion
from awe.kernels.detection import detect, stars
from awe.kernels.matching import match_shift
from awe.kernels.recognition import recognise
from awe.kernels.wcs import Wcs, separation, tan
from awe.kernels.zeropoint import zeropoint

NX, NY = 2048, 4096
TRUE = Wcs.from_header(
    tan(150.0, 2.2, 0.2, NX, NY, rotation=1.0).cards
    | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_7": 0.5, "PV1_9": 0.5, "PV2_7": 0.5, "PV2_9": 0.5}
)


def simulated(seed, count, error=0.04, wcs=TRUE):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, NX, count), rng.uniform(0, NY, count)
    ra, dec = wcs.to_sky(x, y)
    return rng, x + rng.normal(0, error, count), y + rng.normal(0, error, count), ra, dec


def truth_rms(wcs):
    x, y = np.meshgrid(np.linspace(0, NX, 20), np.linspace(0, NY, 40))
    u, v = wcs.to_pixel(*TRUE.to_sky(x, y))
    return np.sqrt(np.mean((u - x) ** 2)), np.sqrt(np.mean((v - y) ** 2))


@pytest.mark.parametrize("wrong", [0.0, 1.0, 180.0])
def test_a_simulated_field_is_recognised_and_fitted_to_a_fraction_of_a_pixel(wrong):
    rng, x, y, ra, dec = simulated(1, 250)
    magnitude = rng.uniform(14, 20, len(x))
    flux = 10 ** (-0.4 * magnitude)
    strangers = rng.uniform(0, 1, (2, 60)) * [[NX], [NY]]
    detected = np.concatenate([x, strangers[0]]), np.concatenate([y, strangers[1]])
    fluxes = np.concatenate([flux, rng.choice(flux, 60)])
    prior = tan(150.0 + 45 / 3600, 2.2 - 30 / 3600, 0.2 * 1.02, NX, NY, rotation=1.0 + wrong)

    found = recognise(*detected, fluxes, ra, dec, magnitude, prior, NX, NY, tolerance=6.0)
    i, j = found.detections, found.references
    fit = fit_wcs(detected[0][i], detected[1][i], 0.04, ra[j], dec[j], 0.0, found.wcs, 3)

    assert (fit.kind, fit.degree, fit.reason) == ("polynomial", 3, "")
    assert max(truth_rms(fit.wcs)) < 0.02
    # 0.04 px, 20 terms of 250 stars
    assert (fit.rms_x, fit.rms_y) == pytest.approx((0.04, 0.04), rel=0.12)
    assert fit.count > 220


@pytest.mark.parametrize(("rotation", "flipped", "stretch"), [(137.0, False, 1.05), (-61.0, True, 0.953)])
def test_a_pointing_off_by_two_arcminutes_any_rotation_flip_and_scale_are_found(rotation, flipped, stretch):
    rng, x, y, ra, dec = simulated(3, 250)
    magnitude = rng.uniform(14, 20, len(x))
    strangers = rng.uniform(0, 1, (2, 60)) * [[NX], [NY]]
    flux = 10 ** (-0.4 * np.concatenate([magnitude, rng.choice(magnitude, 60)]))
    x, y = np.concatenate([x, strangers[0]]), np.concatenate([y, strangers[1]])
    x = NX - 1 - x if flipped else x
    centre = TRUE.centre(NX, NY)
    prior = tan(centre[0] + 84 / 3600, centre[1] - 84 / 3600, 0.2 * stretch, NX, NY, rotation=1.0 + rotation)

    found = recognise(x, y, flux, ra, dec, magnitude, prior, NX, NY, max_offset=120.0, tolerance=6.0)

    assert found is not None
    assert found.method == "pattern"
    assert len(found.detections) > 200
    right = separation(*found.wcs.to_sky(x[:250], y[:250]), ra, dec) * 3600
    assert np.median(right) < 0.2


def test_a_good_prior_needs_but_a_shift():
    rng, x, y, ra, dec = simulated(2, 100)
    found = recognise(x, y, rng.random(100), ra, dec, rng.random(100), TRUE.shifted(70, -40), NX, NY)

    assert found.method == "shift"
    assert max(truth_rms(found.wcs)) < 0.05


def test_wrong_pairs_are_thrown_out():
    rng, x, y, ra, dec = simulated(3, 100)
    x[:20] += rng.uniform(1, 3, 20)

    fit = fit_wcs(x, y, 0.04, ra, dec, 0.0, TRUE)

    assert not fit.used[:20].any()
    assert fit.used[20:].mean() > 0.97
    assert fit.rejected == 100 - fit.count
    assert fit.dx[:20].min() > 0.8


@pytest.mark.parametrize(
    ("count", "wanted", "degree"),
    [
        (0, 3, -1),
        (1, 3, 0),
        (5, 1, 0),
        (6, 3, 1),
        (17, 3, 1),
        (18, 3, 2),
        (30, 3, 3),
        (30, 2, 2),
        (44, 4, 3),
        (45, 4, 4),
    ],
)
def test_the_degree_follows_the_number_of_stars(count, wanted, degree):
    assert choose_degree(count, wanted) == degree


@pytest.mark.parametrize(
    ("count", "kind", "reason"),
    [
        (0, "prior", "degree 3 needs 30 stars, 0 found: prior kept"),
        (4, "shift", "degree 3 needs 30 stars, 4 found: shift"),
        (10, "affine", "degree 3 needs 30 stars, 10 found: affine"),
        (20, "polynomial", "degree 3 needs 30 stars, 20 found: degree 2"),
    ],
)
def test_too_few_stars_give_a_simpler_fit_and_the_reason(count, kind, reason):
    _, x, y, ra, dec = simulated(4, count)

    fit = fit_wcs(x, y, 0.04, ra, dec, 0.0, TRUE, 3)

    assert (fit.kind, fit.reason) == (kind, reason)
    assert fit.wcs.to_sky(0, 0) is not None


def test_the_error_of_the_solution_is_true():
    x0, y0 = NX / 2, NY / 2
    moves, errors = [], []
    for seed in range(150):
        _, x, y, ra, dec = simulated(seed, 25)
        fit = fit_wcs(x, y, 0.04, ra, dec, 0.0, TRUE, 0)
        moves.append(separation(*fit.wcs.to_sky(x0, y0), *TRUE.to_sky(x0, y0)) * 3600)
        errors.append(np.hypot(fit.error_ra, fit.error_dec))

    assert np.sqrt(np.mean(np.square(moves))) == pytest.approx(np.mean(errors), rel=0.15)


def test_a_few_stars_with_tiny_errors_do_not_carry_the_fit_alone():
    """Five stars are said to be good to 0.01 px, and aren't: all have true errors of 0.2 px."""
    plain = tan(150.0, 2.2, 0.2, NX, NY)
    stated = np.where(np.arange(18) < 5, 0.01, 0.5)
    residuals, errors = [], []
    for seed in range(40):
        _, x, y, ra, dec = simulated(100 + seed, 18, error=0.2, wcs=plain)
        fit = fit_wcs(x, y, stated, ra, dec, 0.0, plain, 2)
        residuals.append(np.sqrt(np.mean(fit.dx[:5] ** 2 + fit.dy[:5] ** 2) / 2))
        errors.append(fit.error_ra / 0.2)

    # equal weights would leave 0.2 sqrt(1 - 6/18) = 0.16 px; the five have more weight, and hide more
    assert 0.06 < np.median(residuals) < 0.16
    # 0.2 / sqrt(18) = 0.05 px, where their stated errors say 0.01 / sqrt(5) = 0.004
    assert 0.05 < np.median(errors) < 0.15


def test_errors_of_many_stars_are_believed():
    """Bright stars have a hundredth of the errors of faint ones; enough of them carry the fit."""
    rng, x, y, ra, dec = simulated(7, 120, error=0.0)
    error = np.where(np.arange(120) < 60, 0.005, 0.5)
    x, y = x + rng.normal(0, error), y + rng.normal(0, error)
    fit = fit_wcs(x, y, error, ra, dec, 0.0, TRUE, 3)

    # 0.005 px and 10 terms of 60 stars; a fit that counts all stars alike misses by 0.1 px
    assert max(truth_rms(fit.wcs)) < 0.005


def test_chips_of_a_mosaic_keep_their_tangent_point():
    _, x, y, ra, dec = simulated(6, 200)
    far = TRUE.shifted(9000, -5000)

    fit = fit_wcs(x + 9000, y - 5000, 0.04, ra, dec, 0.0, far, 3)

    assert fit.wcs.cards["CRVAL1"] == far.cards["CRVAL1"]
    assert max(fit.rms_x, fit.rms_y) < 0.05


def test_proper_motion_moves_along_the_sky():
    ra, dec = proper_motion(
        [0.0, 10.0, 10.0], [60.0, 89.9999, 0.0], [-1000.0, 0.0, np.nan], [0.0, 1e5, np.nan], 2016.0, 2026.0
    )

    assert ra[0] == pytest.approx(360 - 10 / 3600 / np.cos(np.radians(60)))
    assert separation(10.0, 89.9999, ra[1], dec[1]) == pytest.approx(1000 / 3600, rel=1e-4)
    assert (ra[2], dec[2]) == (10.0, 0.0)


def test_unequal_lists_and_absurd_degrees_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        fit_wcs([1.0, 2.0], [1.0], 0.1, [1.0], [1.0], 0.0, TRUE)
    with pytest.raises(ValueError, match="degree 9"):
        fit_wcs([1.0], [1.0], 0.1, [1.0], [1.0], 0.0, TRUE, 9)


def pixels(path):
    return fits.getdata(path).astype(np.float32)


@pytest.mark.real
def test_hat_p_32_frames_without_wcs_are_solved(real_data):
    gaia = fits.getdata(real_data / "refcat" / "gaia_dr3_g10_cones.fits")
    near = gaia[separation(gaia["ra"], gaia["dec"], 31.3, 46.8) < 1.5]
    ra, dec = proper_motion(near["ra"], near["dec"], near["pmra"], near["pmdec"], 2016.0, 2017.97)
    frames = sorted((real_data / "hatp32").glob("*.FITS"))
    prior = tan(31.3, 46.8, 5.2, 650, 500)
    for frame in frames[::20]:
        image = pixels(frame)
        sky = sep.Background(image, bw=50, bh=50)
        found = detect(image, background=sky.back(), rms=sky.globalrms, threshold=3.0)
        x, y = found["XWIN_IMAGE"], found["YWIN_IMAGE"]

        match = recognise(x, y, found["FLUX_AUTO"], ra, dec, near["g"], prior, 650, 500, max_offset=2400.0)
        i, j = match.detections, match.references
        fit = fit_wcs(x[i], y[i], 0.1, ra[j], dec[j], 0.001, match.wcs, 1)

        assert 13 <= fit.count <= 21
        assert max(fit.rms_x, fit.rms_y) < 0.5
        assert fit.wcs.scale == pytest.approx(5.17, abs=0.02)


def efosc2(real_data, name):
    """Return sources and header WCS of the reduced frames of a field."""
    frames = {path: fits.getheader(path) for path in sorted((real_data / "efosc2").glob("*.fits"))}
    bias = np.median([pixels(path) for path, header in frames.items() if header["EXPTIME"] == 0], axis=0)
    flats = [pixels(path) - bias for path, header in frames.items() if header["OBJECT"] == "SKY,FLAT"]
    flat = np.median([one / np.median(one[200:800, 200:800]) for one in flats], axis=0)
    good = flat > 0.3
    good[:6] = good[:, :8] = good[:, -8:] = False
    flat = np.where(good, flat, 1)
    for path, header in frames.items():
        if header["OBJECT"].startswith(name):
            image = np.where(good, (pixels(path) - bias) / flat, 0).astype(np.float32)
            sky = sep.Background(image, mask=~good, bw=64, bh=64).back()
            variance = (np.maximum(sky, 0) * flat / 1.19 + 11.4**2) / flat**2
            yield detect(image, good / variance, background=sky, gain=1.19), Wcs.from_header(header)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "shifts"),
    [("Q1010", [(-41.5, -20.7), (-41.5, -41.4)]), ("J1234", [(41.7, 1.2), (41.4, -38.9)])],
)
def test_efosc2_exposures_are_tied_to_each_other(real_data, name, shifts):
    (first, wcs), *later = efosc2(real_data, name)
    for (found, _), expected in zip(later, shifts, strict=True):
        match = match_shift(first["XWIN_IMAGE"], first["YWIN_IMAGE"], found["XWIN_IMAGE"], found["YWIN_IMAGE"], 100.0)
        one, other = first[match.first], found[match.second]
        noise = np.maximum(one["FLUXERR_AUTO"] / one["FLUX_AUTO"], other["FLUXERR_AUTO"] / other["FLUX_AUTO"])
        usable = (noise < 0.1) & (one["FLAGS"] == 0) & (other["FLAGS"] == 0) & (one["STELLARITY"] > 0.5)
        one, other, noise = one[usable], other[usable], noise[usable]
        sigma = np.hypot(one["ERRXWIN_IMAGE"], other["ERRXWIN_IMAGE"])
        ra, dec = wcs.to_sky(one["XWIN_IMAGE"], one["YWIN_IMAGE"])
        prior = wcs.shifted(*match.affine.offset)

        fit = fit_wcs(other["XWIN_IMAGE"], other["YWIN_IMAGE"], sigma, ra, dec, 0.0, prior)
        bright = fit.used & (noise < 1 / 30)

        assert match.affine.offset == pytest.approx(expected, abs=0.2)
        assert bright.sum() >= 9
        assert np.sqrt(np.mean(fit.dx[bright] ** 2)) < 0.1
        assert np.sqrt(np.mean(fit.dy[bright] ** 2)) < 0.1


def landolt(path):
    """Return ra, dec (deg) and V of the standards; the columns are those of metadata.json."""
    rows = [line for line in path.read_text().splitlines() if len(line) > 60 and not line.startswith("#")]
    cuts = [(11, 13), (14, 16), (17, 21), (23, 25), (26, 28), (29, 31), (46, 52)]
    hour, minute, second, degree, arcmin, arcsec, v = np.array([[float(row[a:b]) for a, b in cuts] for row in rows]).T
    sign = np.array([-1.0 if row[22] == "-" else 1.0 for row in rows])
    return 15 * (hour + minute / 60 + second / 3600), sign * (degree + arcmin / 60 + arcsec / 3600), v


@pytest.mark.real
def test_three_landolt_stars_give_nickel_its_position_and_zeropoint(real_data):
    frames = {path: fits.getheader(path) for path in sorted((real_data / "nickel").glob("*.fits"))}

    def trimmed(path):
        image = pixels(path)
        return image[:, :1024] - np.median(image[:, 1028:], axis=1)[:, None]

    bias = np.median([trimmed(path) for path, header in frames.items() if header["EXPTIME"] == 0], axis=0)
    flats = [trimmed(path) - bias for path, header in frames.items() if 0 < header["EXPTIME"] < 10]
    flat = np.median([one / np.median(one[200:800, 300:800]) for one in flats], axis=0)
    good = (flat > 0.3) & (flat < 2)
    good[:, [255, 256, 257, 669, 1002]] = good[:, 1016:] = good[:, :4] = False
    path, header = next((path, header) for path, header in frames.items() if header["EXPTIME"] == 60)
    image = np.where(good, (trimmed(path) - bias) / np.where(good, flat, 1), 0).astype(np.float32)
    sky = sep.Background(image, mask=~good, bw=64, bh=64).back()
    weight = good / (np.maximum(sky, 1) / 1.8 + 5.5**2)
    found = detect(image, weight, background=sky, gain=1.8, threshold=2.0, apertures=(36,))
    ra, dec, magnitude = landolt(real_data / "refcat" / "landolt1992" / "catalogue.txt")
    prior = Wcs.from_header(header)

    match = recognise(
        found["XWIN_IMAGE"],
        found["YWIN_IMAGE"],
        found["FLUX_AUTO"],
        ra,
        dec,
        magnitude,
        prior,
        1024,
        1024,
        tolerance=4.0,
    )
    i, j = match.detections, match.references
    move = [float(match.wcs.cards[f"CRPIX{axis}"]) - float(prior.cards[f"CRPIX{axis}"]) for axis in (1, 2)]
    fit = fit_wcs(found["XWIN_IMAGE"][i], found["YWIN_IMAGE"][i], 0.05, ra[j], dec[j], 0.5, prior)
    zero = zeropoint(found["FLUX_APER"][i, 0] / 60, found["FLUXERR_APER"][i, 0] / 60, magnitude[j], 0.005)

    assert len(ra) > 500
    assert match.method == "shift"
    assert move == pytest.approx([45.0, 18.0], abs=1.5)
    assert fit.reason == "an affine fit needs 6 stars, 3 found: shift"
    assert np.hypot(fit.dx, fit.dy).max() < 1.2
    assert zero.count == 3
    assert zero.value == pytest.approx(22.88, abs=0.05)
    assert 0.005 < zero.error < 0.04
    assert np.abs(zero.residuals).max() < 0.05
    assert stars(found).count > 10
