"""The astrometry of all exposures of a target together: asked for once, used from then on, beside the truth."""

import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from awe.kernels.wcs import Wcs, separation
from awe.model import AstrometricParameters, Coadd, GlobalAstrometry, ReducedFrame, RegriddedFrame
from awe.processing.staleness import why_stale
from awe.services.app import create_app


def off_truth(site, night, solution):
    """Return the rms (arcsec) of the coordinates of a frame against the truth."""
    with site.session() as session:
        found = session.get(AstrometricParameters, solution.object_id)
        raw = found.reduced.raw
        truth = night.truth.projection(raw.original_name, raw.chip.name)
        ny, nx = night.truth.plan.chip_shape
    x, y = np.meshgrid(np.linspace(0, nx - 1, 9), np.linspace(0, ny - 1, 9))
    distance = separation(*Wcs.from_header(found.wcs).to_sky(x, y), *truth.to_sky(x, y)) * 3600
    return np.sqrt(np.mean(distance**2) / 2)


@pytest.fixture
def solved(made):
    assert not made.make(GlobalAstrometry, object="SIM-A").failed
    return made


def test_nothing_changes_until_somebody_asks_for_it(made):
    assert made.plan(Coadd, object="SIM-A").steps == []
    assert all(p.global_astrometry_id is None for p in made.all(AstrometricParameters))


def test_it_binds_all_exposures_and_says_how_well(solved):
    (found,) = solved.all(GlobalAstrometry)

    assert (found.n_exposures, found.n_frames, found.n_solved) == (3, 6, 6)
    assert found.n_reference > 10
    assert 0.5 < found.chi_square < 2
    assert found.rms < 0.1
    with solved.session() as session:
        assert len(session.get(GlobalAstrometry, found.object_id).reduced_frames) == 6
    rows = solved.store.retrieve(found.filename, found.sha256)
    assert rows.stat().st_size > 0


def test_its_page_shows_five_panels_and_another_object_has_none(solved):
    (found,) = solved.all(GlobalAstrometry)
    client = create_app(solved.settings, solved.engine, solved.store).test_client()
    page, numbers = (client.get(f"/object/{found.object_id}/residuals{end}") for end in ("", ".json"))
    other = client.get(f"/object/{solved.all(Coadd)[0].object_id}/residuals")

    assert page.status_code == 200
    assert page.text.count(f"N {found.n_detections:,}, mean") >= 5
    assert [p["count"] for p in numbers.json] == [found.n_detections] * 5
    assert numbers.json[1]["rms"] == pytest.approx(1000 * found.rms_ra, rel=1e-3)
    assert other.status_code == 404
    assert f'/object/{found.object_id}/residuals"' in client.get(f"/object/{found.object_id}").text


def test_frames_take_their_coordinates_from_it_and_lie_nearer_to_the_truth(solved, night):
    alone = solved.all(AstrometricParameters)
    assert not solved.make(Coadd, object="SIM-A").failed

    together = [p for p in solved.all(AstrometricParameters) if p.global_astrometry_id is not None]

    assert len(together) == len(alone) == 6
    assert {p.method for p in together} == {"global"}
    rms_alone, rms_together = (np.median([off_truth(solved, night, p) for p in group]) for group in (alone, together))
    assert rms_together < rms_alone
    assert solved.plan(Coadd, object="SIM-A").steps == []


def test_what_was_made_before_is_stale_and_in_force_again_when_it_is_judged_invalid(solved):
    (first,) = solved.all(Coadd)
    with solved.session() as session:
        before = why_stale(session, session.get(Coadd, first.object_id))
    solved.make(Coadd, object="SIM-A")
    (found,) = solved.all(GlobalAstrometry)
    second = solved.all(Coadd)[-1]
    solved.change(GlobalAstrometry, found.object_id, is_valid=0)
    with solved.session() as session:
        after = why_stale(session, session.get(Coadd, second.object_id))
    planned = solved.plan(Coadd, object="SIM-A")

    assert "global_astrometry" in before[0]
    assert after
    # the solutions of single frames, and what was made of them, are still there and right again
    assert planned.steps == []
    assert [t.object_id for t in planned.targets] == [first.object_id]


def test_parameters_are_chosen_by_name(made):
    wish = GlobalAstrometry.Parameters(focal_plane="free", degree=2)
    assert not made.make(GlobalAstrometry, wish, object="SIM-A").failed
    (found,) = made.all(GlobalAstrometry)
    assert (found.parameters.focal_plane, found.parameters.degree) == ("free", 2)


def header_of(client, number, written):
    """Return the cards that say where a frame lies on the sky."""
    answer = client.get(f"/object/{number}/header.json?wcs={written}")
    assert answer.status_code == 200, answer.text
    cards = {card["keyword"]: card["value"] for card in answer.json}
    names = r"NAXIS\d?|WCSAXES|C(TYPE|RVAL|RPIX|UNIT)\d|(CD|PV)\d_\d+|[AB]P?_(\d_\d|ORDER)|RADESYS|EQUINOX"
    return fits.Header([(name, _typed(value)) for name, value in cards.items() if re.fullmatch(names, name)])


def _typed(value):
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def test_the_solution_of_a_frame_is_written_as_tpv_and_as_sip_and_astropy_reads_the_same(made):
    client = create_app(made.settings, made.engine, made.store).test_client()
    solution = made.all(AstrometricParameters)[0]
    x, y = np.meshgrid(np.linspace(0, 60, 7), np.linspace(0, 60, 7))
    truth = Wcs.from_header(solution.wcs).to_sky(x, y)

    for number in (solution.reduced_id, made.all(RegriddedFrame)[0].object_id):
        for written, kind in (("tpv", ("RA---TPV", "RA---TAN")), ("sip", ("RA---TAN-SIP",))):
            header = header_of(client, number, written)
            assert header["CTYPE1"] in kind
            if number == solution.reduced_id:
                read = WCS(header).all_pix2world(x, y, 0)
                # 0.0001 pixel
                assert separation(*read, *truth).max() * 3600 < 1e-4 * solution.pixel_scale
    plain = client.get(f"/object/{solution.reduced_id}/header.json").json
    assert plain == client.get(f"/object/{solution.reduced_id}/header.json?wcs=file").json
    assert client.get(f"/object/{solution.reduced_id}/header?wcs=zpx").status_code == 400
    assert client.get(f"/object/{made.all(ReducedFrame)[0].raw_id}/header?wcs=sip").status_code in (200, 404)
