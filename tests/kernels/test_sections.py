import numpy as np
import pytest

from awe.kernels.sections import Section


def test_fits_section_counts_from_one_and_includes_both_ends():
    section = Section.parse("[1025:1056,1:1024]")
    assert section == Section(x0=1024, x1=1056, y0=0, y1=1024)
    assert section.shape == (1024, 32)
    assert str(section) == "[1025:1056,1:1024]"


def test_slices_take_rows_first():
    image = np.arange(12).reshape(3, 4)
    assert image[Section.parse("[2:3,3:3]").slices].tolist() == [[9, 10]]
    assert Section.whole(image.shape).cut(image).shape == image.shape


def test_blanks_are_allowed_in_a_section():
    assert Section.parse(" [ 1 : 2 , 3 : 4 ] ") == Section(0, 2, 2, 4)


@pytest.mark.parametrize(
    "text", ["", "1:2,3:4", "[1:2]", "[0:4,1:2]", "[5:4,1:2]", "[1:2,1:2", "[a:b,c:d]", "[-1:2,1:2]"]
)
def test_what_is_no_section_is_refused(text):
    with pytest.raises(ValueError, match="section"):
        Section.parse(text)


def test_a_section_beyond_the_image_is_refused_rather_than_cut():
    with pytest.raises(ValueError, match="beyond the image"):
        Section(0, 10, 0, 10).cut(np.zeros((10, 9)))


def test_sections_that_reach_beyond_an_image_are_never_cut_from_its_other_end():
    image = np.arange(20).reshape(4, 5)
    beyond = Section(-2, 2, 1, 9)

    with pytest.raises(ValueError, match="beyond the image"):
        beyond.cut(image)
    assert beyond.within(5, 4).cut(image).tolist() == [[5, 6], [10, 11], [15, 16]]


def test_what_two_sections_have_in_common_lies_in_both_and_what_is_around_holds_both():
    a, b, far = Section(0, 5, 0, 5), Section(3, 9, -2, 2), Section(5, 6, 0, 5)

    assert a.common(b) == b.common(a) == Section(3, 5, 0, 2)
    assert a.common(far) is None
    assert a.around(b) == Section(0, 9, -2, 5)
