"""Pictures at the prompt and in notebooks, from a site that is really served and from the same process."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from astropy.io import fits
from PIL import Image

from awe import prompt
from awe.config import Settings, load_settings
from awe.database import open_engine, short_transaction, upgrade
from awe.errors import BadRequest, NotFound, StoreUnavailable
from awe.instruments import load_definitions
from awe.kernels.wcs import Wcs, tan
from awe.local import start_data_server
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.tasks import register_processes
from awe.services.image_client import ImageClient
from awe.store import Store

ROOT = Path(__file__).parents[2]
NX, NY = 256, 200
FIELD = tan(30.0, 10.0, 0.25, NX, NY)
STARS = [(40.0, 30.0), (200.0, 50.0), (120.0, 100.0), (60.0, 160.0), (210.0, 170.0)]


@dataclass
class Site:
    """A home folder with its database and files, and the address at which its pages are served."""

    settings: Settings
    address: str
    coadd: int
    sources: int
    associates: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two coadds made elsewhere with their source lists, associated, served by `awe serve`."""
    home = tmp_path_factory.mktemp("site")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    settings = load_settings(home=home, port=port, workers=1)
    engine = open_engine(settings.database)
    upgrade(engine)
    with short_transaction(engine) as session:
        register_processes(session)
    with start_data_server(settings.data_folder) as server:
        store = Store(server.address, home / "cache")
        taken = ExternalIngester(engine, store, settings, load_definitions(), stated=Stated(zeropoint="30"))
        reports = taken.ingest([coadd(home, band, seed) for seed, band in enumerate("rg")])
        frames = [report.frames[0] for report in reports]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prompt, "context", prompt.Context())
            prompt.context.connect(settings)
            lists = [prompt.make("SourceList", frame=number)[0].object_id for number in frames]
            (matched,) = prompt.make("AssociateList", source_lists=lists)
            associates = matched.object_id
            prompt.context.session.close()
        command = [sys.executable, "-m", "awe.cli", "--home", str(home), "serve", "--port", str(port)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, start_new_session=True)
        try:
            yield Site(settings, patiently(process, port), frames[0], lists[0], associates)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)
            engine.dispose()


def coadd(folder: Path, band: str, seed: int) -> Path:
    """Write a coadd of five stars that was made elsewhere, an hour ago."""
    y, x = np.mgrid[:NY, :NX]
    image = np.random.default_rng(seed).normal(0, 1, (NY, NX))
    for x0, y0 in STARS:
        image += 400 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 2.0**2))
    header = fits.Header()
    header.update(FIELD.cards)
    header.update({"OBJECT": "Field", "INSTRUME": "WFX", "FILTER": band, "BUNIT": "adu", "DATE-OBS": "2024-01-01"})
    fits.writeto(folder / f"stack_{band}.fits", image.astype(np.float32), header)
    os.utime(folder / f"stack_{band}.fits", (time.time() - 3600,) * 2)
    return folder / f"stack_{band}.fits"


def patiently(process: "subprocess.Popen[bytes]", port: int) -> str:
    """Return the address of a site as soon as it answers."""
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        assert process.poll() is None, "the site ended"
        with suppress(requests.ConnectionError):
            if requests.get(f"{address}/healthz", timeout=20).ok:
                return address
        time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


@pytest.fixture
def at_prompt(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The prompt, connected to the database of the site."""
    monkeypatch.setattr(prompt, "context", prompt.Context())
    prompt.context.connect(site.settings)
    yield site
    prompt.context.images.close()


@pytest.fixture
def alone(site: Site) -> Iterator[ImageClient]:
    """A client whose settings name a port at which nothing is served."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        client = ImageClient(replace(site.settings, port=int(free.getsockname()[1])))
        client._site = ""
    yield client
    client.close()


def test_a_picture_is_that_of_its_address(at_prompt: Site) -> None:
    coadd = at_prompt.coadd
    picture = prompt.image(coadd, stretch="asinh", cuts="0,50")

    assert picture.address == f"{at_prompt.address}/imageview/{coadd}.png?stretch=asinh&cuts=0,50"
    assert picture.content == requests.get(picture.address, timeout=20).content
    assert picture.array.shape == (NY, NX)
    assert picture._repr_png_() == picture.content
    assert picture._repr_jpeg_() is None


def test_a_picture_tells_its_steps_and_how_long_they_took(at_prompt: Site) -> None:
    picture = prompt.image(at_prompt.coadd, cuts="1,49")

    assert set(picture.timings) > {"request"}
    steps = sum(value for name, value in picture.timings.items() if name != "request")
    assert 0 < steps <= picture.timings["request"]
    (line,) = picture.log
    assert line.startswith(f"GET {picture.address} 200, ")
    assert f"{picture.timings['request']:.0f} ms" in repr(picture)


def test_objects_numbers_and_file_names_lead_to_the_same_picture(at_prompt: Site) -> None:
    coadd = prompt.get(at_prompt.coadd)
    numbers = prompt.image(coadd.object_id, fit=64)

    assert prompt.image(coadd, fit=64).content == numbers.content
    assert prompt.image(coadd.filename, fit=64).content == numbers.content
    assert numbers.facts["binning"] == "4"


def test_a_fits_section_has_pixels_and_coordinates(at_prompt: Site) -> None:
    coadd = prompt.get(at_prompt.coadd)
    x, y = STARS[2]
    section = prompt.image(coadd, format="fits", x=x + 1, y=y + 1, width=21, height=11)

    assert section.array.shape == (11, 21)
    assert np.unravel_index(section.array.argmax(), (11, 21)) == (5, 10)
    for found, true in zip(Wcs.from_header(section.header).to_sky(10.0, 5.0), FIELD.to_sky(x, y), strict=True):
        assert float(found) == pytest.approx(float(true), abs=1e-8)
    assert section.array.dtype == np.float32
    shown = Image.open(io.BytesIO(section._repr_png_() or b""))
    assert shown.size == (21, 11)


def test_pictures_are_saved_under_a_name_of_their_kind(at_prompt: Site, tmp_path: Path) -> None:
    picture = prompt.image(at_prompt.coadd, format="jpeg")

    assert picture.form == "jpg"
    assert picture._repr_jpeg_() == picture.content
    assert picture.save(tmp_path / "field").name == "field.jpg"
    assert picture.save(tmp_path).suffix == ".jpg"
    with pytest.raises(BadRequest, match=r"field.png: this is a jpg file"):
        picture.save(tmp_path / "field.png")


def test_colour_pictures_are_made_of_three_frames(at_prompt: Site) -> None:
    coadd = at_prompt.coadd
    picture = prompt.rgb(coadd, prompt.get(coadd), "stack_r.fits", q=4, scale=[1, 1, 1])

    assert picture.array.shape == (NY, NX, 3)
    assert picture.address.endswith(f"/rgb/{coadd},{coadd},{coadd}.png?q=4&scale=1,1,1")
    assert picture.facts["balance"] == "zeropoint"


def test_colour_pictures_are_made_of_a_grid_target_in_three_filters(at_prompt: Site) -> None:
    coadd = prompt.get(at_prompt.coadd)
    target, band = coadd.grid_target, coadd.filter
    by_frames = prompt.rgb(coadd, coadd, coadd, q=4)

    for wanted, filters in (
        (target.name, ",".join([band.name] * 3)),
        (target.object_id, [band.name] * 3),
        (target, [band, band, band]),
    ):
        picture = prompt.rgb(target=wanted, filters=filters, q=4)
        assert picture.address == by_frames.address
        assert picture.content == by_frames.content


def test_cutouts_are_the_files_of_the_service_with_their_numbers(at_prompt: Site, tmp_path: Path) -> None:
    slid = at_prompt.sources
    found = prompt.cutouts(slid, sids="0:2,4,77", size="16", format="fits", method="imageserver")

    assert [c.facts["sid"] for c in found] == [0, 1, 2, 4]
    one = found.of(2)
    assert one.array.shape == (16, 16)
    assert one.array.max() > 300
    assert found.timings["request"] > 0
    assert "where=imageserver" in found.address
    assert sorted(p.name for p in found.save(tmp_path / "stamps")) == sorted(c.facts["file"] for c in found)
    shown = prompt.cutouts(prompt.get(slid), sids=[0, 1], size=16)._repr_html_()
    assert shown.count("data:image/png;base64,") == 2
    assert f"SLID {slid} SID 1" in shown


def test_cutouts_tell_their_steps(at_prompt: Site) -> None:
    found = prompt.cutouts(at_prompt.sources, sids="0:3", size="16")

    assert {"database", "cut", "request"} <= set(found.timings)
    assert len(found.log) > 1


def test_members_of_associates_have_cutouts(at_prompt: Site) -> None:
    found = prompt.cutouts(at_prompt.associates, sids="0:1", size="16")

    assert [c.facts["aid"] for c in found] == [0, 0, 1, 1]
    assert found.of(1, "aid").facts["sid"] == 1


def test_the_chosen_files_of_associates_are_those_of_the_directory(site: Site) -> None:
    run = requests.get(f"{site.address}/cutouts/associates/{site.associates}?size=16", timeout=60).text
    found = re.search(r"/cutouts/directory/\d+", run)
    assert found is not None
    directory = f"{site.address}{found[0]}"
    second = {"page": 2, "rows": 2}
    names = [f["file"] for f in requests.get(f"{directory}.json", second, timeout=60).json()["files"]]
    keys = re.findall(r'name="file" value="([^"]+)"', requests.get(directory, second, timeout=60).text)
    archive = requests.get(f"{directory}.zip", {"file": keys}, timeout=60).content

    assert len(keys) == len(names) == 2
    assert all(".AID1." in name for name in names)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert sorted(set(files.namelist()) - {"manifest.csv", "manifest.json"}) == sorted(names)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda site: prompt.image(987654), NotFound, "987654"),
        (lambda site: prompt.image("no-such-file.fits"), NotFound, "no-such-file"),
        (lambda site: prompt.image("../../etc/passwd"), NotFound, "passwd"),
        (lambda site: prompt.image("<script>alert(1)</script>"), NotFound, "script"),
        (lambda site: prompt.image(site.coadd, strech="log"), BadRequest, "stretch"),
        (lambda site: prompt.image(site.coadd, cuts="nan,1"), BadRequest, "cuts"),
        (lambda site: prompt.image(site.coadd, format="gif"), BadRequest, "png or jpg or tif or fits"),
        (lambda site: prompt.image(site.coadd, x=-5000, y=1, width=10), BadRequest, "off the image"),
        (lambda site: prompt.image(None), BadRequest, "a frame is given as object or number"),
        (lambda site: prompt.cutouts(site.coadd), BadRequest, "SourceList or AssociateList"),
        (lambda site: prompt.cutouts(site.sources, sids="6:1"), BadRequest, "6:1"),
        (
            lambda site: prompt.cutouts(site.sources, sids="1:1000000000"),
            BadRequest,
            "the limit is",
        ),
        (lambda site: prompt.cutouts(site.sources, sids="0", size="-3"), BadRequest, "size"),
        (lambda site: prompt.cutouts(site.sources, sids="0", method="elsewhere"), BadRequest, "dataserver"),
        (lambda site: prompt.rgb(site.coadd, site.coadd, "x"), NotFound, "blue: no frame whose file is"),
        (lambda site: prompt.rgb(site.coadd, site.coadd, None), BadRequest, "a frame is given as object or number"),
        (lambda site: prompt.rgb(site.coadd, site.coadd), BadRequest, "a colour picture is of three frames, got 2"),
        (lambda site: prompt.rgb(1, 2, 3, target="x"), BadRequest, "either a grid target or three frames"),
        (lambda site: prompt.rgb(1, 2, 3, filters="i,r,g"), BadRequest, "filters are those of a grid target"),
        (lambda site: prompt.rgb(target="no such"), NotFound, "no grid target 'no such'"),
    ],
)
def test_what_can_not_be_is_told_by_an_error_of_awe(at_prompt: Site, call: Any, error: type, told: str) -> None:
    with pytest.raises(error, match=told):
        call(at_prompt)


def test_without_a_site_the_same_picture_is_made_in_this_process(site: Site, alone: ImageClient) -> None:
    path = f"/imageview/{site.coadd}.png"
    served = ImageClient(site.settings).picture("imageview", path, {"cuts": "0,40"})
    own = alone.picture("imageview", path, {"cuts": "0,40"})

    assert own.content == served.content
    assert own.address == f"{path}?cuts=0,40"
    assert served.address == site.address + own.address


def test_a_site_of_another_database_is_not_asked(site: Site, tmp_path: Path) -> None:
    other = replace(site.settings, database=f"sqlite:///{tmp_path}/other.db")

    assert ImageClient(other)._where("imageview") == ""
    assert ImageClient(site.settings)._where("imageview") == site.address


def test_a_service_elsewhere_that_does_not_answer_is_told(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    client = ImageClient(replace(site.settings, service_addresses=f"imageview=http://127.0.0.1:{port}"))

    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} does not answer"):
        client.picture("imageview", "/imageview/1.png", {})


def test_a_notebook_shows_the_pictures(at_prompt: Site) -> None:
    from IPython.core.formatters import DisplayFormatter

    picture = prompt.image(at_prompt.coadd, fit=64)
    shown, _ = DisplayFormatter().format(picture)

    assert shown["image/png"] == picture.content
    assert json.dumps(shown["text/plain"]).startswith('"<png of ')
