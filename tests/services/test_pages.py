"""Start page, process catalogue, jobs, search: what they say."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.model import Persistent, concrete_classes
from awe.services.app import create_app
from awe.services.groups import classes_in_order, grouped_classes
from awe.services.registry import SERVICES


def test_the_start_page_counts_every_class(client: FlaskClient, world: Any) -> None:
    found = client.get("/index.json").json
    assert found is not None
    with Session(world.engine) as session:
        total = session.scalar(select(func.count()).select_from(Persistent))

    assert found["total"] == total
    assert found["classes"]["RawFrame"] == 9
    assert set(found["classes"]) == {c.__name__ for c in concrete_classes()}
    assert found["data_server"]["files"] == sum(1 for _ in world.store.list())


def test_the_start_page_shows_what_is_new_and_what_failed(client: FlaskClient, world: Any) -> None:
    page = client.get("/").text

    assert f"/imageview/{world.ids['Coadd']}.png?fit=160" in page
    assert "all pixels of chip ccd40 are flagged" in page


def test_an_empty_database_says_how_to_begin(empty: FlaskClient) -> None:
    page = empty.get("/").text

    assert "awe simulate" in page
    assert "awe ingest" in page


def test_every_class_is_in_one_group_in_processing_order() -> None:
    order = classes_in_order()

    assert set(order) == set(concrete_classes())
    assert [h for h in grouped_classes() if h != "All frames"] == [
        "Instruments and sky",
        "Raw frames",
        "Calibrations",
        "Science",
        "Catalogues",
    ]
    names = [c.__name__ for c in order]
    assert (
        names.index("RawScienceFrame") < names.index("ReducedFrame") < names.index("Coadd") < names.index("SourceList")
    )


def test_a_process_tells_what_it_has_made(client: FlaskClient, world: Any) -> None:
    (process,) = client.get("/processes.json").json  # type: ignore[misc]

    assert process["made"] > 20
    assert process["parameters"][0]["name"] == "overscan"
    assert "Debias and flatfield one exposure." in client.get("/processes").text


def test_jobs_tell_why_they_failed(client: FlaskClient) -> None:
    failed = client.get("/jobs.json?state=failed").json
    assert failed is not None

    assert failed["counts"] == {"done": 1, "failed": 1}
    assert [j["error"] for j in failed["jobs"]] == ["all pixels of chip ccd40 are flagged"]
    assert "TaskFailed" in client.get("/jobs").text


def test_an_empty_list_of_jobs_and_processes_says_so(empty: FlaskClient) -> None:
    assert "No jobs" in empty.get("/jobs").text
    assert "catalogue is empty" in empty.get("/processes").text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("55", "/object/55"),
        ("coadd", "/table/Coadd"),
        ("Q1010-0100", "/table/Frame?q.object=Q1010-0100"),
        ("EFOSC.0.bias.fits", "/object/7"),
        ("Coadd-55.fits", "/object/55"),
        ("", "/"),
    ],
)
def test_the_search_box_goes_to_what_it_names(client: FlaskClient, text: str, place: str) -> None:
    assert client.get("/find", query_string={"q": text}).location == place


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("152.6 -1.0", {"GridTarget"}),
        ("10:10:24 -01:00:00 5'", {"GridTarget"}),
        ("10 10 24 -01 00 00", {"GridTarget"}),
        ("20 40", set()),
    ],
)
def test_a_position_finds_what_covers_it(client: FlaskClient, text: str, classes: set[str]) -> None:
    answer = client.get("/find", query_string={"q": text}, headers={"Accept": "application/json"})

    assert answer.status_code == 200
    assert classes <= {hit["class"] for hit in answer.get_json()["found"]}
    assert bool(answer.get_json()["found"]) == bool(classes)


def test_part_of_a_name_finds_what_has_it(client: FlaskClient) -> None:
    answer = client.get("/find", query_string={"q": "Q101"}, follow_redirects=True)

    assert answer.status_code == 200
    assert "With Q101 in the name" in answer.text


def test_the_start_page_describes_each_table(client: FlaskClient) -> None:
    assert ">The sum of regridded frames, with weight and flags.</td>" in client.get("/").text


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_that_runs_alone_has_an_entrance_and_leads_nowhere_else(
    world: Any, tmp_path: Path, name: str
) -> None:
    alone = create_app(Settings(home=tmp_path), world.engine, world.store, services=(name,)).test_client()
    page = alone.get("/", follow_redirects=True)

    assert page.status_code == 200
    assert page.request.path == SERVICES[name].entry
    for address in {a for a in re.findall(r'(?:href|action)="(/[^"#]*)', page.text) if "/static/" not in a}:
        assert alone.get(html.unescape(address)).status_code in (200, 302, 400, 405), address


def test_health_is_told(client: FlaskClient) -> None:
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["data_server"] == "ok"
