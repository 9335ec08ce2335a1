"""Grid targets are laid out as frames and users want; what can't be is refused with the reason."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from awe.errors import BadRequest, MissingInput
from awe.kernels.sky_systems import AXES
from awe.kernels.wcs import Wcs, tan
from awe.processing.grids import LARGEST_GRID, MARGIN, lay_out


@dataclass
class Raw:
    """What a grid asks of a raw frame."""

    wcs: Wcs
    object: str = "M67"
    pixel_scale: float = 0.2
    footprint: Any = field(init=False)

    def __post_init__(self) -> None:
        self.footprint = self.wcs.footprint(1000, 800).tolist()


def frames(ra: float, dec: float) -> list[Raw]:
    """Two frames side by side."""
    return [Raw(tan(ra + shift / np.cos(np.radians(dec)), dec, 0.2, 1000, 800, 20)) for shift in (-0.02, 0.02)]


@pytest.mark.parametrize("system", AXES)
@pytest.mark.parametrize("projection", ["TAN", "ZEA", "CAR", "AIT", "SIN"])
@pytest.mark.parametrize(("ra", "dec"), [(150.1, 2.2), (0.0, 60.0), (83.0, -69.0)])
def test_a_grid_holds_the_frames_it_is_for(projection: str, system: str, ra: float, dec: float) -> None:
    raws = frames(ra, dec)

    grid = lay_out("g", raws, projection, system)

    wcs = Wcs.from_header(grid.wcs)
    x, y = wcs.to_pixel(*np.concatenate([raw.footprint for raw in raws]).T)
    assert min(x.min(), y.min()) > MARGIN - 2
    assert x.max() < grid.naxis1 - MARGIN + 2
    assert y.max() < grid.naxis2 - MARGIN + 2
    assert (wcs.system, grid.object, grid.pixel_scale) == (system, "M67", 0.2)
    assert str(wcs.cards["CTYPE1"]).endswith(projection)


def test_what_is_given_is_taken_as_it_is() -> None:
    grid = lay_out("g", frames(150.1, 2.2), "ZEA", "galactic", (150.2, 2.1), 0.5, (300, 200))

    wcs = Wcs.from_header(grid.wcs)
    assert (grid.naxis1, grid.naxis2) == (300, 200)
    assert wcs.scale == pytest.approx(0.5, rel=1e-6)
    assert wcs.centre(300, 200) == pytest.approx((150.2, 2.1))


def test_a_grid_may_lie_on_the_pole() -> None:
    grid = lay_out("pole", projection="ZEA", centre=(0.0, 90.0), scale=1.0, size=(500, 400))

    x, y = Wcs.from_header(grid.wcs).to_pixel(np.arange(0, 360, 45.0), np.full(8, 89.98))

    assert np.hypot(x - 249.5, y - 199.5) == pytest.approx(np.full(8, 72), rel=1e-4)


@pytest.mark.parametrize("size", [(1_000_000, 1_000_000), (LARGEST_GRID + 1, 1)])
def test_too_large_a_grid_is_refused_with_the_size_it_would_take(size: tuple[int, int]) -> None:
    gigabytes = size[0] * size[1] * 9 / 1e9
    with pytest.raises(BadRequest, match=f"{size[0]} x {size[1]} pixels, and a coadd on it {gigabytes:,.0f} GB"):
        lay_out("g", frames(150.1, 2.2), size=size)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"projection": "XYZ"}, "no grid can be laid out in the projection 'XYZ'"),
        ({"system": "supergalactic"}, "no system 'supergalactic'; there are equatorial, galactic, ecliptic"),
        ({"size": (0, 10)}, "of 0 x 10 pixels is empty"),
        ({"raws": frames(0, 0) + frames(50, 0)}, "spread over 50 deg"),
        ({"raws": ()}, "for no frames needs centre, scale and size"),
    ],
)
def test_what_can_not_be_laid_out_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        lay_out("g", **{"raws": frames(150.1, 2.2), **given})


def test_frames_without_a_place_are_refused() -> None:
    lost = frames(150.1, 2.2)
    for raw in lost:
        raw.footprint = None
    with pytest.raises(MissingInput, match="none of the 2 frames of g has a place on the sky"):
        lay_out("g", lost)
