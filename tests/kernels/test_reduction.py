import numpy as np
import pytest

from awe.kernels.flags import PixelFlag
from awe.kernels.reduction import calibrate
from awe.kernels.sections import Section

SECTION = Section(4, 44, 2, 32)
SHAPE = (30, 40)


@pytest.fixture
def parts():
    generator = np.random.default_rng(31)
    return {
        "light": generator.uniform(100, 1000, SHAPE),
        "bias": generator.normal(5, 2, SHAPE),
        "dark": generator.uniform(0, 0.5, SHAPE),
        "flat": generator.uniform(0.8, 1.2, SHAPE),
        "level": generator.normal(1000, 3, (40, 1)),
    }


def exposed(parts, exptime):
    """A raw frame with a prescan and rows that saw no light."""
    raw = np.zeros((40, 60)) + parts["level"]
    raw[SECTION.slices] += parts["light"] * parts["flat"] + parts["bias"] + parts["dark"] * exptime
    return raw.astype(np.float32)


def test_what_the_instrument_added_is_taken_out_again(parts):
    raw = exposed(parts, 100.0)
    before = raw.copy()
    image, flags = calibrate(raw, SECTION, parts["level"], parts["bias"], parts["dark"], 100.0, parts["flat"])

    # float32 of 2000 adu is known to 1e-4
    assert image == pytest.approx(parts["light"], abs=2e-3)
    assert image.dtype == np.float32
    assert not flags.any()
    assert np.array_equal(raw, before)


def test_without_calibrations_the_level_alone_is_removed(parts):
    raw = exposed(parts, 0.0)
    expected = raw[SECTION.slices] - parts["level"][2:32]

    assert calibrate(raw, SECTION, parts["level"])[0] == pytest.approx(expected, abs=2e-3)
    assert calibrate(raw, SECTION)[0] == pytest.approx(raw[SECTION.slices])
    assert calibrate(raw, SECTION, np.full((40, 60), 7.0))[0] == pytest.approx(raw[SECTION.slices] - 7, abs=2e-3)


def test_pixels_without_value_or_light_are_zero_and_flagged(parts):
    raw, flat = exposed(parts, 0.0), parts["flat"]
    raw[2, 4], flat[1, 1], flat[2, 2], flat[3, 3] = np.nan, 0.0, np.nan, np.inf
    known = np.full(SHAPE, PixelFlag.HOT, np.uint8)
    image, flags = calibrate(raw, SECTION, flat=flat, flags=known)
    bad = np.zeros(SHAPE, bool)
    bad[[0, 1, 2, 3], [0, 1, 2, 3]] = True

    assert np.array_equal(flags == PixelFlag.HOT | PixelFlag.NO_DATA, bad)
    assert (image[bad] == 0).all()
    assert (flags & PixelFlag.HOT).all()
    assert (known == PixelFlag.HOT).all()


def test_a_whole_frame_of_bad_pixels_is_all_flagged():
    image, flags = calibrate(np.full(SHAPE, np.nan, np.float32), Section.whole(SHAPE), flat=np.ones(SHAPE))

    assert (image == 0).all()
    assert (flags == PixelFlag.NO_DATA).all()


@pytest.mark.parametrize("role", ["bias", "dark", "flat", "flags"])
def test_calibrations_of_other_sizes_are_refused(role):
    with pytest.raises(ValueError, match="flag map" if role == "flags" else role):
        calibrate(np.zeros((40, 60)), SECTION, **{role: np.zeros((3, 3))})
