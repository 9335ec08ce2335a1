"""Series of cutouts: of lists, associates and sent positions; directory, archive and manifest; in bounds."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import from_table, writeto
from astropy.table import Table
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.access import issue_token
from awe.model.persistent import Persistent, Privileges, utc_now
from awe.model.rendering import PositionList, Rendering
from awe.services.cutout_archive import parse_chosen
from awe.services.parts import parts
from awe.services.position_lists import KEPT, MOST, keep_positions, read_positions
from awe.services.ranges import numbers, parse_ranges, ranges_text
from awe.services.zip_stream import zip_stream

JSON = {"Accept": "application/json"}


def archive(client: FlaskClient, address: str) -> zipfile.ZipFile:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    found = zipfile.ZipFile(io.BytesIO(answer.data))
    assert found.testzip() is None
    return found


def light(image: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((image * x).sum() / image.sum()), float((image * y).sum() / image.sum())


# -- the page


def test_each_source_of_a_list_is_in_the_middle_of_its_cutout(cut_client: FlaskClient, cut_world: Any) -> None:
    found = cut_client.get(f"/cutouts/sources/{cut_world.ids['slid']}.json?size=15").json

    assert (found["total"], len(found["cutouts"])) == (25, 25)
    for star, one in enumerate(found["cutouts"]):
        assert one["sid"] == star
        assert (one["x"] - 1, one["y"] - 1) == pytest.approx(cut_world.stars[star][2:], abs=1e-3)
        with fits.open(io.BytesIO(cut_client.get(one["fits"]).data)) as hdus:
            assert light(hdus[0].data) == (pytest.approx(7, abs=0.55), pytest.approx(7, abs=0.55))
        picture = Image.open(io.BytesIO(cut_client.get(one["picture"]).data))
        assert picture.size == (150, 150)  # magnified by a whole number


def test_sources_are_chosen_by_ranges(cut_client: FlaskClient, cut_world: Any) -> None:
    found = cut_client.get(f"/cutouts/sources/{cut_world.ids['slid']}.json?sids=1:3,20,23:99").json

    assert [c["sid"] for c in found["cutouts"]] == [1, 2, 3, 20, 23, 24]
    assert found["address"] == f"/cutouts/sources/{cut_world.ids['slid']}?sids=1%3A3%2C20%2C23%3A99"


def test_members_of_associates_are_cut_each_from_its_own_frame(cut_client: FlaskClient, cut_world: Any) -> None:
    found = cut_client.get(f"/cutouts/associates/{cut_world.ids['alid']}.json?aids=6,12").json

    assert found["total"] == 6
    assert [(c["aid"], c["object_id"]) for c in found["cutouts"]] == [
        (aid, frame) for aid in (6, 12) for frame in cut_world.regridded
    ]


def test_the_page_has_a_picture_its_enlargement_and_a_label_for_each_source(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    page = cut_client.get(f"/cutouts/sources/{cut_world.ids['slid']}?sids=12&size=20").text
    ra, dec, x, y = cut_world.stars[12]
    label = f"SLID={cut_world.ids['slid']} SID=12 RA={ra:.5f} DEC={dec:.5f} X={x + 1:.1f} Y={y + 1:.1f}"

    assert f'data-magnify="{label}"' in page
    small, large = (
        re.search(p, page)[1].replace("&amp;", "&") for p in (r'<img src="([^"]*)', r'class="cut" href="([^"]*)')
    )  # type: ignore[index]
    sizes = [Image.open(io.BytesIO(cut_client.get(a).data)).size[0] for a in (small, large)]
    assert sizes == [160, 320]
    assert "<script>" not in page


def test_pages_of_a_series_follow_each_other(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/sources/{cut_world.ids['slid']}.json?rows=10&page="
    found = [cut_client.get(address + str(n)).json for n in (1, 2, 3, 4)]

    assert [[c["sid"] for c in f["cutouts"]] for f in found] == [
        list(range(10)), list(range(10, 20)), list(range(20, 25)), []
    ]  # fmt: skip
    assert {f["pages"] for f in found} == {3}


def test_the_number_of_statements_grows_neither_with_sources_nor_with_frames(
    cut_client: FlaskClient, cut_world: Any, sent: list[str]
) -> None:
    alid, counts = cut_world.ids["alid"], []
    for query in ("aids=12", "aids=0:24"):
        cut_client.get(f"/cutouts/associates/{alid}?{query}&size=13")  # enters the run
        sent.clear()
        assert cut_client.get(f"/cutouts/associates/{alid}?{query}&size=13").status_code == 200
        counts.append(len(sent))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("sources/{slid}?sids=5:1", 400, "sids: a range goes from the smaller to the larger number"),
        ("sources/{slid}?sids=-3", 400, "sids: -3 is negative"),
        ("sources/{slid}?sids=1:1000000000", 400, "sids: 1,000,000,000 numbers, the limit is 100,000"),
        ("sources/{slid}?sids=1:10^9", 400, "sids: ranges are whole numbers"),
        ("sources/{slid}?sids=1,,2", 400, "sids: ranges are whole numbers"),
        ("sources/{slid}?sids=<script>", 400, "sids: ranges are whole numbers"),
        ("sources/{slid}?sids=1 or 1=1", 400, "sids: ranges are whole numbers"),
        ("sources/{slid}?aids=1", 400, "no parameter 'aids'"),
        ("sources/{slid}?page=0", 400, "page must be"),
        ("sources/{slid}?rows=501", 400, "rows must be a whole number from 1 to 500"),
        ("sources/{slid}?size=huge", 400, "size must be"),
        ("sources/999999", 404, "no SourceList 999999"),
        ("sources/{coadd}", 404, "no SourceList {coadd}: it is a Coadd"),
        ("sources/x", 400, "the number of a list is a whole number"),
        ("associates/{slid}", 404, "it is a SourceList"),
        ("associates/{alid}?aids=3:", 400, "aids: ranges are whole numbers"),
        ("positions/" + 32 * "0", 404, "no list of positions"),
        ("positions/" + 32 * "0" + "?frame=1&cls=Coadd", 400, "either from one frame"),
        ("positions/" + 32 * "0" + "?cls=Job", 400, "cls must be"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    cut_client: FlaskClient, cut_world: Any, address: str, status: int, said: str
) -> None:
    if address.startswith("positions") and "?" not in address:
        address += "?cls=Coadd"
    answer = cut_client.get("/cutouts/" + address.format(**cut_world.ids), headers=JSON)

    assert answer.status_code == status
    assert said.format(**cut_world.ids) in answer.json["error"]


# -- directory, archive, manifest


def test_a_run_is_entered_once_and_has_a_directory_with_the_filters_of_the_original(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    address = f"/cutouts/sources/{cut_world.ids['slid']}?sids=0:2&size=11"
    for _ in range(2):
        page = cut_client.get(address).text
    number = re.search(r"/cutouts/directory/(\d+)", page)[1]  # type: ignore[index]
    runs = [r for r in cut_client.get("/cutouts/runs.json").json if "size=11" in r["address"]]
    assert [str(r["run"]) for r in runs] == [number]

    names = {}
    for show in ("png", "jpg", "fits", "all", "zip"):
        files = cut_client.get(f"/cutouts/directory/{number}.json?show={show}").json["files"]
        names[show] = [f["file"] for f in files]
        assert all(cut_client.get(f["address"]).status_code == 200 for f in files)
    stem = f"Sci-Coadd-{cut_world.ids['coadd']}.SLID{cut_world.ids['slid']}.SID"
    assert names["png"] == [f"{stem}{i}.png" for i in range(3)]
    assert names["fits"] == [f"{stem}{i}.fits" for i in range(3)]
    assert sorted(names["all"]) == sorted(names["png"] + names["jpg"] + names["fits"])
    assert names["zip"] == []
    marked = {
        s: cut_client.get(f"/cutouts/directory/{number}?show={s}").text.count(" checked") for s in ("png", "clear")
    }
    assert marked == {"png": 3, "clear": 0}
    page = cut_client.get(f"/cutouts/directory/{number}").text
    assert all(f">{name}</a>" in page for name in ("*.png", "*.jpg", "*.zip", "*.fits", "*.* : all", "clear"))


def test_an_archive_has_every_cutout_and_the_manifest(cut_client: FlaskClient, cut_world: Any) -> None:
    found = archive(cut_client, f"/cutouts/sources/{cut_world.ids['slid']}.zip?form=png,fits&size=15")

    manifest = json.loads(found.read("manifest.json"))
    rows = list(csv.DictReader(io.StringIO(found.read("manifest.csv").decode())))
    assert sorted(found.namelist()) == sorted([*(r["file"] for r in rows), "manifest.csv", "manifest.json"])
    assert len(rows) == len(manifest["files"]) == 50
    for row in manifest["files"]:
        if row["file"].endswith(".fits"):
            with fits.open(io.BytesIO(found.read(row["file"]))) as hdus:
                assert light(hdus[0].data) == (pytest.approx(7, abs=0.55), pytest.approx(7, abs=0.55))
                assert hdus[0].header["SID"] == row["sid"]
                assert hdus[0].header["SRC_RA"] == pytest.approx(cut_world.stars[row["sid"]][0])
    assert (manifest["parameters"]["size"], rows[0]["size"]) == ("15", "15")


def test_an_archive_is_the_same_as_the_single_cutouts(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/cutouts/sources/{cut_world.ids['slid']}"
    found = archive(cut_client, f"{address}.zip?sids=3:6&size=30&mark=both&north=1")
    singles = cut_client.get(f"{address}.json?sids=3:6&size=30&mark=both&north=1").json["cutouts"]

    for one in singles:
        single = np.asarray(Image.open(io.BytesIO(cut_client.get(one["picture"]).data)))
        zipped = found.read(f"Sci-Coadd-{cut_world.ids['coadd']}.SLID{one['slid']}.SID{one['sid']}.png")
        together = np.asarray(Image.open(io.BytesIO(zipped)))
        assert single.shape[0] // together.shape[0] == 5  # the page magnifies
        assert together.shape[2] == 3  # marked in colour


def test_only_the_chosen_files_are_in_an_archive(cut_client: FlaskClient, cut_world: Any) -> None:
    cut_client.get(f"/cutouts/sources/{cut_world.ids['slid']}?sids=5:9&size=12")
    number = max(r["run"] for r in cut_client.get("/cutouts/runs.json").json if "size=12" in r["address"])
    found = archive(cut_client, f"/cutouts/directory/{number}.zip?file=0.png&file=3.fits&file=77.png")

    stem = f"Sci-Coadd-{cut_world.ids['coadd']}.SLID{cut_world.ids['slid']}.SID"
    assert sorted(found.namelist()) == sorted([f"{stem}5.png", f"{stem}8.fits", "manifest.csv", "manifest.json"])
    assert len(json.loads(found.read("manifest.json"))["files"]) == 2


def test_the_manifest_says_what_could_not_be_cut(cut_client: FlaskClient, cut_world: Any) -> None:
    key = positions(cut_client, b"ra,dec,name\n150,2,there\n10,80,far\n", frame=cut_world.ids["coadd"])
    rows = cut_client.get(key.replace("?", "/manifest.json?")).json["files"]

    assert [(r["name"], r["reason"]) for r in rows] == [("there", ""), ("far", "outside the image")]
    assert rows[1]["file"] == ""
    found = archive(cut_client, key.replace("?", ".zip?"))
    assert len(found.namelist()) == 3


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("directory/999999", 404, "no run 999999"),
        ("directory/{run}.zip?file=../../etc/passwd", 400, "file must be like 17.png"),
        ("directory/{run}.zip?file=1.py", 400, "file must be like 17.png"),
        ("directory/{run}?show=exe", 400, "show must be"),
        ("sources/{slid}.zip?form=exe", 400, "form must be"),
        ("sources/{slid}/manifest.csv?form=png,exe", 400, "form must be"),
    ],
)
def test_archives_and_directories_refuse_by_name(
    cut_client: FlaskClient, cut_world: Any, address: str, status: int, said: str
) -> None:
    slid = cut_world.ids["slid"]
    page = cut_client.get(f"/cutouts/sources/{slid}").text
    run = re.search(r"/cutouts/directory/(\d+)", page)[1]  # type: ignore[index]
    answer = cut_client.get("/cutouts/" + address.format(slid=slid, run=run), headers=JSON)

    assert answer.status_code == status
    assert said in answer.json["error"]


def test_an_archive_is_written_while_it_is_sent() -> None:
    made: list[str] = []

    def files() -> Iterator[tuple[str, bytes]]:
        for i in range(3):
            made.append(f"{i}.png")
            yield f"{i}.png", bytes([i]) * 1000

    from awe.model.persistent import utc_now

    stream = zip_stream(files(), utc_now())
    first = next(stream)
    assert (made, len(first) >= 1000) == (["0.png"], True)
    with zipfile.ZipFile(io.BytesIO(first + b"".join(stream))) as whole:
        assert {n: whole.read(n) for n in whole.namelist()} == {f"{i}.png": bytes([i]) * 1000 for i in range(3)}


# -- positions that are sent


def positions(client: FlaskClient, content: bytes, name: str = "my.csv", **given: Any) -> str:
    """Send a list and return the address it leads to."""
    form = {k: str(v) for k, v in given.items()} | {"list": (io.BytesIO(content), name)}
    answer = client.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON)
    assert answer.status_code == 201, answer.text
    return str(answer.json["address"])


def test_positions_of_a_csv_are_cut_from_a_frame(cut_client: FlaskClient, cut_world: Any) -> None:
    lines = [f"star{n}, {cut_world.stars[n][0]!r}, {cut_world.stars[n][1]!r}" for n in (3, 11)]
    address = positions(
        cut_client, "\n".join(["name,RA,Dec", *lines]).encode(), frame=cut_world.ids["coadd"], size="6arcsec"
    )
    found = cut_client.get(address, headers=JSON).json

    assert [c["name"] for c in found["cutouts"]] == ["star3", "star11"]
    for one, star in zip(found["cutouts"], (3, 11), strict=True):
        assert (one["x"] - 1, one["y"] - 1) == pytest.approx(cut_world.stars[star][2:], abs=1e-3)
        with fits.open(io.BytesIO(cut_client.get(one["fits"]).data)) as hdus:
            assert hdus[0].data.shape == (15, 15)
            assert light(hdus[0].data) == (pytest.approx(7, abs=0.55), pytest.approx(7, abs=0.55))


def test_positions_of_a_votable_are_cut_from_all_frames_of_a_class_that_show_them(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    table = Table({"RAJ2000": [cut_world.stars[12][0], 10.0], "DEJ2000": [cut_world.stars[12][1], -80.0]})
    buffer = io.BytesIO()
    writeto(from_table(table), buffer)
    address = positions(cut_client, buffer.getvalue(), "my.vot", cls="RegriddedFrame")
    found = cut_client.get(address, headers=JSON).json

    assert [c["object_id"] for c in found["cutouts"]] == [*cut_world.regridded, None]
    assert found["cutouts"][-1]["reason"] == "no RegriddedFrame shows it"
    rows = cut_client.get(address.replace("?", "/manifest.json?")).json["files"]
    assert [(r["object_id"], r["reason"]) for r in rows][-1] == (None, "no RegriddedFrame shows it")


def test_files_of_later_pages_are_those_that_their_marks_name(cut_client: FlaskClient, cut_world: Any) -> None:
    cut_client.get(f"/cutouts/associates/{cut_world.ids['alid']}?aids=6:8&size=14")
    number = max(r["run"] for r in cut_client.get("/cutouts/runs.json").json if "size=14" in r["address"])
    page = cut_client.get(f"/cutouts/directory/{number}?rows=2&page=3").text
    marks = re.findall(r'name="file" value="([^"]*)" checked aria-label="([^"]*)"', page)

    assert [m[0] for m in marks] == ["4-0.png", "4-1.png"]  # from row 4 on, the first and the second
    for mark, name in marks:
        found = archive(cut_client, f"/cutouts/directory/{number}.zip?file={mark}")
        assert found.namelist()[0] == name


def test_a_list_that_is_sent_again_has_the_same_address(cut_client: FlaskClient, cut_world: Any) -> None:
    both = {
        positions(cut_client, b"ra,dec\n150,2\n", cls="Coadd"),
        positions(cut_client, b"ra;dec\n150;2\n", cls="Coadd"),
    }

    assert len(both) == 1


@pytest.fixture
def lists(cut_closed: FlaskClient) -> Callable[[dict[str, str]], list[str]]:
    """The keys of the lists that are shown to somebody, by the header of their token."""
    return lambda who: [one["key"] for one in cut_closed.get("/cutouts/lists.json", headers=who).json["lists"]]


def send(client: FlaskClient, who: dict[str, str], content: bytes = b"ra,dec\n150,2\n") -> Any:
    form = {"list": (io.BytesIO(content), "x.csv"), "cls": "Coadd"}
    return client.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON | who)


def test_a_list_is_its_senders_who_may_delete_it(cut_closed: FlaskClient, lists: Any) -> None:
    ann, bob = token_of(cut_closed, "ann"), token_of(cut_closed, "bob")
    own, other = (send(cut_closed, who).json for who in (ann, bob))
    assert own["key"] != other["key"]  # the same positions of two people are two lists
    assert (lists(ann), lists(bob), lists({})) == ([own["key"]], [other["key"]], [])
    assert cut_closed.get(own["address"], headers=ann).status_code == 200
    recorded = cut_closed.get("/cutouts/runs.json", headers=ann).json
    path = f"/cutouts/positions/{own['key']}/delete"

    assert [cut_closed.post(path, headers=JSON | who).status_code for who in ({}, bob)] == [401, 403]
    assert cut_closed.post(path, headers={"Origin": "http://elsewhere"} | ann).status_code == 403
    assert cut_closed.post(path, headers=JSON | ann).json == {"deleted": own["key"]}
    assert (lists(ann), lists(bob)) == ([], [other["key"]])
    assert cut_closed.get(own["address"], headers=ann).status_code == 404
    assert own["address"] in [r["address"] for r in recorded]
    assert own["address"] not in [r["address"] for r in cut_closed.get("/cutouts/runs.json", headers=ann).json]
    assert cut_closed.post(path, headers=JSON | ann).status_code == 404


def test_a_list_is_deleted_by_the_form_of_the_page(cut_closed: FlaskClient, lists: Any) -> None:
    ann = token_of(cut_closed, "ann")
    key = send(cut_closed, ann).json["key"]
    assert cut_closed.post("/signin", data={"token": ann["Authorization"].removeprefix("Bearer ")}).status_code == 303
    page = cut_closed.get("/cutouts/lists").text
    form = page.partition(f'action="/cutouts/positions/{key}/delete"')[2].partition('name="form" value="')[2][:64]

    assert cut_closed.post(f"/cutouts/positions/{key}/delete", data={"form": "0" * 64}).status_code == 403
    answer = cut_closed.post(f"/cutouts/positions/{key}/delete", data={"form": form})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/cutouts/lists")
    assert lists({}) == []
    assert "You have sent none" in cut_closed.get("/cutouts/lists").text


def test_a_site_that_is_not_open_takes_lists_of_known_people_only(cut_closed: FlaskClient) -> None:
    assert send(cut_closed, {}).status_code == 401


def test_a_list_of_nobody_is_forgotten_after_a_time(cut_closed: FlaskClient) -> None:
    engine = cut_closed.application.extensions["awe"].writing
    old = keep_positions(engine, [("old", 150.0, 2.0)], "old.csv", "")
    owned = keep_positions(engine, [("owned", 150.0, 2.0)], "owned.csv", "ann")
    again = keep_positions(engine, [("again", 150.0, 2.0)], "again.csv", "")
    with Session(engine) as session:
        address = f"/cutouts/positions/{old}?cls=Coadd"
        session.add(Rendering(service="cutouts", address=address, title="", objects=[], creator="", project=""))
        session.execute(update(PositionList).values(created=utc_now() - KEPT - timedelta(minutes=1)))
        session.commit()
    assert keep_positions(engine, [("again", 150.0, 2.0)], "again.csv", "") != old
    with Session(engine) as session:
        kept = set(session.scalars(select(PositionList.key)))
        recorded = set(session.scalars(select(Rendering.address)))

    assert {old, owned, again} & kept == {owned, again}
    assert address not in recorded


def test_the_form_without_javascript_leads_to_the_page(cut_client: FlaskClient) -> None:
    form = {"list": (io.BytesIO(b"ra,dec\n10:00:00,+02:00:00\n"), "x.csv"), "frame": "", "cls": "Coadd", "size": "9"}
    answer = cut_client.post("/cutouts/positions", data=form, content_type="multipart/form-data")

    assert answer.status_code == 303
    assert cut_client.get(answer.headers["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"ra,dec\n", "has no rows"),
        (b"a,b\n1,2\n", "has no column ra; its columns: a, b"),
        (b"ra,b\n1,2\n", "has no column dec"),
        (b"ra,dec\n1,2\n400,2\n", "row 2"),
        (b"ra,dec\n1,nan\n", "row 1"),
        (b"ra,dec\n1,\n", "row 1"),
        (b"ra,dec\n1,95\n", "row 1"),
        (b"ra,dec\n1,2,3,4\n", "can't be read as CSV"),
        (b"\xff\xfe\x00\x01", "neither text (UTF-8) nor a VOTable"),
        (b"<?xml version='1.0'?><VOTABLE", "can't be read as a VOTable"),
        (b"<?xml version='1.0'?><html/>", "VOTable"),
        (b"ra,dec\n" + b"1,2\n" * (MOST + 1), "the limit is 1,000"),
    ],
)
def test_a_list_that_can_not_be_read_is_refused_with_the_row_or_column(
    cut_client: FlaskClient, content: bytes, said: str
) -> None:
    form = {"list": (io.BytesIO(content), "x.csv"), "cls": "Coadd"}
    answer = cut_client.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON)

    assert answer.status_code == 400
    assert said in answer.json["error"]


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0"?><VOTABLE><RESOURCE><TABLE><FIELD name="ra" datatype="double"/><DATA><BINARY>'
        b'<STREAM href="file:///etc/passwd"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>',
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><VOTABLE>&e;</VOTABLE>',
        '<?xml version="1.0" encoding="utf-16"?><VOTABLE/>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="cp037"?><VOTABLE/>',
        b"/etc/passwd",
    ],
)
def test_a_list_can_not_make_the_server_read_other_files(cut_client: FlaskClient, content: bytes) -> None:
    form = {"list": (io.BytesIO(content), "x.vot" if content[:1] != b"/" else "x.csv"), "cls": "Coadd"}
    answer = cut_client.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON)

    assert answer.status_code == 400
    assert "root" not in answer.json["error"]


def test_an_upload_beyond_the_limit_is_refused(cut_client: FlaskClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="list"; filename="x.csv"\r\n\r\nra,dec\n'
    body = head + b"1.000000,2.000000\n" * 300_000 + b"\r\n--x--\r\n"
    answer = cut_client.post(
        "/cutouts/positions", data=body, content_type="multipart/form-data; boundary=x", headers=JSON
    )

    assert answer.status_code == 413
    assert "limit" in answer.json["error"]


def test_without_a_list_or_a_frame_nothing_is_made(cut_client: FlaskClient) -> None:
    nothing = cut_client.post("/cutouts/positions", data={}, content_type="multipart/form-data", headers=JSON)
    form = {"list": (io.BytesIO(b"ra,dec\n1,2\n"), "x.csv")}
    nowhere = cut_client.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON)

    assert (nothing.status_code, nowhere.status_code) == (400, 400)
    assert "list is missing" in nothing.json["error"]
    assert "frame=" in nowhere.json["error"]


# -- whose it is


def token_of(client: FlaskClient, user: str, project: str = "default") -> dict[str, str]:
    with Session(parts(client.application).writing) as session:
        text = issue_token(session, user, project)[1]
        session.commit()
    return {"Authorization": f"Bearer {text}"}


def keep_private(client: FlaskClient, *object_ids: int) -> None:
    """Let only their creator see some objects."""
    with Session(parts(client.application).writing) as session:
        session.execute(
            update(Persistent).where(Persistent.object_id.in_(object_ids)).values(privileges=Privileges.USER)
        )
        session.commit()


def test_what_is_private_is_not_cut_for_others(cut_closed: FlaskClient, cut_world: Any) -> None:
    slid, coadd, alid = (cut_world.ids[n] for n in ("slid", "coadd", "alid"))
    keep_private(cut_closed, coadd, cut_world.regridded[1])
    ann, rees = token_of(cut_closed, "ann"), token_of(cut_closed, "rees")
    single, series = f"/cutouts/frame/{coadd}.png?x=100&y=100", f"/cutouts/sources/{slid}?sids=6"
    members = f"/cutouts/associates/{alid}.json?aids=6"

    assert [cut_closed.get(single, headers=h).status_code for h in (rees, ann, {})] == [200, 404, 404]
    assert cut_closed.get(series, headers=rees).text.count("<img") == 1
    assert "<img" not in cut_closed.get(series, headers=ann).text
    seen = cut_closed.get(members, headers=ann).json["cutouts"]
    assert [bool(c["picture"]) for c in seen] == [True, False, True]
    with zipfile.ZipFile(io.BytesIO(cut_closed.get(series.replace("?", ".zip?"), headers=ann).data)) as found:
        assert found.namelist() == ["manifest.csv", "manifest.json"]
    assert cut_closed.get(series).status_code == 404  # without a token, not even the list
    listed = [len(cut_closed.get("/cutouts/runs.json", headers=h).json) for h in (rees, ann, {})]
    assert listed[0] > listed[1] >= listed[2] == 0


def test_positions_that_somebody_sent_are_not_listed_for_others(cut_closed: FlaskClient, cut_world: Any) -> None:
    ann, bob = token_of(cut_closed, "ann"), token_of(cut_closed, "bob")
    form = {"list": (io.BytesIO(b"ra,dec\n150,2\n"), "x.csv"), "frame": str(cut_world.ids["coadd"])}
    sent = cut_closed.post("/cutouts/positions", data=form, content_type="multipart/form-data", headers=JSON | ann)
    assert cut_closed.get(sent.json["address"], headers=ann).status_code == 200
    runs = {who: cut_closed.get("/cutouts/runs.json", headers=h).json for who, h in (("ann", ann), ("bob", bob))}

    assert [r["address"] for r in runs["ann"] if "positions" in r["address"]] == [sent.json["address"]]
    assert not any("positions" in r["address"] for r in runs["bob"])
    number = runs["ann"][0]["run"]
    assert cut_closed.get(f"/cutouts/directory/{number}", headers=ann).status_code == 200
    assert cut_closed.get(f"/cutouts/directory/{number}", headers=bob).status_code == 404


def test_no_other_site_can_send_a_list(cut_client: FlaskClient) -> None:
    form = {"list": (io.BytesIO(b"ra,dec\n150,2\n"), "x.csv"), "cls": "Coadd"}
    answer = cut_client.post(
        "/cutouts/positions", data=form, content_type="multipart/form-data", headers={"Origin": "http://elsewhere"}
    )

    assert answer.status_code == 403


# -- parsers


def read_or_refused(read: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return read(), ""
    except BadRequest as error:
        return None, str(error)


@given(st.text(max_size=60))
def test_any_text_is_ranges_or_refused_with_the_name(text: str) -> None:
    found, refused = read_or_refused(lambda: parse_ranges(text, "sids"))
    if found is None:
        assert refused.startswith("sids: ")
        return
    assert all(0 <= low <= high for low, high in found)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(found))


@given(st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=60))
def test_numbers_written_as_ranges_are_read_as_they_were(values: set[int]) -> None:
    assert set(numbers(ranges_text(values), most=60)) == values


@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.vot"]))
def test_any_bytes_are_a_list_of_positions_or_refused(content: bytes, name: str) -> None:
    try:
        found = read_positions(content, name)
    except BadRequest:
        return
    assert all(0 <= ra <= 360 and -90 <= dec <= 90 for _, ra, dec in found)


@given(
    st.lists(
        st.tuples(st.floats(0, 359.99), st.floats(-90, 90)).map(lambda p: (round(p[0], 9), round(p[1], 9))),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_positions_are_read_as_they_are_written(places: list[tuple[float, float]], delimiter: str) -> None:
    lines = [delimiter.join(("ra", "dec")), *(delimiter.join(map(repr, p)) for p in places)]

    assert [p[1:] for p in read_positions("\n".join(lines).encode(), "x.csv")] == places


@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_texts_are_chosen_files_or_refused(texts: list[str]) -> None:
    found, refused = read_or_refused(lambda: parse_chosen(texts))
    if found is None:
        assert "file must be like 17.png" in refused
        return
    assert all(form in ("png", "jpg", "fits") for _, form in found)
