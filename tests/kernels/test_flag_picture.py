"""Flag maps as pictures: no flagged pixel is lost, each bit has its colour."""

import numpy as np
import pytest

from awe.kernels.flag_picture import COLOURS, GROUND, bin_flags, colour_flags
from awe.kernels.flags import PixelFlag


def test_a_block_carries_all_bits_of_its_pixels() -> None:
    flags = np.array([[1, 0, 0, 128], [4, 0, 2, 0], [0, 8, 0, 0]], dtype=np.uint8)

    assert bin_flags(flags, 2).tolist() == [[5, 130], [8, 0]]
    assert bin_flags(flags, 1) is flags
    assert bin_flags(flags, 100).tolist() == [[1 | 128 | 4 | 2 | 8]]


def test_each_bit_has_a_colour_of_its_own() -> None:
    shown = colour_flags(np.array([[0, *(int(f) for f in PixelFlag)]], dtype=np.uint8))[0]

    assert tuple(shown[0]) == GROUND
    assert [tuple(c) for c in shown[1:]] == [COLOURS[f] for f in PixelFlag]
    assert len({tuple(c) for c in shown}) == len(PixelFlag) + 1


def test_of_several_bits_the_first_in_the_list_is_shown() -> None:
    both = np.array([[PixelFlag.EDGE | PixelFlag.COSMIC]], dtype=np.uint8)

    assert tuple(colour_flags(both)[0, 0]) == COLOURS[PixelFlag.COSMIC]


@pytest.mark.parametrize(("shape", "factor"), [((3,), 2), ((2, 2), 0)])
def test_what_is_no_map_is_refused(shape: tuple[int, ...], factor: int) -> None:
    with pytest.raises(ValueError, match=r"flag map|binning factor"):
        bin_flags(np.zeros(shape, np.uint8), factor)
