"""Dependency cutouts: a source at the same place of the sky in every product, by WCS and by detector."""

import csv
import io
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from sqlalchemy import update
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.errors import BadRequest
from awe.model.access import issue_token
from awe.model.persistent import Persistent, Privileges
from awe.services.app import create_app
from awe.services.depcut_matrix import Block, Cell, Line, main_classes, offered_classes, usual_classes
from awe.services.depcut_runs import DepcutRun
from awe.services.light_curve import COLUMNS, Axis, Point, light_curve
from awe.services.parts import parts

JSON = {"Accept": "application/json"}
LEVEL = 500.0
X0, Y0 = 20, 10
CALIBRATIONS = ("BiasFrame", "MasterFlatFrame", "BackgroundFrame")
"""Whose pixels say where they are: x + 1000 y, of the flat the negative of it."""


def cells_of(client: FlaskClient, address: str) -> list[dict[str, Any]]:
    answer = client.get(address, headers=JSON)
    assert answer.status_code == 200, answer.text
    return [cell for source in answer.json["sources"] for cell in source["cells"]]


def pixels(client: FlaskClient, cell: dict[str, Any], size: int = 9) -> np.ndarray:
    """Return the pixels around a cell, from the frame itself."""
    query = {"x": cell["x"], "y": cell["y"], "size": size}
    answer = client.get(f"/cutouts/frame/{cell['object_id']}.fits", query_string=query)
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.asarray(hdus[0].data)


def middle_of_light(image: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((image * x).sum() / image.sum()), float((image * y).sum() / image.sum())


# -- the matrix


@pytest.mark.parametrize("star", [6, 12, 18])
def test_the_source_is_seen_in_every_image_of_the_sky(cut_client: FlaskClient, cut_world: Any, star: int) -> None:
    cells = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids={star}")
    level = {"RawScienceFrame": LEVEL, "ReducedFrame": 0.0, "RegriddedFrame": 0.0, "Coadd": 0.0}

    shown = [c for c in cells if c["class"] in level]
    assert [c["class"] for c in shown].count("RawScienceFrame") == 3
    assert len(shown) == 10
    for cell in shown:
        image = pixels(cut_client, cell, 11)
        x, y = middle_of_light(image - level[cell["class"]])
        # the cutout begins at a whole pixel: its middle is up to half a pixel off the position
        off = (cell["x"] - 1) % 1, (cell["y"] - 1) % 1
        assert x - 5 == pytest.approx(off[0] if off[0] < 0.5 else off[0] - 1, abs=0.15)
        assert y - 5 == pytest.approx(off[1] if off[1] < 0.5 else off[1] - 1, abs=0.15)


def test_calibrations_are_shown_at_the_pixel_of_the_detector_that_saw_the_source(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    cells = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids=12")
    raws = {c["exposure"]: c for c in cells if c["class"] == "RawScienceFrame"}
    assert set(raws) == set(cut_world.reduced)

    for name in CALIBRATIONS:
        of_class = [c for c in cells if c["class"] == name]
        assert sorted(c["exposure"] for c in of_class) == sorted(cut_world.reduced)
        for cell in of_class:
            raw = raws[cell["exposure"]]
            assert (cell["x"] + X0, cell["y"] + Y0) == (pytest.approx(raw["x"]), pytest.approx(raw["y"]))
            value = abs(pixels(cut_client, cell, 1)[0, 0])
            assert (value % 1000, value // 1000) == (round(cell["x"] - 1), round(cell["y"] - 1))


def test_a_hot_pixel_beside_the_source_is_seen_beside_it(cut_client: FlaskClient, cut_world: Any) -> None:
    cells = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&classes=HotPixelMap")
    cell = next(c for c in cells if c["exposure"] == cut_world.reduced[0])

    assert np.argwhere(pixels(cut_client, cell, 11) == 1).tolist() in ([[7, 8]], [[7, 7]], [[8, 8]], [[7, 9]])


def test_the_columns_are_the_way_of_the_light_then_the_calibrations(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/depcuts/sources/{cut_world.ids['slid']}?sids=0"
    usual = cut_client.get(address, headers=JSON).json["classes"]
    every = cut_client.get(address + "&classes=all", headers=JSON).json["classes"]

    assert usual == [
        *("RawScienceFrame", "ReducedFrame", "RegriddedFrame", "Coadd", "BiasFrame", "HotPixelMap"),
        *("TwilightFlatFrame", "MasterFlatFrame", "ColdPixelMap", "FringeFrame", "SaturatedPixelMap"),
        *("CosmicMap", "BackgroundFrame", "WeightFrame", "IlluminationCorrection"),
    ]
    assert set(every) - set(usual) == {"RawBiasFrame", "RawTwilightFlatFrame"}


@pytest.mark.parametrize("name", ["FringeFrame", "IlluminationCorrection", "RawScienceFrame"])
def test_what_binds_exposures_is_there_once_for_each_and_leads_to_no_other(
    cut_client: FlaskClient, cut_world: Any, name: str
) -> None:
    cells = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&classes={name}")

    assert sorted(c["exposure"] for c in cells) == sorted(cut_world.reduced)
    if name == "RawScienceFrame":
        assert sorted(c["id"] if "id" in c else c["object_id"] for c in cells) == sorted(cut_world.raws)


def test_classes_that_the_issue_names_can_be_chosen() -> None:
    named = {
        *("RawScienceFrame", "ReducedFrame", "RegriddedFrame", "Coadd", "BiasFrame", "DarkFrame", "HotPixelMap"),
        *("ColdPixelMap", "DomeFlatFrame", "TwilightFlatFrame", "MasterFlatFrame", "FringeFrame"),
        *("IlluminationCorrection", "WeightFrame", "CosmicMap", "BackgroundFrame"),
    }

    assert named <= set(offered_classes())
    assert main_classes() & named == {"RawScienceFrame", "ReducedFrame", "RegriddedFrame", "Coadd"}
    assert not any(name.startswith("RawBias") for name in usual_classes(offered_classes()))


def test_where_there_is_no_product_the_cell_says_none(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&classes=ReducedFrame,DarkFrame"
    page = cut_client.get(address).text
    found = cut_client.get(address, headers=JSON).json

    assert found["classes"] == ["ReducedFrame", "DarkFrame"]
    assert {c["class"] for c in found["sources"][0]["cells"]} == {"ReducedFrame"}
    assert page.count(">None<") == 3  # one for each exposure


def test_a_source_beyond_the_edge_of_an_exposure_is_none_with_its_reason(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    """The first star lies in the corner of the grid, which the turned chip does not reach."""
    cells = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids=0")
    reduced = [c for c in cells if c["class"] == "ReducedFrame"]

    assert [(c["inside"], c["picture"]) for c in reduced] == 3 * [(False, None)]
    assert {c["reason"] for c in reduced} == {"beyond its edge"}
    assert next(c for c in cells if c["class"] == "Coadd")["inside"]
    page = cut_client.get(f"/depcuts/sources/{cut_world.ids['slid']}?sids=0").text
    assert "None on 3 exposures, which do not reach this position" in page
    assert page.count('<th scope="row">') == 1  # what belongs to no single exposure stands alone


def test_exposures_that_do_not_reach_the_source_stand_behind_the_others() -> None:
    def cell(number: int, inside: bool) -> Cell:
        return Cell(SimpleNamespace(object_id=number), datetime(2026, 1, 1), 1.0, 1.0, inside, None)  # type: ignore[arg-type]

    def line(exposure: int, reduced: bool, regridded: bool) -> Line:
        cells = {"ReducedFrame": (cell(exposure, reduced),), "RegriddedFrame": (cell(exposure + 10, regridded),)}
        return Line(exposure, "", None, cells)

    far, near, border = line(1, False, False), line(2, True, True), line(3, False, True)
    block, nowhere = (Block(None, "", {}, lines) for lines in ((far, near, border), (far,)))  # type: ignore[arg-type]
    elsewhere = Line(4, "", None, {"RegriddedFrame": (cell(14, True),)})  # its exposure is not among the products

    assert (block.seen, block.unseen) == ((near,), (far, border))
    assert (nowhere.seen, nowhere.unseen) == ((), (far,))
    assert Block(None, "", {}, (elsewhere,)).seen == (elsewhere,)  # type: ignore[arg-type]


def test_the_header_line_is_that_of_the_original(cut_client: FlaskClient, cut_world: Any) -> None:
    slid = cut_world.ids["slid"]
    page = cut_client.get(f"/depcuts/sources/{slid}?sids=12,14").text
    for star in (12, 14):
        ra, dec, x, y = cut_world.stars[star]
        assert f"SLID={slid} SID={star} RA={ra:.5f} DEC={dec:.5f} X={x + 1:.1f} Y={y + 1:.1f}" in page


def test_every_picture_of_the_page_is_there(cut_client: FlaskClient, cut_world: Any) -> None:
    for north in ("", "&north=1"):
        page = cut_client.get(f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&size=21{north}").text
        pictures = [a.replace("&amp;", "&") for a in re.findall(r'<img src="([^"]*)', page)]
        large = [a.replace("&amp;", "&") for a in re.findall(r'class="cut" href="([^"]*)', page)]
        assert len(pictures) == len(large) == 43
        for address in pictures:
            answer = cut_client.get(address)
            assert answer.status_code == 200, (address, answer.text)
            assert Image.open(io.BytesIO(answer.data)).size == (126, 126)
        assert all(cut_client.get(a).status_code == 200 for a in large[:3])


def test_north_up_every_image_of_the_sky_shows_the_stars_at_the_same_place(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    found = bundle(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}.fits?sids=12&size=181&north=1")
    chain = ("RawScienceFrame", "ReducedFrame", "RegriddedFrame", "Coadd")

    places = []
    for hdu in found:
        if hdu.name in chain:
            image = np.nan_to_num(hdu.data - (LEVEL if hdu.name == "RawScienceFrame" else 0))
            places.append([middle_of_light(image[row - 7 : row + 8, column - 7 : column + 8]) for row, column in NEAR])
    assert len(places) == 10
    assert np.ptp(places, axis=0).max() < 0.05


NEAR = [(90, 90), (90, 90 + 70), (90 + 64, 90)]
"""Stars 12, its neighbour to the west, and the one to the north: the grid is north up."""


def test_a_place_on_a_frame_is_found_by_sky_or_pixel(cut_client: FlaskClient, cut_world: Any) -> None:
    coadd, (ra, dec, x, y) = cut_world.ids["coadd"], cut_world.stars[12]
    by_sky = cells_of(cut_client, f"/depcuts/at/{coadd}?ra={ra!r}&dec={dec!r}")
    by_pixel = cells_of(cut_client, f"/depcuts/at/{coadd}?x={x + 1!r}&y={y + 1!r}")
    of_source = cells_of(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}?sids=12")

    for found in (by_sky, by_pixel):
        assert [(c["object_id"], c["exposure"]) for c in found] == [(c["object_id"], c["exposure"]) for c in of_source]
        for name in "xy":
            assert [c[name] for c in found] == pytest.approx([c[name] for c in of_source], abs=2e-3)


# -- associates


def test_associates_show_their_epochs_by_date_with_their_filters(cut_client: FlaskClient, cut_world: Any) -> None:
    found = cut_client.get(f"/depcuts/associates/{cut_world.ids['alid']}?aids=6:7", headers=JSON).json

    assert [(s["aid"], s["slid"]) for s in found["sources"]] == [(a, s) for a in (6, 7) for s in cut_world.lists]
    for source in found["sources"]:
        raws = [c for c in source["cells"] if c["class"] == "RawScienceFrame"]
        assert [c["exposure"] for c in raws] == [cut_world.reduced[cut_world.lists.index(source["slid"])]]


def test_associates_have_a_light_curve_beside_them(cut_client: FlaskClient, cut_world: Any) -> None:
    alid = cut_world.ids["alid"]
    page = cut_client.get(f"/depcuts/associates/{alid}?aids=12").text
    rows = list(csv.DictReader(io.StringIO(cut_client.get(f"/depcuts/associates/{alid}/lightcurve.csv?aids=12").text)))

    assert page.count("<circle") == 3 + 2  # measurements, and the legend of two filters
    assert 'aria-label="AID 12: magnitude by date, 3 measurements"' in page
    assert tuple(rows[0]) == COLUMNS
    assert [float(r["mag_auto"]) for r in rows] == pytest.approx([19.2, 19.7, 20.2])
    assert [r["filter"] for r in rows] == ["r", "r", "g"]
    assert np.diff([float(r["mjd"]) for r in rows]) == pytest.approx([1, 1], abs=1e-6)
    assert cut_client.get(f"/depcuts/associates/{alid}/lightcurve.json?aids=12").json[0]["aid"] == 12


def test_the_number_of_statements_does_not_grow_with_the_sources(
    cut_client: FlaskClient, cut_world: Any, sent: list[str]
) -> None:
    for kind, name, one, many in (
        ("sources", "sids", "12", "0:24"),
        ("associates", "aids", "12", "0:24"),
    ):
        number, counts = cut_world.ids["slid" if kind == "sources" else "alid"], []
        for chosen in (one, many):
            address = f"/depcuts/{kind}/{number}?{name}={chosen}&rows=20&classes=ReducedFrame"
            cut_client.get(address)  # enters the run
            sent.clear()
            assert cut_client.get(address).status_code == 200
            counts.append(len(sent))
        assert counts[0] == counts[1]


# -- files


def bundle(client: FlaskClient, address: str) -> list[Any]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data), checksum=True, lazy_load_hdus=False) as hdus:
        return [hdu.copy() for hdu in hdus]


def test_a_bundle_has_an_extension_for_each_product_with_its_coordinate_system(
    cut_client: FlaskClient, cut_world: Any
) -> None:
    ra, dec, _, _ = cut_world.stars[12]
    primary, *others = bundle(cut_client, f"/depcuts/sources/{cut_world.ids['slid']}.fits?sids=12&size=21")

    assert (primary.header["SLID"], primary.header["SID"]) == (cut_world.ids["slid"], 12)
    assert (primary.header["RA"], primary.header["DEC"]) == pytest.approx((ra, dec))
    versions = [(hdu.name, hdu.ver) for hdu in others]
    assert len(set(versions)) == len(versions) == 43
    assert {("RawScienceFrame", n) for n in (1, 2, 3)} <= set(versions)
    for hdu in others:
        x, y = WCS(hdu.header).all_world2pix([[ra, dec]], 0)[0]
        assert max(abs(x - 10), abs(y - 10)) <= 0.51, hdu.name
        assert hdu.header["FRAMEFIL"].startswith("Sci-")


@pytest.mark.parametrize(("form", "kind"), [("gif", "GIF"), ("png", "PNG")])
def test_a_film_has_a_picture_for_each_product(cut_client: FlaskClient, cut_world: Any, form: str, kind: str) -> None:
    address = f"/depcuts/sources/{cut_world.ids['slid']}.{form}?sids=12&size=21&delay=300"
    answer = cut_client.get(address)
    film = Image.open(io.BytesIO(answer.data))

    assert (film.format, film.n_frames) == (kind, 43)
    frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert film.info["duration"] == 300
    assert answer.mimetype == {"gif": "image/gif", "png": "image/apng"}[form]
    again = cut_client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_the_film_of_an_associate_runs_through_its_epochs(cut_client: FlaskClient, cut_world: Any) -> None:
    address = f"/depcuts/associates/{cut_world.ids['alid']}.gif?aids=12&classes=RegriddedFrame"

    assert Image.open(io.BytesIO(cut_client.get(address).data)).n_frames == 3


# -- permalink, earlier runs, links


def test_a_run_is_listed_once_by_its_permalink(cut_client: FlaskClient, cut_world: Any) -> None:
    slid = cut_world.ids["slid"]
    for given_ in (
        "sids=3,4&size=33&classes=ReducedFrame,BiasFrame",
        "classes=BiasFrame,ReducedFrame&size=33&sids=3,4",
    ):
        page = cut_client.get(f"/depcuts/sources/{slid}?{given_}").text
    permalink = re.search(r'href="([^"]*)">Permalink', page)[1].replace("&amp;", "&")  # type: ignore[index]
    runs = [r for r in cut_client.get("/depcuts/runs.json").json if "size=33" in r["address"]]

    assert [r["address"] for r in runs] == [permalink]
    assert cut_client.get(permalink).status_code == 200
    assert permalink.replace("&", "&amp;") in cut_client.get("/depcuts/runs").text


def test_source_rows_and_cutouts_lead_to_dependency_cutouts(cut_client: FlaskClient, cut_world: Any) -> None:
    slid, alid = cut_world.ids["slid"], cut_world.ids["alid"]

    assert f"/depcuts/sources/{slid}?sids=12" in cut_client.get(f"/object/{slid}/sources").text
    assert f"/depcuts/associates/{alid}?aids=12" in cut_client.get(f"/object/{alid}/sources?size=100").text
    assert f"/depcuts/sources/{slid}?sids=12" in cut_client.get(f"/cutouts/sources/{slid}?sids=12").text


def test_the_form_leads_to_the_page_with_the_chosen_classes(cut_client: FlaskClient, cut_world: Any) -> None:
    slid = cut_world.ids["slid"]
    given_ = f"slid={slid}&sids=1:6&class=BiasFrame&class=ReducedFrame&size=40"
    answer = cut_client.get(f"/depcuts/sources?{given_}")

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/depcuts/sources/{slid}?sids=1%3A6&classes=ReducedFrame%2CBiasFrame&size=40"
    assert cut_client.get(answer.headers["Location"]).status_code == 200
    page = cut_client.get("/depcuts").text
    assert all(text in page for text in ("<code>1:5,20,31:34</code>", "1,2,3,4,5,20,31,32,33,34"))


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("sources/{slid}?sids=6:1", 400, "sids: a range goes"),
        ("sources/{slid}?sids=1:1000000000", 400, "sids: 1,000,000,000 numbers"),
        ("sources/{slid}?sids=' or 1", 400, "sids: ranges are whole numbers"),
        ("sources/{slid}?classes=Nonsense", 400, "classes: no class of frames 'Nonsense'"),
        ("sources/{slid}?classes=Job", 400, "classes: no class of frames 'Job'"),
        ("sources/{slid}?north=maybe", 400, "north must be 0 or 1"),
        ("sources/{slid}?size=9999", 400, "size must be"),
        ("sources/{slid}?aids=1", 400, "no parameter 'aids'"),
        ("sources/{slid}?rows=101", 400, "rows must be a whole number from 1 to 100"),
        ("sources/999999", 404, "no SourceList 999999"),
        ("sources/{alid}", 404, "it is a AssociateList"),
        ("associates/{slid}", 404, "it is a SourceList"),
        ("sources/{slid}.gif", 400, "a gif file is of one source: 25 were asked for"),
        ("sources/{slid}.gif?sids=99", 404, "there is no such source"),
        ("sources/{slid}.gif?sids=1&delay=1", 400, "delay must be a whole number from 50 to 10000"),
        ("sources/{slid}.gif?sids=1&rows=2", 400, "no parameter 'rows'"),
        ("sources/{slid}.fits?sids=0&classes=DarkFrame", 404, "no product of this class shows the place"),
        ("at/{coadd}", 400, "either x and y (pixels), or ra and dec (degrees)"),
        ("at/{coadd}?x=1&dec=2", 400, "either x and y"),
        ("at/{coadd}?ra=nan&dec=2", 400, "ra"),
        ("at/{alid}?x=1&y=2", 404, "has no image file"),
        ("at/999999?x=1&y=2", 404, "no object 999999"),
        ("sources?sids=1", 400, "slid is missing"),
        ("associates/{alid}/lightcurve.csv?aids=5:1", 400, "aids: a range goes"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    cut_client: FlaskClient, cut_world: Any, address: str, status: int, said: str
) -> None:
    answer = cut_client.get("/depcuts/" + address.format(**cut_world.ids), headers=JSON)

    assert (answer.status_code, answer.json["error"]) == (status, answer.json["error"])
    assert said in answer.json["error"]


@given(st.text(max_size=30), st.sampled_from(["sids", "classes", "size", "north", "zoom", "mark", "stretch", "cuts"]))
def test_any_text_is_read_or_refused_with_the_name_of_the_parameter(text: str, name: str) -> None:
    said = name
    try:
        DepcutRun.of("sources", 1, {name: text})
    except BadRequest as error:
        said = str(error)
    assert name in said


def test_what_is_private_is_in_no_matrix_film_or_bundle_of_others(cut_closed: FlaskClient, cut_world: Any) -> None:
    hidden = cut_world.reduced[1]
    with Session(parts(cut_closed.application).writing) as session:
        session.execute(update(Persistent).where(Persistent.object_id == hidden).values(privileges=Privileges.USER))
        tokens = {user: issue_token(session, user, "default")[1] for user in ("ann", "rees")}
        session.commit()
    address = f"/depcuts/sources/{cut_world.ids['slid']}"
    seen = {}
    for user, text in tokens.items():
        headers = JSON | {"Authorization": f"Bearer {text}"}
        cells = cut_closed.get(f"{address}.json?sids=12", headers=headers).json["sources"][0]["cells"]
        content = cut_closed.get(f"{address}.fits?sids=12", headers=headers).data
        with fits.open(io.BytesIO(content)) as hdus:
            seen[user] = {c["object_id"] for c in cells}, {h.header["FRAMEID"] for h in hdus[1:]}

    assert all(hidden in found for found in seen["rees"])
    assert not any(hidden in found for found in seen["ann"])


# -- light curves


def point(day: float, magnitude: float | None, band: str = "r") -> Point:
    from datetime import datetime, timedelta

    moment = datetime(2026, 1, 1) + timedelta(days=day)
    return Point(1, 2, 3, 4, band, moment, 10.0, 20.0, magnitude, 0.1, 100.0 + day, 5.0)


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.2"><title>', svg)]


def test_a_light_curve_has_time_to_the_right_and_bright_at_the_top() -> None:
    places = circles(light_curve([point(0, 20.0), point(1, 19.0), point(4, 21.0)], "AID 1"))

    (x0, y0), (x1, y1), (x2, y2) = places
    assert (x2 - x0) == pytest.approx(4 * (x1 - x0), abs=0.4)
    assert y1 < y0 < y2
    assert (y0 - y1) == pytest.approx(y2 - y0, abs=0.2)


def test_a_light_curve_without_magnitudes_is_one_of_fluxes() -> None:
    svg = light_curve([point(0, None), point(1, float("nan"))], "AID 1")
    (_, y0), (_, y1) = circles(svg)

    assert "FLUX_AUTO" in svg
    assert y1 < y0
    assert light_curve([], "AID 1") == ""


def test_text_in_a_light_curve_is_escaped() -> None:
    assert "<script>" not in light_curve([point(0, 20.0, "<script>"), point(1, 20.0, "r")], "<script>")


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within_the_axis(low: float, width: float) -> None:
    axis = Axis(low, low + width, 0.0, 100.0)
    ticks = axis.ticks()

    assert 1 <= len(ticks) <= 7
    assert all(-1e-6 <= axis.place(t) <= 100 + 1e-6 for t in ticks)


# -- the service by itself


def test_the_service_alone_cuts_its_own_pictures(cut_world: Any, tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path), cut_world.engine, cut_world.store, services=("depcuts",))
    client = app.test_client()
    page = client.get(f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&classes=ReducedFrame,BiasFrame").text
    pictures = [a.replace("&amp;", "&") for a in re.findall(r'<img src="([^"]*)', page)]

    assert len(pictures) == 6
    assert all(a.startswith("/depcuts/cell/") for a in pictures)
    assert [client.get(a).status_code for a in pictures] == 6 * [200]
    assert "/object/" not in page


def test_pictures_come_from_the_service_that_runs_elsewhere(cut_world: Any, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, service_addresses="cutouts=http://images.example:8002")
    client = create_app(settings, cut_world.engine, cut_world.store, services=("depcuts",)).test_client()
    answer = client.get(f"/depcuts/sources/{cut_world.ids['slid']}?sids=12&classes=ReducedFrame")

    assert answer.text.count('src="http://images.example:8002/cutouts/frame/') == 3
    assert "http://images.example:8002" in answer.headers["Content-Security-Policy"]
