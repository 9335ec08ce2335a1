"""Coadds are made from the reduced frames in one pass; whether regridded frames have files makes no difference."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from awe.fits import open_planes, verify
from awe.kernels.choices import FlagRule, Method
from awe.model import Coadd, RegriddedFrame

PLANES = ("IMAGE", "WEIGHT", "FLAGS")
FACTS = (
    *("reduced_id", "weight_id", "background_id", "astrometry_id", "flux_scale", "noise_scale", "gain", "seeing"),
    *("x0", "y0", "naxis1", "naxis2", "ra", "dec", "footprint", "bunit"),
)


def made_anew(site: Any, wish: Any) -> Coadd:
    """Make regridded frames and coadd with other parameters than those that are there."""
    outcome = site.make(Coadd, wish=wish, parameters={RegriddedFrame: RegriddedFrame.Parameters(zeropoint=29.0)})
    assert outcome.failed == outcome.skipped == {}
    return max(site.all(Coadd), key=lambda coadd: coadd.object_id)


def planes(site: Any, frame: Any, names: tuple[str, ...] = PLANES) -> dict[str, np.ndarray]:
    path = site.store.retrieve(frame.filename)
    assert verify(path) == []
    opened = open_planes(path)
    return {name: opened.rows(name) for name in names}


@pytest.mark.parametrize("method", [Method.CLIPPED, Method.WEIGHTED])
def test_pixels_and_lineage_are_the_same_with_files_of_regridded_frames_or_without(
    copied: Callable[..., Any], method: Method
) -> None:
    sites = [copied("made", keep_regridded=keep) for keep in (True, False)]
    wish = Coadd.Parameters(combine=method)
    coadds = [made_anew(site, wish) for site in sites]

    with_files, without = (planes(site, coadd) for site, coadd in zip(sites, coadds, strict=True))
    assert all(np.array_equal(with_files[name], without[name]) for name in PLANES)
    facts, stored = [], []
    for site, coadd in zip(sites, coadds, strict=True):
        with site.session() as session:
            found = session.get(Coadd, coadd.object_id)
            facts.append([(m.used, m.weight, m.reason) for m in found.regridded_frames_members])
            facts[-1] += [tuple(getattr(frame, name) for name in FACTS) for frame in found.regridded_frames]
            stored.append([f.filename is not None for f in found.regridded_frames])
    assert facts[0] == facts[1]
    assert stored == [[True] * 6, [False] * 6]


def test_what_is_up_to_date_does_not_depend_on_whether_files_are_kept(copied: Callable[..., Any]) -> None:
    for keep in (True, False):
        assert copied("made", keep_regridded=keep).to_make(Coadd, object="SIM-A") == {}


def test_a_coadd_has_maps_of_exposures_and_noise_where_they_are_asked_for(made: Any) -> None:
    coadd = made_anew(made, Coadd.Parameters(count_map=True, noise_map=True, join_flags=FlagRule.AND))
    found = planes(made, coadd, (*PLANES, "COUNT", "NOISE"))

    good = found["WEIGHT"] > 0
    assert np.array_equal(good, found["COUNT"] > 0)
    assert found["COUNT"].max() == 3  # exposures; chips do not overlap
    assert found["NOISE"][good] == pytest.approx(found["WEIGHT"][good] ** -0.5, rel=1e-6)
    assert not found["NOISE"][~good].any()


def test_a_coadd_without_maps_has_three_planes(undisturbed: Any) -> None:
    (coadd,) = undisturbed.all(Coadd)
    opened = open_planes(undisturbed.store.retrieve(coadd.filename))

    assert list(opened.stored) == list(PLANES)
    assert opened.header["NOISESCL"] == pytest.approx(coadd.noise_scale)
    assert opened.header["AWE NOISE"] == pytest.approx(coadd.noise)
