"""The query page: a form made from the class, unfolding to any depth; the query as address, prompt line and command."""

import html
import re
import shlex
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from awe import model
from awe.cli.find import find as find_command
from awe.model.filters import parse_filter
from awe.model.persistent import concrete_classes
from awe.model.queries import connect_queries
from awe.services.column_conditions import OPERATORS

LINES = re.compile(r"<dt>(\w+)</dt><dd><code[^>]*>(.*?)</code>", re.S)


def lines(client: FlaskClient, address: str) -> dict[str, str]:
    """Return the query that a page shows, as address, prompt line and command."""
    answer = client.get(address, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return {name: html.unescape(line) for name, line in LINES.findall(answer.text)}


def ids(client: FlaskClient, address: str) -> list[int]:
    path, _, query = address.partition("?")
    answer = client.get(f"{path}.json?{query}")
    assert answer.status_code == 200, answer.text
    return [row["object_id"] for row in answer.get_json()["rows"]]


@pytest.mark.parametrize("cls", concrete_classes(), ids=lambda c: c.__name__)
def test_each_class_has_a_form(client: FlaskClient, cls: type) -> None:
    page = client.get(f"/query/{cls.__name__}").text

    assert f"Query {cls.__name__}" in page
    assert page.count('name="q.object_id"') == 1


def test_the_form_has_every_operator_and_the_meaning_of_each_attribute(client: FlaskClient) -> None:
    page = client.get("/query/RawScienceFrame").text

    assert all(f"<option>{html.escape(o)}</option>" in page for o in OPERATORS)
    assert "exposure time; of coadds, the longest on a pixel" in page
    assert 'placeholder="2026-01-31T04:05"' in page
    assert 'placeholder="degrees, or 10:10:24"' in page


def test_links_unfold_to_any_depth_and_fold_again(client: FlaskClient) -> None:
    deep = "regridded_frames.reduced.bias.raw_biases.chip"
    page = client.get("/query/Coadd", query_string={"unfold": deep}).text

    assert f'name="q.{deep}.name"' in page
    assert 'name="q.regridded_frames.reduced.bias.read_noise"' in page  # what is above is unfolded, too
    folded = client.get(
        "/query/Coadd",
        query_string={"unfold": f"{deep},grid_target", "close": "regridded_frames.reduced"},
        follow_redirects=True,
    )
    assert folded.request.args["unfold"] == "grid_target"
    assert f'name="q.{deep}.name"' not in folded.text


def test_attributes_of_what_links_lead_to_become_conditions_and_columns(client: FlaskClient, world: Any) -> None:
    given = {
        "column": ["object_id", "raw.observation.exptime", "bias.raw_biases.object"],
        "op.raw.filter.name": "like",
        "q.raw.filter.name": "g*",
        "sort": "object_id",
        "show": "rows",
    }
    answer = client.get("/query/ReducedFrame", query_string=given)

    assert answer.status_code == 302
    row = client.get(answer.location.replace("ReducedFrame?", "ReducedFrame.json?")).get_json()["rows"][0]
    assert row == {
        "object_id": world.ids["ReducedFrame"],
        "raw.observation.exptime": 180.0,
        "bias.raw_biases.object": ["bias"] * 3,
    }


def test_the_form_keeps_the_order_of_columns(client: FlaskClient) -> None:
    chosen = {"column": ["object_id", "exptime", "raw.airmass", "background"], "order": "background,bias,object_id"}
    answer = client.get("/query/ReducedFrame", query_string=chosen, follow_redirects=True)

    assert answer.request.args["columns"] == "background,object_id,exptime,raw.airmass"
    assert set(answer.request.args) == {"columns"}


def test_the_usual_columns_are_not_stated(client: FlaskClient) -> None:
    page = client.get("/query/Coadd").text
    usual = re.search(r'name="order" value="([^"]*)"', page)
    checked = re.findall(r'name="column" value="([^"]*)" checked', page)
    assert usual is not None
    answer = client.get("/query/Coadd", query_string={"column": checked, "order": usual[1]}, follow_redirects=True)

    assert set(checked) == set(usual[1].split(","))
    assert dict(answer.request.args) == {}


@pytest.mark.parametrize(
    ("near", "within", "count"),
    [
        ("152.6 -1.0", "5 arcmin", 1),
        ("10:10:24 -01:00:00", "5'", 1),
        ("152.6 -1.0", "0.1 x 0.1", 1),
        ("152.6 -1.0", "10 arcmin x 5 arcmin", 1),
        ("20 40", "1", 0),
        ("20 40", "1 x 1", 0),
    ],
)
def test_a_position_selects_what_lies_around_it(client: FlaskClient, near: str, within: str, count: int) -> None:
    found = client.get("/query/GridTarget", query_string={"near": near, "within": within, "show": "rows"})

    assert found.status_code == 302
    assert len(ids(client, found.location)) == count


QUERIES = [
    "RawFrame?q.exptime=>100&sort=exptime",
    'RawFrame?where=object like "Q*" or exptime = 0&sort=-exptime',
    "RawFrame?q.filter.name=g*&q.object_id=7:12&sort=-observation.exptime",
    "ReducedFrame?where=raw.observation.exptime between 100 and 200&columns=object_id,raw.filter.name",
    "RawFrame?q.airmass=is null&q.night=2026-01-27",
    'RawFrame?where=object = "it\'s"',
    "Coadd?where=cone(152.6, -1.0, 0.5)",
    "Coadd",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_prompt_line_gives_the_same_rows(client: FlaskClient, world: Any, query: str) -> None:
    line = lines(client, f"/query/{query}")["Prompt"]
    names = {name: getattr(model, name) for name in model.__all__} | {"find": parse_filter}

    with Session(world.engine) as session:
        connect_queries(lambda: session)
        try:
            found = [thing.object_id for thing in eval(line, names)]
        finally:
            connect_queries(None)
    assert found == ids(client, f"/table/{query}")


@pytest.mark.parametrize("query", QUERIES)
def test_the_command_gives_the_same_rows(client: FlaskClient, query: str) -> None:
    """The words are those that `awe find` takes, and its filter is that of the page."""
    words = shlex.split(lines(client, f"/query/{query}")["Command"])
    taken = find_command.make_context("find", [*words[2:]], resilient_parsing=True).params

    assert words[:2] == ["awe", "find"]
    assert taken["limit"] == 0
    page = client.get(f"/table/{taken['name']}.json", query_string={"where": taken["condition"] or ""}).get_json()
    assert {r["object_id"] for r in page["rows"]} == set(ids(client, f"/table/{query}"))
    assert taken["order_by"]


def test_the_address_is_whole_and_leads_to_the_table(client: FlaskClient) -> None:
    assert (
        lines(client, "/query/Coadd?where=exptime > 1")["Address"] == "http://localhost/table/Coadd?where=exptime+%3E+1"
    )


def test_the_query_page_and_the_table_lead_to_each_other(client: FlaskClient) -> None:
    table = client.get("/table/Coadd?q.exptime=>1&sort=exptime").text
    form = client.get("/query/Coadd?q.exptime=>1&sort=exptime").text

    assert 'href="/query/Coadd?q.exptime=%3E1&amp;sort=exptime"' in table
    assert 'href="/table/Coadd?q.exptime=%3E1&amp;sort=exptime"' in form
    assert "<option selected>&gt;</option>" in form
