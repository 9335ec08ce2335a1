"""An image that is kept as a mesh has the same pixels, however they are asked for."""

import numpy as np
import pytest

from awe.kernels.mesh import SmoothImage, spread_mesh
from awe.kernels.sections import Section

SHAPE = (97, 130)
NODES = np.random.default_rng(5).normal(100, 3, (6, 8)).astype(np.float32)


def test_rows_of_a_smooth_image_are_those_of_the_mesh_spread_over_it() -> None:
    image, whole = SmoothImage(NODES, SHAPE), spread_mesh(NODES, SHAPE)
    np.testing.assert_array_equal(image.rows(), whole)
    np.testing.assert_array_equal(image.rows(11, 42), whole[11:42])


@pytest.mark.parametrize("section", [Section(0, 130, 0, 97), Section(7, 8, 3, 90), Section(100, 130, 96, 97)])
def test_a_section_of_a_smooth_image_is_that_part(section: Section) -> None:
    found = SmoothImage(NODES, SHAPE).section(section)
    np.testing.assert_array_equal(found, section.cut(spread_mesh(NODES, SHAPE)))
    assert found.dtype == np.float32
