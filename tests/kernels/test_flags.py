import numpy as np
import pytest

from awe.kernels.flags import PixelFlag, flag_map, flag_names, flagged


def test_bits_are_those_stored_in_files():
    assert [int(flag) for flag in PixelFlag] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert PixelFlag.EDGE.name == "EDGE"


def test_a_pixel_carries_the_bits_of_all_its_causes():
    hot = np.array([[True, True, False]])
    cosmic = np.array([[False, True, False]])
    flags = flag_map((1, 3), {PixelFlag.HOT: hot, PixelFlag.COSMIC: cosmic, PixelFlag.COLD: None})
    assert flags.tolist() == [[1, 9, 0]]
    assert flags.dtype == np.uint8
    assert flag_names(flags[0, 1]) == ["HOT", "COSMIC"]


def test_any_of_the_asked_bits_counts():
    flags = np.array([1, 2, 4, 128], np.uint8)
    assert flagged(flags, PixelFlag.HOT | PixelFlag.EDGE).tolist() == [True, False, False, True]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="HOT has shape"):
        flag_map((2, 2), {PixelFlag.HOT: np.zeros((3, 2), bool)})
