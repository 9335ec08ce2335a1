"""The image viewer: sections, tiles, readout and overlays show the right pixels at the right place of the sky."""

import html
import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session

from awe import model
from awe.config import Settings
from awe.fits_writing import write_image
from awe.kernels.binning import bin_mean
from awe.kernels.colour_maps import ColourMap, colour_table
from awe.kernels.flag_picture import colour_flags
from awe.kernels.mesh import spread_mesh
from awe.kernels.sections import Section
from awe.kernels.stretch import Cuts, Stretch, apply_stretch, cuts
from awe.kernels.wcs import Wcs, tan
from awe.local import start_data_server
from awe.model.catalogue import SOURCES
from awe.services import pyramids
from awe.services.app import create_app
from awe.services.image_overlays import MOST_SOURCES, _outline
from awe.services.image_still import HEIGHT, WIDTH, Still
from awe.services.pyramids import last_level, level_shape
from awe.services.stored_frames import StoredFrame
from awe.store import Store
from tests.web_world import MESH
from tests.web_world import SHAPE as SMALL

SHAPE = NY, NX = 1021, 1303
"""Neither side is a multiple of a tile or of a block."""
RNG = np.random.default_rng(11)
IMAGE = (RNG.normal(0, 3, SHAPE) + np.add.outer(np.arange(NY) / 7, np.arange(NX) / 40)).astype(np.float32)
IMAGE[300:340, 500:560] = np.nan
WEIGHT = RNG.uniform(0.5, 1.5, SHAPE).astype(np.float32)
FLAGS = (RNG.random(SHAPE) < 0.002).astype(np.uint8) * 4 | (RNG.random(SHAPE) < 0.001).astype(np.uint8) * 8
SKY = tan(150.0, 2.0, 0.3, NX, NY, rotation=30.0)
OTHER = tan(150.01, 2.005, 0.5, 400, 300)
SECOND = RNG.normal(5, 1, (300, 400)).astype(np.float32)
X, Y = RNG.uniform(0, NX - 1, 3000), RNG.uniform(0, NY - 1, 3000)
FROM_SAMPLE = 0.15
"""Part of the range by which cuts of a sample may differ from those of all pixels."""


@dataclass
class Site:
    """A frame with all planes and a source list, and a smaller one on the same sky, mirrored against it."""

    engine: Engine
    store: Store
    frame: int
    second: int
    slid: int
    filename: str
    client: FlaskClient


def _named(thing: Any) -> Any:
    thing.creator, thing.project, thing.software_version, thing.host = "rees", "default", "0", "coma"
    return thing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("imageview")
    engine = create_engine(f"sqlite:///{folder}/x.db")
    model.Base.metadata.create_all(engine)
    with start_data_server(folder / "files") as server, Session(engine) as session:
        store = Store(server.address, folder / "cache")
        telescope = _named(model.Telescope(name="T", longitude=0.0, latitude=0.0, altitude=0.0))
        camera = _named(model.Instrument(name="C", telescope=telescope, definition="0" * 64))
        grid = _named(
            model.GridTarget(
                name="G", object="M1", ra=150.0, dec=2.0, pixel_scale=0.3, naxis1=NX, naxis2=NY, wcs=SKY.cards
            )
        )

        def coadd(name: str, planes: dict[str, np.ndarray], wcs: Wcs) -> Any:
            path = folder / f"{name}.fits"
            write_image(path, planes, dict(wcs.cards) | {"OBJECT": "M1"})
            ny, nx = planes["IMAGE"].shape
            stored = store.put(path)
            store.cache.forget(stored.filename)
            made = model.Coadd(
                instrument=camera,
                grid_target=grid,
                object="M1 <script>",
                date_obs=datetime(2026, 1, 1),
                mjd_obs=61041.0,
                night=date(2026, 1, 1),
                filename=stored.filename,
                sha256=stored.sha256,
                naxis1=nx,
                naxis2=ny,
                wcs=wcs.cards,
                footprint=wcs.footprint(nx, ny).tolist(),
            )
            session.add(_named(made))
            session.flush()
            return made

        frame = coadd("Sci-first.r", {"IMAGE": IMAGE, "WEIGHT": WEIGHT, "FLAGS": FLAGS}, SKY)
        second = coadd("Sci-second.r", {"IMAGE": SECOND}, OTHER)
        listed = _named(model.SourceList(frame=frame, name="list", n_sources=len(X)))
        listed.parameters = model.SourceList.Parameters()
        session.add(listed)
        session.flush()
        empty: dict[str, Any] = {c.name: 0 for c in SOURCES.columns if not c.nullable}
        ra, dec = SKY.to_sky(X, Y)
        shape = {"A_IMAGE": 3.0, "B_IMAGE": 1.5, "THETA_IMAGE": 20.0, "KRON_RADIUS": 2.5, "FLAGS": 2}
        rows = [
            empty
            | shape
            | {"SLID": listed.object_id, "SID": i, "XWIN_IMAGE": x, "YWIN_IMAGE": y, "MAG_AUTO": 25 - i / 1000}
            | {"RA": a, "DEC": d}
            for i, (x, y, a, d) in enumerate(zip(X.tolist(), Y.tolist(), ra.tolist(), dec.tolist(), strict=True))
        ]
        session.execute(insert(SOURCES), rows)
        session.commit()
        app = create_app(Settings(home=folder), engine, store)
        numbers = frame.object_id, second.object_id, listed.object_id
        yield Site(engine, store, *numbers, frame.filename, app.test_client())
        engine.dispose()


def pixels(site: Site, address: str) -> np.ndarray:
    answer = site.client.get(address)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data)))


def opened(site: Site, address: str) -> tuple[np.ndarray, fits.Header]:
    answer = site.client.get(address)
    assert answer.status_code == 200, answer.text
    with fits.open(io.BytesIO(answer.data)) as hdus:
        return np.asarray(hdus[0].data), hdus[0].header.copy()


def asked(site: Site, address: str) -> Any:
    answer = site.client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.json


# sections


def test_a_fits_section_has_the_pixels_around_its_middle_and_their_place_on_the_sky(site: Site) -> None:
    found, header = opened(site, f"/imageview/{site.frame}.fits?x=101&y=51&width=21&height=11")

    assert np.array_equal(found, IMAGE[45:56, 90:111], equal_nan=True)
    assert header["OBJECT"] == "M1"
    sky = WCS(header).all_pix2world([[0, 0], [20, 10]], 0)
    expected = np.transpose(SKY.to_sky([90, 110], [45, 55]))
    assert np.abs(sky - expected).max() < 1e-9


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_a_binned_section_has_the_means_of_blocks_and_their_middles_on_the_sky(site: Site, factor: int) -> None:
    found, header = opened(site, f"/imageview/{site.frame}.fits?x=101&y=51&width=42&height=21&bin={factor}")

    region = IMAGE[40:61, 79:121]
    rows, columns = -(-21 // factor), 42 // factor
    assert found.shape == (rows, columns)
    assert found[1, 2] == pytest.approx(region[factor : 2 * factor, 2 * factor : 3 * factor].mean(), abs=1e-4)
    assert found[-1, 0] == pytest.approx(region[(rows - 1) * factor :, :factor].mean(), abs=1e-4)
    sky = WCS(header).all_pix2world([[2, 1]], 0)
    expected = np.transpose(SKY.to_sky([79 + 2 * factor + (factor - 1) / 2], [40 + factor + (factor - 1) / 2]))
    assert np.abs(sky - expected).max() < 1e-9


def test_sections_of_one_image_do_not_change_the_header_of_each_other(site: Site) -> None:
    address = f"/imageview/{site.frame}.fits?x=101&y=51&width=42"
    _, before = opened(site, address)
    opened(site, f"{address}&bin=2")
    _, after = opened(site, f"{address}&plane=image&height=40")

    assert [after[k] - before[k] for k in ("CD1_1", "CRPIX1", "CRPIX2", "LTV1")] == [0, 0, -1, 0]


def test_a_picture_has_large_y_at_the_top_and_large_x_at_the_right(site: Site) -> None:
    shown = pixels(site, f"/imageview/{site.frame}.png?x=200&y=100&width=50&height=30&cuts=0,30")

    assert np.array_equal(shown, apply_stretch(IMAGE[84:114, 174:224], 0, 30)[::-1])


def test_a_section_by_sky_lies_around_the_position_and_is_as_large_as_asked(site: Site) -> None:
    ra, dec = (float(v) for v in SKY.to_sky(400, 700))
    answer = site.client.get(f"/imageview/{site.frame}.fits?ra={ra:.9f}&dec={dec:.9f}&size=30.3")

    assert answer.headers["X-Section"] == "[351:451,651:751]"  # 101 pixels of 0.3 arcsec around (401, 701)


def test_what_lies_beyond_the_image_is_blank_and_counted(site: Site) -> None:
    answer = site.client.get(f"/imageview/{site.frame}.fits?x=1&y=1&width=20")
    found = fits.open(io.BytesIO(answer.data))[0].data

    assert answer.headers["X-Section"] == "[-9:10,-9:10]"
    assert int(answer.headers["X-Outside"]) == 400 - 100
    assert np.isnan(found).sum() == 400 - 100
    assert np.array_equal(found[10:, 10:], IMAGE[:10, :10])


def test_a_flag_map_says_that_beyond_the_image_there_is_no_data(site: Site) -> None:
    found, _ = opened(site, f"/imageview/{site.frame}.fits?x={NX}&y={NY}&width=8&plane=flags")

    assert set(found[:, 5:].ravel()) == {32}
    assert np.array_equal(found[:4, :4], FLAGS[NY - 5 : NY - 1, NX - 5 : NX - 1])


def test_a_large_section_that_leaves_the_image_is_binned_like_its_pixels(site: Site) -> None:
    found, _ = opened(site, f"/imageview/{site.frame}.fits?x=1&y=1&width=200&bin=8")
    padded = np.full((200, 200), np.nan)
    padded[100:, 100:] = IMAGE[:100, :100]

    with np.errstate(invalid="ignore"):
        blocks = padded.reshape(25, 8, 25, 8)
        counts = np.isfinite(blocks).sum((1, 3))
        expected = np.where(counts > 0, np.nansum(blocks, (1, 3)) / np.maximum(counts, 1), np.nan)
    assert np.allclose(found, expected, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("name", ["Sci-first.r.fits", "Sci-first.r"])
def test_a_frame_is_found_by_the_name_of_its_file(site: Site, name: str) -> None:
    by_name, _ = opened(site, f"/imageview/{name}.fits?x=9&y=9&width=4")
    assert np.array_equal(by_name, IMAGE[6:10, 6:10])
    assert site.client.get(f"/imageview/{name}/ancestors").status_code == 200


def test_the_name_of_a_file_is_its_fits_address(site: Site) -> None:
    found, _ = opened(site, f"/imageview/{site.filename}?bin=64")
    assert found.shape == (16, 21)


def test_colours_are_those_of_the_map(site: Site) -> None:
    address = f"/imageview/{site.frame}.{{}}?x=200&y=100&width=40&cuts=0,30&cmap={{}}"
    gray = pixels(site, address.format("png", "gray"))
    for kind in ColourMap:
        picture = Image.open(io.BytesIO(site.client.get(address.format("png", kind)).data)).convert("RGB")
        assert np.array_equal(np.asarray(picture), colour_table(kind)[gray])
    assert np.array_equal(pixels(site, address.format("tif", "heat")), colour_table(ColourMap.HEAT)[gray])
    assert np.abs(pixels(site, address.format("jpg", "gray")).astype(int) - gray).mean() < 5


def test_old_addresses_lead_to_the_new_ones_for_good(site: Site) -> None:
    answer = site.client.get(f"/picture/{site.frame}.png?width=160&invert=1")

    assert (answer.status_code, answer.location) == (301, f"/imageview/{site.frame}.png?invert=1&fit=160")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("x=5", "x and y must be given together"),
        ("dec=5", "ra and dec must be given together"),
        ("x=5&y=5&ra=1&dec=1", "given twice"),
        ("x=5&y=5&size=3&width=4", "given twice"),
        ("bin=2&fit=100", "give one of them"),
        ("x=5000&y=5&width=10", "wholly off the image: the image of Coadd"),
        ("x=-100&y=-100&width=10", f"has {NX} x {NY} pixels (x, y), its centre is at 150.00000 +2.00000 deg"),
        ("ra=10&dec=2&size=10", "off the image"),
        ("ra=330&dec=-2&size=10", "off the image"),
        ("x=nan&y=5", "x must be a number"),
        ("x=inf&y=5", "x must be a number"),
        ("x=1e308&y=5", "from -1e+07 to 1e+07"),
        ("x=5&y=5&width=0", "from 1 to 100000"),
        ("x=5&y=5&width=-3", "from 1 to 100000"),
        ("width=100000&height=100000", "ask for bin=16 or more"),
        ("ra=150&dec=2&size=36001", "from 0.01 to 36000"),
        ("cuts=p5", "zscale"),
        ("cuts=nan,nan", "finite"),
        ("cmap=jet", "gray or viridis"),
        ("x=5&y=5&heigth=3", "height"),
    ],
)
def test_a_section_that_can_not_be_had_is_refused_with_the_reason(site: Site, query: str, said: str) -> None:
    answer = site.client.get(f"/imageview/{site.frame}.fits?{query}", headers={"Accept": "application/json"})

    assert answer.status_code == 400
    assert said in answer.json["error"]


def test_a_frame_without_coordinates_is_asked_for_by_pixels(client: FlaskClient, world: Any) -> None:
    answer = client.get(f"/imageview/{world.ids['BiasFrame']}.png?ra=5&dec=5", headers={"Accept": "application/json"})
    assert (answer.status_code, "has no coordinates on the sky: give x and y" in answer.json["error"]) == (400, True)


# tiles


def assembled(site: Site, settings: str, level: int, form: str = "png") -> np.ndarray:
    """Return all tiles of a level put together."""
    ny, nx = (math.ceil(n / 2**level) for n in SHAPE)
    address = f"/imageview/{site.frame}/tiles/{settings}/{level}"
    size = pyramids.TILE
    rows = [
        np.concatenate([pixels(site, f"{address}/{x}_{y}.{form}") for x in range(math.ceil(nx / size))], axis=1)
        for y in range(math.ceil(ny / size))
    ]
    return np.concatenate(rows)


def from_the_top(image: np.ndarray, side: int) -> np.ndarray:
    """Return the means of blocks that begin at the top left, row 0 being the top."""
    turned = image[::-1].astype(np.float64)
    ny, nx = (math.ceil(n / side) for n in turned.shape)
    return np.array(
        [[_mean(turned[y * side : (y + 1) * side, x * side : (x + 1) * side]) for x in range(nx)] for y in range(ny)]
    )


def _mean(block: np.ndarray) -> float:
    good = block[np.isfinite(block)]
    return float(good.mean()) if good.size else math.nan


def test_tiles_of_the_lowest_level_together_are_the_picture(site: Site) -> None:
    whole = pixels(site, f"/imageview/{site.frame}.png?cuts=-5,170")
    assert np.array_equal(assembled(site, "image~linear~-5,170~gray~0", 0), whole)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_tiles_of_each_level_together_are_the_means_of_blocks_from_the_top_left(site: Site, level: int) -> None:
    shown = assembled(site, "image~linear~-5,170~gray~0", level)
    expected = apply_stretch(from_the_top(IMAGE, 2**level).astype(np.float32), -5, 170)

    assert shown.shape == expected.shape
    assert (np.abs(shown.astype(int) - expected) <= 1).all()  # a level of gray where rounding differs
    assert np.mean(shown == expected) > 0.995


def test_all_tiles_have_the_cuts_of_the_whole_image(site: Site) -> None:
    said = asked(site, f"/imageview/{site.frame}/cuts.json")
    assert (said["low"], said["high"]) == cuts(IMAGE)

    shown = assembled(site, "image~asinh~zscale~gray~1", 0)
    assert np.array_equal(shown, apply_stretch(IMAGE, said["low"], said["high"], Stretch.ASINH, True)[::-1])


def test_cuts_of_a_large_image_rest_on_rows_spread_over_it_and_say_so(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pyramids, "SMALL", 1000)
    monkeypatch.setattr(pyramids, "SAMPLED_PIXELS", 1000)
    client = create_app(Settings(home=tmp_path), site.engine, site.store).test_client()
    said = client.get(f"/imageview/{site.frame}/cuts.json?cuts=percentile").json
    low, high = cuts(IMAGE, Cuts.PERCENTILE)

    assert said["from_sample"] is True
    assert abs(said["low"] - low) < FROM_SAMPLE * (high - low)
    assert abs(said["high"] - high) < FROM_SAMPLE * (high - low)


def test_an_overview_loses_no_flagged_pixel(site: Site) -> None:
    shown = assembled(site, "flags~linear~zscale~gray~0", 3)

    turned = np.zeros((1024, 1304), np.uint8)
    turned[:NY, :NX] = FLAGS[::-1]
    expected = np.bitwise_or.reduce(np.bitwise_or.reduce(turned.reshape(128, 8, 163, 8), axis=3), axis=1)
    assert np.array_equal(shown, colour_flags(expected))


def test_tiles_are_kept_by_the_browser_and_not_made_again(site: Site) -> None:
    address = f"/imageview/{site.frame}/tiles/weight~linear~minmax~magma~0/2/0_0.jpg"
    first = site.client.get(address)
    again = site.client.get(address, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert (first.mimetype, first.headers["X-Binning"]) == ("image/jpeg", "4")
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("image~linear~zscale~gray~0/0/3_0.png", 404, "no tile 3_0 of level 0 of Coadd"),
        ("image~linear~zscale~gray~0/0/0_2.png", 404, "which has 3 x 2 tiles"),
        ("image~linear~zscale~gray~0/9/0_0.png", 404, "its levels are 0 to 3"),
        ("image~linear~zscale~gray~0/0/0_0.gif", 404, "no tiles of kind 'gif'"),
        ("image~linear~zscale~gray/0/0_0.png", 400, "plane~stretch~cuts~cmap~invert"),
        ("image~cubic~zscale~gray~0/0/0_0.png", 400, "stretch must be"),
        ("image~linear~5,1~gray~0/0/0_0.png", 400, "smaller one first"),
        ("colour~linear~zscale~gray~0/0/0_0.png", 400, "plane must be"),
    ],
)
def test_a_tile_that_can_not_be_had_is_refused(site: Site, address: str, status: int, said: str) -> None:
    answer = site.client.get(f"/imageview/{site.frame}/tiles/{address}", headers={"Accept": "application/json"})

    assert (answer.status_code, said in answer.json["error"]) == (status, True), answer.json


def test_a_plane_that_the_file_lacks_has_no_tiles(site: Site) -> None:
    for level in (0, 1):
        answer = site.client.get(f"/imageview/{site.second}/tiles/weight~linear~zscale~gray~0/{level}/0_0.png")
        assert answer.status_code == 404


# readout


def test_the_readout_has_values_flags_and_place_of_the_pixels_around(site: Site) -> None:
    y, x = np.argwhere(FLAGS == 8)[10]
    said = asked(site, f"/imageview/{site.frame}/pixel.json?x={x + 1.3}&y={y + 0.8}&half=2")

    assert (said["x0"], said["y0"]) == (x - 1, y - 1)
    assert np.allclose(said["values"], IMAGE[y - 2 : y + 3, x - 2 : x + 3])
    assert said["flags"] == FLAGS[y - 2 : y + 3, x - 2 : x + 3].tolist()
    assert said["bits"]["8"] == "cosmic"
    assert (said["sky"]["ra"], said["sky"]["dec"]) == pytest.approx([float(v) for v in SKY.to_sky(x + 0.3, y - 0.2)])


def test_the_readout_is_cut_off_at_the_edge_and_says_nothing_of_nan(site: Site) -> None:
    corner = asked(site, f"/imageview/{site.frame}/pixel.json?x=1&y=1&half=3")
    hole = asked(site, f"/imageview/{site.frame}/pixel.json?x=521&y=321")

    assert (corner["x0"], corner["y0"], np.shape(corner["values"])) == (1, 1, (4, 4))
    assert hole["values"] == [[None]]
    assert site.client.get(f"/imageview/{site.frame}/pixel.json?x=0.4&y=5").status_code == 400


def test_pixels_and_sky_lead_to_each_other(site: Site) -> None:
    there = asked(site, f"/imageview/{site.frame}/sky.json?x=100&y=900")
    back = asked(site, f"/imageview/{site.frame}/sky.json?ra={there['ra']!r}&dec={there['dec']!r}")

    assert (back["x"], back["y"]) == (pytest.approx(100, abs=1e-6), pytest.approx(900, abs=1e-6))
    # rotated by 30 degrees, 0.3 arcsec a pixel: y runs along position angle 30
    assert there["matrix"] == pytest.approx([-0.3 * 0.8660, 0.15, 0.15, 0.3 * 0.8660], abs=2e-4)
    assert there["scale"] == pytest.approx(0.3, rel=1e-4)


def test_a_position_leads_to_the_same_place_of_another_frame(site: Site) -> None:
    said = asked(site, f"/imageview/{site.frame}/sky.json?x=600&y=500&onto={site.second}")
    x, y = OTHER.to_pixel(said["ra"], said["dec"])

    assert (said["onto"]["x"], said["onto"]["y"]) == (pytest.approx(float(x) + 1), pytest.approx(float(y) + 1))
    assert said["onto"]["scale"] == pytest.approx(0.5, rel=1e-3)


# overlays


def test_sources_in_view_are_those_of_the_list_the_brightest_first(site: Site) -> None:
    said = asked(site, f"/imageview/{site.frame}/sources.json?x1=101&x2=201&y1=301&y2=501")
    inside = np.flatnonzero((X >= 100) & (X <= 200) & (Y >= 300) & (Y <= 500))
    rows = [dict(zip(said["columns"], row, strict=True)) for row in said["rows"]]

    assert said["total"] == len(inside) > 10
    assert [r["SID"] for r in rows] == inside[::-1].tolist()  # fainter ones came first
    assert [r["x"] for r in rows] == pytest.approx(X[inside[::-1]] + 1)


def test_of_too_many_sources_the_brightest_are_sent_with_the_number_of_all(site: Site) -> None:
    said = asked(site, f"/imageview/{site.frame}/sources.json?slid={site.slid}")

    assert (said["total"], len(said["rows"])) == (len(X), MOST_SOURCES)
    assert said["rows"][0][0] == len(X) - 1
    assert site.client.get(f"/imageview/{site.second}/sources.json").status_code == 404
    assert site.client.get(f"/imageview/{site.second}/sources.json?slid={site.slid}").status_code == 404


def test_footprints_are_drawn_where_the_frames_lie() -> None:
    image = StoredFrame(1, "Coadd", "a", "b", 0, NX, NY, datetime(2026, 1, 1), solved=SKY)
    part = SKY.shifted(-100, -50).footprint(200, 300).tolist()
    found = _outline(image, {"object_id": 2, "class_name": "RegriddedFrame", "date_obs": None, "footprint": part})

    assert found is not None
    assert np.allclose(found["corners"], [[100.5, 50.5], [300.5, 50.5], [300.5, 350.5], [100.5, 350.5]], atol=0.01)
    far = tan(330.0, -2.0, 0.3, 10, 10).footprint(10, 10).tolist()
    assert _outline(image, {"object_id": 2, "class_name": "A", "date_obs": None, "footprint": far}) is None


# pages


def test_the_viewer_works_without_scripts_as_a_picture_and_a_form(site: Site) -> None:
    page = site.client.get(f"/imageview/{site.frame}?stretch=asinh&cuts=0,30&cmap=magma&invert=1").text

    still = re.search(r'<input type="image"[^>]* src="([^"]+)"', page)
    assert still is not None
    shown = urlsplit(html.unescape(still[1]))
    asked_for = dict(parse_qsl(shown.query))
    assert shown.path == f"/imageview/{site.frame}.png"
    assert {k: asked_for[k] for k in ("stretch", "cuts", "cmap", "invert")} == {
        "stretch": "asinh", "cuts": "0.0,30.0", "cmap": "magma", "invert": "1",
    }  # fmt: skip
    assert site.client.get(html.unescape(still[1])).status_code == 200
    assert "<option selected>asinh</option>" in page
    assert "<script>" not in page
    assert "M1 &lt;script&gt;" in page


def test_a_click_on_the_picture_makes_that_pixel_the_middle_and_reads_it(site: Site) -> None:
    address = f"/imageview/{site.frame}?x=400&y=500&zoom=2&click.x={WIDTH // 2 + 100}&click.y={HEIGHT // 2 - 60}"
    page = html.unescape(site.client.get(address).text)

    x, y = 450.25, 529.75  # the middle of the pixel of the screen
    assert f"x {x}  y {y}   {IMAGE[529, 449]:.7g} adu" in page
    assert f'name="x" value="{x}"' in page


def test_the_moves_of_the_picture_lead_to_where_they_say(site: Site) -> None:
    image = StoredFrame(1, "Coadd", "a.fits", "", 0, 16000, 16000, datetime(2026, 1, 1))
    whole = Still.of(image, None, None, None)
    near = Still.of(image, 8000, 9000, 2)

    assert (whole.x, whole.y, whole.zoom) == (8000.5, 8000.5, HEIGHT / 16000)
    assert near.section == {"x": 8000, "y": 9000, "width": WIDTH // 2, "height": HEIGHT // 2, "fit": WIDTH}
    assert near.moves["left"] == {"x": 8000 - WIDTH / 4, "y": 9000, "zoom": 2}
    assert near.moves["up"] == {"x": 8000, "y": 9000 + HEIGHT / 4, "zoom": 2}
    assert [near.moves[m]["zoom"] for m in ("resize 2x", "resize 0.5x", "1:1")] == [4, 1, 1]
    assert Still.of(image, -5, 1e6, 1e9).moves["right"] == {"x": 1 + WIDTH / 128, "y": 16000, "zoom": 64}


def test_the_colours_of_three_frames_are_a_layer_on_the_pixels_of_one(site: Site) -> None:
    frame, second = site.frame, site.second
    address = f"/imageview/{frame}?rgb={second},{frame},{second}&rgb_look=mode%3Dasinh%26q%3D5"
    page = html.unescape(site.client.get(address).text)

    assert "<option selected>rgb</option>" in page
    assert f'"rgb_tiles":"/rgb/{second},{frame},{second}/tiles"' in page.replace(": ", ":")
    assert '"rgb_query":"mode=asinh&q=5&grid=green"' in page.replace(": ", ":").replace("\\u0026", "&")
    tile = site.client.get(f"/rgb/{second},{frame},{second}/tiles/{last_level(site_image(site))}/0_0.jpg?grid=green")
    assert Image.open(io.BytesIO(tile.data)).size == tuple(reversed(level_shape(site_image(site), 3)))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("rgb=1,2", "three frames, such as 12,13,14"),
        ("rgb=<script>", "three frames"),
        ("rgb=901,902,903", "does not have the frame"),
        ("rgb_look=q%3D5", "need three frames"),
        ("plane=rgb", "need three frames"),
        ("plane=depth", "plane must be"),
        ("with=99999", "no object 99999"),
        ("zoom=1e9", "zoom must be"),
        ("click.x=1.5", "click.x must be"),
    ],
)
def test_what_the_viewer_can_not_show_is_told(site: Site, query: str, reason: str) -> None:
    answer = site.client.get(f"/imageview/{site.frame}?{query}")

    assert answer.status_code in (400, 404)
    assert reason in answer.text
    assert "<script>" not in answer.text


def site_image(site: Site) -> StoredFrame:
    return StoredFrame(site.frame, "Coadd", site.filename, "", 0, NX, NY, datetime(2026, 1, 1), "M1", solved=SKY)


def test_the_viewer_takes_a_position_of_the_sky(site: Site) -> None:
    ra, dec = (float(v) for v in SKY.to_sky(400, 700))
    page = site.client.get(f"/imageview/{site.frame}?ra={ra!r}&dec={dec!r}&zoom=2").text

    assert 'name="x" value="401.0"' in page


def test_the_entry_leads_to_a_frame_by_number_and_finds_it_by_words(site: Site) -> None:
    assert site.client.get(f"/imageview?q={site.frame}").location == f"/imageview/{site.frame}"
    assert site.client.get("/imageview?q=Sci-second.r").location == f"/imageview/{site.second}"
    found = site.client.get("/imageview?q=first").text
    assert (f"/imageview/{site.frame}.png?fit=160" in found, f"/imageview/{site.second}.png" in found) == (True, False)
    assert "No frame fits" in site.client.get("/imageview?q=%25_%27").text
    assert f"/imageview/{site.second}.png?fit=160" in site.client.get("/imageview").text


def test_an_image_that_is_stored_as_a_mesh_is_shown_with_all_its_pixels(client: FlaskClient, world: Any) -> None:
    number = world.ids["BackgroundFrame"]
    expected = spread_mesh(MESH, SMALL)

    def fits_of(query: str) -> Any:
        answer = client.get(f"/imageview/{number}.fits{query}")
        assert answer.status_code == 200, answer.text
        return fits.open(io.BytesIO(answer.data))[0]

    whole, part, coarse = fits_of("?bin=1"), fits_of("?x=100&y=50&width=40&height=30&bin=1"), fits_of("?bin=4")
    np.testing.assert_allclose(whole.data, expected, rtol=1e-6)
    x0, y0 = int(1 - part.header["LTV1"]) - 1, int(1 - part.header["LTV2"]) - 1
    np.testing.assert_allclose(part.data, expected[y0 : y0 + 30, x0 : x0 + 40], rtol=1e-6)
    np.testing.assert_allclose(coarse.data, bin_mean(expected, 4), rtol=1e-6)
    assert "IMNAXIS1" not in whole.header
    picture = Image.open(io.BytesIO(client.get(f"/imageview/{number}.png?bin=1").data))
    assert picture.size == SMALL[::-1]


def test_facts_of_an_image_are_asked_of_the_database_once(site: Site, statements: Callable[..., Any]) -> None:
    address = f"/imageview/{site.frame}.png?x=50&y=50&width=10&cuts=0,"
    site.client.get(address + "31")
    with statements(site.engine) as sent:
        assert site.client.get(address + "32").status_code == 200
        site.client.get(f"/imageview/{site.frame}/tiles/image~linear~0,32~gray~0/2/0_0.png")
    assert sent == []


def test_one_position_in_all_ancestors_is_a_page_and_json(client: FlaskClient, world: Any) -> None:
    reduced = world.ids["ReducedFrame"]
    page = client.get(f"/imageview/{reduced}/ancestors?x=33.5&y=20").text
    said = client.get(f"/imageview/{reduced}/ancestors.json?x=33.5&y=20").json

    inside = {p["class"]: (p["x"], p["y"]) for p in said["places"] if p["inside"]}
    assert said["total"] == len(said["places"])
    assert inside["BiasFrame"] == inside["MasterFlatFrame"] == (33.5, 20.0)
    assert f"/imageview/{world.ids['BiasFrame']}?x=33.5&amp;y=20.0" in page


@pytest.mark.parametrize(
    "which", ["999999", "none.fits", "..", "%3Cscript%3E", "%7B%7B7*7%7D%7D", "' or 1=1", "-1", "²"]
)
@pytest.mark.parametrize("rest", ["", ".png", ".json", "/pixel.json?x=1&y=1", "/ancestors", "/sky.json", "/cuts.json"])
def test_what_is_no_frame_is_not_found(site: Site, which: str, rest: str) -> None:
    answer = site.client.get(f"/imageview/{which}{rest}")

    assert answer.status_code == 404
    assert "<script>" not in answer.text or answer.mimetype == "application/json"


def test_regions_are_told_as_fits_tells_them() -> None:
    assert str(Section(0, 10, -2, 3)) == "[1:10,-1:3]"
