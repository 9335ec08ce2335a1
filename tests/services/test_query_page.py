"""The query page: a form made from the class, unfolding to any depth; the query as address, prompt line and command."""

import html
import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from awe import prompt
from awe.cli import run
from awe.config import Settings
from awe.model.persistent import concrete_classes, persistent_class
from awe.services.app import create_app
from awe.services.column_conditions import OPERATORS
from awe.services.columns import names_of

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
    "Coadd?columns=seeing,object_id,date_obs,filter,regridded_frames,grid_target.name,regridded_frames.reduced.exptime",
    "RawFrame?columns=object,exptime,object_id&sort=-exptime&q.exptime=>1",
    "SourceList?columns=object_id,frame,frame.filter.name,n_sources",
    "SourceList?columns=object_id,frame.Coadd.total_exptime,frame.Coadd.regridded_frames.seeing&sort=frame.Coadd.n_frames",
    "SourceList?where=frame.Coadd.grid_target.name is not null&sort=-frame.Coadd.n_frames",
]
LISTS = [
    ("SourceList", ""),
    ("SourceList", "q.MAG_AUTO=<18.5&sort=-MAG_AUTO"),
    ("SourceList", "q.SID=1:6,20&columns=SID,RA,source_list.frame.filter.name,source_list.name,source_list.frame"),
    ("SourceList", 'where=SID < 5 and source_list.frame.filter.name = "g%23782"&columns=SID,DEC'),
    ("SourceList", "columns=SID,source_list.job.state&q.SID=0"),
    ("AssociateList", "columns=AID,SID,source.MAG_AUTO,source.source_list.frame.object,associate_list.source_lists"),
    ("AssociateList", "q.source.MAG_AUTO=>18.01"),
    (
        "SourceList",
        "columns=SID,source_list.frame.Coadd.n_frames,source_list.frame.Coadd.regridded_frames.reduced.raw.object&q.SID=0:2",
    ),
    ("SourceList", "where=source_list.frame.Coadd.regridded_frames.reduced.raw.exptime > 1 and SID < 3&columns=SID"),
    ("SourceList", "where=source_list.frame.RegriddedFrame.object_id > 0&columns=SID"),
]


def asked(world: Any) -> Iterator[tuple[str, str]]:
    """Return the addresses of query page and table of each query."""
    for text in QUERIES:
        yield f"/query/{text}", f"/table/{text}"
    for name, text in LISTS:
        yield f"/object/{world.ids[name]}/query?{text}", f"/object/{world.ids[name]}/sources?{text}"


def whole(client: FlaskClient, address: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names and rows of the whole table of an address."""
    path, _, query = address.partition("?")
    answer = client.get(f"{path}.json?{query}")
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    return [c["name"] for c in told["columns"]], [tuple(map(named, row.values())) for row in told["rows"]]


def named(value: Any) -> Any:
    """Return a cell of a JSON table with objects as files name them: by name, or number where there is none."""
    if isinstance(value, list):
        return [named(v) for v in value]
    if not isinstance(value, dict):
        return value
    has_name = "name" in names_of(persistent_class(value["class"]))
    return value["label"].removeprefix(f"{value['class']} {value['object_id']} ") if has_name else value["object_id"]


def test_the_three_lines_of_a_query_give_the_same_table(
    world: Any, engine: Engine, make_tables: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is executed as it stands: the address is fetched, the prompt line evaluated, the command run."""
    make_tables(engine)  # commands look at the version of the schema
    database = engine.url.render_as_string(hide_password=False)
    client = create_app(Settings(home=tmp_path), engine, world.store).test_client()
    prompt.connect(home=tmp_path, database=database)
    names = {name: getattr(prompt, name) for name in prompt.__all__}
    tables = 0
    for page, table in asked(world):
        said = lines(client, page)
        address = said["Address"].removeprefix("http://localhost")
        assert whole(client, address) == whole(client, table), page
        columns, rows = whole(client, address)
        assert said["Command"].startswith("awe find ")
        assert run(["--database", database, *shlex.split(said["Command"])[1:], "--json"]) == 0, page
        told = json.loads(capsys.readouterr().out)
        assert [tuple(o.values()) for o in told["objects"]] == rows, page
        assert told["total"] == len(rows), page
        found = eval(said["Prompt"], names)
        if said["Prompt"].startswith("table("):
            tables += 1
            assert found.colnames == [*told["objects"][0]] if rows else columns, page
            assert [tuple(as_json(v) for v in row) for row in found] == rows, page
        else:
            assert [thing.object_id for thing in found] == [row[columns.index("object_id")] for row in rows], page
    prompt.context.session.close()
    assert tables == len(LISTS) + 5


def as_json(value: Any) -> Any:
    """Return a cell of an astropy table as JSON has it."""
    if value is np.ma.masked:
        return None
    value = value.tolist() if isinstance(value, np.generic) else value
    return value.isoformat() if isinstance(value, datetime) else value


def test_sources_unfold_into_their_list_and_all_that_it_depends_on(client: FlaskClient, world: Any) -> None:
    number = world.ids["SourceList"]
    page = client.get(f"/object/{number}/query", query_string={"unfold": "source_list.frame.filter"}).text

    assert 'name="q.MAG_AUTO"' in page
    assert 'name="q.source_list.n_sources"' in page
    assert 'name="q.source_list.frame.filter.name"' in page
    assert f"sources of SourceList {number}" in page
    sent = {
        "column": ["SID", "RA", "source_list.frame.filter.name"],
        "q.source_list.frame.filter.name": "g*",
        "q.MAG_AUTO": "18.09",
        "op.MAG_AUTO": "<",
        "show": "rows",
    }
    answer = client.get(f"/object/{number}/query", query_string=sent)
    assert answer.status_code == 302
    columns, rows = whole(client, answer.location)
    assert columns == ["SID", "RA", "source_list.frame.filter.name"]
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert {row[2] for row in rows} == {"g#782"}
    assert len(rows) == 5  # magnitudes grow by 0.02 from 18 on


def test_what_only_some_of_the_linked_objects_are_unfolds_too(client: FlaskClient, world: Any) -> None:
    """The frame of a list is a Coadd, or a reduced frame, and each was made from other things."""
    deep = "source_list.frame.Coadd.regridded_frames.reduced"
    page = client.get(f"/object/{world.ids['SourceList']}/query", query_string={"unfold": deep}).text
    assert f'name="q.{deep}.background"' in page
    assert 'name="q.source_list.frame.Coadd.n_frames"' in page
    assert 'name="open" value="source_list.frame.RegriddedFrame"' in page

    for wrong in ("frame.Coadd.n_frames", "frame.Chip", "Coadd", "frame.coadd"):
        assert client.get("/query/SourceList", query_string={"unfold": wrong}).status_code == 400, wrong
    kind = client.get("/table/SourceList.json", query_string={"where": "frame.Coadd is not null"})
    assert "Coadd is a kind: compare an attribute, such as .object_id" in kind.get_json()["error"]
    assert client.get("/table/SourceList", query_string={"columns": "frame.Coadd"}).status_code == 400
    made = client.get("/table/SourceList.json", query_string={"where": "frame.Coadd.n_frames > 0"}).get_json()
    none = client.get("/table/SourceList.json", query_string={"where": "frame.ReducedFrame.object_id > 0"}).get_json()
    assert (len(made["rows"]), len(none["rows"])) == (1, 0)


def test_only_lists_have_rows_to_query(client: FlaskClient, world: Any) -> None:
    assert client.get(f"/object/{world.ids['Coadd']}/query").status_code == 404
    assert client.get("/object/999999/query").status_code == 404
    wrong = client.get(f"/object/{world.ids['SourceList']}/query?q.MAGG_AUTO=1", headers={"Accept": "text/html"})
    assert (wrong.status_code, "MAG_AUTO" in wrong.text) == (400, True)


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
