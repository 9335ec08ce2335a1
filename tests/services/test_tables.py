"""Tables of classes: chosen, sorted, paged, linked."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from awe import model
from awe.model import concrete_classes
from awe.services.counting import Count, estimated_rows
from awe.services.row_links import register_link
from awe.services.table_request import parse_request


def rows(client: FlaskClient, address: str) -> list[dict[str, Any]]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["rows"]  # type: ignore[index]
    return found


@pytest.mark.parametrize("cls", concrete_classes(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("suffix", ["", ".json"])
def test_each_class_has_a_table(client: FlaskClient, cls: type, suffix: str) -> None:
    assert client.get(f"/table/{cls.__name__}{suffix}").status_code == 200


def test_a_table_of_a_class_holds_its_special_classes_too(client: FlaskClient) -> None:
    assert len(rows(client, "/table/RawFrame.json")) == 9
    assert len(rows(client, "/table/RawBiasFrame.json")) == 3
    assert client.get("/table/RawBiasFrame.json").json["total"] == 3  # type: ignore[index]


def test_a_condition_follows_links(client: FlaskClient) -> None:
    found = rows(client, '/table/RawFrame.json?where=exptime > 100 and filter.name == "g%23782"')

    assert [r["exptime"] for r in found] == [180.0] * 3


@pytest.mark.parametrize(
    ("box", "count"),
    [
        ("exptime=>100", 3),
        ("exptime=4..6", 3),
        ("exptime=!=0", 6),
        ("exptime=180", 3),
        ("object=Q1010*", 3),
        ("object=q?", 0),
        ("object=bias", 3),
        ("filter=g*", 6),
        ("filter=g%23782", 6),
        ("chip=3", 9),
        ("night=2026-01-27", 9),
        ("date_obs=<2026-01-28T04:55", 3),
        ("object_id=7", 1),
        ("object_id=7..9", 2),
        ("object=100%25", 0),
        ("object=%25", 0),
        ("object=like M*", 0),
        ("object=not like Q*", 6),
        ("object=in bias, twilight", 6),
        ("object===Q1010*", 0),
        ("exptime=between 4 and 6", 3),
        ("exptime=not between 4 and 6", 6),
        ("airmass=is null", 6),
        ("airmass=is not null", 3),
        ("object_id=7:9,11", 3),
        ("object_id=not in 7:9", 7),
        ("filter.name=g*", 6),
        ("chip.instrument.telescope.name=NTT", 9),
        ("observation.exptime=>100", 3),
    ],
)
def test_the_box_above_a_column_chooses(client: FlaskClient, box: str, count: int) -> None:
    assert len(rows(client, f"/table/RawFrame.json?q.{box}")) == count


def test_conditions_of_several_boxes_hold_together(client: FlaskClient) -> None:
    assert len(rows(client, "/table/RawFrame.json?q.object=Q1010*&q.exptime=>100&q.filter=")) == 3
    assert rows(client, "/table/RawFrame.json?q.object=Q1010*&q.exptime=<100") == []


def test_a_table_is_sorted_both_ways(client: FlaskClient) -> None:
    up = [r["exptime"] for r in rows(client, "/table/RawFrame.json?sort=exptime")]
    down = [r["exptime"] for r in rows(client, "/table/RawFrame.json?sort=-exptime")]

    assert up == sorted(up)
    assert down == up[::-1]


def test_what_has_no_value_comes_last(client: FlaskClient) -> None:
    assert [r["airmass"] for r in rows(client, "/table/RawFrame.json?sort=airmass")][-6:] == [None] * 6


def test_pages_join_to_the_whole(client: FlaskClient) -> None:
    whole = rows(client, "/table/RawFrame.json?sort=exptime")
    pages, address = [], "/table/RawFrame.json?size=4&sort=exptime"
    while address:
        answer = client.get(address).get_json()
        pages.append(answer["rows"])
        address = answer["next"]

    assert [len(p) for p in pages] == [4, 4, 1]
    assert sum(pages, []) == whole


def test_columns_are_chosen_and_carry_unit_and_meaning(client: FlaskClient) -> None:
    answer = client.get("/table/ReducedFrame.json?columns=background,param_overscan,bias").json
    assert answer is not None

    assert [(c["name"], c["unit"]) for c in answer["columns"]] == [
        ("background", "adu"),
        ("param_overscan", ""),
        ("bias", ""),
    ]
    assert answer["rows"][0]["param_overscan"] == "per_row"
    assert answer["rows"][0]["bias"]["class"] == "BiasFrame"
    page = client.get("/table/ReducedFrame?column=background&column=bias", follow_redirects=True).text
    assert 'title="median sky level (adu)"' in page


def test_links_lead_to_what_they_name(client: FlaskClient, world: Any) -> None:
    page = client.get("/table/ReducedFrame").text

    assert f'href="/object/{world.ids["chip"]}" title="Chip {world.ids["chip"]} ccd40">ccd40</a>' in page
    assert f'href="/object/{world.ids["ReducedFrame"]}"' in page
    assert f'src="/imageview/{world.ids["ReducedFrame"]}.png?fit=160"' in page


def test_the_number_of_statements_does_not_grow_with_the_table(client: FlaskClient, statements: Any) -> None:
    with statements() as few:
        client.get("/table/Frame?size=20&facets=1")
    with statements() as many:
        client.get("/table/Frame?size=1000&facets=1")

    assert len(many) <= len(few) + 2 <= 70


def test_the_name_of_a_class_is_found_in_any_case(client: FlaskClient) -> None:
    answer = client.get("/table/reducedframe?sort=night")

    assert (answer.status_code, answer.location) == (302, "/table/ReducedFrame?sort=night")


def test_a_program_gets_json_from_the_same_address(client: FlaskClient) -> None:
    answer = client.get("/table/Coadd", headers={"Accept": "application/json"})

    assert answer.json is not None
    assert answer.json["total"] == 1
    assert "Accept" in answer.headers["Vary"]


def test_a_table_without_rows_says_so(empty: FlaskClient) -> None:
    assert "there is no Coadd yet" in empty.get("/table/Coadd").text


def test_the_total_and_the_project_are_told(client: FlaskClient) -> None:
    page = client.get("/table/RawFrame").text

    assert "Total number of rows selected: <b>9</b>, project: <b>ALL</b>" in page
    assert "Nothing is selected, project: <b>nobody</b>" in client.get("/table/RawFrame?project=nobody").text


def test_columns_are_moved_by_links(client: FlaskClient) -> None:
    page = client.get("/table/RawFrame?columns=object_id,exptime,object").text

    assert (
        'href="/table/RawFrame?columns=exptime%2Cobject_id%2Cobject" aria-label="exptime: one place to the left"'
        in page
    )
    assert (
        'href="/table/RawFrame?columns=object_id%2Cobject%2Cexptime" aria-label="exptime: one place to the right"'
        in page
    )
    assert "object_id: one place to the left" not in page


def test_facets_count_what_there_is_and_narrow_it(client: FlaskClient) -> None:
    page = client.get("/table/RawFrame?facets=1&columns=object_id").text

    assert re.search(r'<a href="[^"]*q\.object=%3D%3D\+bias[^"]*">bias</a> <span class="dim">3</span>', page)
    assert len(rows(client, "/table/RawFrame.json?q.object=%3D%3D+bias")) == 3


def test_a_number_of_rows_says_whether_it_is_an_estimate(client: FlaskClient) -> None:
    few = Count(12, "least")

    assert (Count(12345).words, few.words, Count(20000, "estimate").words) == ("12,345", "more than 12", "about 20,000")
    assert not few.is_exact
    assert client.get("/table/RawFrame.json?where=exptime >= 0&count=exact&size=1").get_json()["total_is"] == "exact"


def test_only_postgresql_estimates(world: Any, databases: Any) -> None:
    with Session(world.engine) as session:
        found = estimated_rows(session, parse_request(model.RawFrame, {"where": "exptime >= 0"}))

    assert (found is None) == (databases.kind == "sqlite")
    assert found is None or found >= 1


def test_rows_have_the_links_of_their_class(client: FlaskClient, world: Any) -> None:
    page = client.get("/table/Coadd").text
    listed = client.get("/table/SourceList").text

    for place in (f"/imageview/{world.ids['Coadd']}", f"/object/{world.ids['Coadd']}/aladin.ajs"):
        assert f'href="{place}"' in page
    for place in (f"/object/{world.ids['SourceList']}/sources", f"/cutouts/sources/{world.ids['SourceList']}"):
        assert f'href="{place}"' in listed


def test_a_class_registers_links_of_its_own(client: FlaskClient, world: Any) -> None:
    register_link(model.GridTarget, "model", "/models/{object_id}", "galaxy models fitted there")
    page = client.get("/table/GridTarget").text

    assert f'<a href="/models/{world.ids["grid"]}" title="galaxy models fitted there">model</a>' in page
    assert "/models/" not in client.get("/table/Coadd").text


def test_aladin_gets_the_image_and_the_sources(client: FlaskClient, world: Any) -> None:
    script = client.get(f"/object/{world.ids['SourceList']}/aladin.ajs").text

    assert f"load http://localhost/object/{world.ids['Coadd']}/file" in script
    assert f"load http://localhost/object/{world.ids['SourceList']}/sources.vot" in script
    assert client.get(f"/object/{world.ids['chip']}/aladin.ajs").status_code == 404
    assert client.get(f"/object/{world.ids['Coadd']}/aladin.ajs?x=1").status_code == 400


@pytest.mark.parametrize("sort", ["", "exptime", "-airmass", "filter", "-object", "night", "observation.exptime"])
def test_pages_before_and_after_are_the_same(client: FlaskClient, sort: str) -> None:
    """Read forwards and backwards, also where values are equal or missing."""
    whole = [r["object_id"] for r in rows(client, f"/table/RawFrame.json?columns=object_id&sort={sort}")]
    forth: list[int] = []
    address: str | None = f"/table/RawFrame.json?columns=object_id&size=2&sort={sort}"
    while address:
        page = client.get(address).get_json()
        forth += [r["object_id"] for r in page["rows"]]
        address = page["next"]
    back: list[int] = []
    address = f"/table/RawFrame.json?columns=object_id&size=2&sort={sort}&before=end"
    while address:
        page = client.get(address).get_json()
        back = [r["object_id"] for r in page["rows"]] + back
        address = page["previous"]

    assert forth == whole
    assert back == whole


def test_a_page_of_a_wrong_address_can_be_corrected_there(client: FlaskClient) -> None:
    page = client.get("/table/Coadd?where=zeropont > 3&sort=exptime").text

    assert '<input name="where" value="zeropont &gt; 3"' in page
    assert '<input name="sort" value="exptime"' in page
