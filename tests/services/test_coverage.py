"""Pages of nights, instruments, filters, runs and grid targets: counts, and what is missing."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from awe import model
from awe.config import Settings
from awe.model.persistent import Persistent
from awe.services.app import create_app
from awe.services.coverage import night_matrix
from awe.services.coverage_scope import everything

NIGHT = "/night/EFOSC2/2026-01-27"


@pytest.fixture
def site(world: Any, engine: Engine, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(home=tmp_path), engine, world.store).test_client()


def invalidate(engine: Engine, *numbers: int) -> None:
    with Session(engine) as session:
        session.execute(update(Persistent).where(Persistent.object_id.in_(numbers)).values(is_valid=0))
        session.commit()


def numbers_of(engine: Engine, cls: Any) -> list[int]:
    with Session(engine) as session:
        return list(session.scalars(select(cls.object_id).order_by(cls.object_id)))


def gaps(client: FlaskClient, address: str = NIGHT) -> dict[str, int]:
    found: dict[str, int] = client.get(f"{address}.json").get_json()["gaps"]
    return found


def test_a_night_counts_its_frames_by_class(client: FlaskClient, world: Any) -> None:
    (row,) = client.get("/nights.json").get_json()["nights"]

    assert (row["night"], row["instrument"]) == ("2026-01-27", "EFOSC2")
    assert {n: row["counts"][n] for n in ("RawBiasFrame", "RawScienceFrame", "ReducedFrame", "Coadd")} == {
        "RawBiasFrame": 3, "RawScienceFrame": 3, "ReducedFrame": 3, "Coadd": 1,
    }  # fmt: skip


def test_every_count_leads_to_a_table_of_as_many_rows(client: FlaskClient, world: Any) -> None:
    for address in ("/nights", NIGHT, "/filter/g%23782", "/instrument/EFOSC2", "/grid/Q1010"):
        page = client.get(address).text
        links = re.findall(r'<a href="(/table/(\w+)[^"]*)" aria-label="([\d,]+) ', page)
        assert links or address == "/grid/Q1010"
        for link, name, count in links:
            rows = client.get(link.replace(f"/table/{name}", f"/table/{name}.json").replace("&amp;", "&")).get_json()
            assert len(rows["rows"]) == int(count), link


def test_what_is_complete_has_no_gap_but_the_frame_left_out(client: FlaskClient, world: Any) -> None:
    """The world has a coadd that left one frame out: it was looked at, so it is not missing."""
    assert gaps(client) == {}
    assert "nothing missing" in client.get(NIGHT).text


def test_an_exposure_without_reduced_frame_is_a_gap(site: FlaskClient, engine: Engine, world: Any) -> None:
    invalidate(engine, numbers_of(engine, model.ReducedFrame)[0])

    assert gaps(site)["not reduced"] == 1
    assert "observed, not reduced" in site.get(NIGHT).text
    exposures = site.get(f"{NIGHT}.json").get_json()["exposures"]
    assert [e["gap"] for e in exposures if e["class_name"] == "RawScienceFrame"].count("not reduced") == 1


def test_reduced_frames_without_coadd_are_a_gap(site: FlaskClient, engine: Engine, world: Any) -> None:
    invalidate(engine, world.ids["Coadd"])

    assert gaps(site) == {"not coadded": 3}
    assert [n["gaps"] for n in site.get("/nights.json").get_json()["nights"]] == [{"not coadded": 3}]
    assert "3 not coadded" in site.get("/grid/Q1010").text


def test_a_calibration_is_missing_only_where_it_is_required(site: FlaskClient, engine: Engine, world: Any) -> None:
    invalidate(engine, *numbers_of(engine, model.BiasFrame))
    assert "no bias" not in gaps(site)
    with Session(engine) as session:
        session.get_one(model.Instrument, world.ids["instrument"]).required_calibrations = ["bias", "flat"]
        session.commit()

    assert gaps(site) == {"no bias": 3}
    assert "without a valid bias that covers them" in site.get(NIGHT).text


def test_what_is_invalid_was_not_observed(site: FlaskClient, engine: Engine, world: Any) -> None:
    invalidate(engine, *numbers_of(engine, model.RawScienceFrame), *numbers_of(engine, model.ReducedFrame))

    assert gaps(site) == {}
    (row,) = site.get("/nights.json").get_json()["nights"]
    assert row["invalid"] == {"RawScienceFrame": 3, "ReducedFrame": 3}


def test_a_run_shows_its_exposures_and_what_became_of_them(site: FlaskClient, engine: Engine, world: Any) -> None:
    assert "does not" in site.get("/runs").text or "No observing block" in site.get("/runs").text
    with Session(engine) as session:
        camera = session.get_one(model.Instrument, world.ids["instrument"])
        block = model.ObservingBlock(name="OB 7/8", instrument=camera, start=datetime(2026, 1, 28))
        block.creator, block.project = "rees", "default"
        session.add(block)
        session.flush()
        raw = session.get_one(model.RawScienceFrame, world.ids["RawScienceFrame"])
        raw.observation.observing_block = block
        session.commit()

    found = site.get("/run/OB 7/8.json").get_json()
    assert found["nights"][0]["counts"] == {"RawScienceFrame": 1, "ReducedFrame": 1, "RegriddedFrame": 1, "Coadd": 1}
    assert found["total"] == 1
    assert [e["name"] for e in site.get("/runs.json").get_json()] == ["OB 7/8"]
    assert 'href="/run/OB%207/8"' in site.get("/runs").text


def test_nights_come_in_pages(engine: Engine) -> None:
    raws = numbers_of(engine, model.RawBiasFrame)
    with Session(engine) as session:
        for i, number in enumerate(raws):
            session.execute(
                update(model.Frame.__table__)
                .where(model.Frame.__table__.c.object_id == number)
                .values(night=date(2025, 1, 1 + i))
            )
        session.commit()
    with Session(engine) as session:
        first = night_matrix(session, everything(), nights=2)
        second = night_matrix(session, everything(), first.older, nights=2)
        beyond = night_matrix(session, everything(), date(2025, 1, 1), nights=2)

    assert [r.night.isoformat() for r in first.rows] == ["2026-01-27", "2025-01-03"]
    assert [r.night.isoformat() for r in second.rows] == ["2025-01-02", "2025-01-01"]
    assert first.older == date(2025, 1, 3)
    assert (second.older, beyond.rows) == (None, [])


def test_in_a_project_only_its_frames_count(site: FlaskClient, engine: Engine, world: Any) -> None:
    raws = numbers_of(engine, model.RawScienceFrame)
    with Session(engine) as session:
        session.execute(update(Persistent).where(Persistent.object_id.in_(raws[:2])).values(project="other"))
        session.commit()

    for address in ("/nights", "/instrument/EFOSC2", "/filter/g%23782", "/grid/Q1010"):
        (row,) = site.get(f"{address}.json?project=other").get_json()["nights"]
        assert row["counts"] == {"RawScienceFrame": 2}, address
    assert site.get(f"{NIGHT}.json?project=other").get_json()["total"] == 2
    assert [e["counts"] for e in site.get("/filters.json?project=other").get_json() if e["counts"]] == [
        {"RawScienceFrame": 2}
    ]
    assert "of project nobody" in site.get(f"{NIGHT}?project=nobody").text
    assert f'href="{NIGHT}?project=other"' in site.get("/nights?project=other").text


def test_a_grid_target_lists_its_exposures_and_what_was_made_of_them_there(
    site: FlaskClient, engine: Engine, world: Any
) -> None:
    found = site.get("/grid/Q1010.json").get_json()
    assert [(f["exposed"], f["reduced"], f["regridded"], f["coadded"]) for f in found["filters"]] == [(3, 3, 3, 3)]
    assert [(e["reduced"], e["regridded"], e["coadded"]) for e in found["exposures"]] == [(1, 1, 1)] * 3
    with Session(engine) as session:
        here = session.get_one(model.GridTarget, world.ids["grid"])
        names = ("object", "ra", "dec", "pixel_scale", "naxis1", "naxis2", "wcs", "creator", "project")
        elsewhere = model.GridTarget(name="P", **{name: getattr(here, name) for name in names})
        session.add(elsewhere)
        session.commit()

    other = site.get("/grid/P.json").get_json()
    assert [(f["reduced"], f["regridded"], f["gap"]) for f in other["filters"]] == [(3, 0, "3 not regridded")]
    assert [(e["reduced"], e["regridded"], e["gap"]) for e in other["exposures"]] == [(1, 0, "not coadded")] * 3
    assert [n["gaps"] for n in other["nights"]] == [{"not coadded": 3}]
    assert "reduced, not coadded" in site.get("/grid/P").text


def test_a_night_is_found_without_its_instrument(client: FlaskClient, world: Any) -> None:
    assert client.get("/night/2026-01-27").headers["Location"] == NIGHT


def test_pages_link_to_each_other(client: FlaskClient, world: Any) -> None:
    coadd = client.get(f"/object/{world.ids['Coadd']}").text

    assert 'href="/night/2026-01-27"' in coadd
    assert 'href="/filter/g%23782"' in coadd
    assert 'href="/grid/Q1010"' in coadd
    assert 'href="/instrument/EFOSC2"' in coadd
    assert 'href="/nights"' in client.get("/").text
    for kinds in ("instruments", "filters", "grids", "runs"):
        assert f'href="/{kinds}"' in client.get("/nights").text
        assert client.get(f"/{kinds}").status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/night/2026-01-28", 404),
        ("/night/EFOSC2/2026-01-28", 404),
        ("/night/yesterday", 400),
        ("/night/2026-01-27?x=1", 400),
        (f"{NIGHT}?x=1", 400),
        ("/grid/Q1010?before=soon", 400),
        ("/night/EFOSC2/2026-13-01", 400),
        ("/night/EFOSC2/20260127", 400),
        ("/night/NOCAM/2026-01-27", 404),
        ("/instrument/NOCAM", 404),
        ("/filter/x' or 1=1 --", 404),
        ("/grid/<script>alert(1)</script>", 404),
        ("/run/{{7*7}}", 404),
        ("/run/../../etc/passwd", 404),
        ("/nights?before=x", 400),
        ("/nights?before=2026-1-1", 400),
        ("/nights?after=2026-01-01", 400),
        ("/instruments?x=1", 400),
        ("/moons", 404),
        ("/nights?before=0001-01-01", 200),
    ],
)
def test_what_can_not_be_meant_is_refused(client: FlaskClient, address: str, status: int) -> None:
    answer = client.get(address)

    assert answer.status_code == status
    assert "<script>alert" not in answer.text


def test_an_empty_database_says_how_to_begin(empty: FlaskClient) -> None:
    for address in ("/nights", "/instruments", "/filters", "/grids", "/runs"):
        page = empty.get(address)
        assert page.status_code == 200
        assert 'class="empty"' in page.text
