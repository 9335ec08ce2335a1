"""Tables as files: every format holds the same rows, all of them, with unit and meaning of each column."""

import csv
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from flask.testing import FlaskClient

from awe.services import export_fits
from awe.services.streaming import MOST, _free

COLUMNS = "object_id,exptime,airmass,object,date_obs,night,filter,chip.instrument.name,external"
TABLE = f"RawFrame{{}}?columns={COLUMNS}&sort=exptime"


def whole(client: FlaskClient, form: str, address: str = f"/table/{TABLE}") -> bytes:
    answer = client.get(address.format(f".{form}"))
    assert answer.status_code == 200, answer.text
    return answer.data


def expected(client: FlaskClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(whole(client, "json"))["rows"]
    return found


def test_json_holds_all_rows_and_their_number(client: FlaskClient) -> None:
    found = json.loads(whole(client, "json"))

    assert (found["total"], len(found["rows"])) == (9, 9)
    assert found["columns"][1] == {
        "name": "exptime",
        "unit": "s",
        "ucd": found["columns"][1]["ucd"],
        "doc": "exposure time; of coadds, the longest on a pixel",
        "kind": "number",
    }
    assert [r["exptime"] for r in found["rows"]] == sorted(r["exptime"] for r in found["rows"])


def test_csv_reads_back_as_it_was(client: FlaskClient) -> None:
    rows = list(csv.DictReader(io.StringIO(whole(client, "csv").decode())))

    assert [int(r["object_id"]) for r in rows] == [r["object_id"] for r in expected(client)]
    assert [float(r["exptime"]) for r in rows] == [r["exptime"] for r in expected(client)]
    assert [r["airmass"] for r in rows] == [
        "" if r["airmass"] is None else repr(r["airmass"]) for r in expected(client)
    ]
    assert {r["chip.instrument.name"] for r in rows} == {"EFOSC2"}
    assert rows[-1]["filter"] == "g#782"


def test_votable_reads_back_with_units_and_meaning(client: FlaskClient) -> None:
    table = parse(io.BytesIO(whole(client, "vot"))).get_first_table()

    assert table.nrows == 9
    assert [f.name for f in table.fields] == COLUMNS.split(",")
    assert str(table.fields[1].unit) == "s"
    assert "exposure time" in table.fields[1].description
    assert list(table.array["object_id"]) == [r["object_id"] for r in expected(client)]
    assert [None if m else v for v, m in zip(table.array["airmass"], table.array.mask["airmass"], strict=True)] == [
        r["airmass"] for r in expected(client)
    ]


def test_fits_reads_back_with_units_and_nulls(client: FlaskClient) -> None:
    with fits.open(io.BytesIO(whole(client, "fits")), checksum=True) as opened:
        opened.verify("exception")
        rows, header = opened[1].data, opened[1].header

        assert len(rows) == 9
        assert header["TUNIT2"] == "s"
        assert [int(v) for v in rows["object_id"]] == [r["object_id"] for r in expected(client)]
        assert np.isnan(rows["airmass"]).tolist() == [r["airmass"] is None for r in expected(client)]
        assert list(rows["object"]) == [r["object"] for r in expected(client)]


def test_html_is_one_page_with_all_rows(client: FlaskClient, world: Any) -> None:
    page = whole(client, "html").decode()
    rows = re.findall(r'<tr><td class="number"><a href="/object/(\d+)">', page)
    address = f"/object/{world.ids['SourceList']}/sources.html"
    sources = client.get(address)

    assert [int(number) for number in rows] == [r["object_id"] for r in expected(client)]
    assert page.count("</html>") == 1
    assert "Total number of rows selected: <b>9</b>" in page
    assert (sources.is_streamed, sources.mimetype) == (True, "text/html")
    assert "Content-Disposition" not in sources.headers
    assert sources.text.count("<tr>") == 251
    assert f'href="{address.removesuffix(".html")}"' in sources.text


@pytest.mark.parametrize("form", ["json", "csv", "vot", "fits"])
def test_a_selection_without_rows_is_a_file_without_rows(client: FlaskClient, form: str) -> None:
    data = whole(client, form, "/table/Coadd{}?where=object_id<0")

    rows = {
        "json": lambda: len(json.loads(data)["rows"]),
        "csv": lambda: len(data.decode().splitlines()) - 1,
        "vot": lambda: parse(io.BytesIO(data)).get_first_table().nrows,
        "fits": lambda: fits.getheader(io.BytesIO(data), 1)["NAXIS2"],
    }[form]()
    assert rows == 0


@pytest.mark.parametrize("form", ["csv", "vot", "fits"])
def test_the_rows_of_a_list_are_a_file_too(client: FlaskClient, world: Any, form: str) -> None:
    data = whole(client, form, f"/object/{world.ids['SourceList']}/sources{{}}?where=SID in '0:9'")

    sids = {
        "csv": lambda: [int(r["SID"]) for r in csv.DictReader(io.StringIO(data.decode()))],
        "vot": lambda: list(parse(io.BytesIO(data)).get_first_table().array["SID"]),
        "fits": lambda: list(fits.getdata(io.BytesIO(data), 1)["SID"]),
    }[form]()
    assert sids == list(range(10))


def test_a_file_is_written_while_rows_are_read(client: FlaskClient, world: Any) -> None:
    answer = client.get(f"/object/{world.ids['SourceList']}/sources.csv")

    assert answer.is_streamed
    assert answer.content_length is None
    assert len(answer.data.splitlines()) == 251


def test_characters_that_fits_can_not_hold_are_written_out() -> None:
    assert export_fits._ascii("α Cen") == rb"\u03b1 Cen"


def test_too_many_files_at_a_time_are_refused(client: FlaskClient) -> None:
    for _ in range(MOST):
        assert _free.acquire(blocking=False)
    try:
        answer = client.get("/table/Coadd.csv", headers={"Accept": "application/json"})
    finally:
        for _ in range(MOST):
            _free.release()

    assert answer.status_code == 503
    assert answer.json is not None
    assert "try again" in answer.json["error"]
    assert client.get("/table/Coadd.csv").status_code == 200


def test_the_name_of_the_file_is_that_of_the_class(client: FlaskClient) -> None:
    answer = client.get("/table/Coadd.fits")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="Coadd.fits"'
    assert answer.mimetype == "application/fits"
