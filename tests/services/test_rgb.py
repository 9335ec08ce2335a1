"""Colour pictures of frames: colours by zeropoints, frames of other grids regridded, what is absurd refused."""

import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import make_lupton_rgb
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.database import open_engine
from awe.errors import BadRequest
from awe.instruments import load_definitions
from awe.kernels.sections import Section
from awe.kernels.wcs import Wcs, tan
from awe.local import start_data_server
from awe.model import Base, Coadd, Rendering
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.services.app import create_app
from awe.services.image_request import LARGEST_PICTURE, least_bin
from awe.services.links import rgb as rgb_link
from awe.services.rgb_frames import parse_ids
from awe.services.rgb_request import PARAMETERS, RgbRequest
from awe.store import Store

NX, NY, SCALE = 600, 520, 0.25
FIELD = tan(30.0, 10.0, SCALE, NX, NY)
STARS = [
    (x, y, 17.0 + i % 4, i % 3) for i, (x, y) in enumerate([(100, 90), (480, 60), (300, 260), (90, 430), (520, 400)])
]
"""x, y, r magnitude, and which of the bands is brighter by a magnitude (others equal)."""
ZEROPOINTS = {"i": 27.0, "r": 30.0, "g": 25.5}
SKIES = {"i": 300.0, "r": 40.0, "g": 5.0}
NOISE = 0.02
"""In units of flux at a zeropoint of 25 per pixel of the field, in each band."""


def image_of(band: str, wcs: Wcs, shape: tuple[int, int], seed: int, fwhm: float = 1.2) -> np.ndarray:
    """Return an image of the stars in a band, on any grid, in the unit of its zeropoint."""
    unit = 10 ** (0.4 * (ZEROPOINTS[band] - 25.0))
    sigma = fwhm / 2.355 / wcs.scale
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.random.default_rng(seed).normal(0, NOISE * (wcs.scale / SCALE), shape)
    for x0, y0, magnitude, brighter in STARS:
        flux = 10 ** (-0.4 * (magnitude - (1.0 if "irg"[brighter] == band else 0.0) - 25.0))
        sx, sy = wcs.to_pixel(*FIELD.to_sky(x0, y0))
        if not np.isfinite(sx):  # on the other side of the sky
            continue
        image += flux / (2 * np.pi * sigma**2) * np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / (2 * sigma**2))
    return ((image * unit) + SKIES[band]).astype(np.float32)


@dataclass
class Sky:
    """A site with frames of one field."""

    client: FlaskClient
    engine: Any
    settings: Settings = field(default_factory=Settings)
    ids: dict[str, int] = field(default_factory=dict)
    images: dict[str, np.ndarray] = field(default_factory=dict)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    """Frames i, r, g on one grid; `other_r` turned, large pixels; `far_r` elsewhere; `plain_r` without zeropoint."""
    folder = tmp_path_factory.mktemp("rgb")
    engine = open_engine(f"sqlite:///{folder}/awe.db")
    Base.metadata.create_all(engine)
    with start_data_server(folder / "files") as server:
        settings = Settings(home=folder, database=str(engine.url), data_server=server.address, user="ann")
        store = Store(server.address, folder / "cache")
        found = Sky(create_app(settings, engine, store).test_client(), engine, settings)
        turned = tan(30.0, 10.0, 0.4, 420, 400, rotation=30.0)
        frames: list[tuple[str, str, Wcs, tuple[int, int]]] = [
            *((band, band, FIELD, (NY, NX)) for band in "irg"),
            ("other_r", "r", turned, (400, 420)),
            ("far_r", "r", tan(200.0, -50.0, SCALE, NX, NY), (NY, NX)),
            ("hollow_r", "r", FIELD, (NY, NX)),
            ("plain_r", "r", FIELD, (NY, NX)),
        ]
        for number, (name, band, wcs, shape) in enumerate(frames):
            found.images[name] = image_of(band, wcs, shape, number)
            if name == "hollow_r":  # rows between those that are looked at first
                found.images[name][:40] = found.images[name][56:] = np.nan
            path = write(folder / f"{name}.fits", found.images[name], wcs, band)
            zeropoint = "unknown" if name == "plain_r" else str(ZEROPOINTS[band])
            stated = Stated(zeropoint=zeropoint)
            worker = ExternalIngester(engine, store, settings, load_definitions(), stated=stated)
            (report,) = worker.ingest([path])
            assert report.frames, report.reason
            found.ids[name] = report.frames[0]
        yield found
    engine.dispose()


def write(path: Path, image: np.ndarray, wcs: Wcs, band: str) -> Path:
    header = fits.Header()
    header.update(wcs.cards)
    header.update({"OBJECT": "Field", "INSTRUME": "WFX", "FILTER": band, "BUNIT": "adu", "DATE-OBS": "2024-01-01"})
    fits.writeto(path, image, header)
    then = time.time() - 3600
    os.utime(path, (then, then))
    return path


def address(sky: Sky, *names: str, form: str = "png", **given: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in given.items())
    return f"/rgb/{','.join(str(sky.ids[n]) for n in names)}.{form}{'?' if query else ''}{query}"


def drawn(sky: Sky, *names: str, **given: Any) -> np.ndarray:
    """Return a picture with y upwards, as int."""
    answer = sky.client.get(address(sky, *names, **given))
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data))).astype(int)[::-1]


def test_a_picture_is_astropys_for_the_levels_that_it_states(sky: Sky) -> None:
    levels = sky.client.get(address(sky, "i", "r", "g", form="json")).json
    bands = [
        (sky.images[name] - frame["black"]) * frame["scale"]
        for name, frame in zip("irg", levels["frames"], strict=True)
    ]
    expected = make_lupton_rgb(*bands, minimum=0, stretch=levels["stretch"], Q=levels["q"])

    # one level by rounding; a picture and astropy may differ by one more where single precision moves an edge
    assert np.abs(drawn(sky, "i", "r", "g") - expected).max() <= 1


def test_zeropoints_give_equal_magnitudes_equal_levels(sky: Sky) -> None:
    levels = sky.client.get(address(sky, "i", "r", "g", form="json")).json
    scales = [frame["scale"] for frame in levels["frames"]]

    assert levels["balance"] == "zeropoint"
    assert scales == pytest.approx([10 ** (-0.4 * (ZEROPOINTS[b] - ZEROPOINTS["i"])) for b in "irg"])
    shown = drawn(sky, "i", "r", "g")
    for x, y, _, brighter in STARS:
        pixel = shown[y, x]
        others = [pixel[i] for i in range(3) if i != brighter]
        assert pixel[brighter] > 1.5 * max(others)
        assert others[0] == pytest.approx(others[1], abs=25)


def test_the_sky_is_gray_and_dark(sky: Sky) -> None:
    shown = drawn(sky, "i", "r", "g")[200:240, 20:60].reshape(-1, 3)

    assert 10 < shown.mean() < 60
    assert np.ptp(shown.mean(axis=0)) < 3


def test_a_frame_of_another_grid_is_regridded_onto_that_of_the_reference(sky: Sky) -> None:
    same, other = drawn(sky, "i", "r", "g"), drawn(sky, "i", "other_r", "g")

    assert same.shape == other.shape == (NY, NX, 3)
    for x, y, magnitude, brighter in STARS[2:3]:
        assert magnitude == 19.0
        a, b = (p[y - 2 : y + 3, x - 2 : x + 3].mean(axis=(0, 1)) for p in (same, other))
        # a wider pixel leaves less in the centre; the colour must not jump
        assert np.abs(a - b).max() < 30, (a, b, brighter)
    centroid = _centroid(other[..., 1], 300, 260)
    assert centroid == pytest.approx((300, 260), abs=0.15)


def _centroid(plane: np.ndarray, x0: int, y0: int) -> tuple[float, float]:
    part = plane[y0 - 8 : y0 + 9, x0 - 8 : x0 + 9].astype(float)
    part = np.clip(part - np.median(part) - 10, 0, None)
    y, x = np.mgrid[-8:9, -8:9]
    return x0 + float((part * x).sum() / part.sum()), y0 + float((part * y).sum() / part.sum())


def test_the_grid_is_that_of_the_chosen_frame_or_the_common_part(sky: Sky) -> None:
    assert drawn(sky, "i", "other_r", "g", grid="green").shape == (400, 420, 3)
    common = sky.client.get(address(sky, "i", "other_r", "g", form="json", grid="common")).json
    turned = sky.client.get(address(sky, "other_r", "i", "g", form="json", grid="common")).json

    assert (common["width"], common["height"]) <= (NX, NY)
    assert (turned["width"], turned["height"]) <= (420, 400)


def test_a_section_is_a_part_of_the_whole(sky: Sky) -> None:
    whole = drawn(sky, "i", "other_r", "g")
    part = drawn(sky, "i", "other_r", "g", x=300, y=200, width=101, height=61)

    # x, y are the middle, counted from 1
    assert np.abs(part - whole[169:230, 249:350]).max() <= 1


def test_binning_averages(sky: Sky) -> None:
    answer = sky.client.get(address(sky, "i", "r", "g", fit=200))

    assert answer.headers["X-Binning"] == "3"
    assert Image.open(io.BytesIO(answer.data)).size == (200, 174)
    small = drawn(sky, "i", "r", "other_r", bin=4, q=0.1)
    assert small.shape == (130, 150, 3)
    # in the sky, where levels are nearly linear, a frame regridded after binning is as bright as the others
    quiet = small[45:60, 5:15].reshape(-1, 3).mean(axis=0)
    assert quiet[2] == pytest.approx(quiet[0], abs=4)


def test_tiles_are_the_pixels_of_the_picture(sky: Sky) -> None:
    path = address(sky, "i", "other_r", "g").removesuffix(".png")
    whole = drawn(sky, "i", "other_r", "g")[::-1]
    found = sky.client.get(f"{path}/tiles/0/1_0.png")
    tile = np.asarray(Image.open(io.BytesIO(found.data))).astype(int)

    assert np.abs(tile - whole[:512, 512:]).max() <= 1
    low = np.asarray(Image.open(io.BytesIO(sky.client.get(f"{path}/tiles/1/0_0.png").data)))
    assert low.shape == (260, 300, 3)
    for wrong in ("9/0_0", "0/2_0", "0/0_5"):
        assert sky.client.get(f"{path}/tiles/{wrong}.png").status_code == 404


@pytest.mark.parametrize("form", ["png", "jpg", "tif"])
def test_each_form_is_of_its_kind_and_kept_for_ever(sky: Sky, form: str) -> None:
    first = sky.client.get(address(sky, "i", "r", "g", form=form))
    again = sky.client.get(address(sky, "i", "r", "g", form=form), headers={"If-None-Match": first.headers["ETag"]})

    assert Image.open(io.BytesIO(first.data)).format == {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[form]
    assert b"Spatial.ReferenceValue" in first.data
    assert "immutable" in first.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")
    assert sky.client.get(address(sky, "i", "r", "g", form=form, q=9)).headers["ETag"] != first.headers["ETag"]


def test_without_a_zeropoint_the_noise_is_balanced_and_that_is_said(sky: Sky) -> None:
    found = sky.client.get(address(sky, "i", "plain_r", "g", form="json")).json
    noise = {b: NOISE * 10 ** (0.4 * (ZEROPOINTS[b] - 25.0)) for b in "irg"}

    assert found["balance"] == "noise"
    assert found["frames"][1]["scale"] == pytest.approx(noise["i"] / noise["r"], rel=0.03)
    refused = sky.client.get(address(sky, "i", "plain_r", "g", form="json", balance="zeropoint"))
    assert (refused.status_code, "zeropoint of Coadd" in refused.json["error"]) == (400, True)
    plain = sky.client.get(address(sky, "i", "plain_r", "g", form="json", balance="none")).json
    assert [f["scale"] for f in plain["frames"]] == [1.0, 1.0, 1.0]


def test_factors_of_the_bands_come_on_top(sky: Sky) -> None:
    usual = sky.client.get(address(sky, "i", "r", "g", form="json")).json
    other = sky.client.get(address(sky, "i", "r", "g", form="json", scale="2,1,0.5")).json

    ratios = [b["scale"] / a["scale"] for a, b in zip(usual["frames"], other["frames"], strict=True)]
    assert ratios == pytest.approx([2, 1, 0.5])
    assert drawn(sky, "i", "r", "g", scale="2,1,0.5")[90, 100].tolist() != drawn(sky, "i", "r", "g")[90, 100].tolist()


def test_plain_modes_draw_each_band_by_itself(sky: Sky) -> None:
    shown = drawn(sky, "i", "r", "g", mode="linear", black="300,40,5", white="310,120,6", balance="none")
    expected = np.clip((sky.images["i"] - 300) / 10, 0, 1) * 255

    assert np.abs(shown[..., 0] - expected).max() <= 1
    for mode in ("sqrt", "log", "asinh"):
        assert drawn(sky, "i", "r", "g", mode=mode).max() == 255


def test_a_target_leads_to_its_newest_coadds(sky: Sky) -> None:
    with Session(sky.engine) as session:
        name = session.get(Coadd, sky.ids["i"]).grid_target.name  # type: ignore[union-attr]
    answer = sky.client.get("/rgb/target.jpg", query_string={"target": name, "filters": "i,r,g", "fit": "100"})
    expected = address(sky, "i", "plain_r", "g", form="jpg", fit=100)  # the newest r

    assert (answer.status_code, answer.headers["Location"]) == (302, expected)
    assert sky.client.get("/rgb/target.jpg", query_string={"target": name}).headers["Location"] == expected[:-8]
    for wrong, said in (("i,r", "three filters"), ("i,r,U", "has no frame in filter 'U'")):
        refused = sky.client.get("/rgb/target.jpg", query_string={"target": name, "filters": wrong}, headers=JSON)
        assert refused.status_code in (400, 404)
        assert said in refused.json["error"]


JSON = {"Accept": "application/json"}


def test_the_page_shows_the_picture_and_those_made_earlier(sky: Sky) -> None:
    query = {"red": sky.ids["i"], "green": sky.ids["r"], "blue": sky.ids["g"], "q": "6"}
    page = sky.client.get("/rgb", query_string=query)

    assert page.status_code == 200
    assert address(sky, "i", "r", "g", form="tif", q=6) in page.text
    with Session(sky.engine) as session:
        made = session.query(Rendering).filter_by(address=address(sky, "i", "r", "g", form="jpg", q=6)).one()
        assert (made.service, made.objects) == ("rgb", [sky.ids[b] for b in "irg"])
    earlier = sky.client.get("/rgb/earlier.json").json["pictures"]
    assert earlier[0]["address"] == made_address(sky)
    assert sky.client.get(earlier[0]["thumbnail"]).status_code == 200
    assert sky.client.get(earlier[0]["page"]).status_code == 200
    assert "Earlier colour pictures" in sky.client.get("/rgb/earlier").text
    assert sky.client.get("/rgb").status_code == 200


def made_address(sky: Sky) -> str:
    return address(sky, "i", "r", "g", form="jpg", q=6)


def test_frames_are_found_by_the_name_of_their_file(sky: Sky) -> None:
    with Session(sky.engine) as session:
        name = session.get(Coadd, sky.ids["i"]).filename  # type: ignore[union-attr]
    found = sky.client.get("/rgb.json", query_string={"red": name, "green": "r.fits", "blue": sky.ids["g"]}).json

    assert [f["object_id"] for f in found["picture"]["frames"]] == [sky.ids[b] for b in "irg"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("mode=cubic", "mode must be lupton or linear"),
        ("q=-1", "q must be a number from 0 to 1000"),
        ("q=nan", "q must be a number"),
        ("stretch=0", "stretch must be"),
        ("stretch=inf", "stretch must be"),
        ("stretch=1e-31", "stretch must be"),
        ("scale=1e7,1,1", "scale must be"),
        ("black=1e31,0,0", "black must be"),
        ("scale=1,1", "scale must be"),
        ("scale=1,0,1", "scale must be"),
        ("black=1,2,nan", "black must be"),
        ("black=5,5,5&white=4,6,6", "white 4,6,6 must be above black 5,5,5 in each band"),
        ("grid=purple", "grid must be red or green or blue or common"),
        ("bin=0", "bin must be"),
        ("bin=2&fit=100", "give one of them"),
        ("x=3", "must be given together"),
        ("x=3&y=4&ra=1&dec=2", "given twice"),
        ("x=99999&y=10&width=5", "wholly off the image"),
        ("ra=200&dec=-50&size=10", "off the image"),
        ("stretsch=5", "near ones: stretch"),
        ("black=<script>,1,2", "black must be"),
        ("width=100000&height=100000", "the limit is 40,000,000"),
    ],
)
def test_what_can_not_be_meant_is_refused(sky: Sky, query: str, said: str) -> None:
    answer = sky.client.get(f"{address(sky, 'i', 'r', 'g')}?{query}", headers=JSON)

    assert answer.status_code == 400
    assert said in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rgb/1,2.png", 400),
        ("/rgb/1,2,3,4.png", 400),
        ("/rgb/a,b,c.png", 400),
        ("/rgb/1,2,99999999999999999999.png", 400),
        ("/rgb/999,998,997.png", 404),
        ("/rgb/1,1,1.png", 404),
        ("/rgb/0,0,0.png", 404),
        ("/rgb/1,2,3.gif", 404),
        ("/rgb?red=1", 400),
        ("/rgb?red=1&green=x.fits&blue=3", 404),
        ("/rgb?target=nowhere", 404),
        ("/rgb?target=%3Cscript%3E", 404),
        ("/rgb?red=%7B%7B7*7%7D%7D&green=1&blue=2", 404),
        ("/rgb/earlier?page=0", 400),
        ("/rgb/target.png", 400),
    ],
)
def test_what_there_is_not_is_said(sky: Sky, path: str, status: int) -> None:
    answer = sky.client.get(path)

    assert answer.status_code == status
    assert "<script>" not in answer.text.replace('<script type="module"', "").replace("<script src", "")
    assert sky.client.get(path, headers=JSON).is_json


def test_the_sky_is_found_where_little_of_a_frame_has_values(sky: Sky) -> None:
    levels = sky.client.get(address(sky, "i", "hollow_r", "g", form="json")).json
    whole = sky.client.get(address(sky, "i", "r", "g", form="json")).json

    assert levels["frames"][1]["black"] == pytest.approx(whole["frames"][1]["black"], abs=0.1)


def test_frames_that_share_no_sky_are_refused(sky: Sky) -> None:
    answer = sky.client.get(address(sky, "i", "far_r", "g"), headers=JSON)

    assert answer.status_code == 400
    assert "have no part of the sky in common" in answer.json["error"]


def test_the_same_frame_may_stand_for_several_bands(sky: Sky) -> None:
    shown = drawn(sky, "i", "i", "i")

    assert np.array_equal(shown[..., 0], shown[..., 2])


@pytest.mark.parametrize(("survey", "middle"), [("CFHTLS", 0.186), ("KiDS", 0.2)])
def test_published_coadds_give_colour_pictures_with_their_place(
    tmp_path: Path, real_data: Path, survey: str, middle: float
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/awe.db")
    Base.metadata.create_all(engine)
    with start_data_server(tmp_path / "files") as server:
        settings = Settings(home=tmp_path, database=str(engine.url), data_server=server.address)
        store = Store(server.address, tmp_path / "cache")
        worker = ExternalIngester(engine, store, settings, load_definitions(), stated=Stated(unit="adu"))
        reports = worker.ingest([real_data / "rgb" / f"{survey}-test_{band}.fits" for band in "irg"])
        site = Sky(create_app(settings, engine, store).test_client(), engine)
        site.ids = {band: r.frames[0] for band, r in zip("irg", reports, strict=True)}
        described = site.client.get(address(site, "i", "r", "g", form="json")).json
        with Session(engine) as session:
            frame = session.get_one(Coadd, site.ids["i"])
            target, wcs = frame.grid_target.name, frame.wcs
        shown = drawn(site, "i", "r", "g")
        of_target = site.client.get("/rgb/target.png", query_string={"target": target})
        packet = Image.open(io.BytesIO(site.client.get(address(site, "i", "r", "g")).data)).info["XML:com.adobe.xmp"]
    engine.dispose()

    assert described["balance"] == "zeropoint"
    assert described["pixel_scale"] == pytest.approx(middle, abs=0.001)
    assert of_target.headers["Location"].endswith(address(site, "i", "r", "g"))
    sky = np.median(shown.reshape(-1, 3), axis=0)
    assert sky.min() > 8
    assert sky.max() < 60
    assert np.ptp(sky) < 12
    assert shown.max() > 150
    assert f"<rdf:li>{wcs['CRVAL1']!r}</rdf:li>" in packet


@pytest.mark.parametrize(("nx", "ny", "factor"), [(6000, 6000, 1), (6400, 6400, 2), (27_000, 12_000, 3), (1, 50, 1)])
def test_what_is_too_large_is_binned_by_as_little_as_possible(nx: int, ny: int, factor: int) -> None:
    region = Section(0, nx, 0, ny)

    assert least_bin(region) == factor
    assert -(-nx // factor) * -(-ny // factor) <= LARGEST_PICTURE


def test_what_a_visitor_may_not_see_is_in_no_picture_and_no_gallery(sky: Sky) -> None:
    made = address(sky, "i", "r", "g")
    assert sky.client.get(made).status_code == 200
    store = Store(sky.settings.data_server, sky.settings.home / "cache")
    closed = create_app(replace(sky.settings, open_reading=False), sky.engine, store).test_client()
    with Session(sky.engine) as session:
        target = session.get_one(Coadd, sky.ids["i"]).grid_target.name

    for path in (made, made.replace(".png", ".json"), made.replace(".png", "/tiles/0/0_0.jpg")):
        assert closed.get(path).status_code == 404
    assert closed.get("/rgb/target.png", query_string={"target": target, "filters": "i,r,g"}).status_code == 404
    assert closed.get("/rgb/earlier.json").json == {"page": 1, "pictures": []}


def test_links_lead_to_pictures_and_to_the_page(sky: Sky) -> None:
    with sky.client.application.test_request_context():
        assert rgb_link((1, 2, 3), "jpg", fit=300) == "/rgb/1,2,3.jpg?fit=300"
        assert rgb_link((1, 2, 3)) == "/rgb?red=1&green=2&blue=3"
        assert rgb_link(target="M67") == "/rgb?target=M67"


@given(st.text(max_size=40))
def test_three_numbers_or_an_error(text: str) -> None:
    try:
        numbers = parse_ids(text)
    except BadRequest as error:
        numbers = str(error)

    assert "numbers of three frames" in numbers or len(numbers) == 3


@given(st.dictionaries(st.sampled_from([p.name for p in PARAMETERS]), st.text(max_size=20), max_size=5))
def test_any_query_is_read_or_refused(query: dict[str, str]) -> None:
    from awe.services.operations import Operation

    try:
        request = RgbRequest.of(Operation("x", PARAMETERS).read(query))
    except BadRequest:
        return
    assert RgbRequest.of(Operation("x", PARAMETERS).read(request.query())) == request
