"""The photometry of all exposures of a target together: asked for once, used from then on, beside the truth."""

import numpy as np
import pytest

from awe.model import Coadd, PhotometricParameters, PhotometricSolution
from awe.processing.staleness import why_stale
from awe.services.app import create_app


@pytest.fixture
def solved(made):
    assert not made.make(PhotometricSolution, object="SIM-A").failed
    return made


def test_nothing_changes_until_somebody_asks_for_it(made):
    assert made.plan(Coadd, object="SIM-A").steps == []
    assert all(p.solution_id is None for p in made.all(PhotometricParameters))


def test_it_binds_all_exposures_and_says_how_well(solved):
    (found,) = solved.all(PhotometricSolution)

    assert (found.n_exposures, found.n_frames, found.n_solved) == (3, 6, 6)
    assert found.n_photometric == 2
    assert found.n_standards > 10
    assert 0.3 < found.chi_square < 3
    assert found.rms < 0.05
    (extinction,) = found.nights.values()
    assert extinction["error"] > 0
    with solved.session() as session:
        one = session.get(PhotometricSolution, found.object_id)
        assert len(one.reduced_frames) == len(one.astrometries) == 6
        assert one.catalogue is not None


def test_zeropoints_are_those_of_the_truth(solved, night):
    (found,) = solved.all(PhotometricSolution)
    off = []
    for product in solved.all(PhotometricParameters):
        with solved.session() as session:
            raw = session.get(PhotometricParameters, product.object_id).reduced.raw
        told = found.frames[str(product.reduced_id)]
        truth = night.truth.zeropoint(raw.original_name, raw.chip.name)
        off.append((told["zeropoint"] - truth) / np.hypot(told["error"], 0.005))
        transparency = night.truth.exposures[raw.original_name]["transparency"]
        assert told["photometric"] == (transparency > 0.95)
        assert told["photometric"] or "lost" in told["why"]
        assert told["photometric"] or told["lost"] == pytest.approx(-2.5 * np.log10(transparency), abs=0.05)
    # six frames, errors partly common: 0.005 mag is what the model of stars leaves
    assert np.abs(off).max() < 5


def test_its_page_shows_five_panels_and_a_row_for_each_frame(solved):
    (found,) = solved.all(PhotometricSolution)
    client = create_app(solved.settings, solved.engine, solved.store).test_client()
    page, numbers = (client.get(f"/object/{found.object_id}/residuals{end}") for end in ("", ".json"))

    assert page.status_code == 200
    assert page.text.count(f"N {found.n_measurements:,}, mean") >= 5
    assert [p["count"] for p in numbers.json] == [found.n_measurements] * 5
    assert numbers.json[0]["rms"] == pytest.approx(1000 * found.rms, rel=1e-3)
    assert all(f"/object/{number}" in page.text for number in found.frames)
    assert f'/object/{found.object_id}/residuals"' in client.get(f"/object/{found.object_id}").text


def test_frames_take_their_zeropoints_from_it_and_the_coadd_is_made_anew(solved):
    (first,) = solved.all(Coadd)
    with solved.session() as session:
        before = why_stale(session, session.get(Coadd, first.object_id))
    assert not solved.make(Coadd, object="SIM-A").failed
    (found,) = solved.all(PhotometricSolution)
    together = [p for p in solved.all(PhotometricParameters) if p.solution_id is not None]

    assert "solution" in before[0]
    assert len(together) == 6
    assert {p.method for p in together} == {"global"}
    assert [p.zeropoint for p in together] == [found.frames[str(p.reduced_id)]["zeropoint"] for p in together]
    assert solved.plan(Coadd, object="SIM-A").steps == []


def test_if_it_is_judged_invalid_zeropoints_of_single_frames_are_in_force_again(solved):
    (first,) = solved.all(Coadd)
    solved.make(Coadd, object="SIM-A")
    (found,) = solved.all(PhotometricSolution)
    solved.change(PhotometricSolution, found.object_id, is_valid=0)
    planned = solved.plan(Coadd, object="SIM-A")

    assert planned.steps == []
    assert [t.object_id for t in planned.targets] == [first.object_id]


def test_parameters_are_chosen_by_name(made):
    wish = PhotometricSolution.Parameters(least_signal=50.0, photometric=0.05)
    assert not made.make(PhotometricSolution, wish, object="SIM-A").failed
    (found,) = made.all(PhotometricSolution)
    assert (found.parameters.least_signal, found.parameters.photometric) == (50.0, 0.05)
