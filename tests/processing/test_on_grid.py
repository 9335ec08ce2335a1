"""Frames that have no pixel on a grid are named, with where they lie."""

from types import SimpleNamespace
from typing import Any

import pytest

from awe.errors import TaskFailed
from awe.kernels.wcs import tan
from awe.processing.on_grid import on_grid


class Named(SimpleNamespace):
    """Facts, and the words for them."""

    def __str__(self) -> str:
        return str(self.name)


def regridded(ra: float, dec: float) -> Any:
    """Return what is asked of a regridded frame whose centre lies at a place of the sky."""
    return SimpleNamespace(
        reduced=Named(name="ReducedFrame 7", naxis1=1000, naxis2=800),
        grid_target=Named(name="GridTarget M67", naxis1=1200, naxis2=1100, wcs=tan(150, 2, 0.2, 1200, 1100).cards),
        astrometry=SimpleNamespace(wcs=tan(ra, dec, 0.2, 1000, 800).cards),
        parameters=SimpleNamespace(subtract_background=False),
    )


@pytest.mark.parametrize(("ra", "dec"), [(150.2, 2.0), (330.0, -2.0), (0.0, 90.0)])
def test_a_frame_beside_the_grid_is_refused_with_its_place(ra: float, dec: float) -> None:
    with pytest.raises(TaskFailed, match="ReducedFrame 7 does not overlap GridTarget M67: its centre is at"):
        on_grid(regridded(ra, dec), products=None)  # type: ignore[arg-type]
