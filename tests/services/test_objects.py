"""Object pages: values, inputs, users, judgement, header, file, sources."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from markupsafe import escape
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.errors import StoreUnavailable
from awe.model import Coadd, GlobalAstrometry, RegriddedFrame
from awe.services.app import create_app
from awe.services.declared import fields_of
from awe.services.images import offered_planes
from awe.services.node_values import NodeValue
from awe.services.value_lines import value_lines
from awe.store import Store


def view(client: FlaskClient, object_id: int) -> dict[str, Any]:
    answer = client.get(f"/object/{object_id}.json")
    assert answer.json is not None
    found: dict[str, Any] = answer.json
    return found


def test_every_object_has_a_page(client: FlaskClient, world: Any) -> None:
    for object_id in (*world.ids.values(), *world.raws):
        assert client.get(f"/object/{object_id}").status_code == 200, object_id


def test_values_carry_unit_meaning_and_error(client: FlaskClient, world: Any) -> None:
    noise = view(client, world.ids["ReadNoise"])["values"]["value"]

    assert noise == {"value": 11.38, "error": 0.042, "unit": "adu", "doc": "read noise"}
    assert "11.380 ± 0.042" in client.get(f"/object/{world.ids['ReadNoise']}").text
    assert view(client, world.ids["Coadd"])["values"]["zeropoint"]["error"] == 0.0123


def test_inputs_name_their_roles(client: FlaskClient, world: Any) -> None:
    inputs = view(client, world.ids["ReducedFrame"])["inputs"]

    assert inputs["bias"]["objects"][0]["object_id"] == world.ids["BiasFrame"]
    assert inputs["bias"]["doc"] == "master bias of the chip"
    assert inputs["dark"]["objects"] == []


def test_members_of_a_coadd_say_whether_they_were_used(client: FlaskClient, world: Any) -> None:
    members = view(client, world.ids["Coadd"])["inputs"]["regridded_frames"]["objects"]

    assert [m["used"] for m in members] == [True, True, False]
    assert members[2]["reason"] == "astrometric residual 1.8 pixel exceeds 1.5 pixel"
    assert "left out" in client.get(f"/object/{world.ids['Coadd']}").text


def test_users_are_listed_by_class_and_role(client: FlaskClient, world: Any) -> None:
    users = {(u["class"], u["role"]): u["total"] for u in view(client, world.ids["BiasFrame"])["users"]}

    assert users["ReducedFrame", "bias"] == 3
    assert users["HotPixelMap", "bias"] == 1


def test_quality_flags_are_words(client: FlaskClient, world: Any) -> None:
    assert view(client, world.ids["Coadd"])["flags"] == ["inputs rejected"]
    assert "inputs rejected" in client.get(f"/object/{world.ids['Coadd']}").text


def test_why_an_object_is_stale_is_told(client: FlaskClient, world: Any) -> None:
    """The world is made by hand, not by rule, so something can be said against some of it; the page says what."""
    told = view(client, world.ids["SaturatedPixelMap"])["stale"]
    page = client.get(f"/object/{world.ids['SaturatedPixelMap']}").text

    assert isinstance(told, list)
    assert ("up to date" in page) == (not told)


def test_a_long_story_has_a_page_of_its_own(client: FlaskClient, world: Any) -> None:
    coadd = world.ids["Coadd"]

    assert view(client, coadd)["why"] == f"/object/{coadd}/why.json"
    assert client.get(f"/object/{coadd}/why").status_code == 200
    assert isinstance(client.get(f"/object/{coadd}/why.json").json["stale"], list)  # type: ignore[index]


def test_a_story_that_is_too_long_is_given_up(client: FlaskClient, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("awe.services.staleness_story.LONG_PATIENCE", 0.0)
    monkeypatch.setattr("awe.services.staleness_story.PATIENCE", 0.0)
    reduced = world.ids["ReducedFrame"]

    answer = client.get(f"/object/{reduced}/why")

    assert answer.status_code == 503
    assert f"awe why {reduced}" in answer.text
    assert view(client, reduced)["why"] == f"/object/{reduced}/why.json"


def test_process_and_job_are_linked(client: FlaskClient, world: Any) -> None:
    page = client.get(f"/object/{world.ids['ReducedFrame']}").text

    assert "make_reduced_frame version 1" in page
    assert "there is none yet" in page


def test_the_file_is_sent_unchanged(client: FlaskClient, world: Any) -> None:
    coadd = world.ids["Coadd"]
    answer = client.get(f"/object/{coadd}/file", buffered=True)

    assert answer.data == world.store.retrieve(f"Coadd-{coadd}.fits").read_bytes()
    assert answer.headers["Content-Disposition"] == f"attachment; filename=Coadd-{coadd}.fits"
    assert client.get(f"/object/{coadd}/file", headers={"Range": "bytes=0-8"}, buffered=True).data == b"SIMPLE  ="


def test_a_regridded_frame_whose_file_is_not_kept_says_where_its_pixels_are(
    engine: Engine, world: Any, tmp_path: Path
) -> None:
    regridded, reduced = world.ids["RegriddedFrame"], world.ids["ReducedFrame"]
    with Session(engine) as session:
        frame = session.get_one(RegriddedFrame, regridded)
        frame.filename, frame.reduced_id = None, reduced
        session.commit()
    client = create_app(Settings(home=tmp_path), engine, world.store).test_client()

    page, picture = client.get(f"/object/{regridded}"), client.get(f"/imageview/{regridded}.png")
    said = f"its pixels are those of ReducedFrame {reduced}, which coadds read"
    assert (page.status_code, picture.status_code) == (200, 404)
    assert said in page.text
    assert said in picture.text
    assert f"/imageview/{regridded}.png" not in page.text
    assert said not in client.get(f"/object/{world.ids['Coadd']}").text


def test_the_header_is_that_of_the_hdu_of_the_frame(client: FlaskClient, world: Any) -> None:
    cards = client.get(f"/object/{world.ids['RawBiasFrame']}/header.json").json
    assert cards is not None

    assert {"keyword": "EXTNAME", "value": "CCD40", "comment": "name of this plane"} in cards


def test_sources_come_in_pages_and_sorted(client: FlaskClient, world: Any) -> None:
    address = f"/object/{world.ids['SourceList']}/sources.json"
    pages: list[Any] = []
    following: str | None = f"{address}?size=100"
    while following:
        pages.append(client.get(following).get_json())
        following = pages[-1]["next"]

    assert [(p["total"], len(p["rows"])) for p in pages] == [(250, 100), (250, 100), (250, 50)]
    assert [r["SID"] for r in pages[-1]["rows"]] == list(range(200, 250))
    assert client.get(f"{address}?sort=-MAG_AUTO").get_json()["rows"][0]["SID"] == 249


def test_associates_name_their_sources(client: FlaskClient, world: Any) -> None:
    rows = client.get(f"/object/{world.ids['AssociateList']}/sources.json").json["rows"]  # type: ignore[index]

    assert [(r["AID"], r["SLID"], r["SID"]) for r in rows] == [
        (0, world.ids["SourceList"], 0),
        (1, world.ids["SourceList"], 1),
    ]


def test_a_chip_leads_to_the_tables_that_link_to_it(client: FlaskClient, world: Any) -> None:
    page = client.get(f"/object/{world.ids['chip']}").text

    assert f'href="/table/Frame?q.chip={world.ids["chip"]}"' in page


@pytest.mark.parametrize("name", ["Coadd", "RawBiasFrame"])
def test_the_statements_of_a_page_are_few(client: FlaskClient, world: Any, statements: Any, name: str) -> None:
    client.get(f"/object/{world.ids[name]}")
    with statements() as sent:
        client.get(f"/object/{world.ids[name]}")

    assert len(sent) <= 30, sent


@pytest.mark.parametrize("page", ["", "/why", "/why-not", "/header", "/file", "/tree", "/branch"])
def test_a_parameter_that_a_page_does_not_know_is_named(client: FlaskClient, world: Any, page: str) -> None:
    answer = client.get(f"/object/{world.ids['ReducedFrame']}{page}?moon=1", headers={"Accept": "application/json"})

    assert answer.status_code == 400
    assert "no parameter 'moon'" in answer.get_json()["error"]


def test_a_project_is_a_short_name_on_each_page(client: FlaskClient, world: Any) -> None:
    for path in (f"/object/{world.ids['Coadd']}", "/nights", "/compare/1/2", "/grids"):
        assert client.get(f"{path}?project={'x' * 65}").status_code == 400
        assert client.get(f"{path}?project=default").status_code == 200


def test_the_story_names_its_cause(client: FlaskClient, world: Any) -> None:
    story = client.get(f"/object/{world.ids['Coadd']}/why.json").get_json()
    page = client.get(f"/object/{world.ids['Coadd']}/why").text

    assert set(story) == {"object_id", "stale", "causes", "steps"}
    assert bool(story["stale"]) == ("Stale" in page)
    assert all(escape(cause) in page for cause in (*story["stale"], *story["causes"]))


def test_a_data_server_that_does_not_answer_is_not_asked_for_each_page(tmp_path: Path) -> None:
    class Away(Store):
        asked = 0

        def header(self, filename: str, hdu: int | str | None = None) -> Any:
            self.asked += 1
            raise StoreUnavailable("no answer")

    store = Away("http://127.0.0.1:1", tmp_path)

    assert [offered_planes(store, name) for name in ("a.fits", "b.fits", "a.fits")] == [[], [], []]
    assert store.asked == 1


def test_the_coordinate_system_is_shown_card_by_card(client: FlaskClient, world: Any) -> None:
    for page in ("", "/branch"):
        said = client.get(f"/object/{world.ids['grid']}{page}").text
        assert '<dt title="FITS cards of its coordinate system">wcs.CRVAL1</dt><dd>152.6 ' in said


def test_what_is_flattened_is_shown_once() -> None:
    fields = {f.name: f for f in fields_of(Coadd)}
    cards = {"CRVAL1": 188.5364302, "CTYPE1": "RA---TAN"}
    held = [NodeValue(fields["crval1"], 10.0), NodeValue(fields["wcs"], cards), NodeValue(fields["seeing"], 0.7, 0.1)]

    assert [(line.label, line.value, line.error) for line in value_lines(held)] == [
        ("wcs.CRVAL1", "188.5364302", None),
        ("wcs.CTYPE1", "RA---TAN", None),
        ("seeing", 0.7, 0.1),
    ]


NONSENSE = (
    "..", "../../etc/passwd", "<script>alert(1)</script>", "' or 1=1 --", "{{7*7}}", "\u202e", "x" * 3000, "-1", "nan",
    "1e309", "9" * 30, "1:10^9", "6:1", "1,,2", "%", "\r\nSet-Cookie: x=1", "\u0663", "1_0", "0x10", "\u00b2",
)  # fmt: skip
PLACES = (
    "/object/{}", "/object/{}/tree", "/object/{}/why", "/object/{}/why-not", "/object/{}/header", "/object/{}/file",
    "/object/{}/branch", "/compare/{}/1", "/compare/1/{}", "/night/{}", "/night/EFOSC2/{}", "/night/{}/2026-01-27",
    "/instrument/{}", "/filter/{}", "/run/{}", "/grid/{}",
    "/object/1?expand={}", "/object/1?depth={}", "/object/1?rows={}", "/object/1?plane={}", "/object/1/branch?level={}",
    "/object/1/branch?page={}", "/object/1/tree?down={}", "/compare?left={}", "/compare/1/2?all={}",
    "/nights?before={}", "/jobs?state={}", "/jobs?page={}", "/object/1?{}=1", "/nights?{}=1", "/compare/1/2?{}=1",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_nonsense_is_refused_wherever_it_stands(client: FlaskClient, place: str) -> None:
    for text in NONSENSE:
        answer = client.get(place.format(quote(text, safe="")))

        assert answer.status_code in (400, 404), text
        assert "<script>alert" not in answer.text
        assert "Set-Cookie" not in answer.headers


def test_what_holds_values_for_each_frame_is_told_in_a_line_for_each_without_their_cards() -> None:
    held = {"12": {"wcs": {"CRVAL1": 150.0}, "rms": 0.0123456, "rms_reference": None, "stars": 66}, "13": 1.23456789012}
    lines = list(value_lines([NodeValue(fields_of(GlobalAstrometry)[0], held)]))

    assert [line.value for line in lines] == ["rms 0.0123, stars 66", "1.23456789"]
