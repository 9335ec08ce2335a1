"""Coadds are made from the reduced frames in one pass; whether regridded frames have files makes no difference."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from awe.errors import BadRequest
from awe.fits import open_planes, verify
from awe.kernels.choices import FlagRule, Method
from awe.model import AstrometricParameters, BackgroundFrame, Coadd, RegriddedFrame
from awe.model.lineage import parameters_of
from awe.services.app import create_app

PLANES = ("IMAGE", "WEIGHT", "FLAGS")
FACTS = (
    *("reduced_id", "weight_id", "background_id", "astrometry_id", "flux_scale", "noise_scale", "gain", "seeing"),
    *("x0", "y0", "naxis1", "naxis2", "ra", "dec", "footprint", "bunit"),
)


def made_anew(site: Any, wish: Any, **parameters: Any) -> Coadd:
    """Make regridded frames and coadd with other parameters than those that are there."""
    wanted = parameters_of(RegriddedFrame, **({"zeropoint": 29.0} | parameters))
    outcome = site.make(Coadd, wish=wish, parameters={RegriddedFrame: wanted})
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
    assert all(np.array_equal(with_files[name], without[name], equal_nan=True) for name in PLANES)
    assert np.array_equal(np.isnan(with_files["IMAGE"]), with_files["WEIGHT"] == 0)
    facts, stored = [], []
    for site, coadd in zip(sites, coadds, strict=True):
        with site.session() as session:
            found = session.get(Coadd, coadd.object_id)
            facts.append([(m.used, m.weight, m.reason) for m in found.regridded_frames_members])
            facts[-1] += [tuple(getattr(frame, name) for name in FACTS) for frame in found.regridded_frames]
            stored.append([f.filename is not None for f in found.regridded_frames])
    assert facts[0] == facts[1]
    assert stored == [[True] * 6, [False] * 6]


def test_oversampling_that_is_asked_for_is_used_with_files_or_without(copied: Callable[..., Any]) -> None:
    sites = [copied("made", keep_regridded=keep) for keep in (True, False)]
    before = {frame.reduced_id: frame for frame in sites[0].all(RegriddedFrame)}
    coadds = [made_anew(site, Coadd.Parameters(), zeropoint=30.0, oversampling=2) for site in sites]

    with_files, without = (planes(site, coadd) for site, coadd in zip(sites, coadds, strict=True))
    assert all(np.array_equal(with_files[name], without[name], equal_nan=True) for name in PLANES)
    frames = [frame for frame in sites[0].all(RegriddedFrame) if frame.parameters.oversampling == 2]
    assert {frame.oversampled for frame in before.values()} == {1}
    assert {frame.oversampled for frame in frames} == {2}
    for frame in frames:
        # the mean of four positions half a pixel apart smooths the noise of a pixel, and leaves that of large areas:
        # a box of one pixel beside Lanczos3 at equal pixel size, 1.33 / 1.12
        assert frame.noise_scale / before[frame.reduced_id].noise_scale == pytest.approx(1.19, abs=0.04)
        header = open_planes(sites[0].store.retrieve(frame.filename)).header
        names = [header[f"PARN{n}"] for n in range(1, 6)]
        assert header[f"PARV{names.index('oversampling') + 1}"] == header["AWE OVERSAMPLED"] == 2


def test_positions_are_as_exact_as_is_asked_for(copied: Callable[..., Any]) -> None:
    site = copied("made", keep_regridded=True)
    usual = {frame.reduced_id: frame for frame in site.all(RegriddedFrame)}
    made_anew(site, Coadd.Parameters(), zeropoint=30.0, projection_err=0)
    exact = [frame for frame in site.all(RegriddedFrame) if frame.parameters.projection_err == 0]

    assert len(exact) == len(usual) > 0
    for frame in exact:
        known, found = (
            open_planes(site.store.retrieve(f.filename)).rows("IMAGE") for f in (usual[frame.reduced_id], frame)
        )
        off = np.abs(found - known)
        # the steepest slope of Lanczos3 is 1.6 per pixel, once for each axis
        assert 0 < np.nanmax(off) < 2 * 1.6 * 0.001 * np.nanmax(np.abs(known))


@pytest.mark.parametrize(("value", "said"), [("-0.1", "-0.1"), ("2", "2.0"), ("nan", "nan")])
def test_an_error_of_positions_that_makes_no_sense_is_refused(value: str, said: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parameters_of(RegriddedFrame, projection_err=value)

    assert str(refusal.value) == f"parameter projection_err of RegriddedFrame must be from 0 to 1, got {said}"


@pytest.mark.parametrize("value", ["-1", "33", "1000000"])
def test_an_oversampling_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parameters_of(RegriddedFrame, oversampling=value)

    assert str(refusal.value) == f"parameter oversampling of RegriddedFrame must be from 0 to 32, got {value}"


@pytest.mark.parametrize(("cls", "name"), [(BackgroundFrame, "cell"), (AstrometricParameters, "threshold")])
def test_a_parameter_that_has_another_name_now_is_refused_with_those_there_are(cls: type, name: str) -> None:
    with pytest.raises(
        BadRequest, match=rf"{cls.__name__} has no parameter '{name}'; its parameters: (back_size|detect)"
    ):
        parameters_of(cls, **{name: 1})


def test_what_is_up_to_date_does_not_depend_on_whether_files_are_kept(copied: Callable[..., Any]) -> None:
    for keep in (True, False):
        assert copied("made", keep_regridded=keep).to_make(Coadd, object="SIM-A") == {}


def test_a_regridded_frame_whose_file_was_not_kept_gets_one_if_it_is_judged_invalid_and_made_again(
    copied: Callable[..., Any],
) -> None:
    site = copied("made", keep_regridded=False)
    first = made_anew(site, Coadd.Parameters())
    with site.session() as session:
        frame = session.get(Coadd, first.object_id).regridded_frames[0]
        number, reduced = frame.object_id, frame.reduced_id
    client = create_app(site.settings, site.engine, site.store).test_client()
    page, picture = client.get(f"/object/{number}"), client.get(f"/imageview/{number}.png")
    assert picture.status_code == 404
    for said in (page.text, picture.text):
        assert f"its pixels are those of ReducedFrame {reduced}" in said
        assert "judge it invalid and make it again with --keep-regridded true" in said

    site.change(RegriddedFrame, number, is_valid=0)
    keeping = replace(site, settings=replace(site.settings, keep_regridded=True))
    again = made_anew(keeping, Coadd.Parameters())

    with site.session() as session:
        frames = session.get(Coadd, again.object_id).regridded_frames
        (new,) = [one for one in frames if one.reduced_id == reduced]
        assert [one.filename is not None for one in frames].count(True) == 1
    assert planes(site, new)["IMAGE"].shape == (new.naxis2, new.naxis1)
    assert np.array_equal(planes(site, again)["IMAGE"], planes(site, first)["IMAGE"], equal_nan=True)


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
